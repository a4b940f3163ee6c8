"""Programs that are killed at random moments: nothing half-written lies under a final name, and the next run gives the same result."""

import functools
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pairs
import pytest
import torch
from safetensors.torch import load_file
from whole_files import write_whole

from tests.support.children import ended, forked
from training import loop

TIMES = 20
SCRIPT = "# %% [markdown]\n# # Chapter {n}\n\n# %%\n" + "x = {n}  # a line\n" * 300


def killed_at_random(work: Callable[[], object], look: Callable[[], None], seed: int) -> None:
    """Let a child process do the work over and over, kill it, and look at what it left; twenty times."""
    rng = random.Random(seed)

    def over_and_over():
        while True:
            work()

    for _ in range(TIMES):
        child = forked(over_and_over)
        time.sleep(rng.uniform(0.001, 0.15))
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL, "the work failed before it was killed"
        look()


def test_a_file_is_the_old_or_the_new_one(tmp_path):
    path, contents = tmp_path / "zażółć gęślą.json", [bytes([65 + n]) * 3_000_000 for n in range(3)]
    write_whole(path, contents[0])

    def look():
        assert path.read_bytes() in contents

    killed_at_random(lambda: [write_whole(path, content) for content in contents], look, seed=0)
    write_whole(path, contents[1])
    assert path.read_bytes() == contents[1]


def test_notebooks_are_whole_or_not_there(tmp_path):
    for n in range(4):
        (tmp_path / f"chapter{n}.py").write_text(SCRIPT.format(n=n))
    expected = {f"chapter{n}.ipynb": pairs.notebook_text(tmp_path / f"chapter{n}.py") for n in range(4)}

    def again():
        for path in tmp_path.glob("*.ipynb"):
            path.unlink()
        pairs.write(tmp_path)

    def look():
        for path in tmp_path.glob("*.ipynb"):
            assert path.read_text() == expected[path.name]

    killed_at_random(again, look, seed=1)
    pairs.write(tmp_path)
    assert pairs.problems(tmp_path) == []


@pytest.fixture
def one_thread():
    """The parent computes on one thread, too, as the children that it forks do, so that both give the same bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def a_step(folder: Path, step: int):
    """One step of training from a state that depends on the step alone, and its state on disk."""
    generator = torch.Generator().manual_seed(step)
    model = torch.nn.Linear(200, 200)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.ones(1, 200)).square().sum().backward()
    optimizer.step()
    loop.save_state(folder, model, [optimizer], {"step": step})
    return {f"model.{name}": value.clone() for name, value in model.state_dict().items()}


@pytest.mark.usefixtures("one_thread")
def test_the_state_of_a_training_run_is_that_of_one_step(tmp_path):
    steps = [a_step(tmp_path, step) for step in range(3)]
    state = tmp_path / "state.safetensors"

    def look():
        found = load_file(state)
        assert any(all(torch.equal(found[name], step[name]) for name in step) for step in steps)

    killed_at_random(lambda: [a_step(tmp_path, step) for step in range(3)], look, seed=2)
    a_step(tmp_path, 1)
    assert torch.equal(load_file(state)["model.weight"], steps[1]["model.weight"])


def test_two_processes_that_write_one_file_do_not_disturb_each_other(tmp_path):
    path, contents = tmp_path / "findings.json", [b"a" * 500_000, b"b" * 400_000]

    def sixty_times(content):
        for _ in range(60):
            write_whole(path, content)

    children = [forked(functools.partial(sixty_times, content)) for content in contents]
    assert [ended(child) for child in children] == [0, 0]
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_write_that_failed(tmp_path, monkeypatch, error):
    path = tmp_path / "a.json"
    write_whole(path, "old")

    def failing(self, content):
        with open(self, "wb") as file:
            file.write(content[:1])
        raise error

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(type(error)):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
