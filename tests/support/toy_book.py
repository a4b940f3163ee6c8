"""A book of two pages that is built with the project's own commands and settings."""

import os
import shlex
import shutil
import subprocess
import sys

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

    def started(self, *arguments):
        """A make in a session of its own, so that it can be killed with all that it has started."""
        ours = ("MAKE", "PYTEST_")  # what the make and the pytest around this test tell their children
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        command = ["make", *arguments, f"PY={shlex.quote(sys.executable)}", "WORKERS=0"]  # its path may have spaces
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
        return subprocess.Popen(command, cwd=self.folder, env=environment, **options)

    def make(self, *arguments):
        with self.started(*arguments) as running:
            said = running.communicate(timeout=600)
        return subprocess.CompletedProcess(running.args, running.returncode, *said)

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
