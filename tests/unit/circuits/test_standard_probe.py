import numpy as np
import pytest

from analysis_lib import models
from analysis_lib.circuits import standard_probe
from analysis_lib.circuits.standard_probe import model_head_scores
from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig
from tests.support import tiny, tiny_circuits


@pytest.mark.parametrize(("build", "tokenizer"), [(tiny.gpt2, tiny.byte_level_tokenizer), (tiny.bert, tiny.herbert_tokenizer)])
def test_the_probe_is_made_of_whole_words_after_a_start(build, tokenizer):
    loaded = models.wrap(build(), tokenizer())
    probe = standard_probe.standard_probe(loaded, n_sequences=6)
    start = loaded.tokenizer.cls_token_id if loaded.tokenizer.cls_token_id is not None else loaded.tokenizer.eos_token_id
    assert (probe.ids[:, 0] == start).all()
    words = loaded.vocabulary.keep(words=True, whole_words=True, min_length=3)
    assert words[probe.ids[:, 1:]].all()
    np.testing.assert_array_equal(np.take_along_axis(probe.ids, probe.first, 1), np.take_along_axis(probe.ids, probe.second, 1))


def test_scores_are_shares_for_every_layer_and_head():
    loaded = models.wrap(tiny.gpt2(layers=3, heads=2), tiny.byte_level_tokenizer())
    for kind in ("induction", "previous token", "two back", "duplicate token", "first position"):
        scores = model_head_scores(loaded, kind, n_sequences=4)
        assert scores.shape == (3, 2)
        assert ((scores >= 0) & (scores <= 1)).all()
        np.testing.assert_array_equal(scores, model_head_scores(loaded, kind, n_sequences=4))
    assert not np.array_equal(scores, model_head_scores(loaded, kind, n_sequences=4, seed=1))


def test_the_heads_of_a_planted_circuit_have_all_of_their_scores(monkeypatch):
    for name, value in {"BLOCK": 4, "GAPS": (0, 3), "DISTINCT": 7}.items():  # fits eleven tokens and 24 positions
        monkeypatch.setattr(standard_probe, name, value)
    loaded = models.wrap(tiny_circuits.induction_model())
    for kind, (layer, head) in {"previous token": (0, 0), "induction": (1, 0)}.items():
        scores = model_head_scores(loaded, kind)
        assert scores.shape == (2, 2)
        assert scores[layer, head] == pytest.approx(1, abs=1e-6)
        assert np.delete(scores.ravel(), 2 * layer + head).max() < 0.5
    assert model_head_scores(loaded, "two back")[0, 0] == pytest.approx(0, abs=1e-6)


def test_words_of_a_large_vocabulary_do_not_repeat_by_chance(monkeypatch):
    loaded = models.wrap(tiny.gpt2(vocab=60))
    ids = standard_probe.standard_probe(loaded, n_sequences=5).ids
    assert all(np.unique(row, return_counts=True)[1].max() == 2 for row in ids)
    assert all((np.unique(row, return_counts=True)[1] == 2).sum() == standard_probe.BLOCK for row in ids)


def test_unknown_kinds_and_models_without_tokens_are_named():
    loaded = models.wrap(tiny.gpt2(vocab=2))
    with pytest.raises(ValueError, match="kind: expected one of previous token, .* found 'Induction'"):
        model_head_scores(loaded, "Induction")
    with pytest.raises(ValueError, match="two tokens or more to draw from, found 1 in GPT2LMHeadModel"):
        model_head_scores(loaded)


def test_as_many_tokens_as_a_sequence_needs_are_drawn_without_replacement():
    loaded = models.wrap(MiniGPT(MiniGPTConfig(vocab_size=standard_probe.DISTINCT + 1, n_positions=64, d_model=8, n_heads=2)).eval())
    probe = standard_probe.standard_probe(loaded)
    for ids, second in zip(probe.ids, probe.second, strict=True):
        own = np.delete(ids, second)
        assert len(np.unique(own)) == len(own)
