r"""Does a head raise the logits of the tokens that it attends to, on text?

The copying score of a head (`composition.copying_scores`) is read from weights alone. Here the same is asked of what it does. At a query
$t$ of a text it attends to keys $s$ with weights $a_{ts}$ and changes the logit of every token $x$ by an effect $e_t(x)$. Its *copying on
text* is

$$\frac1T \sum_t \Bigl[\sum_s a_{ts}\, e_t(x_s) - \frac1t \sum_s e_t(x_s)\Bigr],$$

how much more it raises what it attends to than the other tokens of the same context. Weights are shared out anew over the keys but the
first, where heads rest. Copying heads are above 0, heads that suppress what they attend to below; where attention and effect have
nothing to do with each other the mean is 0, whatever the head writes.

Sources: Elhage et al. 2021 for copying and direct effects on logits; McDougall et al. 2023, *Copy Suppression* (arXiv 2310.04625), for
heads below 0 and for ablation as their test.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis_lib import activations, weights
from analysis_lib.activations.interventions import edited, head_means, put, resumed
from analysis_lib.circuits.ablation import checked_ids, checked_model
from analysis_lib.models import LoadedModel
from analysis_lib.sweeps import sweep


def copying_on_text(
    loaded: LoadedModel, ids: np.ndarray | Tensor, heads: Sequence[tuple[int, int]] | None = None
) -> dict[str, Float[np.ndarray, "sequence layer head"]]:
    """Copying on text of every head, by two effects.

    Parameters
    ----------
    loaded : LoadedModel
        A causal model.
    ids : integer array [sequence, token]
        Texts of one length, four tokens or more.
    heads : sequence of (layer, head), optional
        Those that are asked, such as `statistics.drawn_heads` gives them; all by default.

    Returns
    -------
    dict of str to numpy.ndarray of float64 [sequence, layer, head]
        In logits, NaN for a head that is not asked. "direct": the effect is what the head's output, less its mean over all places, adds
        to the last state, seen through the final norm. "ablation": the effect is the fall of the logit when the head's output is replaced
        by that mean, so that what later layers make of it counts too.

    Raises
    ------
    ValueError
        Fewer than four tokens, or as in `ablation.ablated_losses`.
    """
    model, ids = checked_model(loaded), checked_ids(loaded, ids)
    if ids.shape[1] < 4:
        raise ValueError(f"ids: expected four tokens or more, found {ids.shape[1]}")
    extracted = weights.weights_of(model)
    heads = list(np.ndindex(extracted.n_layers, extracted.n_heads)) if heads is None else list(heads)
    for layer, head in heads:
        extracted.head(layer, head)  # refuses one that is not there
    means = head_means(model, ids.split(16))
    with activations.recording(model, ["patterns", "heads"]) as recorded, torch.no_grad():
        model.base_model(input_ids=ids)
    record = {site: values.cpu() for site, values in recorded.items()}
    last = record["states", extracted.n_layers]
    whole = _Whole(model, extracted, means, record, _logits_of_context(extracted, last, ids.cpu()))
    revision, title = getattr(loaded, "key", None), f"{getattr(loaded, 'name', 'model')}, copying on text"
    effects = sweep(partial(_effects_of_head, ids=ids.cpu().numpy()), heads, whole, revision=revision, title=title)
    found = {kind: np.full((len(ids), extracted.n_layers, extracted.n_heads), np.nan) for kind in ("direct", "ablation")}
    for (layer, head), of_head in zip(heads, effects, strict=True):
        for kind, values in of_head.items():
            found[kind][:, layer, head] = values
    return found


class _Whole(NamedTuple):
    """A model and what it computes with all its heads."""

    model: torch.nn.Module
    weights: weights.TransformerWeights
    means: Float[Tensor, "layer head d_head"]
    record: dict[tuple[str, int], Tensor]
    logits: Float[Tensor, "sequence query key"]


def _effects_of_head(whole: _Whole, at: tuple[int, int], ids: np.ndarray) -> dict[str, Float[np.ndarray, " sequence"]]:
    """Copying on text of one head, by both effects."""
    (layer, head), (model, extracted, means, record, intact) = at, whole
    sequences, device = torch.as_tensor(ids), next(model.parameters()).device
    pattern = record["patterns", layer][:, head]
    written = (record["heads", layer][:, :, head] - means[layer, head]) @ extracted.W_O[layer, head]
    with resumed(model, layer, record["states", layer].to(device)):
        ablated = _states_without(model, sequences.to(device), layer, head, means.to(device), extracted.n_layers).cpu()
    without = {"direct": record["states", extracted.n_layers] - written, "ablation": ablated}
    return {kind: likeness(pattern, intact - _logits_of_context(extracted, states, sequences)) for kind, states in without.items()}


def likeness(pattern: Float[Tensor, "sequence query key"], effects: Float[Tensor, "sequence query key"]) -> Float[np.ndarray, " sequence"]:
    """Mean over queries of the effect on the tokens attended to less that on all tokens of the context.

    Parameters
    ----------
    pattern, effects : Tensor [sequence, query, key]
        Attention, and the effect on the logit of the token at each key. Keys after the query, and the first key, are left out.

    Returns
    -------
    numpy.ndarray of float64 [sequence]
    """
    seen = torch.ones(pattern.shape[1:], dtype=torch.bool, device=pattern.device).tril()
    seen[:, 0] = False
    rows = seen.sum(dim=1) >= 2
    shares, even = pattern.double() * seen, seen.double() / seen.sum(dim=-1, keepdim=True).clamp(min=1)
    total = shares.sum(dim=-1, keepdim=True)
    shares = torch.where(total > 0, shares / total, even)
    return ((shares - even) * effects.double()).sum(dim=-1)[:, rows].mean(dim=1).cpu().numpy()


def _states_without(model: torch.nn.Module, ids: Tensor, layer: int, head: int, means: Tensor, n_layers: int) -> Tensor:
    """The last states, before the final norm, of passes in which the mean stands in a head's place."""
    change = put(means[layer, [head]], heads=[head])
    with torch.no_grad(), edited(model, {("heads", layer): change}), activations.recording(model, layers=[n_layers]) as record:
        model.base_model(input_ids=ids)
    return record["states", n_layers]


def _logits_of_context(extracted: weights.TransformerWeights, states: Tensor, ids: Tensor) -> Tensor:
    """Logits of each sequence's own tokens at each place: [sequence, query, key]; what softmax does not see cancels in `likeness`."""
    return extracted.unembedded(states) @ extracted.W_U.T[ids].mT
