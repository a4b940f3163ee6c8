"""Builds that are killed with all that they have started, and two builds at once in one folder."""

import os
import random
import re
import signal
import subprocess
import time

import pytest

from tests.support.toy_book import ToyBook

pytestmark = pytest.mark.slow
MOMENTS = 3


def article(toy: ToyBook) -> str:
    """The chapter's page without its head, where Sphinx names versions of style sheets."""
    return re.search(r"<article.*</article>", toy.shows("chapter"), re.S)[0]


def killed(running: subprocess.Popen, after: float) -> bool:
    """Kill a make and its children after some seconds; whether it was still at work."""
    time.sleep(after)
    at_work = running.poll() is None
    if at_work:
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    return at_work


def test_a_killed_build_leaves_nothing_that_the_next_one_stumbles_over(tmp_path, root):
    toy, rng = ToyBook(tmp_path, root), random.Random(0)
    begun = time.monotonic()
    toy.succeeds("book")
    takes, first = time.monotonic() - begun, article(toy)
    cut = 0
    for moment in range(MOMENTS):
        toy.write("analysis_lib/__init__.py", f"NUMBER = {moment + 2}.75\n")
        cut += killed(toy.started("book"), rng.uniform(0.05, 0.9) * takes)
        toy.succeeds("book")
        for page in ("chapter", "index"):
            assert f"{moment + 2}.75" in toy.shows(page)
        assert not list(toy.folder.rglob("*.part"))
    assert cut
    toy.write("analysis_lib/__init__.py", "NUMBER = 1.25\n")
    toy.succeeds("book")
    assert article(toy) == first


def test_two_builds_at_once_take_turns(tmp_path, root):
    toy = ToyBook(tmp_path, root)
    toy.succeeds("notebooks")
    builds = [toy.started("book") for _ in range(2)]
    said = [build.communicate(timeout=600) for build in builds]
    assert [build.returncode for build in builds] == [0, 0], said
    assert sum("another build is at work in this folder" in errors for _, errors in said) == 1
    assert toy.executions() == ["chapter", "index"]  # the second one found everything done
    assert "1.25" in toy.shows("index")
