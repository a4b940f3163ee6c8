"""Chapters read the commits that a build has found on the hub when it began (tools/build_book.py)."""

import build_book
import pytest

from analysis_lib import models
from analysis_lib.models import hub
from tests.support import tiny

FIRST, SECOND = "1" * 40, "2" * 40


@pytest.fixture(autouse=True)
def nothing_kept():
    """What one test says of the models is not what another gets."""
    build_book.chosen_models.cache_clear()
    yield
    build_book.chosen_models.cache_clear()


def said(**lines):
    return "\n".join(f"{name.replace('_', '-')}: {line}, configuration and tokenizer 0123456789ab" for name, line in lines.items())


@pytest.mark.parametrize(
    ("value", "models", "expected"),
    [
        ("", "embedded", ""),
        ("embedded", "embedded", "embedded"),
        (
            "hub",
            said(polish_gpt2=f"hub owner/gpt2, revision {FIRST}", herbert=f"hub owner/bert, revision {SECOND}"),
            f"polish-gpt2=owner/gpt2@{FIRST},herbert=owner/bert@{SECOND}",
        ),
        (
            "herbert=owner/bert",
            said(herbert=f"hub owner/bert (converted from its pickles), revision {FIRST}"),
            f"herbert=owner/bert@{FIRST}",
        ),
        ("herbert=owner/bert", said(herbert=f"hub owner/bert@refs/pr/2, revision {FIRST}"), "herbert=owner/bert@refs/pr/2"),
        (
            "polish-gpt2=/my models/gpt2 , herbert = owner/bert@v1",
            said(polish_gpt2="folder /my models/gpt2, revision 0123", herbert=f"hub owner/bert, revision {SECOND}"),
            f"polish-gpt2=/my models/gpt2,herbert=owner/bert@{SECOND}",
        ),
    ],
)
def test_a_choice_with_commits(value, models, expected):
    assert build_book.pinned(value, models) == expected
    assert build_book.pinned(expected, models) == expected


def test_commits_are_read_from_what_is_prepared(tmp_path, monkeypatch):
    tiny.save(tmp_path, tiny.gpt2(), tiny.byte_level_tokenizer())
    monkeypatch.setattr(hub, "fetch", lambda repository: hub.Snapshot(tmp_path, "owner/gpt2", FIRST))
    monkeypatch.setenv("ANALYSIS_MODELS", "polish-gpt2=owner/gpt2")
    found = build_book.chosen_models("polish-gpt2=owner/gpt2")
    assert build_book.pinned("polish-gpt2=owner/gpt2", found) == f"polish-gpt2=owner/gpt2@{FIRST}"


def test_chapters_are_executed_with_these_commits(tmp_path, monkeypatch):
    (tmp_path / "book").mkdir()
    monkeypatch.setenv("ANALYSIS_MODELS", "herbert=owner/bert")
    line = f"hub owner/bert, revision {FIRST}, configuration and tokenizer 0123456789ab"
    monkeypatch.setattr(models, "prepare", lambda: {"herbert": line})
    monkeypatch.setattr(build_book, "settings", lambda root, models: [])
    seen = []
    monkeypatch.setattr(build_book, "status_of", lambda command, root, environment: seen.append(environment["ANALYSIS_MODELS"]) or 1)
    assert build_book.build(tmp_path, f"herbert: {line}") == 1
    assert seen == [f"herbert=owner/bert@{FIRST}"]
