r"""Logits as sums over paths, virtual heads among them.

What stands in the residual stream at the end is a sum, and the unembedding is linear, so a token's logit is a sum of what each head put
there. In two layers of attention alone it can be written out down to the embedding:

$$\mathrm{logits} = \Bigl(x + \sum_{h} A^h x W_{OV}^h + \sum_{h_1, h_2} A^{h_2} A^{h_1}\, x\, W_{OV}^{h_1} W_{OV}^{h_2}\Bigr) W_U$$

with the heads of both layers in the first sum. The terms of the second are the virtual heads $h_2 \circ h_1$: a product of patterns and a
product of output circuits. They are *not* what head $h_2$ writes, which also holds its direct term.

A logit has no zero of its own: a constant added to all changes nothing. Logits are therefore taken less their mean over the vocabulary.

Source: Elhage et al. 2021, "Path expansion" and "Virtual attention heads".
"""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from analysis_lib import activations
from analysis_lib.circuits.ablation import checked_ids, checked_model
from analysis_lib.models import LoadedModel
from analysis_lib.weights import TransformerWeights, weights_of


def virtual_patterns(pattern: np.ndarray, first_layer: int = 0, second_layer: int = 1) -> Float[np.ndarray, "first second query query"]:
    """Patterns of virtual heads, the product of a later head's pattern and an earlier one's.

    Parameters
    ----------
    pattern : float [layer, head, query, key]
        Of one sequence.
    first_layer, second_layer : int

    Returns
    -------
    numpy.ndarray [first head, second head, query, key]
        Rows sum to one, as those of any head do.
    """
    if np.ndim(pattern) != 4 or not 0 <= first_layer < second_layer < len(pattern):
        raise ValueError(
            f"pattern: expected [layer, head, query, key] with layers {first_layer} < {second_layer}, found shape {np.shape(pattern)}"
        )
    return np.einsum("bqm,amk->abqk", pattern[second_layer], pattern[first_layer], optimize=True)


def virtual_heads(loaded: LoadedModel, ids: np.ndarray | Tensor, rows: np.ndarray | None = None) -> pd.DataFrame:
    r"""Every path of a two-layer attention-only model, virtual heads apart from direct terms, and its share of the logits.

    With $L_p$ the centred logits of path p over the counted places of a sequence and $L = \sum_p L_p$:

    - `norm`: $\|L_p\|_F$, the path's size by itself;
    - `share`: $\langle L_p, L \rangle / \langle L, L \rangle$, the share of the logits' variance over the vocabulary; the shares of a
      sequence sum to 1 and may be negative;
    - `target`: the centred logit that the path gives to the token that comes next, a mean over places.

    Parameters
    ----------
    loaded : LoadedModel, or any object with `model`
        A MiniGPT of two layers.
    ids : integer array [sequence, token]
    rows : bool [sequence, token - 1], optional
        Places that count, one or more in every sequence; all by default.

    Returns
    -------
    DataFrame
        A row a path and sequence: `kind` ("direct", "layer 0", "layer 1", "virtual"), `first`, `second` (heads; -1 for none),
        `sequence`, `norm`, `share`, `target`.

    Raises
    ------
    ValueError
        Another model: with a layer norm or a feed-forward layer between two heads their product is no term of the logits. Rows
        that do not fit.

    Notes
    -----
    Inner products of logits come from the d_model x d_model matrix $W_U W_U^\top$; no path is ever written out over the vocabulary.
    """
    model, ids = checked_model(loaded), checked_ids(loaded, ids)
    weights = weights_of(model)
    if weights.norm is not None or weights.W_in is not None or weights.n_layers != 2:
        raise ValueError(f"loaded: expected two layers of attention alone, without layer norm, found {weights!r}")
    rows = np.ones((len(ids), ids.shape[1] - 1), dtype=bool) if rows is None else np.asarray(rows)
    if rows.shape != (len(ids), ids.shape[1] - 1) or rows.dtype != bool or not rows.any(axis=1).all():
        raise ValueError(
            f"rows: expected bool {(len(ids), ids.shape[1] - 1)} with a place in every sequence, found {rows.dtype} {rows.shape}"
        )
    with activations.recording(model, ["patterns"]) as record, torch.no_grad():
        model(input_ids=ids)
    paths = _Paths(weights, ids.cpu(), torch.as_tensor(rows), record["states", 2].double().cpu())
    return pd.concat(_measured(paths, weights, [record["patterns", layer].double().cpu() for layer in (0, 1)]), ignore_index=True)


class _Paths:
    """Measures one path after another against the whole, all of them given as residual vectors."""

    def __init__(self, weights: TransformerWeights, ids: Tensor, rows: Tensor, whole: Tensor) -> None:
        unembed = weights.W_U.double() - weights.W_U.double().mean(dim=1, keepdim=True)
        self.embedded = weights.W_E.double()[ids]
        self.rows, self.count = rows.double(), rows.sum(dim=1)
        self.gram = unembed @ unembed.T
        self.directions = unembed.T[ids[:, 1:]]
        self.seen = whole[:, :-1] @ self.gram
        self.size = self._summed(self.seen * whole[:, :-1])

    def _summed(self, products: Tensor) -> Tensor:
        return (products.sum(dim=-1) * self.rows).sum(dim=1)

    def measure(self, kind: str, first: int, second: int, added: Tensor) -> pd.DataFrame:
        added = added[:, :-1]
        norm = self._summed((added @ self.gram) * added).clamp(min=0).sqrt()
        share = self._summed(added * self.seen) / self.size
        target = self._summed(added * self.directions) / self.count
        values = {name: value.cpu().numpy() for name, value in (("norm", norm), ("share", share), ("target", target))}
        return pd.DataFrame({"kind": kind, "first": first, "second": second, "sequence": np.arange(len(norm)), **values})


def _measured(paths: _Paths, weights: TransformerWeights, patterns: list[Tensor]) -> list[pd.DataFrame]:
    def through(layer: int, head: int, states: Tensor) -> Tensor:
        read = patterns[layer][:, head] @ (states @ weights.W_V[layer, head].double())
        return read @ weights.W_O[layer, head].double()

    heads = range(weights.n_heads)
    early = [through(0, head, paths.embedded) for head in heads]
    found = [paths.measure("direct", -1, -1, paths.embedded)]
    found += [paths.measure("layer 0", head, -1, early[head]) for head in heads]
    found += [paths.measure("layer 1", -1, head, through(1, head, paths.embedded)) for head in heads]
    return found + [paths.measure("virtual", a, b, through(1, b, early[a])) for a in heads for b in heads]
