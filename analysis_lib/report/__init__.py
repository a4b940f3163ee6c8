"""How the pages word numbers, show tables, and record what they claim.

A chapter computes with the other modules and hands the results to this one:

>>> from analysis_lib import report
>>> report.number(-0.004), report.number(51200), report.number(0.5, signed=True)
('0.00', '51,200', '+0.50')
>>> report.percent(0.374), report.interval(0.74, 0.73, 0.76), report.p_value(0.0002)
('37%', '0.74 [0.73, 0.76]', 'p < 0.001')

`glue` hands a number to the text of a page, `glue_frame` does so for a whole frame, `table` shows a frame with its
caption, `figure_data` links the numbers behind a figure, and `finding` records a claim beside its nulls. All of it also works
in a notebook outside the book and in a plain Python session, where gluing does nothing.
"""

from analysis_lib.report.findings import Finding, board, finding, read_findings, recorded_models, recorded_with
from analysis_lib.report.gluing import glue, glue_frame, glue_keys
from analysis_lib.report.tables import FigureData, Table, figure_data, table
from analysis_lib.report.words import duration, head_name, interval, listed, number, p_value, percent, scientific, span

__all__ = [
    "FigureData",
    "Finding",
    "Table",
    "board",
    "duration",
    "figure_data",
    "finding",
    "glue",
    "glue_frame",
    "glue_keys",
    "head_name",
    "interval",
    "listed",
    "number",
    "p_value",
    "percent",
    "read_findings",
    "recorded_models",
    "recorded_with",
    "scientific",
    "span",
    "table",
]
