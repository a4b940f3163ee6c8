"""Tests reach no other machine: `tests/conftest.py` refuses the connection before it is made."""

import socket

import pytest


@pytest.mark.parametrize(
    ("family", "address"),
    [(socket.AF_INET, ("192.0.2.1", 80)), (socket.AF_INET, ("host.example", 80)), (socket.AF_INET6, ("2001:db8::1", 80))],
)
def test_another_machine_is_refused(family, address):
    """Addresses that are set aside for documentation."""
    with socket.socket(family) as asking, pytest.raises(AssertionError, match="a test opened a connection to"):
        asking.connect(address)


def test_this_machine_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
