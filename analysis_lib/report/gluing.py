"""Numbers handed to the text of the pages. This is the only module that knows of glue (`myst_nb`)."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis_lib.report.words import is_missing, parts_of, scalar, slug, word_interval


def glue(key: str, value: Any) -> None:
    """Hand a number or some words to the text of the pages, where the role `glue:text` with the key shows it.

    Give numbers that can be negative as words (`report.number(x)`), since a format in the page, ``key:.2f``, knows no true
    minus sign.

    Parameters
    ----------
    key : str
        Unique on the page.
    value : str, int or float
        Scalars of NumPy and torch are turned into Python's.

    Raises
    ------
    TypeError
        `value` is neither a number nor a string: word it first.
    """
    value = _glueable(key, value)
    try:
        from IPython import get_ipython
        from myst_nb import glue as to_page
    except ImportError:  # a plain notebook, without the tools of the book
        return
    if get_ipython() is not None:
        to_page(key, value, display=False)


def glue_keys(frame: pd.DataFrame | pd.Series, prefix: str, digits: int = 2) -> dict[str, Any]:
    """The keys and values that `glue_frame` glues: ``prefix-row-column``, or ``prefix-row`` for a series.

    Row and column are the labels, with everything but letters, digits and underscores turned into single hyphens; the levels
    of a `MultiIndex` are joined by hyphens. Missing values have no key.

    Parameters
    ----------
    frame : DataFrame or Series
        Cells are numbers, worded strings or intervals (with `estimate`, `low`, `high`), which are worded here.
    prefix : str
        First part of every key; by custom the short name of the chapter and of the finding.
    digits : int
        Decimals of intervals.

    Raises
    ------
    ValueError
        Two cells would get the same key.

    Examples
    --------
    >>> frame = pd.DataFrame({"loss": [4.25, 5.5], "Δ loss": ["−0.10", None]}, index=["polish-gpt2", "herbert (mini)"])
    >>> glue_keys(frame, "models")
    {'models-polish-gpt2-loss': 4.25, 'models-herbert-mini-loss': 5.5, 'models-polish-gpt2-Δ-loss': '−0.10'}
    """
    if isinstance(frame, pd.Series):
        cells = [(parts_of(row), value) for row, value in frame.items()]
    else:  # column by column, since each has a type of its own
        cells = [(parts_of(row) + parts_of(column), x) for column, values in frame.items() for row, x in values.items()]
    found: dict[str, Any] = {}
    for label, value in cells:
        if is_missing(value):
            continue
        key = "-".join([prefix, *map(slug, label)])
        if key in found:
            raise ValueError(f"frame: two cells would get the key {key!r}")
        found[key] = _glueable(key, word_interval(value, digits))
    return found


def glue_frame(frame: pd.DataFrame | pd.Series, prefix: str, digits: int = 2) -> None:
    """Glue every cell of a frame, keyed ``prefix-row-column`` as `glue_keys` says.

    Examples
    --------
    One cell of a chapter glues a whole table of findings, and the page shows the one with the key `geo-herbert-peak`:

    >>> glue_frame(pd.DataFrame({"peak": ["0.93 [0.92, 0.94]"]}, index=["herbert"]), "geo")
    """
    for key, value in glue_keys(frame, prefix, digits).items():
        glue(key, value)


def _glueable(key: str, value: Any) -> str | int | float:
    value = scalar(value)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise TypeError(
            f"value of {key!r}: expected a number or a string, got {type(value).__name__}; word it with the functions of report"
        )
    return value
