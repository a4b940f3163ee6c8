"""The embedded regressors do on fresh prompts what their cards say."""

import functools
import json
import math

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from analysis_lib import incontext, models, weights
from analysis_lib.models import cards, training_history
from analysis_lib.models.regressor import Regressor
from tests.support.offline import folder_of, load, needs

NAMES = ("regressor", "regressor-noisy", "model-selector", "model-selector-few")
FRESH = 20_260_000  # a seed that no recipe draws from (tests/unit/training/test_regressor.py)


@pytest.fixture(scope="module", params=[needs(name) for name in NAMES])
def loaded(request):
    return load(request.param)


def errors_of(model, found, unit=1.0):
    with torch.inference_mode():
        parts = zip(found.xs.split(1000), found.ys.split(1000), strict=True)
        return torch.cat([(model(xs, ys).predictions - ys).square() for xs, ys in parts]) / unit


def standard_error(values):
    return float(values.std() / math.sqrt(len(values)))


@functools.cache
def linear(name, n=4000):
    """A linear regressor, prompts of the kind that it was trained on, and its errors."""
    model, noise = load(name).model, 0.5 if name == "regressor-noisy" else 0.0
    d = model.config.n_dims
    found = incontext.linear_prompts(n, model.config.n_points, d, FRESH, noise=noise)
    return model, found, errors_of(model, found, d)


def test_a_checkpoint_has_its_records_a_card_and_float16_weights(loaded):
    folder = folder_of(loaded.name)
    assert {"README.md", "config.json", "evaluation.json", "model.safetensors", "seeds.json", "training_log.csv"} <= {
        path.name for path in folder.iterdir()
    }
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 16_000_000
    with safe_open(folder / "model.safetensors", framework="pt") as handle:
        assert {handle.get_slice(name).get_dtype() for name in handle.keys()} == {"F16"}  # noqa: SIM118
    card = (folder / "README.md").read_text(encoding="utf-8").lower()
    assert all(word in card for word in ("licen", "tokens", "held-out", "seed", "untrained", "limits"))


def test_loaded_as_every_model_is(loaded):
    assert type(loaded.model) is Regressor
    assert loaded.tokenizer is None
    assert loaded.source == "embedded"
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    found = weights.extract(loaded)
    assert (found.n_layers, found.n_heads, found.d_model) == (3, 2, 64)
    twin = models.untrained_like(loaded, 0)
    assert type(twin.model) is Regressor


def test_the_shipped_seed_is_the_one_of_the_lowest_validation_loss(loaded):
    folder = folder_of(loaded.name)
    seeds = json.loads((folder / "seeds.json").read_text())
    chosen = min(seeds, key=lambda seed: seeds[seed]["validation_loss"])
    stored = load_file(folder / "seeds" / f"seed-{chosen}.safetensors")
    assert stored.keys() == loaded.model.state_dict().keys()
    assert all(torch.equal(value.half(), stored[name]) for name, value in loaded.model.state_dict().items())
    assert {path.name for path in (folder / "seeds").iterdir()} == {f"seed-{seed}.safetensors" for seed in seeds}
    assert cards.figures(loaded.name)["validation_loss"] == seeds[chosen]["validation_loss"]


def test_every_seed_can_be_loaded_and_has_its_figures(loaded):
    seeds, figures = training_history.seed_models(loaded.name), training_history.seed_figures(loaded.name)
    assert seeds.keys() == figures.keys()
    shipped = min(figures, key=lambda seed: figures[seed]["validation_loss"])
    for seed, twin in seeds.items():
        same = all(torch.equal(value, loaded.model.state_dict()[name]) for name, value in twin.model.state_dict().items())
        assert same == (seed == shipped)
        assert not twin.model.training
        assert twin.model.config._attn_implementation == "eager"


def test_seeds_of_other_models_are_refused():
    with pytest.raises(ValueError, match="name: expected a study name"):
        training_history.seed_models("no-such")
    with pytest.raises(ValueError, match="herbert: expected weights in"):
        training_history.seed_models("herbert")


def test_the_log_falls(loaded):
    log = cards.training_log(loaded.name)
    assert log["heldout_loss"].iloc[-1] < log["heldout_loss"].iloc[0]
    assert log["heldout_loss"].iloc[-1] == pytest.approx(cards.figures(loaded.name)["validation_loss"], rel=0.01)  # float16
    assert (log["step"].diff().dropna() > 0).all()


@pytest.mark.parametrize("name", [needs("regressor"), needs("regressor-noisy")])
def test_linear_regressors_are_near_least_squares_from_2d_points_on(name):
    model, found, errors = linear(name)
    late = slice(2 * model.config.n_dims, None)
    least = incontext.squared_errors(incontext.least_squares(found.xs, found.ys), found.ys, model.config.n_dims)
    excess = (errors.numpy() - least)[:, late].mean(1)
    assert excess.mean() + 3 * standard_error(excess) < (0.05 if found.noise else 0.0075)


@pytest.mark.parametrize("name", [needs("regressor")])
def test_the_regressors_last_error_is_a_hundred_and_fiftieth_of_zeros(name):
    model, found, errors = linear(name)
    zero = found.ys[:, -1].square() / model.config.n_dims
    assert zero.mean() > 150 * errors[:, -1].mean()
    assert abs(zero.mean() - 1) < 5 * standard_error(zero)


@pytest.mark.parametrize("name", [needs("regressor"), needs("regressor-noisy")])
def test_nothing_beats_the_best_estimator(name):
    model, found, errors = linear(name)
    best = incontext.bayes_ridge(found.xs, found.ys, found.noise)
    gap = errors.numpy() - incontext.squared_errors(best, found.ys, model.config.n_dims)
    for k in range(model.config.n_points):
        assert gap[:, k].mean() > -4 * standard_error(gap[:, k])


@pytest.mark.parametrize("name", [needs("model-selector"), needs("model-selector-few")])
def test_the_selector_beats_both_ridges(name):
    model = load(name).model
    found = incontext.selector_prompts(6000, FRESH, n_fitted=6 if name.endswith("few") else 21)
    errors = errors_of(model, found)[:, -1]
    for ridge in (0, 1):
        lead = (found.xs[:, -1, ridge] - found.ys[:, -1]).square() - errors
        assert lead.mean() > 2 * standard_error(lead)


@pytest.mark.parametrize("name", [needs("regressor"), needs("model-selector")])
def test_training_is_what_did_it(name):
    loaded = load(name)
    twin = models.untrained_like(loaded, 0).model
    found = incontext.linear_prompts(1000, 10, 3, FRESH) if name == "regressor" else incontext.selector_prompts(1000, FRESH)
    zero = found.ys[:, -1].square().mean()
    assert errors_of(twin, found)[:, -1].mean() > 0.5 * zero  # its read-out happens to lean on what it reads
    assert errors_of(loaded.model, found)[:, -1].mean() < 0.1 * zero
