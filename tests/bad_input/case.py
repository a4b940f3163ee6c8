"""What a bad input is: what was tried, the call, and the words that its error has to name."""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One row of the page.

    Attributes
    ----------
    room : str
        What the input is.
    tried : str
        The input in words, with code between backticks.
    call : callable
        Gets an empty folder and has to raise.
    names : str
        What the error has to say: the argument, the file or the variable.
    """

    room: str
    tried: str
    call: Callable[[Path], object]
    names: str


@cache
def sentence(case: Case) -> tuple[str, str]:
    """The kind of the error and what it says, with the folder as `…`; AssertionError where none is raised."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            case.call(Path(folder))
        except (ValueError, TypeError, KeyError, ConnectionError) as error:
            said = error.args[0] if isinstance(error, KeyError) else str(error)
            # What else can be loaded depends on what is installed.
            return type(error).__name__, re.sub(r"Study names: .*", "Study names: …", said.replace(folder, "…"))
    raise AssertionError(f"{case.tried}: no error was raised")
