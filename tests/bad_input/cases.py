"""All bad inputs, in the order of the page."""

from tests.bad_input import on_data, on_models
from tests.bad_input.case import Case

CASES: list[Case] = [*on_models.CASES, *on_data.CASES]
