"""Comparing a selector with strategies: a planted selector is recognised, distances and errors are what they say."""

import numpy as np
import pytest
import torch

from analysis_lib import incontext
from analysis_lib.incontext import strategies
from analysis_lib.models.regressor import RegressorOutput
from tests.support import tiny, tiny_circuits


class Second(torch.nn.Module):
    """A planted selector that always trusts the second predictor; its zero parameter only says which type it computes in."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, xs, ys):
        return RegressorOutput(xs[..., 1] + self.nothing)


@pytest.fixture(scope="module")
def learned():
    return strategies.learn(6, n_prompts=150, seed=0, n_points=60)


@pytest.fixture(scope="module")
def comparison(learned):
    return strategies.compare(tiny_circuits.loaded(Second()), learned, n_prompts=40, seed=1)


def test_a_planted_selector_is_recognised(comparison):
    likeness = comparison.likeness().set_index("name")
    assert likeness.loc["ridge(0.8)"].tolist() == [0, 0, 0]
    assert likeness.loc["ridge(0.1)"].tolist() == pytest.approx([1, 1, 1])  # the unit itself
    assert (likeness.drop(["ridge(0.8)"])["low"] > 0).all()


def test_answers_are_those_of_the_prompts(comparison, learned):
    drawn = incontext.selector_prompts(40, seed=1, n_fitted=6)
    assert torch.equal(comparison.prompts.xs, drawn.xs)
    np.testing.assert_allclose(comparison.answers["stacking"], learned.stacking.predict(drawn.xs, drawn.ys))
    chosen = np.isclose(comparison.answers["hard choice"][..., None], drawn.xs)
    assert chosen.any(axis=-1).all()
    low, high = np.sort(drawn.xs.double().numpy(), axis=-1)[..., [0, 1]].transpose(2, 0, 1)
    between = comparison.answers["averaging of both"]
    assert ((between >= low - 1e-9) & (between <= high + 1e-9)).all()


def test_errors_leave_the_first_point_out(comparison):
    table = comparison.error_table().set_index("answerer")
    expected = (comparison.prompts.xs[:, 1:, 0] - comparison.prompts.ys[:, 1:]).square().double().mean()
    assert table.loc["ridge(0.1)", "error"] == pytest.approx(float(expected), rel=1e-5)
    difference = table.loc["ridge(0.1)", "difference"]
    assert difference.estimate == pytest.approx(table.loc["transformer", "error"] - table.loc["ridge(0.1)", "error"])
    assert table.loc["transformer", "difference"] is None
    assert table.loc["ridge(0.8)", "difference"] == (0, 0, 0)


def test_another_model_changes_only_the_transformer(comparison):
    loaded = tiny_circuits.loaded(tiny.regressor(n_dims=2, n_points=21))
    other = comparison.answered_by(loaded)
    np.testing.assert_array_equal(other.answers["transformer"], incontext.predict(loaded, other.prompts.xs, other.prompts.ys))
    assert all(other.answers[name] is values for name, values in comparison.answers.items() if name != "transformer")


def test_weights_by_odds_of_planted_answerers(learned):
    table = strategies.weights_by_odds(tiny_circuits.loaded(Second()), learned, n_prompts=200, seed=2, n_measured=3)
    by_answerer = {name: part for name, part in table.groupby("answerer")}  # noqa: C416 (a GroupBy has `keys`, so dict() takes it for a mapping)
    assert (by_answerer["transformer"]["estimate"] == 1).all()
    hard = by_answerer["hard choice"]
    clear = hard[hard["log_odds"].abs() > 0.5]  # the bin around 0 holds choices of both kinds
    assert (clear["estimate"] == (clear["log_odds"] > 0)).all()
    averaging = by_answerer["averaging of both"]
    assert averaging["estimate"].is_monotonic_increasing
    assert len(hard) >= 3
