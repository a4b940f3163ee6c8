"""The embedded checkpoints are what the chapters say they are."""

import pytest
import torch
from safetensors import safe_open

from analysis_lib import models, texts, weights
from analysis_lib.vocabulary import Lexicon, Vocabulary
from tests.support.offline import load, needs

SENTENCES = (
    "Nie wiem, czy to prawda, ale wszyscy mówią o tym od rana.",
    "Stary człowiek siedział przy oknie i patrzył na śnieg.",
    "W XIX wieku powstały pierwsze fabryki, a miasta zaczęły szybko rosnąć.",
)
PANGRAMS = ("Zażółć gęślą jaźń.", "ZAŻÓŁĆ GĘŚLĄ JAŹŃ.")
POLISH_LETTERS = "ąćęłńóśźż"
LARGEST_FILE = 16_000_000  # bytes


@pytest.fixture(scope="module", params=[needs("polish-gpt2"), needs("herbert")])
def loaded(request):
    return load(request.param)


def folder_of(loaded):
    return models.EMBEDDED_FOLDER / loaded.identifier


def masked_loss(model, tokenizer, text):
    """Nats per token: of the next token for GPT-2, of each token masked in turn for BERT."""
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        if model.config.model_type == "gpt2":
            return float(model(ids, labels=ids).loss)
        places = range(1, ids.shape[1] - 1)
        batch = ids.repeat(len(places), 1)
        for row, place in enumerate(places):
            batch[row, place] = tokenizer.mask_token_id
        logits = model(batch).logits
        rows = torch.arange(len(places))
        return float(torch.nn.functional.cross_entropy(logits[rows, list(places)], ids[0, list(places)]))


def test_weights_are_safetensors_of_float16_in_small_files(loaded):
    folder = folder_of(loaded)
    names = {path.name for path in folder.iterdir()}
    weights_in = [folder / name for name in names if name.endswith(".safetensors")]
    assert {"config.json", "README.md"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt"))]
    assert weights_in
    for path in weights_in:
        assert path.stat().st_size <= LARGEST_FILE
        with safe_open(path, framework="pt") as handle:
            dtypes = {handle.get_slice(name).get_dtype() for name in handle.keys()}  # noqa: SIM118
        assert dtypes == {"F16"}


def test_the_card_says_what_a_reader_needs(loaded):
    card = (folder_of(loaded) / "README.md").read_text(encoding="utf-8").lower()
    missing = [word for word in ("licen", "tokens", "held-out", "seed", "unigram", "untrained") if word not in card]
    assert not missing


def test_configuration(loaded):
    model, tokenizer = loaded.model, loaded.tokenizer
    assert loaded.source == "embedded"
    assert model.dtype == torch.float32
    assert not model.training
    assert 8_192 <= len(tokenizer) <= model.config.vocab_size <= 16_384 + 64
    if loaded.name == "polish-gpt2":
        assert type(model).__name__ == "GPT2LMHeadModel"
        assert model.config.activation_function == "gelu_fast"
        assert model.lm_head.weight is model.transformer.wte.weight
    else:
        assert type(model).__name__ == "BertForMaskedLM"
        assert type(tokenizer).__name__ == "HerbertTokenizer"
        assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>", "<mask>"]) == [0, 1, 2, 3, 4]
        assert model.config.pad_token_id == 1


def test_the_vocabulary(loaded):
    vocab = Vocabulary.from_tokenizer(loaded.tokenizer, loaded.model.config.vocab_size)
    letters = set("".join(vocab.text[vocab.keep()]))
    assert set(POLISH_LETTERS) <= letters
    expected = {"polish-gpt2": "Ġnie", "herbert": "nie</w>"}[loaded.name]
    assert vocab.raw[vocab.word_id("nie")] == expected
    assert vocab.keep().sum() > 0.8 * len(loaded.tokenizer)
    # The original filter keeps no word with a Polish letter.
    assert not set("".join(vocab.text[vocab.keep(ascii_only=True)])) & set(POLISH_LETTERS)
    for text in SENTENCES + PANGRAMS:
        ids = loaded.tokenizer(text).input_ids
        assert "".join(loaded.tokenizer.decode(ids, skip_special_tokens=True).split()) == "".join(text.split())


def test_polish_words_are_told_from_beginnings_of_words(loaded):
    pytest.importorskip("morfeusz2")
    vocab, counts = loaded.vocabulary, loaded.counts
    assert counts.total.sum() > 20e6
    assert "words" in counts.source
    polish = vocab.keep(whole_words=True, counts=counts, lexicon=Lexicon.from_forms(vocab.text))
    kept = set(vocab.text[polish])
    assert not {"Woku", "Skrze", "seku", "Jaku", "bru", "sil", "bodź"} & kept
    assert {"nie", "się", "i", "w", "on", "ja", "tak", "pan", "ich", "był", "są"} <= kept
    assert polish.sum() > 0.4 * len(loaded.tokenizer)


def test_every_word_among_its_tokens_has_a_gloss(loaded):
    pytest.importorskip("morfeusz2")
    vocabulary = loaded.vocabulary
    kept = vocabulary.keep(whole_words=True, counts=loaded.counts, lexicon=Lexicon.from_forms(vocabulary.text), min_length=2)
    forms = sorted({form.lower() for form in vocabulary.text[kept]} - set(texts.glossary()))
    assert [form for form, known in zip(forms, Lexicon.from_forms(forms).known, strict=True) if known] == []  # names need their capital


def test_attention_is_rebuilt_from_the_weights(loaded):
    errors = weights.attention_errors(loaded, SENTENCES)
    assert errors.pattern.max() < 1e-5
    assert errors.output.max() < 1e-5 * max(1, errors.output_scale.max())


def test_weights_are_finite_and_folding_is_for_gpt2(loaded):
    found = weights.extract(loaded)
    assert all(torch.isfinite(value).all() for value in found.named().values())
    if loaded.name == "polish-gpt2":
        assert weights.extract(loaded, fold_layer_norm=True).folded
    else:
        with pytest.raises(ValueError, match="post-norm"):
            weights.extract(loaded, fold_layer_norm=True)


def test_polish_is_likelier_to_it_than_to_the_untrained_model(loaded):
    untrained = models.untrained_like(loaded, seed=0)
    trained_loss, untrained_loss = (
        sum(masked_loss(model, loaded.tokenizer, text) for text in SENTENCES) / len(SENTENCES) for model in (loaded.model, untrained.model)
    )
    assert trained_loss < untrained_loss - 2
