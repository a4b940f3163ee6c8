"""Every bad input ends in a sentence that names what was wrong, and the page of the book shows that sentence."""

import bad_input_page
import pytest

from tests.bad_input.case import Case, sentence
from tests.bad_input.cases import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.room}: {case.tried}")
def test_it_names_what_was_wrong(case: Case):
    kind, said = sentence(case)
    assert case.names in said
    assert 15 < len(said) < 420
    assert "\n" not in said
    assert kind in {"ValueError", "TypeError", "KeyError", "CheckpointError"}


def test_the_page_shows_what_the_errors_say():
    assert bad_input_page.PAGE.read_text(encoding="utf-8") == bad_input_page.page(CASES)


def test_rows_are_told_apart():
    assert len({(case.room, case.tried) for case in CASES}) == len(CASES) > 60
