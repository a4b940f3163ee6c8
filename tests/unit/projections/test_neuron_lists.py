"""Lists of many vectors are those of one search, and a second asking reads them from the disk."""

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("morfeusz2")

from analysis_lib.projections import neuron_lists, shared_features, top_tokens


@pytest.fixture
def vectors(reader):
    return torch.randn(23, reader.weights.d_model, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neuron_lists, "BLOCK", 8)


def test_blocks_together_are_one_search(reader, vectors, small_blocks):
    most, least = top_tokens(vectors, reader.weights.W_U, 7, reader.keep, both_ends=True)
    np.testing.assert_array_equal(neuron_lists.best_tokens(reader, vectors, 7), most.ids)
    found = neuron_lists.best_tokens(reader, vectors, 7, both_ends=True)
    np.testing.assert_array_equal(found[0], most.ids)
    np.testing.assert_array_equal(found[1], least.ids)
    fresh = reader.untrained(seed=0)
    np.testing.assert_array_equal(neuron_lists.best_tokens(reader, vectors, 7, fresh), top_tokens(vectors, fresh.W_U, 7, reader.keep).ids)


def test_no_vectors_have_no_lists(reader, vectors):
    assert neuron_lists.best_tokens(reader, vectors[:0], 7).shape == (0, 7)
    most, least = neuron_lists.best_tokens(reader, vectors[:0], 7, both_ends=True)
    assert most.shape == least.shape == (0, 7)


def test_what_was_found_is_not_computed_again(reader, vectors, small_blocks, tmp_path, monkeypatch):
    monkeypatch.setenv("ANALYSIS_SWEEPS", str(tmp_path))
    kinds = shared_features.token_kinds(reader.lexicon, reader.keep)
    ids = neuron_lists.best_tokens(reader, vectors, 7)
    table = neuron_lists.alike(reader, ids, kinds)
    pd.testing.assert_frame_equal(table, shared_features.alike_lists(ids, kinds, reader.keep, reader.vocabulary.form_groups))
    searched = []

    def counted(part, *arguments, **options):
        searched.append(len(part))
        return top_tokens(part, *arguments, **options)

    monkeypatch.setattr(neuron_lists, "top_tokens", counted)
    monkeypatch.setattr(neuron_lists, "alike_lists", None)
    np.testing.assert_array_equal(neuron_lists.best_tokens(reader, vectors, 7), ids)
    pd.testing.assert_frame_equal(neuron_lists.alike(reader, ids, kinds), table)
    assert searched == []

    changed = vectors.clone()
    changed[10] += 1  # of the second block
    again = neuron_lists.best_tokens(reader, changed, 7)
    assert searched == [8]
    np.testing.assert_array_equal(np.delete(again, 10, 0), np.delete(ids, 10, 0))
    neuron_lists.best_tokens(reader, vectors, 6)
    neuron_lists.best_tokens(reader, vectors, 7, reader.untrained(seed=0))
    assert searched == [8, 8, 8, 7, 8, 8, 7]
