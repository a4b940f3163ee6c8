"""Ablations against models whose weights were changed by hand, the hand-built circuit, and hooks that are gone."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from analysis_lib import activations, weights
from analysis_lib.activations.interventions import head_means
from analysis_lib.circuits import ablated_losses, ablation_effects, repeated_random_tokens, token_losses
from analysis_lib.circuits.ablation import losses_of_next
from analysis_lib.models import wrap
from tests.support import tiny, tiny_circuits
from tests.support.tiny_minigpt import build

IDS = np.random.default_rng(0).integers(0, 40, size=(5, 11))


def models():
    gpt2 = tiny.gpt2(vocab=40, layers=3, heads=4, width=24)
    for block in gpt2.transformer.h:
        block.attn.c_attn.weight.data[:, :48] *= 5  # queries and keys: patterns that are far from uniform
    return {"gpt2": gpt2, "minigpt": build(layers=3)}


SMALL = tiny_circuits.loaded(models()["minigpt"])


@pytest.fixture(params=["gpt2", "minigpt"])
def loaded(request):
    return tiny_circuits.loaded(models()[request.param])


def output_matrix(model, layer):
    """The output matrix with the heads' slices along its first axis: a view to write into."""
    if model.config.model_type == "gpt2":
        return model.transformer.h[layer].attn.c_proj.weight.data
    return model.blocks[layer].attn.output.weight.data.T


def losses_of(model, ids):
    with torch.no_grad():
        logits = model(input_ids=torch.as_tensor(ids)).logits
    flat = cross_entropy(logits[:, :-1].flatten(0, 1), torch.as_tensor(ids)[:, 1:].flatten(), reduction="none")
    return flat.view(len(ids), -1).numpy()


def test_losses_are_cross_entropies_whatever_the_batch(loaded):
    expected = losses_of(loaded.model, IDS)
    for batch_size in (1, 2, 16):
        np.testing.assert_allclose(token_losses(loaded, IDS, batch_size), expected, rtol=1e-4, atol=1e-5)


def test_zero_ablation_equals_zeroed_rows_of_the_output_matrix(loaded):
    """Ablation leaves output biases in place, and so does a matrix whose rows of that head are zero."""
    model = copy.deepcopy(loaded.model)
    output_matrix(model, 1)[12:18] = 0  # the third of four heads of six
    output_matrix(model, 0)[0:6] = 0
    np.testing.assert_allclose(ablated_losses(loaded, IDS, [(1, 2), (0, 0)]), losses_of(model, IDS), rtol=1e-4, atol=1e-5)
    one = copy.deepcopy(loaded.model)
    output_matrix(one, 1)[12:18] = 0
    effects = ablation_effects(loaded, IDS)
    assert effects.shape == (3, 4, 5, 10)
    np.testing.assert_allclose(effects[1, 2], losses_of(one, IDS) - losses_of(loaded.model, IDS), atol=1e-4)
    assert np.abs(effects).mean(axis=(2, 3)).min() > 1e-3  # every head of a rough random model does something


def test_head_means_are_means_of_what_heads_read(loaded):
    found = head_means(loaded.model, torch.as_tensor(IDS).split(2))
    assert found.shape == (3, 4, 6)
    with activations.recording(loaded.model, ["heads"]) as record, torch.no_grad():
        loaded.model(input_ids=torch.as_tensor(IDS))
    torch.testing.assert_close(found[2], record["heads", 2].mean(dim=(0, 1)), rtol=1e-4, atol=1e-5)


def test_recorded_heads_are_those_of_the_rebuilt_attention():
    model = build(layers=1)
    extracted = weights.weights_of(model)
    ids = torch.as_tensor(IDS)
    with activations.recording(model, ["heads"], states=False) as record, torch.no_grad():
        model(ids)
    added = torch.einsum("bthd,hdm->bhtm", record["heads", 0], extracted.W_O[0])
    torch.testing.assert_close(added, weights.rebuild_attention(extracted, 0, extracted.W_E[ids]).head_outputs, rtol=1e-4, atol=1e-4)


def test_mean_ablation_puts_the_mean_there(loaded):
    """A head's mean through the output matrix is a constant: the model with zeroed rows and that constant as a bias."""
    means = head_means(loaded.model, [torch.as_tensor(IDS)])
    found = ablated_losses(loaded, IDS, [(2, 1)], kind="mean")
    np.testing.assert_allclose(ablated_losses(loaded, IDS, [(2, 1)], kind="mean", means=means), found, atol=1e-12)
    model = copy.deepcopy(loaded.model)
    added = means[2, 1] @ output_matrix(model, 2)[6:12]
    output_matrix(model, 2)[6:12] = 0
    projection = model.transformer.h[2].attn.c_proj if model.config.model_type == "gpt2" else model.blocks[2].attn.output
    handle = projection.register_forward_hook(lambda module, args, output: output + added)
    np.testing.assert_allclose(found, losses_of(model, IDS), rtol=1e-4, atol=1e-5)
    handle.remove()


def test_mean_of_a_head_that_never_varies_changes_nothing():
    model = build()
    model.blocks[0].attn.value.weight.data[:6] = 0  # the first head reads nothing
    effects = ablation_effects(tiny_circuits.loaded(model), IDS, kind="mean")
    assert np.abs(effects[0, 0]).max() < 1e-6
    assert np.abs(effects[0, 1]).max() > 1e-3


def test_frozen_patterns_change_nothing_where_nothing_is_ablated_before(loaded):
    """Heads of the last layer have no patterns above them; heads of the first do."""
    free, frozen = ablation_effects(loaded, IDS), ablation_effects(loaded, IDS, frozen=True)
    np.testing.assert_allclose(frozen[2], free[2], atol=1e-4)
    assert np.abs(frozen[0] - free[0]).max() > 1e-3


def test_frozen_patterns_make_attention_alone_linear():
    """With patterns frozen the logits are a sum over paths, so that ablating is leaving out paths: computed from weights."""
    model = build()
    extracted = weights.weights_of(model)
    ids = torch.as_tensor(IDS)
    patterns = activations.run_ids(tiny_circuits.loaded(model), IDS, outputs=["patterns"]).patterns
    patterns = torch.as_tensor(np.stack(patterns)).double()  # (sequence, layer, head, query, key)
    stream = extracted.W_E.double()[ids]
    for layer in range(2):
        ov = extracted.W_V[layer].double() @ extracted.W_O[layer].double()
        ov[[0, 3] if layer == 0 else []] = 0
        stream = stream + torch.einsum("bhqk,bkd,hde->bqe", patterns[:, layer], stream, ov)
    logits = stream @ extracted.W_U.double()
    expected = cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(5, -1)
    found = ablated_losses(tiny_circuits.loaded(model), IDS, [(0, 0), (0, 3)], frozen=True)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


def test_the_hand_built_circuit_dies_with_either_head_and_through_patterns_only_with_the_first():
    probe = repeated_random_tokens(12, n_sequences=16, block=4, gap=(0, 3), start=tiny_circuits.START)
    circuit = tiny_circuits.loaded(tiny_circuits.induction_model())
    again = np.arange(16)[:, None], probe.second[:, :-1]  # places whose next token can be predicted
    whole = token_losses(circuit, probe.ids)
    assert whole[again].max() < 1e-3  # 11 exp(-12) is 7e-5
    effects, frozen = ablation_effects(circuit, probe.ids), ablation_effects(circuit, probe.ids, frozen=True)
    assert effects[0, 0][again].mean() > 1
    assert effects[1, 0][again].mean() > 2
    assert np.abs(effects[0, 1]).max() == np.abs(effects[1, 1]).max() == 0
    assert np.abs(frozen[0, 0]).max() < 1e-6  # it reaches the logits through the second layer's pattern alone
    np.testing.assert_allclose(frozen[1, 0], effects[1, 0], atol=1e-6)


def test_no_hook_is_left_and_the_model_is_as_before(loaded):
    before = copy.deepcopy(loaded.model.state_dict())
    ablation_effects(loaded, IDS, kind="mean", frozen=True)
    assert not [name for name, module in loaded.model.named_modules() if module._forward_hooks or module._forward_pre_hooks]
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (IDS[0], r"ids: expected integers \[sequence, 2 to 24 tokens\], found torch.int64 \(11,\)"),
        (IDS[:, :1], r"ids: expected .* found torch.int64 \(5, 1\)"),
        (IDS[:0], "ids: expected"),
        (IDS.astype(float), "ids: expected integers .* found torch.float64"),
        (np.zeros((1, 25), dtype=int), "ids: expected .* 24 tokens"),
        (IDS + 1, "ids: expected 0 to 39, found 1 to 40"),
        (IDS - 1, "ids: expected 0 to 39, found -1"),
    ],
)
def test_ids_that_do_not_fit_are_named(ids, message):
    with pytest.raises(ValueError, match=message):
        token_losses(tiny_circuits.loaded(build()), ids)


def test_other_bad_arguments_are_named():
    circuit = tiny_circuits.loaded(build())
    with pytest.raises(ValueError, match=r"heads: expected heads of 2 layers x 4, found \(2, 0\)"):
        ablated_losses(circuit, IDS, [(2, 0)])
    with pytest.raises(ValueError, match="kind: expected one of 'zero', 'mean', found 'none'"):
        ablated_losses(circuit, IDS, [(0, 0)], kind="none")
    with pytest.raises(ValueError, match=r"means: expected \[layer, head, d_head\] \(2, 4, 6\), found \(2, 4\)"):
        ablated_losses(circuit, IDS, [(0, 0)], kind="mean", means=torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"loaded: expected a causal language model, found BertForMaskedLM"):
        token_losses(tiny_circuits.loaded(tiny.bert()), IDS)
    with pytest.raises(ValueError, match="found GPT2Model"):
        token_losses(tiny_circuits.loaded(tiny.gpt2().transformer), IDS)
    circuit.model.train()
    with pytest.raises(ValueError, match="training mode"):
        token_losses(circuit, IDS)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=5), st.sampled_from(["zero", "mean"]))
def test_which_heads_are_ablated_matters_and_their_order_does_not(heads, kind):
    loaded = SMALL
    found = ablated_losses(loaded, IDS, heads, kind=kind)
    np.testing.assert_allclose(ablated_losses(loaded, IDS, sorted(set(heads)), kind=kind), found, atol=1e-5)
    np.testing.assert_allclose(ablated_losses(loaded, IDS, heads, kind=kind, batch_size=2), found, atol=1e-4)
    last = [(2, head) for _, head in heads]  # no pattern lies above them
    np.testing.assert_allclose(
        ablated_losses(loaded, IDS, last, kind=kind, frozen=True), ablated_losses(loaded, IDS, last, kind=kind), atol=1e-4
    )


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_small_integers_are_ids_too(kind):
    loaded = wrap(tiny.gpt2(vocab=400))
    ids = np.random.default_rng(0).integers(0, 200, (2, 8))
    np.testing.assert_array_equal(token_losses(loaded, ids.astype(kind)), token_losses(loaded, ids))


def test_an_unknown_kind_is_refused_before_any_pass():
    circuit, passes = tiny_circuits.loaded(build()), []
    circuit.model.register_forward_hook(lambda *_: passes.append(1))
    with pytest.raises(ValueError, match="kind: expected one of 'zero', 'mean', found 'median'"):
        ablation_effects(circuit, IDS, kind="median")
    assert not passes


def test_losses_of_logits_in_bfloat16_are_those_of_the_same_numbers_in_double_precision():
    """Such logits are rounded already; what is computed of them is not rounded again."""
    logits = torch.randn(len(IDS), IDS.shape[1], 40, generator=torch.Generator().manual_seed(0)).mul(10).bfloat16()
    ids = torch.as_tensor(IDS)
    torch.testing.assert_close(losses_of_next(logits, ids), losses_of_next(logits.double(), ids), rtol=1e-5, atol=1e-5)
