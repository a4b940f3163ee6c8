"""Records of the embedded models: figures, logs, sizes."""

import json

import pytest

from analysis_lib.models import cards
from analysis_lib.statistics import Interval
from tests.support import tiny


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cards, "EMBEDDED_FOLDER", tmp_path)
    made = tmp_path / "herbert-mini"
    made.mkdir()
    return made


def test_stored_intervals_come_back_as_intervals(folder):
    stored = {"top1": {"mean": 0.5, "low": 0.4, "high": 0.6}, "unigram_entropy": 7.4, "run": {"tokens": 3, "seed": 0}}
    (folder / "evaluation.json").write_text(json.dumps(stored))
    assert cards.figures("herbert") == {"top1": Interval(0.5, 0.4, 0.6), "unigram_entropy": 7.4, "run": {"tokens": 3, "seed": 0}}


def test_a_training_log_is_read_and_one_with_other_columns_refused(folder):
    (folder / "training_log.csv").write_text("step,tokens,train_loss,heldout_loss,lr_share,seconds\n1,1024,7.5,7.6,1.0,2.5\n")
    log = cards.training_log("herbert")
    assert log.heldout_loss.tolist() == [7.6]
    (folder / "training_log.csv").write_text("step,loss\n1,7.5\n")
    with pytest.raises(ValueError, match="expected columns step, tokens, .* found step, loss"):
        cards.training_log("herbert")


def test_what_is_not_there_is_named(folder):
    with pytest.raises(ValueError, match=r"herbert: expected evaluation\.json"):
        cards.figures("herbert")
    with pytest.raises(ValueError, match="polish-gpt2.*found 'bert'"):
        cards.figures("bert")
    with pytest.raises(ValueError, match="found 'gpt2'"):
        cards.published_model("gpt2")
    with pytest.raises(ValueError, match="parts have names in the registry, found 'regressor'"):
        cards.sizes(tiny.regressor())


@pytest.mark.parametrize("make", [tiny.gpt2, tiny.bert])
def test_sizes_add_up(make):
    model = make(layers=3, heads=4, width=24)
    found = cards.sizes(model)
    assert found["all parameters"] == model.num_parameters()
    assert (found["layers"], found["heads"], found["d_model"], found["d_head"]) == (3, 4, 24, 6)
    assert found["attention"] == 3 * (4 * 24 * 24 + 4 * 24)
    assert found["feed-forward"] == 3 * (2 * 24 * found["d_mlp"] + found["d_mlp"] + 24)
    assert found["token embedding"] == found["vocabulary"] * 24
    assert found["position embedding"] == 64 * 24


def test_published_models_have_their_published_sizes():
    gpt2, herbert = (cards.sizes(cards.published_model(name)) for name in ("polish-gpt2", "herbert"))
    assert (gpt2["layers"], gpt2["d_model"], gpt2["heads"], gpt2["vocabulary"]) == (24, 1024, 16, 51_200)
    assert (herbert["layers"], herbert["d_model"], herbert["heads"], herbert["vocabulary"]) == (12, 768, 12, 50_000)
    assert 350e6 < gpt2["all parameters"] < 360e6
    assert 120e6 < herbert["all parameters"] < 126e6


def test_tables_hold_the_stored_figures_with_their_intervals(folder):
    stored = {"heldout_loss": {"mean": 5.0, "low": 4.9, "high": 5.1}, "unigram_entropy": 7.444, "masked_tokens": 1000}
    stored |= {"top1": {"mean": 0.3, "low": 0.2, "high": 0.4}, "top10": {"mean": 0.5, "low": 0.4, "high": 0.6}}
    stored |= {"unigram_top1": {"mean": 0.05, "low": 0.04, "high": 0.06}, "unigram_top10": {"mean": 0.2, "low": 0.1, "high": 0.25}}
    stored |= {"untrained_top10": 0.001}
    (folder / "evaluation.json").write_text(json.dumps(stored))
    table = cards.comparison(["herbert"], {"loss": "heldout_loss", "entropy": "unigram_entropy"})
    assert table["herbert"].tolist() == [Interval(5.0, 4.9, 5.1), 7.444]
    shares = cards.masked_accuracy("herbert")
    assert shares["model, 1 guess"] == Interval(0.3, 0.2, 0.4)
    assert shares["by frequency, 10 guesses"] == Interval(0.2, 0.1, 0.25)  # over windows, as stored
    assert shares["untrained, 10 guesses"] == Interval(0.001, 0.001, 0.001)
    stored["unigram_top10"] = 0.2
    (folder / "evaluation.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="unigram_top10 with an interval over windows, found 0.2"):
        cards.masked_accuracy("herbert")


@pytest.mark.parametrize(
    ("n", "firsts", "losses"),
    [(1, [1], [0]), (8, [1, 2, 4], [0, 1.5, 5]), (12, [1, 2, 4, 8], [0, 1.5, 4.5, 9])],
)
def test_loss_by_position_is_averaged_over_powers_of_two(folder, n, firsts, losses):
    (folder / "evaluation.json").write_text(json.dumps({"heldout_loss_by_position": list(range(n))}))
    table = cards.loss_by_position("herbert")
    assert table["first"].tolist() == firsts
    assert table["loss"].tolist() == losses


def test_sources_stand_by_size_and_shares_add_up(folder):
    def source(name, words, old=0, new=0):
        counts = {"train_words": words, "heldout_words": old, "heldout_new_words": new}
        return {"source": name, "register": "fiction", "licence": "free"} | counts

    stored = {"sources": [source("a", 10, old=3), source("b", 30, new=4)]}
    (folder.parent / "corpus.json").write_text(json.dumps(stored))
    table = cards.sources()
    assert table.index.tolist() == ["b", "a"]
    assert table["share"].tolist() == [0.75, 0.25]
    assert table["heldout"].tolist() == [4, 3]


def test_losses_by_source(folder):
    (folder / "evaluation.json").write_text(json.dumps({"heldout_loss_by_source": {"old": 5.0, "sejm": 4.5}}))
    assert cards.losses_by_source(["herbert"])["herbert"].to_dict() == {"old": 5.0, "sejm": 4.5}


def test_development_keeps_the_largest_over_heads_and_layers_and_one_held_out_set(folder):
    lines = ["tokens,measure,source,layer,head,value"]
    for tokens, best in ((1000, 0.2), (2000, 0.6)):
        lines += [f"{tokens},heldout_loss,old,,,{8 - best}", f"{tokens},heldout_loss,sejm,,,9"]
        lines += [f"{tokens},induction,,0,{head},{best if head else -1}" for head in range(2)]
        lines += [f"{tokens},anisotropy,,{layer},,{best * layer}" for layer in range(3)]
    (folder / "development.csv").write_text("\n".join(lines) + "\n")
    table = cards.development("herbert")
    assert table.index.tolist() == [1000, 2000]
    assert table["heldout_loss"].tolist() == [7.8, 7.4]
    assert table["induction"].tolist() == [0.2, 0.6]
    assert table["anisotropy"].tolist() == [0.4, 1.2]
