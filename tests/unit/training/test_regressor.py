import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from analysis_lib import models
from training import regressor, regressor_export


@pytest.fixture
def tiny_tasks(monkeypatch):
    """The recipes' tasks with models of a few numbers, four steps long, eight prompts a batch."""
    tasks = {name: replace(task, config={**task.config, "n_embd": 8, "n_layer": 1}, steps=4) for name, task in regressor.TASKS.items()}
    for module in (regressor, regressor_export):
        monkeypatch.setattr(module, "TASKS", tasks)
        monkeypatch.setattr(module, "BATCH", 8)
    monkeypatch.setattr(regressor, "LOG_EVERY", 1)
    monkeypatch.setattr(regressor, "SAVE_SECONDS", -1)  # save every step
    monkeypatch.setattr(regressor_export, "N_TEST", 60)
    monkeypatch.setattr(regressor_export, "N_COMPONENTS", 20)
    return tasks


def test_the_schedule_rises_and_falls_to_two_per_cent():
    shares = [regressor.schedule(step, 2000) for step in range(2000)]
    assert shares[0] == 1 / 200
    assert max(shares) == shares[199] == shares[200] == 1
    assert np.all(np.diff(shares[:200]) > 0)
    assert np.all(np.diff(shares[200:]) <= 0)
    assert regressor.schedule(1100, 2000) == pytest.approx(0.51)  # half way down
    assert regressor.schedule(2000, 2000) == pytest.approx(0.02)


def test_a_batch_is_a_function_of_seed_and_step():
    task = regressor.TASKS["regressor-noisy"]
    for step in (0, 150, 400):
        first, again = regressor.batch_of(task, 1, step), regressor.batch_of(task, 1, step)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert not torch.equal(first[1], regressor.batch_of(task, 2, step)[1])


@pytest.mark.parametrize(("step", "dims", "points"), [(0, 1, 4), (99, 1, 4), (100, 2, 7), (200, 3, 10), (299, 3, 10), (5000, 3, 10)])
def test_linear_functions_grow(step, dims, points):
    xs, ys = regressor.batch_of(regressor.TASKS["regressor"], 0, step)
    assert xs.shape == (64, points, 3)
    assert ys.shape == (64, points)
    assert torch.equal((xs != 0).any(0).any(0), torch.arange(3) < dims)
    w = torch.linalg.lstsq(xs[..., :dims].double(), ys[..., None].double()).solution
    torch.testing.assert_close((xs[..., :dims].double() @ w)[..., 0], ys.double(), rtol=1e-4, atol=1e-4)  # still linear in what is left


@pytest.mark.parametrize(("name", "ratio"), [("regressor", (1 + 0.1) / 0.1), ("regressor-noisy", 1), ("model-selector", 1)])
def test_points_weigh_by_what_cannot_be_known(name, ratio):
    weights = regressor.point_weights(regressor.TASKS[name])
    assert weights.mean() == pytest.approx(1, abs=1e-6)
    assert (weights.diff() >= -1e-6).sum() >= len(weights) - 2  # errors fall as points are shown, up to chance
    assert weights[4] / weights[0] == pytest.approx(
        ratio, rel=0.15
    )  # the first leaves the variance of y / d, which is 1, the fifth nothing


def test_matrices_of_the_blocks_are_muons_and_the_rest_is_adams():
    task = regressor.TASKS["regressor"]
    model = regressor.build(task, 0)
    (adam, rate), (muon, muon_rate) = regressor.optimizers_of(model, task, task.rate)
    given = [p for optimizer in (adam, muon) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(map(id, given)) == sorted(map(id, model.parameters()))
    assert (rate, muon_rate) == (task.rate, task.muon)
    assert len(muon.param_groups[0]["params"]) == 4 * model.config.n_layer
    assert len(regressor.optimizers_of(model, regressor.TASKS["model-selector"], 1e-3)) == 1


def test_seeds_of_training_prompts_are_no_small_numbers():
    """Torch's generator keeps 32 bits of a seed; whatever a reader may choose, and the recipe's own, must stay fresh."""
    steps = 10**6
    for seed in range(20):
        first = regressor.TRAINING_SEEDS * (seed + 1) % 2**32
        assert first > 10**8
        for own in (regressor.VALIDATION_SEED, regressor_export.TEST_SEED, regressor_export.CALIBRATION_SEED):
            assert not first <= own < first + steps
    one, other = (torch.randn(3, generator=torch.Generator().manual_seed(s)) for s in (5, 5 + 2**32))
    assert torch.equal(one, other)


class Killed(BaseException):
    pass


@pytest.mark.parametrize("name", ["regressor", "model-selector-few"])
def test_a_killed_run_goes_on_as_if_never_killed(tiny_tasks, tmp_path, monkeypatch, name):
    regressor.train(name, 0, tmp_path / "straight")
    batch_of = regressor.batch_of

    def killing(task, seed, step):
        if step == 3:
            raise Killed
        return batch_of(task, seed, step)

    monkeypatch.setattr(regressor, "batch_of", killing)
    with pytest.raises(Killed):
        regressor.train(name, 0, tmp_path / "killed")
    monkeypatch.setattr(regressor, "batch_of", batch_of)
    progress = regressor.train(name, 0, tmp_path / "killed")
    assert (progress["step"], progress["steps"]) == (4, 4)
    folders = [tmp_path / run / name / "seed-0" for run in ("straight", "killed")]
    straight, killed = (load_file(folder / "state.safetensors") for folder in folders)
    assert straight.keys() == killed.keys()
    assert all(torch.equal(straight[key], killed[key]) for key in straight)
    logs = [[line.rsplit(",", 1)[0] for line in (folder / "log.csv").read_text().splitlines()] for folder in folders]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 5


@pytest.mark.parametrize("name", ["regressor", "regressor-noisy", "model-selector", "model-selector-few"])
def test_a_checkpoint_holds_every_seed_and_ships_the_best(tiny_tasks, tmp_path, monkeypatch, name):
    monkeypatch.setattr(regressor_export, "CHECKPOINTS", tmp_path / "checkpoints")
    (tmp_path / "checkpoints").mkdir()
    for seed in (0, 1):
        regressor.train(name, seed, tmp_path)
    folder = regressor_export.export(name, tmp_path, "a CPU")
    assert folder == tmp_path / "checkpoints" / models.STUDIES[name].embedded
    seeds = json.loads((folder / "seeds.json").read_text())
    chosen = min(seeds, key=lambda seed: seeds[seed]["validation_loss"])
    figures = json.loads((folder / "evaluation.json").read_text())
    assert figures["run"]["seed"] == int(chosen)
    assert figures["run"]["device"] == "a CPU"
    loaded = models.load(folder)
    weights = load_file(folder / "seeds" / f"seed-{chosen}.safetensors")
    assert all(torch.equal(value.half(), weights[key]) for key, value in loaded.model.state_dict().items())
    task = tiny_tasks[name]
    loss = regressor.measured_errors(loaded.model, task, task.draw(1000, regressor.VALIDATION_SEED)).mean()
    assert figures["validation_loss"] == pytest.approx(float(loss), rel=1e-5)
    card = (folder / "README.md").read_text()
    assert f"{figures['validation_loss']:.4f}" in card
    assert all(f"| seed {seed} |" in card for seed in (0, 1))
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_a_variant_inside_the_folder_is_kept(tiny_tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(regressor_export, "CHECKPOINTS", tmp_path)
    for name in ("regressor", "regressor-noisy"):
        regressor.train(name, 0, tmp_path / "work")
        regressor_export.export(name, tmp_path / "work", "")
    regressor_export.export("regressor", tmp_path / "work", "")
    assert models.load(tmp_path / "regressor" / "noisy").model.config.layout == "interleaved"


def test_unfinished_and_missing_runs_are_not_exported(tiny_tasks, tmp_path, monkeypatch):
    monkeypatch.setattr(regressor_export, "CHECKPOINTS", tmp_path)
    with pytest.raises(ValueError, match="expected finished runs in .*, found none"):
        regressor_export.export("regressor", tmp_path, "")
    regressor.train("regressor", 0, tmp_path)
    restore = regressor_export.restore
    monkeypatch.setattr(regressor_export, "restore", lambda *found: (restore(*found)[0], {"step": 3, "steps": 4}))
    with pytest.raises(ValueError, match="seed-0: expected a finished run, found 3 of 4 steps"):
        regressor_export.export("regressor", tmp_path, "")


@pytest.mark.parametrize(("trial", "found"), [({"steps": 2}, "2 at 0.003"), ({"rate": 0.01}, "4 at 0.01")])
def test_trial_runs_are_not_exported(tiny_tasks, tmp_path, monkeypatch, trial, found):
    monkeypatch.setattr(regressor_export, "CHECKPOINTS", tmp_path)
    regressor.train("regressor", 0, tmp_path, **trial)
    with pytest.raises(ValueError, match=f"seed-0: expected a run of 4 steps at rate 0.003, found {found}"):
        regressor_export.export("regressor", tmp_path, "")
