"""The lists that an original notebook printed for heads and neurons, made again from weights and compared.

Weights are read raw, as in the notebook. Only tokens of ASCII letters may stand in a pair, and only ASCII tokens in the list of a neuron.
The notebook's filters of pairs ran after its search and these run before, so a recorded pair can only rank higher here.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib.projections.factors import qk_factors, vo_factors
from analysis_lib.projections.pair_search import top_pairs
from analysis_lib.projections.token_search import top_tokens
from analysis_lib.vocabulary import Vocabulary
from analysis_lib.weights import TransformerWeights

FACTORS: Mapping = {"VO": vo_factors, "QK": qk_factors}
SIDES = {"K": (1, "key"), "V": (1, "value"), "-K": (-1, "key"), "-V": (-1, "value")}


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
    spelt, plain, id_of = _spelling(vocabulary)
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


def compare_neurons(weights: TransformerWeights, vocabulary: Vocabulary, lists: pd.DataFrame, k: int = 30) -> pd.DataFrame:
    """Recorded lists of neurons beside those that the weights give.

    Parameters
    ----------
    weights : TransformerWeights
        With feed-forward layers.
    vocabulary : Vocabulary
        Of the same model.
    lists : DataFrame
        `layer neuron side token`, a row a token, the best first, as `recorded.neuron_lists` gives it.
    k : int
        Tokens in a list made here; the notebook's had thirty.

    Returns
    -------
    DataFrame
        A row for each recorded list: `layer neuron side`, `tokens` (recorded), `known` (of them, in the vocabulary), `overlap`, `order`
        and `best` as in `compare_lists`.

    Raises
    ------
    ValueError
        A side other than K, V, -K and -V, a neuron that the model does not have, or a model without feed-forward layers or unembedding.
    """
    if unknown := sorted(set(lists["side"]) - set(SIDES)):
        raise ValueError(f"lists: expected the sides {', '.join(SIDES)}, found {unknown[0]!r}")
    beyond = lists[~lists["layer"].between(0, weights.n_layers - 1) | ~lists["neuron"].between(0, weights.d_mlp - 1)]
    if len(beyond):
        layer, neuron = beyond[["layer", "neuron"]].iloc[0]
        raise ValueError(f"lists: expected {weights.n_layers} layers of {weights.d_mlp} neurons, found neuron {neuron} of layer {layer}")
    W_in, W_out, W_U = (weights.part(name) for name in ("W_in", "W_out", "W_U"))
    spelt, plain, id_of = _spelling(vocabulary)
    ascii_only = plain & [form.isascii() for form in spelt]
    rows = []
    for (layer, neuron, side), own in lists.groupby(["layer", "neuron", "side"], sort=False):
        sign, kind = SIDES[side]
        vector = sign * (W_in[layer][:, neuron] if kind == "key" else W_out[layer][neuron])
        found = top_tokens(vector[None], W_U, k, ascii_only).ids[0]
        known = np.array([id_of[token] for token in own["token"] if token in id_of], dtype=int)
        scores = (vector @ W_U[:, known]).double().numpy()
        rows.append({
            "layer": layer, "neuron": neuron, "side": side, "tokens": len(own), "known": len(known),
            "overlap": np.isin(known, found).mean() if len(known) else np.nan,
            "order": -scipy.stats.spearmanr(np.arange(len(known)), scores).statistic if len(known) > 2 else np.nan,
            "best": ", ".join(vocabulary.text[found[:3]]),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _spelling(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """How the notebook would have written each token, which are tokens of text, and the first token that is written so."""
    begins = vocabulary.starts_word & np.char.startswith(vocabulary.raw.astype(str), "Ġ")
    spelt = np.where(begins, " ", "") + vocabulary.text.astype(str)
    plain = vocabulary.is_token & ~vocabulary.is_special
    return spelt, plain, {form: number for number, form in zip(np.flatnonzero(plain)[::-1], spelt[plain][::-1], strict=True)}
