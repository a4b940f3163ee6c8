"""The examples in the library's docstrings run and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[2] / "analysis_lib"
WITH_EXAMPLES = sorted(path for path in LIBRARY.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_examples(path):
    parts = path.relative_to(LIBRARY.parent).with_suffix("").parts
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
