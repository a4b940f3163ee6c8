"""Sphinx extension that lets docstrings use the chapters' markup: ``$x W$`` for formulas and single backticks for code.

Backticks need the setting ``default_role: code`` and must open and close on one line; formulas become math roles. Both are
prepared here before napoleon, which parses sections line by line, sees the docstring.
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
    """The lines, where a span of backticks that runs over several lines is joined into one."""
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].replace("``", "").count("`") % 2:
            joined[-1] += " " + line.strip()
        else:
            joined.append(line)
    return joined


def free_returns(lines: list[str]) -> list[str]:
    """The lines, where a ``Returns`` section that is one paragraph becomes a field; napoleon would take each of its lines for a type."""
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
    app.connect("autodoc-process-docstring", rewrite, priority=400)  # before napoleon, which has 500
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
