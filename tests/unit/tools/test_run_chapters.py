"""Chapters are executed beside one another, once, and kept where Jupyter Book looks."""

import asyncio
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import run_chapters
from jupyter_cache import get_cache

TOC = """format: jb-book
root: book/index
parts:
  - chapters:
      - file: book/first
        sections:
          - file: book/second
      - file: book/page
"""
WAIT = """import pathlib, time
pathlib.Path("{own}.here").touch()
end = time.monotonic() + 60
while not pathlib.Path("{other}.here").exists():
    assert time.monotonic() < end
    time.sleep(.05)
"""


def write(root, name, *cells):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (root / "book").mkdir(exist_ok=True)
    nbformat.write(made, root / "book" / f"{name}.ipynb")


@pytest.fixture
def book(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC, encoding="utf-8")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page.md").write_text("# A page\n", encoding="utf-8")
    (tmp_path / "_build").mkdir()
    return tmp_path


def cached(root):
    """Names of the chapters in the cache, with what their last cells showed."""
    cache = get_cache(root / "_build" / ".jupyter_cache")
    records = cache.list_cache_records()
    return {record.uri.split("/")[-1]: cache.get_cache_bundle(record.pk).nb.cells[-1].outputs for record in records}


def test_notebooks_of_the_table_of_contents_are_chapters_the_longest_first(book):
    for name, length in (("index", 1), ("first", 300), ("second", 3000), ("elsewhere", 5)):
        write(book, name, "x" * length)
    assert [path.stem for path in run_chapters.chapters(book)] == ["second", "first", "index"]


def test_chapters_run_at_the_same_time_and_what_fails_is_not_kept(book, capsys):
    write(book, "first", WAIT.format(own="first", other="second"), "print('one')")
    write(book, "second", WAIT.format(own="second", other="first"), "print('two')")
    write(book, "index", "raise ValueError('planted')")
    asyncio.run(run_chapters.run(book, jobs=2, timeout=90))
    kept = cached(book)
    assert sorted(kept) == ["first.ipynb", "second.ipynb"]
    assert [kept[name][0]["text"] for name in sorted(kept)] == ["one\n", "two\n"]
    said = capsys.readouterr().out
    assert "index: raised CellExecutionError" in said
    if Path("/proc/self/status").exists():
        assert re.search(r"^first: executed after \d+ s, 0\.\d GiB at most, \d of 3$", said, re.M)

    # A second time only the chapter that failed is tried.
    write(book, "index", "print('mended')")
    asyncio.run(run_chapters.run(book, jobs=2, timeout=90))
    assert "executing 1 chapters" in capsys.readouterr().out
    assert sorted(cached(book)) == ["first.ipynb", "index.ipynb", "second.ipynb"]


def test_a_kernel_that_dies_ends_its_own_chapter_only(book, capsys):
    write(book, "first", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    write(book, "second", "print('two')")
    asyncio.run(run_chapters.run(book, jobs=2, timeout=90))
    assert "first: raised DeadKernelError" in capsys.readouterr().out
    assert sorted(cached(book)) == ["second.ipynb"]


def test_a_chapter_whose_file_the_cache_lacks_is_executed_again(book, capsys):
    """The cache knows a notebook before it has written its file, so a run that is killed may leave one without the other."""
    write(book, "index", "1 + 1")
    asyncio.run(run_chapters.run(book, jobs=1, timeout=90))
    (file,) = (book / "_build" / ".jupyter_cache").rglob("base.ipynb")
    for damage in (file.unlink, lambda: shutil.rmtree(file.parent), lambda: file.write_text("{", encoding="utf-8")):
        damage()
        asyncio.run(run_chapters.run(book, jobs=1, timeout=90))
        assert "index: executed" in capsys.readouterr().out
        assert list(cached(book)) == ["index.ipynb"]


def gone(pid):
    """Whether a process has ended, reaped or not."""
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_stop_ends_with_its_kernels(book, number):
    (book / "_config.yml").write_text("execute: {timeout: 90}\n", encoding="utf-8")
    write(book, "first", "print('done')")
    endless = "import os, pathlib, time; pathlib.Path('second.pid').write_text(str(os.getpid())); time.sleep(600)"
    write(book, "second", f"# {'x' * 3000}", endless)  # the longest: it starts first and is still there when the others are done
    write(book, "index", "1 + 1")
    command = [sys.executable, run_chapters.__file__, "--jobs", "2"]
    with subprocess.Popen(command, cwd=book, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        seen = "".join(started.stdout.readline() for _ in range(3))  # two chapters are done
        assert re.findall(r"^(\w+): executed", seen, re.M) == ["first", "index"]
        kernel = int((book / "book" / "second.pid").read_text())
        started.send_signal(number)
        _, said = started.communicate(timeout=60)
    assert started.returncode == 1
    assert "stopped: chapters that were done are kept" in said
    assert gone(kernel)
    assert sorted(cached(book)) == ["first.ipynb", "index.ipynb"]


def test_the_longest_chapter_is_executed_first(book, capsys):
    for name, length in (("index", 1), ("first", 300), ("second", 3000)):
        write(book, name, f"# {'x' * length}")
    asyncio.run(run_chapters.run(book, jobs=1, timeout=90))
    assert re.findall(r"^(\w+): executed", capsys.readouterr().out, re.M) == ["second", "first", "index"]


def test_memory_is_told_where_the_system_knows_it():
    assert math.isnan(run_chapters.peak_memory(None))
    if Path("/proc/self/status").exists():
        assert 0.01 < run_chapters.peak_memory(os.getpid()) < 100


def test_a_number_of_jobs_that_makes_no_sense_is_refused(capsys):
    with pytest.raises(SystemExit):
        run_chapters.main(["--jobs", "-1"])
    assert "--jobs: expected 1 or more, got -1" in capsys.readouterr().err


@pytest.mark.parametrize(("failures", "kept"), [(1, True), (2, False)])
def test_a_kernel_that_does_not_start_is_tried_once_more(book, monkeypatch, failures, kept):
    write(book, "index", "1 + 1")
    starts = []
    execute = run_chapters.NotebookClient.async_execute

    async def start(client, *arguments, **options):
        starts.append(client)
        if len(starts) <= failures:
            raise RuntimeError("Kernel died before replying to kernel_info")
        return await execute(client, *arguments, **options)

    monkeypatch.setattr(run_chapters.NotebookClient, "async_execute", start)
    asyncio.run(run_chapters.run(book, 1, 60))
    assert len(starts) == 2
    assert ("index.ipynb" in cached(book)) == kept
