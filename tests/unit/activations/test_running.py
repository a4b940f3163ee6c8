"""Recorded activations against the model's own, on random models and tokenizers built here."""

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from analysis_lib import activations, models
from analysis_lib.activations import hooks
from analysis_lib.activations.hooks import recording
from analysis_lib.activations.text_windows import WORD, without_end
from tests.support import tiny

TEXTS = [
    "Nie wiem, czy jeśli żeby który nie.",
    "Łódź.",
    "Mały źrebak pił wodę ze źródła; ćma siadła na śniegu – a biało-czerwony ptak nie.",
    "W 1863 roku było inaczej",
]
# Sums in another order (a padded batch) move float32 states of size about 10 by this much.
CLOSE = {"rtol": 1e-4, "atol": 1e-4}
KINDS = ("gpt2", "bert")


@pytest.fixture(scope="module")
def tokenizers():
    return {"gpt2": tiny.byte_level_tokenizer(), "bert": tiny.herbert_tokenizer()}


@pytest.fixture
def load(tokenizers):
    def load(kind, **options):
        tokenizer = tokenizers[kind]
        build = tiny.gpt2 if kind == "gpt2" else tiny.bert
        model = build(vocab=len(tokenizer), layers=3, **options)
        return SimpleNamespace(model=model, tokenizer=tokenizer)

    return load


def own(loaded, text, **options):
    """What the model itself returns for one text, unpadded. A copy takes the hooks that transformers leaves behind."""
    ids = torch.tensor([loaded.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        return copy.deepcopy(loaded.model).base_model(ids, **options)


def hooks_of(model):
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return {(path, name): list(getattr(m, name)) for path, m in model.named_modules() for name in names}


def rows(found, text):
    return found.tokens["text"].to_numpy() == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_states_are_the_models_own_and_padding_changes_nothing(load, kind, batch_size):
    loaded = load(kind)
    found = activations.run(loaded, TEXTS, batch_size=batch_size)
    last = found.layers[-1]
    for index, text in enumerate(TEXTS):
        hidden = own(loaded, text, output_hidden_states=True).hidden_states
        mine = found.states[:, rows(found, index)]
        for layer in range(3):
            np.testing.assert_allclose(mine[layer], hidden[layer][0], **CLOSE)
        np.testing.assert_allclose(found.layer(last)[rows(found, index)], hidden[-1][0], **CLOSE)
    assert found.passes == -(-len(TEXTS) // batch_size)
    assert found.states.dtype == np.float32


def test_the_last_block_is_told_from_its_layer_norm(load):
    loaded = load("gpt2")
    found = activations.run(loaded, TEXTS)
    assert found.layers == ["embed", "1", "2", "3", "3+ln_f"]
    with torch.no_grad():
        normed = loaded.model.transformer.ln_f(torch.from_numpy(found.layer("3")))
    np.testing.assert_allclose(found.layer("3+ln_f"), normed, **CLOSE)
    assert np.abs(found.layer("3") - found.layer("3+ln_f")).max() > 0.1


def test_a_post_norm_model_has_no_such_layer(load):
    assert activations.run(load("bert"), TEXTS).layers == ["embed", "1", "2", "3"]


@pytest.mark.parametrize("kind", KINDS)
def test_patterns_are_the_models_own(load, kind):
    loaded = load(kind)
    found = activations.run(loaded, TEXTS, outputs=["patterns"], batch_size=3)
    assert len(found.patterns) == len(TEXTS)
    for text, pattern in zip(TEXTS, found.patterns, strict=True):
        attentions = torch.stack(own(loaded, text, output_attentions=True).attentions)[:, 0]
        assert pattern.shape == (3, 2, *attentions.shape[-2:])
        np.testing.assert_allclose(pattern, attentions, **CLOSE)
        np.testing.assert_allclose(pattern.sum(axis=-1), 1, atol=1e-5)


def test_gpt2_residual_stream_is_the_sum_of_its_outputs(load):
    found = activations.run(load("gpt2"), TEXTS, outputs=["attention", "mlp"])
    for layer in range(3):
        total = found.states[layer] + found.attention[layer] + found.mlp[layer]
        np.testing.assert_allclose(total, found.states[layer + 1], **CLOSE)


def test_bert_states_are_layer_norms_of_sums_of_its_outputs(load):
    loaded = load("bert")
    found = activations.run(loaded, TEXTS, outputs=["attention", "mlp"])
    for layer, block in enumerate(loaded.model.bert.encoder.layer):
        with torch.no_grad():
            middle = block.attention.output.LayerNorm(torch.from_numpy(found.states[layer] + found.attention[layer]))
            state = block.output.LayerNorm(middle + torch.from_numpy(found.mlp[layer]))
        np.testing.assert_allclose(found.states[layer + 1], state, **CLOSE)


@pytest.mark.parametrize("kind", KINDS)
def test_neurons_write_the_feed_forward_output(load, kind):
    loaded = load(kind)
    found = activations.run(loaded, TEXTS, outputs=["mlp", "mlp_pre", "mlp_hidden"])
    for layer in range(3):
        base = loaded.model.base_model
        write = base.h[layer].mlp.c_proj if kind == "gpt2" else base.encoder.layer[layer].output.dense
        with torch.no_grad():
            expected = write(torch.from_numpy(found.mlp_hidden[layer]))
        np.testing.assert_allclose(found.mlp[layer], expected, **CLOSE)
        act = base.h[layer].mlp.act if kind == "gpt2" else base.encoder.layer[layer].intermediate.intermediate_act_fn
        np.testing.assert_allclose(found.mlp_hidden[layer], act(torch.from_numpy(found.mlp_pre[layer])), **CLOSE)


def test_what_is_not_asked_for_is_not_there(load):
    found = activations.run(load("gpt2"), TEXTS)
    assert found.patterns is found.attention is found.mlp is found.mlp_pre is found.mlp_hidden is None


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_are_gone_afterwards(load, kind):
    loaded = load(kind)
    before = hooks_of(loaded.model)
    activations.run(loaded, TEXTS, outputs=hooks.OUTPUTS)
    assert hooks_of(loaded.model) == before


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_inside_the_forward_pass_leaves_no_hook(load, kind, monkeypatch):
    loaded = load(kind)
    before = hooks_of(loaded.model)
    blocks = loaded.model.transformer.h if kind == "gpt2" else loaded.model.bert.encoder.layer

    def fail(*args, **kwargs):
        raise RuntimeError("planted")

    with monkeypatch.context() as patch:
        patch.setattr(blocks[1], "forward", fail)
        with pytest.raises(RuntimeError, match="planted"):
            activations.run(loaded, TEXTS, outputs=hooks.OUTPUTS)
    assert hooks_of(loaded.model) == before
    assert activations.run(loaded, TEXTS).passes == 1


def test_a_failing_hook_registration_leaves_none(load, monkeypatch):
    loaded = load("gpt2")
    before = hooks_of(loaded.model)

    def fail(*args, **kwargs):
        raise RuntimeError("planted")

    monkeypatch.setattr(loaded.model.transformer.h[2], "register_forward_hook", fail)
    with pytest.raises(RuntimeError, match="planted"):
        activations.run(loaded, TEXTS)
    assert hooks_of(loaded.model) == before


def test_no_gradient_and_no_change_of_model_or_texts(load):
    loaded = load("bert")
    weights = copy.deepcopy(loaded.model.state_dict())
    texts = list(TEXTS)
    activations.run(loaded, texts)
    assert texts == TEXTS
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
    assert all(p.grad is None for p in loaded.model.parameters())
    assert loaded.tokenizer.padding_side == "right"


# --- tokens and words ---


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_aligned_by_offsets(load, kind):
    found = activations.run(load(kind), TEXTS)
    for index, text in enumerate(TEXTS):
        words = WORD.findall(text)
        tokens = found.tokens[rows(found, index)]
        assert tokens["position"].tolist() == list(range(len(tokens)))
        inside = tokens[tokens["word"] >= 0]
        assert inside["word"].drop_duplicates().tolist() == list(range(len(words)))
        for number, pieces in inside.groupby("word"):
            assert pieces["word_form"].eq(words[number]).all()
            assert text[pieces["start"].min() : pieces["end"].max()] == words[number]
            assert all(piece in words[number] for piece in pieces["form"])
        outside = tokens[(tokens["word"] < 0) & ~tokens["special"]]
        assert not outside["form"].str.contains(r"\w").any()
        assert outside["word_form"].eq("").all()


def test_words_hold_inner_hyphens_and_apostrophes_only():
    found = WORD.findall("biało-czerwony – Rousseau'a, 'nie' -tak- 1863 Żo\u0301łć a_b")
    assert found == ["biało-czerwony", "Rousseau'a", "nie", "tak", "1863", "Żo\u0301łć", "a", "b"]


def test_the_word_nie_is_found_as_the_word(load):
    """Not the prefix of another word: the original notebook's mistake."""
    for kind in KINDS:
        tokens = activations.run(load(kind), ["Nie niebyt, a nie."]).tokens
        nie = tokens[tokens["word_form"].str.lower() == "nie"]
        assert nie["word"].unique().tolist() == [0, 3]


def test_special_and_first_tokens_are_marked(load):
    gpt2 = activations.run(load("gpt2"), TEXTS).tokens
    assert not gpt2["special"].any()
    assert gpt2["first"].equals(gpt2["position"] == 0)
    loaded = load("bert")
    bert = activations.run(loaded, TEXTS).tokens
    ends = bert.groupby("text")["position"].transform("max")
    assert bert["special"].equals((bert["position"] == 0) | (bert["position"] == ends))
    assert bert["first"].equals(bert["position"] == 0)
    assert bert.loc[bert["special"], "form"].tolist() == ["<s>", "</s>"] * len(TEXTS)
    assert bert.loc[bert["special"], "word"].eq(-1).all()
    assert bert["token_id"].tolist() == [i for text in TEXTS for i in loaded.tokenizer(text)["input_ids"]]


def test_a_mask_inside_a_text_is_special_and_an_unknown_letter_is_not(load):
    tokens = activations.run(load("bert"), ["Nie <mask> x漢 tego"]).tokens
    assert tokens.loc[tokens["form"] == "<mask>", "special"].tolist() == [True]
    assert tokens.loc[tokens["form"].str.contains("漢"), "special"].tolist() == [False]


def test_gpt2s_end_of_text_inside_a_text_is_no_word(load):
    """It stands for unknown words, too, in GPT-2's tokenizer, which has none; `endoftext` looks like a word."""
    run = activations.run(load("gpt2"), ["Nie wiem.<|endoftext|>Nie wiem."])
    ends = run.tokens[run.tokens["form"] == "<|endoftext|>"]
    assert ends["special"].tolist() == [True]
    assert ends["word"].tolist() == [-1]
    assert run.words()[1]["word_form"].tolist() == ["Nie", "wiem", "Nie", "wiem"]


@pytest.mark.parametrize("kind", KINDS)
def test_word_states_are_means_over_pieces(load, kind):
    found = activations.run(load(kind), TEXTS)
    states, table = found.words()
    assert table["word_form"].tolist() == [word for text in TEXTS for word in WORD.findall(text)]
    assert states.shape == (len(found.layers), len(table), 16)
    assert table["n_tokens"].max() > 1
    for row, word in table.iterrows():
        mine = rows(found, word["text"]) & (found.tokens["word"].to_numpy() == word["word"])
        np.testing.assert_allclose(states[:, row], found.states[:, mine].mean(axis=1), rtol=1e-5, atol=1e-5)
        assert TEXTS[word["text"]][word["start"] : word["end"]] == word["word_form"]


def test_the_end_that_a_tokenizer_puts_after_a_text_can_be_left_out(tokenizers):
    text = "Nie wiem, czy"
    whole = {kind: tokenizer(text)["input_ids"] for kind, tokenizer in tokenizers.items()}
    assert without_end(tokenizers["bert"], text) == whole["bert"][:-1]
    assert without_end(tokenizers["gpt2"], text) == whole["gpt2"]


# --- long texts ---

LONG = " ".join(TEXTS * 6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stride", [5, 7, 30, 62])
def test_every_token_of_a_long_text_is_reported_once_with_most_left_context(load, kind, stride):
    loaded = load(kind)
    full = loaded.tokenizer(LONG, verbose=False)["input_ids"]
    added = 2 if kind == "bert" else 0
    room = 64 - added
    tokens = activations.run(loaded, [TEXTS[1], LONG, TEXTS[0]], stride=stride).tokens
    tokens = tokens[tokens["text"] == 1].reset_index(drop=True)
    assert tokens["token_id"].tolist() == full
    assert tokens["position"].tolist() == list(range(len(full)))
    content = np.arange(len(full) - added)
    expected = np.maximum(0, -(-(content - room + 1) // stride))  # the first window that reaches the token
    mine = tokens["window"].to_numpy()[1:-1] if added else tokens["window"].to_numpy()
    assert mine.tolist() == expected.tolist()
    assert tokens["window"].is_monotonic_increasing


@pytest.mark.parametrize("kind", KINDS)
def test_windows_give_what_the_model_gives_on_their_tokens(load, kind):
    loaded = load(kind)
    stride, added = 40, 2 if kind == "bert" else 0
    found = activations.run(loaded, [LONG], stride=stride, outputs=["patterns"], batch_size=4)
    full = np.array(loaded.tokenizer(LONG, verbose=False)["input_ids"])
    content = full[1:-1] if added else full
    room = 64 - added
    start = stride  # the second window
    window = content[start : start + room]
    ids = np.r_[full[0], window, full[-1]] if added else window
    with torch.no_grad():
        out = copy.deepcopy(loaded.model).base_model(torch.tensor(ids[None]), output_hidden_states=True, output_attentions=True)
    mine = found.tokens["window"].to_numpy() == 1
    seen = slice(len(ids) - added // 2 - mine.sum(), len(ids) - added // 2)
    np.testing.assert_allclose(found.states[2, mine], out.hidden_states[2][0, seen], **CLOSE)
    pattern = found.patterns[0]
    np.testing.assert_allclose(pattern.sum(axis=-1), 1, atol=1e-5)
    first, last = np.flatnonzero(mine)[[0, -1]]
    own = torch.stack(out.attentions)[:, 0, :, seen]
    offset = added // 2
    keys = slice(start + offset, start + offset + room)
    np.testing.assert_allclose(pattern[:, :, first : last + 1, keys], own[..., offset : offset + room], **CLOSE)
    assert (pattern[:, :, mine][..., offset : start + offset] == 0).all()  # keys before the window


def test_without_overlap_each_window_has_its_own_first_token(load):
    tokens = activations.run(load("gpt2"), [LONG], stride=64).tokens
    assert tokens["first"].equals(tokens["position"] % 64 == 0)
    overlapping = activations.run(load("gpt2"), [LONG], stride=32).tokens
    assert overlapping["first"].sum() == 1


def test_a_text_of_exactly_the_context_needs_no_stride(load):
    loaded = load("gpt2")
    ids = loaded.tokenizer(LONG, verbose=False)["input_ids"]
    text = loaded.tokenizer.decode(ids[:64])
    assert len(loaded.tokenizer(text)["input_ids"]) == 64
    assert activations.run(loaded, [text]).tokens["window"].eq(0).all()


# --- refusals ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("empty", ["", "  \n"])
def test_empty_texts_raise_with_their_index(load, kind, empty):
    with pytest.raises(ValueError, match=r"texts\[2\] is empty"):
        activations.run(load(kind), [*TEXTS[:2], empty, TEXTS[2]])


def test_a_text_whose_characters_are_all_cleaned_away_raises_with_its_index(load):
    with pytest.raises(ValueError, match=r"texts\[1\] is '\\x01', which has no tokens"):
        activations.run(load("bert"), [TEXTS[0], "\x01"])


@pytest.mark.parametrize("kind", KINDS)
def test_over_long_texts_raise_with_index_and_lengths(load, kind):
    loaded = load(kind)
    n = len(loaded.tokenizer(LONG, verbose=False)["input_ids"])
    with pytest.raises(ValueError, match=rf"texts\[1\] has {n} tokens and the model's context is 64"):
        activations.run(loaded, [TEXTS[0], LONG])
    with pytest.raises(ValueError, match="stride is 65; expected 1 to 6[24]"):
        activations.run(loaded, [LONG], stride=65)
    with pytest.raises(ValueError, match="stride is 0"):
        activations.run(loaded, [LONG], stride=0)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_patterns_name_the_implementation_that_gives_them(load, kind):
    loaded = load(kind)
    loaded.model.set_attn_implementation("sdpa")
    before = hooks_of(loaded.model)
    with pytest.raises(ValueError, match='attn_implementation="eager"'):
        activations.run(loaded, TEXTS, outputs=["patterns"])
    assert hooks_of(loaded.model) == before
    eager = activations.run(load(kind), TEXTS)
    np.testing.assert_allclose(activations.run(loaded, TEXTS).states, eager.states, rtol=1e-3, atol=1e-3)


def test_what_cannot_be_run_is_refused_by_name(load):
    loaded = load("gpt2")
    with pytest.raises(ValueError, match="texts is empty"):
        activations.run(loaded, [])
    with pytest.raises(TypeError, match="texts is the string"):
        activations.run(loaded, "Nie wiem.")
    with pytest.raises(TypeError, match=r"texts\[1\] is NoneType"):
        activations.run(loaded, ["Nie", None])
    with pytest.raises(ValueError, match="outputs holds 'neurons'; expected any of patterns"):
        activations.run(loaded, TEXTS, outputs=["neurons"])
    with pytest.raises(ValueError, match="batch_size is 0"):
        activations.run(loaded, TEXTS, batch_size=0)
    with pytest.raises(KeyError, match="expected one of embed, 1, 2, 3"):
        activations.run(loaded, TEXTS).layer("4")
    loaded.model.train()
    with pytest.raises(ValueError, match="training mode"):
        activations.run(loaded, TEXTS)
    with pytest.raises(TypeError, match="found a bare GPT2LMHeadModel; models.wrap"):
        activations.run(load("gpt2").model, TEXTS)
    slow = SimpleNamespace(model=load("gpt2").model, tokenizer=SimpleNamespace(is_fast=False))
    with pytest.raises(ValueError, match="fast tokenizer"):
        activations.run(slow, TEXTS)


def test_an_unknown_architecture_lists_the_known_ones(load):
    config = LlamaConfig(vocab_size=32, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2)
    llama = SimpleNamespace(model=LlamaForCausalLM(config).eval(), tokenizer=load("gpt2").tokenizer)
    with pytest.raises(ValueError, match="unknown architecture 'llama' .*expected one of bert, gpt2"):
        activations.run(llama, TEXTS)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_are_tabulated_as_a_run_would(load, kind):
    loaded = load(kind)
    pd.testing.assert_frame_equal(activations.tokens_of(loaded, TEXTS), activations.run(loaded, TEXTS).tokens)
    ids = loaded.tokenizer(TEXTS)["input_ids"]
    pd.testing.assert_frame_equal(activations.tokens_of(loaded, ids), activations.run_ids(loaded, ids).tokens)
    with pytest.raises(ValueError, match=r"texts"):
        activations.tokens_of(loaded, [])


def test_sequences_of_ids_give_what_their_text_gives(load):
    loaded = load("gpt2")
    by_text = activations.run(loaded, TEXTS, outputs=["patterns", "mlp"])
    sequences = [loaded.tokenizer(text)["input_ids"] for text in TEXTS]
    by_ids = activations.run_ids(loaded, sequences, outputs=["patterns", "mlp"], batch_size=3)
    np.testing.assert_allclose(by_ids.states, by_text.states, **CLOSE)
    np.testing.assert_allclose(by_ids.mlp, by_text.mlp, **CLOSE)
    for a, b in zip(by_ids.patterns, by_text.patterns, strict=True):
        np.testing.assert_allclose(a, b, **CLOSE)
    assert by_ids.tokens["token_id"].tolist() == by_text.tokens["token_id"].tolist()
    assert by_ids.tokens["first"].sum() == len(TEXTS)
    assert by_ids.passes == 2


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "sequences is empty"),
        ([[1], []], r"sequences\[1\] has 0 tokens"),
        ([[1] * 65], r"sequences\[0\] has 65 tokens; expected 1 to 64"),
        ([[1], [2, 400]], r"sequences\[1\] holds id 400; expected ids from 0 to 399"),
    ],
)
def test_sequences_that_cannot_be_run_are_named(load, sequences, message):
    with pytest.raises(ValueError, match=message):
        activations.run_ids(load("gpt2"), sequences)


@pytest.mark.parametrize(
    "sequences",
    [[[1.0, 2.0]], np.ones((1, 3)), ["12"], [1, 2]],
    ids=["floats", "an array of floats", "digits", "one row"],
)
def test_ids_are_whole_numbers_in_rows(load, sequences):
    with pytest.raises(TypeError, match=r"sequences\[0\]: expected a sequence of whole numbers, found"):
        activations.run_ids(load("gpt2"), sequences)


def test_recorded_tensors_keep_their_gradient_and_the_block_leaves_no_hook(load):
    model = load("gpt2").model
    before = hooks_of(model)
    with activations.recording(model, ["patterns"]) as record:
        model(torch.tensor([[1, 2, 3]]))
    assert hooks_of(model) == before
    assert record["states", 0].requires_grad


def test_a_record_is_stacked_by_layer_in_whatever_order_it_was_made():
    """Of eleven layers, the last of which would come after the second if their numbers were words."""
    model, ids = tiny.gpt2(layers=11), torch.tensor([[1, 2, 3]])
    with torch.no_grad(), activations.recording(model, ["patterns"]) as record:
        model(ids)
    found = activations.stacked(dict(reversed(record.items())))
    assert found["patterns"].shape == (11, 1, 2, 3, 3)
    for name, n in {"patterns": 11, "states": 13}.items():  # the embedding, what each block gives, and the final norm
        assert torch.equal(found[name], torch.stack([record[name, layer] for layer in range(n)]))


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
@pytest.mark.parametrize("outputs", [["attention"], ["patterns"], ["attention", "mlp"], ["attention", "attention"]])
def test_without_states_the_outputs_are_the_same(load, kind, outputs):
    loaded = load(kind)
    before = hooks_of(loaded.model)
    with_states, without = (activations.run(loaded, TEXTS, outputs=outputs, states=wanted) for wanted in (True, False))
    for name in outputs:
        for a, b in zip(getattr(with_states, name), getattr(without, name), strict=True):
            np.testing.assert_array_equal(a, b)
    pd.testing.assert_frame_equal(with_states.tokens, without.tokens)
    assert without.states is None
    assert without.layers == with_states.layers
    assert hooks_of(loaded.model) == before


@pytest.mark.parametrize(("kind", "outputs", "later"), [("gpt2", ["attention"], "mlp"), ("bert", ["mlp_hidden"], "mlp")])
def test_without_states_nothing_is_computed_that_is_not_needed(load, kind, outputs, later):
    loaded, called = load(kind), []
    model = loaded.model
    for layer, site in enumerate(getattr(activations.sites_of(model), later)):
        site.module.register_forward_hook(lambda *_, layer=layer: called.append(layer))
    n_layers = activations.sites_of(model).n_layers
    activations.run_ids(loaded, [[1, 2, 3]], outputs=outputs, states=False)
    assert called == list(range(n_layers - 1))
    with activations.recording(model, outputs, states=False) as record:
        model(torch.tensor([[1, 2, 3]]))
        called.append("the block goes on")
    assert called == 2 * list(range(n_layers - 1))
    assert len(record) == n_layers


def test_states_that_were_not_kept_are_asked_for_in_vain(load):
    ran = activations.run(load("gpt2"), TEXTS, outputs=["attention"], states=False)
    for ask in (lambda: ran.layer("1"), ran.words):
        with pytest.raises(ValueError, match="run was made with states=False"):
            ask()
    with pytest.raises(ValueError, match="outputs: expected one or more where states=False, found none"):
        activations.run(load("gpt2"), TEXTS, states=False)


def test_threads_that_run_one_model_do_not_hear_each_other():
    loaded = models.wrap(tiny.gpt2(layers=3))
    given = [np.random.default_rng(seed).integers(0, 200, (4, 12)) for seed in range(8)]
    alone = [activations.run_ids(loaded, ids).states for ids in given]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda ids: activations.run_ids(loaded, ids).states, given))
    for states, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(states, expected)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in loaded.model.modules())


def test_an_inner_recording_lets_the_outer_one_end():
    model = tiny.gpt2(layers=3)
    ids = torch.zeros(1, 4, dtype=torch.long)
    with recording(model, ["patterns"], states=False) as outer:
        with recording(model, ["mlp"], states=False):
            model(input_ids=ids)
        raise AssertionError("the outer recording was complete and has to end its block")
    assert sorted(outer) == [("patterns", layer) for layer in range(3)]


def test_a_single_string_is_no_list_of_texts(load):
    with pytest.raises(TypeError, match="texts is the string 'Ala'"):
        activations.tokens_of(load("gpt2"), "Ala")


@pytest.mark.parametrize("states", [True, False])
def test_a_model_and_its_activations_are_freed_with_their_last_name(states):
    """A pass that is ended early by an exception would keep both, by its frames, until the garbage collector comes round."""
    model, ids = tiny.gpt2(), torch.arange(6)[None]
    gone = weakref.ref(model)
    gc.disable()
    try:
        with torch.no_grad(), activations.recording(model, ["attention"], states=states) as record:
            model.base_model(input_ids=ids)
        del model
        assert set(record)
        assert gone() is None
    finally:
        gc.enable()
