"""The whole path of `make train`, shortened: small archives, small models, a few thousand tokens."""

import csv
import math

import numpy as np
import pytest
import torch

import training.__main__ as everything
from analysis_lib import models
from tests.support import small_archives
from training import development, export, herbert, loop, minigpt_polish
from training.corpus import build
from training.tokens import MODELS

TOKENS, SNAPSHOT = 40_000, 16_384  # the masked model has grown by then


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folders of archives, of the work and of the checkpoints, after everything ran once; and how to run it again."""
    archives, work, checkpoints = (tmp_path_factory.mktemp(name) for name in ("archives", "work", "checkpoints"))
    arguments = ["--archives", str(archives), "--work", str(work), "--tokens", str(TOKENS), "--vocab", "600", "--threads", "1"]
    arguments += ["--layers", "3", "--width", "32", "--heads", "2", "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "SOURCES", small_archives.pack(archives, small_archives.files()))
        patch.setattr(export, "CHECKPOINTS", checkpoints)
        patch.setattr(minigpt_polish, "CHECKPOINTS", checkpoints)
        patch.setattr(loop, "SNAPSHOTS", [SNAPSHOT])
        threads = torch.get_num_threads()
        everything.main(arguments)
        yield work, checkpoints, lambda: everything.main(arguments)
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", MODELS)
def test_archives_become_checkpoints_that_load(trained, name):
    work, checkpoints, _ = trained
    loaded = models.load(checkpoints / name)
    n_layers = loaded.model.config.num_hidden_layers
    assert n_layers == 3
    with open(checkpoints / name / "training_log.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert int(last["tokens"]) >= TOKENS
    assert {"development.csv", "token_counts.npz"} <= {p.name for p in (checkpoints / name).iterdir()}


def test_the_causal_model_has_learned(trained):
    with open(trained[1] / "polish-gpt2-mini" / "training_log.csv", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["heldout_loss"]) < math.log(600) - 0.5  # half a nat below a guess among all tokens


def test_the_masked_models_first_blocks_have_been_trained(trained):
    """Its loss is no sign: the output bias begins at the unigram frequencies."""
    model = models.load(trained[1] / "herbert-mini").model
    shape = herbert.configuration(model.config.vocab_size, herbert.SMALL, model.config.hidden_size, model.config.num_attention_heads)
    fresh = herbert.build(shape, 0, np.ones(shape.vocab_size))
    for block, begun in zip(model.bert.encoder.layer[-herbert.SMALL :], fresh.bert.encoder.layer, strict=True):
        for name, weight in block.named_parameters():
            if weight.ndim == 2:
                assert not torch.equal(weight.half(), begun.get_parameter(name).half()), name  # float16 is what is shipped


def test_the_attention_only_model_is_made_from_the_same_text(trained):
    loaded = models.load(trained[1] / "minigpt-polish")
    config = loaded.model.config
    assert (config.n_layers, config.vocab_size) == (2, 600)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_run_measures_along_the_way(trained, name):
    rows = development.read_table(trained[0] / name / "development.csv")
    assert {int(row["tokens"]) for row in rows} == {int(p.stem) for p in (trained[0] / name / "snapshots").iterdir()}
    by_measure = {}
    for row in rows:
        by_measure.setdefault(row["measure"], []).append(row)
    heads = {"previous token", "induction", "duplicate token", "copying", "entropy", "same_lemma", "same_case"}
    assert set(by_measure) == {"heldout_loss", "anisotropy"} | heads
    assert {(row["layer"], row["head"]) for row in by_measure["induction"]} == {(str(i), str(j)) for i in range(3) for j in range(2)}
    assert len(by_measure["anisotropy"]) == 4 + (name == "polish-gpt2-mini")  # embedding, three layers, the final layer norm
    assert {row["source"] for row in by_measure["heldout_loss"]} >= {"old", "ustawy"}


def test_a_second_run_changes_nothing(trained):
    work, checkpoints, again = trained
    before = {p: p.read_bytes() for p in (*work.rglob("*.bin"), *checkpoints.rglob("*.safetensors"), *checkpoints.rglob("*.csv"))}
    again()
    assert {p: p.read_bytes() for p in before} == before
