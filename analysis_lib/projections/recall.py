r"""Do projected parameters say what the model writes? Top-token recall on text, beside permuted controls.

Dar et al. 2022 (arXiv 2209.02535, section 4) compare the top tokens of a parameter with those of the hidden
states it acted in: $R_k(\theta, h) = |\mathrm{top}_k(\theta) \cap \mathrm{top}_k(h)| / k$. Here:

- `head_recall`: a head attends most to token $a$; the row of W_VO for $a$ predicts what the head writes. Compared
  with the head's real output at that place, projected by W_U; `head_places` shows both, place by place.
- `value_recall`: the neuron that moves the residual stream most, projected by W_U; compared with the hidden state
  after its block.

Two controls give each place the prediction of another place, so they keep which predictions are made and how often: a few tokens that
stand in every list raise a control as much as the recall. The stricter one takes the other place from the same text, so that a topic
which a whole text shares raises it too; the other takes it from anywhere.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_array
from torch import Tensor

from analysis_lib import activations
from analysis_lib.models import LoadedModel
from analysis_lib.statistics import Interval, bootstrap_interval, t_interval
from analysis_lib.weights import TransformerWeights, extract, rebuild_attention

RECALL, EXCESS = ("recall", "low", "high"), ("excess", "excess_low", "excess_high")


def head_recall(
    loaded: LoadedModel,
    texts: Sequence[str],
    factors: Callable,
    k: int = 50,
    heads: Sequence[tuple[int, int]] | None = None,
) -> pd.DataFrame:
    """Recall of W_VO rows against what heads write, for every head.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str
        At least two; the interval is over texts.
    factors : callable
        `factors(weights, layer, head) -> (left, right)`: `factors.vo_factors` in some reading. Of W_E, the weights that it is given have
        the rows that the head attends to and no others, so that `left` is [attended token, d_head]; `right` is [vocab, d_head].
    k : int
        Tokens in a list.
    heads : sequence of (layer, head), optional
        Those that are asked, such as `statistics.drawn_heads` gives them; all by default.

    Returns
    -------
    DataFrame
        A row for each head: `layer head recall low high control control_anywhere excess excess_low excess_high n_places n_texts`. Recalls
        are shares of k from 0 to 1; `low` and `high` are a 95% interval over texts of the recall (Student's t over the texts' means below
        ten texts, else a bootstrap). `control` is the mean over all permutations of places within their texts, `control_anywhere` over
        those across texts; `excess` is the recall less `control`, with its own interval over texts.
        Places whose most attended token is special are left out.
    """
    _check(texts, k)
    weights = extract(loaded)
    asked = set(np.ndindex(weights.n_layers, weights.n_heads) if heads is None else heads)
    if not asked or not asked <= set(np.ndindex(weights.n_layers, weights.n_heads)):
        raise ValueError(f"heads: expected one or more of {weights.n_layers} layers x {weights.n_heads}, found {sorted(asked)}")
    ran = activations.run(loaded, texts)
    ids, rows = ran.tokens["token_id"].to_numpy(), []
    with torch.inference_mode():
        for layer in sorted({layer for layer, _ in asked}):
            attended, mixed, text = _layer_places(weights, layer, ran)
            for head in sorted(head for of_layer, head in asked if of_layer == layer):
                use = attended[head] >= 0
                predicted, actual = _head_lists(weights, (layer, head), ids[attended[head][use]], mixed[head][use], factors, k)
                found = _beside_controls(predicted, actual, text[use])
                rows.append({"layer": layer, "head": head} | found)
    return pd.DataFrame(rows)


def head_places(loaded: LoadedModel, texts: Sequence[str], factors: Callable, head: tuple[int, int], k: int = 50) -> pd.DataFrame:
    """What a row of W_VO predicts and what the head writes, place by place: `head_recall` of one head before it is averaged.

    Parameters
    ----------
    loaded, texts, factors, k
        As in `head_recall`.
    head : (layer, head)

    Returns
    -------
    DataFrame
        A row for each place at which neither the token nor the one attended to is special: `text start end` (index of the text, and the
        token's offsets in it), `token_id`, `attended_id` (the token that the head attends to most there), `offset` (where that token
        stands: 0 for the place itself, -1 for the token before), `predicted` and `written` (int arrays of k ids, best first: what the
        row of the attended token predicts, and what the head's output raises most) and `recall`, the share of k that is in both.

    Raises
    ------
    ValueError
        As `head_recall` does.
    """
    _check(texts, k)
    weights, (layer, number) = extract(loaded), head
    weights.head(layer, number)  # refuses one that is not there
    ran = activations.run(loaded, texts)
    ids = ran.tokens["token_id"].to_numpy()
    with torch.inference_mode():
        attended, mixed, _ = _layer_places(weights, layer, ran)
        use = np.flatnonzero(attended[number] >= 0)
        seen = ids[attended[number, use]]
        predicted, written = _head_lists(weights, head, seen, mixed[number][use], factors, k)
    places = ran.tokens.iloc[use][["text", "start", "end", "token_id"]].reset_index(drop=True)
    shares = [len(np.intersect1d(*lists)) / len(lists[0]) for lists in zip(predicted, written, strict=True)]
    places = places.assign(attended_id=seen, offset=attended[number, use] - use)
    return places.assign(predicted=list(predicted), written=list(written), recall=shares)


def value_recall(loaded: LoadedModel, texts: Sequence[str], k: int = 50) -> pd.DataFrame:
    """Recall of the most active feed-forward value against the hidden state after its block, for every layer.

    The most active neuron of a place is the one with the largest activation times norm of its value; where the
    activation is negative the value is negated. GPT-2's hidden states go through ln_f first, as in the authors' code.

    Parameters as in `head_recall`.

    Returns
    -------
    DataFrame
        A row for each layer, with the columns of `head_recall` but `head`.
    """
    _check(texts, k)
    weights = extract(loaded)
    W_out = weights.part("W_out")
    ran = activations.run(loaded, texts, outputs=("mlp_hidden",))
    hidden, states_of = ran.output("mlp_hidden"), ran.output("states")
    real = ~ran.tokens["special"].to_numpy()
    text, rows = ran.tokens["text"].to_numpy()[real], []
    with torch.inference_mode():
        for layer in range(weights.n_layers):
            active = torch.from_numpy(hidden[layer][real])
            strongest = (active.abs() * W_out[layer].norm(dim=1)).argmax(dim=1)
            sign = active.gather(1, strongest[:, None]).sign()
            predicted = _top_ids(sign * W_out[layer][strongest] @ weights.W_U, k)
            states = weights.final(torch.from_numpy(states_of[layer + 1][real]))
            found = _beside_controls(predicted, _top_ids(states @ weights.W_U, k), text)
            rows.append({"layer": layer} | found)
    return pd.DataFrame(rows)


def _layer_places(weights: TransformerWeights, layer: int, ran: activations.Activations) -> tuple[np.ndarray, Tensor, np.ndarray]:
    """Per head, the row of each place's most attended token (-1: special) and the mixture of values there, before W_O; and the texts."""
    table = ran.tokens
    special = table["special"].to_numpy()
    attended = np.full((weights.n_heads, len(table)), -1)
    mixed = torch.zeros(weights.n_heads, len(table), weights.d_head, dtype=weights.W_V.dtype)
    for _, rows in table.groupby("text", sort=False).indices.items():
        states = weights.read(layer, torch.from_numpy(ran.output("states")[layer][rows])[None])
        patterns = rebuild_attention(weights, layer, states).patterns[0]
        key = patterns.argmax(dim=-1).numpy()  # (head, query)
        attended[:, rows] = np.where(special[rows][key] | special[rows], -1, rows[key])
        mixed[:, rows] = patterns @ (states @ weights.W_V[layer] + weights.b_V[layer][:, None])
    return attended, mixed, table["text"].to_numpy()


def _head_lists(
    weights: TransformerWeights, at: tuple[int, int], attended: np.ndarray, mixed: Tensor, factors: Callable, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """At every place, ids that the row of the attended token predicts and ids that the head's output raises most: [place, k] each."""
    tokens, place = np.unique(attended, return_inverse=True)
    left, right = factors(replace(weights, W_E=weights.W_E[torch.from_numpy(tokens)]), *at)
    # Through d_head numbers: a product of d_model with the whole vocabulary for each place would take most of the time.
    return _top_ids(left @ right.T, k)[place], _top_ids(mixed @ (weights.W_O[at] @ weights.W_U), k)


def _top_ids(scores: torch.Tensor, k: int) -> np.ndarray:
    return scores.topk(min(k, scores.shape[1]), dim=1).indices.numpy()


def _beside_controls(predicted: np.ndarray, actual: np.ndarray, text: np.ndarray) -> dict:
    """Mean recall with its interval over texts, beside predictions that changed places within and across texts."""
    sizes = {"n_places": len(predicted), "n_texts": len(np.unique(text))}
    if sizes["n_texts"] < 2:
        return dict.fromkeys((*RECALL, "control", "control_anywhere", *EXCESS), np.nan) | sizes
    shared = shared_tokens(predicted, actual)
    k, same_text = predicted.shape[1], text[:, None] == text
    own = np.diagonal(shared).astype(float) / k  # of each place, and the mean over the places of its text
    within = (shared * same_text).sum(axis=1, dtype=np.float64) / (same_text.sum(axis=1) * k)
    found = dict(zip(RECALL, _interval_over_texts(own, text), strict=True))
    found |= {"control": within.mean(), "control_anywhere": shared.mean(dtype=np.float64) / k}
    return found | dict(zip(EXCESS, _interval_over_texts(own - within, text), strict=True)) | sizes


def shared_tokens(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """How many tokens the prediction for each place shares with what is written at each, float32 [predicted for, written at].

    Dar et al.'s recall of a place is the entry on the diagonal, as a share of k; the other entries are its controls.

    Parameters
    ----------
    predicted, actual : int array [place, k]
        Distinct ids in each row.

    Raises
    ------
    ValueError
        Lists of different shapes.
    """
    if predicted.ndim != 2 or predicted.shape != actual.shape:
        raise ValueError(f"predicted and actual: expected lists of one shape [place, k], got {predicted.shape} and {actual.shape}")
    n, k = predicted.shape
    width = int(max(predicted.max(), actual.max())) + 1
    rows = np.repeat(np.arange(n), k)
    sets = [csr_array((np.ones(n * k, dtype=np.float32), (rows, ids.ravel())), shape=(n, width)) for ids in (predicted, actual)]
    return (sets[0] @ sets[1].T).toarray()


def _interval_over_texts(values: np.ndarray, text: np.ndarray) -> Interval:
    """The mean over places with an interval over texts: Student's t over the texts' means where they are fewer than ten."""
    if len(np.unique(text)) >= 10:
        return bootstrap_interval(values, clusters=text, n_resamples=500, seed=0)
    means = pd.Series(values).groupby(text).mean()
    few = t_interval(means)
    mean = float(values.mean())  # over places: texts of different lengths count by their length
    return Interval(mean, mean - few.estimate + few.low, mean - few.estimate + few.high)


def _check(texts: Sequence[str], k: int) -> None:
    if isinstance(texts, str) or len(texts) < 2:
        raise ValueError(f"texts: expected two or more, found {texts!r}")
    if not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k: expected a whole number of at least 1, found {k!r}")
