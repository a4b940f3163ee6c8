"""What is kept beside the hub's cache: which files were compared with its checksums, and converted weights."""

import os
import time

import pytest

from analysis_lib.models import HubError, hub, hub_cache

NAMES = ["config.json", "tokenizer.json"]


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """A commit of two files, both in the cache and whole."""
    checksums = {}
    for name in NAMES:
        (tmp_path / name).write_text(f"content of {name}")
        checksums[name] = hub_cache._git_checksum(tmp_path / name)
    monkeypatch.setattr(hub_cache, "cached_assets_path", lambda *parts: tmp_path / "assets")
    monkeypatch.setattr(hub_cache.Commit, "cached", lambda commit, name: tmp_path / name if (tmp_path / name).exists() else None)
    return hub_cache.Commit("owner/name", "main", "1" * 40, checksums, online=True)


@pytest.fixture
def read(commit, monkeypatch):
    """Names of the files that were read for their checksums."""
    names, checksum = [], hub_cache._git_checksum
    monkeypatch.setattr(hub_cache, "_git_checksum", lambda path: names.append(path.name) or checksum(path))
    return names


def test_a_file_is_read_once_and_again_when_it_has_changed(commit, read, tmp_path):
    for _ in range(2):
        hub_cache._check(commit, NAMES)
    assert read == NAMES
    (tmp_path / "config.json").write_text("something else")
    with pytest.raises(HubError, match="config.json arrived damaged and was removed from the cache"):
        hub_cache._check(commit, NAMES)
    assert read == [*NAMES, "config.json"]
    assert not (tmp_path / "config.json").exists()


def test_all_damaged_files_are_removed_before_one_is_named(commit, tmp_path):
    for name in NAMES:
        (tmp_path / name).write_text("something else")
    with pytest.raises(HubError, match=r"config.json arrived damaged .* So did 1 more\. Another try"):
        hub_cache._check(commit, NAMES)
    assert not any((tmp_path / name).exists() for name in NAMES)


def test_where_no_note_can_be_kept_a_file_is_read_each_time(commit, read, tmp_path):
    (tmp_path / "assets").write_text("a file in the place of the folder")
    for _ in range(2):
        hub_cache._check(commit, NAMES)
    assert read == NAMES * 2


def test_what_a_killed_conversion_has_left_is_removed_after_a_day(commit, tmp_path):
    for name in ("converted", "converting-killed", "converting-at-work"):
        (tmp_path / "assets" / name).mkdir(parents=True)
        (tmp_path / "assets" / name / "model.safetensors").write_bytes(b"weights")
    two_days_ago = time.time() - 2 * hub.ABANDONED_AFTER
    os.utime(tmp_path / "assets" / "converting-killed", (two_days_ago, two_days_ago))
    assert hub._converted_here(commit).folder == tmp_path / "assets" / "converted"
    assert sorted(path.name for path in (tmp_path / "assets").iterdir()) == ["converted", "converting-at-work"]
