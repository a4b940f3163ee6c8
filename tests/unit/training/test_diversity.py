"""The recipe of task diversity, on models of a few numbers, and the file that it left."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from analysis_lib.incontext import estimators
from training import diversity


class Answers(torch.nn.Module):
    """Stands where a model does and answers as an estimator."""

    def __init__(self, estimator):
        super().__init__()
        self.estimator, self.anchor = estimator, torch.nn.Parameter(torch.zeros(1))

    def forward(self, xs, ys):
        return type("Output", (), {"predictions": torch.tensor(self.estimator(xs, ys), dtype=torch.float32)})


def test_fewer_tasks_are_the_first_of_more_and_each_seed_has_its_own():
    assert torch.equal(diversity.tasks_of(4, 1), diversity.tasks_of(64, 1)[:4])
    assert not torch.equal(diversity.tasks_of(4, 1), diversity.tasks_of(4, 2))
    drawn = diversity.recipe(4, 0).draw(50, 7)
    assert all(any(torch.equal(w, task) for task in diversity.tasks_of(4, 0)) for w in drawn.w)


@pytest.mark.parametrize("kind", ["tasks", "ridge"])
def test_a_model_that_is_an_estimator_is_at_no_distance_from_it(kind):
    tasks, noise = diversity.tasks_of(4, 0), diversity.NOISE
    answer = {
        "tasks": lambda xs, ys: estimators.bayes_of_tasks(xs, ys, tasks, noise),
        "ridge": lambda xs, ys: estimators.bayes_ridge(xs, ys, noise),
    }[kind]
    for row in diversity.distances(Answers(answer), 4, 0, n=50):
        other = "ridge" if kind == "tasks" else "tasks"
        assert row[f"model_to_{kind}"] == pytest.approx(0, abs=1e-10)
        assert row[f"model_to_{other}"] == pytest.approx(row["tasks_to_ridge"], rel=1e-4)
        assert row["loss_model"] == pytest.approx(row[f"loss_{kind}"], rel=1e-4)


def test_a_run_trains_measures_and_goes_on(tmp_path, monkeypatch):
    recipe, trained = diversity.recipe, []
    small = lambda count, seed: replace(recipe(count, seed), config={**recipe(count, seed).config, "n_embd": 8, "n_layer": 1})  # noqa: E731
    monkeypatch.setattr(diversity, "recipe", small)
    monkeypatch.setattr(diversity, "N_TEST", 40)
    batch_of = diversity.regressor.batch_of
    monkeypatch.setattr(diversity.regressor, "batch_of", lambda task, seed, step: trained.append(step) or batch_of(task, seed, step))
    first = diversity.run((4, 16), [0], tmp_path, steps=2)
    assert list(first["tasks"]) == [4, 4, 16, 16]
    assert list(first["prompts"]) == ["training", "new"] * 2
    assert (first.filter(like="_to_") > 0).all(axis=None)
    again = diversity.run((4, 16), [0], tmp_path, steps=2)
    assert trained == [0, 1, 0, 1]  # what is done is not trained again
    pd.testing.assert_frame_equal(first, again)
