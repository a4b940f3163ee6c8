"""Training runs and sweeps that are killed at random moments give, when they are begun again, what they would have given at once."""

import csv
import functools
import os
import random
import signal
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from analysis_lib.sweeps import store, sweep
from tests.support.children import ended, forked
from training import regressor

pytestmark = pytest.mark.slow
STEPS = 40
DASK = """
import sys, time
import joblib, numpy as np
import killed_sweep
from analysis_lib.sweeps import sweep
from distributed import Client, LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster, Client(cluster) as client:
        print("begun", flush=True)
        with joblib.parallel_config("dask", client=client):
            print(sweep(killed_sweep.row, range(40), np.arange(40.0), revision="a"))
"""
ROW = """
import time

def row(shared, place):
    time.sleep(0.05)
    return float(shared[place] * 2)
"""


def killed_at_random(work, seed, longest, times=6) -> None:
    """Let a child work, and kill it after a random time; six times. Towards the end it may be done before."""
    rng, ends = random.Random(seed), []
    for _ in range(times):
        child = forked(work)
        time.sleep(rng.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        ends.append(ended(child))
    assert set(ends) <= {-signal.SIGKILL, 0}
    assert ends[0] == -signal.SIGKILL


def test_a_killed_training_run_ends_with_the_weights_of_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr(regressor, "SAVE_SECONDS", 0)
    monkeypatch.setattr(regressor, "LOG_EVERY", 5)

    def trained(work):
        return functools.partial(regressor.train, "regressor", 0, tmp_path / work, steps=STEPS)

    begun = time.monotonic()
    assert ended(forked(trained("at once"))) == 0
    killed_at_random(trained("killed"), seed=0, longest=0.4 * (time.monotonic() - begun))
    assert ended(forked(trained("killed"))) == 0
    folders = [tmp_path / work / "regressor/seed-0" for work in ("at once", "killed")]
    one, other = (load_file(folder / "state.safetensors") for folder in folders)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    logs = []
    for folder in folders:
        with (folder / "log.csv").open(newline="") as file:
            logs.append([(row["step"], row["tokens"], row["heldout_loss"]) for row in csv.DictReader(file)])
    assert logs[0] == logs[1]
    assert len(logs[0]) == STEPS // 5


def slow_product(weights, row):
    time.sleep(0.02)
    return weights[row] * np.arange(1000.0)


def test_a_killed_sweep_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER, str(tmp_path))
    weights = np.arange(40.0)

    def swept():
        return sweep(slow_product, range(40), weights, revision="a", n_jobs=2)

    killed_at_random(swept, seed=1, longest=0.5)
    for file in tmp_path.rglob("output.pkl"):
        assert joblib.load(file).shape == (1000,)
    np.testing.assert_array_equal(swept(), np.outer(weights, np.arange(1000.0)))


def test_two_processes_fill_one_folder_of_results(tmp_path, monkeypatch):
    monkeypatch.setenv(store.FOLDER, str(tmp_path))

    def swept():
        found = sweep(slow_product, range(20), np.arange(20.0), revision="a")
        np.testing.assert_array_equal(found, np.outer(np.arange(20.0), np.arange(1000.0)))

    assert [ended(child) for child in [forked(swept) for _ in range(3)]] == [0, 0, 0]
    swept()
    assert len(list(tmp_path.rglob("output.pkl"))) == 20


def test_a_killed_sweep_over_a_cluster_goes_on(tmp_path, root):
    pytest.importorskip("distributed")
    (tmp_path / "killed_sweep.py").write_text(ROW)
    (tmp_path / "program.py").write_text(DASK)
    places = os.pathsep.join([str(tmp_path), str(root)])
    environment = os.environ | {"PYTHONPATH": places, store.FOLDER: str(tmp_path / "kept"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(tmp_path / "program.py")]
    rng = random.Random(2)
    for _ in range(2):
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert running.stdout.readline() == "begun\n"
        time.sleep(rng.uniform(0.2, 1.0))
        os.killpg(running.pid, signal.SIGKILL)  # its workers, too
        running.communicate()
    for file in (tmp_path / "kept").rglob("output.pkl"):
        assert isinstance(joblib.load(file), float)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == str([2.0 * place for place in range(40)])
