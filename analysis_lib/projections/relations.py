"""What a list of token pairs relates: forms of a lemma, agreeing categories, prepositions with nouns.

A head's top pairs (a, b) in embedding space are a list of left and right tokens. Each relation is a share of those pairs, and the null
is the same share with the right column permuted within the list. The permutation keeps how often each token stands on each side, so a
token that fills the list (a hub) raises the null as much as the list; what remains is the pairing itself. All relations are symmetric,
so a pair (b, a) that stands below (a, b) says nothing new: it is left out, or a list of mirror images would count all evidence twice.
The null has two limits:

- A permutation cannot tell a list of nouns from chance: if all tokens are nouns, every permuted pair agrees too.
- With one distinct token on a side every permutation is the same list: null and share coincide, and p is 1. Every row therefore has
  `n_distinct_left` and `n_distinct_right`.

Categories are sets of readings out of context, and two tokens agree when their sets intersect (see `lexicon`). Categories that not
every word has (case, number, person, government) are shares among the pairs in which both tokens have one; `n` is the number of such
pairs. A form agrees with itself in everything, so two tokens of one form (`dom`, `Dom`) count for `same_form` alone; a pair search leaves
such pairs out, and permuted lists may not profit from them.

P-values are one-sided and come from as many permutations as each test needs (`statistics.monte_carlo`). `head_relations` does not
correct them; `correct_together` does, over everything that was looked at: all lists of all models times all relations.

Source: pairs of W_VO and W_QK after Dar et al. 2022 (arXiv 2209.02535), whose published notebooks judge them by eye.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from analysis_lib.statistics import holm
from analysis_lib.statistics.monte_carlo import adaptive_null
from analysis_lib.sweeps import sweep
from analysis_lib.vocabulary import Lexicon

RELATIONS = (
    "same_form",
    "same_lemma",
    "same_pos",
    "same_case",
    "same_number",
    "same_person",
    "preposition_noun",
    "governed_case",
)
# What chapters and the atlas test in lists of heads, and what they call it.
TITLES = {
    "same_lemma": "one lemma",
    "same_pos": "part of speech",
    "same_case": "case",
    "same_number": "number",
    "same_person": "person",
    "preposition_noun": "preposition, noun",
}


def permuted_null(
    left_ids: np.ndarray,
    right_ids: np.ndarray,
    lexicon: Lexicon,
    groups: np.ndarray,
    *,
    names: Sequence[str] = RELATIONS,
    max_draws: int = 20_000,
    seed: int | Sequence[int] = 0,
) -> pd.DataFrame:
    """Shares of one list beside those of the same list with its right column permuted.

    Parameters
    ----------
    left_ids, right_ids : int array [pair]
        Token ids, for example `TopPairs.left_ids` and `.right_ids`.
    lexicon : Lexicon
        Readings of the vocabulary; row = token id.
    groups : int array [vocab]
        Equal where lower-cased forms agree (`Vocabulary.form_groups`).
    names : sequence of str
        Some of `RELATIONS`.
    max_draws : int
        Permutations of the right column at most, drawn uniformly; one set serves all relations that still need it.
    seed : int or sequence of int
        Seed of `numpy.random.default_rng`.

    Returns
    -------
    DataFrame, index `relation`
        `share` (0 to 1) of the `n` pairs that the relation applies to, `null_mean` and one-sided `p` (NaN where it applies to no pair),
        `n_draws` (permutations made), and the sizes of the list without mirror images: `n_pairs`, `n_distinct_left`, `n_distinct_right`.

    Raises
    ------
    ValueError
        Ids that are no rows of the lexicon, columns of different lengths, groups that do not fit, unknown names.
    """
    _check_names(names)
    pairs = _PairList.build(left_ids, right_ids, lexicon, groups)
    shares = [pairs.share(name) for name in names]
    rng = np.random.default_rng(seed)

    def draw(n_draws: int, tests: np.ndarray) -> np.ndarray:
        order = rng.permuted(np.tile(np.arange(len(pairs.left), dtype=np.int32), (n_draws, 1)), axis=1)
        return np.stack([pairs.shares_of_permuted(names[test], order) for test in tests], axis=1)

    spans = [1 / n if n else 0.0 for _, n in shares]
    nulls = adaptive_null([share for share, _ in shares], draw, max_draws=max_draws, spans=spans)
    rows = [(name, share, n, null.mean, null.p, null.n_draws) for name, (share, n), null in zip(names, shares, nulls, strict=True)]
    return pd.DataFrame(rows, columns=["relation", *_MEASURED]).set_index("relation").assign(**pairs.sizes())


def list_shares(pairs_by_head: Mapping, lexicon: Lexicon, groups: np.ndarray, names: Sequence[str] = RELATIONS) -> pd.DataFrame:
    """Shares of several lists, without a null: for lists that are a null themselves, such as those of random heads.

    Parameters
    ----------
    pairs_by_head, lexicon, groups, names
        As in `head_relations`.

    Returns
    -------
    DataFrame
        A row for each head and relation: `layer head relation share n`.
    """
    _check_names(names)
    rows = []
    for (layer, head), pairs in pairs_by_head.items():
        built = _PairList.build(pairs.left_ids, pairs.right_ids, lexicon, groups)
        rows += [(layer, head, name, *built.share(name)) for name in names]
    return pd.DataFrame(rows, columns=["layer", "head", "relation", "share", "n"])


def head_relations(
    pairs_by_head: Mapping,
    lexicon: Lexicon,
    groups: np.ndarray,
    *,
    names: Sequence[str] = RELATIONS,
    max_draws: int = 20_000,
    seed: int = 0,
    n_jobs: int | None = None,
    revision: str | None = None,
) -> pd.DataFrame:
    """Relations of all heads, each beside its null.

    Parameters
    ----------
    pairs_by_head : mapping {(layer, head): pairs}
        `pairs` has `left_ids` and `right_ids` (a `TopPairs`). Each head has random numbers of its own, drawn from
        (seed, layer, head), so its rows do not depend on which other heads are there.
    lexicon, groups, names, max_draws
        As in `permuted_null`.
    seed : int
    n_jobs : int, optional
        Threads, as joblib counts them; by default those of the configuration in force. Results do not depend on it.
    revision : str, optional
        Of lexicon and groups, for results that are kept on disk (see `sweeps.sweep`).

    Returns
    -------
    DataFrame
        A row for each head and relation, in the order of the mapping: `layer head relation share n null_mean p n_draws n_pairs
        n_distinct_left n_distinct_right`, and `excess`, the share less the null's mean. P-values are not corrected.

    Raises
    ------
    ValueError
        No heads; see also `permuted_null`.
    """
    if not pairs_by_head:
        raise ValueError("pairs_by_head is empty; expected at least one (layer, head)")
    table = partial(_table_of_head, names=tuple(names), max_draws=max_draws, seed=seed)
    heads = [(*head, pairs) for head, pairs in pairs_by_head.items()]
    frames = sweep(table, heads, (lexicon, groups), n_jobs=n_jobs, revision=revision, title="relations of lists")
    whole = pd.concat(frames, ignore_index=True)
    return whole[["layer", "head", *frames[0].columns[:-2]]].assign(excess=whole["share"] - whole["null_mean"])


def _table_of_head(
    shared: tuple[Lexicon, np.ndarray], one: tuple[int, int, Any], *, names: Sequence[str], max_draws: int, seed: int
) -> pd.DataFrame:
    """The rows of one head, given as its layer, its number and its pairs."""
    (lexicon, groups), (layer, head, pairs) = shared, one
    key = [seed, layer, head]
    table = permuted_null(pairs.left_ids, pairs.right_ids, lexicon, groups, names=names, max_draws=max_draws, seed=key).reset_index()
    return table.assign(layer=layer, head=head)


def correct_together(tables: Mapping[str, pd.DataFrame], label: str = "model", level: float = 0.05) -> pd.DataFrame:
    """Several tables of relations as one family of tests.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        Each with a column `p`, as `head_relations` gives it: every list and every relation that was looked at. NaN, where there was
        nothing to test, counts as a test without effect.
    label : str
        Name of the column for the mapping's keys.
    level : float
        Chance of one false finding or more in the whole family.

    Returns
    -------
    DataFrame
        All rows, with `label`, `p_holm` (corrected over all of them by Holm's method) and `passes` (`p_holm` below the level).
    """
    whole = pd.concat([table.assign(**{label: key}) for key, table in tables.items()], ignore_index=True)
    whole["p_holm"] = holm(whole["p"].fillna(1.0))
    return whole.assign(passes=whole["p_holm"] < level)


_MEASURED = ["share", "n", "null_mean", "p", "n_draws"]
_SIZES = ["n_pairs", "n_distinct_left", "n_distinct_right"]


@dataclass(frozen=True)
class _PairList:
    """Pairs as positions in tables over their distinct tokens: a permutation is then one look-up."""

    left: np.ndarray  # [n_pairs], row of each pair's left token
    right: np.ndarray  # [n_pairs], column of each pair's right token
    tables: dict  # relation -> (holds, applies), each bool [distinct left, distinct right]

    @classmethod
    def build(cls, left_ids: np.ndarray, right_ids: np.ndarray, lexicon: Lexicon, groups: np.ndarray) -> "_PairList":
        groups = np.asarray(groups)
        if groups.shape != (len(lexicon),):
            raise ValueError(f"groups has shape {groups.shape}; expected ({len(lexicon)},), one for each lexicon row")
        left_ids = _checked_ids(left_ids, len(lexicon), "left_ids")
        right_ids = _checked_ids(right_ids, len(lexicon), "right_ids")
        if len(left_ids) != len(right_ids):
            raise ValueError(f"left_ids has {len(left_ids)} tokens and right_ids {len(right_ids)}; expected as many")
        new = _without_mirrors(left_ids, right_ids)
        left_ids, right_ids = left_ids[new], right_ids[new]
        left_tokens, left = np.unique(left_ids, return_inverse=True)
        right_tokens, right = np.unique(right_ids, return_inverse=True)
        return cls(left, right, _relation_tables(left_tokens, right_tokens, lexicon, groups))

    def share(self, name: str) -> tuple[float, int]:
        holds, applies = self.tables[name]
        n = int(applies[self.left, self.right].sum())
        return (float((holds & applies)[self.left, self.right].sum() / n) if n else np.nan), n

    def shares_of_permuted(self, name: str, order: np.ndarray) -> np.ndarray:
        """Share for each order of the right column, [draw, pair]; NaN where the relation applies to no pair."""
        if not len(self.left):
            return np.full(len(order), np.nan)
        holds, applies = (table[self.left][:, self.right].astype(np.uint8) for table in self.tables[name])  # [pair, pair]
        place = order + np.arange(len(self.left), dtype=np.int32) * len(self.left)
        hits = np.take(holds * applies, place).sum(axis=1)
        n = np.full(len(order), len(self.left)) if applies.all() else np.take(applies, place).sum(axis=1)
        return np.divide(hits, n, out=np.full(len(order), np.nan), where=n > 0)

    def sizes(self) -> dict[str, int]:
        shape = self.tables["same_form"][0].shape
        return dict(zip(_SIZES, (len(self.left), *shape), strict=True))


def _without_mirrors(left_ids: np.ndarray, right_ids: np.ndarray) -> np.ndarray:
    """Which pairs are no mirror image of an earlier one, bool [pair]."""
    pairs = list(zip(left_ids.tolist(), right_ids.tolist(), strict=True))
    first: dict[tuple[int, int], int] = {}
    for place, pair in enumerate(pairs):
        first.setdefault(pair, place)
    return np.array([a == b or first.get((b, a), place) >= place for place, (a, b) in enumerate(pairs)], dtype=bool)


def _relation_tables(left: np.ndarray, right: np.ndarray, lexicon: Lexicon, groups: np.ndarray) -> dict:
    """(holds, applies) of every relation, bool [len(left), len(right)], for distinct token ids."""
    same_form = groups[left][:, None] == groups[right]
    both_known = lexicon.known[left][:, None] & lexicon.known[right]
    tables = {"same_lemma": (_share_a_lemma(left, right, lexicon), both_known)}
    tables["same_pos"] = (_intersect(lexicon.pos[left], lexicon.pos[right]), both_known)
    for name in ("case", "number", "person"):
        category = getattr(lexicon, name)
        has = category.any(axis=1)
        tables[f"same_{name}"] = (_intersect(category[left], category[right]), has[left][:, None] & has[right])
    preposition, noun = lexicon.has_pos("preposition"), lexicon.has_pos("noun")
    forwards = preposition[left][:, None] & noun[right]
    backwards = noun[left][:, None] & preposition[right]
    governs_right = _intersect(lexicon.government[left], lexicon.case[right])
    governs_left = _intersect(lexicon.case[left], lexicon.government[right])
    tables["preposition_noun"] = (forwards | backwards, both_known)
    tables["governed_case"] = ((forwards & governs_right) | (backwards & governs_left), forwards | backwards)
    tables = {name: (holds, applies & ~same_form) for name, (holds, applies) in tables.items()}
    return {"same_form": (same_form, np.ones_like(same_form))} | tables


def _intersect(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Whether any value is in both sets: bool [a, values] and [b, values] to bool [a, b]."""
    return left.astype(np.float32) @ right.astype(np.float32).T > 0


def _share_a_lemma(left: np.ndarray, right: np.ndarray, lexicon: Lexicon) -> np.ndarray:
    column: dict[str, int] = {}
    for token in (*left, *right):
        for lemma in lexicon.lemmas[token]:
            column.setdefault(lemma, len(column))
    has_left, has_right = (np.zeros((len(side), len(column)), dtype=bool) for side in (left, right))
    for has, side in ((has_left, left), (has_right, right)):
        for row, token in enumerate(side):
            has[row, [column[lemma] for lemma in lexicon.lemmas[token]]] = True
    return _intersect(has_left, has_right)


def _check_names(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in RELATIONS]
    if unknown:
        raise ValueError(f"names: expected some of {', '.join(RELATIONS)}, found {unknown[0]!r}")


def _checked_ids(ids: np.ndarray, vocab: int, name: str) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(f"{name} is {ids.dtype} of shape {ids.shape}; expected integers of shape [n_pairs]")
    ids = ids.astype(np.int64)
    if ids.size and (ids.min() < 0 or ids.max() >= vocab):
        raise ValueError(f"{name} ranges over {ids.min()} to {ids.max()}; expected 0 to {vocab - 1}, rows of the lexicon")
    return ids
