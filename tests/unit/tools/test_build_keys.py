"""What decides whether executed chapters may be used again (tools/build_book.py)."""

import os
import re
from pathlib import Path

import build_book
import pytest
import yaml

from analysis_lib import models


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.delenv("ANALYSIS_MODELS", raising=False)
    (tmp_path / "analysis_lib/checkpoints/mini").mkdir(parents=True)
    (tmp_path / "book").mkdir()
    (tmp_path / "analysis_lib/models.py").write_text("x = 1\n")
    (tmp_path / "analysis_lib/checkpoints/mini/model.safetensors").write_bytes(b"weights")
    (tmp_path / "requirements.lock").write_text("torch==1\n")
    (tmp_path / "book/chapter.ipynb").write_text("{}")
    (tmp_path / "_toc.yml").write_text("root: book/chapter\n")
    return tmp_path


@pytest.mark.parametrize("path", ["analysis_lib/models.py", "analysis_lib/checkpoints/mini/model.safetensors", "requirements.lock"])
def test_results_depend_on_library_checkpoints_and_lock(tree, path):
    before = build_book.results_key(tree)
    assert build_book.results_key(tree) == before
    (tree / path).write_bytes(b"something else")
    assert build_book.results_key(tree) != before


def test_results_depend_on_file_names(tree):
    before = build_book.results_key(tree)
    (tree / "analysis_lib/models.py").rename(tree / "analysis_lib/other.py")
    assert build_book.results_key(tree) != before


def test_results_depend_on_which_models_are_chosen(tree, monkeypatch):
    before = build_book.results_key(tree)
    monkeypatch.setenv("ANALYSIS_MODELS", "embedded")
    assert build_book.results_key(tree) == before
    monkeypatch.setenv("ANALYSIS_MODELS", "hub")
    found = {"polish-gpt2": "hub owner/model, revision 1"}
    monkeypatch.setattr(models, "prepare", lambda: found)
    keys = []
    for revision in ("1", "2"):
        found["polish-gpt2"] = f"hub owner/model, revision {revision}"
        build_book.chosen_models.cache_clear()
        keys.append(build_book.results_key(tree))
    build_book.chosen_models.cache_clear()
    assert len({before, *keys}) == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("cloud", "found 'cloud'"),
        ("polish-gpt2=", "found 'polish-gpt2='"),
        ("minigpt=folder", "expected one of polish-gpt2, herbert before '=', found 'minigpt'"),
        ("polish-gpt2=/no/such/folder", "expected a folder or a hub id"),
    ],
)
def test_a_wrong_choice_of_models_ends_the_build_before_anything_is_executed(tree, monkeypatch, value, message):
    (kept,) = plant(tree, ".jupyter_cache/global.db")
    monkeypatch.chdir(tree)
    monkeypatch.setenv("ANALYSIS_MODELS", value)
    monkeypatch.setattr(build_book, "build", lambda root, models: pytest.fail("the book was built"))
    with pytest.raises(SystemExit, match=f"nothing was built: environment variable ANALYSIS_MODELS: .*{re.escape(message)}"):
        build_book.main([])
    assert kept.exists()


def test_a_folder_that_is_named_from_here_is_found_from_where_chapters_are_executed(tree, monkeypatch):
    (tree / "mine").mkdir()
    monkeypatch.chdir(tree)
    given, full = "polish-gpt2=mine,herbert=owner/name", f"polish-gpt2={(tree / 'mine').resolve()},herbert=owner/name"
    assert build_book.anchored(given) == build_book.anchored(full) == full
    for value in ("", "embedded", "hub", "polish-gpt2=", "polish-gpt2=no/such/folder"):
        assert build_book.anchored(value) == value
    monkeypatch.setenv("ANALYSIS_MODELS", given)
    monkeypatch.setattr(models, "prepare", lambda: {"polish-gpt2": "a folder"})
    seen = []
    monkeypatch.setattr(build_book, "build", lambda *_: seen.append(os.environ["ANALYSIS_MODELS"]) or 0)
    assert build_book.main([]) == 0
    assert seen == [full]
    build_book.chosen_models.cache_clear()


def test_compiled_files_and_pages_do_not_count(tree):
    before = build_book.results_key(tree), build_book.site_key(tree)
    (tree / "analysis_lib/__pycache__").mkdir()
    (tree / "analysis_lib/__pycache__/models.cpython-311.pyc").write_bytes(b"compiled")
    assert (build_book.results_key(tree), build_book.site_key(tree)) == before
    (tree / "book/chapter.ipynb").write_text("{ }")
    assert build_book.results_key(tree) == before[0]
    assert build_book.site_key(tree) != before[1]


def plant(tree, *names):
    for name in names:
        path = tree / "_build" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    return [tree / "_build" / name for name in names]


@pytest.mark.parametrize("file", ["book/findings.json", "book/placebo.json", "_toc.yml"])
def test_a_page_that_reads_a_file_is_executed_again_when_it_changes(tree, monkeypatch, file):
    forgotten = []
    monkeypatch.setattr(build_book, "forget_chapter", lambda root, name: forgotten.append(name))
    (tree / "book/board.ipynb").write_text(f'{{"source": "open(\'{Path(file).name}\')"}}')
    (tree / file).write_text("{}")
    build_book.forget_stale(tree)
    assert forgotten == ["board"]
    build_book.forget_stale(tree)
    assert forgotten == ["board"]
    (tree / file).write_text('{"claims": []}')
    build_book.forget_stale(tree)
    assert forgotten == ["board", "board"]


def test_pages_that_show_the_titles_of_others_are_executed_again_when_one_changes(tree, monkeypatch):
    forgotten = []
    monkeypatch.setattr(build_book, "forget_chapter", lambda root, name: forgotten.append(name))
    (tree / "book/index.ipynb").write_text("{}")
    (tree / "book/chapter.py").write_text("# %% [markdown]\n# # Title\n#\n# Text.\n")
    build_book.forget_stale(tree)
    forgotten.clear()
    (tree / "book/chapter.py").write_text("# %% [markdown]\n# # Title\n#\n# Another text.\n")
    build_book.forget_stale(tree)
    assert forgotten == []
    (tree / "book/chapter.py").write_text("# %% [markdown]\n# # Another title\n#\n# Text.\n")
    build_book.forget_stale(tree)
    assert forgotten == ["index"]


def test_a_site_is_not_current_while_it_is_built_or_without_pages(tree, monkeypatch):
    monkeypatch.chdir(tree)
    plant(tree, "html/index.html")
    build_book.write_whole(tree / "_build/site.key", build_book.site_key(tree))
    assert build_book.is_current(tree)
    (tree / "_build/html/index.html").unlink()
    assert not build_book.is_current(tree)
    plant(tree, "html/index.html")
    monkeypatch.setattr(build_book, "build", lambda *_: 1)  # that fails
    assert build_book.main([]) == 1
    assert not build_book.is_current(tree)


def test_cached_results_are_kept_until_something_changes(tree):
    build_book.forget_stale(tree)
    kept = plant(tree, ".jupyter_cache/global.db", ".doctrees/environment.pickle", "html/index.html")
    assert build_book.forget_stale(tree) == []
    assert all(path.exists() for path in kept)
    (tree / "analysis_lib/models.py").write_text("x = 2\n")
    assert "executed" in build_book.forget_stale(tree)[0]
    assert [path.exists() for path in kept] == [False, False, True]


def test_pages_are_read_again_where_what_works_on_them_changes(tree):
    (tree / "tools").mkdir()
    for name in build_book.FINISHING:
        (tree / "tools" / f"{name}.py").write_text("x = 1\n")
    build_book.forget_stale(tree)
    for name in build_book.FINISHING:
        stale = plant(tree, ".doctrees/environment.pickle", "html/index.html")
        kept = plant(tree, ".jupyter_cache/global.db")
        (tree / "tools" / f"{name}.py").write_text("x = 2\n")
        build_book.forget_stale(tree)
        assert [path.exists() for path in (*stale, *kept)] == [False, False, True]


def test_results_of_unknown_origin_are_not_used(tree):
    cached = plant(tree, ".jupyter_cache/global.db")[0]
    build_book.forget_stale(tree)
    assert not cached.exists()


def test_pages_taken_out_of_the_book_leave_the_site(tree):
    build_book.forget_stale(tree)
    page, cached = plant(tree, "html/book/old.html", ".jupyter_cache/global.db")
    (tree / "_toc.yml").write_text("root: book/other\n")
    build_book.forget_stale(tree)
    assert not page.exists()
    assert cached.exists()


def test_a_build_that_failed_or_was_killed_is_read_anew(tree):
    build_book.forget_stale(tree)
    pickled, mark = plant(tree, ".doctrees/environment.pickle", "building")
    build_book.forget_stale(tree)
    assert not pickled.exists()


def test_pages_that_show_foreign_numbers_are_found(tree):
    (tree / "book/own.md").write_text("{glue:text}`loss:.2f`")
    (tree / "book/foreign.md").write_text("{glue:text}`chapter.ipynb::loss:.2f`")
    assert [path.name for path in build_book.pages_with_foreign_numbers(tree)] == ["foreign.md"]


def test_an_unknown_chapter_is_refused_with_the_names_that_exist(tree):
    with pytest.raises(SystemExit, match="no chapter 'chaptre'; there are: chapter"):
        build_book.forget_chapter(tree, "chaptre")


def test_a_cell_may_take_longer_on_models_of_a_readers_choice(tree):
    given = {
        "title": "Zażółć",
        "execute": {"execute_notebooks": "cache", "timeout": 300},
        "sphinx": {"local_extensions": {"markup": "tools"}},
    }
    (tree / "_config.yml").write_text(yaml.safe_dump(given), encoding="utf-8")
    assert build_book.settings(tree, "embedded") == []
    option, path = build_book.settings(tree, "polish-gpt2: a folder")
    assert option == "--config"
    found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    assert found == given | {
        "execute": {"execute_notebooks": "cache", "timeout": build_book.PATIENCE},
        "sphinx": {"local_extensions": {"markup": str(tree.resolve() / "tools")}},  # these settings do not lie beside the folder
    }


def test_progress_goes_from_the_file_to_the_log_of_the_build(tmp_path, capsys):
    log = tmp_path / "_build" / "progress.log"
    with build_book.progress_shown(log, every=0.01), log.open("a", encoding="utf-8") as file:
        file.write("heads: 3 of 9\n")
    assert capsys.readouterr().err == "heads: 3 of 9\n"


def test_the_home_of_an_unknown_user_ends_the_build_with_a_sentence(tree, monkeypatch):
    monkeypatch.chdir(tree)
    monkeypatch.setenv("ANALYSIS_MODELS", "herbert=~nosuchuser/x")
    with pytest.raises(SystemExit, match="nothing was built: environment variable ANALYSIS_MODELS: .* found '~nosuchuser/x'"):
        build_book.main([])
