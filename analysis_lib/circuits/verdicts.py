"""What kind of attention head a model has: one verdict, by the scoreboard and one intervention.

Scores say what a head attends to; they do not say how it finds it. An induction head can search for keys that hold the token before them
(K-composition: an earlier previous-token head wrote it there), or its query can hold the place of the earlier occurrence
(Q-composition: an earlier duplicate-token head wrote it there). The two are told apart by resampling what earlier heads wrote, once in
the keys alone and once in the queries alone.

Sources: Elhage et al. 2021, "Induction heads" (K-composition) and "An alternative mechanism" through Q-composition; Chan et al. 2022
for resampling.
"""

from typing import NamedTuple

import numpy as np
import torch

from analysis_lib import activations, statistics
from analysis_lib.activations.interventions import edited, patch, put
from analysis_lib.circuits.ablation import checked_model
from analysis_lib.circuits.induction import LEAST_SCORE, Head, probe_patterns
from analysis_lib.circuits.probes import RepeatedTokens
from analysis_lib.circuits.scoreboard import duplicate_token_scores, induction_scores, offset_scores
from analysis_lib.models import LoadedModel

INDUCTION = "induction by {}-composition"
KINDS = (INDUCTION.format("K"), INDUCTION.format("Q"), "duplicate token", "fixed offset", "previous token", "none")


class Verdict(NamedTuple):
    """What a model was found to have.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    head : (layer, head), or None
        The head that the verdict rests on.
    score : float
        Its score on the measuring draw; for `none` the largest that any head reached.
    detail : int, or None
        Of a fixed offset: how many places back.
    """

    kind: str
    head: Head | None
    score: float
    detail: int | None = None


def verdict(loaded: LoadedModel, choosing: RepeatedTokens, measuring: RepeatedTokens) -> Verdict:
    """The most telling kind of head that a model has.

    Kinds are asked for in the order of `KINDS`, since an induction circuit contains a simpler head as well. For each, the best head
    on the choosing draw needs a score of `LEAST_SCORE` on the measuring draw.

    Parameters
    ----------
    loaded : LoadedModel
        A causal model of two layers or more.
    choosing, measuring : RepeatedTokens
        Two draws of a probe with random gaps; with a single gap, a fixed offset and induction are the same.

    Returns
    -------
    Verdict

    Raises
    ------
    ValueError
        A model that is not causal, a probe whose gap does not vary, or the same draw twice.
    """
    model = checked_model(loaded)
    if model.config.num_hidden_layers < 2:
        raise ValueError(f"loaded: expected a model of two layers or more, found {model.config.num_hidden_layers}")
    if len(np.unique(measuring.gaps)) < 2:
        raise ValueError(f"measuring: expected gaps that vary, found {int(measuring.gaps[0])} in all {len(measuring.gaps)} sequences")
    if np.array_equal(choosing.ids, measuring.ids):
        raise ValueError("choosing and measuring: expected two draws of the probe, found the same sequences twice")
    tables = [_scores(loaded, draw) for draw in (choosing, measuring)]
    found = {name: statistics.choose_and_measure(tables[0][name], tables[1][name]) for name in tables[0]}
    reached = {name: chosen.interval.estimate for name, chosen in found.items()}
    if reached["induction"] >= LEAST_SCORE:
        _, layer, head = found["induction"].index
        lost = {side: _lost(model, measuring, (layer, head), site) for side, site in (("K", "keys"), ("Q", "queries"))}
        return Verdict(INDUCTION.format(max(lost, key=lost.__getitem__)), (layer, head), reached["induction"])
    for name in ("duplicate token", "fixed offset", "previous token"):
        if reached[name] >= LEAST_SCORE:
            place, layer, head = found[name].index
            return Verdict(name, (layer, head), reached[name], int(place) + 2 if name == "fixed offset" else None)
    return Verdict("none", None, max(reached.values()))


def _scores(loaded: LoadedModel, probe: RepeatedTokens) -> dict[str, np.ndarray]:
    """Scores by kind, each [sequence, variant, layer, head]; the variants of a fixed offset are 2, 3 ... places back."""
    patterns = probe_patterns(loaded, probe)
    furthest = probe.ids.shape[1] // 2
    inductive = induction_scores(patterns, probe.ids, per_sequence=True, rows=probe.predictable)
    inductive[:, 0] = 0  # before the first layer nothing can have marked what came before a key
    found = {
        "induction": [inductive],
        "duplicate token": [duplicate_token_scores(patterns, probe.ids, per_sequence=True, rows=probe.predictable)],
        "fixed offset": [offset_scores(patterns, offset, per_sequence=True) for offset in range(2, furthest + 1)],
        "previous token": [offset_scores(patterns, 1, per_sequence=True)],
    }
    return {name: np.stack(variants, axis=1) for name, variants in found.items()}


def _lost(model: torch.nn.Module, probe: RepeatedTokens, head: Head, site: str) -> float:
    """What an induction head's score loses if earlier heads reach its keys (or queries) from other sequences only."""
    ids, layer = torch.as_tensor(probe.ids, device=next(model.parameters()).device), head[0]
    with torch.no_grad(), activations.recording(model, ["heads", "patterns"]) as whole:
        model(input_ids=ids)
    resampled = {("heads", earlier): patch(whole["heads", earlier].roll(1, dims=0)) for earlier in range(layer)}
    with torch.no_grad(), edited(model, resampled), activations.recording(model, [site]) as record:
        model(input_ids=ids)
    with torch.no_grad(), edited(model, {(site, layer): put(record[site, layer])}), activations.recording(model, ["patterns"]) as changed:
        model(input_ids=ids)
    before, after = (
        induction_scores(found["patterns", layer][:, None].cpu().numpy(), probe.ids, rows=probe.predictable)[0, head[1]]
        for found in (whole, changed)
    )
    return float(before - after)
