"""A reader's own pair in the place of the embedded one (`ANALYSIS_MODELS`)."""

import shutil

import pytest

from analysis_lib import models
from analysis_lib.models import CheckpointError, choice
from tests.support import tiny

PUBLISHED = {"polish-gpt2": "owner/gpt2", "herbert": "owner/bert", "e5": "owner/e5"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A reader's folders, with a blank and a Polish letter in the name."""
    root = tmp_path_factory.mktemp("moje źródła")
    tiny.save(root / "gpt2", tiny.gpt2(), tiny.byte_level_tokenizer())
    tiny.save(root / "bert", tiny.bert(), tiny.herbert_tokenizer())
    return root


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", {}),
        (" embedded ", {}),
        ("hub", {"polish-gpt2": "owner/gpt2", "herbert": "owner/bert"}),
        ("herbert=someone/bert@refs/pr/3", {"herbert": "someone/bert@refs/pr/3"}),
        ("polish-gpt2=a/b , herbert = c/d", {"polish-gpt2": "a/b", "herbert": "c/d"}),
    ],
)
def test_a_value_says_what_stands_in_the_place_of_which_study(monkeypatch, value, expected):
    monkeypatch.setenv(choice.VARIABLE, value)
    assert choice.chosen(PUBLISHED) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("cloud", "expected 'embedded', 'hub' or 'polish-gpt2=.*', found 'cloud'"),
        ("hub,embedded", "found 'hub'"),
        ("polish-gpt2=", "found 'polish-gpt2='"),
        ("polish-gpt2=a/b,", "found ''"),
        ("herbet=a/b", "expected one of polish-gpt2, herbert before '=', found 'herbet'"),
        ("minigpt=a/b", "before '=', found 'minigpt'"),
        ("herbert=a/b,herbert=c/d", "found 'herbert' twice"),
        ("herbert=nowhere", "expected a folder or a hub id .* for 'herbert', found 'nowhere'"),
        ("herbert=/no/such/folder", "expected a folder or a hub id"),
    ],
)
def test_wrong_values_are_named(monkeypatch, value, message):
    monkeypatch.setenv(choice.VARIABLE, value)
    with pytest.raises(ValueError, match=f"environment variable ANALYSIS_MODELS: .*{message}"):
        choice.chosen(PUBLISHED)
    with pytest.raises(ValueError, match="ANALYSIS_MODELS"):
        models.load("minigpt")


def test_a_readers_pair_stands_behind_the_study_names_and_nothing_else_changes(own, monkeypatch):
    embedded = models.load("herbert", source="embedded").revision
    monkeypatch.setenv(choice.VARIABLE, f"polish-gpt2={own / 'gpt2'}")
    loaded = models.load("polish-gpt2")
    assert (loaded.name, loaded.source, loaded.identifier) == ("polish-gpt2", "folder", str(own / "gpt2"))
    assert loaded.revision == models.load(own / "gpt2").revision
    assert models.load("polish-gpt2", source="embedded").source == "embedded"
    assert models.load("minigpt").source == "embedded"
    assert models.load("herbert").revision == embedded
    assert list(models.prepare()) == ["polish-gpt2"]


def test_studies_without_a_repository_are_embedded_whatever_is_chosen(monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, "hub")
    for name in ("minigpt", "regressor", "model-selector"):
        assert models.load(name).source == "embedded"


def test_prepare_notices_every_file_that_is_read(own, monkeypatch, tmp_path):
    folder = shutil.copytree(own / "gpt2", tmp_path / "gpt2")
    monkeypatch.setenv(choice.VARIABLE, f"polish-gpt2={folder}")
    said = [models.prepare()["polish-gpt2"]]
    for name in ("config.json", "tokenizer.json"):
        text = (folder / name).read_text()
        (folder / name).write_text(text + "\n")
        said.append(models.prepare()["polish-gpt2"])
    assert len(set(said)) == 3


def test_prepare_refuses_what_cannot_be_used(own, monkeypatch, tmp_path):
    monkeypatch.setenv(choice.VARIABLE, f"herbert={own / 'gpt2'}")
    with pytest.raises(CheckpointError, match="ANALYSIS_MODELS: expected a model of type 'bert' for 'herbert', found 'gpt2'"):
        models.prepare()
    folder = shutil.copytree(own / "gpt2", tmp_path / "gpt2")
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])
    monkeypatch.setenv(choice.VARIABLE, f"polish-gpt2={folder}")
    with pytest.raises(CheckpointError, match="expected a whole safetensors file"):
        models.prepare()


def test_the_home_of_an_unknown_user_is_no_folder(monkeypatch):
    monkeypatch.setenv(choice.VARIABLE, "herbert=~nosuchuser/x")
    with pytest.raises(ValueError, match="expected a folder or a hub id .* for 'herbert', found '~nosuchuser/x'"):
        models.load("herbert")
    monkeypatch.delenv(choice.VARIABLE)
    with pytest.raises(ValueError, match="name: '~nosuchuser/x' is no study name and no folder"):
        models.load("~nosuchuser/x")
