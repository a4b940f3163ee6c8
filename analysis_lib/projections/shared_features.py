r"""What the top tokens of a vector have in common, and whether chance would give as much.

A list of twenty top tokens may hold forms of one lemma, one ending, one case, numbers or names. For each such *kind*
every feature (a lemma, an ending, the genitive) has a count in the list. Chance is a list in which each token is
replaced by a random kept token of similar frequency: at most `rank_window` ranks away, since byte-pair ids are in the
order of merging. With $p_j$ the share of tokens with the feature around token $j$, the
count of such a list is a sum of independent draws, and its tail is computed exactly:

$$P(\text{count} \ge c), \qquad \text{count} = \sum_j B_j, \quad B_j \sim \mathrm{Bernoulli}(p_j).$$

The smallest tail over the features of a kind is multiplied by the number of its features (Bonferroni), and what comes
out is corrected over all lists and kinds by Holm's method. Nothing is drawn at random.

Two tokens of one form (`dom`, `Dom`) count once, the better placed one; so a list of spellings of one word is not alike.
Words are read out of context and can be several things at once (see `lexicon`), which the counts of chance share.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Bool, Float
from scipy.sparse import csr_array

from analysis_lib.statistics import holm
from analysis_lib.vocabulary import Lexicon, TokenCounts, Vocabulary
from analysis_lib.vocabulary.lexicon import PARTS_OF_SPEECH

CASE_NAMES = ("nominative", "genitive", "dative", "accusative", "instrumental", "locative", "vocative")
PERSON_NAMES = ("first person", "second person", "third person")
NUMBER_TAGS = {"num", "numcomp", "dig", "romandig"}
LISTS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class TokenKind:
    """One way in which tokens can be alike.

    Attributes
    ----------
    name : str
        `lemma`, `ending`, `case` and so on.
    labels : tuple of str
        Its features, as tables show them.
    table : sparse float array [vocab, feature]
        1 where a token has a feature; a token may have several, or none.
    """

    name: str
    labels: tuple[str, ...]
    table: csr_array


def word_tokens(vocabulary: Vocabulary, lexicon: Lexicon, counts: TokenCounts) -> Bool[np.ndarray, " vocab"]:
    """The tokens that lists are made of: Polish words, and numbers.

    Parameters
    ----------
    vocabulary : Vocabulary
    lexicon : Lexicon
        Row = token id.
    counts : TokenCounts
        Which tokens are mostly whole words in a text.

    Returns
    -------
    bool array [vocab]
        No pieces of words, even where the dictionary knows them by accident, no signs, every Polish letter. Digits pass as they are.
    """
    words = vocabulary.keep(whole_words=True, counts=counts, lexicon=lexicon)
    roman = vocabulary.keep(whole_words=True, counts=counts) & _is_number(lexicon)
    digits = vocabulary.keep(words=False, whole_words=True) & np.array([text.isdecimal() for text in vocabulary.text])
    return words | roman | (digits & _is_number(lexicon))


def token_kinds(lexicon: Lexicon, keep: np.ndarray) -> tuple[TokenKind, ...]:
    """Everything that tokens are compared by.

    Parameters
    ----------
    lexicon : Lexicon
        Row = token id.
    keep : bool array [vocab]
        Tokens that lists are made of; a feature of fewer than two of them is left out.

    Returns
    -------
    tuple of TokenKind
        `lemma`; `ending` (the last two letters of forms of four and more, the last three of five and more); `part of
        speech`, `case` (a form that can be any of the seven has none), `person` (a form that can be a particle, such as *nie*,
        has none); `number` (numerals, digits, Roman digits); `name` (every lemma is capitalised); `capital` (the token is).
    """
    forms = [form.strip() for form in lexicon.forms]
    named = [bool(lemmas) and all(lemma[:1].isupper() for lemma in lemmas) for lemmas in lexicon.lemmas]
    kinds = (
        _from_sets("lemma", lexicon.lemmas, keep),
        _from_sets("ending", [_endings(form.lower()) for form in forms], keep),
        _from_columns("part of speech", tuple(PARTS_OF_SPEECH), lexicon.pos, keep),
        _from_columns("case", CASE_NAMES, lexicon.case & ~lexicon.case.all(axis=1, keepdims=True), keep),
        _from_columns("person", PERSON_NAMES, lexicon.person & ~lexicon.has_pos("particle")[:, None], keep),
        _from_columns("number", ("numbers",), _is_number(lexicon)[:, None], keep),
        _from_columns("name", ("names",), (np.array(named) & lexicon.has_pos("noun"))[:, None], keep),
        _from_columns("capital", ("capitalised",), np.array([form[:1].isupper() for form in forms])[:, None], keep),
    )
    return tuple(kind for kind in kinds if kind.labels)


def alike_lists(
    ids: np.ndarray, kinds: Iterable[TokenKind], keep: np.ndarray, form_groups: np.ndarray, rank_window: int = 200
) -> pd.DataFrame:
    """For every list and kind, the feature whose count chance explains least.

    Parameters
    ----------
    ids : int array [n, k]
        Kept tokens, best first, as `top_tokens` gives them.
    kinds : TokenKinds
        From `token_kinds`.
    keep : bool array [vocab]
        The tokens that the lists were chosen from.
    form_groups : int array [vocab]
        `Vocabulary.form_groups`; of the tokens of one form only the first counts.
    rank_window : int
        How many ranks away a random token may come from; the window is moved inwards at the ends.

    Returns
    -------
    DataFrame [n * kinds]
        `list` (row of `ids`), `kind`, `feature`, `count` (forms with it), `size` (forms in the list), `expected` (count by
        chance), `p` (corrected over the features of the kind) and `p_holm` (corrected over all rows too). Where no
        feature occurs twice, `feature` is empty, `count` 0 and `p` 1.

    Raises
    ------
    ValueError
        Tokens that are not kept, masks that do not fit, a window below 1.
    """
    lists = _Lists.build(ids, keep, form_groups, rank_window)
    parts = [lists.score(kind) for kind in kinds]
    if not parts:
        raise ValueError("kinds: expected one or more, found none")
    table = pd.concat(parts, ignore_index=True).sort_values("list", kind="stable", ignore_index=True)
    return table.assign(p_holm=holm(table["p"]))


def most_in_a_list(ids: np.ndarray, kinds: Iterable[TokenKind], form_groups: np.ndarray, kind: str, feature: str) -> int:
    """The largest count of one feature in any of some lists, different forms only: `ids` [n, k], the rest as in `alike_lists`."""
    table = next((one for one in kinds if one.name == kind), None)
    if table is None or feature not in table.labels:
        raise ValueError(f"feature: expected one of the features of {kind!r}, found {feature!r}")
    has = table.table[:, [table.labels.index(feature)]].toarray()[:, 0] > 0
    return int((has[ids] & _first_of_form(np.asarray(form_groups)[ids])).sum(axis=1).max())


def passing(table: pd.DataFrame, level: float = 0.05) -> pd.DataFrame:
    """Which lists are alike beyond chance, kind by kind.

    Parameters
    ----------
    table : DataFrame
        From `alike_lists`.
    level : float
        Bound of `p_holm` for a list to pass.

    Returns
    -------
    bool DataFrame [list, kind]
        Kinds in the order of `table`.
    """
    wide = table.assign(found=table["p_holm"] < level).pivot(index="list", columns="kind", values="found")
    return wide[list(dict.fromkeys(table["kind"]))]


def _is_number(lexicon: Lexicon) -> np.ndarray:
    return np.array([any(tag.split(":", 1)[0] in NUMBER_TAGS for tag in tags) for tags in lexicon.tags], dtype=bool)


def _endings(form: str) -> list[str]:
    return [f"-{form[-letters:]}" for letters in (2, 3) if len(form) >= letters + 2 and form.isalpha()]


def _from_sets(name: str, sets: Iterable[Iterable[str]], keep: np.ndarray) -> TokenKind:
    """A kind whose features are strings, each token with a set of them."""
    pairs = [(row, feature) for row, features in enumerate(sets) for feature in features]
    labels = sorted({feature for _, feature in pairs})
    column = {label: i for i, label in enumerate(labels)}
    place = ([row for row, _ in pairs], [column[feature] for _, feature in pairs])
    table = csr_array((np.ones(len(pairs)), place), shape=(len(keep), len(labels)))
    return _used(name, labels, table, keep)


def _from_columns(name: str, labels: Sequence[str], table: np.ndarray, keep: np.ndarray) -> TokenKind:
    return _used(name, labels, csr_array(table.astype(float)), keep)


def _used(name: str, labels: Sequence[str], table: csr_array, keep: np.ndarray) -> TokenKind:
    """Features that two or more kept tokens have, of kept tokens alone."""
    kept = csr_array(table.multiply(np.asarray(keep, dtype=float)[:, None]))
    used = np.flatnonzero(kept.sum(axis=0) >= 2)
    return TokenKind(name, tuple(labels[i] for i in used.tolist()), csr_array(kept[:, used]))


@dataclass(frozen=True, eq=False)
class _Lists:
    """Lists of kept tokens, which of them count, and the window of ranks that chance draws each from."""

    ids: np.ndarray  # [n, k]
    counts: np.ndarray  # bool [n, k]: the first token of its form
    kept: np.ndarray  # ids of kept tokens, ascending
    low: np.ndarray  # [n, k]: first rank of the window
    width: int

    @classmethod
    def build(cls, ids: np.ndarray, keep: np.ndarray, form_groups: np.ndarray, rank_window: int) -> "_Lists":
        ids, keep, form_groups = np.asarray(ids), np.asarray(keep), np.asarray(form_groups)
        if ids.ndim != 2 or 0 in ids.shape:
            raise ValueError(f"ids: expected lists [n, k], found shape {ids.shape}")
        if keep.dtype != bool or keep.shape != form_groups.shape:
            raise ValueError(f"keep: expected bool {form_groups.shape}, found {keep.dtype} {keep.shape}")
        if ids.min() < 0 or ids.max() >= len(keep) or not keep[ids].all():
            raise ValueError("ids: expected kept tokens, found others")
        if rank_window < 1:
            raise ValueError(f"rank_window: expected 1 or more, found {rank_window}")
        kept = np.flatnonzero(keep)
        width = min(2 * rank_window + 1, len(kept))
        low = np.clip(np.searchsorted(kept, ids) - rank_window, 0, len(kept) - width)
        return cls(ids, _first_of_form(form_groups[ids]), kept, low, width)

    def score(self, kind: TokenKind) -> pd.DataFrame:
        """The best feature of the kind, one row for each list."""
        blocks = [self._score_block(kind, start) for start in range(0, len(self.ids), LISTS_AT_ONCE)]
        found = pd.concat(blocks, ignore_index=True).sort_values(["list", "p", "feature"], kind="stable")
        best = found.drop_duplicates("list").set_index("list").reindex(range(len(self.ids)))
        labels = np.array([*kind.labels, ""], dtype=object)
        return pd.DataFrame(
            {
                "list": best.index,
                "kind": kind.name,
                "feature": labels[best["feature"].fillna(-1).astype(int)],
                "count": best["count"].fillna(0).astype(int).to_numpy(),
                "size": self.counts.sum(axis=1),
                "expected": best["expected"].fillna(0).to_numpy(),
                "p": np.minimum(1, best["p"].fillna(1).to_numpy() * len(kind.labels)),
            }
        )

    def _score_block(self, kind: TokenKind, start: int) -> pd.DataFrame:
        """Tails of every feature that occurs twice or more in a list of the block."""
        block = slice(start, start + LISTS_AT_ONCE)
        row, place = self.counts[block].nonzero()
        members = csr_array((np.ones(len(row)), (row, self.ids[block][row, place])), shape=(len(self.ids[block]), kind.table.shape[0]))
        found = (members @ kind.table).tocoo()
        twice = found.data >= 2
        row, feature = (axis[twice] for axis in found.coords)
        count = found.data[twice].astype(int)
        chance = self._chances(kind, row + start, feature)
        tail = count_tail(chance, count)
        return pd.DataFrame({"list": row + start, "feature": feature, "count": count, "expected": chance.sum(axis=1), "p": tail})

    def _chances(self, kind: TokenKind, row: np.ndarray, feature: np.ndarray) -> np.ndarray:
        """Share of tokens with `feature[i]` in the window of each token of list `row[i]`: [i, k], 0 where it does not count."""
        holders = kind.table[self.kept].tocsc()
        span = len(self.kept) + 1
        # All ranks of all features in one ascending array: a window is a difference of two places in it.
        owner = np.repeat(np.arange(holders.shape[1], dtype=np.int64), np.diff(holders.indptr))
        keys = np.sort(owner * span + holders.indices)
        first = feature[:, None].astype(np.int64) * span + self.low[row]
        inside = np.searchsorted(keys, first + self.width) - np.searchsorted(keys, first)
        return np.where(self.counts[row], inside / self.width, 0.0)


def count_tail(chances: np.ndarray, counts: np.ndarray) -> Float[np.ndarray, " n"]:
    """P(as many or more) for sums of independent draws of unequal chances, row by row: exact.

    Parameters
    ----------
    chances : float array [n, k]
        Chance of each draw.
    counts : int array [n]
        From 0 to k.

    Returns
    -------
    float array [n]
    """
    chances = np.asarray(chances, dtype=float)
    # As many or more hits are as few or fewer misses: the lower tail has no cancellation, however small it is.
    return np.minimum(1, scipy.stats.poisson_binom.cdf(chances.shape[1] - np.asarray(counts), 1 - chances))


def _first_of_form(forms: np.ndarray) -> np.ndarray:
    """True at the first place where a row holds a number."""
    order = np.argsort(forms, axis=1, kind="stable")
    ordered = np.take_along_axis(forms, order, axis=1)
    first = np.ones(forms.shape, dtype=bool)
    np.put_along_axis(first, order[:, 1:], ordered[:, 1:] != ordered[:, :-1], axis=1)
    return first
