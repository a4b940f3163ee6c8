"""The project's own commands and settings on a book of two pages, with mistakes planted."""

import os
import shutil
import subprocess
import sys

import pytest

CHAPTER = """# %% [markdown]
# # Chapter

# %%
import sys

from myst_nb import glue

sys.path.insert(0, "..")
with open("../executions.txt", "a") as log:
    log.write("chapter\\n")

# %%
import analysis_lib

glue("toy-number", analysis_lib.NUMBER, display=False)

# %% [markdown]
# On this page {glue:text}`toy-number:.2f`.
"""

INDEX = """# %% [markdown]
# # Toy
#
# In the other chapter {glue:text}`chapter.ipynb::toy-number:.2f`.

# %%
with open("../executions.txt", "a") as log:
    log.write("index\\n")
"""

TOC = "format: jb-book\nroot: book/index\nchapters:\n  - file: book/chapter\n"
SETTINGS = ["Makefile", "_config.yml", "pyproject.toml", "requirements.lock", "references.bib"]


class ToyBook:
    def __init__(self, folder, project):
        self.folder = folder
        for name in SETTINGS:
            shutil.copy(project / name, folder / name)
        for name in ("tools", "book/_static"):
            shutil.copytree(project / name, folder / name)
        self.write("_toc.yml", TOC)
        self.write("book/index.py", INDEX)
        self.write("book/chapter.py", CHAPTER)
        self.write("analysis_lib/__init__.py", "NUMBER = 1.25\n")
        self.write("tests/test_nothing.py", "def test_nothing():\n    assert True\n")

    def write(self, name, text):
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def make(self, *arguments):
        ours = ("MAKE", "PYTEST_")  # what the make and the pytest around this test tell their children
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        command = ["make", *arguments, f"PY={sys.executable}", "WORKERS=0"]
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False)

    def succeeds(self, *arguments):
        done = self.make(*arguments)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def fails(self, *arguments, saying):
        done = self.make(*arguments)
        assert done.returncode != 0, done.stdout[-3000:]
        assert saying in done.stdout + done.stderr

    def executions(self):
        """Which pages were executed since this was last asked."""
        log = self.folder / "executions.txt"
        pages = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return sorted(pages)

    def shows(self, page):
        return (self.folder / f"_build/html/book/{page}.html").read_text(encoding="utf-8")


@pytest.fixture
def toy(tmp_path, root):
    return ToyBook(tmp_path, root)


def test_results_are_used_again_until_what_they_depend_on_changes(toy):
    toy.succeeds("book")
    assert toy.executions() == ["chapter", "index"]
    assert (toy.folder / "_build/html/index.html").exists()
    assert "1.25" in toy.shows("chapter")
    assert "1.25" in toy.shows("index")

    toy.succeeds("book")
    assert toy.executions() == []

    toy.write("analysis_lib/__init__.py", "NUMBER = 2.75\n")
    toy.succeeds("book")
    assert toy.executions() == ["chapter", "index"]
    assert "2.75" in toy.shows("chapter")
    assert "2.75" in toy.shows("index")

    # An edited chapter alone is executed, and the page that shows its number shows the new one.
    toy.write("book/chapter.py", CHAPTER.replace("analysis_lib.NUMBER", "2 * analysis_lib.NUMBER"))
    toy.succeeds("book")
    assert toy.executions() == ["chapter"]
    assert "5.50" in toy.shows("index")

    toy.succeeds("chapter", "NAME=index")
    assert toy.executions() == ["index"]


def test_chapters_are_executed_once_by_the_book_or_by_the_tests(toy):
    toy.succeeds("notebooks")
    toy.succeeds("test")
    assert toy.executions() == ["chapter", "index"]
    toy.succeeds("book")
    assert toy.executions() == ["chapter", "index"]
    toy.succeeds("test")
    assert toy.executions() == []
    toy.write("analysis_lib/__init__.py", "NUMBER = 2.75\n")
    toy.succeeds("test")
    assert toy.executions() == ["chapter", "index"]


def test_a_failing_cell_fails_the_book_every_time(toy):
    toy.write("book/chapter.py", CHAPTER + '\n# %%\nraise ValueError("planted")\n')
    toy.fails("book", saying="planted")
    toy.fails("book", saying="planted")


def test_a_failing_cell_fails_the_tests_every_time(toy):
    toy.succeeds("notebooks")
    toy.succeeds("test")
    toy.write("book/chapter.py", CHAPTER + '\n# %%\nraise ValueError("planted")\n')
    toy.fails("test", saying="make notebooks")
    toy.succeeds("notebooks")
    toy.fails("test", saying="planted")
    toy.fails("test", saying="planted")


def test_a_warning_fails_the_book_every_time_until_it_is_mended(toy):
    toy.write("book/index.py", INDEX + "\n# %% [markdown]\n# See {numref}`fig-that-is-not-there`.\n")
    toy.fails("book", saying="fig-that-is-not-there")
    toy.fails("book", saying="fig-that-is-not-there")
    toy.write("book/index.py", INDEX)
    toy.succeeds("book")


def test_a_number_that_was_never_glued_fails_the_book(toy):
    toy.write("book/index.py", INDEX.replace("::toy-number", "::toy-numbre"))
    toy.fails("book", saying="toy-numbre")
