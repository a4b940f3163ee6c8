"""Tables of `analysis_lib/recorded`: a run of some seeds replaces theirs alone, and one that is stopped nothing."""

import shutil

import pandas as pd
import pytest

from training import clamps, diversity, recorded
from training.recorded import record


@pytest.mark.parametrize(("path", "float_format"), [(clamps.RECORDED, None), (diversity.RECORDED, "%.5f")])
def test_rows_of_other_seeds_stay_as_they_are(tmp_path, path, float_format):
    target = tmp_path / path.name
    shutil.copy(path, target)
    table = pd.read_csv(path)
    again = table[table["seed"] == 0]
    record(again, target, float_format)
    assert target.read_bytes() == path.read_bytes()
    record(again.assign(seed=7), target, float_format)
    lines, before = (file.read_text(encoding="utf-8").splitlines() for file in (target, path))
    assert lines[: len(before)] == before
    assert len(lines) == len(before) + len(again)


def test_a_first_table_is_sorted_by_seed(tmp_path):
    record(pd.DataFrame({"seed": [10, 10, 2, 2], "step": [0, 1, 0, 1]}), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text(encoding="utf-8") == "seed,step\n2,0\n2,1\n10,0\n10,1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_failed_write_leaves_the_old_table(tmp_path, monkeypatch):
    target = tmp_path / "table.csv"
    target.write_text("seed,step\n0,0\n", encoding="utf-8")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(recorded.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        record(pd.DataFrame({"seed": [0], "step": [1]}), target)
    assert target.read_text(encoding="utf-8") == "seed,step\n0,0\n"
