"""Shared by all tests."""

import ipaddress
import os
import socket
import sys
from pathlib import Path

# Several pytest processes share the cores: each computes on one thread, or they wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")

# Tests run on the embedded checkpoints, and a test that reached for a hub would hang where there is no network.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.pop("ANALYSIS_MODELS", None)

_connect = socket.socket.connect


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, of which one alone needs no question to others
        return host == "localhost"


def _connect_on_this_machine(self: socket.socket, address: object) -> None:
    """No test of this process reaches another machine; the hubs and pages of the tests are on the loopback interface."""
    host = address[0] if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) else "localhost"
    if not _is_here(host):
        raise AssertionError(f"a test opened a connection to {host}")
    _connect(self, address)


socket.socket.connect = _connect_on_this_machine  # type: ignore[method-assign]

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))  # tools/ holds scripts, not a package

import pytest  # noqa: E402

import tests.support.array_types  # noqa: E402  (named in pyproject.toml)
import tests.support.examples  # noqa: E402, F401  (registers the profile before it is chosen)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT
