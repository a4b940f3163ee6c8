"""Random heads keep what they promise to keep, and their lists are what the dictionary says of them."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("morfeusz2")

from analysis_lib.projections import head_lists, random_heads
from analysis_lib.projections.relations import list_shares


@pytest.mark.parametrize("part", ["vo", "qk"])
def test_rotated_heads_have_the_singular_values_of_trained_ones(reader, part):
    random = random_heads.rotated(reader.weights, seed=3)
    for layer, head in np.ndindex(2, 2):
        trained, drawn = (getattr(w.head(layer, head), part) for w in (reader.weights, random))
        torch.testing.assert_close(drawn.singular_values(), trained.singular_values(), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(drawn.dense(), trained.dense())
    torch.testing.assert_close(random.W_E, reader.weights.W_E)
    torch.testing.assert_close(random.W_V, random_heads.rotated(reader.weights, seed=3).W_V)
    assert (random.W_V != random_heads.rotated(reader.weights, seed=4).W_V).any()


@pytest.mark.parametrize("part", ["vo", "qk"])
def test_symmetric_heads_are_projections(reader, part):
    random = random_heads.symmetric(reader.weights, seed=0)
    matrix = getattr(random.head(1, 0), part).dense()
    torch.testing.assert_close(matrix, matrix.T)
    torch.testing.assert_close(matrix @ matrix, matrix, rtol=1e-4, atol=1e-5)
    assert matrix.trace().item() == pytest.approx(reader.weights.d_head, rel=1e-4)
    assert not torch.allclose(matrix, getattr(random.head(0, 0), part).dense())


@pytest.mark.parametrize("make", [random_heads.rotated, random_heads.symmetric])
def test_heads_that_are_not_chosen_stay(reader, make):
    random = make(reader.weights, 0, [(1, 0)])
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        old, new = getattr(reader.weights, name), getattr(random, name)
        torch.testing.assert_close(new[0], old[0])
        torch.testing.assert_close(new[1, 1], old[1, 1])
        assert not torch.allclose(new[1, 0], old[1, 0])


def test_directions_are_uniform(reader):
    """A random projection of rank r in d dimensions keeps r/d of any vector's square on average."""
    many = replace(reader.weights, **{n: torch.cat([getattr(reader.weights, n)] * 50) for n in ("W_Q", "W_K", "W_V", "W_O")})
    drawn = random_heads.symmetric(many, seed=1).W_Q  # [100, 2, d_model, d_head]
    kept = (drawn[..., 0, :] ** 2).sum(dim=-1)
    expected = many.d_head / many.d_model
    spread = np.sqrt(2 * expected * (1 - expected) / (many.d_model + 2) / kept.numel())  # of a mean of Beta variables
    assert kept.mean().item() == pytest.approx(expected, abs=4 * spread)
    assert abs(drawn.mean().item()) < 4 / np.sqrt(many.d_model * drawn.numel())


def test_shares_of_random_lists(reader):
    names = ["same_pos", "same_lemma"]
    table = random_heads.random_shares(reader, random_heads.rotated, "QK", "raw", n_draws=3, per_draw=2, k=9, names=names, seed=5)
    assert len(table) == 3 * 2 * 2
    assert set(zip(table["layer"], table["head"], strict=True)) == {(0, 0), (0, 1), (1, 0), (1, 1)}  # others in each draw
    part = table[table["draw"] == 1]
    heads = sorted(set(zip(part["layer"], part["head"], strict=True)))
    lists = head_lists.head_pairs(reader, "QK", "raw", random_heads.rotated(reader.weights, 6, heads), 9, heads)
    expected = list_shares(lists, reader.lexicon, reader.vocabulary.form_groups, names)
    assert part["share"].tolist() == expected["share"].tolist()
    with pytest.raises(ValueError, match="n_draws and per_draw: expected 1 or more, found 0 and 2"):
        random_heads.random_shares(reader, random_heads.rotated, "QK", "raw", n_draws=0, per_draw=2)


@pytest.mark.parametrize(("layers", "heads", "per_draw"), [(2, 8, 12), (2, 8, 6), (4, 6, 3), (3, 5, 7), (2, 2, 9)])
def test_every_head_is_drawn_as_often_as_any_other(layers, heads, per_draw):
    shape = SimpleNamespace(n_layers=layers, n_heads=heads)
    total = layers * heads
    drawn = Counter(head for draw in range(total) for head in random_heads.heads_of_draw(shape, draw, per_draw))
    assert set(drawn) == set(np.ndindex(layers, heads))
    assert len(set(drawn.values())) == 1
    first = random_heads.heads_of_draw(shape, 0, per_draw)
    assert len(first) == len(set(first)) == min(per_draw, total)
