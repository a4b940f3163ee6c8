import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.activations import ACT2FN

from analysis_lib import models, weights
from analysis_lib.models.regressor import LAYOUTS, Regressor, RegressorConfig
from tests.support import tiny
from tests.support.examples import examples

TOLERANCE = 1e-5  # float32 sums of a few dozen terms in another order


def build(layout="interleaved", n_dims=3, n_points=6, width=16, heads=2, layers=2, seed=0):
    config = RegressorConfig(n_dims=n_dims, n_points=n_points, layout=layout, n_embd=width, n_head=heads, n_layer=layers)
    config._attn_implementation = "eager"
    return tiny._rough(Regressor, config, seed)


def some_points(model, batch=4, points=None, seed=1):
    generator = torch.Generator().manual_seed(seed)
    points = points or model.config.n_points
    xs = torch.randn(batch, points, model.config.n_dims, generator=generator)
    return xs, torch.randn(batch, points, generator=generator)


def predict(model, xs, ys):
    with torch.no_grad():
        return model(xs=xs, ys=ys).predictions


# What a prediction is made from


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("i", range(6))
def test_a_prediction_is_made_from_the_points_before_it_and_its_own_x(layout, i):
    model = build(layout)
    xs, ys = some_points(model)
    before = predict(model, xs, ys)
    later = ys.clone()
    later[:, i:] += 1
    assert torch.equal(predict(model, xs, later)[:, i], before[:, i])
    later = xs.clone()
    later[:, i + 1 :] += 1
    assert torch.equal(predict(model, later, ys)[:, i], before[:, i])
    own = xs.clone()
    own[:, i] += 1
    assert ((predict(model, own, ys) - before)[:, i].abs() > TOLERANCE).all()
    for j in range(i):
        earlier = ys.clone()
        earlier[:, j] += 1
        assert ((predict(model, xs, earlier) - before)[:, i].abs() > TOLERANCE).all()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_shorter_prompt_gives_the_same_predictions(layout):
    model = build(layout)
    xs, ys = some_points(model)
    whole = predict(model, xs, ys)
    for k in range(1, 7):
        torch.testing.assert_close(predict(model, xs[:, :k], ys[:, :k]), whole[:, :k], rtol=TOLERANCE, atol=TOLERANCE)


def test_interleaved_prompts_are_those_of_garg():
    model = build("interleaved")
    xs, ys = some_points(model)
    rows = []
    for i in range(6):
        rows += [xs[:, i], torch.stack([ys[:, i], torch.zeros(4), torch.zeros(4)], dim=-1)]
    with torch.no_grad():
        states = model.backbone(inputs_embeds=model.read_in(torch.stack(rows, dim=1))).last_hidden_state
        expected = model.read_out(states)[:, ::2, 0]
    torch.testing.assert_close(predict(model, xs, ys), expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_stacked_predictions_are_those_of_the_notebooks_prompts():
    """Notebook 003: one token a point, (x, y), the last y zero, plain causal attention, the answer at the last token."""
    model = build("stacked", n_dims=2)
    xs, ys = some_points(model)
    found = predict(model, xs, ys)
    for n in range(1, 7):
        prompt = torch.cat([xs[:, :n], ys[:, :n, None]], dim=-1)
        prompt[:, -1, -1] = 0
        with torch.no_grad():
            states = model.backbone(inputs_embeds=model.read_in(prompt)).last_hidden_state
            expected = model.read_out(states)[:, -1, 0]
        torch.testing.assert_close(found[:, n - 1], expected, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_patterns_and_states_are_given_where_they_are_asked_for(layout):
    model = build(layout, layers=3)
    xs, ys = some_points(model)
    with torch.no_grad():
        plain, full = model(xs, ys), model(xs, ys, output_attentions=True, output_hidden_states=True)
    assert plain.attentions is plain.hidden_states is None
    assert torch.equal(plain.predictions, full.predictions)
    assert [pattern.shape for pattern in full.attentions] == [(4, 2, 12, 12)] * 3
    assert [states.shape for states in full.hidden_states] == [(4, 12, 16)] * 4
    with torch.no_grad():
        torch.testing.assert_close(model.read_out(full.hidden_states[-1][:, ::2])[..., 0], full.predictions)
    for pattern in full.attentions:
        torch.testing.assert_close(pattern.sum(-1), torch.ones(4, 2, 12))
        assert (pattern.triu(1) == 0).all()
        if layout == "stacked":
            questions = pattern[..., ::2].clone()
            questions[:, :, ::2] -= torch.diag_embed(torch.diagonal(questions[:, :, ::2], dim1=-2, dim2=-1))
            assert (questions == 0).all()  # no token but itself attends to a question


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_attention_implementations_agree(layout):
    model = build(layout)
    xs, ys = some_points(model)
    eager = predict(model, xs, ys)
    model.set_attn_implementation("sdpa")
    torch.testing.assert_close(predict(model, xs, ys), eager, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_only_the_unused_token_embedding_has_no_gradient(layout):
    model = build(layout)
    model(*some_points(model)).predictions.square().sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == ["backbone.wte.weight"]
    assert model.backbone.wte.weight.shape == (1, 16)


# Weights


@examples(12)
@given(
    layout=st.sampled_from(LAYOUTS),
    heads=st.integers(1, 4),
    d_head=st.integers(1, 9),
    layers=st.integers(1, 3),
    n_dims=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_predictions_are_rebuilt_from_the_extracted_weights(layout, heads, d_head, layers, n_dims, seed):
    """Raw and folded: patterns, heads and predictions from `TransformerWeights` alone."""
    model = build(layout, n_dims=n_dims, heads=heads, width=heads * d_head, layers=layers, seed=seed)
    xs, ys = some_points(model, seed=seed)
    with torch.no_grad():
        full = model(xs, ys, output_attentions=True)
        tokens = model.tokens(xs, ys)
    answers = torch.arange(12) % 2 == 1
    mask = answers.expand(4, -1) if layout == "stacked" else None  # what others may attend to
    places = torch.arange(12) // 2 if layout == "stacked" else torch.arange(12)
    for found in (weights.weights_of(model), weights.weights_of(model, fold_layer_norm=True)):
        states = tokens @ found.W_E + found.W_pos[places]
        for layer in range(found.n_layers):
            read = found.read(layer, states)
            rebuilt = weights.rebuild_attention(found, layer, read, mask)
            torch.testing.assert_close(rebuilt.patterns, full.attentions[layer], rtol=0, atol=1e-4)
            states = states + rebuilt.output
            read = found.layer_norms.mlp[layer](states)
            neurons = ACT2FN[found.activation](read @ found.W_in[layer] + found.b_in[layer])
            states = states + neurons @ found.W_out[layer] + found.b_out[layer]
        final = found.final(states)
        predictions = (final @ found.W_U + found.b_U)[:, ::2, 0]
        torch.testing.assert_close(predictions, full.predictions, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_read_in_and_read_out_take_the_places_of_the_embeddings(layout):
    model = build(layout)
    found = weights.weights_of(model)
    width = 3 if layout == "interleaved" else 4
    assert found.W_E.shape == (width, 16)
    assert found.W_U.shape == (16, 1)
    assert found.b_U.shape == (1,)
    assert (found.architecture, found.d_vocab, found.n_layers, found.n_heads) == ("regressor", width, 2, 2)
    assert torch.equal(found.W_E, model.read_in.weight.T)
    unused = model.backbone.wte.weight.detach()
    assert not any(t.shape == unused.shape and torch.equal(t, unused) for t in found.named().values())


# Saving and loading


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_saved_model_is_loaded(layout, tmp_path):
    model = build(layout)
    halved = copy.deepcopy(model).half()
    halved.save_pretrained(tmp_path)
    loaded = models.load(tmp_path)
    assert type(loaded.model) is Regressor
    assert loaded.tokenizer is None
    assert (loaded.model.config.layout, loaded.model.config.n_dims, loaded.model.config.n_points) == (layout, 3, 6)
    assert loaded.model.dtype == torch.float32
    xs, ys = some_points(model)
    assert torch.equal(predict(loaded.model, xs, ys), predict(halved.float(), xs, ys))
    own = Regressor.from_pretrained(tmp_path, dtype=torch.float32)
    torch.testing.assert_close(predict(own, xs, ys), predict(halved, xs, ys), rtol=TOLERANCE, atol=TOLERANCE)
    with torch.no_grad():
        assert loaded.model(xs, ys, output_attentions=True).attentions[0] is not None


def test_an_untrained_twin():
    model = build()
    loaded = models.LoadedModel(model, None, "regressor", "folder", "x", "0")
    first, again, other = (models.untrained_like(loaded, seed).model for seed in (1, 1, 2))
    xs, ys = some_points(model)
    assert torch.equal(predict(first, xs, ys), predict(again, xs, ys))
    assert not torch.equal(predict(first, xs, ys), predict(other, xs, ys))


def test_fresh_weights_are_those_of_garg():
    """Read-in and read-out uniform in +-1/sqrt(inputs), as torch's Linear; the backbone normal as GPT-2's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Regressor(RegressorConfig(n_dims=4, n_embd=64))
    assert 0.45 < model.read_in.weight.abs().max() <= 0.5
    assert 0.1 < model.read_out.weight.abs().max() <= 0.125
    assert model.backbone.h[0].attn.c_attn.weight.std().item() == pytest.approx(0.02, rel=0.05)


# Refused


@pytest.mark.parametrize(
    ("xs", "ys", "message"),
    [
        ((4, 6, 2), (4, 6), r"xs: expected \[batch, 1 to 6 points, 3\] for this model, found \(4, 6, 2\)"),
        ((4, 7, 3), (4, 7), "xs: expected .* 1 to 6 points"),
        ((4, 0, 3), (4, 0), "xs: expected .* 1 to 6 points"),
        ((6, 3), (6,), "xs: expected"),
        ((4, 6, 3), (4, 5), r"ys: expected \(4, 6\) as xs has points, found \(4, 5\)"),
        ((4, 6, 3), (4, 6, 1), "ys: expected"),
    ],
)
def test_prompts_that_do_not_fit(xs, ys, message):
    with pytest.raises(ValueError, match=message):
        build()(torch.zeros(xs), torch.zeros(ys))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layout": "in a row"}, "layout: expected one of interleaved, stacked"),
        ({"n_dims": 0}, "n_dims: expected 1 or more"),
        ({"n_points": -1}, "n_points: expected 1 or more"),
        ({"n_embd": 10, "n_head": 4}, "n_head: expected a divisor of n_embd 10"),
    ],
)
def test_configurations_that_make_no_model(options, message):
    with pytest.raises(ValueError, match=message):
        RegressorConfig(**options)
