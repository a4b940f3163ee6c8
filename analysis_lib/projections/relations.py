"""What a list of token pairs relates: forms of a lemma, agreeing categories, prepositions with nouns.

A head's top pairs (a, b) in embedding space are a list of left and right tokens. Each relation is a
share of those pairs, and the same share is taken with the right column permuted within the list. The
permutation keeps how often each token stands on each side, so a token that fills the list (a hub)
raises the null as much as the list; what remains is the pairing itself. Two limits to read it by:

- a permutation cannot tell a list of nouns from chance: if all tokens are nouns, every permuted pair
  agrees too. What the *columns* hold is measured by embedding similarity within each column, against
  random tokens of similar frequency;
- with one distinct token on a side every permutation is the same list: null and share coincide, and
  p is 1. `n_distinct_left` and `n_distinct_right` stand beside every row for that reason.

Categories are sets of readings out of context, and two tokens agree when their sets intersect (see
`lexicon`). Categories that not every word has (case, number, person, government) are shares among
the pairs in which both tokens have one; `n` is the number of such pairs. A form agrees with itself in
everything, so two tokens of one form (`dom`, `Dom`) count for `same_form` alone; a pair search leaves
such pairs out, and permuted lists may not profit from them. All p-values are one-sided,
(1 + #{null >= observed}) / (1 + draws), uncorrected: correct them over the heads they are read from.

Source: pairs of W_VO and W_QK after Dar et al. 2022 (arXiv 2209.02535), whose published notebooks
judge them by eye; permutation p-values with the observed list counted after Phipson and Smyth 2010.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis_lib.projections.similarity import TokenSpace, against_null, check_settings
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
SIMILARITIES = ("left_similarity", "right_similarity")


def pair_relations(left_ids, right_ids, lexicon: Lexicon, groups) -> pd.DataFrame:
    """Every relation for every pair.

    Parameters
    ----------
    left_ids, right_ids : int [n_pairs]
        Token ids, e.g. `TopPairs.left_ids` and `.right_ids`.
    lexicon : Lexicon
        Readings of the vocabulary, row = token id.
    groups : int [vocab]
        Equal where lower-cased forms agree (`Vocabulary.form_groups`).

    Returns
    -------
    DataFrame [n_pairs, len(RELATIONS)] of nullable booleans
        `same_form`; `same_lemma` (a lemma in common); `same_pos`; `same_case`, `same_number`,
        `same_person`; `preposition_noun` (one token can be a preposition, the other a noun); `governed_case` (of
        those, the preposition governs a case that the noun can have). NA where the relation does not apply: a
        token unknown to the lexicon or without the category, or both tokens of one form (all but `same_form`).
    """
    pairs = _PairList.build(left_ids, right_ids, lexicon, groups)
    columns = {}
    for name in RELATIONS:
        holds, applies = (table[pairs.left, pairs.right] for table in pairs.tables[name])
        columns[name] = pd.arrays.BooleanArray(holds & applies, ~applies)
    return pd.DataFrame(columns)


def relation_shares(left_ids, right_ids, lexicon: Lexicon, groups) -> pd.DataFrame:
    """Share of pairs in which each relation holds, among the `n` pairs it applies to.

    Parameters as in `pair_relations`.

    Returns
    -------
    DataFrame, index `relation`, columns `share` (0 to 1; NaN where n is 0) and `n` (pairs).
    """
    pairs = _PairList.build(left_ids, right_ids, lexicon, groups)
    rows = {name: pairs.share(name) for name in RELATIONS}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["share", "n"]).rename_axis("relation")


def permuted_null(
    left_ids, right_ids, lexicon: Lexicon, groups, *, n_permutations: int = 1000, seed=0, interval: float = 0.95
) -> pd.DataFrame:
    """Shares beside those of the same list with its right column permuted.

    Parameters
    ----------
    left_ids, right_ids, lexicon, groups
        As in `pair_relations`.
    n_permutations : int
        Permutations of the right column, drawn uniformly (the identity among them); one set serves all relations.
    seed : int or sequence of int
        Seed of `numpy.random.default_rng`.
    interval : float
        Central mass of the null between `null_low` and `null_high`, in (0, 1).

    Returns
    -------
    DataFrame, index `relation`, columns `share n null_mean null_low null_high p n_pairs n_distinct_left
    n_distinct_right`. Null and p are NaN where the relation applies to no pair. A permutation that leaves no
    applicable pair is left out of the null.
    """
    check_settings(n_permutations, interval, "n_permutations")
    pairs = _PairList.build(left_ids, right_ids, lexicon, groups)
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(len(pairs.left)), (n_permutations, 1)), axis=1)
    permuted = pairs.right[order]  # [n_permutations, n_pairs]
    rows = []
    for name in RELATIONS:
        share, n = pairs.share(name)
        null = pairs.share_of_each(name, permuted)
        rows.append({"relation": name, "share": share, "n": n} | against_null(share, null, interval))
    return pd.DataFrame(rows).set_index("relation").assign(**pairs.sizes())


def head_relations(
    pairs_by_head: Mapping,
    lexicon: Lexicon,
    groups,
    *,
    embedding=None,
    keep=None,
    n_permutations: int = 1000,
    seed: int = 0,
    interval: float = 0.95,
    rank_window: int = 200,
) -> pd.DataFrame:
    """All relations of all heads, each beside its null.

    Parameters
    ----------
    pairs_by_head : mapping {(layer, head): pairs}
        `pairs` has `left_ids` and `right_ids` (a `TopPairs`). Each head has random numbers of its own, drawn from
        (seed, layer, head): its rows do not depend on which other heads are there.
    lexicon, groups
        As in `pair_relations`.
    embedding, keep, rank_window
        As in `similarity.similarity_null`; without `embedding` the rows of `SIMILARITIES` are left out.
    n_permutations, seed, interval
        As in `permuted_null`; also the number of random draws for the similarities.

    Returns
    -------
    DataFrame, tidy: `layer head relation share n null_mean null_low null_high p n_pairs n_distinct_left
    n_distinct_right`, a row for each head and relation, in the order of the mapping.
    """
    check_settings(n_permutations, interval, "n_permutations")
    space = None if embedding is None else TokenSpace.build(embedding, keep)
    frames = []
    for (layer, head), pairs in pairs_by_head.items():
        table = permuted_null(
            pairs.left_ids,
            pairs.right_ids,
            lexicon,
            groups,
            n_permutations=n_permutations,
            seed=[seed, layer, head],
            interval=interval,
        ).reset_index()
        if space is not None:
            rows = []
            for side, name in enumerate(("left_ids", "right_ids")):
                rng = np.random.default_rng([seed, layer, head, side])
                ranks = space.ranks(getattr(pairs, name), name)
                found = space.against_random(ranks, n_permutations, rng, rank_window, interval)
                rows.append({"relation": SIMILARITIES[side]} | found | table.iloc[0][_SIZES].to_dict())
            table = pd.concat([table, pd.DataFrame(rows)], ignore_index=True)
        table.insert(0, "layer", layer)
        table.insert(1, "head", head)
        frames.append(table)
    if not frames:
        raise ValueError("pairs_by_head is empty; expected at least one (layer, head)")
    return pd.concat(frames, ignore_index=True)


_SIZES = ["n_pairs", "n_distinct_left", "n_distinct_right"]


@dataclass(frozen=True)
class _PairList:
    """Pairs as positions in tables over their distinct tokens: a permutation is then one look-up."""

    left: np.ndarray  # [n_pairs], row of each pair's left token
    right: np.ndarray  # [n_pairs], column of each pair's right token
    tables: dict  # relation -> (holds, applies), each bool [distinct left, distinct right]

    @classmethod
    def build(cls, left_ids, right_ids, lexicon: Lexicon, groups) -> "_PairList":
        groups = np.asarray(groups)
        if groups.shape != (len(lexicon),):
            raise ValueError(f"groups has shape {groups.shape}; expected ({len(lexicon)},), one for each lexicon row")
        left_ids = _checked_ids(left_ids, len(lexicon), "left_ids")
        right_ids = _checked_ids(right_ids, len(lexicon), "right_ids")
        if len(left_ids) != len(right_ids):
            raise ValueError(f"left_ids has {len(left_ids)} tokens and right_ids {len(right_ids)}; expected as many")
        left_tokens, left = np.unique(left_ids, return_inverse=True)
        right_tokens, right = np.unique(right_ids, return_inverse=True)
        return cls(left, right, _relation_tables(left_tokens, right_tokens, lexicon, groups))

    def share(self, name: str) -> tuple[float, int]:
        holds, applies = self.tables[name]
        n = int(applies[self.left, self.right].sum())
        return (float((holds & applies)[self.left, self.right].sum() / n) if n else np.nan), n

    def share_of_each(self, name: str, permuted: np.ndarray) -> np.ndarray:
        """Share for each row of `permuted` [n_permutations, n_pairs]; NaN where it applies to no pair."""
        holds, applies = self.tables[name]
        if holds.size == 0:
            return np.full(len(permuted), np.nan)
        place = self.left * holds.shape[1] + permuted
        hits = (holds & applies).ravel()[place].sum(axis=1)
        n = np.full(len(permuted), place.shape[1]) if applies.all() else applies.ravel()[place].sum(axis=1)
        return np.divide(hits, n, out=np.full(len(permuted), np.nan), where=n > 0)

    def sizes(self) -> dict[str, int]:
        shape = self.tables["same_form"][0].shape
        return dict(zip(_SIZES, (len(self.left), *shape), strict=True))


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
    column = {}
    for token in (*left, *right):
        for lemma in lexicon.lemmas[token]:
            column.setdefault(lemma, len(column))
    has_left, has_right = (np.zeros((len(side), len(column)), dtype=bool) for side in (left, right))
    for has, side in ((has_left, left), (has_right, right)):
        for row, token in enumerate(side):
            has[row, [column[lemma] for lemma in lexicon.lemmas[token]]] = True
    return _intersect(has_left, has_right)


def _checked_ids(ids, vocab: int, name: str) -> np.ndarray:
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(f"{name} is {ids.dtype} of shape {ids.shape}; expected integers of shape [n_pairs]")
    ids = ids.astype(np.int64)
    if ids.size and (ids.min() < 0 or ids.max() >= vocab):
        raise ValueError(f"{name} ranges over {ids.min()} to {ids.max()}; expected 0 to {vocab - 1}, rows of the lexicon")
    return ids
