"""The attention-only models: what is shipped, and that the recipe gives it."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from analysis_lib import circuits, models, weights
from analysis_lib.circuits import induction, placements, repeats, scoreboard, scrubbing
from analysis_lib.models import cards, training_history
from analysis_lib.statistics import Interval
from training import minigpt as recipe

FRESH = 77  # sequences that neither training nor the recorded figures have used


@pytest.fixture(scope="module")
def toy():
    return models.load("minigpt")


@pytest.fixture(scope="module")
def untrained(toy):
    return models.untrained_like(toy, seed=0)


@pytest.fixture(scope="module")
def polish():
    return models.load("minigpt-polish")


def test_the_shipped_model_holds_an_induction_circuit(toy):
    found = recipe.measure(toy.model, n=1024, seed=FRESH)
    assert max(found["previous_token"][0]) >= 0.95
    assert max(found["induction"][1]) >= 0.85
    assert found["repeated_known_2"] <= 0.7
    entropies = repeats.background().entropies()
    assert entropies["both"] < found["background"] < entropies["none"] - 0.5  # the later stages gave up a part of the chain
    assert recipe.SYMBOL_ENTROPY < found["new"] < recipe.SYMBOL_ENTROPY + 0.9


@pytest.mark.parametrize(("block", "gap", "begin"), [(4, 0, 1), (4, 20, 3), (6, 2, 10), (12, 5, 30), (16, 20, 2), (30, 1, 1)])
def test_the_head_works_wherever_a_block_stands(toy, block, gap, begin):
    """Fresh random symbols, short and long blocks, early and late: see the chapter for all placements and seeds."""
    table = placements.placement_scores(toy, [block], [gap], [begin], n_sequences=64, seed=FRESH)
    assert table.query("layer == 1")["score"].max() > 0.75


def test_scrubbing_keeps_the_induction_hypothesis_and_no_other():
    """In each seed: 95 % of the loss gap or more under the induction hypothesis, 20 % or less under three wrong ones."""
    draws = [
        circuits.repeated_random_tokens(range(1, 32), 24, 15, (0, 24), start=0, length=64, distinct=False, seed=seed)
        for seed in (FRESH, FRESH + 1)
    ]
    for model in training_history.seed_models().values():
        circuit = induction.find_circuit(induction.probe_scores(induction.probe_patterns(model, draws[0]), draws[0]))
        for name, claim in scrubbing.induction_hypotheses(circuit, model.model.config.n_heads).items():
            kept, whole = scrubbing.gap_kept(model, draws[1], claim, n_draws=1)
            share = kept.mean() / whole.mean()
            assert share >= 0.95 if name == "induction" else share <= 0.2, (name, share)


def test_placements_on_record_are_those_of_the_models():
    record = json.loads((models.EMBEDDED_FOLDER / recipe.NAME / "seeds.json").read_text(encoding="utf-8"))
    for run in record["runs"]:
        scores = [row[-1] for row in run["placements"]]
        assert np.mean(scores) > 0.85
        assert min(scores) > 0.6
    shipped = next(run for run in record["runs"] if run["seed"] == record["shipped"])
    (block, gap, begin, score) = shipped["placements"][0]
    again = placements.placement_scores(models.load("minigpt"), [block], [gap], [begin], n_sequences=32, seed=recipe.FRESH_SEED)
    assert abs(again.query("layer == 1")["score"].max() - score) < 0.05


def test_an_untrained_model_holds_none(untrained):
    found = recipe.measure(untrained.model, seed=FRESH)
    assert np.max(found["previous_token"]) < 0.2
    assert np.max(found["induction"]) < 0.2
    assert min(found[name] for name in ("background", "new", "repeated", "repeated_known_2")) > 3


def test_random_symbols_at_random_gaps(toy, untrained):
    """A probe unlike the training sequences: random symbols throughout, one block that comes twice."""
    probe = circuits.repeated_random_tokens(
        range(1, repeats.VOCABULARY), 128, 15, (0, 24), start=repeats.BEGIN, length=repeats.LENGTH, distinct=False, seed=FRESH
    )
    ids = torch.from_numpy(probe.ids)
    scores = {}
    for model in (toy, untrained):
        with torch.no_grad():
            out = model.model(ids, output_attentions=True)
        patterns = torch.stack(out.attentions, dim=1).numpy()
        targets = [circuits.induction_targets(row) for row in probe.ids]
        for target, second in zip(targets, probe.second, strict=True):
            target[np.setdiff1d(np.arange(len(target)), second[:-1])] = False
        losses = recipe.next_token_losses(out.logits, ids).numpy()
        first, second = (np.take_along_axis(losses, places[:, 2:] - 1, axis=1).mean() for places in (probe.first, probe.second))
        scores[model.source] = scoreboard.attention_to(patterns, targets)[1].max(), first, second
    assert scores["embedded"][0] > 0.7
    assert scores["embedded"][2] < 1 < 3 < scores["embedded"][1]
    assert scores["untrained"][0] < 0.2
    assert abs(scores["untrained"][1] - scores["untrained"][2]) < 0.2


def test_the_recipes_scores_are_those_of_the_library(toy):
    found = recipe.measure(toy.model, n=16, seed=FRESH)
    blocks = repeats.repeated_blocks(16, np.random.default_rng(FRESH))
    with torch.no_grad():
        attentions = toy.model(torch.from_numpy(blocks.ids), output_attentions=True).attentions
    patterns = torch.stack(attentions, dim=1).numpy()
    np.testing.assert_allclose(circuits.previous_token_scores(patterns), found["previous_token"], atol=1e-5)
    targets = [circuits.induction_targets(ids) & rows[:, None] for ids, rows in zip(blocks.ids, blocks.repeated(0), strict=True)]
    np.testing.assert_allclose(scoreboard.attention_to(patterns, targets), found["induction"], atol=1e-5)


@pytest.mark.parametrize("steps", [100, pytest.param(400, marks=pytest.mark.slow)])
def test_a_shortened_run_gives_the_recorded_snapshot(steps):
    """The first steps of the committed recipe, with the shipped seed; 400 steps are half a minute on one core.

    On one machine the figures agree to the float16 of the snapshot; with initial weights changed by 1e-6 of themselves, as another
    machine's rounding would, they still agree to the fourth digit.
    """
    *_, (taken, model, _loss) = recipe.training_run(training_history.shipped_seed(), until=steps)
    assert taken == steps
    again = recipe.summary(recipe.measure(model, seed=FRESH))
    recorded = recipe.summary(recipe.measure(training_history.snapshots()[steps].model, seed=FRESH))
    for name in ("previous_token", "induction"):
        assert again[name] == pytest.approx(recorded[name], abs=0.02)
    for name in ("background", "new", "repeated", "repeated_known_2"):
        assert again[name] == pytest.approx(recorded[name], abs=0.05)


def test_the_circuit_is_in_place_after_400_steps():
    recorded = recipe.summary(recipe.measure(training_history.snapshots()[400].model, seed=FRESH))
    assert recorded["previous_token"] > 0.9
    assert recorded["induction"] > 0.7


@pytest.mark.parametrize("number", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_later_stage_gives_the_recorded_snapshot(number):
    """Its first steps again, from the snapshot that the stage began with."""
    stage = recipe.LATER[number]
    begun = recipe.STEPS + sum(earlier.steps for earlier in recipe.LATER[:number])
    steps = stage.snapshots[0]
    found = training_history.snapshots()
    *_, (taken, model, _loss) = recipe.later_stage(training_history.shipped_seed(), found[begun].model, stage, until=steps)
    assert taken == steps
    again, recorded = (recipe.summary(recipe.measure(m, 64)) for m in (model, found[begun + steps].model))
    for name, value in recorded.items():
        assert again[name] == pytest.approx(value, abs=0.05)


def test_five_seeds_are_on_record():
    records, seeds = training_history.records(), training_history.seed_models()
    assert [record["seed"] for record in records] == list(seeds) == list(recipe.SEEDS)
    for record in records:
        again = recipe.measure(seeds[record["seed"]].model)
        for name, value in record["trained"].items():
            np.testing.assert_allclose(again[name], value, atol=1e-3)
        assert np.max(record["untrained"]["induction"]) < 0.2


def test_the_shipped_seed_is_the_median(toy):
    scores = {record["seed"]: max(record["first_stage"]["induction"][1]) for record in training_history.records()}
    shipped = training_history.shipped_seed()
    assert scores[shipped] == np.median(list(scores.values()))
    state = training_history.seed_models()[shipped].model.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in toy.model.state_dict().items())


def test_snapshots_go_from_the_untrained_model_to_the_shipped_one(toy):
    found = training_history.snapshots()
    assert list(found) == list(recipe.snapshot_steps())
    begin = recipe.build(training_history.shipped_seed())
    assert torch.equal(found[0].model.embed.weight, begin.embed.weight.half().float())
    assert torch.equal(found[recipe.LAST].model.embed.weight, toy.model.embed.weight)
    course = training_history.course()
    assert set(course["seed"]) == set(recipe.SEEDS)
    assert course["step"].max() == recipe.LAST


@pytest.mark.parametrize("name", ["minigpt-induction", "minigpt-polish"])
def test_checkpoints_are_small_and_described(name):
    folder = models.EMBEDDED_FOLDER / name
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 16 * 2**20
    card = (folder / "README.md").read_text(encoding="utf-8").lower()
    expected = ("licen", "tokens seen", "held-out", "seed", "unigram", "untrained", "limits", "device")
    assert not [word for word in expected if word not in card]
    assert json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["run"]["tokens"] > 0


def test_attention_is_rebuilt_from_the_weights(toy, polish):
    blocks = torch.from_numpy(repeats.repeated_blocks(4, np.random.default_rng(FRESH)).ids)
    on_text = weights.attention_errors(polish, ["Wczoraj wieczorem poszli nad rzekę, a dziś siedzą w domu."])
    for loaded, errors in ((toy, weights.attention_errors_on_ids(toy.model, blocks)), (polish, on_text)):
        assert errors.pattern.max() < 1e-5
        assert errors.output.max() < 1e-5 * max(1, errors.output_scale.max())
        assert all(torch.isfinite(value).all() for value in weights.extract(loaded).named().values())


def test_the_polish_model(polish):
    config = polish.model.config
    assert (config.d_model, config.n_heads, config.n_layers, config.n_positions) == (256, 8, 2, 256)
    assert polish.model.unembed.weight is polish.model.embed.weight
    assert len(polish.tokenizer) == polish.model.embed.weight.shape[0]
    figures = cards.figures("minigpt-polish")
    assert isinstance(figures["heldout_loss"], Interval)
    assert figures["heldout_loss"].high < figures["unigram_entropy"] < figures["untrained_heldout_loss"]
    log = cards.training_log("minigpt-polish")
    assert log["heldout_loss"].iloc[-1] < log["heldout_loss"].iloc[0]


def test_an_export_is_whole_and_picks_the_median(tmp_path, monkeypatch):
    """The recipe with two steps and one later: what it writes can be loaded, and it does not train again what is there."""
    monkeypatch.setattr(recipe, "CHECKPOINTS", tmp_path / "checkpoints")
    monkeypatch.setattr(recipe, "STEPS", 2)
    monkeypatch.setattr(recipe, "SNAPSHOTS", (0, 2))
    monkeypatch.setattr(recipe, "LATER", (recipe.LATER[1]._replace(steps=1, snapshots=(1,)),))
    monkeypatch.setattr(recipe, "LAST", 3)
    monkeypatch.setattr(recipe, "measure_placements", lambda model: [[4, 0, 1, 0.5]])
    monkeypatch.setattr(recipe, "MEASURED_EVERY", 2)
    measure = recipe.measure
    monkeypatch.setattr(recipe, "measure", lambda model, _n=None: measure(model, 8))
    folder = recipe.export(tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / recipe.NAME).rglob("*")}
    assert recipe.export(tmp_path) == folder
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / recipe.NAME).rglob("*")} == kept
    assert [path.name for path in folder.parent.iterdir()] == [recipe.NAME]
    stored = json.loads((folder / "seeds.json").read_text(encoding="utf-8"))
    scores = [max(run["first_stage"]["induction"][1]) for run in stored["runs"]]
    assert scores[stored["shipped"]] == sorted(scores)[2]
    assert [row["step"] for row in stored["runs"][0]["log"]] == [0, 2, 3]
    loaded = models.load(folder)
    shipped = load_file(folder / "seeds" / f"seed-{stored['shipped']}.safetensors")
    assert torch.equal(loaded.model.embed.weight, shipped["embed.weight"].float())
    kept = sorted(path.name for path in (folder / "snapshots").iterdir())
    assert kept == ["step-00000.safetensors", "step-00002.safetensors"]
