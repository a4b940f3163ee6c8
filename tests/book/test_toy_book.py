"""The project's own commands and settings on a book of two pages, with mistakes planted."""

import pytest

from tests.support.toy_book import CHAPTER, INDEX, ToyBook


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


def test_chapters_are_executed_once_by_the_book_or_by_the_tests_and_a_failing_cell_fails_these_every_time(toy):
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

    toy.write("book/chapter.py", CHAPTER + '\n# %%\nraise ValueError("planted")\n')
    toy.fails("test", saying="make notebooks")
    toy.succeeds("notebooks")
    toy.fails("test", saying="planted")
    toy.fails("test", saying="planted")


@pytest.mark.slow
def test_a_failing_cell_fails_the_book_every_time(toy):
    toy.write("book/chapter.py", CHAPTER + '\n# %%\nraise ValueError("planted")\n')
    toy.fails("book", saying="planted")
    toy.fails("book", saying="planted")


@pytest.mark.slow
def test_a_warning_fails_the_book_every_time_until_it_is_mended(toy):
    toy.write("book/index.py", INDEX + "\n# %% [markdown]\n# See {numref}`fig-that-is-not-there`.\n")
    toy.fails("book", saying="fig-that-is-not-there")
    toy.fails("book", saying="fig-that-is-not-there")
    toy.write("book/index.py", INDEX)
    toy.succeeds("book")

    # So does a number that was never glued.
    toy.write("book/index.py", INDEX.replace("::toy-number", "::toy-numbre"))
    toy.fails("book", saying="toy-numbre")


@pytest.mark.slow
def test_a_book_on_models_of_a_readers_choice_is_built_with_the_extensions(toy, monkeypatch):
    """Its settings, with more time for each cell, lie in another folder than those of the book."""
    toy.write("analysis_lib/models.py", "def prepare():\n    return {'polish-gpt2': 'a folder'}\n")
    monkeypatch.setenv("ANALYSIS_MODELS", "hub")
    toy.succeeds("book")
    assert toy.executions() == ["chapter", "index"]
    assert "1.25" in toy.shows("chapter")
