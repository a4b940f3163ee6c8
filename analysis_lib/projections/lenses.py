r"""What would the model say if it stopped after a layer?

A lens turns a state $h_l$ of layer $l$ into a state that the model's own read-out $U$ understands (the final norm or the masked-language
head, then the unembedding), and the read-out makes a prediction of it:

$$q_l = \mathrm{softmax}\bigl(U(h_l A_l + b_l)\bigr).$$

The *logit lens* takes the state as it is, $A = I$ (nostalgebraist 2020). The *affine lens* is the ridge regression of the last states on
those of the layer. It has the form of the tuned lens of Belrose et al. 2023 (arXiv 2303.08112), which is trained on predictions instead.
The *Jacobian lens* is the mean derivative of the last state by the layer's (Gurnee et al. 2026; TransformerLens has it as
`tools.analysis.jacobian_lens`). The first shows what stands in the model's own basis, the second what can be predicted linearly, the
third what a small change would do.

All three are exact at the last layer. `lens_scores` compares their predictions with the model's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike

from analysis_lib.activations import edited, recording
from analysis_lib.models import LoadedModel
from analysis_lib.projections.places import Places
from analysis_lib.statistics.products import Products
from analysis_lib.sweeps import sweep
from analysis_lib.sweeps.progress import shown

_Batch = tuple[list[list[int]], np.ndarray, np.ndarray]
"""Sequences, and of each place the sequence's number among them and the position in it."""

PENALTIES = (0.0, *(10.0 ** np.arange(-4.0, 2.0)).tolist())
COLUMNS = 128
"""Columns of a Jacobian that one call of its sweep makes, and that are kept on disk together."""


@dataclass(frozen=True, eq=False)
class Lens:
    """An affine map for each layer, to the basis of the last.

    Attributes
    ----------
    matrices : float64 [layer, d_model, d_model]
        Row vectors multiply from the left: a state x becomes `x @ matrices[layer] + offsets[layer]`.
    offsets : float64 [layer, d_model]
    penalties : float64 [layer], optional
        Of an affine lens: the penalty that cross-validation chose.
    """

    matrices: np.ndarray
    offsets: np.ndarray
    penalties: np.ndarray | None = None

    def __call__(self, states: ArrayLike) -> Float[np.ndarray, "layer place d_model"]:
        """States [layer, place, d_model] of all layers as the last layer would hold them, float32.

        Raises
        ------
        ValueError
            States of another shape.
        """
        states = np.asarray(states)
        n_layers, width = self.offsets.shape
        if states.ndim != 3 or states.shape[0] != n_layers or states.shape[2] != width:
            raise ValueError(f"states: expected [layer, place, d_model] with {n_layers} layers of width {width}, found {states.shape}")
        return (states @ self.matrices + self.offsets[:, None]).astype(np.float32)

    def centred(self, states: ArrayLike, last: ArrayLike) -> "Lens":
        """The same matrices, with the offsets that take the mean of each layer's states to the mean of the last ones.

        Parameters
        ----------
        states : float [layer, place, d_model]
        last : float [place, d_model]
        """
        means = np.asarray(states, dtype=np.float64).mean(axis=1)
        carried = np.einsum("ld,lde->le", means, self.matrices)
        return replace(self, offsets=np.asarray(last, dtype=np.float64).mean(axis=0) - carried)


def logit_lens(n_layers: int, d_model: int) -> Lens:
    """States as they are.

    Parameters
    ----------
    n_layers : int
        Of states, with "embed": one more than the model's blocks.
    d_model : int
    """
    return Lens(np.stack([np.eye(d_model)] * n_layers), np.zeros((n_layers, d_model)))


def affine_lens(
    states: ArrayLike,
    last: ArrayLike,
    groups: ArrayLike,
    penalties: Sequence[float] = PENALTIES,
    n_folds: int = 5,
    seed: int = 0,
) -> Lens:
    r"""Ridge regression of the last states on the states of each layer, shrunk towards the logit lens.

    With centred states $X$ and last states $Y$ it minimises $\lVert Y - XA\rVert^2 + \lambda v n \lVert A - I\rVert^2$ over $n$ places,
    where $v$ is the mean variance of a coordinate of the layer.

    Parameters
    ----------
    states : float [layer, place, d_model]
    last : float [place, d_model]
        What they are to predict: the last layer's states, of this model or another of its width.
    groups : array [place]
        The document of each place. Folds hold whole documents.
    penalties : sequence of float
        Values of $\lambda$ to choose from, the one of smallest squared error in other documents, for each layer.
    n_folds : int
        From 2, at most the number of documents.
    seed : int
        Of the folds.

    Raises
    ------
    ValueError
        Arrays that do not fit each other or are not finite, penalties that are negative or missing, folds without documents.
    """
    x, y, folds = _checked_fit(states, last, groups, penalties, n_folds, seed)
    fits = (_fitted_by_folds(layer.astype(np.float64), y, folds, penalties) for layer in x)
    lenses = list(shown(fits, len(x), "affine lens, layers"))
    matrices, offsets, chosen_penalties = (np.stack(part) for part in zip(*lenses, strict=True))
    return Lens(matrices, offsets, chosen_penalties)


def jacobian_lens(loaded: LoadedModel, places: Places, batch_size: int = 16) -> Lens:
    r"""The mean derivative of the last states by the states of each layer.

    $A_l = \frac1{|V|}\sum_{t \in V} \sum_{t' \in V} \partial h_{L,t'} / \partial h_{l,t}$, over the places $V$ of each sequence: what a
    change at a place does to the last states of all places of its sequence, itself among them. In a causal model $t' \ge t$. Sequences
    count by the number of their places.

    Parameters
    ----------
    loaded : LoadedModel
    places : Places
        A sample; time grows with the length of the sequences that it stands in. d_model passes back are made for each batch.
    batch_size : int
        Sequences at a time.

    Raises
    ------
    ValueError
        No places.
    """
    if not len(places):
        raise ValueError("places: expected one at least, found none")
    used = places.table["sequence"].unique()
    used = used[np.argsort([len(places.sequences[sequence]) for sequence in used], kind="stable")]  # like lengths together: little padding
    batches = []
    for at in range(0, len(used), batch_size):
        chosen = used[at : at + batch_size]
        own = places.table[places.table["sequence"].isin(chosen)]
        row = own["sequence"].map({sequence: number for number, sequence in enumerate(chosen)})
        batches.append(([places.sequences[sequence] for sequence in chosen], row.to_numpy(), own["position"].to_numpy()))
    n_layers, width = len(places.layers), places.states.shape[2]
    items = [(batch, column) for batch in range(len(batches)) for column in range(0, width, COLUMNS)]
    work = partial(_jacobian_columns, batches=batches, layers=places.layer_numbers, at_once=batch_size)
    total = np.zeros((n_layers, width, width))
    for (_, column), part in zip(
        items, sweep(work, items, loaded, revision=loaded.key, title=f"{loaded.name}, Jacobian lens"), strict=True
    ):
        total[..., column : column + COLUMNS] += part
    return Lens(total / len(places), np.zeros((n_layers, width)))


def _checked_fit(
    states: ArrayLike, last: ArrayLike, groups: ArrayLike, penalties: Sequence[float], n_folds: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States, last states in float64, and the fold of each place."""
    x, y, labels = np.asarray(states), np.asarray(last, dtype=np.float64), np.asarray(groups)
    if x.ndim != 3 or y.shape != x.shape[1:] or labels.shape != y.shape[:1]:
        raise ValueError(
            "states, last, groups: expected [layer, place, d_model], [place, d_model] and [place],"
            f" found {x.shape}, {y.shape} and {labels.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("states and last: expected finite numbers, found others")
    if len(penalties) == 0 or min(penalties) < 0:
        raise ValueError(f"penalties: expected one or more, none below 0, found {list(penalties)}")
    names, which = np.unique(labels, return_inverse=True)
    if not 2 <= n_folds <= len(names):
        raise ValueError(f"n_folds is {n_folds}; expected 2 to {len(names)}, the number of documents")
    return x, y, np.random.default_rng(seed).permutation(len(names))[which] % n_folds


def _fitted_by_folds(x: np.ndarray, y: np.ndarray, folds: np.ndarray, penalties: Sequence[float]) -> tuple[np.ndarray, np.ndarray, float]:
    """Matrix, offset and penalty of one layer; of a single penalty there is nothing to choose."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    groups = [folds == fold for fold in range(folds.max() + 1)]
    products = [Products.of(x[held], y[held] - x[held]) for held in groups]
    whole, chosen = reduce(Products.__add__, products), float(penalties[0])
    if len(penalties) > 1:
        pairs = zip(groups, products, strict=True)
        errors = sum(_Ridge(whole - own).squared_errors(x[held], y[held], penalties) for held, own in pairs)
        chosen = float(penalties[int(np.argmin(errors))])
    matrix, offset = _Ridge(whole).fitted(chosen)
    return matrix, mean_y + offset - mean_x @ matrix, chosen


class _Ridge:
    """The regressions of one set of places, for any penalty, from one decomposition.

    Parameters
    ----------
    products : Products
        Of states, and of the last states less the states: what the identity leaves.
    """

    def __init__(self, products: Products) -> None:
        self.mean_x, self.mean_left, xx, left = products.centred()
        size, self.directions = np.linalg.eigh(xx)
        self.size = np.clip(size, 0, None)
        self.target = self.directions.T @ left

    def fitted(self, penalty: float) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and offset."""
        matrix = np.eye(len(self.size)) + self.directions @ (self._shares(penalty)[:, None] * self.target)
        return matrix, self.mean_x + self.mean_left - self.mean_x @ matrix

    def squared_errors(self, x: np.ndarray, y: np.ndarray, penalties: Sequence[float]) -> np.ndarray:
        """Sum of squared errors at other places for each penalty, without making the matrices."""
        centred = x - self.mean_x
        left, along = y - x - self.mean_left, centred @ self.directions
        curve = (along.T @ along) * (self.target @ self.target.T)
        slope = ((along.T @ left) * self.target).sum(axis=1)
        shares = np.stack([self._shares(penalty) for penalty in penalties])
        return ((shares @ curve) * shares).sum(axis=1) - 2 * shares @ slope + (left**2).sum()

    def _shares(self, penalty: float) -> np.ndarray:
        """What each direction's target is multiplied by; 0 for one without variance, which stays as the identity has it."""
        size_with = self.size + penalty * self.size.mean()
        seen = size_with > self.size.max() * len(self.size) * np.finfo(float).eps
        return np.divide(1, size_with, out=np.zeros_like(size_with), where=seen)


def _jacobian_columns(
    loaded: LoadedModel, item: tuple[int, int], batches: Sequence[_Batch], layers: Sequence[int], at_once: int
) -> Float[np.ndarray, "layer d_model column"]:
    """Derivatives of some coordinates of the last states, those of all places of a batch, by the state of each; summed, in float64.

    A pass back gives one coordinate, so each pass holds the batch several times, once for each of as many coordinates as have room.
    """
    (batch, first), model = item, loaded.model
    sequences, row, position = batches[batch]
    n, longest, copies = len(sequences), max(map(len, sequences)), max(1, at_once // len(sequences))
    ids, mask = torch.zeros((2, n, longest), dtype=torch.long, device=model.device)
    for place, sequence in enumerate(sequences):
        ids[place, : len(sequence)] = torch.tensor(sequence)
        mask[place, : len(sequence)] = 1
    begin = {("states", 0): lambda states: states.detach().requires_grad_()}  # whether or not the parameters ask for gradients
    with torch.enable_grad(), edited(model, begin), recording(model) as record:
        model.base_model(input_ids=ids.repeat(copies, 1), attention_mask=mask.repeat(copies, 1))
    states = [record["states", layer] for layer in layers]
    last, width = states[-1], states[-1].shape[-1]
    columns = torch.arange(first, min(first + COLUMNS, width))
    found = torch.zeros(len(layers), width, len(columns), dtype=torch.float64)
    for start in range(0, len(columns), copies):
        some = columns[start : start + copies]
        rows = torch.tensor(row) + n * torch.arange(len(some))[:, None]  # [copy, place]
        upstream = torch.zeros_like(last)
        upstream[rows, torch.tensor(position), some[:, None]] = 1
        gradients = torch.autograd.grad(last, states[:-1], upstream, retain_graph=True)
        summed = [gradient[rows, torch.tensor(position)].double().sum(dim=1) for gradient in gradients]  # [copy, d_model] each
        found[:-1, :, start : start + copies] = torch.stack(summed).mT
    found[-1, columns, torch.arange(len(columns))] = len(row)
    return found.numpy()
