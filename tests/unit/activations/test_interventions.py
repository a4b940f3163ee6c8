"""Interventions: each is a run that nothing else could tell from one whose weights were changed; they compose and leave nothing behind."""

import copy
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

from analysis_lib import activations
from analysis_lib.activations.hooks import attached
from analysis_lib.activations.interventions import edited, frozen_patterns, mean, patch, put, resumed, scale, zero
from tests.support import tiny
from tests.support.tiny_minigpt import build

IDS = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(0))
OTHER = torch.randint(5, 40, (3, 7), generator=torch.Generator().manual_seed(1))
KINDS = {
    "gpt2": lambda: tiny.gpt2(vocab=40, layers=3, heads=4, width=24),
    "bert": lambda: tiny.bert(vocab=40, layers=3, heads=4, width=24),
    "minigpt": lambda: build(layers=3),
}


@pytest.fixture(params=KINDS)
def model(request):
    return KINDS[request.param]()


def answer(model, ids=IDS):
    with torch.no_grad():
        return model(input_ids=ids).logits


def record_of(model, outputs, ids=IDS):
    with activations.recording(model, outputs) as record:
        answer(model, ids)
    return record


def hooks_on(model):
    return [name for name, module in model.named_modules() if module._forward_hooks or module._forward_pre_hooks]


def assert_close(found, expected, atol=2e-4):
    torch.testing.assert_close(found, expected, atol=atol, rtol=1e-4)


ALL = ("states", "read", "queries", "keys", "values", "heads", "attention", "middle", "mlp_pre", "mlp_hidden", "mlp")


@pytest.mark.parametrize("name", ALL)
def test_putting_back_what_was_there_changes_nothing_and_zeros_change_something(model, name):
    sites = getattr(activations.sites_of(model), name)
    if not sites:
        with pytest.raises(ValueError, match=f"this architecture has no '{name}'"), edited(model, {(name, 0): zero()}):
            pass
        assert model.config.model_type == "minigpt"
        return
    whole = answer(model)
    record = record_of(model, [n for n in (name,) if n != "states"])
    same = {(name, layer): patch(record[name, layer].detach()) for layer in range(len(sites))}
    with edited(model, same):
        assert_close(answer(model), whole)
    for layer in range(len(sites)):
        with edited(model, {(name, layer): zero()}):
            assert (answer(model) - whole).abs().max() > 1e-3, layer


def test_a_changed_value_is_what_later_modules_read(model):
    record = record_of(model, ["values", "patterns"])
    with edited(model, {("values", 1): scale(2.0, heads=[2])}), activations.recording(model, ["values", "heads", "patterns"]) as changed:
        answer(model)
    expected = record["values", 1].clone()
    expected[:, :, 2] *= 2
    assert_close(changed["values", 1], expected)
    assert_close(changed["heads", 1], torch.einsum("bhqk,bkhd->bqhd", record["patterns", 1], expected))
    assert_close(changed["patterns", 1], record["patterns", 1])


def test_a_head_set_to_its_mean_over_sequences_is_alike_in_all_of_them(model):
    whole = record_of(model, ["heads"])["heads", 0]
    with edited(model, {("heads", 0): mean(over=0, heads=[1])}), activations.recording(model, ["heads"]) as record:
        answer(model)
    found = record["heads", 0]
    assert_close(found[:, :, 1], whole[:, :, 1].mean(dim=0).expand(3, -1, -1))
    assert torch.equal(found[:, :, [0, 2, 3]], whole[:, :, [0, 2, 3]])
    with edited(model, {("heads", 0): mean()}), activations.recording(model, ["heads"]) as record:
        answer(model)
    assert_close(record["heads", 0], whole.mean(dim=(0, 1)).expand_as(whole))


def test_a_tensor_stands_at_the_chosen_heads_and_tokens_only(model):
    whole = record_of(model, ["heads"])["heads", 2]
    new = torch.arange(6.0)
    with edited(model, {("heads", 2): put(new, heads=[0, 3], tokens=[4, 0, 6])}), activations.recording(model, ["heads"]) as record:
        answer(model)
    expected = whole.clone()
    for sequence, token in enumerate((4, 0, 6)):
        expected[sequence, token, [0, 3]] = new
    assert torch.equal(record["heads", 2], expected)


def test_patching_all_of_the_stream_gives_the_other_run(model):
    other = record_of(model, ["heads"], OTHER)
    with edited(model, {("states", 2): patch(other["states", 2].detach())}):
        assert_close(answer(model), answer(KINDS[model.config.model_type](), OTHER))
    with edited(model, {("heads", 1): patch(other["heads", 1].detach(), heads=[2])}), activations.recording(model, ["heads"]) as record:
        answer(model)
    assert torch.equal(record["heads", 1][:, :, 2], other["heads", 1][:, :, 2])
    assert not torch.equal(record["heads", 1][:, :, 1], other["heads", 1][:, :, 1])


def test_patterns_of_the_same_run_change_nothing_and_of_another_move_its_values(model):
    whole = answer(model)
    own = record_of(model, ["patterns"])
    with frozen_patterns(model, [own["patterns", layer] for layer in range(3)]):
        assert_close(answer(model), whole)
    foreign = record_of(model, ["patterns"], OTHER)
    patterns = [foreign["patterns", layer] for layer in range(3)]
    with frozen_patterns(model, patterns), activations.recording(model, ["values", "heads"]) as record:
        answer(model)
    for layer in range(3):
        assert_close(record["heads", layer], torch.einsum("bhqk,bkhd->bqhd", patterns[layer], record["values", layer]))


def test_nested_interventions_compose(model):
    """The inner works on what the outer left: a head replaced, then doubled; and patterns frozen, then a head taken out."""
    new = torch.ones(6)
    with (
        edited(model, {("heads", 1): put(new, heads=[1])}),
        edited(model, {("heads", 1): scale(2.0, heads=[1]), ("heads", 0): zero([0])}),
        activations.recording(model, ["heads"]) as record,
    ):
        nested = answer(model)
    assert (record["heads", 1][:, :, 1] == 2).all()
    assert (record["heads", 0][:, :, 0] == 0).all()
    with edited(model, {("heads", 1): put(2 * new, heads=[1]), ("heads", 0): zero([0])}):
        assert torch.equal(answer(model), nested)
    with edited(model, {("heads", 1): scale(2.0, heads=[1])}), edited(model, {("heads", 1): put(new, heads=[1])}):
        other_order = answer(model)
    assert (other_order - nested).abs().max() > 1e-4
    patterns = [record_of(model, ["patterns"])["patterns", layer] for layer in range(3)]
    with frozen_patterns(model, patterns), edited(model, {("heads", 0): zero([0])}), activations.recording(model, ["heads"]) as record:
        answer(model)
    assert (record["heads", 0][:, :, 0] == 0).all()


def test_a_recording_outside_sees_what_the_model_computed(model):
    whole = record_of(model, ["attention"])["attention", 0]
    with activations.recording(model, ["attention"]) as outer, edited(model, {("attention", 0): zero()}):
        answer(model)
    assert torch.equal(outer["attention", 0], whole)


def test_texts_run_under_an_intervention():
    model, tokenizer = tiny.gpt2(), tiny.byte_level_tokenizer()
    loaded = SimpleNamespace(model=model, tokenizer=tokenizer)
    with edited(model, {("mlp", 0): zero()}):
        found = activations.run(loaded, ["Nie wiem."], outputs=["mlp", "attention"])
    assert (found.mlp[0] == 0).all()
    torch.testing.assert_close(torch.tensor(found.states[0] + found.attention[0]), torch.tensor(found.states[1]), atol=1e-4, rtol=1e-4)


def test_no_hook_stays_whatever_happens_and_weights_are_as_before(model):
    before = copy.deepcopy(model.state_dict())
    patterns = [record_of(model, ["patterns"])["patterns", layer] for layer in range(3)]
    for block in (edited(model, {("heads", 0): zero()}), frozen_patterns(model, patterns)):
        with pytest.raises(IndexError), block:
            answer(model, IDS + 1000)
        assert hooks_on(model) == []

    def fails(value):
        raise RuntimeError("planted in the pass")

    with pytest.raises(RuntimeError, match="in the pass"), edited(model, {("heads", 1): zero(), ("heads", 2): fails}):
        answer(model)
    assert hooks_on(model) == []
    sites = activations.sites_of(model)

    def handlers():
        yield sites.heads[0], lambda value: None
        raise RuntimeError("planted while hooks are put on")

    with pytest.raises(RuntimeError, match="put on"), attached(handlers()):
        pass
    assert hooks_on(model) == []
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({("head", 0): zero()}, "unknown site 'head'; expected any of states, patterns"),
        ({("heads", 3): zero()}, "layer: expected 0 to 2 for 'heads', found 3"),
        ({("heads", -1): zero()}, "layer: expected 0 to 2"),
        ({("patterns", 0): zero()}, "found 'patterns', which can only be read"),
        ({("heads", 0): zero(heads=[4])}, r"heads: expected heads that exist, .* found heads \[4\]"),
        ({("attention", 0): zero(heads=[0])}, r"heads: expected .* a site \[batch, token, head, d_head\]"),
        ({("attention", 0): zero(tokens=[0, 1])}, "tokens: expected one place below 7 for each of 3 sequences"),
        ({("attention", 0): zero(tokens=[0, 1, 7])}, "tokens: expected"),
        ({("attention", 0): put(torch.zeros(5))}, r"new: expected a shape that broadcasts to \(3, 7, 24\), found \(5,\)"),
        ({("attention", 0): patch(torch.zeros(3, 6, 24))}, r"other: expected \(3, 7, 24\) as this run has, found \(3, 6, 24\)"),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    model = KINDS["gpt2"]()
    with pytest.raises(ValueError, match=message), edited(model, changes):
        answer(model)
    assert hooks_on(model) == []


def test_patterns_that_do_not_fit_and_sites_that_are_not_there():
    model = build()
    with pytest.raises(ValueError, match="patterns: expected one tensor for each of 2 layers, found 1"), frozen_patterns(model, [None]):
        pass
    with pytest.raises(ValueError, match=r"patterns\[0\]: expected \(3, 4, 7, 7\), found"), frozen_patterns(model, [torch.zeros(1)] * 2):
        answer(model)
    with pytest.raises(ValueError, match="has no 'mlp'; found states, patterns"), edited(model, {("mlp", 0): zero()}):
        pass
    with pytest.raises(ValueError, match="outputs holds 'mlp'; this architecture has no 'mlp'"), activations.recording(model, ["mlp"]):
        pass


def test_hooks_are_put_on_in_one_module_of_the_library(root):
    library = (root / "analysis_lib").rglob("*.py")
    assert [path.name for path in library if "register_forward" in path.read_text(encoding="utf-8")] == ["hooks.py"]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_resumed_pass_is_the_whole_one(model, layer):
    record = record_of(model, ["attention"])
    calls = []
    first = activations.sites_of(model).at("attention", 0)
    with resumed(model, layer, record["states", layer]), attached([(first, calls.append)]):
        again = record_of(model, ["attention"])
    for key in [("states", 3), ("attention", layer)]:
        torch.testing.assert_close(again[key], record[key], atol=1e-6, rtol=0)
    left_out = layer > 0 and model.config.model_type != "minigpt"  # whose blocks give more than a state
    assert len(calls) == (0 if left_out else 1)
    assert hooks_on(model) == []
    assert not any("forward" in vars(module) for module in model.modules())


def test_a_change_in_a_resumed_pass_is_that_of_a_whole_one(model):
    record = record_of(model, [])
    with edited(model, {("heads", 1): zero(heads=[2])}):
        whole = answer(model)
        with resumed(model, 1, record["states", 1]):
            torch.testing.assert_close(answer(model), whole, atol=1e-5, rtol=0)
    assert (answer(model) - whole).abs().max() > 1e-4


def test_a_layer_that_is_not_there_is_named(model):
    with pytest.raises(ValueError, match="layer: expected 0 to 2"), resumed(model, 3, torch.zeros(1)):
        pass


def test_some_layers_can_be_recorded(model):
    with activations.recording(model, ["attention"], layers=[1]) as record:
        answer(model)
    assert set(record) == {("attention", 1), ("states", 1)}


def test_blocks_left_out_by_one_thread_are_computed_by_another():
    model = tiny.gpt2(layers=3)
    ids = torch.arange(6)[None]
    with torch.no_grad():
        whole = model(input_ids=ids).logits
        states = torch.zeros(1, 6, 16)
        with resumed(model, 1, states):
            with ThreadPoolExecutor(1) as pool:
                other = pool.submit(lambda: model(input_ids=ids).logits).result()
            own = model(input_ids=ids).logits
            with resumed(model, 1, states + 1):
                model(input_ids=ids)
            again = model(input_ids=ids).logits  # the inner block leaves the outer one in place
        after = model(input_ids=ids).logits
    assert torch.equal(whole, after)
    assert not torch.equal(whole, own)
    assert torch.equal(own, again)
    assert torch.equal(whole, other.detach())
