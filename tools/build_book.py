"""Build the book. Warnings are errors, and outdated results are never reused.

Jupyter Book decides what to execute by the source of the cells alone. A chapter also depends on the library, the embedded
checkpoints, the pinned packages and on ``ANALYSIS_MODELS``; when one of these changes, the cached results are thrown away here.
The models that ``ANALYSIS_MODELS`` names are fetched and checked first: a wrong value or an unreadable model ends the build at once.
Chapters get the commits that were found then, whatever is pushed to the hub while they are executed.

Usage: ``python tools/build_book.py [--jobs N] [--chapter NAME | --is-current]``, in the folder of ``_config.yml``.
"""

from __future__ import annotations

import argparse
import fcntl
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import yaml
from whole_files import write_whole

ROOT = Path(__file__).resolve().parents[1]
SPARE = {"__pycache__", ".ipynb_checkpoints"}
# Programs that work on pages, with Sphinx or after it.
FINISHING = ("site_pages", "code_cells", "figure_numbers", "atlas", "atlas_rows", "previews", "docstring_markup", "results")
TITLED = ("index", "null_board")  # pages that show the titles of others
FETCHED = re.compile(r"^(\S+): hub (\S+).*, revision ([0-9a-f]{40}),", re.MULTILINE)  # in what `chosen_models` says
PATIENCE = 7200  # seconds a cell may take on models of a reader's choice; on the embedded ones _config.yml says it


def files_under(folder: Path) -> list[Path]:
    """Files that can change a result, in an order that is the same everywhere."""
    found = (path for path in folder.rglob("*") if path.is_file() and not SPARE & set(path.parts) and path.suffix != ".pyc")
    return sorted(found, key=lambda path: path.as_posix())


def digest(paths: Iterable[Path], root: Path, extra: str = "") -> str:
    """A hash of names and contents."""
    total = hashlib.sha256(extra.encode())
    for path in paths:
        total.update(path.relative_to(root).as_posix().encode())
        total.update(hashlib.sha256(path.read_bytes()).digest() if path.exists() else b"missing")
    return total.hexdigest()


@functools.cache
def chosen_models(value: str) -> str:
    """What stands behind the study names, revisions included; fetched where that is needed. The build ends where it cannot be used."""
    if value in ("", "embedded"):
        return "embedded"
    sys.path.insert(0, str(ROOT))
    from analysis_lib import models  # slow to import, and needed here only

    try:
        return "\n".join(f"{name}: {line}" for name, line in models.prepare().items())
    except (ValueError, OSError) as error:
        raise SystemExit(f"nothing was built: {error}") from error


def results_key(root: Path) -> str:
    """What every executed chapter depends on besides its own cells."""
    models = chosen_models(os.environ.get("ANALYSIS_MODELS", "").strip())
    version = ".".join(map(str, sys.version_info[:3]))
    recorded = sorted((root / "benchmarks").glob("*.csv"))
    return digest([*files_under(root / "analysis_lib"), *recorded, root / "requirements.lock"], root, f"{models} {version}")


def site_key(root: Path) -> str:
    """What the whole site depends on: the tests of the built pages use it to tell a current site from an old one."""
    pages = [path for path in files_under(root / "book") if path.suffix != ".py"]
    settings = [root / name for name in ("_config.yml", "_toc.yml", "references.bib", *(f"tools/{name}.py" for name in FINISHING))]
    return digest([*pages, *settings], root, results_key(root))


def is_current(root: Path) -> bool:
    """Whether the site in ``_build`` was made, without errors, of the sources as they are: all its chapters were executed then."""
    build = root / "_build"
    return (build / "html" / "index.html").exists() and read(build / "site.key") == site_key(root)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def forget_stale(root: Path) -> list[str]:
    """Delete what an earlier build left and this one must not use; return lines that say what and why."""
    build, said = root / "_build", []
    if read(build / "results.key") != results_key(root):
        for folder in (".jupyter_cache", ".doctrees", "jupyter_execute"):
            shutil.rmtree(build / folder, ignore_errors=True)
        if (build / "results.key").exists():
            said.append("library, checkpoints, lock or ANALYSIS_MODELS changed: every chapter will be executed")
        write_whole(build / "results.key", results_key(root))
    toc = digest([root / "_toc.yml", *(root / "tools" / f"{name}.py" for name in FINISHING)], root)
    if read(build / "toc.key") != toc:  # a page taken out of the book must not stay in the site; what finishes pages works on new ones
        for folder in ("html", ".doctrees"):
            shutil.rmtree(build / folder, ignore_errors=True)
        write_whole(build / "toc.key", toc)
    for file in (root / "book" / "findings.json", root / "book" / "placebo.json", root / "_toc.yml"):
        found, key = digest([file], root), build / f"{file.name}.key"
        if read(key) != found:  # a notebook's cache knows its cells, not the files that they read
            for notebook in (path for path in (root / "book").glob("*.ipynb") if file.name in read(path)):
                forget_chapter(root, notebook.stem)
            write_whole(key, found)
    titles = digest([], root, "".join(title_line(path) for path in sorted((root / "book").glob("*.py"))))
    if read(build / "titles.key") != titles:
        for name in (name for name in TITLED if (root / "book" / f"{name}.ipynb").exists()):
            forget_chapter(root, name)
        write_whole(build / "titles.key", titles)
    if (build / "building").exists():  # Sphinx shows a warning once; a page it has seen would pass the second time
        shutil.rmtree(build / ".doctrees", ignore_errors=True)
    for page in pages_with_foreign_numbers(root):  # Sphinx does not know that these pages depend on others
        (build / "html" / page).with_suffix(".html").unlink(missing_ok=True)
    return said


def title_line(script: Path) -> str:
    """The line of a chapter that holds its title."""
    return "".join(read(script).splitlines(keepends=True)[1:2])


def pages_with_foreign_numbers(root: Path) -> list[Path]:
    """Pages that show what was glued in another chapter (``{glue:text}`chapter.ipynb::key```)."""
    pages = [path for path in (root / "book").glob("*") if path.suffix in {".ipynb", ".md"}]
    return [path.relative_to(root) for path in pages if re.search(r"\{glue[^}]*\}`[^`]*::|:doc: .*\.(ipynb|md)", read(path))]


def forget_chapter(root: Path, name: str) -> None:
    """Make the next build execute one chapter again."""
    notebook = root / "book" / f"{name}.ipynb"
    if not notebook.exists():
        names = ", ".join(sorted(path.stem for path in notebook.parent.glob("*.ipynb")))
        raise SystemExit(f"no chapter {name!r}; there are: {names}")
    from jupyter_cache import get_cache  # slow to import, and needed here only

    cache = get_cache(root / "_build" / ".jupyter_cache")
    for record in cache.list_cache_records():
        if Path(record.uri).stem == name:  # wherever the book lay when the chapter was executed
            with suppress(KeyError):  # its file is not there, so it will be executed
                cache.remove_cache(record.pk)
    (root / "_build" / ".doctrees" / "book" / f"{name}.doctree").unlink(missing_ok=True)


@contextmanager
def progress_shown(log: Path, every: float = 1.0) -> Iterator[None]:
    """Pass on what sweeps in chapters write to a file about their progress, so that it stands in the build's log and on no page."""
    write_whole(log, "")
    done = threading.Event()

    def follow() -> None:
        with log.open(encoding="utf-8") as lines:
            ended = False
            while not ended:
                ended = done.wait(every)  # once more after the end, for what was written last
                sys.stderr.writelines(lines)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def one_at_a_time(root: Path) -> Iterator[None]:
    """Wait until no other build is at work in this folder. The system gives the lock back when its holder ends, killed or not."""
    path = root / "_build" / "lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another build is at work in this folder: this one waits until it is done", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def settings(root: Path, models: str) -> list[str]:
    """Options of Jupyter Book: with large models a cell may take longer than with the embedded ones."""
    if models == "embedded":
        return []
    changed = yaml.safe_load(read(root / "_config.yml"))
    changed["execute"]["timeout"] = PATIENCE
    extensions = changed.get("sphinx", {}).get("local_extensions", {})  # Jupyter Book looks for them beside its settings
    extensions.update({name: str((root / folder).resolve()) for name, folder in extensions.items()})
    write_whole(root / "_build" / "_config.yml", yaml.safe_dump(changed, allow_unicode=True, sort_keys=False))
    return ["--config", str(root / "_build" / "_config.yml")]


def anchored(value: str) -> str:
    """A choice of models whose folders have full paths, since chapters are executed in another folder than the one of this command."""

    def full(part: str) -> str:
        name, equals, place = part.partition("=")
        folder = Path(os.path.expanduser(place.strip()))  # an unknown user's home stays as it is, and is refused with the other mistakes
        return f"{name}={folder.resolve()}" if equals and place.strip() and folder.is_dir() else part

    return ",".join(map(full, value.split(",")))


def pinned(value: str, models: str) -> str:
    """A choice of models with the commits that `chosen_models` found; a pull request, which labels name, stays a pull request."""
    parts = (part.partition("=") for part in value.split(","))
    places = {name.strip(): place.strip() for name, equals, place in parts if equals}
    for name, repository, commit in FETCHED.findall(models):
        places[name] = repository if "@" in repository else f"{repository}@{commit}"
    return ",".join(f"{name}={place}" for name, place in places.items()) or value


def status_of(command: list[str], root: Path, environment: dict[str, str]) -> int:
    """Run a program to its end and return its exit status. Signals that would end this one go to that one, which can end its kernels."""
    with subprocess.Popen(command, cwd=root, env=environment) as child:
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, lambda number, _: child.send_signal(number)) for number in numbers}
        try:
            return child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def build(root: Path, models: str = "embedded", jobs: int = 0) -> int:
    """Execute chapters, so many at a time, and run Jupyter Book. Returns its exit status, or 1 when it left no page to open."""
    mark, key = root / "_build" / "building", site_key(root)  # computed before the build, of the sources that it reads
    write_whole(mark, "")
    program, chosen = "from jupyter_book.cli.main import main; main()", settings(root, models)  # there is no `python -m jupyter_book`
    ahead = [sys.executable, str(Path(__file__).with_name("run_chapters.py")), *chosen, *(["--jobs", str(jobs)] if jobs else [])]
    command = [sys.executable, "-c", program, "build", str(root), "-n", "-W", "--keep-going", *chosen]
    log = root / "_build" / "progress.log"
    environment = {"ANALYSIS_SWEEPS": str(root / "_build" / "sweeps"), "ANALYSIS_PROGRESS": str(log)} | os.environ
    environment["ANALYSIS_MODELS"] = pinned(os.environ.get("ANALYSIS_MODELS", ""), models)
    with progress_shown(log):
        status = status_of(ahead, root, environment) or status_of(command, root, environment)
    if status == 0 and not (root / "_build" / "html" / "index.html").exists():
        print("the build ended well, but there is no _build/html/index.html", file=sys.stderr)
        status = 1
    if status == 0:
        write_whole(root / "_build" / "site.key", key)
        mark.unlink()
    return status


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--jobs", type=int, default=0, help="chapters at a time; one for each core and at most four by default, see run_chapters.py"
    )
    parser.add_argument("--chapter", help="execute this chapter again, whether it changed or not")
    parser.add_argument("--is-current", action="store_true", help="build nothing; exit with 0 if the site is current, else with 1")
    chosen = parser.parse_args(arguments)
    root = Path.cwd()
    os.environ["ANALYSIS_MODELS"] = anchored(os.environ.get("ANALYSIS_MODELS", ""))
    if chosen.is_current:
        return 0 if is_current(root) else 1
    models = chosen_models(os.environ.get("ANALYSIS_MODELS", "").strip())
    if models != "embedded":
        print(f"the models of this book:\n{models}")
    with one_at_a_time(root):
        (root / "_build" / "site.key").unlink(missing_ok=True)  # what is in _build changes from here on
        for line in forget_stale(root):
            print(line)
        if chosen.chapter:
            forget_chapter(root, chosen.chapter)
        # Chapters on the models of a reader's choice may need eleven gigabytes each.
        return build(root, models, chosen.jobs or int(models != "embedded"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
