"""The claims of chapters about untrained twins: what is run, kept and put together."""

import json

import placebo_board
import pytest
import torch

from analysis_lib import models


def claim(key, section="lenses.html#a", estimate=0.5):
    return {"key": key, "section": section, "estimate": estimate}


def test_code_cells_are_those_that_are_not_markdown():
    text = '# %% [markdown]\n# words\n\n# %% tags=["remove-cell"]\na = 1\n\n# %%\nb = 2\n'
    assert [cell.strip() for cell in placebo_board.code_cells(text)] == ["a = 1", "b = 2"]


def test_chapters_that_ran_replace_their_claims_alone():
    before = [claim("lens-a"), claim("lens-gone"), claim("geo-a", "geometry.html")]
    found = placebo_board.merged(before, [claim("lens-a", estimate=0.7)], ["lenses"])
    assert found == [claim("geo-a", "geometry.html"), claim("lens-a", estimate=0.7)]


def test_what_a_chapter_read_from_the_card_is_no_claim_about_the_twin():
    claims = [claim("a", estimate=0.25), claim("b", estimate=0.75), claim("new", estimate=0.25)]
    assert placebo_board.of_twins(claims, {"a": 0.25, "b": 0.7}) == claims[1:]


def test_a_twin_has_the_tokenizer_and_counts_of_its_model_and_other_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(placebo_board, "STUDIES", ("polish-gpt2",))
    folder = placebo_board.save_twins(tmp_path)["polish-gpt2"]
    twin, trained = models.load(folder), models.load("polish-gpt2", source="embedded")
    assert list(twin.vocabulary.text) == list(trained.vocabulary.text)
    assert (twin.counts.total == trained.counts.total).all()
    ours, theirs = twin.model.state_dict(), trained.model.state_dict()
    assert ours.keys() == theirs.keys()
    assert not torch.equal(ours["transformer.wte.weight"], theirs["transformer.wte.weight"])
    assert not (folder / "evaluation.json").exists()  # figures of the trained model


def test_an_unknown_chapter_is_named(capsys):
    assert placebo_board.main(["lenses", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["seed", "claims"])
def test_the_committed_file_says_from_which_seed_and_what_was_claimed(key):
    assert json.loads(placebo_board.FILE.read_text(encoding="utf-8"))[key]


def test_claims_are_of_chapters_that_the_tool_runs():
    claims = json.loads(placebo_board.FILE.read_text(encoding="utf-8"))["claims"]
    assert {claim["section"].split(".html")[0] for claim in claims} <= set(placebo_board.chapters())
    assert {claim["model"] for claim in claims} == set(placebo_board.STUDIES)
