import csv
import json
import math
import shutil
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

import training.__main__ as everything
from analysis_lib import activations, geometry, texts
from analysis_lib.statistics import wilson_interval
from tests.support import offline, tiny
from training import attention, development, evaluate, export, herbert, loop, minigpt_polish, muon, polish_gpt2, tokens

ROUNDING = 2.0**-8  # largest relative error of rounding to bf16


@pytest.fixture(scope="module")
def byte_level():
    return tokens.byte_level(list(tiny.SENTENCES) * 20, 400)


@pytest.fixture(scope="module")
def end_of_word():
    return tokens.herbert(list(tiny.SENTENCES) * 20, 160)


# --- tokenizers ---


@pytest.mark.parametrize("text", [*tiny.SENTENCES, "słowo nieznane", "„Cudzysłów” – i myślnik… № 5 €"])
def test_byte_level_tokens_spell_every_text(byte_level, text):
    ids = byte_level(text)["input_ids"]
    assert byte_level.decode(ids).removeprefix(" ") == text
    assert byte_level.eos_token_id not in ids


@pytest.mark.parametrize("text", tiny.SENTENCES)
def test_herbert_tokens_spell_a_text_up_to_spaces(end_of_word, text):
    pieces = end_of_word.tokenize(text)
    assert "".join(pieces).replace("</w>", "") == text.replace(" ", "")
    assert end_of_word.unk_token not in pieces


@pytest.mark.parametrize("letter", tiny.POLISH_LETTERS)
def test_every_polish_letter_survives(byte_level, end_of_word, letter):
    word = f"w{letter}e"
    assert byte_level.decode(byte_level(word)["input_ids"]).strip() == word
    assert "".join(end_of_word.tokenize(word)) == f"{word}</w>"


def test_markers_and_special_tokens(byte_level, end_of_word):
    assert byte_level.tokenize("nie wiem nie")[0] == byte_level.tokenize("a potem nie")[-1] == "Ġnie"
    assert "nie</w>" in end_of_word.tokenize("potem nie idź")
    assert end_of_word.convert_tokens_to_ids(tokens.HERBERT_SPECIAL) == [0, 1, 2, 3, 4]
    assert (
        (herbert.CLS, herbert.SEP, herbert.MASK)
        == (0, 2, 4)
        == tuple(getattr(end_of_word, f"{name}_token_id") for name in ("cls", "sep", "mask"))
    )
    ids = end_of_word("nie")["input_ids"]
    assert (ids[0], ids[-1]) == (0, 2)
    assert byte_level.convert_tokens_to_ids("<|endoftext|>") == 0
    assert (len(byte_level), len(end_of_word)) == (400, 160)
    assert (byte_level.model_max_length, end_of_word.model_max_length) == (polish_gpt2.CONTEXT, herbert.CONTEXT)


def test_documents_become_rows_of_ids(byte_level, end_of_word):
    documents = [["Nie wiem.", "Łódź"], ["żeby"]]

    def pieces(tokenizer, text):
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    a, b, c = (pieces(byte_level, text) for text in ("Nie wiem.", "Łódź", "żeby"))
    rows = tokens.encode(byte_level, documents, [7], [0])
    assert {row.dtype for row in rows} == {np.dtype(np.uint16)}
    assert [row.tolist() for row in rows] == [[*a, 7, *b, 7, 0], [*c, 7, 0]]
    a, b, c = (pieces(end_of_word, text) for text in ("Nie wiem.", "Łódź", "żeby"))
    assert [row.tolist() for row in tokens.encode(end_of_word, documents, [], [2])] == [[*a, *b, 2], [*c, 2]]
    with pytest.raises(ValueError, match="reach 65536"):
        tokens.encode(byte_level, documents, [2**16], [0])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with a tiny corpus, both tokenizers and both splits' ids."""
    folder = tmp_path_factory.mktemp("work")
    text = "\n".join(tiny.SENTENCES)
    for split, copies in (("train", 60), ("heldout", 20), ("heldout_new", 5)):
        rows = [json.dumps({"id": str(i), "source": "ab"[i % 2], "text": text}, ensure_ascii=False) for i in range(copies)]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    tokens.main(["--work", str(folder), "--vocab", "320", "--model", "polish-gpt2-mini"])
    tokens.prepare("herbert-mini", folder, 160)
    return folder


def test_prepared_ids_spell_the_corpus(work):
    gpt, bert = (AutoTokenizer.from_pretrained(work / name / "tokenizer") for name in tokens.MODELS)
    ids = loop.load_ids(work / "polish-gpt2-mini" / "heldout.bin")
    documents = gpt.decode(ids).removesuffix("<|endoftext|>").split("<|endoftext|>")
    assert [[p.strip() for p in d.strip("\n").split("\n")] for d in documents] == [list(tiny.SENTENCES)] * 20
    ids = loop.load_ids(work / "herbert-mini" / "heldout.bin")
    assert (ids == bert.sep_token_id).sum() == 20
    assert bert.unk_token_id not in ids
    assert not list(work.rglob("*.part"))


def test_each_documents_source_and_tokens_are_noted_in_the_order_of_the_text(work):
    folder = work / "herbert-mini"
    documents = tokens.read_lengths(folder / "train_documents.csv")
    sizes = [n for _, n in documents]
    ids = loop.load_ids(folder / "train.bin")
    assert (np.flatnonzero(ids == herbert.SEP) + 1).tolist() == np.cumsum(sizes).tolist()  # a document ends in this token
    assert sorted(source for source, _ in documents) == ["a"] * 30 + ["b"] * 30


# --- windows of favoured sources ---


def test_a_favoured_sources_tokens_begin_windows_as_often_as_its_factor_says():
    documents = [("novels", 40), ("law", 60), ("novels", 25), ("speech", 75)]
    draw = herbert.weighted_starts(documents, {"novels": 3, "speech": 0.5})
    starts = draw(200_000, 200, torch.Generator().manual_seed(0))
    counts = np.bincount(starts, minlength=200)
    assert len(counts) == 200
    factors = np.repeat([3, 1, 3, 0.5], [n for _, n in documents])
    expected = len(starts) * factors / factors.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 200 + 5 * np.sqrt(2 * 200)  # chi squared, five standard deviations


def test_windows_of_favoured_sources_depend_on_the_generator_alone():
    draw = herbert.weighted_starts([("a", 1000), ("b", 1000)], {"a": 2})
    first, again = (draw(50, 1900, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, draw(50, 1900, torch.Generator().manual_seed(5)))
    assert draw(2000, 1900, torch.Generator().manual_seed(6)).max() == 1900  # a window that begins later would end after the text


@pytest.mark.parametrize("weights", [{"c": 2}, {"a": 0}, {"a": -1}, {"b": math.nan}])
def test_weights_of_no_source_or_no_size_are_refused(weights):
    with pytest.raises(ValueError, match=r"weights has .* expected positive factors of \['a', 'b'\]"):
        herbert.weighted_starts([("a", 10), ("b", 20)], weights)


@pytest.mark.parametrize("pairs", [["a"], ["a=x"], ["a=1=2"]])
def test_weights_that_cannot_be_read_are_refused(pairs):
    with pytest.raises(ValueError, match="expected SOURCE=FACTOR"):
        herbert.parse_weights(pairs)


def test_weights_are_read_by_source():
    assert herbert.parse_weights(["eltec=3", "sejm=.5"]) == {"eltec": 3.0, "sejm": 0.5}


# --- masking ---


@pytest.fixture(scope="module")
def masked():
    """Random texts of random words, and what two maskings made of them."""
    generator = torch.Generator().manual_seed(3)
    ends = torch.rand(500, generator=generator) < 0.6
    ends[: herbert.MASK + 1] = True
    ids = torch.randint(herbert.MASK + 1, 500, (300 * 62,), generator=generator).numpy().astype("uint16")
    batch = herbert.windows(ids, range(0, len(ids), 62), 64)
    made = {c: herbert.mask_words(batch, ends, 0.2, torch.Generator().manual_seed(5), corrupt=c) for c in (True, False)}
    return batch, ends, made


def words_of(row, ends):
    """Positions of each word of one framed text, the frame left out."""
    words, word = [], []
    for place in range(1, len(row) - 1):
        word.append(place)
        if ends[row[place]]:
            words.append(word)
            word = []
    return [*words, word] if word else words


def within(share, expected, n):
    """Whether a binomial share lies within five standard deviations of its expectation."""
    return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_windows_are_framed():
    ids = np.arange(100, 200, dtype=np.uint16)
    assert herbert.windows(ids, [0, 40], 6).tolist() == [[0, 100, 101, 102, 103, 2], [0, 140, 141, 142, 143, 2]]
    assert herbert.windows(ids, [0, 94], 6, framed=False).tolist() == [list(range(100, 106)), list(range(194, 200))]


def test_words_are_hidden_whole_and_at_the_rate(masked):
    batch, ends, made = masked
    for _, chosen in made.values():
        rows = zip(batch.tolist(), chosen.tolist(), strict=True)
        fates = [{fate[place] for place in word} for row, fate in rows for word in words_of(row, ends.tolist())]
        assert all(len(f) == 1 for f in fates)
        assert within(np.mean([True in f for f in fates]), 0.2, len(fates))
        assert not chosen[:, [0, -1]].any()


def test_special_tokens_are_never_hidden():
    batch = torch.randint(0, herbert.MASK + 1, (50, 20), generator=torch.Generator().manual_seed(0))
    hidden, chosen = herbert.mask_words(batch, torch.ones(10, dtype=torch.bool), 1.0, torch.Generator().manual_seed(1))
    assert not chosen.any()
    assert torch.equal(hidden, batch)


def test_rate_one_hides_all_words_and_rate_zero_none(masked):
    batch, ends, _ = masked
    for rate in (0.0, 1.0):
        _, chosen = herbert.mask_words(batch, ends, rate, torch.Generator().manual_seed(0))
        assert (chosen[:, 1:-1] == bool(rate)).all()


def test_hidden_tokens_become_masks_others_or_stay(masked):
    batch, _, made = masked
    hidden, chosen = made[True]
    assert torch.equal(hidden[~chosen], batch[~chosen])
    n = int(chosen.sum())
    assert within(float((hidden[chosen] == herbert.MASK).float().mean()), 0.8, n)
    # a random token is the same by chance once in 495 draws
    assert within(float((hidden == batch)[chosen].float().mean()), 0.1 + 0.1 / 495, n)
    assert (hidden[chosen] >= herbert.MASK).all()
    hidden, chosen = made[False]
    assert (hidden[chosen] == herbert.MASK).all()
    assert torch.equal(hidden[~chosen], batch[~chosen])


def test_masking_is_a_function_of_its_seed(masked):
    batch, ends, made = masked
    again = herbert.mask_words(batch, ends, 0.2, torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(again, made[True], strict=True))
    other, _ = herbert.mask_words(batch, ends, 0.2, torch.Generator().manual_seed(6))
    assert not torch.equal(other, again[0])


def test_word_ends_are_read_from_the_tokens(end_of_word):
    ends = herbert.word_ends(end_of_word)
    assert ends.shape == (160,)
    assert ends[:5].all()
    lengths = set()
    for word in ("nie", "Zażółć", "źródła", ",", "1863"):
        found = ends[end_of_word(word, add_special_tokens=False)["input_ids"]]
        assert found.tolist() == [False] * (len(found) - 1) + [True]
        lengths.add(len(found))
    assert 1 in lengths
    assert max(lengths) > 1


def test_sinusoids_have_unit_root_mean_square_in_every_row():
    table = herbert.sinusoids(128, 192)
    assert torch.allclose(table.square().mean(1), torch.ones(128), atol=1e-5)
    # the inner product of two positions depends on their distance alone
    products = table @ table.T
    assert torch.allclose(products.diagonal(7), products[0, 7].expand(121), atol=192 * 1e-4)


def test_a_fresh_masked_model_starts_at_unigram_frequencies():
    counts = np.array([0, 0, 0, 0, 0, 90, 9, 1] * 4)
    model = herbert.build(herbert.configuration(32, layers=1, width=16, heads=2), 0, counts)
    smoothed = (counts + 0.5) / (counts + 0.5).sum()
    assert np.allclose(model.cls.predictions.decoder.bias.detach().exp().numpy(), smoothed, rtol=1e-5)
    words, positions = (getattr(model.bert.embeddings, f"{name}_embeddings").weight.detach() for name in ("word", "position"))
    assert float(positions.square().mean().sqrt()) == pytest.approx(float(words.std()), rel=1e-4)


def test_a_grown_model_answers_as_before():
    small = herbert.build(herbert.configuration(64, layers=2, width=8, heads=2), 0, np.arange(64))
    gain, bias = small.bert.embeddings.LayerNorm.parameters()
    with torch.no_grad():
        gain.fill_(1.7)
        bias.fill_(0.3)
    grown = herbert.grow(small, 5)
    assert grown.config.to_dict() == small.config.to_dict() | {"num_hidden_layers": 5}
    assert grown.cls.predictions.decoder.weight is grown.bert.embeddings.word_embeddings.weight
    ids = torch.arange(5, 25)[None]
    with torch.no_grad():
        before, after = (model.eval()(ids).logits for model in (small, grown))
        assert torch.allclose(after, before, atol=1e-4)  # three layer norms more, each with its epsilon
        assert not torch.allclose(after, before.roll(1, dims=1), atol=1e-2)


def test_new_blocks_attend_like_the_first_and_write_nothing():
    small = herbert.build(herbert.configuration(64, layers=2, width=8, heads=2), 0, np.arange(64))
    blocks = herbert.grow(small, 4).bert.encoder.layer
    first, second = (block.state_dict() for block in small.bert.encoder.layer)
    for block, theirs in zip(blocks[2:], (first, second), strict=True):
        assert all(torch.equal(value, theirs[key]) for key, value in block.state_dict().items())
    for block in blocks[:2]:
        own = block.state_dict()
        assert all(torch.equal(own[key], first[key]) for key in own if ".query." in key or ".key." in key)
        assert not torch.equal(own["intermediate.dense.weight"], first["intermediate.dense.weight"])
        assert not torch.equal(own["attention.self.value.weight"], first["attention.self.value.weight"])
        assert not any(out.dense.weight.any() or out.dense.bias.any() for out in (block.attention.output, block.output))
    assert not torch.equal(blocks[0].intermediate.dense.weight, blocks[1].intermediate.dense.weight)


def test_queries_and_keys_learn_more_slowly_once_the_model_has_grown():
    model = herbert.build(herbert.configuration(64, layers=1, width=8, heads=2), 0, np.arange(64))
    for size, (looking, acting) in herbert.RATES.items():
        muon, adam = herbert.optimizers_for(model, size)
        rate_of = {id(p): group["lr"] for group in muon.param_groups for p in group["params"]}
        names = {name: rate_of.pop(id(p)) for name, p in model.bert.encoder.named_parameters() if id(p) in rate_of}
        assert names == {name: looking if "query" in name or "key" in name else acting for name in names}
        assert len(names) == 6
        assert not rate_of
        assert sum(len(group["params"]) for group in adam.param_groups) == len(list(model.parameters())) - 6


def test_the_layers_of_a_saved_run_are_counted(tmp_path):
    assert herbert.layers_saved(tmp_path) is None
    model = herbert.build(herbert.configuration(64, layers=3, width=8, heads=2), 0, np.arange(64))
    loop.save_state(tmp_path, model, herbert.optimizers_for(model), {"step": 0})
    assert herbert.layers_saved(tmp_path) == 3


# --- batches, schedule, loss ---


def test_an_epoch_holds_each_window_once():
    n, per_epoch = 50 * polish_gpt2.CONTEXT + 77, 48
    ids = np.arange(n, dtype=np.uint16)
    epochs = []
    for epoch in range(2):
        starts = polish_gpt2.epoch_starts(n, per_epoch, epoch * per_epoch, seed=0)
        assert len(set(starts)) == len(starts) == per_epoch
        assert len({s % polish_gpt2.CONTEXT for s in starts}) == 1  # one grid: windows do not overlap
        rows = polish_gpt2.windows(ids, starts)  # in range, or stacking fails
        assert torch.equal(rows[:, 0], torch.tensor(starts))
        assert (rows.diff(dim=1) == 1).all()
        epochs.append(starts)
    assert epochs[0] != epochs[1]
    assert polish_gpt2.epoch_starts(n, 4, 46, seed=0) == epochs[0][46:] + epochs[1][:2]  # whatever the size of the batch
    assert polish_gpt2.epoch_starts(n, 4, 5, seed=0) != polish_gpt2.epoch_starts(n, 4, 5, seed=1)


def test_batches_and_contexts_grow_with_the_tokens_seen():
    seen = [0, 299_999, 3e5, 1.5e6, 3e6, 6e6, 13e6, 1e9]
    assert [polish_gpt2.batch_at(t) for t in (0, 4e6)] == [8, 16]
    assert [herbert.at_tokens(herbert.BATCHES, t) for t in (0, 4e6, 8e6)] == [2048, 4096, 8192]
    assert [herbert.at_tokens(herbert.STAGES, t) for t in seen] == [8, 8, 16, 32, 64, 128, 128, 128]
    assert all(herbert.at_tokens(herbert.BATCHES, t) % herbert.at_tokens(herbert.STAGES, t) == 0 for t in seen)


@pytest.mark.parametrize("context", [8, 64, herbert.CONTEXT])
def test_short_contexts_stand_at_all_positions(context):
    at = herbert.positions(4000, context, torch.Generator().manual_seed(0))
    assert at.shape == (4000, context)
    assert (at.diff(dim=1) == 1).all()
    assert set(at.unique().tolist()) == set(range(herbert.CONTEXT))


def test_muon_has_the_blocks_matrices_and_adamw_everything_else_once():
    model, (muon, adamw) = small_herbert()
    names = {id(p): name for name, p in model.named_parameters()}
    of_muon, of_adamw = ([names[id(p)] for group in optimizer.param_groups for p in group["params"]] for optimizer in (muon, adamw))
    assert len(of_muon) == 6  # query, key, value, output and the two of the feed-forward layer
    assert all("encoder" in name for name in of_muon)
    assert sorted(of_muon + of_adamw) == sorted(names.values())


@pytest.mark.parametrize("n", [1000, 1024, 1025, 1279, 1280, 1281, 1282, 1536, 1537, 5000])
def test_windows_end_inside_the_text(n):
    ids = np.zeros(n, dtype=np.uint16)
    for step in range(20):
        assert polish_gpt2.windows(ids, polish_gpt2.epoch_starts(n, 1, step, seed=step)).shape == (1, polish_gpt2.CONTEXT + 1)


def test_the_learning_rate_rises_stays_and_falls_to_zero():
    def rate(seen):
        return loop.schedule(seen, total=1000, warmup=100, decay_from=0.5)

    assert rate(0) == 0.01
    assert rate(49) == 0.5
    assert rate(100) == rate(300) == rate(500) == 1.0
    assert rate(750) == 0.5
    assert rate(1000) == rate(1200) == 0.0
    assert loop.schedule(900, total=1000, warmup=100, decay_from=0.8) == pytest.approx(0.5)
    assert loop.schedule(309, total=1000, warmup=100, decay_from=0.4, started=300) == 0.1  # a new optimizer warms up anew


@pytest.mark.parametrize("chunk", [5, 16, 64])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float32])
def test_chunked_cross_entropy_is_the_cross_entropy(chunk, with_bias, kind, monkeypatch):
    monkeypatch.setattr(loop, "compute_type", lambda device: kind)
    generator = torch.Generator().manual_seed(0)
    n, width, vocab = 48, 24, 60
    hidden = torch.randn(n, width, generator=generator, requires_grad=True)
    weight = (torch.randn(vocab, width, generator=generator) / 4).requires_grad_()
    bias = torch.randn(vocab, generator=generator, requires_grad=True) if with_bias else None
    targets = torch.randint(vocab, (n,), generator=generator)
    leaves = [hidden, weight] + [bias] * with_bias
    loss = loop.ChunkedCrossEntropy.apply(hidden, weight, bias, targets, chunk)
    found = torch.autograd.grad(3 * loss, leaves)
    logits = hidden @ weight.T + (bias if with_bias else 0)
    exact = torch.nn.functional.cross_entropy(logits, targets)
    expected = torch.autograd.grad(3 * exact, leaves)

    # Each logit is off by at most the rounding of both factors and of the sum of products.
    u, h, w = 1.01 * ROUNDING, hidden.detach().abs(), weight.detach().abs()
    off = 3 * u * h @ w.T
    assert abs(float((loss - exact).detach())) <= 2 * float(off.max(1).values.mean())
    # So probabilities are off by a factor of exp(2 off); then the gradient, the factors and the products are rounded.
    p = logits.detach().softmax(1)
    gradient = (p - torch.nn.functional.one_hot(targets, vocab)).abs() * 3 / n
    error = (3 / n) * p * torch.expm1(2 * off.max(1, keepdim=True).values) + u * gradient
    bounds = [error @ w + 2 * u * gradient @ w, error.T @ h + 2 * u * gradient.T @ h]
    bounds += [error.sum(0)] * with_bias
    for a, b, bound in zip(found, expected, bounds, strict=True):
        assert ((a - b).abs() <= 1.1 * bound + 1e-6).all()
        assert float((a - b).norm() / b.norm()) < (4 * ROUNDING if kind == torch.bfloat16 else 1e-5)  # far less than the bound


# --- the softmax estimated from some columns ---


def estimate(seed, targets, n_columns=40, vocab=120, width=6):
    """Loss and gradients from sampled columns, and the exact ones, of one draw of columns."""
    generator = torch.Generator().manual_seed(7)
    hidden = torch.randn(len(targets), width, generator=generator).requires_grad_()
    table = (torch.randn(vocab, width, generator=generator) / 2).requires_grad_()
    kept, bias, places = loop.sampled_columns(torch.arange(vocab), targets, n_columns, torch.Generator().manual_seed(seed))
    loss = loop.ChunkedCrossEntropy.apply(hidden, table.index_select(0, kept), None, places, 16, False, bias)
    exact = torch.nn.functional.cross_entropy(hidden @ table.T, targets)
    return loss.detach(), torch.autograd.grad(loss, table)[0], exact.detach(), torch.autograd.grad(exact, table)[0]


TARGETS = torch.tensor([0, 3, 50, 99, 99, 119, 7])


@given(seed=st.integers(0, 10_000), targets=st.lists(st.integers(0, 119), min_size=1, max_size=12), n_columns=st.integers(26, 120))
def test_sampled_columns_hold_every_target_and_the_frequent_tokens(seed, targets, n_columns):
    targets = torch.tensor(targets)
    kept, bias, places = loop.sampled_columns(torch.arange(120), targets, n_columns, torch.Generator().manual_seed(seed))
    assert len(kept) == len(bias) == n_columns
    assert torch.equal(kept[places], targets)
    assert torch.equal(kept[: n_columns // 2], torch.arange(n_columns // 2))
    counted = kept[bias > -torch.inf]
    assert len(counted.unique()) == len(counted)  # none counts twice
    weights = bias.exp()
    assert float(weights.sum()) == pytest.approx(120, rel=1e-4)  # together they stand for the vocabulary


def test_all_columns_give_the_exact_loss(monkeypatch):
    monkeypatch.setattr(loop, "compute_type", lambda device: torch.float32)
    loss, gradient, exact, its_gradient = estimate(0, torch.tensor([0, 3, 50]), n_columns=239)
    assert float(loss) == pytest.approx(float(exact), abs=1e-5)
    assert torch.allclose(gradient, its_gradient, atol=1e-6)


def test_a_masked_loss_from_all_columns_is_exact(monkeypatch):
    monkeypatch.setattr(loop, "compute_type", lambda device: torch.float32)
    model, _ = small_herbert()
    vocab = model.config.vocab_size
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        model.cls.predictions.decoder.bias.copy_(torch.randn(vocab, generator=generator))
    batch = torch.randint(vocab, (3, 16), generator=generator)
    chosen = torch.rand(3, 16, generator=generator) < 0.5
    columns = partial(loop.sampled_columns, torch.randperm(vocab, generator=generator), n_columns=2 * vocab - 1, generator=generator)
    exact, estimated = (herbert.loss_of(model, batch, chosen, batch, 8, columns=kept) for kept in (None, columns))
    assert float(estimated.detach()) == pytest.approx(float(exact.detach()), abs=1e-5)
    gradients = [torch.autograd.grad(loss, list(model.parameters()), allow_unused=True) for loss in (exact, estimated)]
    for a, b in zip(*gradients, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, atol=1e-5)


def test_the_estimated_gradient_is_right_on_average(monkeypatch):
    monkeypatch.setattr(loop, "compute_type", lambda device: torch.float32)
    draws = [estimate(seed, TARGETS) for seed in range(400)]
    exact, mean = draws[0][3], torch.stack([d[1] for d in draws]).mean(0)
    one = float(torch.stack([(d[1] - exact).norm() for d in draws]).mean() / exact.norm())
    # what is left after averaging is noise (one draw's error over the root of the draws) and the bias of a log, of second order in it
    assert float((mean - exact).norm() / exact.norm()) < 3 * one / 400**0.5 + one**2
    assert one < 0.5


def test_too_few_columns_are_refused():
    with pytest.raises(ValueError, match="n_columns is 6, expected more for 5 rare targets"):
        loop.sampled_columns(torch.arange(120), TARGETS, 6, torch.Generator())


# --- attention and Muon ---


@pytest.mark.parametrize("build", ["gpt2", "herbert"])
@pytest.mark.parametrize("length", [7, 32])
def test_plain_attention_is_the_models_own(build, length):
    model = (small_gpt2 if build == "gpt2" else small_herbert)()[0].eval()
    batch = torch.randint(5, 64, (3, length), generator=torch.Generator().manual_seed(1))
    expected = model(batch).logits
    found = attention.use_plain_attention(model)(batch).logits
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 12, 12), (1, 8, 40), (3, 40, 8)])
def test_muon_makes_matrices_nearly_orthogonal(shape):
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    made = muon.orthogonalise(matrices)
    sizes = torch.linalg.svdvals(made)
    # the interval that the coefficients were made for, and a little more for the smallest value of a square matrix
    assert float(sizes.min()) > 0.5
    assert float(sizes.max()) < 1.3
    cosines = (made * (left @ right)).sum((1, 2)) / made.flatten(1).norm(dim=1) / shape[-1] ** 0.5 / (min(shape[1:]) / shape[-1]) ** 0.5
    assert (cosines > 0.95).all()  # in the direction of the nearest orthogonal matrix


def test_a_fused_projection_is_stepped_in_parts():
    generator = torch.Generator().manual_seed(0)
    start, gradient = (torch.randn(6, 18, generator=generator) for _ in range(2))
    together, apart = torch.nn.Parameter(start.clone()), [torch.nn.Parameter(p.clone()) for p in start.chunk(3, dim=1)]
    together.grad = gradient
    for parameter, part in zip(apart, gradient.chunk(3, dim=1), strict=True):
        parameter.grad = part.clone()
    muon.Muon([{"params": [together], "parts": 3}]).step()
    muon.Muon(apart).step()
    assert torch.allclose(together, torch.cat(apart, dim=1), atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 24), (24, 16)])
def test_muon_steps_like_torchs(shape):
    start, gradient = (torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    own, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    for parameter, kind in ((own, muon.Muon), (theirs, torch.optim.Muon)):
        optimizer = kind([parameter], lr=0.02, momentum=0.95, weight_decay=0.02)
        for _ in range(3):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert float((own - theirs).detach().norm() / (theirs - start).detach().norm()) < 0.02  # theirs iterates in bfloat16


def test_capped_rows_keep_their_direction():
    weight = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [0.0, -1.6]])
    loop.cap_norms(weight, 1.6)
    assert torch.allclose(weight, torch.tensor([[0.96, 1.28], [0.3, 0.4], [0.0, 0.0], [0.0, -1.6]]))


# --- resuming ---


def small_gpt2():
    model = polish_gpt2.build(polish_gpt2.configuration(64, layers=1, width=8, heads=2), 0)
    return model, polish_gpt2.optimizers_for(model)


def small_herbert():
    model = herbert.build(herbert.configuration(64, layers=1, width=8, heads=2), 0, np.arange(64))
    return model, herbert.optimizers_for(model)


def loss_at(model, step):
    """A loss that depends on nothing but the model and the step."""
    batch = torch.randint(5, 64, (2, 33), generator=torch.Generator().manual_seed(step))
    if model.config.model_type == "gpt2":
        return polish_gpt2.loss_of(model, batch)
    hidden, chosen = herbert.mask_words(batch, torch.ones(64, dtype=torch.bool), 0.3, torch.Generator().manual_seed(step))
    return herbert.loss_of(model, hidden, chosen, batch, 16)


def take(model, optimizers, step):
    loss_at(model, step).backward()
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


def same_weights(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


@pytest.mark.parametrize("build", [small_gpt2, small_herbert])
def test_saved_and_restored_is_as_if_never_stopped(tmp_path, build):
    straight, its_optimizers = build()
    for step in range(3):
        take(straight, its_optimizers, step)

    first, optimizers = build()
    for step in range(2):
        take(first, optimizers, step)
    loop.save_state(tmp_path, first, optimizers, {"step": 2, "tokens": 128, "seconds": 1.5})
    resumed, optimizers = build()
    assert not same_weights(resumed, first)
    assert loop.load_state(tmp_path, resumed, optimizers) == {"step": 2, "tokens": 128, "seconds": 1.5}
    assert same_weights(resumed, first)
    take(resumed, optimizers, 2)
    assert same_weights(resumed, straight)
    own, table = resumed.get_output_embeddings().weight, resumed.get_input_embeddings().weight
    assert own is table  # still tied


def test_no_state_is_a_fresh_start(tmp_path):
    assert loop.load_state(tmp_path, *small_gpt2()) is None


def test_a_run_goes_on_from_exported_weights_with_a_new_optimizer(tmp_path):
    exported = tmp_path / "exported"
    model = train(tmp_path / "first", 3)
    model.half().save_pretrained(exported, max_shard_size="1KB")
    assert len(list(exported.glob("*.safetensors"))) > 1
    shutil.copy(tmp_path / "first" / "log.csv", exported / "training_log.csv")
    run = {"step": 3, "tokens": 750_000, "seconds": 10.0, "seed": 0}
    (exported / "evaluation.json").write_text(json.dumps({"run": run | {"device": "CPU"}}), encoding="utf-8")
    (exported / "development.csv").write_text("tokens\n2048\n", encoding="utf-8")
    fresh, _ = small_gpt2()
    (tmp_path / "second").mkdir()
    assert loop.load_exported(exported, tmp_path / "second", fresh) == {**run, "started": 750_000}
    assert same_weights(fresh, model.float())
    assert (tmp_path / "second" / "development.csv").read_text(encoding="utf-8") == "tokens\n2048\n"  # its snapshots are gone
    train(tmp_path / "second", 5, continue_from=exported)
    logged = rows(tmp_path / "second")
    assert [int(r["step"]) for r in logged] == [1, 2, 3, 4, 5]
    assert float(logged[3]["lr_share"]) < 0.01  # it warms up anew
    with pytest.raises(ValueError, match="another configuration"):
        loop.load_exported(exported, tmp_path / "second", small_herbert()[0])
    (tmp_path / "third").mkdir()
    with pytest.raises(ValueError, match="seed: expected 0, with which the run in .*third began, found 1"):
        train(tmp_path / "third", 5, continue_from=exported, settings={"seed": 1})
    del run["seed"]  # an older export does not say
    (exported / "evaluation.json").write_text(json.dumps({"run": run}), encoding="utf-8")
    assert loop.load_exported(exported, tmp_path / "third", fresh) == {**run, "started": 750_000}


def test_snapshots_are_kept_at_logarithmic_steps(tmp_path):
    model = train(tmp_path / "run", 5)
    kept = {int(p.stem): p for p in (tmp_path / "run" / "snapshots").glob("*.safetensors")}
    assert sorted(kept) == [250_000, 500_000, 750_000, 1_000_000]  # no step of the list lies between 1,000,000 and 1,250,000
    again, _ = small_gpt2()
    loop.load_weights(again, {k: v.float() for k, v in load_file(kept[1_000_000]).items()}, "snapshot")
    assert not same_weights(again, model)  # one step later they differ
    with safe_open(kept[1_000_000], "pt") as file:
        assert file.metadata() == {"tokens": "1000000", "heads": "2"}
    assert len(loop.SNAPSHOTS) == 25


def test_a_failed_save_leaves_the_old_state(tmp_path, monkeypatch):
    model, optimizers = small_gpt2()
    take(model, optimizers, 0)
    loop.save_state(tmp_path, model, optimizers, {"step": 1})
    before = (tmp_path / "state.safetensors").read_bytes()

    def half(tensors, path, metadata):
        save_file(tensors, path, metadata)
        path.write_bytes(path.read_bytes()[:1000])
        raise OSError("disk full")

    monkeypatch.setattr(loop, "save_file", half)
    take(model, optimizers, 1)
    with pytest.raises(OSError, match="disk full"):
        loop.save_state(tmp_path, model, optimizers, {"step": 2})
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert loop.load_state(tmp_path, *small_gpt2()) == {"step": 1}


def test_a_state_of_another_configuration_is_refused(tmp_path):
    model, optimizers = small_gpt2()
    loop.save_state(tmp_path, model, optimizers, {"step": 0})
    deeper = polish_gpt2.build(polish_gpt2.configuration(64, layers=2, width=8, heads=2), 0)
    with pytest.raises(ValueError, match=r"lacks \['transformer.h.1"):
        loop.load_state(tmp_path, deeper, polish_gpt2.optimizers_for(deeper))
    with pytest.raises(ValueError, match="holds besides"):
        loop.load_state(tmp_path, *small_herbert())


def test_another_number_of_heads_is_refused_though_all_shapes_agree(tmp_path):
    loop.save_state(tmp_path, *small_gpt2(), {"step": 0})
    other = polish_gpt2.build(polish_gpt2.configuration(64, layers=1, width=8, heads=4), 0)
    with pytest.raises(ValueError, match="it has 2 heads a layer, expected 4"):
        loop.load_state(tmp_path, other, polish_gpt2.optimizers_for(other))


def test_a_loss_that_is_not_finite_ends_the_run_and_leaves_the_last_state_good(tmp_path):
    model, optimizers = small_gpt2()

    def batch_loss(step, seen):
        return loss_at(model, step) * (torch.inf if step == 2 else 1), 250_000

    with pytest.raises(FloatingPointError, match="step 2: loss inf"):
        loop.train(
            tmp_path, model, optimizers, batch_loss, lambda: 1.0,
            total=1e6, warmup=5e5, decay_from=0.4, after_step=lambda: None, device="cpu", settings={}, save_every=-1,
        )  # fmt: skip
    kept, optimizers = small_gpt2()
    assert loop.load_state(tmp_path, kept, optimizers)["step"] == 2
    assert all(torch.isfinite(weight).all() for weight in kept.state_dict().values())


class Killed(BaseException):
    pass


def train(folder, steps, kill_at=None, before_step=lambda step: None, continue_from=None, until=math.inf, settings=MappingProxyType({})):
    """Train the small GPT-2 as the recipes do; every step counts as 250,000 tokens, and is logged and saved."""
    model, optimizers = small_gpt2()
    folder.mkdir(exist_ok=True)

    def batch_loss(step, seen):
        assert seen == step * 250_000
        before_step(step)
        if step == kill_at:
            raise Killed
        return loss_at(model, step), 250_000

    loop.train(
        folder,
        model,
        optimizers,
        batch_loss,
        lambda: 1.0,
        total=steps * 250_000,
        warmup=500_000,
        decay_from=0.4,
        after_step=lambda: loop.cap_norms(model.transformer.wte.weight, 1.6),
        device="cpu",
        settings=settings,
        save_every=-1,
        continue_from=continue_from,
        until=until,
    )
    return model


def rows(folder):
    with open(folder / "log.csv", newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_a_killed_run_goes_on_as_if_never_killed(tmp_path):
    straight = train(tmp_path / "straight", 5)
    folder = tmp_path / "killed"
    state, older = folder / "state.safetensors", tmp_path / "older"

    def keep(step):
        if step == 2:
            shutil.copy(state, older)

    with pytest.raises(Killed):
        train(folder, 5, kill_at=4, before_step=keep)
    older.replace(state)  # as if steps 3 and 4 had been logged but not saved
    assert [int(r["step"]) for r in rows(folder)] == [1, 2, 3, 4]
    resumed = train(folder, 5)
    assert same_weights(resumed, straight)
    assert rows(folder) == rows(tmp_path / "straight")
    assert [int(r["step"]) for r in rows(folder)] == [1, 2, 3, 4, 5]
    assert same_weights(train(folder, 5), straight)  # done: nothing more happens
    assert len(rows(folder)) == 5


def test_a_run_that_stops_early_is_on_the_schedule_of_the_whole(tmp_path):
    straight = train(tmp_path / "straight", 5)
    train(tmp_path / "stopped", 5, until=500_000)
    assert [int(r["step"]) for r in rows(tmp_path / "stopped")] == [1, 2]
    assert same_weights(train(tmp_path / "stopped", 5), straight)
    assert rows(tmp_path / "stopped") == rows(tmp_path / "straight")


def test_a_run_keeps_the_settings_that_it_began_with(tmp_path):
    train(tmp_path, 2, settings={"seed": 1, "layers": 6})
    logged = rows(tmp_path)
    for other in ({"seed": 0, "layers": 6}, {"seed": 1, "layers": 4}):
        with pytest.raises(ValueError, match=r"expected \d, with which the run in .* began, found \d"):
            train(tmp_path, 5, settings=other)
    assert rows(tmp_path) == logged
    train(tmp_path, 3, settings={"seed": 1, "layers": 6})
    assert loop.load_state(tmp_path, *small_gpt2())["layers"] == 6


def test_a_state_of_before_settings_were_saved_takes_those_given(tmp_path):
    straight = train(tmp_path / "straight", 3)
    train(tmp_path / "older", 3, until=500_000)
    assert "seed" not in loop.load_state(tmp_path / "older", *small_gpt2())
    assert same_weights(train(tmp_path / "older", 3, settings={"seed": 1}), straight)
    assert loop.load_state(tmp_path / "older", *small_gpt2())["seed"] == 1


def test_a_table_is_trimmed_whatever_its_columns(tmp_path):
    path = tmp_path / "development.csv"
    path.write_text("tokens,measure,source,layer,head,value\n256,heldout_loss,old,,,1.5\n512,heldout_loss,old,,,1.25\n", encoding="utf-8")
    loop.trim_log(path, 300)
    assert path.read_text(encoding="utf-8") == "tokens,measure,source,layer,head,value\n256,heldout_loss,old,,,1.5\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_fresh_run_drops_an_old_log(tmp_path):
    loop.append_log(tmp_path / "log.csv", dict.fromkeys(loop.LOG_FIELDS, 7))
    loop.trim_log(tmp_path / "log.csv", 6)
    assert list(tmp_path.iterdir()) == []
    loop.trim_log(tmp_path / "log.csv", 6)


# --- evaluation ---


def test_a_ratio_of_sums_and_its_interval():
    constant = evaluate.bootstrap_ratio([2.0, 4.0, 6.0], [1, 2, 3])
    assert constant == {"mean": 2.0, "low": 2.0, "high": 2.0}
    two = evaluate.bootstrap_ratio([0.0, 1.0], [1, 1])
    assert two == {"mean": 0.5, "low": 0.0, "high": 1.0}  # each extreme is a quarter of the draws
    draws = np.random.default_rng(1).normal(3, 1, 400)
    found = evaluate.bootstrap_ratio(draws, np.ones(400))
    assert found["mean"] == pytest.approx(draws.mean())
    # the normal interval; 2,000 draws place an end within about 0.06 standard errors (one sd), twice that with the other end
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * draws.std() / 20, rel=0.1)


def test_unigram_figures():
    found = evaluate.unigram(np.array([0, 0, 1, 1, 1, 1]), np.array([0, 1]), 4)
    assert found["entropy"] == pytest.approx(-(math.log(1 / 3) / 3 + 2 * math.log(2 / 3) / 3))
    # counts and one half each: 2.5, 4.5, .5, .5 of 8
    assert found["heldout_cross_entropy"] == pytest.approx(-(math.log(2.5 / 8) + math.log(4.5 / 8)) / 2)
    assert found["most_frequent"].tolist() == [1, 0, 2, 3]
    assert loop.unigram_entropy(np.arange(8), 20) == pytest.approx(math.log(8))


def test_losses_a_word_and_a_character():
    assert evaluate.per_word_and_character(2.0, 6, "dwa słowa i trzy") == {
        "nats_per_word": 3.0,
        "nats_per_character": 0.75,
        "tokens_per_word": 1.5,
    }


def test_next_token_losses_are_the_models():
    model = polish_gpt2.build(polish_gpt2.configuration(50, layers=1, width=16, heads=2), 0).eval()
    ids = np.random.default_rng(0).integers(50, size=3 * polish_gpt2.CONTEXT + 9).astype(np.uint16)
    losses = evaluate.next_token_losses(model, ids, batch=2)
    assert losses.shape == (3, polish_gpt2.CONTEXT)
    for i in range(3):
        window = torch.from_numpy(ids[i * 256 : i * 256 + 257].astype("int64"))[None]
        with torch.no_grad():
            logs = model(window[:, :-1]).logits[0].log_softmax(-1)
        own = -logs[torch.arange(polish_gpt2.CONTEXT), window[0, 1:]]
        assert np.allclose(losses[i], own.numpy(), atol=1e-5)  # float32 sums in another order


def test_ranks_of_hidden_tokens_are_the_models(end_of_word):
    model = herbert.build(herbert.configuration(160, layers=1, width=16, heads=2), 0, np.ones(160)).eval()
    text = list(tiny.SENTENCES) * 8
    ids = np.concatenate(end_of_word(text, add_special_tokens=False)["input_ids"]).astype(np.uint16)
    content = herbert.CONTEXT - 2
    n = len(ids) // content
    assert 2 <= n <= 32
    found = evaluate.masked_ranks(model, end_of_word, ids, seed=4)
    batch = herbert.windows(ids, [i * content for i in range(n)], herbert.CONTEXT)
    ends = herbert.word_ends(end_of_word)
    hidden, chosen = herbert.mask_words(batch, ends, evaluate.MASK_RATE, torch.Generator().manual_seed(4), corrupt=False)
    with torch.no_grad():
        logs = model(hidden).logits.log_softmax(-1)
    places = chosen.nonzero().tolist()
    assert len(places) == len(found["rank"]) > 20
    for i, (window, place) in enumerate(places):
        token = batch[window, place]
        assert found["token"][i] == token
        assert found["window"][i] == window
        own = logs[window, place, token]
        assert found["loss"][i] == pytest.approx(-float(own), abs=1e-5)
        # nearly equal logits may change places with the order of float32 sums
        above = [int((logs[window, place] > own + shift).sum()) for shift in (1e-5, -1e-5)]
        assert above[0] <= found["rank"][i] <= above[1] - 1  # the last counts the token itself
        begins = place == 1 or bool(ends[batch[window, place - 1]])
        assert found["whole"][i] == (begins and bool(ends[token]))


def test_shares_of_first_guesses():
    found = {
        "rank": np.array([0, 9, 10, 3, 0, 500, 12, 0]),
        "loss": np.arange(8.0),
        "window": np.array([0, 0, 1, 1, 2, 2, 3, 3]),
        "whole": np.array([True, True, True, False, True, False, True, False]),
    }
    figures = evaluate.summarise_ranks(found)
    assert figures["masked_tokens"] == 8
    assert figures["heldout_loss"]["mean"] == 3.5
    assert figures["top1"]["mean"] == 3 / 8
    assert figures["top10"]["mean"] == 5 / 8
    assert figures["top10_whole_words"]["mean"] == 3 / 5
    for name in ("heldout_loss", "top1", "top10", "top10_whole_words"):
        assert figures[name]["low"] <= figures[name]["mean"] <= figures[name]["high"]


def test_windows_are_the_units_of_the_gain_by_context():
    """All tokens of a window are easy or hard together, which cancels in the gain; the step from 5 to 3 nats stays."""
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(50, 1)) * 2 + np.where(np.arange(256) < 8, 5.0, 3.0) + rng.normal(size=(50, 256))
    gain = evaluate.context_gain(losses)
    each = losses[:, 128:].mean(axis=1) - losses[:, :8].mean(axis=1)
    assert gain["mean"] == pytest.approx(each.mean()) == pytest.approx(-2, abs=4 * 0.36 / 50**0.5)  # noise of eight and of 128 tokens
    # the normal interval over windows, to a tenth; see the test of ratios above
    assert gain["high"] - gain["low"] == pytest.approx(2 * 1.96 * each.std() / 50**0.5, rel=0.2)


def test_windows_are_the_units_of_guessing_by_frequency_too():
    """Each of 40 windows hides one token 20 times: an interval over the 800 tokens is too narrow by the root of 20."""
    rng = np.random.default_rng(0)
    window = np.repeat(np.arange(40), 20)
    found = {"token": rng.integers(0, 5, 40)[window], "window": window}
    figures = evaluate.summarise_frequency(found, np.array([3, 1]))
    assert figures["unigram_top1"]["mean"] == np.mean(found["token"] == 3)
    share = figures["unigram_top10"]
    assert share["mean"] == np.mean(np.isin(found["token"], [1, 3]))
    tokens = wilson_interval(int(np.isin(found["token"], [1, 3]).sum()), 800)
    assert share["high"] - share["low"] > 3 * (tokens.high - tokens.low)


# --- export ---


@pytest.fixture(scope="module", params=tokens.MODELS)
def finished(request, work):
    """A work folder in which a run of one tiny model has just been saved."""
    name = request.param
    recipe, kind, _ = export.KINDS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(recipe.configuration({"polish-gpt2-mini": 320, "herbert-mini": 160}[name], layers=1, width=16, heads=2))
    optimizers = recipe.optimizers_for(model)
    loop.save_state(work / name, model, optimizers, {"step": 3, "tokens": 768, "seconds": 1.0})
    loop.append_log(work / name / "log.csv", dict.fromkeys(loop.LOG_FIELDS, 1))
    ids = loop.load_ids(work / name / "heldout.bin")
    tokens.write_ids(work / name / "heldout_new.bin", np.array(ids))
    (work / name / "heldout_new.json").write_text(json.dumps({"statutes": [0, len(ids)]}), encoding="utf-8")
    source = {"source": "statutes", "train_words": 1234, "licence": "no copyright", "origin": f"someone/laws {'0f' * 20}"}
    (work / "manifest.json").write_text(json.dumps({"train_words": 1234, "sources": [source]}), encoding="utf-8")
    return name, model, work


def test_a_checkpoint_is_what_was_trained_in_float16(finished, tmp_path, monkeypatch):
    name, model, work = finished
    monkeypatch.setattr(export, "CHECKPOINTS", tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "stale").touch()
    loop.append_log(work / name / "log.csv", dict.fromkeys(loop.LOG_FIELDS, 1000))  # the run goes on
    development.write_table(work / name / "development.csv", [{"tokens": seen, "value": 1.5} for seen in (512, 1024)])
    target = export.export(name, work, 2, 0, "CPU")
    (work / name / "development.csv").unlink()
    assert target == tmp_path / name
    assert {p.name for p in tmp_path.iterdir()} == {name, "corpus.json"}
    assert {"README.md", "config.json", "evaluation.json", "model.safetensors", "tokenizer.json", "training_log.csv"} <= {
        p.name for p in target.iterdir()
    }
    assert not (target / "stale").exists()
    auto = AutoModelForCausalLM if name == "polish-gpt2-mini" else AutoModelForMaskedLM
    read = auto.from_pretrained(target, dtype=torch.float16)
    assert type(read) is type(model)
    for key, value in model.state_dict().items():
        assert torch.equal(read.state_dict()[key], value.half())
    tokenizer = AutoTokenizer.from_pretrained(target)
    saved = AutoTokenizer.from_pretrained(work / name / "tokenizer")
    assert tokenizer(list(tiny.SENTENCES))["input_ids"] == saved(list(tiny.SENTENCES))["input_ids"]
    figures = json.loads((target / "evaluation.json").read_text(encoding="utf-8"))
    assert (figures["run"]["tokens"], figures["run"]["seed"]) == (768, 0)
    assert figures["under_unigram_loss"] == figures["unigram_heldout_loss"] - figures["heldout_loss"]["mean"]
    assert [row["tokens"] for row in development.read_table(target / "development.csv")] == ["512"]
    assert [row["tokens"] for row in development.read_table(target / "training_log.csv")] == ["1"]
    # an untrained model knows nothing: its loss is the logarithm of the vocabulary, or a little more
    assert figures["heldout_loss"]["mean"] == pytest.approx(math.log(model.config.vocab_size), abs=0.2)
    card = (target / "README.md").read_text(encoding="utf-8")
    assert f"| tokens seen | 768 ({768 / figures['run']['train_tokens']:.2f} passes" in card
    loss = figures["heldout_loss_by_source"]["statutes"]
    assert loss == pytest.approx(math.log(model.config.vocab_size), abs=0.2)
    assert f"| statutes | 1,234 | no copyright | someone/laws 0f0f0f0f0f | {loss:.3f} |" in card
    loop.save_state(work / name, model, [], {"step": 3, "tokens": 768, "seconds": 1.0, "seed": 5})
    assert export.export(name, work, 2, 0, "CPU", checkpoints=tmp_path / "unfinished") == tmp_path / "unfinished" / name
    figures = json.loads((tmp_path / "unfinished" / name / "evaluation.json").read_text(encoding="utf-8"))
    assert figures["run"]["seed"] == 5  # which the state says, whatever is given


def test_a_state_that_lacks_weights_is_not_exported(finished, tmp_path):
    name, model, _ = finished
    kept = {f"model.{k}": v.clone() for k, v in model.state_dict().items() if "ln_f" not in k and "LayerNorm" not in k}
    save_file(kept, tmp_path / "state.safetensors", {"progress": "{}"})
    with pytest.raises(ValueError, match="it lacks"):
        export.restore(name, tmp_path, 2)


def test_a_state_is_exported_and_a_snapshot_measured_with_its_own_heads_alone(finished, tmp_path):
    name, model, work = finished
    with pytest.raises(ValueError, match="state.safetensors was saved by another configuration: it has 2 heads a layer, expected 4"):
        export.restore(name, work / name, 4)
    kept = {f"model.{k}": v.clone() for k, v in model.state_dict().items()}
    save_file(kept, tmp_path / "state.safetensors", {"progress": "{}"})  # an older state does not say
    (tmp_path / "tokenizer").symlink_to(work / name / "tokenizer")
    assert export.restore(name, tmp_path, 4)[0].config.num_attention_heads == 4
    loop.save_snapshot(work / name / "snapshots", model, 256)
    with pytest.raises(ValueError, match="256.safetensors was saved by another configuration"):
        development.develop(name, work, 4)


def test_the_attention_only_model_is_exported_with_its_own_seed_and_log(work, tmp_path, monkeypatch):
    monkeypatch.setattr(minigpt_polish, "CHECKPOINTS", tmp_path)
    (work / "manifest.json").write_text(json.dumps({"train_words": 1234, "sources": []}), encoding="utf-8")
    run = ["--work", str(work), "--tokens", "2048", "--device", "cpu"]
    minigpt_polish.main([*run, "--seed", "3"])
    with pytest.raises(ValueError, match="seed: expected 3"):
        minigpt_polish.main(run)
    loop.append_log(work / minigpt_polish.NAME / "log.csv", dict.fromkeys(loop.LOG_FIELDS, 5000))  # the run goes on
    minigpt_polish.main([*run, "--export"])
    figures = json.loads((tmp_path / minigpt_polish.NAME / "evaluation.json").read_text(encoding="utf-8"))
    assert (figures["run"]["tokens"], figures["run"]["seed"]) == (2048, 3)
    assert [row["tokens"] for row in development.read_table(tmp_path / minigpt_polish.NAME / "training_log.csv")] == ["2048"]


# --- development along training ---


def test_snapshots_are_measured_once(finished, monkeypatch):
    name, model, work = finished
    folder = work / name
    loop.save_snapshot(folder / "snapshots", model, 256)
    measured = []

    def measure(_name, loaded, ids_by_source, _lexicon):
        measured.append(loaded)
        assert set(ids_by_source) == {"old", "statutes"}
        yield {"measure": "heldout_loss", "source": "old", "value": 1.5}

    monkeypatch.setattr(development, "measure", measure)
    path = development.develop(name, work, 2)
    assert development.read_table(path) == [
        {"tokens": "256", "measure": "heldout_loss", "source": "old", "layer": "", "head": "", "value": "1.5"}
    ]
    for key, value in measured[0].model.state_dict().items():
        assert torch.equal(value, model.state_dict()[key].half().float())
    tensors = load_file(folder / "snapshots" / "256.safetensors")
    save_file(tensors, folder / "snapshots" / "300.safetensors", {"tokens": "300"})  # an older snapshot does not say its heads
    deeper = type(model)(type(model.config).from_dict(model.config.to_dict() | {"num_hidden_layers": 2, "n_layer": 2}))
    loop.save_snapshot(folder / "snapshots", deeper, 512)  # a run may have grown
    development.develop(name, work, 2)
    assert [loaded.model.config.num_hidden_layers for loaded in measured] == [1, 1, 2]
    assert [row["tokens"] for row in development.read_table(path)] == ["256", "300", "512"]


@pytest.mark.parametrize("name", development.MODELS)
def test_states_and_attention_are_measured_on_the_paragraphs_themselves(name):
    loaded = offline.load({"polish-gpt2-mini": "polish-gpt2", "herbert-mini": "herbert"}[name])
    paragraphs = texts.paragraphs()["text"][:3]
    rows = pd.DataFrame(development.of_paragraphs(loaded, paragraphs))
    found = activations.run(loaded, paragraphs, stride=64)
    assert len(set(found.tokens["text"])) == 3
    assert rows.query("measure == 'anisotropy'")["value"].tolist() == pytest.approx(geometry.mean_cosine(found.states).tolist(), rel=1e-5)
    entropies = rows.query("measure == 'entropy'")
    shape = loaded.model.config.num_hidden_layers, loaded.model.config.num_attention_heads
    assert len(entropies) == shape[0] * shape[1]
    assert entropies["value"].between(0, np.log(found.tokens.groupby("text").size().max())).all()


# --- everything in turn ---


def test_all_recipes_run_in_turn_and_finished_steps_are_not_repeated(tmp_path, monkeypatch):
    calls = []

    def step(name, *made):
        def main(arguments):
            calls.append((name, " ".join(arguments)))
            for path in made:
                (tmp_path / path).touch()

        return main

    monkeypatch.setattr(everything.corpus, "main", step("corpus", "manifest.json"))
    monkeypatch.setattr(everything.tokens, "main", step("tokens"))
    monkeypatch.setattr(everything.polish_gpt2, "main", step("gpt2"))
    monkeypatch.setattr(everything.herbert, "main", step("herbert"))
    monkeypatch.setattr(everything.development, "main", step("development"))
    monkeypatch.setattr(everything.export, "main", step("export"))
    monkeypatch.setattr(everything.minigpt_polish, "main", step("minigpt"))
    work = ["--archives", "a", "--work", str(tmp_path)]
    everything.main([*work, "--tokens", "3e5", "--threads", "2", "--compile", "--device", "cpu"])
    assert [name for name, _ in calls] == [
        "corpus",
        "tokens",
        "tokens",
        "gpt2",
        "herbert",
        "minigpt",
        "development",
        "export",
        "development",
        "export",
        "minigpt",
    ]
    assert calls[0][1] == f"--archives a --out {tmp_path}"
    assert calls[1][1].endswith("--vocab 16384 --model polish-gpt2-mini")
    machine = "--seed 0 --device cpu --threads 2 --compile"
    run = f"--work {tmp_path} --tokens 300000.0 --layers 6 --heads 8 --width 256 {machine}"
    assert calls[3][1] == calls[4][1] == run
    assert calls[5][1] == f"--work {tmp_path} --tokens 300000.0 {machine}"
    assert calls[6][1] == f"--work {tmp_path} --model polish-gpt2-mini --heads 8"
    assert calls[9][1].startswith(f"--work {tmp_path} --model herbert-mini --heads 8 --seed 0 --device-name CPU, ")
    assert calls[10][1].endswith(" --export")

    calls.clear()
    for name in tokens.MODELS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "heldout.bin").touch()
    everything.main(work)
    assert [name for name, _ in calls] == ["gpt2", "herbert", "minigpt", "development", "export", "development", "export", "minigpt"]
    assert "--compile" not in calls[0][1]
