r"""Causal scrubbing: does a hypothesis about heads keep what the model does when everything else is resampled?

A hypothesis names heads of the last layer (the readers) and, for their queries, keys and values apart, the earlier heads that these may
read. Everything that it does not name comes from passes over *other* sequences, one for each path, so that what remains is
plausible in itself and says nothing about this sequence. If the model works as the hypothesis says, its loss stays; the measure is the
share of the loss gap that is kept,

$$\mathrm{kept} = \frac{L_\mathrm{nothing} - L_\mathrm{hypothesis}}{L_\mathrm{nothing} - L_\mathrm{model}},$$

where under "nothing" every head is resampled and only the token's own embedding is left. A share below 0 says that the hypothesis predicts
worse than nothing. Reading an earlier head through keys alone is path patching: the path through the keys is this sequence's, all other
paths from that head are not.

Sources: Chan et al. 2022, "Causal scrubbing: a method for rigorously testing interpretability hypotheses"; Goldowsky-Dill et al. 2023,
"Localizing Model Behavior with Path Patching" (arXiv 2304.05969); Wang et al. 2023 (arXiv 2211.00593).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from analysis_lib import activations
from analysis_lib.activations.interventions import edited, patch, put
from analysis_lib.circuits.ablation import checked_ids, checked_model, losses_of_next, token_losses
from analysis_lib.circuits.induction import Circuit, Head
from analysis_lib.circuits.probes import RepeatedTokens
from analysis_lib.models import LoadedModel

SIDES = ("queries", "keys", "values")


@dataclass(frozen=True)
class Hypothesis:
    """What is claimed to matter; all else is resampled.

    Attributes
    ----------
    readers : tuple of (layer, head)
        Heads of the last layer whose output counts.
    queries, keys, values : tuple of (layer, head)
        Earlier heads that the readers' queries, keys and values read, besides the embedding.
    direct : tuple of (layer, head)
        Earlier heads whose output counts in the logits by itself.
    """

    readers: tuple[Head, ...] = ()
    queries: tuple[Head, ...] = ()
    keys: tuple[Head, ...] = ()
    values: tuple[Head, ...] = ()
    direct: tuple[Head, ...] = ()


def induction_hypotheses(circuit: Circuit, n_heads: int) -> dict[str, Hypothesis]:
    """The induction hypothesis for a circuit, and three that are wrong about it.

    Parameters
    ----------
    circuit : Circuit
        As `induction.find_circuit` gives it.
    n_heads : int
        Heads of a layer.

    Returns
    -------
    dict of str to Hypothesis
        `induction`: shift heads alone feed the queries and the keys of the induction heads, whose values copy what stands at the place.
        `no composition`: queries and keys read the embedding alone. `through queries`: shift heads feed the queries and not the keys.
        `other heads`: the induction hypothesis about all heads that are not in the circuit. Values read all of layer 0 in each.
    """
    shift, inductive = circuit.shifting, circuit.inductive
    early = tuple((0, head) for head in range(n_heads))
    other = tuple(tuple(circuit.others(layer, n_heads)) for layer in (0, 1))
    return {
        "induction": Hypothesis(inductive, queries=shift, keys=shift, values=early),
        "no composition": Hypothesis(inductive, values=early),
        "through queries": Hypothesis(inductive, queries=shift, values=early),
        "other heads": Hypothesis(other[1], queries=other[0], keys=other[0], values=early),
    }


def scrubbed_losses(
    loaded: LoadedModel, ids: np.ndarray | Tensor, hypothesis: Hypothesis, seed: int = 0, among: Sequence[int] | None = None
) -> np.ndarray:
    """Loss of each next token where everything outside a hypothesis is resampled.

    Parameters
    ----------
    loaded : LoadedModel, or any object with `model`
        A causal model.
    ids : integer array [sequence, token]
        Two sequences or more; they are each other's resamples.
    hypothesis : Hypothesis
    seed : int
        Draws whose pass replaces which, once for each path.
    among : sequence of int, optional
        A group for every sequence: resamples come from the same group, two sequences or more in each. One group by default.

    Returns
    -------
    numpy.ndarray of float64 [sequence, token - 1], nats

    Raises
    ------
    ValueError
        A model or ids that `ablation.token_losses` refuses, a single sequence, a head that does not exist or is in the wrong layer.
    """
    model, ids = checked_model(loaded), checked_ids(loaded, ids)
    last = model.config.num_hidden_layers - 1
    _check_hypothesis(hypothesis, last, model.config.num_attention_heads)
    others = [_resampled(len(ids), rng, among) for rng in np.random.default_rng(seed).spawn(len(SIDES) + 1)]
    with torch.no_grad():
        heads = _recorded(model, ids, "heads")
        changes = {}
        for side, order in zip(SIDES, others, strict=False):
            if hypothesis.readers:
                with edited(model, _outside(heads, getattr(hypothesis, side), order, range(last))):
                    changes[side, last] = put(*_own(_recorded(model, ids, side)[last], hypothesis.readers))
        resampled = _outside(heads, hypothesis.direct, others[-1], range(last)) | _outside(heads, hypothesis.readers, others[-1], [last])
        with edited(model, changes | resampled):
            return losses_of_next(model(input_ids=ids).logits, ids).cpu().numpy()


def gap_kept(
    loaded: LoadedModel, probe: RepeatedTokens, hypothesis: Hypothesis, n_draws: int = 4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The loss gap that a hypothesis keeps where the block comes again, and the whole gap.

    Parameters
    ----------
    loaded : LoadedModel
    probe : RepeatedTokens
    hypothesis : Hypothesis
    n_draws, seed : int
        Resamplings, whose losses are averaged.

    Returns
    -------
    kept, whole : float64 [sequence], nats
        `statistics.ratio_interval(kept, whole)` is the share kept, with an interval over sequences.
    """

    def mean_loss(losses: np.ndarray) -> np.ndarray:
        return losses[probe.predictable[:, :-1]].reshape(len(probe.ids), -1).mean(axis=1)

    def scrubbed(claim: Hypothesis) -> np.ndarray:
        return np.mean([mean_loss(scrubbed_losses(loaded, probe.ids, claim, seed + draw)) for draw in range(n_draws)], axis=0)

    nothing = scrubbed(Hypothesis())
    return nothing - scrubbed(hypothesis), nothing - mean_loss(token_losses(loaded, probe.ids))


def _recorded(model: nn.Module, ids: Tensor, name: str) -> list[Tensor]:
    with activations.recording(model, [name], states=False) as record:
        model.base_model(input_ids=ids)
    return [record[name, layer] for layer in range(len(record))]


def _outside(heads: list[Tensor], kept: Sequence[Head], order: Tensor, layers: Sequence[int]) -> dict:
    """Changes that give all heads of some layers, but those kept, the results of other sequences."""
    n_heads = heads[0].shape[2]
    out = {layer: [head for head in range(n_heads) if (layer, head) not in kept] for layer in layers}
    return {("heads", layer): patch(heads[layer][order], heads=chosen) for layer, chosen in out.items() if chosen}


def _own(value: Tensor, readers: Sequence[Head]) -> tuple[Tensor, list[int]]:
    chosen = [head for _, head in readers]
    return value[:, :, chosen], chosen


def _resampled(n: int, rng: np.random.Generator, among: Sequence[int] | None) -> Tensor:
    """For every sequence another one of its group."""
    groups = np.zeros(n, dtype=int) if among is None else np.asarray(among)
    order = np.empty(n, dtype=np.int64)
    if groups.shape != (n,):
        raise ValueError(f"among: expected a group for each of {n} sequences, found shape {groups.shape}")
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        if len(members) < 2:
            raise ValueError(f"ids: expected two sequences or more to resample from, found one (group {group})")
        order[members] = np.roll(members, 1)
    return torch.from_numpy(order)


def _check_hypothesis(hypothesis: Hypothesis, last: int, n_heads: int) -> None:
    for name in ("readers", *SIDES, "direct"):
        layers = {last} if name == "readers" else set(range(last))
        wrong = [head for head in getattr(hypothesis, name) if head[0] not in layers or not 0 <= head[1] < n_heads]
        if wrong:
            raise ValueError(f"hypothesis.{name}: expected heads 0 to {n_heads - 1} of layers {sorted(layers)}, found {wrong[0]}")
