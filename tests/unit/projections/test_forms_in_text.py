"""Attention and cosines of words against loops over their tokens; heads taken out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis_lib import activations
from analysis_lib.models import LoadedModel
from analysis_lib.projections import forms_in_text
from tests.support import tiny

TEXTS = ["Nie wiem, czy żeby źrebak.", "Zażółć gęślą jaźń, a potem nie idź."]


@pytest.fixture(scope="module")
def loaded():
    tokenizer = tiny.herbert_tokenizer(vocab_size=90)
    return LoadedModel(tiny.bert(vocab=len(tokenizer)), tokenizer, "tiny", "folder", "tiny", "0")


@pytest.fixture(scope="module")
def run(loaded):
    return activations.run(loaded, TEXTS, outputs=["patterns"])


@pytest.fixture(scope="module")
def places():
    return [TEXTS[0].index("wiem"), TEXTS[1].index("gęślą")], [TEXTS[0].index("źrebak"), TEXTS[1].index("potem")]


def positions(run, text, start):
    own = run.tokens[run.tokens["text"] == text]
    word = own.loc[own["start"].eq(start) & (own["word"] >= 0), "word"].iloc[0]
    return own.loc[own["word"] == word, "position"].tolist()


def test_attention_between_words_is_that_of_their_tokens(run, places):
    found = forms_in_text.word_attention(run, *places)
    assert found.shape == (2, 2, 2)
    assert max(len(positions(run, text, places[1][text])) for text in (0, 1)) > 1  # a word of several tokens
    for text in (0, 1):
        queries, keys = (positions(run, text, side[text]) for side in places)
        expected = sum(run.patterns[text][:, :, q, k] for q in queries for k in keys) / len(queries)
        np.testing.assert_allclose(found[text], expected, rtol=1e-5)


def test_patterns_of_words_hold_the_same(run, places):
    patterns, words = forms_in_text.word_patterns(run, 0)
    assert words == ["Nie", "wiem", "czy", "żeby", "źrebak"]
    np.testing.assert_allclose(patterns[:, :, 1, 4], forms_in_text.word_attention(run, *places)[0], rtol=1e-6)
    assert (patterns.sum(axis=3) < 1).all()  # signs get some


def test_cosines_are_those_of_mean_states(run, places):
    states, words = run.words()
    rows = [[int(np.flatnonzero((words["text"] == text) & (words["start"] == side[text]))[0]) for text in (0, 1)] for side in places]
    a, b = states[:, rows[0]], states[:, rows[1]]
    expected = (a * b).sum(axis=2) / np.linalg.norm(a, axis=2) / np.linalg.norm(b, axis=2)
    np.testing.assert_allclose(forms_in_text.word_cosines(run, *places), expected.T, rtol=1e-4)
    centre = run.states.mean(axis=1)
    a, b = a - centre[:, None], b - centre[:, None]
    expected = (a * b).sum(axis=2) / np.linalg.norm(a, axis=2) / np.linalg.norm(b, axis=2)
    np.testing.assert_allclose(forms_in_text.word_cosines(run, *places, centre), expected.T, rtol=1e-3, atol=1e-5)


def test_a_head_that_is_taken_out_writes_its_mean(loaded):
    means = forms_in_text.head_means_in(loaded, TEXTS)
    with torch.no_grad():
        every = []
        for text in TEXTS:
            with activations.recording(loaded.model, ["heads"]) as record:
                loaded.model(**loaded.tokenizer(text, return_tensors="pt"))
            every.append(torch.stack([record["heads", 0][0], record["heads", 1][0]]))
        torch.testing.assert_close(means, torch.cat(every, dim=1).mean(dim=1))
        with forms_in_text.without_heads(loaded, [(0, 1), (1, 0)], means), activations.recording(loaded.model, ["heads"]) as record:
            loaded.model(**loaded.tokenizer(TEXTS[0], return_tensors="pt"))
    for layer, head in ((0, 1), (1, 0)):
        torch.testing.assert_close(record["heads", layer][0, :, head], means[layer, head].expand_as(record["heads", layer][0, :, head]))
    torch.testing.assert_close(record["heads", 0][0, :, 0], every[0][0][:, 0])  # the head beside it is as it was


def test_wrong_arguments_are_named(loaded, run, places):
    with pytest.raises(ValueError, match="run: expected patterns, found none"):
        forms_in_text.word_attention(activations.run(loaded, TEXTS), *places)
    with pytest.raises(ValueError, match=r"keys: expected one place for each of 2 texts, found shape \(1,\)"):
        forms_in_text.word_attention(run, places[0], [0])
    with pytest.raises(ValueError, match=r"seconds\[1\]: expected a place where a word begins, found 1"):
        forms_in_text.word_cosines(run, places[0], [places[1][0], 1])
    with pytest.raises(TypeError, match="texts is the string 'Nie wiem"):
        forms_in_text.head_means_in(loaded, TEXTS[0])
    with pytest.raises(ValueError, match="texts is empty"):
        forms_in_text.head_means_in(loaded, [])


@settings(max_examples=25, deadline=None)
@given(st.tuples(*[st.integers(0, 30)] * 4))
def test_of_any_two_words(run, drawn):
    """Attention is a share; cosines lie between -1 and 1, do not ask which word comes first, and are 1 for a word and itself."""
    starts = [run.tokens.query("text == @text and word >= 0").drop_duplicates("word")["start"].to_numpy() for text in (0, 1)]
    firsts, seconds = ([starts[text][drawn[2 * side + text] % len(starts[text])] for text in (0, 1)] for side in (0, 1))
    attention = forms_in_text.word_attention(run, firsts, seconds)
    assert (attention >= 0).all()
    assert (attention <= 1 + 1e-6).all()
    cosines = forms_in_text.word_cosines(run, firsts, seconds)
    assert np.abs(cosines).max() <= 1 + 1e-9
    np.testing.assert_allclose(forms_in_text.word_cosines(run, seconds, firsts), cosines, atol=1e-12)
    np.testing.assert_allclose(forms_in_text.word_cosines(run, firsts, firsts), 1)
