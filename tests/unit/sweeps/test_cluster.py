"""A sweep over a real scheduler and two worker processes on this machine's loopback interface."""

import os
import signal
from pathlib import Path

import joblib
import numpy as np
import pytest

from analysis_lib.projections import qk_factors, top_pairs
from analysis_lib.sweeps import sweep
from analysis_lib.weights import weights_of
from tests.support import tiny

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.slow,  # the workers import torch
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),  # sockets of a killed worker
]
SIZE = 4_000_000
"""Bytes of what is shared, far more than all messages."""


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def byte_counters():
    """Two functions for workers: begin to count what is read from connections, and say how much that was.

    They are defined here, so that a worker need not import this module, with torch, while it should answer the scheduler.
    """

    def begin():
        from distributed.comm import tcp

        tcp.counted, read = 0, tcp.read_bytes_rw

        async def counting(stream, n):
            tcp.counted += n
            return await read(stream, n)

        tcp.read_bytes_rw = counting

    def counted():
        from distributed.comm import tcp

        return tcp.counted

    return begin, counted


def test_results_equal_serial_ones_and_weights_go_to_a_worker_once(client):
    def row(shared, place):
        return place, float(shared[place % 100] * 2), os.getpid()

    shared = np.random.default_rng(0).normal(size=SIZE // 8)
    begin, counted = byte_counters()
    client.run(begin)
    with joblib.parallel_config("dask", client=client):
        swept = sweep(row, range(20), shared)
    assert [one[:2] for one in swept] == [(place, shared[place] * 2) for place in range(20)]
    workers = client.run(os.getpid).values()
    assert {one[2] for one in swept} == set(workers)
    read = client.run(counted).values()
    assert len(read) == 2
    for count in read:
        assert SIZE <= count < 1.2 * SIZE


def test_heads_of_a_model(client):
    def pairs(weights, head):
        return top_pairs(*qk_factors(weights, *head), k=5)

    weights = weights_of(tiny.gpt2(layers=2))
    heads = [(layer, head) for layer in range(weights.n_layers) for head in range(weights.n_heads)]
    with joblib.parallel_config("dask", client=client):
        swept = sweep(pairs, heads, weights)
    for found, head in zip(swept, heads, strict=True):
        for one, other in zip(found, pairs(weights, head), strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_worker_killed_in_the_middle_costs_nothing_but_time(client, tmp_path):
    def row(shared, place, mark=str(tmp_path / "killed"), kill=signal.SIGKILL):
        if place == 7 and not Path(mark).exists():
            Path(mark).touch()
            os.kill(os.getpid(), kill)
        return float(shared[place] * 2)

    shared = np.random.default_rng(1).normal(size=SIZE // 8)
    before = set(client.run(os.getpid).values())
    with joblib.parallel_config("dask", client=client):
        swept = sweep(row, range(20), shared)
    assert (tmp_path / "killed").exists()
    np.testing.assert_array_equal(swept, shared[:20] * 2)
    client.wait_for_workers(2, timeout=60)
    assert len(set(client.run(os.getpid).values()) & before) == 1
