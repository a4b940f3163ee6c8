"""What oracles said when they were last asked, beside what the library says now; and the oracles themselves where they are installed."""

import json
import math
from functools import cache
from importlib.util import find_spec

import numpy as np
import oracles
import pytest

from tests.oracles import inputs
from tests.oracles.quantities import QUANTITIES
from tests.oracles.quantity import STORED, Quantity, largest_difference, stored

BY_KEY = {quantity.key: quantity for quantity in QUANTITIES}
INSTALLED = [name for name, modules in oracles.MODULES.items() if all(find_spec(module.split(".")[0]) for module in modules)]


@pytest.fixture(scope="module")
def recorded() -> dict[str, dict[str, np.ndarray]]:
    return oracles.read_numbers()


@pytest.fixture(scope="module")
def record() -> dict:
    return json.loads(oracles.RECORD.read_text(encoding="utf-8"))


def test_the_oracles_were_asked_about_the_models_that_are_shipped(record):
    """Where this fails, weights have changed since: `make oracles` asks again, and until then the tests below say nothing."""
    assert {name: inputs.shipped(name).revision for name in inputs.SHIPPED} == record["models"]


@cache
def ours(key: str):
    return BY_KEY[key].ours()


@pytest.mark.parametrize("key", BY_KEY)
def test_the_library_still_agrees_with_what_the_oracle_said(recorded, key):
    assert largest_difference(stored(ours(key)), recorded[key]) <= BY_KEY[key].tolerance


@pytest.mark.parametrize("key", [key for key, quantity in BY_KEY.items() if quantity.oracle in INSTALLED])
def test_the_library_agrees_with_the_oracle(key):
    assert largest_difference(ours(key), BY_KEY[key].theirs()) <= BY_KEY[key].tolerance


def test_every_quantity_is_recorded_with_a_version_and_within_its_tolerance(recorded, record):
    assert set(recorded) == set(record["differences"]) == set(BY_KEY)
    assert len(BY_KEY) == len(QUANTITIES)
    for key, found in record["differences"].items():
        assert found["largest"] <= BY_KEY[key].tolerance, key
        assert found["numbers"] > 0
        assert BY_KEY[key].oracle in record["versions"]


def test_the_page_is_written_from_the_record(record):
    assert oracles.PAGE.read_text(encoding="utf-8") == oracles.page(record)


def test_other_parts_or_shapes_are_no_agreement():
    a = {"x": np.zeros((2, 3)), "y": np.ones(2)}
    assert largest_difference(a, a) == 0
    assert largest_difference(a, {"x": a["x"] + 0.5, "y": a["y"]}) == 0.5
    for wrong in ({"x": a["x"]}, {"x": a["x"][:1], "y": a["y"]}, {"x": a["x"][0], "y": a["y"]}):
        assert math.isinf(largest_difference(a, wrong))
    assert math.isinf(largest_difference({"x": np.array([np.nan])}, {"x": np.array([0.0])}))
    assert math.isinf(largest_difference({"x": np.zeros(0)}, {"x": np.zeros(0)}))


def test_the_fixture_keeps_the_same_numbers_of_a_large_part_each_time():
    values = np.arange(10_000.0).reshape(100, 100)
    first, again = (stored({"x": values})["x"] for _ in range(2))
    assert len(first) == STORED
    assert np.array_equal(first, again)
    assert np.array_equal(stored({"x": values[0]})["x"], values[0])


@pytest.mark.parametrize("key", BY_KEY)
def test_a_wrong_number_would_be_seen(recorded, key):
    """The tolerance is small beside the numbers themselves."""
    quantity: Quantity = BY_KEY[key]
    spread = max(float(np.abs(values).max()) for values in recorded[key].values())
    assert quantity.tolerance < 0.05 * spread
