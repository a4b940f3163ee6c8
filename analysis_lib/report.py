"""How the pages word numbers, and how they show tables. This is the only module that knows of glue (`myst_nb`).

A chapter computes with the other modules and hands the results to this one:

>>> from analysis_lib import report
>>> report.number(-0.004), report.number(51200), report.number(0.5, signed=True)
('0.00', '51,200', '+0.50')
>>> report.percent(0.374), report.interval(0.74, 0.73, 0.76), report.p_value(0.0002)
('37%', '0.74 [0.73, 0.76]', 'p < 0.001')

`glue` hands a number to the text of a page, `glue_frame` does so for a whole frame, and `table` shows a frame with its
caption. All of it also works in a notebook outside the book and in a plain Python session, where gluing does nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import pandas as pd

MINUS = "\N{MINUS SIGN}"
NOT_DEFINED = "n/a"
# What a cell must look like to be set to the right: a number, perhaps with a unit or an interval behind it.
_NUMERIC = re.compile(rf"(p )?[<=>≤≥]? ?[-+±{MINUS}]?[\d.,]+([ %(\[×].*)?|{NOT_DEFINED}")

Format = int | str | Callable[[Any], str]


# --- numbers ----------------------------------------------------------------------------------------------------------


def number(x: float, digits: int = 2, signed: bool = False, scale: float = 1) -> str:
    """A number as the pages write it: true minus sign, no minus before a zero, commas between thousands.

    Parameters
    ----------
    x : float or int
        Integers are written without decimals, whatever `digits` says.
    digits : int
        Decimals.
    signed : bool
        Whether positive numbers get a plus, as differences should.
    scale : float
        Factor: 100 for shares in per cent, 1e-6 for millions.

    Returns
    -------
    str
        "n/a" where `x` is not a number.

    Raises
    ------
    TypeError
        `x` is no number at all.

    Examples
    --------
    >>> number(-1.5), number(1234567), number(0.031, 1, signed=True, scale=100)
    ('−1.50', '1,234,567', '+3.1')
    """
    if not isinstance(x, Real):
        x = _scalar(x)
    if not isinstance(x, Real):
        raise TypeError(f"x: expected a number, got {type(x).__name__}")
    if math.isnan(x):
        return NOT_DEFINED
    x = x if scale == 1 else float(x) * scale
    text = f"{abs(x):,}" if isinstance(x, Integral) else f"{abs(x):,.{digits}f}".replace("inf", "∞")
    if not re.search("[1-9∞]", text):  # rounds to zero, which has no sign
        return text
    return (MINUS if x < 0 else "+" if signed else "") + text


def percent(share: float, digits: int = 0, signed: bool = False) -> str:
    """A share between 0 and 1 in per cent: `percent(0.374)` is "37%"."""
    return number(float(share), digits, signed, scale=100) + "%"


def scientific(x: float, digits: int = 1) -> str:
    """A very small or large number: `scientific(1.2e-07)` is "1.2 × 10⁻⁷"."""
    mantissa, exponent = f"{float(x):.{digits}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', MINUS)} × 10{power}"


def interval(estimate: float, low: float, high: float, digits: int = 2, signed: bool = False, scale: float = 1, unit: str = "") -> str:
    """An estimate with its interval, "0.74 [0.73, 0.76]". The page says once which level its intervals have.

    Parameters
    ----------
    estimate, low, high : float
        A `statistics.Interval` is given as `*found`.
    digits, signed, scale
        As in `number`.
    unit : str
        Written behind the estimate, for instance "%" or " nats".

    Examples
    --------
    >>> interval(-0.012, -0.02, 0.001, digits=3)
    '−0.012 [−0.020, 0.001]'
    >>> interval(0.37, 0.3, 0.44, digits=0, scale=100, unit="%")
    '37% [30, 44]'
    """
    middle, *ends = (number(float(x), digits, signed, scale) for x in (estimate, low, high))
    return f"{middle}{unit} [{ends[0]}, {ends[1]}]"


def p_value(p: float, floor: float = 0.001, bare: bool = False) -> str:
    """A p value, "p = 0.007", or "p < 0.001" below `floor`; `bare` leaves out the "p =", for the cells of a table.

    The smallest p that a permutation test can give is one over the number of draws plus one: give that as `floor` if it is
    larger than 0.001.

    Examples
    --------
    >>> p_value(0.0071), p_value(0.2), p_value(1e-9), p_value(0.2, bare=True)
    ('p = 0.007', 'p = 0.200', 'p < 0.001', '0.200')
    """
    if math.isnan(p):
        return NOT_DEFINED
    if not 0 <= p <= 1:
        raise ValueError(f"p: expected a number between 0 and 1, got {p}")
    digits = max(3, math.ceil(-math.log10(floor)))
    if p < floor:
        return f"{'' if bare else 'p '}< {floor:.{digits}f}"
    return f"{'' if bare else 'p = '}{p:.{digits}f}"


def span(values: Iterable[float], digits: int = 2, signed: bool = False, scale: float = 1, unit: str = "") -> str:
    """Smallest to largest of some numbers: "0.12 to 0.45", or one number where both round to the same."""
    values = list(values)
    if not values:
        raise ValueError("values: expected one number or more, found none")
    low, high = (number(float(x), digits, signed, scale) for x in (min(values), max(values)))
    return (low if low == high else f"{low} to {high}") + unit


def listed(words: Iterable[Any], none: str = "none") -> str:
    """Some words as a sentence lists them: "a, b and c"; `none` where there are none."""
    *first, last = [str(word) for word in words] or [none]
    return f"{', '.join(first)} and {last}" if first else last


def head_name(layer: int, head: int) -> str:
    """The label of a head, both counted from 0: `head_name(0, 3)` is "L0H3"."""
    return f"L{layer}H{head}"


# --- glue -------------------------------------------------------------------------------------------------------------


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
        cells = [(_parts(row), value) for row, value in frame.items()]
    else:  # column by column, since each has a type of its own
        cells = [(_parts(row) + _parts(column), x) for column, values in frame.items() for row, x in values.items()]
    found: dict[str, Any] = {}
    for label, value in cells:
        if _is_missing(value):
            continue
        key = "-".join([prefix, *map(_slug, label)])
        if key in found:
            raise ValueError(f"frame: two cells would get the key {key!r}")
        found[key] = _glueable(key, _word_interval(value, digits))
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


# --- tables -----------------------------------------------------------------------------------------------------------


class Table:
    """A captioned table, shown as HTML in a notebook and as text elsewhere.

    Attributes
    ----------
    frame : DataFrame
        What was given.
    caption, name : str
        `name` is the file name of the CSV, without its suffix.
    csv : str
        The frame at full precision, numbers as numbers; an interval takes three columns.
    """

    def __init__(self, frame: pd.DataFrame, caption: str, shown: pd.DataFrame, index: bool, name: str | None = None) -> None:
        self.frame, self.caption, self._shown, self._index = frame, caption, shown, index
        self.name = name or "-".join(_slug(caption).lower().split("-")[:6])
        self.csv = _spread(frame).to_csv(index=index)

    def __repr__(self) -> str:
        return f"{self.caption}\n{self._shown.to_string(index=self._index)}"

    def _repr_html_(self) -> str:
        numeric = [place for place in range(self._shown.shape[1]) if _all_numeric(self._shown.iloc[:, place])]
        styles: list[Any] = [{"selector": "th, td", "props": "text-align: left"}]
        styles += [
            {"selector": f"th.col{place}, td.col{place}", "props": "text-align: right; font-variant-numeric: tabular-nums"}
            for place in numeric
        ]
        # The id is a function of the contents, so that building a book twice gives the same pages.
        identity = hashlib.sha256(f"{self.caption}{self.csv}".encode()).hexdigest()[:8]
        styler = self._shown.style.set_table_styles(styles).set_caption(html.escape(self.caption, quote=False)).set_uuid(identity)
        styler = styler.format(escape="html").format_index(escape="html").format_index(escape="html", axis="columns")
        styler.cell_ids = False
        if not self._index:
            styler = styler.hide(axis="index")
        link = "data:text/csv;charset=utf-8;base64," + base64.b64encode(self.csv.encode()).decode()
        return f'{styler.to_html()}<p class="table-csv"><a download="{self.name}.csv" href="{link}">Download as CSV</a></p>'


def table(
    frame: pd.DataFrame,
    caption: str,
    digits: int = 2,
    formats: Mapping[Any, Format] | None = None,
    index: bool = False,
    name: str | None = None,
) -> Table:
    """A frame as a page shows it: captioned, numbers to the right, true minus signs, and a link to its CSV.

    The CSV travels inside the page, so results that Jupyter Book takes from its cache keep it.

    Parameters
    ----------
    frame : DataFrame
        Cells are numbers, strings or intervals (with `estimate`, `low`, `high`). Missing cells stay empty.
    caption : str
        What the table shows, its units, the unit of its intervals; plain text.
    digits : int
        Decimals of all columns without an entry in `formats`; integers have none.
    formats : mapping from column to int, str or callable, optional
        Decimals, a format such as ".1%", or a function of the cell that returns its words.
    index : bool
        Whether the row labels are shown.
    name : str, optional
        File name of the CSV, without its suffix; made from the caption otherwise.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        `formats` names a column that `frame` does not have.

    Examples
    --------
    >>> frame = pd.DataFrame({"model": ["GPT-2", "HerBERT"], "change": [-0.125, 0.25], "p": [0.0004, 0.03]})
    >>> table(frame, "Change of the loss [nats]", formats={"change": 3, "p": lambda p: p_value(p, bare=True)})
    Change of the loss [nats]
      model change       p
      GPT-2 −0.125 < 0.001
    HerBERT  0.250   0.030
    """
    if isinstance(frame, pd.Series):
        frame = frame.to_frame()
    formats = dict(formats or {})
    unknown = [column for column in formats if column not in frame.columns]
    if unknown:
        raise ValueError(f"formats: expected columns of the frame, found {unknown}; the frame has {list(frame.columns)}")
    shown = pd.DataFrame(
        {place: [_cell(x, formats.get(column, digits)) for x in frame.iloc[:, place]] for place, column in enumerate(frame.columns)},
        index=frame.index if index else None,
        dtype=object,
    )
    shown.columns = frame.columns
    return Table(frame, caption, shown, index, name)


def _cell(value: Any, how: Format) -> str:
    """One cell in words."""
    if _is_missing(value):
        return ""
    if callable(how):
        return how(value)
    if isinstance(how, str):
        return format(value, how).replace("-", MINUS)
    value = _word_interval(value, how)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(value, how) if isinstance(value, Real) else str(value)


def _all_numeric(column: pd.Series) -> bool:
    """Whether every filled cell of a column reads as a number."""
    filled = [text for text in column if text]
    return bool(filled) and all(_NUMERIC.fullmatch(text) for text in filled)


def _spread(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with each column of intervals as three columns of numbers."""
    parts = []
    for place, column in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        if not any(_is_interval(cell) for cell in cells):
            parts.append(cells)
            continue
        for end in ("estimate", "low", "high"):
            *above, label = _parts(column)
            label = label if end == "estimate" else f"{label} {end}"
            values = [getattr(cell, end, cell if end == "estimate" else None) for cell in cells]
            parts.append(pd.Series(values, index=frame.index, name=(*above, label) if above else label))
    return pd.concat(parts, axis=1) if parts else frame


def _is_interval(value: Any) -> bool:
    return all(hasattr(value, end) for end in ("estimate", "low", "high"))


def _word_interval(value: Any, digits: int) -> Any:
    """An interval in words, anything else as a plain Python value."""
    if _is_interval(value):
        return interval(value.estimate, value.low, value.high, digits)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """A scalar of NumPy or torch as Python's own."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value


def _is_missing(value: Any) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    value = _scalar(value) if not _is_interval(value) else value
    return isinstance(value, float) and math.isnan(value)


def _glueable(key: str, value: Any) -> str | int | float:
    value = _scalar(value)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if not isinstance(value, str | int | float):
        raise TypeError(
            f"value of {key!r}: expected a number or a string, got {type(value).__name__}; word it with the functions of report"
        )
    return value


def _parts(label: Any) -> tuple:
    """A label as the tuple of its levels."""
    return label if isinstance(label, tuple) else (label,)


def _slug(label: Any) -> str:
    """A label as a part of a key."""
    return re.sub(r"[^\w]+", "-", str(label)).strip("-")
