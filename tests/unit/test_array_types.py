"""The import hook that checks annotated arrays is in force, and catches a wrong shape and a wrong type."""

import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError, jaxtyped

from analysis_lib.projections import overlap
from tests.support import array_types


@jaxtyped(typechecker=array_types.check)
def told(kept: list[int], values: np.ndarray) -> Float[np.ndarray, "row row"]:
    return values


def test_a_wrong_shape_and_a_wrong_type_are_caught():
    assert told("no list: left to mypy", np.eye(3)).shape == (3, 3)
    for wrong in (np.ones((2, 3)), np.ones(3), np.eye(3, dtype=int)):
        with pytest.raises(TypeCheckError):
            told([], wrong)


def test_the_hook_wraps_the_functions_of_a_study():
    assert hasattr(overlap.top_overlap, "__wrapped__")
