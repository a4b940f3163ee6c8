"""What terms favour, on planted heads whose answer is known, and on random ones, which favour nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from analysis_lib import weights
from analysis_lib.circuits import term_contrasts
from analysis_lib.circuits.terms import TERMS, row_centred, row_contrasts, score_terms
from tests.support import tiny, tiny_circuits, tiny_minigpt


@pytest.fixture(scope="module")
def found():
    return weights.weights_of(tiny_minigpt.build())


def some_ids(batch=3, length=20, vocab=40, seed=1):
    return torch.randint(vocab, (batch, length), generator=torch.Generator().manual_seed(seed))


def test_distance_profile_of_a_line():
    """Row-centred, a bonus of 1 at distance 2 is 1 less its share of the row, and minus that share at any other distance."""
    length, reach = 8, 3
    profile = term_contrasts.mean_by_distance(row_centred(torch.eye(length).roll(2, 0).tril(-1)), reach)
    shares = torch.tensor([1 / (row + 1) for row in range(reach, length)]).mean()
    torch.testing.assert_close(profile, torch.tensor([0.0, 0, 1, 0]) - shares)
    with pytest.raises(ValueError, match="reach: expected 0 to 7, found 8"):
        term_contrasts.mean_by_distance(torch.zeros(8, 8), 8)


def test_all_distances_are_averaged_over_the_same_rows():
    pattern = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0.25, 0.5, 0.25]])
    torch.testing.assert_close(term_contrasts.mean_by_distance(pattern, 1), torch.tensor([0.125, 0.75]))
    torch.testing.assert_close(term_contrasts.mean_by_distance(pattern, 2), torch.tensor([0.25, 0.5, 0.25]))


def test_position_scores_are_the_position_position_term(found):
    scores = term_contrasts.position_scores(found, 20)
    for layer in (0, 1):
        term = score_terms(found, some_ids(), layer)[TERMS.index("position-position"), 0]
        torch.testing.assert_close(row_centred(scores[layer]), row_centred(term), rtol=1e-4, atol=1e-5)


def test_the_planted_previous_token_head_passes_and_random_heads_do_not(found):
    planted = term_contrasts.previous_position_test(tiny_circuits.induction_weights(), tiny_circuits.POSITIONS, n_permutations=99)
    assert planted.p[0, 0] == pytest.approx(0.01)
    assert planted.peak[0, 0]
    assert planted.contrast[0, 0] == pytest.approx(tiny_circuits.SHARP, rel=1e-3)
    assert planted.p[0, 1] == 1  # a head of zeros
    random = term_contrasts.previous_position_test(found, 20, n_permutations=99)
    assert random.p.min() > 0.01
    assert random.contrast.abs().max() < 0.1 * planted.contrast[0, 0]


def test_p_values_of_random_positions_are_uniform():
    """Of 49 draws at most 8 reach the head's contrast where p is below 0.2, which has a chance of 9 in 50 under the null."""
    p = torch.stack([term_contrasts.previous_position_test(weights.weights_of(tiny_minigpt.build(seed)), 16, 49).p for seed in range(40)])
    assert p.numel() == 320  # four heads in each of two layers
    share = float((p < 0.2).float().mean())
    assert abs(share - 9 / 50) < 4 * (9 / 50 * 41 / 50 / 320) ** 0.5  # standard errors of a binomial share


@pytest.mark.parametrize("sign", [1, -1])
def test_a_head_that_seeks_or_avoids_its_own_token_is_told_from_random_ones(found, sign):
    embedding = torch.eye(24).repeat(2, 1)[:40] + 0.01 * found.W_E
    queries = found.W_Q.clone()
    queries[0, 0] = sign * found.W_K[0, 0]  # the table of the head is a Gram matrix, or the negative of one
    result = term_contrasts.same_token_test(replace(found, W_E=embedding, W_Q=queries), some_ids(), n_permutations=199)
    assert result.p[0] == pytest.approx(1 / 200)
    assert np.sign(float(result.contrast[0])) == sign
    plain = term_contrasts.same_token_test(found, some_ids(), n_permutations=199)
    assert plain.p.min() > 1 / 200


def test_own_place_and_earlier_places_are_told_apart():
    ids = torch.tensor([[1, 2, 3, 1, 4, 2], [1, 2, 3, 4, 5, 6]])
    same = (ids[:, :, None] == ids[:, None]).float()
    own = term_contrasts.same_token_contrasts(torch.eye(6).expand(2, 1, 6, 6), ids)
    torch.testing.assert_close(own["own place"], torch.ones(2, 1))
    assert abs(own["earlier same token"][0, 0]) < 0.2
    earlier = term_contrasts.same_token_contrasts(same.tril(-1)[:, None], ids)
    torch.testing.assert_close(row_contrasts(same.tril(-1)[:, None], same.tril(-1).bool()[:, None])[0], torch.ones(1))
    assert earlier["earlier same token"][0, 0] > 0.9
    assert torch.isnan(earlier["earlier same token"][1, 0])  # nothing repeats


def test_a_frequent_token_that_every_query_favours_is_no_preference_for_the_same_token():
    """Three quarters of all tokens are token 1, whose keys score 5 whatever the query is: only the shuffled null shows that."""
    ids = (torch.rand(200, 16, generator=torch.Generator().manual_seed(0)) < 0.25).long() * 2 + 1
    scores = 5 * (ids == 1).float()[:, None, None].expand(-1, 1, 16, -1)
    same = (ids[:, :, None] == ids[:, None]).tril(-1)[:, None]
    assert float(row_contrasts(scores, same).nanmean()) > 1
    assert abs(float(term_contrasts.same_token_contrasts(scores, ids)["earlier same token"].nanmean())) < 0.3


@pytest.mark.parametrize(
    "call",
    [
        lambda w: term_contrasts.position_scores(w, 8),
        lambda w: term_contrasts.previous_position_test(w, 8, n_permutations=1),
        lambda w: term_contrasts.same_token_test(w, some_ids(), n_permutations=1),
    ],
)
def test_models_whose_scores_are_no_sum_of_terms_are_refused(call):
    with pytest.raises(ValueError, match="weights: expected a model whose positions only queries and keys read"):
        call(weights.weights_of(tiny.gpt2()))


@pytest.mark.parametrize(("name", "value"), [("b_Q", 5.0), ("b_O", 0.1)])
def test_attention_with_biases_is_refused(found, name, value):
    """The terms leave them out, so they would not sum to the scores."""
    with pytest.raises(ValueError, match=f"weights: expected attention without biases and nothing else, found {name}"):
        term_contrasts.position_scores(replace(found, **{name: torch.full_like(getattr(found, name), value)}), 8)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: term_contrasts.same_token_test(w, [w.d_vocab]), "ids: expected tokens from 0 to"),
        (lambda w: term_contrasts.same_token_test(w, [0, 1], n_permutations=0), "n_permutations: expected 1 or more, found 0"),
        (lambda w: term_contrasts.previous_position_test(w, 8, n_permutations=0), "n_permutations: expected 1 or more, found 0"),
    ],
)
def test_wrong_ids_and_numbers_are_named(found, call, message):
    with pytest.raises(ValueError, match=message):
        call(found)


@pytest.mark.parametrize("length", [1, 25])
def test_a_length_that_the_model_does_not_have_is_named(found, length):
    for call in (term_contrasts.position_scores, term_contrasts.previous_position_test):
        with pytest.raises(ValueError, match=f"length: expected 2 to 24 positions, found {length}"):
            call(found, length)
