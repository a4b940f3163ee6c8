"""Tables with a caption, their numbers in words and their CSV."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Callable, Collection, Mapping
from numbers import Real
from typing import Any

import pandas as pd

from analysis_lib import texts
from analysis_lib.report.words import MINUS, NOT_DEFINED, is_interval, is_missing, number, parts_of, slug, word_interval

# What a cell must look like to be set to the right: a number, perhaps with a unit or an interval behind it.
_NUMERIC = re.compile(rf"(p )?[<=>≤≥]? ?[-+±{MINUS}]?[\d.,]+([ %(\[×].*)?|{NOT_DEFINED}")

_INNER_SPACE = re.compile(r" (?!\[)")  # all spaces but that before an interval
_NO_BREAK = "\u00a0"
_WHOLE_WORD = re.compile(r"(?<![\w-])([^\W\d_]+)(?![\w-])")  # not "za-", a piece of a word

Format = int | str | Callable[[Any], str]


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

    def __init__(
        self, frame: pd.DataFrame, caption: str, shown: pd.DataFrame, index: bool, name: str | None = None, polish: Collection[Any] = ()
    ) -> None:
        self.frame, self.caption, self._shown, self._index, self._polish = frame, caption, shown, index, list(polish)
        self.name = name or "-".join(slug(caption).lower().split("-")[:6])
        self.csv = _spread(frame).to_csv(index=index)

    def __repr__(self) -> str:
        return f"{self.caption}\n{self._shown.to_string(index=self._index)}"

    def _repr_html_(self) -> str:
        numeric = [place for place in range(self._shown.shape[1]) if _all_numeric(self._shown.iloc[:, place])]
        # Where a table is wide, an interval may stand below its estimate; neither is broken itself.
        intervals = [place for place in numeric if self._shown.iloc[:, place].str.contains("[", regex=False).any()]
        shown = self._shown.copy()
        for place in intervals:
            shown.isetitem(place, [_INNER_SPACE.sub(_NO_BREAK, text) for text in shown.iloc[:, place]])
        styles: list[Any] = [{"selector": "th, td", "props": "text-align: left"}]
        styles += [
            {
                "selector": f"th.col{place}, td.col{place}",
                "props": "text-align: right; font-variant-numeric: tabular-nums",
            }
            for place in numeric
        ]
        styles += [{"selector": f"td.col{place}", "props": "white-space: nowrap"} for place in numeric if place not in intervals]
        # The id is a function of the contents, so that building a book twice gives the same pages.
        identity = hashlib.sha256(f"{self.caption}{self.csv}".encode()).hexdigest()[:8]
        styler = shown.style.set_table_styles(styles).set_caption(html.escape(self.caption, quote=False)).set_uuid(identity)
        styler = styler.format(escape="html")
        if self._polish:
            glosses = texts.glossary()
            styler = styler.format(lambda text: _with_glosses(text, glosses), subset=self._polish)
        styler = styler.format_index(escape="html").format_index(escape="html", axis="columns")
        styler.cell_ids = False
        if not self._index:
            styler = styler.hide(axis="index")
        return styler.to_html() + _csv_link(self.csv, self.name, "Download as CSV")


class FigureData:
    """A link to the numbers behind a figure, shown in a notebook below it, and as their CSV elsewhere.

    Attributes
    ----------
    csv : str
        At full precision; an interval takes three columns.
    name : str
        File name of the CSV, without its suffix.
    """

    def __init__(self, csv: str, name: str) -> None:
        self.csv, self.name = csv, name

    def __repr__(self) -> str:
        return self.csv

    def _repr_html_(self) -> str:
        return _csv_link(self.csv, self.name, "Data of the figure as CSV")


def figure_data(frame: pd.DataFrame | Mapping[str, pd.DataFrame], name: str, label: str = "model") -> FigureData:
    """The numbers behind a figure, as a link below it, where they say more than what is drawn (`plots.drawn_numbers`).

    Parameters
    ----------
    frame : DataFrame or mapping of str to DataFrame
        What the figure draws. Several frames become one, with their keys as its first column.
    name : str
        File name of the CSV, without its suffix; by custom the name of the figure.
    label : str
        Title of the column of keys.

    Returns
    -------
    FigureData

    Raises
    ------
    ValueError
        Nothing to show.

    Examples
    --------
    >>> figure_data({"GPT-2": pd.DataFrame({"layer": [0], "share": [0.25]})}, "fig-shares")
    model,layer,share
    GPT-2,0,0.25
    """
    if isinstance(frame, Mapping):
        frames = {key: part.drop(columns=label, errors="ignore") for key, part in frame.items()}
        frame = pd.concat(frames, names=[label]).reset_index(level=0).reset_index(drop=True) if frames else pd.DataFrame()
    if frame.empty:
        raise ValueError(f"frame of {name!r}: expected the numbers of a figure, found none")
    return FigureData(_spread(frame).to_csv(index=False).rstrip("\n"), name)


def table(
    frame: pd.DataFrame,
    caption: str,
    digits: int = 2,
    formats: Mapping[Any, Format] | None = None,
    index: bool = False,
    name: str | None = None,
    polish: Collection[Any] = (),
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
    polish : collection of columns
        Columns whose Polish words show their English gloss on hover, where `texts.glossary` has one.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        `formats` or `polish` names a column that `frame` does not have.

    Examples
    --------
    >>> from analysis_lib.report import p_value
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
    for argument, named in (("formats", formats), ("polish", polish)):
        unknown = [column for column in named if column not in frame.columns]
        if unknown:
            raise ValueError(f"{argument}: expected columns of the frame, found {unknown}; the frame has {list(frame.columns)}")
    shown = pd.DataFrame(
        {place: [_cell(x, formats.get(column, digits)) for x in frame.iloc[:, place]] for place, column in enumerate(frame.columns)},
        index=frame.index if index else None,
        dtype=object,
    )
    shown.columns = frame.columns
    return Table(frame, caption, shown, index, name, polish)


def _with_glosses(text: str, glosses: Mapping[str, str]) -> str:
    """A cell as HTML; its words that have a gloss show it on hover."""
    pieces = []
    for piece in _WHOLE_WORD.split(text):
        gloss = glosses.get(piece.lower())
        shown = html.escape(piece)
        pieces.append(f'<abbr title="{html.escape(gloss)}">{shown}</abbr>' if gloss else shown)
    return "".join(pieces)


def _csv_link(csv: str, name: str, words: str) -> str:
    """A link that carries the file in its address, since pages may be read from disk."""
    address = "data:text/csv;charset=utf-8;base64," + base64.b64encode(csv.encode()).decode()
    return f'<p class="table-csv"><a download="{name}.csv" href="{address}">{words}</a></p>'


def _cell(value: Any, how: Format) -> str:
    """One cell in words."""
    if is_missing(value):
        return ""
    if callable(how):
        return how(value)
    if isinstance(how, str):
        parts = (value.estimate, value.low, value.high) if is_interval(value) else (value,)
        middle, *ends = (re.sub(r"^-|(?<=\de)-", MINUS, format(part, how).strip()) for part in parts)  # signs, not the hyphens of a date
        return f"{middle} [{', '.join(ends)}]" if ends else middle
    value = word_interval(value, how)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value, how)
    return number(float(value), how) if isinstance(value, Real) else str(value)


def _all_numeric(column: pd.Series) -> bool:
    """Whether every filled cell of a column reads as a number."""
    filled = [text for text in column if text]
    return bool(filled) and all(_NUMERIC.fullmatch(text) for text in filled)


def _spread(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with each column of intervals as three columns of numbers."""
    parts = []
    for place, column in enumerate(frame.columns):
        cells = frame.iloc[:, place]
        if not any(is_interval(cell) for cell in cells):
            parts.append(cells)
            continue
        for end in ("estimate", "low", "high"):
            *above, label = parts_of(column)
            label = label if end == "estimate" else f"{label} {end}"
            values = [getattr(cell, end, cell if end == "estimate" else None) for cell in cells]
            parts.append(pd.Series(values, index=frame.index, name=(*above, label) if above else label))
    return pd.concat(parts, axis=1) if parts else frame
