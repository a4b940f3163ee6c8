"""The induction circuit of a small model: which heads it consists of, and what they are worth.

Heads are chosen on one draw of the probe (`find_circuit`, `best_heads`) and measured on another, since the best of many heads looks
better than it is on the draw that it was chosen on (`statistics.selection`). The unit of all measures is the sequence.

Source: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*, for the circuit; Olsson et al. 2022 (arXiv 2209.11895)
for what it does to the loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import wilcoxon

from analysis_lib import activations, statistics
from analysis_lib.circuits.ablation import ablated_losses, ablation_effects, token_losses
from analysis_lib.circuits.composition import Composition, composition_scores, composition_z
from analysis_lib.circuits.probes import RepeatedTokens
from analysis_lib.circuits.scoreboard import Patterns, head_scores, offset_scores
from analysis_lib.models import LoadedModel
from analysis_lib.statistics import Chosen
from analysis_lib.weights import weights_of

Head = tuple[int, int]  # layer and head, both counted from 0
LEAST_SCORE = 0.5
SCORES = ("previous token", "two back", "duplicate token", "induction", "first position")


@dataclass(frozen=True)
class Circuit:
    """The heads of an induction circuit in a model of two layers.

    Attributes
    ----------
    previous : (layer, head)
        The head of layer 0 that attends most to the previous token.
    strongest : (layer, head)
        The head of layer 1 with the highest induction score.
    shifting : tuple of (layer, head)
        Heads of layer 0 that give at least `LEAST_SCORE` of their attention to the token one or two places before; `previous` if none does.
    inductive : tuple of (layer, head)
        Heads of layer 1 with an induction score of at least `LEAST_SCORE`; `strongest` if none has.
    """

    previous: Head
    strongest: Head
    shifting: tuple[Head, ...]
    inductive: tuple[Head, ...]

    @property
    def heads(self) -> tuple[Head, ...]:
        """All heads of the circuit, those of layer 0 first."""
        return (*self.shifting, *self.inductive)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every shift head with every induction head: (head of layer 0, head of layer 1)."""
        return [(early, late) for _, early in self.shifting for _, late in self.inductive]

    def others(self, layer: int, n_heads: int) -> list[Head]:
        """The heads of a layer that are not in the circuit."""
        return [(layer, head) for head in range(n_heads) if (layer, head) not in self.heads]


class BlockLosses(NamedTuple):
    """Losses where the probe's block comes for the first and for the second time, each [sequence, place in the block], in nats."""

    first: np.ndarray
    second: np.ndarray


def probe_patterns(loaded: LoadedModel, probe: RepeatedTokens) -> list[Float[np.ndarray, "_layer _head _query _key"]]:
    """The model's patterns on a probe, one array [layer, head, query, key] for each sequence."""
    return activations.run_ids(loaded, probe.ids, outputs=["patterns"]).output("patterns")


def probe_scores(patterns: Patterns, probe: RepeatedTokens) -> dict[str, Float[np.ndarray, "sequence layer head"]]:
    """Scores of all heads on a probe, by the names in `SCORES`: each [sequence, layer, head].

    The duplicate and the induction score are taken at the places whose next token the first occurrence determines
    (`RepeatedTokens.predictable`), the others at all places.
    """
    anywhere = head_scores(patterns, probe.ids, per_sequence=True, names=("previous token", "first position"))
    repeated = head_scores(patterns, probe.ids, per_sequence=True, rows=probe.predictable, names=("duplicate token", "induction"))
    found = anywhere | repeated | {"two back": offset_scores(patterns, 2, per_sequence=True)}
    return {name: found[name] for name in SCORES}


def find_circuit(scores: Mapping[str, np.ndarray]) -> Circuit:
    """The circuit's heads by their scores on a choosing draw.

    Parameters
    ----------
    scores : mapping of str to float [sequence, layer, head]
        As `probe_scores` gives them, for two layers.

    Returns
    -------
    Circuit

    Raises
    ------
    ValueError
        A model of another depth.
    """
    back, two_back, induction = (scores[name].mean(axis=0) for name in ("previous token", "two back", "induction"))
    if len(induction) != 2:
        raise ValueError(f"scores: expected those of a model of two layers, found {len(induction)}")
    previous, strongest = (0, int(back[0].argmax())), (1, int(induction[1].argmax()))
    shifting = np.flatnonzero(np.maximum(back[0], two_back[0]) >= LEAST_SCORE)
    inductive = np.flatnonzero(induction[1] >= LEAST_SCORE)
    return Circuit(
        previous,
        strongest,
        tuple((0, int(head)) for head in shifting) or (previous,),
        tuple((1, int(head)) for head in inductive) or (strongest,),
    )


def best_two_back(scores: Mapping[str, np.ndarray]) -> Head:
    """The head of layer 0 that attends most to the token two places before, by `scores` as in `find_circuit`."""
    return 0, int(scores["two back"].mean(axis=0)[0].argmax())


def best_heads(choosing: Mapping[str, np.ndarray], measuring: Mapping[str, np.ndarray]) -> dict[str, Chosen]:
    """For each score the head that has the highest one on the choosing draw, and its score on the measuring draw.

    Parameters
    ----------
    choosing, measuring : mapping of str to float [sequence, layer, head]
        The scores of two draws of the probe, as `probe_scores` gives them.

    Returns
    -------
    dict of str to Chosen
        `index` is (layer, head).
    """
    return {name: statistics.choose_and_measure(choosing[name], measuring[name]) for name in choosing}


def block_losses(loaded: LoadedModel, probe: RepeatedTokens) -> BlockLosses:
    """Losses along the block in its first and its second occurrence, from its second token on."""
    losses = token_losses(loaded, probe.ids)
    return BlockLosses(*(_at(losses, places) for places in (probe.unpredictable, probe.predictable)))


def repetition_gains(loaded: LoadedModel, probe: RepeatedTokens) -> dict[str, Float[np.ndarray, " sequence"]]:
    """How much the loss falls where a block comes again, split in three parts.

    Parameters
    ----------
    loaded : LoadedModel
    probe : RepeatedTokens
        Of two sequences or more.

    Returns
    -------
    dict of str to float [sequence]
        In nats a token. `place`: from the first occurrence to the block of another sequence in the place of the second, which is what
        standing later brings. `words`: from there to the sequence's own tokens in random order, which is what seeing the same tokens
        again brings. `order`: from there to the second occurrence as it is, for which a model needs induction. Where the vocabulary is so
        small that another sequence's block has some of the sequence's tokens, `place` has a part of what their return brings.

    Raises
    ------
    ValueError
        A single sequence.
    """
    first, second = (losses.mean(axis=1) for losses in block_losses(loaded, probe))
    others, shuffled = (block_losses(loaded, changed).second.mean(axis=1) for changed in (probe.exchanged(), probe.shuffled()))
    return {"place": first - others, "words": others - shuffled, "order": shuffled - second}


def loss_without(
    loaded: LoadedModel, probe: RepeatedTokens, heads: Sequence[tuple[int, int]], frozen: bool = False
) -> Float[np.ndarray, " sequence"]:
    """What replacing some heads by their means, all at once, adds to the loss where the block comes again: [sequence], in nats.

    `frozen` keeps all patterns as they are in the whole model (`ablation.ablated_losses`).
    """
    added = ablated_losses(loaded, probe.ids, heads, "mean", frozen) - token_losses(loaded, probe.ids)
    return _at(added, probe.predictable).mean(axis=1)


def loss_without_each(loaded: LoadedModel, probe: RepeatedTokens, frozen: bool = False) -> Float[np.ndarray, "layer head sequence"]:
    """As `loss_without`, for each head by itself: [layer, head, sequence]."""
    return _at(ablation_effects(loaded, probe.ids, "mean", frozen), probe.predictable).mean(axis=-1)


def compare_pairs(composed: Composition, pairs: list[tuple[int, int]], untrained: Composition | None = None) -> dict[str, float]:
    """Composition of a circuit's pairs beside that of all other pairs of layer 0 and layer 1.

    Parameters
    ----------
    composed : Composition
        As `composition_z` gives it.
    pairs : list of (head of layer 0, head of layer 1)
    untrained : Composition, optional
        Of an untrained model, for comparison.

    Returns
    -------
    dict of str to float
        `circuit's pairs`, `other pairs`, `chance`: mean scores. `circuit's z`, `other pairs' z`: mean z-scores; `largest other z`.
        `in top`: how many of the circuit's pairs are among as many pairs with the largest z. With an untrained model also `untrained`,
        its mean score, and `largest untrained z`.
    """
    n_layers, n_heads = composed.scores.shape[:2]
    if n_layers < 2 or any(not 0 <= head < n_heads for pair in pairs for head in pair):
        raise ValueError(f"composed, pairs: expected two layers and heads from 0 to {n_heads - 1}, found {n_layers} and {pairs}")
    scores, z = composed.scores[0, :, 1], composed.z[0, :, 1]
    own = _mask(scores.shape, pairs)
    top = np.argsort(-z, axis=None)[: len(pairs)]
    found = {
        "circuit's pairs": _mean(scores[own]),
        "other pairs": _mean(scores[~own]),
        "chance": composed.expected[0, :, 1].mean(),
        "circuit's z": _mean(z[own]),
        "other pairs' z": _mean(z[~own]),
        "largest other z": np.nan if own.all() else z[~own].max(),
        "in top": int(own.ravel()[top].sum()),
    }
    if untrained is not None:
        found |= {"untrained": untrained.scores[0, :, 1].mean(), "largest untrained z": untrained.z[0, :, 1].max()}
    return found


def portrait(loaded: LoadedModel, choosing: RepeatedTokens, probe: RepeatedTokens) -> dict[str, float]:
    """A model of two layers in nine numbers, its heads chosen on one draw of the probe and everything measured on another.

    Parameters
    ----------
    loaded : LoadedModel
    choosing, probe : RepeatedTokens
        Two draws.

    Returns
    -------
    dict of str to float
        `previous token`, `two back`, `induction`: the best head's scores (of layer 0, 0 and 1). `first`, `again`: losses in nats in the
        first occurrence of the block, and in the second from its fourth token on. `without shift heads`, `without others`: loss added
        where the block comes again without the circuit's heads of layer 0 and without all other heads of that layer. `circuit's z`,
        `other pairs' z`: means over pairs of K-composition against random orientation.
    """
    chosen, measured = (probe_scores(probe_patterns(loaded, draw), draw) for draw in (choosing, probe))
    circuit, two_back = find_circuit(chosen), best_two_back(chosen)
    losses = block_losses(loaded, probe)
    composed = compare_pairs(composition_z(weights_of(loaded.model), "K", n_draws=500), circuit.pairs)
    n_heads = measured["induction"].shape[-1]
    return {
        "previous token": measured["previous token"][:, *circuit.previous].mean(),
        "two back": measured["two back"][:, *two_back].mean(),
        "induction": measured["induction"][:, *circuit.strongest].mean(),
        "first": losses.first.mean(),
        "again": losses.second[:, 2:].mean(),
        "without shift heads": loss_without(loaded, probe, circuit.shifting).mean(),
        "without others": loss_without(loaded, probe, circuit.others(0, n_heads)).mean(),
        "circuit's z": composed["circuit's z"],
        "other pairs' z": composed["other pairs' z"],
    }


def milestone(loaded: LoadedModel, probe: RepeatedTokens, circuit: Circuit, two_back: Head) -> dict[str, float]:
    """What a model in training has of the circuit that it will have in the end.

    Parameters
    ----------
    loaded : LoadedModel
    probe : RepeatedTokens
    circuit : Circuit
        Of the finished model.
    two_back : (layer, head)
        Its head that attends most to the token two places before.

    Returns
    -------
    dict of str to float
        The heads' scores `previous token`, `two back` and `induction`; losses in nats in the `first` and the `second` occurrence; mean
        K-composition of the `circuit's pairs` and of the `other pairs`.
    """
    scores = probe_scores(probe_patterns(loaded, probe), probe)
    losses, composed = block_losses(loaded, probe), composition_scores(weights_of(loaded.model), "K")[0, :, 1]
    own = _mask(composed.shape, circuit.pairs)
    return {
        "previous token": scores["previous token"][:, *circuit.previous].mean(),
        "two back": scores["two back"][:, *two_back].mean(),
        "induction": scores["induction"][:, *circuit.strongest].mean(),
        "first": losses.first.mean(),
        "second": losses.second.mean(),
        "circuit's pairs": composed[own].mean(),
        "other pairs": _mean(composed[~own]),
    }


def excess_table(draws: Mapping[tuple, tuple[np.ndarray, np.ndarray]], names: Sequence[str], level: float = 0.05) -> pd.DataFrame:
    """Best head and number of significant heads for several sets of induction excesses.

    In every set the head with the largest mean excess on the first draw is measured on the second. Every head is tested on both draws
    together (one-sided Wilcoxon signed-rank test over units), with Holm's correction over all heads of all sets.

    Parameters
    ----------
    draws : mapping of tuple to (choosing, measuring)
        Labels of a set to its excesses [unit, layer, head] on two draws (`scoreboard.induction_excess`).
    names : sequence of str
        What the labels are.
    level : float
        Heads with a smaller corrected p-value count as significant.

    Returns
    -------
    DataFrame
        One row for each set: the columns `names`, `layer` and `head` (the chosen head), `excess` (an `Interval`), `significant` and
        `heads` (numbers of heads).
    """
    # A head without any excess, such as one that attends to the first position only, has no ranks to sum.
    tests = {labels: np.nan_to_num(_signed_ranks(np.concatenate(pair)), nan=1.0) for labels, pair in draws.items()}
    corrected = statistics.holm(np.concatenate([p.ravel() for p in tests.values()]))
    split = np.split(corrected, np.cumsum([p.size for p in tests.values()])[:-1])
    rows = []
    for (labels, pair), p in zip(draws.items(), split, strict=True):
        chosen = statistics.choose_and_measure(*pair)
        rows.append((*labels, *chosen.index, chosen.interval, int((p < level).sum()), p.size))
    return pd.DataFrame(rows, columns=[*names, "layer", "head", "excess", "significant", "heads"])


def _signed_ranks(excess: np.ndarray) -> np.ndarray:
    """One-sided p-values [layer, head] of excesses [unit, layer, head]; NaN where all are zero."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return wilcoxon(excess, axis=0, alternative="greater").pvalue


def _at(losses: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Losses [..., sequence, token - 1] at equally many places of every sequence: [..., sequence, place]."""
    return losses[..., places[:, :-1]].reshape(*losses.shape[:-1], -1)


def _mask(shape: tuple[int, ...], pairs: list[tuple[int, int]]) -> np.ndarray:
    """True at the pairs, bool [head of layer 0, head of layer 1]."""
    mask = np.zeros(shape, dtype=bool)
    for pair in pairs:
        mask[pair] = True
    return mask


def _mean(values: np.ndarray) -> float:
    """The mean, NaN of no values."""
    return float(values.mean()) if values.size else np.nan
