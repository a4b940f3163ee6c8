r"""How much of a token's new state comes from other tokens: a measured effect beside computed shares.

Attention weights and norm-based attention (`measure.norm_based_attention`) say what a token reads within attention. Two further measures
take in more of the layer. `mixing_ratios` weighs what attention brings from other tokens against what the residual connection and
attention keep of the token itself, through the layer norm that follows in a post-norm model. `value_zeroing` is their causal partner:
it takes a token's value away in one layer and measures how far the layer's output turns at every place.

Sources: Kobayashi, Kuribayashi, Yokoi and Inui 2021 (arXiv 2109.07152); Mohebbi, Zuidema, Chrupala and Alishahi 2023 (arXiv 2301.12971).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from torch import Tensor

from analysis_lib import activations
from analysis_lib.activations.interventions import edited
from analysis_lib.models import LoadedModel
from analysis_lib.norms.measure import run_texts_or_ids
from analysis_lib.weights import TransformerWeights, extract

ROUNDING = 1e-12  # 1 - cosine of two float32 vectors that differ by rounding alone is smaller


@torch.no_grad()
def value_zeroing(
    loaded: LoadedModel, texts: Sequence[str], normalised: bool = True, batch_size: int = 128
) -> list[Float[np.ndarray, "layer _query _key"]]:
    r"""How far the output of a layer turns at each token when another token's value is zero in this layer.

    $1 - \cos(\tilde x_i^{\neg j}, \tilde x_i)$, where $\tilde x_i$ is the state of token $i$ after the whole block and
    $\tilde x_i^{\neg j}$ the same with the value vectors of token $j$ at zero in all heads, and patterns as they were.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str, or of sequences of token ids
        None longer than the context.
    normalised : bool
        Divide each row by its sum, as Mohebbi et al. do; a row in which nothing turns stays zero.
    batch_size : int
        Copies of a text that are run together, one for each layer and token that is taken away.

    Returns
    -------
    list of float32 [layer, query, key]
        One array for each text.

    Raises
    ------
    ValueError
        As `activations.run`; a `batch_size` below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1")
    tokens = activations.tokens_of(loaded, texts)
    found = []
    for ids in tokens.groupby("text", sort=False)["token_id"]:
        turned = _turned(loaded, torch.tensor(ids[1].to_numpy(copy=True)), batch_size)
        if normalised:
            turned = turned / turned.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(turned.dtype).tiny)
        found.append(turned.float().numpy())
    return found


@torch.inference_mode()
def mixing_ratios(loaded: LoadedModel, texts: Sequence[str]) -> list[Float[np.ndarray, "layer _token"]]:
    r"""Share of other tokens in what attention and the residual connection make of a token.

    With $f^h(x) = (x W_V^h + b_V^h) W_O^h$, other tokens bring $m_i = \sum_{j \ne i} \sum_h \alpha^h_{ij} f^h(x_j)$ and the token keeps
    $k_i = x_i + \sum_h \alpha^h_{ii} f^h(x_i)$. The ratio is $\lVert m_i \rVert / (\lVert m_i \rVert + \lVert k_i \rVert)$: 0 where nothing
    comes from others, 1 where nothing is kept. In a post-norm model both go through the layer norm that follows, which centres them and
    multiplies them by its gain; what it divides by is common to both. Output biases belong to neither.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str, or of sequences of token ids
        None longer than the context.

    Returns
    -------
    list of float32 [layer, token]
        One array for each text.

    Raises
    ------
    ValueError
        As `activations.run`.
    """
    ran, weights = run_texts_or_ids(loaded, texts, ("patterns",)), extract(loaded)
    found = []
    for pattern, rows in zip(ran.output("patterns"), ran.tokens.groupby("text", sort=False).indices.values(), strict=True):
        states = torch.from_numpy(ran.output("states")[:, rows])
        layers = [_mixed(weights, layer, states[layer], torch.from_numpy(pattern[layer])) for layer in range(weights.n_layers)]
        found.append(torch.stack(layers).numpy())
    return found


def rank_agreement(effects: Sequence[np.ndarray], shares: Sequence[np.ndarray], first: int = 4) -> Float[np.ndarray, "text layer"]:
    """Whether the tokens that are said to contribute most are those whose value matters most.

    Parameters
    ----------
    effects : sequence of array [layer, query, key]
        Of `value_zeroing`, one for each text.
    shares : sequence of array [layer, query, key]
        Of `measure.norm_based_attention`, or attention weights, of the same texts.
    first : int
        First query counted, since the first tokens of a causal model have few others to rank; from 2.

    Returns
    -------
    float64 [text, layer]
        Spearman's rank correlation over the other tokens that a query can see, its mean over queries; nan where no query has three.

    Raises
    ------
    ValueError
        Arrays that do not fit each other, texts without a query to count.
    """
    sizes = [[array.shape for array in arrays] for arrays in (effects, shares)]
    if sizes[0] != sizes[1] or not len(effects):
        raise ValueError(f"effects and shares: expected arrays of the same shapes, found {sizes[0]} and {sizes[1]}")
    if first < 2 or min(array.shape[1] for array in effects) <= first:
        raise ValueError(f"first: expected at least 2 and less than the tokens of every text, found {first}")
    found = np.empty((len(effects), len(effects[0])))
    for text, (effect, share) in enumerate(zip(effects, shares, strict=True)):
        for layer in range(len(effect)):
            ranks = [_ranked_alike(effect[layer, query], share[layer, query], query) for query in range(first, effect.shape[1])]
            kept = [value for value in ranks if np.isfinite(value)]
            found[text, layer] = np.mean(kept) if kept else np.nan
    return found


def _ranked_alike(effect: np.ndarray, share: np.ndarray, query: int) -> float:
    """Rank correlation over the other tokens that a query sees; nan where there are fewer than three or all are alike."""
    seen = (effect > 0) | (share > 0)
    seen[query] = False
    if seen.sum() < 3 or np.ptp(effect[seen]) == 0 or np.ptp(share[seen]) == 0:
        return np.nan
    return float(np.corrcoef(rankdata(effect[seen]), rankdata(share[seen]))[0, 1])


def _turned(loaded: LoadedModel, ids: Tensor, batch_size: int) -> Tensor:
    """1 - cosine of each layer's output with and without each token's value, float64 [layer, query, key]."""
    model, n = loaded.model, len(ids)
    n_layers = activations.sites_of(model).n_layers
    ids = ids.to(model.device)
    with activations.recording(model) as record:
        model.base_model(input_ids=ids[None])
    whole = torch.stack([record["states", layer + 1][0].double() for layer in range(n_layers)])
    turned = torch.zeros(n_layers, n, n, dtype=torch.float64)
    for jobs in torch.cartesian_prod(torch.arange(n_layers), torch.arange(n)).split(batch_size):  # a copy of the text for each
        layers, taken = jobs.T
        changes = {("values", layer): _without(layers == layer, taken) for layer in layers.unique().tolist()}
        with edited(model, changes), activations.recording(model) as record:
            model.base_model(input_ids=ids.expand(len(jobs), n))
        after = torch.stack([record["states", layer + 1][copy].double() for copy, layer in enumerate(layers.tolist())])
        turned[layers, :, taken] = (1 - torch.cosine_similarity(after, whole[layers], dim=-1)).cpu()
    return turned.where(turned > ROUNDING, 0)


def _without(copies: Tensor, taken: Tensor) -> Callable[[Tensor], Tensor]:
    """A change that takes the value of one token away in each of some copies of a text."""

    def change(values: Tensor) -> Tensor:
        values = values.clone()
        values[copies.nonzero()[:, 0], taken[copies]] = 0
        return values

    return change


def _mixed(weights: TransformerWeights, layer: int, states: Tensor, pattern: Tensor) -> Tensor:
    """Mixing ratios of one layer for one text, [token]."""
    written = (weights.read(layer, states) @ weights.W_V[layer] + weights.b_V[layer][:, None]) @ weights.W_O[layer]  # (head, key, d_model)
    own = torch.einsum("hi,hid->id", pattern.diagonal(dim1=1, dim2=2), written)
    others = torch.einsum("hij,hjd->id", pattern - torch.diag_embed(pattern.diagonal(dim1=1, dim2=2)), written)
    parts = [others, states + own]
    if weights.norm == "post":
        norm = weights.part("layer_norms").attention[layer]
        parts = [(part if norm.rms else part - part.mean(dim=-1, keepdim=True)) * norm.gain for part in parts]
    mixed, kept = (part.norm(dim=-1) for part in parts)
    return mixed / (mixed + kept)
