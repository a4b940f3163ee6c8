"""Write `book/bad_input.md`: what was tried, and the sentence that each bad input gets. A test compares the page with the errors.

Usage: ``python tools/bad_input_page.py``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from whole_files import write_whole

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "book/bad_input.md"
sys.path.insert(0, str(ROOT))

if TYPE_CHECKING:
    from tests.bad_input.case import Case

INTRODUCTION = """\
# Bad input

Every mistake in the tables below ends in one message that names the argument, says what was found, and says what was expected. It
comes before any heavy work.

The tables hold {count} mistakes in what the library is given. Each is a test, and this page is written from what the errors say. `…`
stands for a folder, or for the list of study names.
"""


def page(cases: Sequence[Case]) -> str:
    """The page, a table for each kind of input."""
    from tests.bad_input.case import sentence

    lines = [INTRODUCTION.format(count=len(cases))]
    for room in dict.fromkeys(case.room for case in cases):
        lines += [f"## {room}", "", "| What was tried | Error | What it says |", "|---|---|---|"]
        for case in (case for case in cases if case.room == room):
            kind, said = sentence(case)
            lines.append(f"| {case.tried[0].upper()}{case.tried[1:]} | `{kind}` | {literal(said)} |")
        lines.append("")
    return "\n".join(lines)


def literal(said: str) -> str:
    """A sentence as it is, between backticks, in the cell of a table."""
    return f"`` {said.replace('|', chr(92) + '|')} ``" if "`" in said else f"`{said.replace('|', chr(92) + '|')}`"


if __name__ == "__main__":
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.pop("ANALYSIS_MODELS", None)
    from tests.bad_input.cases import CASES

    write_whole(PAGE, page(CASES))
