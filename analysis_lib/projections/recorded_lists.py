"""The lists of token pairs that an original notebook printed, made again from weights and compared.

Weights are read raw and tokens of ASCII letters only may stand in a pair, as in the notebook. Its filters ran after its search and
these run before, so a recorded pair can only rank higher here.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib.projections.factors import qk_factors, vo_factors
from analysis_lib.projections.pair_search import top_pairs
from analysis_lib.vocabulary import Vocabulary
from analysis_lib.weights import TransformerWeights

FACTORS: Mapping = {"VO": vo_factors, "QK": qk_factors}


def compare_lists(weights: TransformerWeights, vocabulary: Vocabulary, lists: pd.DataFrame, k: int = 50) -> pd.DataFrame:
    """Recorded lists of heads beside those that the weights give.

    Parameters
    ----------
    weights : TransformerWeights
    vocabulary : Vocabulary
        Of the same model.
    lists : DataFrame
        `matrix layer head left right`, a row a pair, the best first, as `recorded.head_lists` gives it; a token that begins a word begins
        with a space.
    k : int
        Pairs in a list made here.

    Returns
    -------
    DataFrame
        A row for each recorded list: `matrix layer head`, `pairs` (recorded), `known` (of them, pairs of two tokens of the vocabulary),
        `overlap` (the share of the known pairs that are among the k best here), `order` (Spearman's correlation of the place in the
        recorded list with the entry in the table here, its sign turned: 1 where both have the same order), `best` (the first pair here).
        NaN where fewer than one pair, or three for `order`, is known.

    Raises
    ------
    ValueError
        A head that the model does not have, or another matrix than VO and QK.
    """
    if unknown := sorted(set(lists["matrix"]) - set(FACTORS)):
        raise ValueError(f"lists: expected the matrices VO and QK, found {unknown[0]!r}")
    spelt = np.where(vocabulary.starts_word & np.char.startswith(vocabulary.raw.astype(str), "Ġ"), " ", "") + vocabulary.text.astype(str)
    plain = vocabulary.is_token & ~vocabulary.is_special
    id_of = {form: number for number, form in zip(np.flatnonzero(plain)[::-1], spelt[plain][::-1], strict=True)}  # the first of equal ones
    letters = plain & [form.isascii() and form.strip().isalpha() for form in spelt]
    rows = []
    for (matrix, layer, head), pairs in lists.groupby(["matrix", "layer", "head"], sort=False):
        left, right = FACTORS[matrix](weights, layer, head)
        found = top_pairs(left, right, k, letters, letters)
        ids = np.array([(id_of.get(a, -1), id_of.get(b, -1)) for a, b in pairs[["left", "right"]].to_numpy()])
        known = ids[(ids >= 0).all(axis=1)]
        best = set(zip(found.left_ids.tolist(), found.right_ids.tolist(), strict=True))
        entries = (left.double().numpy()[known[:, 0]] * right.double().numpy()[known[:, 1]]).sum(axis=1)
        rows.append({
            "matrix": matrix, "layer": layer, "head": head, "pairs": len(pairs), "known": len(known),
            "overlap": np.mean([tuple(pair) in best for pair in known.tolist()]) if len(known) else np.nan,
            "order": -scipy.stats.spearmanr(np.arange(len(known)), entries).statistic if len(known) > 2 else np.nan,
            "best": " → ".join(vocabulary.text[[found.left_ids[0], found.right_ids[0]]]) if len(found.left_ids) else "",
        })  # fmt: skip
    return pd.DataFrame(rows)
