"""What position and frequency explain of single dimensions: planted causes, chance, bad input."""

import numpy as np
import pytest

from analysis_lib.geometry.causes import explained_share, frequency_columns, position_columns


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
