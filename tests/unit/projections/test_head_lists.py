"""The lists of all heads: searched as one head is, counted by hand, and shown with what they are."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from analysis_lib import models
from tests.support import tiny

pytest.importorskip("morfeusz2")

from analysis_lib.projections import TopPairs, head_lists, qk_factors, random_heads, readers, top_pairs, vo_factors
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import correct_together
from analysis_lib.vocabulary import TokenCounts


def pairs_of(left, right):
    return TopPairs(np.array(left), np.array(right), np.zeros(len(left)))


def test_a_reader_keeps_words_that_the_dictionary_knows(reader):
    assert reader.keep.any()
    assert (reader.lexicon.known | ~reader.keep).all()
    assert reader.vocabulary.keep(words=True, whole_words=True)[reader.keep].all()
    assert reader.counts.mostly_whole_words()[reader.keep].all()
    with_numbers = Reader.of(reader.loaded, numbers=True).keep
    assert all(reader.vocabulary.text[i].isalnum() for i in np.flatnonzero(with_numbers))


def test_a_reader_counts_words_in_the_texts_that_it_is_given(reader):
    counts = TokenCounts.of_texts(reader.vocabulary, ["nie nie nie potem"])
    kept = Reader.of(reader.loaded, counts=counts).keep
    assert set(reader.vocabulary.text[kept]) <= {"nie", "potem"}
    assert reader.vocabulary.word_id("nie") in np.flatnonzero(kept)
    assert Reader.of(replace(reader.loaded, counts=counts)).keep.tolist() == kept.tolist()


def test_counts_of_another_vocabulary_are_refused(reader, monkeypatch):
    monkeypatch.setattr(readers, "LARGE", 10)  # where counts say which tokens are looked up
    counts, size = TokenCounts(np.ones(3, int), np.ones(3, int)), len(reader.vocabulary)
    with pytest.raises(ValueError, match=f"counts: expected an entry for each of {size} rows of the embedding, found 3"):
        Reader.of(reader.loaded, counts=counts)
    assert not Reader.of(reader.loaded, counts=counts.resized(size)).keep[3:].any()


def test_an_untrained_model_has_embeddings_of_its_own(reader):
    fresh = reader.untrained(seed=1)
    assert fresh.W_E.shape == reader.weights.W_E.shape
    assert not torch.allclose(fresh.W_E, reader.weights.W_E)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_head_is_searched_in_its_reading(reader, n_jobs):
    found = head_lists.head_pairs(reader, "VO", "unit", k=7, n_jobs=n_jobs)
    assert list(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    factors = vo_factors(reader.weights, 1, 0, embedding="layer_norm", unembedding="unit")
    alone = top_pairs(*factors, 7, reader.keep, reader.keep, reader.vocabulary.form_groups)
    np.testing.assert_array_equal(found[1, 0].left_ids, alone.left_ids)
    random = random_heads.rotated(reader.weights, 0)
    other = head_lists.head_pairs(reader, "QK", "raw", random, k=7, heads=[(0, 1)])
    assert list(other) == [(0, 1)]
    alone = top_pairs(*qk_factors(random, 0, 1), 7, reader.keep, reader.keep, reader.vocabulary.form_groups)
    np.testing.assert_array_equal(other[0, 1].left_ids, alone.left_ids)
    np.testing.assert_allclose(other[0, 1].scores, alone.scores, rtol=1e-6)


def test_the_embedding_has_a_list_of_its_own(reader):
    found = head_lists.embedding_pairs(reader, k=5)
    kept = reader.weights.W_E.numpy()[reader.keep].astype(np.float64)
    centred = kept - kept.mean(axis=0)
    cosines = centred @ centred.T / np.outer(*2 * [np.linalg.norm(centred, axis=1)])
    groups = reader.vocabulary.form_groups[reader.keep]
    cosines[groups[:, None] == groups] = -1
    np.testing.assert_allclose(found.scores, np.sort(cosines[np.triu_indices(len(kept), 1)])[::-1][:5], rtol=1e-4)
    assert len({frozenset(pair) for pair in zip(found.left_ids, found.right_ids, strict=True)}) == 5
    assert reader.keep[found.left_ids].all()


@pytest.mark.parametrize(("matrix", "reading", "message"), [("OV", "raw", "matrix: .* 'OV'"), ("QK", "unit", "reading: .* 'unit' for QK")])
def test_unknown_readings_are_named(reader, matrix, reading, message):
    with pytest.raises(ValueError, match=message):
        head_lists.head_pairs(reader, matrix, reading)


def test_lists_are_described_and_those_that_pass_are_shown(reader):
    lists = {matrix: head_lists.head_pairs(reader, matrix, "raw", k=10) for matrix in ("VO", "QK")}
    table = head_lists.describe_lists(reader, lists, names=["same_pos", "same_case"], max_draws=100)
    assert len(table) == 2 * 4 * 2  # matrices, heads, relations
    family = correct_together({"tiny": table})
    assert not head_lists.passing_lists(family, {"same_pos": "part of speech"}).to_numpy().any()
    family["passes"] = (family["relation"] == "same_pos") & (family["layer"] == 1)
    shown = head_lists.passing_table(family, {"tiny": reader}, {"tiny": lists}, rows=2)
    assert sorted(shown["list"]) == ["QK L1H0", "QK L1H1", "VO L1H0", "VO L1H1"]
    row = shown[shown["list"] == "VO L1H0"].iloc[0]
    pairs, text = lists["VO"][1, 0], reader.vocabulary.text
    assert row["pairs"] == ", ".join(f"{text[pairs.left_ids[i]]} → {text[pairs.right_ids[i]]}" for i in range(2))
    same = family.query("matrix == 'VO' and layer == 1 and head == 0 and relation == 'same_pos'").iloc[0]
    assert (row["share"], row["permuted"]) == (same["share"], same["null_mean"])
    assert head_lists.passing_table(family.assign(passes=False), {}, {}).empty


def test_a_list_that_passes_twice_counts_once():
    family = pd.DataFrame(
        [
            ("a", "VO", 0, 0, "case", True),
            ("a", "VO", 0, 0, "lemma", True),
            ("a", "QK", 0, 0, "lemma", True),
            ("a", "QK", 0, 1, "other", True),
            ("b", "QK", 0, 1, "case", False),
        ],
        columns=["model", "matrix", "layer", "head", "relation", "passes"],
    )
    counts = head_lists.passing_lists(family, {"case": "Case", "lemma": "Lemma"})
    assert counts["a"].to_dict() == {"Case": 1, "Lemma": 2, "any of these": 2}
    assert counts["b"].tolist() == [0, 0, 0]


def test_shown_pairs():
    vocabulary = SimpleNamespace(text=np.array(["a", "b"], dtype=object))
    assert head_lists.shown_pairs(pairs_of([0, 1], [1, 0]), vocabulary, rows=1) == ["a → b"]


def test_two_untrained_models_of_one_name_have_revisions_of_their_own(reader):
    other = Reader.of(models.untrained_like(replace(reader.loaded, model=tiny.gpt2(vocab=len(reader.keep), layers=3, heads=4)), 0))
    twin = Reader.of(models.untrained_like(reader.loaded, 0))
    assert twin.loaded.revision == other.loaded.revision
    assert twin.revision != other.revision
