"""Docstrings written like chapters become what Sphinx reads (tools/docstring_markup.py)."""

import docstring_markup
import pytest


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("rows multiply, $x W_Q$, from the left", "rows multiply, :math:`x W_Q`, from the left"),
        ("$a$ and $b$", ":math:`a` and :math:`b`"),
        ("`$HOME` and ``$x$``", "`$HOME` and ``$x$``"),
        ("from 5 $ to 10 $", "from 5 $ to 10 $"),
        ("  $$x^2$$", "  .. math:: x^2"),
    ],
)
def test_formulas(written, read):
    lines = [written]
    docstring_markup.rewrite(None, "function", "f", None, None, lines)
    assert lines == [read]


def test_a_span_of_code_over_two_lines_is_joined():
    assert docstring_markup.whole_spans(["columns `a", "    b c` here", "`d`", "e"]) == ["columns `a b c` here", "`d`", "e"]


def test_a_paragraph_of_returns_is_one_value():
    head = ["Summary.", "", "Returns", "-------"]
    read = docstring_markup.free_returns([*head, "A table of", "two columns.", ""])
    assert read == ["Summary.", "", "", "", ":returns: A table of two columns.", ""]
    listed = [*head, "int", "    The first.", ""]
    assert docstring_markup.free_returns(listed) == listed
