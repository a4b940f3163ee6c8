"""Tables of what small trainings measured, which lie in `analysis_lib/recorded/`."""

import os
from functools import partial
from io import StringIO
from pathlib import Path

import pandas as pd


def record(rows: pd.DataFrame, target: Path, float_format: str | None = None) -> None:
    """Write a table whole or not at all, in the order of its seeds; rows that it has of other seeds stay.

    Parameters
    ----------
    rows : DataFrame
        All rows of some seeds, with a column `seed`.
    target : Path
        A CSV file, which need not be there yet.
    float_format : str, optional
        Of the new numbers; by default all digits are written.
    """
    as_text = partial(pd.read_csv, dtype=str, keep_default_na=False)  # no digit changes
    table = as_text(StringIO(rows.to_csv(index=False, float_format=float_format)))
    if target.exists():
        before = as_text(target)
        table = pd.concat([before[~before["seed"].isin(table["seed"])], table])
    scratch = target.with_suffix(".part")
    table.sort_values("seed", key=lambda seeds: seeds.astype(int), kind="stable").to_csv(scratch, index=False, lineterminator="\n")
    os.replace(scratch, target)
