"""Checkpoints whose export is killed: the old folder or the new one is there, at the latest when the next export has begun."""

import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis_lib.models import EMBEDDED_FOLDER
from tests.support.children import ended, forked
from training import folders, minigpt, regressor, regressor_export

NESTED = "model/variant"


def killed_before_line(number: int) -> None:
    """From now on this process is killed before it executes the line of `folders` that comes at this place."""
    passed = 0

    def trace(frame, event, _):
        nonlocal passed
        if frame.f_code.co_filename != folders.__file__:
            return None
        if event == "line":
            passed += 1
            if passed > number:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def written(checkpoints: Path, name: str, text: str) -> None:
    """A checkpoint of two files; what lives inside the old one is kept, as `regressor_export` does."""
    with folders.replaced(checkpoints, name) as scratch:
        for part in ("config.json", "weights"):
            (scratch / part).write_text(text)
        for inner in checkpoints.glob(f"{name}/*/"):
            shutil.copytree(inner, scratch / inner.name)


@pytest.mark.parametrize("name", ["model", NESTED])
def test_a_swap_that_is_killed_before_any_of_its_lines_loses_nothing(tmp_path, name):
    line, code = 0, -signal.SIGKILL
    while code:
        checkpoints = tmp_path / str(line)
        for made in ("model", NESTED):
            written(checkpoints, made, "old")
        before = contents(checkpoints)
        expected = [before, before | dict.fromkeys((f"{name}/config.json", f"{name}/weights"), "new")]

        def work(checkpoints=checkpoints, line=line):
            killed_before_line(line)
            written(checkpoints, name, "new")

        code = ended(forked(work))
        assert code in (-signal.SIGKILL, 0)
        folders.recover(checkpoints)
        assert {path: text for path, text in contents(checkpoints).items() if not path.startswith(".")} in expected
        written(checkpoints, name, "new")
        assert contents(checkpoints) == expected[1]
        line += 1
    assert line > 10  # as many as a swap executes


def test_a_recovery_that_is_killed_is_taken_up(tmp_path):
    """Both an outer and an inner folder were set aside and not replaced."""
    for line in range(20):
        checkpoints = tmp_path / str(line)
        for made in ("model", NESTED):
            written(checkpoints, made, "old")
        expected = contents(checkpoints)
        (checkpoints / NESTED).rename(checkpoints / ".model+variant.old")
        (checkpoints / "model").rename(checkpoints / ".model.old")

        def work(checkpoints=checkpoints, line=line):
            killed_before_line(line)
            folders.recover(checkpoints)

        assert ended(forked(work)) in (-signal.SIGKILL, 0)
        folders.recover(checkpoints)
        assert contents(checkpoints) == expected


def test_a_block_that_fails_leaves_the_old_folder(tmp_path):
    written(tmp_path, "model", "old")

    def interrupted():
        with folders.replaced(tmp_path, "model") as scratch:
            (scratch / "config.json").write_text("new")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        interrupted()
    assert (tmp_path / "model" / "config.json").read_text() == "old"
    written(tmp_path, "model", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_file_is_copied_whole(tmp_path):
    for text in ("old", "new"):
        (tmp_path / "source").write_text(text)
        folders.copy_whole(tmp_path / "source", tmp_path / "target")
        assert (tmp_path / "target").read_text() == text
    assert {path.name for path in tmp_path.iterdir()} == {"source", "target"}


def minigpt_runs(work: Path) -> None:
    """The runs that the embedded checkpoint was exported from, as far as an export reads them."""
    shipped = EMBEDDED_FOLDER / minigpt.NAME
    record = json.loads((shipped / "seeds.json").read_text(encoding="utf-8"))
    for seed, run in zip(minigpt.SEEDS, record["runs"], strict=True):
        folder = work / minigpt.NAME / f"seed-{seed}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(run), encoding="utf-8")
        if seed == record["shipped"]:
            shutil.copytree(shipped / "snapshots", folder, dirs_exist_ok=True)
        shutil.copy(shipped / "seeds" / f"seed-{seed}.safetensors", folder / f"step-{minigpt.LAST:05d}.safetensors")


def exporting_minigpt(work: Path, monkeypatch) -> Callable[[], object]:
    minigpt_runs(work)
    monkeypatch.setattr(minigpt, "CHECKPOINTS", work / "checkpoints")
    return lambda: minigpt.export(work)


def exporting_regressor(work: Path, monkeypatch) -> Callable[[], object]:
    monkeypatch.setattr(regressor_export, "CHECKPOINTS", work / "checkpoints")
    monkeypatch.setattr(regressor_export, "N_TEST", 60)
    task = regressor.TASKS["regressor"]
    small = dataclasses.replace(task, config={**task.config, "n_embd": 8, "n_layer": 1}, steps=4)
    for module in (regressor, regressor_export):
        monkeypatch.setitem(module.TASKS, "regressor", small)
        monkeypatch.setattr(module, "BATCH", 8)
    regressor.train("regressor", 0, work)
    return lambda: regressor_export.export("regressor", work, "a CPU")


@pytest.mark.slow
@pytest.mark.parametrize("exporting", [exporting_minigpt, exporting_regressor])
def test_an_export_that_is_killed_leaves_the_checkpoint_that_was_there(tmp_path, monkeypatch, exporting):
    export, checkpoints, rng = exporting(tmp_path, monkeypatch), tmp_path / "checkpoints", random.Random(0)
    begun = time.monotonic()
    assert ended(forked(export)) == 0
    longest = time.monotonic() - begun

    def whole() -> dict[str, bytes]:
        folders.recover(checkpoints)
        return {str(path): path.read_bytes() for path in checkpoints.glob("[!.]*/**/*") if path.is_file()}

    expected = whole()
    assert len(expected) > 5
    codes = set()
    for _ in range(20):
        child = forked(export)
        time.sleep(rng.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        codes.add(ended(child))
        assert whole() == expected
    assert -signal.SIGKILL in codes
    assert codes <= {-signal.SIGKILL, 0}
    assert ended(forked(export)) == 0
    assert whole() == expected
    assert not list(checkpoints.glob(".*"))


@pytest.mark.slow
def test_exported_runs_of_the_embedded_checkpoint_give_it(tmp_path, monkeypatch):
    assert ended(forked(exporting_minigpt(tmp_path, monkeypatch))) == 0
    again, shipped = tmp_path / "checkpoints" / minigpt.NAME, EMBEDDED_FOLDER / minigpt.NAME
    names = {str(path.relative_to(again)) for path in again.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(shipped)) for path in shipped.rglob("*") if path.is_file()}
    for name in names - {"config.json", "generation_config.json"}:  # these name the version of transformers
        one, other = ((folder / name).read_bytes() for folder in (again, shipped))
        assert one.split() == other.split() if name.endswith(".md") else one == other, name  # the card's lines were set by hand
