"""Sphinx extension: docstrings may be written as the chapters are, with ``$x W$`` for formulas and single backticks for code.

Backticks need the setting ``default_role: code``, and to open and close on one line; formulas become math roles. Both are
arranged here before napoleon, which takes sections apart line by line.
"""

import re

LITERAL = re.compile(r"(``[^`]*``|`[^`]*`)")
FORMULA = re.compile(r"(?<![\\$\w])\$(?=[^\s$])([^$`]*[^\s$`])\$(?![\w$])")
DISPLAY = re.compile(r"^(\s*)\$\$(.+)\$\$\s*$")


def formulas(line: str) -> str:
    """One line of a docstring with its ``$…$`` as math roles; what stands in backticks is left alone."""
    parts = LITERAL.split(line)
    return "".join(part if part.startswith("`") else FORMULA.sub(r":math:`\1`", part) for part in parts)


def whole_spans(lines: list[str]) -> list[str]:
    """The lines, with those joined between which a backtick is open."""
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].replace("``", "").count("`") % 2:
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return joined


def free_returns(lines: list[str]) -> list[str]:
    """The lines, with a ``Returns`` section that is a paragraph made a field: napoleon takes each line for a type."""
    for start in range(len(lines) - 2):
        if lines[start].strip() in {"Returns", "Yields"} and set(lines[start + 1].strip()) == {"-"}:
            end = start + 2
            while end < len(lines) and lines[end].strip():
                end += 1
            section = lines[start + 2 : end]
            if len({len(line) - len(line.lstrip()) for line in section}) == 1:  # nothing is indented: no list of values
                text = " ".join(line.strip() for line in section)
                # Two empty lines end the section before, whatever it is.
                return [*lines[:start], "", "", f":returns: {text}", *lines[end:]]
    return lines


def rewrite(app, what, name, obj, options, lines):
    changed = []
    for line in free_returns(whole_spans(lines)):
        display = DISPLAY.match(line)
        if display:
            changed += [f"{display[1]}.. math:: {display[2]}"]
        else:
            changed.append(formulas(line))
    lines[:] = changed


def setup(app):
    app.connect("autodoc-process-docstring", rewrite, priority=400)  # napoleon has 500
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
