"""A small regressor whose heads say something, and prompts for it."""

import pytest

from analysis_lib import incontext
from tests.support import tiny, tiny_circuits


@pytest.fixture(scope="module")
def model():
    return tiny.regressor(loud=True)


@pytest.fixture(scope="module")
def loaded(model):
    return tiny_circuits.loaded(model)


@pytest.fixture(scope="module")
def drawn():
    return incontext.linear_prompts(30, 5, 2, seed=0)
