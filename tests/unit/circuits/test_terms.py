"""Terms of attention scores: they add up to what the model computes, and each measure is right on hand-made cases."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from analysis_lib import weights
from analysis_lib.circuits import terms as attention_terms
from analysis_lib.circuits.terms import TERMS, LeaveOut
from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig
from tests.support import tiny
from tests.support.examples import examples

VOCAB, LENGTH, HEADS = 40, 11, 4


def build(seed=0, layers=2, **options):
    config = MiniGPTConfig(vocab_size=VOCAB, n_positions=24, d_model=24, n_heads=HEADS, n_layers=layers, **options)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MiniGPT(config).eval()


def some_ids(batch=3, length=LENGTH, seed=1):
    return torch.randint(VOCAB, (batch, length), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def found(model):
    return weights.weights_of(model)


@torch.no_grad()
def models_scores(model, ids, layer):
    """Pre-softmax scores by the model's own modules, -inf above the diagonal [batch, head, query, key]."""
    states, _ = model.residual_stream(ids)
    attention = model.blocks[layer].attn
    placed = states[layer] + model.positions.weight[: ids.shape[1]]
    q, k = attention.heads(attention.query(placed)), attention.heads(attention.key(placed))
    future = torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool()
    return (q @ k.transpose(-1, -2) * attention.scaling).masked_fill(future, -torch.inf)


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_the_terms_add_up_to_the_models_scores_and_patterns(layer, centre):
    model, ids = build(layers=3), some_ids()
    terms = attention_terms.score_terms(weights.weights_of(model), ids, layer, centre)
    assert terms.shape == (4, 3, HEADS, LENGTH, LENGTH)
    scores = models_scores(model, ids, layer)
    # float32 sums of numbers of this size: the terms of these models reach 30 or so
    torch.testing.assert_close(terms.sum(0), scores, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        pattern = model(ids, output_attentions=True).attentions[layer]
    torch.testing.assert_close(terms.sum(0).softmax(-1), pattern, rtol=0, atol=1e-5)
    assert not torch.allclose(terms[1:].sum(0).softmax(-1), pattern, atol=0.1)


def test_a_term_reads_what_its_name_says(found):
    """New ids change token-token and leave position-position; new positions the other way round; in layer 0 each alone."""
    ids, other = some_ids(), some_ids(seed=2)
    moved = replace(found, W_pos=found.W_pos.flip(0))
    causal = torch.ones(LENGTH, LENGTH).tril().bool()
    given = ((found, ids), (found, other), (moved, ids))
    terms, by_ids, by_positions = (attention_terms.score_terms(w, i, 0)[..., causal] for w, i in given)
    reads_tokens, reads_positions = (torch.tensor([side in name for name in TERMS]) for side in ("token", "position"))
    assert torch.equal((terms != by_ids).any(-1).all(-1).all(-1), reads_tokens)
    assert torch.equal((terms != by_positions).any(-1).all(-1).all(-1), reads_positions)
    assert torch.equal(terms[3, 0], terms[3, 2])


def test_query_and_key_are_told_apart(found):
    """Token-position varies along a row only with the key's position: two queries of one token have equal rows."""
    ids = some_ids()
    ids[:, 9] = ids[:, 5]
    terms = attention_terms.score_terms(found, ids, 0)
    torch.testing.assert_close(terms[TERMS.index("token-position")][..., 9, :6], terms[TERMS.index("token-position")][..., 5, :6])
    keys = terms[TERMS.index("position-token")]
    torch.testing.assert_close(keys[..., 10, 9], keys[..., 10, 5])


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_parts_add_up_to_the_terms(layer, centre):
    found, ids = weights.weights_of(build(layers=3)), some_ids()
    labels, scores = attention_terms.part_scores(found, ids, layer, 2, centre)
    writers = [f"L{earlier}H{head}" for earlier in range(layer) for head in range(HEADS)]
    assert labels == ["embedding", *writers, "position"]
    terms = attention_terms.score_terms(found, ids, layer, centre)[:, :, 2]
    joined = [scores[:-1, :-1].sum((0, 1)), scores[:-1, -1].sum(0), scores[-1, :-1].sum(0), scores[-1, -1]]
    torch.testing.assert_close(torch.stack(joined), terms, rtol=1e-5, atol=2e-5)


def test_parts_are_what_each_head_wrote(found):
    """Without a layer-0 head's output matrix the parts it wrote are zero and nobody else's changes."""
    ids = some_ids()
    silent = replace(found, W_O=found.W_O.clone())
    silent.W_O[0, 1] = 0
    labels, before = attention_terms.part_scores(found, ids, 1, 0)
    _, after = attention_terms.part_scores(silent, ids, 1, 0)
    gone = torch.tensor([label == "L0H1" for label in labels])
    causal = torch.ones(LENGTH, LENGTH).tril().bool()
    assert not after[gone][..., causal].any()
    assert not after[:, gone][..., causal].any()
    assert torch.equal(after[~gone][:, ~gone], before[~gone][:, ~gone])


def test_centring_moves_the_tokens_mean_to_the_positions(found):
    """Adding a vector to every embedding changes no centred term; it does change terms that are not centred."""
    ids, shift = some_ids(), torch.linspace(-1, 1, 24)
    moved = replace(found, W_E=found.W_E + shift, W_pos=found.W_pos - shift)
    for centre in (False, True):
        before, after = (attention_terms.score_terms(w, ids, 0, centre) for w in (found, moved))
        torch.testing.assert_close(before.sum(0), after.sum(0), rtol=1e-4, atol=1e-4)
        assert torch.allclose(before, after, rtol=1e-4, atol=1e-4) == centre


@given(st.integers(2, 7), st.integers(0, 10**6))
@examples(20)
def test_variances_are_those_of_the_causal_entries_row_by_row(length, seed):
    terms = torch.randn(4, 2, 3, length, length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    measured = attention_terms.row_variances(terms)
    rows = range(1, length)
    for batch in range(2):
        for head in range(3):
            seen = [terms[:, batch, head, row, : row + 1] for row in rows]
            own = sum(row.var(-1, correction=0) for row in seen) / len(seen)
            whole = sum(row.sum(0).var(correction=0) for row in seen) / len(seen)
            torch.testing.assert_close(measured.variance[:, batch, head], own)
            torch.testing.assert_close(measured.total[batch, head], whole)
    torch.testing.assert_close(measured.covariance.sum(0), measured.total)
    torch.testing.assert_close(measured.share.sum(0), torch.ones(2, 3, dtype=torch.float64))


def test_what_is_constant_along_rows_has_no_variance_and_no_effect():
    generator = torch.Generator().manual_seed(0)
    terms = torch.randn(2, 1, 1, 6, 6, generator=generator)
    terms[1] = 100 * torch.randn(1, 1, 6, 1, generator=generator)  # a term of the query alone
    measured = attention_terms.row_variances(terms)
    assert measured.variance[1].max() < 1e-8 < 1e3 < terms[1].var()
    torch.testing.assert_close(measured.share[:, 0, 0], torch.tensor([1.0, 0.0]), rtol=0, atol=1e-5)
    assert attention_terms.total_variations(terms)[1].max() < 1e-4  # float32 softmax of scores of some hundreds
    assert attention_terms.total_variations(terms)[0].min() > 0.05


def test_total_variation_by_hand():
    """Two keys: one term puts all attention on key 0, the other all of it on key 1, with the second twice as strong."""
    terms = torch.zeros(2, 2, 2)
    terms[0, 1] = torch.tensor([40.0, 0.0])
    terms[1, 1] = torch.tensor([0.0, 80.0])
    torch.testing.assert_close(attention_terms.total_variations(terms), torch.tensor([0.0, 1.0]))
    even = torch.zeros(1, 2, 2)
    even[0, 1, 1] = math.log(3)  # 1/4 and 3/4 with the term, halves without
    torch.testing.assert_close(attention_terms.total_variations(even), torch.tensor([0.25]))


def test_contrasts_by_hand():
    scores = torch.full((3, 3), 9.0)  # above the diagonal 9, which nobody may read
    scores[1, :2] = torch.tensor([5.0, 1.0])
    scores[2] = torch.tensor([0.0, 4.0, 2.0])
    previous = torch.eye(3).roll(-1, 1).bool()  # key = query - 1, and one entry above the diagonal
    torch.testing.assert_close(attention_terms.row_contrasts(scores, previous), torch.tensor((4.0 + 3.0) / 2))
    none = torch.zeros(3, 3, dtype=torch.bool)
    assert attention_terms.row_contrasts(scores, none).isnan()
    several = torch.stack([scores, 2 * scores])[:, None].expand(2, 5, 3, 3)
    masks = torch.stack([previous, none, previous, none, none])
    assert attention_terms.row_contrasts(several, masks).isnan().tolist() == [[False, True, False, True, True]] * 2


def test_a_previous_token_head_is_seen_in_position_position(found):
    """Keys that read the position one place on: the term is highest one place before the query, in every row."""
    positions = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(0)))[0]
    w_q, w_k = found.W_Q.clone(), found.W_K.clone()
    w_q[0, 0], w_k[0, 0] = positions[1:7].T, positions[:6].T  # six directions: query at t reads what keys at t - 1 show
    planted = replace(found, W_pos=50 * positions, W_Q=w_q, W_K=w_k)
    terms = attention_terms.score_terms(planted, some_ids(length=7), 0)
    previous = torch.eye(7).roll(1, 0).bool()
    contrasts = attention_terms.row_contrasts(terms, previous)[:, :, 0]
    assert contrasts[3].min() > 100
    assert contrasts[:3].abs().max() < 50
    assert attention_terms.row_variances(terms).share[3, :, 0].min() > 0.9
    assert torch.equal(attention_terms.row_centred(terms[3, :, 0])[:, 1:].argmax(-1), torch.arange(6).expand(3, -1))


def test_row_centred_changes_no_pattern(found):
    scores = attention_terms.score_terms(found, some_ids(), 1).sum(0)
    centred = attention_terms.row_centred(scores)
    torch.testing.assert_close(centred.softmax(-1), scores.softmax(-1))
    assert torch.equal(centred.isinf(), scores.isinf())
    assert centred.masked_fill(centred.isinf(), 0).sum(-1).abs().max() < 1e-4


def test_losses_are_the_models(model, found):
    ids = some_ids()
    losses = attention_terms.next_token_losses(found, ids)
    with torch.no_grad():
        torch.testing.assert_close(losses.mean(), model(ids, labels=ids).loss, rtol=1e-5, atol=1e-5)
    assert losses.shape == (3, LENGTH - 1)


def test_losses_without_the_only_term():
    """Positions of zero leave token-token alone; without it attention is uniform, as with queries of zero."""
    ids = some_ids()
    blind = replace(weights.weights_of(build(layers=1)), W_pos=torch.zeros(24, 24))
    uniform = replace(blind, W_Q=torch.zeros_like(blind.W_Q))
    without = {term: attention_terms.next_token_losses(blind, ids, LeaveOut(term, 0)) for term in TERMS}
    torch.testing.assert_close(without["token-token"], attention_terms.next_token_losses(uniform, ids))
    whole = attention_terms.next_token_losses(blind, ids)
    assert [torch.equal(without[term], whole) for term in TERMS] == [False, True, True, True]


@pytest.mark.parametrize("centre", [False, True])
@pytest.mark.parametrize("head", [2, None])
def test_leaving_out_in_layer_0_reaches_the_patterns_of_layer_1(found, head, centre):
    """Against a forward pass written out, with the term subtracted and layer 1 recomputed from the changed stream."""
    ids = some_ids()
    terms = attention_terms.score_terms(found, ids, 0, centre)
    scores = terms.sum(0)
    kept = terms[:3].sum(0)
    changed = kept if head is None else torch.stack([kept[:, h] if h == head else scores[:, h] for h in range(HEADS)], 1)
    stream = found.W_E[ids]
    stream = stream + torch.einsum("bhqk,bkd,hdc,hce->bqe", changed.softmax(-1), stream, found.W_V[0], found.W_O[0])
    placed = stream + found.W_pos[:LENGTH]
    later = torch.einsum("bqd,hdc,bke,hec->bhqk", placed, found.W_Q[1], placed, found.W_K[1]) / found.d_head**0.5
    later = later.masked_fill(scores.isinf(), -torch.inf).softmax(-1)
    stream = stream + torch.einsum("bhqk,bkd,hdc,hce->bqe", later, stream, found.W_V[1], found.W_O[1])
    expected = -(stream @ found.W_U).log_softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)
    without = attention_terms.next_token_losses(found, ids, LeaveOut("position-position", 0, head, centre))
    torch.testing.assert_close(without, expected, rtol=1e-4, atol=1e-4)
    assert (without - attention_terms.next_token_losses(found, ids)).abs().max() > 0.05


def test_loss_changes_are_of_each_term_layer_and_head(found):
    ids = some_ids()
    changes = attention_terms.loss_changes(found, ids)
    assert changes.shape == (4, 2, HEADS + 1, 3, LENGTH - 1)
    whole = attention_terms.next_token_losses(found, ids)
    for term, layer, head in (("token-token", 0, 1), ("position-token", 1, 3)):
        alone = attention_terms.next_token_losses(found, ids, LeaveOut(term, layer, head)) - whole
        torch.testing.assert_close(changes[TERMS.index(term), layer, head], alone)
    together = attention_terms.next_token_losses(found, ids, LeaveOut("token-position", 1)) - whole
    torch.testing.assert_close(changes[1, 1, HEADS], together)


def test_nothing_given_is_changed(found):
    ids = some_ids()
    before = (ids.clone(), found.W_pos.clone(), found.W_E.clone())
    terms = attention_terms.score_terms(found, ids, 1, centre=True)
    kept = terms.clone()
    attention_terms.row_variances(terms)
    attention_terms.total_variations(terms)
    attention_terms.row_centred(terms)
    attention_terms.loss_changes(found, ids, centre=True)
    assert torch.equal(terms, kept)
    assert all(torch.equal(a, b) for a, b in zip(before, (ids, found.W_pos, found.W_E), strict=True))


@pytest.mark.parametrize(("name", "other"), [("gpt2", tiny.gpt2), ("bert", tiny.bert)])
def test_models_whose_positions_are_in_the_stream_are_refused(name, other):
    found = weights.weights_of(other())
    for call in (attention_terms.score_terms, lambda w, i, layer: attention_terms.next_token_losses(w, i)):
        with pytest.raises(ValueError, match=f"weights: expected a model whose positions only queries.*{name}.*residual stream"):
            call(found, some_ids(), 0)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(2, 1, dtype=torch.long), r"ids: expected \[batch, 2 to 24 tokens\], found \(2, 1\)"),
        (torch.zeros(2, 25, dtype=torch.long), r"ids: expected \[batch, 2 to 24 tokens\], found \(2, 25\)"),
        (torch.zeros(0, 5, dtype=torch.long), r"ids: expected \[batch, 2 to 24 tokens\], found \(0, 5\)"),
        (torch.zeros(5, dtype=torch.long), r"ids: expected \[batch, 2 to 24 tokens\], found \(5,\)"),
        (torch.full((1, 5), VOCAB), "ids: expected 0 to 39, found 40 to 40"),
        (torch.full((1, 5), -1), "ids: expected 0 to 39, found -1 to -1"),
        (torch.zeros(1, 5), "ids: expected whole numbers, found torch.float32"),
    ],
)
def test_ids_that_do_not_fit_are_named(found, ids, message):
    with pytest.raises(ValueError, match=message):
        attention_terms.score_terms(found, ids, 0)


def test_layers_heads_and_terms_that_are_not_there_are_named(found):
    ids = some_ids()
    with pytest.raises(ValueError, match="layer: expected 0 to 1, found 2"):
        attention_terms.score_terms(found, ids, 2)
    with pytest.raises(ValueError, match="head: expected 0 to 3, found -1"):
        attention_terms.part_scores(found, ids, 0, -1)
    with pytest.raises(ValueError, match="leave_out.term: expected one of token-token, .*, found 'tokens'"):
        attention_terms.next_token_losses(found, ids, LeaveOut("tokens", 0))
    with pytest.raises(ValueError, match="leave_out.head: expected 0 to 3, found 4"):
        attention_terms.next_token_losses(found, ids, LeaveOut("token-token", 0, 4))
    with pytest.raises(ValueError, match="terms: expected .* found \\(4, 3, 5\\)"):
        attention_terms.row_variances(torch.zeros(4, 3, 5))
    with pytest.raises(ValueError, match="targets: expected bool .*3, 3.*, found torch.float32"):
        attention_terms.row_contrasts(torch.zeros(3, 3), torch.zeros(3, 3))
