"""One function for all sweeps: the same results wherever it runs, and what is kept on disk."""

import functools
import importlib
import operator
import os
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch

from analysis_lib.sweeps import progress, store, sweep

WEIGHTS = {"one": torch.arange(12.0).view(3, 4), "two": np.ones(4)}


def product(weights, row, times=1.0):
    """A module's own function, as kept results need it; notes each call in a file where there is one."""
    if "SWEPT_CALLS" in os.environ:
        with open(os.environ["SWEPT_CALLS"], "a", encoding="utf-8") as file:
            file.write(f"{row}\n")
    return times * float(weights["one"][row].numpy() @ weights["two"])


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Keeps results in a folder, and says which rows were computed."""
    monkeypatch.setenv(store.FOLDER, str(tmp_path / "kept"))
    monkeypatch.setenv("SWEPT_CALLS", str(tmp_path / "calls"))

    def made():
        path = tmp_path / "calls"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text("", encoding="utf-8")
        return [int(row) for row in text.split()]

    return made


@pytest.mark.parametrize("backend", [None, "threading", "loky"])
def test_results_do_not_depend_on_where_a_sweep_runs(backend):
    def row(weights, place):  # defined here, so that a worker need not import this module
        return place, float(weights["one"][place].numpy() @ weights["two"]), os.getpid()

    with joblib.parallel_config(backend, n_jobs=2) if backend else joblib.parallel_config(n_jobs=1):
        swept = sweep(row, [2, 0, 1, 0], WEIGHTS)
    assert [one[:2] for one in swept] == [(2, 38.0), (0, 6.0), (1, 22.0), (0, 6.0)]
    assert ({one[2] for one in swept} == {os.getpid()}) == (backend != "loky")


def test_worker_processes_map_one_copy_of_what_is_shared():
    def address(weights, _):  # a worker that read the file again would have other arrays
        weights["calls"] = weights.get("calls", 0) + 1
        return os.getpid(), weights["calls"]

    with joblib.parallel_config("loky", n_jobs=2):
        found = sweep(address, range(12), {"one": torch.ones(1000)})
    for worker in {pid for pid, _ in found}:
        counts = sorted(count for pid, count in found if pid == worker)
        assert counts == list(range(1, len(counts) + 1))


def test_nothing_and_nothing_shared():
    assert sweep(abs, []) == []
    assert sweep(abs, (-number for number in range(3)), n_jobs=2) == [0, 1, 2]


def test_what_is_kept_is_not_computed_again(calls):
    assert sweep(product, [0, 1, 1], WEIGHTS, revision="a") == [6, 22, 22]
    assert sorted(set(calls())) == [0, 1]
    assert sweep(product, [2, 1, 0], WEIGHTS, revision="a") == [38, 22, 6]
    assert calls() == [2]
    assert sweep(product, [1], {"one": -WEIGHTS["one"], "two": WEIGHTS["two"]}, revision="b") == [-22]
    assert sweep(functools.partial(product, times=2.0), [1], WEIGHTS, revision="a") == [44]
    assert calls() == [1, 1]
    assert sweep(product, [1], WEIGHTS) == [22]  # without a revision nothing says whether what is kept is the same
    assert calls() == [1]


def test_a_sweep_that_was_killed_goes_on_where_it_was(calls):
    weights = {"one": WEIGHTS["one"], "two": np.ones(4)}
    with pytest.raises(IndexError):  # the weights have three rows
        sweep(product, [0, 1, 7, 2], weights, revision="a")
    assert calls() == [0, 1, 7]
    assert sweep(product, [0, 1, 2], weights, revision="a") == [6, 22, 38]
    assert calls() == [2]


def test_a_damaged_file_is_computed_again(calls, tmp_path):
    sweep(product, [0, 1], WEIGHTS, revision="a")
    calls()
    files = sorted((tmp_path / "kept").rglob("output.pkl"))
    assert len(files) == 2
    for file in files:
        file.write_bytes(b"not a pickle")
    assert sweep(product, [0, 1], WEIGHTS, revision="a") == [6, 22]
    assert calls() == [0, 1]


def test_another_library_keeps_nothing_of_this_one_and_other_files_stay(calls, tmp_path, monkeypatch):
    sweep(product, [0], WEIGHTS, revision="a")
    (tmp_path / "kept" / "letter.txt").write_text("mine", encoding="utf-8")
    monkeypatch.setattr(store, "library_digest", lambda: "other")
    sweep(product, [0], WEIGHTS, revision="a")
    assert calls() == [0, 0]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["letter.txt", f"{store.PART}other"]


def test_results_are_kept_under_names_that_say_what_was_computed():
    for function in (lambda item: item, functools.partial(lambda item, more: item, more=1)):
        with pytest.raises(ValueError, match="expected one that a module defines at its top level"):
            sweep(function, [1], revision="a")


def test_a_build_reads_lines(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(progress.LOG, str(tmp_path / "log"))
    monkeypatch.setattr(progress, "EVERY", 5.0)
    clock = iter([100.0, 103.0, 106.0, 110.0, 112.0])  # when the sweep begins, and when each result comes
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    sweep(abs, [1, 2, 3, 4], title="heads")
    assert (tmp_path / "log").read_text(encoding="utf-8").splitlines() == [
        "heads: 2 of 4 after 6 s, about 6 s to go",
        "heads: 4 of 4 after 12 s, about 0 s to go",
    ]
    assert list(clock) == []
    assert capsys.readouterr() == ("", "")


def test_a_short_sweep_says_nothing(monkeypatch, capsys):
    monkeypatch.delenv(progress.LOG, raising=False)
    sweep(abs, range(5))
    assert capsys.readouterr() == ("", "")


def test_an_object_that_can_be_called_needs_no_name():
    assert sweep(operator.itemgetter(0), [(1, 2), (3, 4)]) == [1, 3]


@pytest.mark.parametrize("log", ["/dev/full", "no such folder/log"])
def test_a_log_that_cannot_be_written_ends_no_sweep(log, monkeypatch):
    """Writing to `/dev/full`, where a system has it, fails as on a full disk."""
    monkeypatch.setenv(progress.LOG, log)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert sweep(abs, [-1, 2]) == [1, 2]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # of fork, from Python 3.12 on
def test_a_backend_without_generators_gives_the_same_results():
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        assert sweep(abs, [-3, 2, -1]) == [3, 2, 1]
        assert sweep(product, [2, 0, 1, 0], WEIGHTS) == [38, 6, 22, 6]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_equal_items_are_computed_once(calls, n_jobs):
    assert sweep(product, [1, 1, 0, 1], WEIGHTS, revision="a", n_jobs=n_jobs) == [22, 22, 6, 22]
    assert sorted(calls()) == [0, 1]


def test_another_source_of_the_function_gives_other_results(calls, tmp_path, monkeypatch):
    """The function is a module's outside of the library, whose own source has not changed."""
    module = tmp_path / "swept_elsewhere.py"
    module.write_text("def work(item):\n    return item + 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    swept = importlib.import_module("swept_elsewhere")
    assert sweep(swept.work, [1], revision="a") == [2]
    module.write_text("def work(item):\n    return item + 100\n", encoding="utf-8")
    importlib.reload(swept)
    assert sweep(swept.work, [1], revision="a") == [101]
    assert sweep(abs, [-1], revision="a") == [1]  # comes from no file
