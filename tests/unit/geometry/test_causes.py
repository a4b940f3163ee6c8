"""What position and frequency explain of single dimensions: planted causes, chance, bad input."""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold

from analysis_lib.geometry import causes
from analysis_lib.geometry.causes import explained_share, frequency_columns, position_columns, readable_positions


def planted(n=1200, width=30, seed=0):
    """Unit-like states of which coordinate 3 follows the position, coordinate 5 nothing; texts of ten words."""
    rng = np.random.default_rng(seed)
    positions, texts = np.arange(n) % 10, np.arange(n) // 10
    states = 0.1 * rng.normal(size=(1, n, width))
    states[:, :, 0] = 10  # so that lengths hardly vary
    states[:, :, 3] = 0.1 * (positions == 4)
    return states, positions, texts


def test_a_planted_cause_is_found_in_its_dimension_and_nowhere_else():
    states, positions, texts = planted()
    columns = position_columns(positions)
    assert explained_share(states, columns, texts, [[3]]).at(0).low > 0.95
    other = explained_share(states, columns, texts, [[5]]).at(0)
    assert other.low < 0.01
    assert other.estimate == pytest.approx(0, abs=0.05)  # chance in other texts is just below zero
    both = explained_share(states, columns, texts, [[3, 5]])
    assert both.estimate[0] == pytest.approx((explained_share(states, columns, texts, [[3]]).estimate[0] + other.estimate) / 2)


def test_noise_columns_explain_nothing_in_other_texts():
    states, _, texts = planted()
    noise = np.random.default_rng(1).normal(size=(len(texts), 40))
    assert explained_share(states, noise, texts, [[5]]).estimate[0] < 0


def test_a_layer_is_the_average_over_its_dimensions():
    states, positions, texts = planted(width=4)
    columns = position_columns(positions)
    single = [explained_share(states, columns, texts, [[d]]).estimate[0] for d in range(4)]
    assert explained_share(states, columns, texts).estimate[0] == pytest.approx(np.mean(single))


def test_columns_say_what_they_should():
    np.testing.assert_array_equal(position_columns([0, 1, 2, 7], last=2), [[0, 0], [1, 0], [0, 1], [0, 1]])
    np.testing.assert_allclose(frequency_columns(["a", "b", "a"])[:, 0], [np.log(2), 0, np.log(2)])
    with pytest.raises(ValueError, match="last is 0"):
        position_columns([1], last=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": np.zeros(40)}, r"columns has shape \(40,\)"),
        ({"dimensions": [[30]]}, "numbers from 0 to 29"),
        ({"dimensions": [0]}, "dimensions has shape"),
        ({"texts": np.arange(40) % 3}, "texts are 3"),
        ({"states": np.ones((1, 40, 30))}, "coordinates that vary"),
    ],
)
def test_bad_input_is_named(change, message):
    states, positions, texts = planted(n=40)
    with pytest.raises(ValueError, match=message):
        explained_share(**({"states": states, "columns": position_columns(positions), "texts": texts} | change))


@pytest.mark.parametrize("step", [4, 8])
def test_a_period_that_the_positions_cannot_show_is_named(step):
    """Of positions 0, 8, 16 the wave of period 8 is the same everywhere, and of 0, 4, 8 its sine is."""
    states, positions, texts = numbered(0.1)
    with pytest.raises(ValueError, match=r"periods, positions: expected positions that differ within each period, found the same in \[8"):
        readable_positions(states, step * positions, texts)


def numbered(noise, n_texts=40, length=24, width=12, seed=0):
    """States of texts in which two coordinates turn with the position once in 8 tokens and two once in 32, under noise."""
    rng = np.random.default_rng(seed)
    positions, texts = np.tile(np.arange(length), n_texts), np.repeat(np.arange(n_texts), length)
    angles = 2 * np.pi * positions[:, None] / [8, 32]
    states = np.concatenate([np.sin(angles), np.cos(angles), np.zeros((len(texts), width - 4))], axis=1)
    turned = states @ np.linalg.qr(rng.normal(size=(width, width)))[0]
    return (turned + noise * rng.normal(size=states.shape))[None], positions, texts


def test_positions_that_turn_the_states_are_read_and_noise_hides_them():
    clear, positions, texts = numbered(0.01)
    assert readable_positions(clear, positions, texts, (8, 32), n_resamples=50).at(0).low > 0.99
    seen = [readable_positions(*numbered(noise), (8, 32), n_resamples=50).estimate[0] for noise in (0.1, 1, 10)]
    assert seen[0] > seen[1] > seen[2]
    # a wave of power 1/2 under noise of variance 1 in its own direction: a linear map explains (1/2) / (1/2 + 1) of it
    assert seen[1] == pytest.approx(1 / 3, abs=0.05)


def test_states_that_know_no_position_tell_none():
    _, positions, texts = numbered(0)
    noise = np.random.default_rng(1).normal(size=(1, len(texts), 12))
    found = readable_positions(noise, positions, texts)
    assert found.estimate[0] == pytest.approx(0, abs=0.05)
    assert found.estimate[0] < 0.02  # an overfit shows as a share below zero


def test_only_the_period_that_is_there_is_read():
    states, positions, texts = numbered(0.01)
    both = readable_positions(states, positions, texts, (8, 32)).estimate[0]
    with_a_third = readable_positions(states, positions, texts, (8, 32, 3)).estimate[0]
    assert both > 0.99
    assert with_a_third == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"periods": (2,)}, r"periods is \[2.0\]; expected numbers above 2"),
        ({"periods": ()}, r"periods is \[\]"),
        ({"positions": np.full(40, 7)}, "positions are all 7"),
        ({"texts": np.arange(40) % 3}, "texts are 3"),
    ],
)
def test_bad_input_of_positions_is_named(change, message):
    rng = np.random.default_rng(0)
    good = {"states": rng.normal(size=(1, 40, 5)), "positions": np.arange(40) % 10, "texts": np.arange(40) // 10}
    with pytest.raises(ValueError, match=message):
        readable_positions(**(good | change))


@pytest.mark.parametrize(("n", "width"), [(300, 20), (60, 90)])
def test_the_regression_from_products_of_folds_is_scikit_learns(n, width):
    """Also with more coordinates than rows, and one that does not vary."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, width)) * np.exp(rng.normal(size=width))
    x[:, 3] = 0
    y, groups = x[:, :2] @ rng.normal(size=(2, 6)) + rng.normal(size=(n, 6)), np.arange(n) // 6
    folds = list(GroupKFold(5).split(x, groups=groups))
    slopes, constant = causes._ridge(x, y, folds)
    theirs = RidgeCV(causes.PENALTIES, cv=folds).fit(x, y)
    np.testing.assert_allclose(x @ slopes + constant, theirs.predict(x), atol=1e-8)
