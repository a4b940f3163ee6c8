"""Words of a run without the first of each text."""

import numpy as np
import pandas as pd
import pytest

from analysis_lib import models
from analysis_lib.activations import Activations, run
from analysis_lib.geometry import WordStates, read_by_each, read_words, word_senses, word_states


@pytest.fixture
def words():
    """Two texts of three words, the second of which has a word of two tokens; states are 10 * token + layer."""
    tokens = pd.DataFrame(
        {
            "text": [0, 0, 0, 1, 1, 1, 1],
            "position": [0, 1, 2, 0, 1, 2, 3],
            "word": [0, 1, 2, 0, 1, 1, 2],
            "word_form": ["Kot", "nie", "je", "On", "wcale", "wcale", "nie"],
            "start": [0, 4, 8, 0, 3, 5, 9],
            "end": [3, 7, 10, 2, 5, 8, 12],
            "first": [True, False, False, True, False, False, False],
        }
    )
    states = 10 * np.arange(7)[None, :, None] + np.arange(4)[:, None, None] + np.zeros((4, 7, 2))
    return WordStates.of(Activations(states.astype(np.float32), ["embed", "1", "2", "2+ln_f"], tokens, passes=1))


def test_first_words_are_kept_apart_and_tokens_are_averaged(words):
    assert words.forms.tolist() == ["nie", "je", "wcale", "nie"]
    assert words.texts.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(words.states[1, :, 0], [11, 21, 46, 61])
    np.testing.assert_array_equal(words.firsts[0, :, 0], [0, 30])
    assert words.last_block == 2


def test_occurrences_of_a_form(words):
    states, texts = words.of_form("nie")
    np.testing.assert_array_equal(states[0, :, 0], [10, 60])
    assert texts.tolist() == [0, 1]


def test_dimensions_are_set_to_zero_layer_by_layer_in_a_copy(words):
    dimensions = np.array([[0], [1], [0], [1]])
    changed = words.without_dimensions(dimensions)
    assert (changed[0, :, 0] == 0).all()
    assert (changed[1, :, 1] == 0).all()
    assert (changed[1, :, 0] == words.states[1, :, 0]).all()
    assert (words.states[1:] != 0).all()


def test_the_rest_of_a_text_leaves_the_marked_word_out(words):
    np.testing.assert_allclose(word_senses.rest_of_text(words, [0, 3])[0, :, 0], [20, 45])
    alone = WordStates(words.layers, words.states[:, :1], words.table[:1], words.firsts)
    with pytest.raises(ValueError, match="single word in text 0"):
        word_senses.rest_of_text(alone, [0])


def test_trained_and_untrained_models_read_the_same_words():
    loaded = {"small": models.load("polish-gpt2", source="embedded")}
    sentences = ["Dziewczynka widzi dom.", "Kot nie śpi."]
    words = read_by_each(loaded, sentences, seed=3)
    np.testing.assert_array_equal(words["trained"]["small"].states, WordStates.of(run(loaded["small"], sentences)).states)
    fresh = WordStates.of(run(models.untrained_like(loaded["small"], 3), sentences))
    np.testing.assert_array_equal(words["untrained"]["small"].states, fresh.states)
    assert words["untrained"]["small"].forms.tolist() == words["trained"]["small"].forms.tolist()
    fewer = read_by_each(loaded, sentences, for_untrained={"small": 1})
    assert set(fewer["untrained"]["small"].texts) == {0}
    with pytest.raises(ValueError, match=r"for_untrained names \['big'\], expected names of loaded models: \['small'\]"):
        read_by_each(loaded, sentences, for_untrained={"big": 1})


def test_words_that_were_read_are_taken_from_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("ANALYSIS_SWEEPS", str(tmp_path))
    loaded = models.load("polish-gpt2", source="embedded")
    sentences = ["Dziewczynka widzi dom.", "Kot nie śpi."]
    whole, fresh = read_words(loaded, sentences), read_words(loaded, sentences, seed=3, last=2)
    assert fresh.layers == whole.layers[-2:]
    np.testing.assert_array_equal(fresh.states, WordStates.of(run(models.untrained_like(loaded, 3), sentences)).states[-2:])
    assert fresh.last_block == 0
    monkeypatch.setattr(word_states, "run", None)
    again = read_words(loaded, sentences, seed=3, last=2)
    np.testing.assert_array_equal(again.states, fresh.states)
    np.testing.assert_array_equal(again.firsts, fresh.firsts)
    with pytest.raises(TypeError):
        read_words(loaded, sentences, seed=4, last=2)  # another model has not been asked
    with pytest.raises(ValueError, match="last is 0; expected 1 at least"):
        read_words(loaded, sentences, last=0)
