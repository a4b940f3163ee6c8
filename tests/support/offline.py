"""Embedded models, loaded while every socket is refused."""

import socket
from pathlib import Path

import pytest

from analysis_lib import models


def folder_of(name: str) -> Path:
    """Where the embedded checkpoint of a study lies."""
    return models.EMBEDDED_FOLDER / models.STUDIES[name].embedded


def needs(name: str):
    """The study name as a parameter that is skipped while its checkpoint is not trained."""
    return pytest.param(name, marks=pytest.mark.skipif(not folder_of(name).is_dir(), reason=f"{name} is not trained yet"))


def load(name: str) -> models.LoadedModel:
    """The embedded model of a study; opening a socket on the way is an error."""
    with pytest.MonkeyPatch.context() as patch:

        def refuse(*args, **kwargs):
            raise AssertionError("a socket was opened")

        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        patch.delenv("ANALYSIS_MODELS", raising=False)
        return models.load(name)
