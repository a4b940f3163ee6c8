r"""Do projected parameters say what the model writes? Top-token recall on text, beside a permuted control.

Dar et al. 2022 (arXiv 2209.02535, section 4) compare the top tokens of a parameter with those of the hidden
states it acted in: $R_k(\theta, h) = |\mathrm{top}_k(\theta) \cap \mathrm{top}_k(h)| / k$. Here:

- `head_recall`: a head attends most to token $a$; the row of W_VO for $a$ predicts what the head writes. Compared
  with the head's real output at that place, projected by W_U.
- `value_recall`: the neuron that moves the residual stream most, projected by W_U; compared with the hidden state
  after its block.

The control gives each place the prediction of another place, so it keeps which predictions are made and how often:
a few tokens that stand in every list raise the control as much as the recall.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch

from analysis_lib import activations
from analysis_lib.models import LoadedModel
from analysis_lib.projections.overlap import topk_recall
from analysis_lib.statistics import bootstrap_interval
from analysis_lib.weights import TransformerWeights, extract, rebuild_attention


def head_recall(
    loaded: LoadedModel,
    texts: Sequence[str],
    factors: Callable,
    k: int = 50,
    n_permutations: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Recall of W_VO rows against what heads write, for every head.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str
        At least two; the interval is over texts.
    factors : callable
        `factors(weights, layer, head) -> (left, right)`, each [vocab, d_head]: `factors.vo_factors` in some reading.
    k : int
        Tokens in a list.
    n_permutations, seed : int
        Of the control, in which the attended tokens of a head change places.

    Returns
    -------
    DataFrame
        A row a head: `layer head recall low high control excess p n_places`. Shares of k from 0 to 1; `low` and `high`
        are a 95 % bootstrap over texts of the recall; p is one-sided, uncorrected. Places whose most attended token is
        special are left out.
    """
    _check(texts, k, n_permutations)
    weights = extract(loaded)
    ran = activations.run(loaded, texts)
    rows = []
    with torch.inference_mode():
        for layer in range(weights.n_layers):
            attended, written, text = _layer_places(weights, layer, ran)
            for head in range(weights.n_heads):
                use = attended[head] >= 0
                left, right = factors(weights, layer, head)
                tokens, place = np.unique(attended[head][use], return_inverse=True)
                predicted = _top_ids(left[torch.from_numpy(tokens)] @ right.T, k)[place]
                actual = _top_ids(written[head][torch.from_numpy(use)] @ weights.W_U, k)
                found = _against_permuted(predicted, actual, text[use], n_permutations, [seed, layer, head])
                rows.append({"layer": layer, "head": head} | found)
    return pd.DataFrame(rows)


def value_recall(loaded: LoadedModel, texts: Sequence[str], k: int = 50, n_permutations: int = 20, seed: int = 0) -> pd.DataFrame:
    """Recall of the most active feed-forward value against the hidden state after its block, for every layer.

    The most active neuron of a place is the one with the largest activation times norm of its value; where the
    activation is negative the value is negated. GPT-2's hidden states go through ln_f first, as in the authors' code.

    Parameters as in `head_recall`.

    Returns
    -------
    DataFrame
        A row a layer: `layer recall low high control excess p n_places`.
    """
    _check(texts, k, n_permutations)
    weights = extract(loaded)
    ran = activations.run(loaded, texts, outputs=("mlp_hidden",))
    real = ~ran.tokens["special"].to_numpy()
    text, rows = ran.tokens["text"].to_numpy()[real], []
    with torch.inference_mode():
        for layer in range(weights.n_layers):
            active = torch.from_numpy(ran.mlp_hidden[layer][real])
            strongest = (active.abs() * weights.W_out[layer].norm(dim=1)).argmax(dim=1)
            sign = active.gather(1, strongest[:, None]).sign()
            predicted = _top_ids(sign * weights.W_out[layer][strongest] @ weights.W_U, k)
            states = weights.final(torch.from_numpy(ran.states[layer + 1][real]))
            found = _against_permuted(predicted, _top_ids(states @ weights.W_U, k), text, n_permutations, [seed, layer])
            rows.append({"layer": layer} | found)
    return pd.DataFrame(rows)


def _layer_places(weights: TransformerWeights, layer: int, ran: activations.Activations):
    """Per head, the most attended token of every place (-1: special) and what the head writes there; and the texts."""
    table = ran.tokens
    special, ids = table["special"].to_numpy(), table["token_id"].to_numpy()
    attended = np.full((weights.n_heads, len(table)), -1)
    written = torch.zeros(weights.n_heads, len(table), weights.d_model)
    for _, rows in table.groupby("text", sort=False).indices.items():
        states = weights.read(layer, torch.from_numpy(ran.states[layer][rows])[None])
        rebuilt = rebuild_attention(weights, layer, states)
        key = rebuilt.patterns[0].argmax(dim=-1).numpy()  # (head, query)
        attended[:, rows] = np.where(special[rows][key] | special[rows], -1, ids[rows][key])
        written[:, rows] = rebuilt.head_outputs[0]
    return attended, written, table["text"].to_numpy()


def _top_ids(scores: torch.Tensor, k: int) -> np.ndarray:
    return scores.topk(min(k, scores.shape[1]), dim=1).indices.numpy()


def _against_permuted(predicted: np.ndarray, actual: np.ndarray, text: np.ndarray, n_permutations: int, seed) -> dict:
    """Mean recall with its interval over texts, beside predictions that changed places."""
    if len(predicted) == 0 or len(np.unique(text)) < 2:
        return dict.fromkeys(("recall", "low", "high", "control", "excess", "p"), np.nan) | {"n_places": len(predicted)}
    rng = np.random.default_rng(seed)
    each = topk_recall(predicted, actual)
    null = np.array([topk_recall(predicted[rng.permutation(len(predicted))], actual).mean() for _ in range(n_permutations)])
    recall, low, high = bootstrap_interval(each, clusters=text, n_resamples=500, seed=0)
    p = (1 + (null >= recall).sum()) / (1 + n_permutations)
    return {
        "recall": recall,
        "low": low,
        "high": high,
        "control": null.mean(),
        "excess": recall - null.mean(),
        "p": p,
        "n_places": len(each),
    }


def _check(texts: Sequence[str], k: int, n_permutations: int) -> None:
    if isinstance(texts, str) or len(texts) < 2:
        raise ValueError(f"texts: expected two or more, found {texts!r}")
    for name, value in (("k", k), ("n_permutations", n_permutations)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{name}: expected a whole number of at least 1, found {value!r}")
