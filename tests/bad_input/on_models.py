"""Bad names of models, bad checkpoints, bad values of environment variables."""

import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

import torch

from analysis_lib import models
from analysis_lib.models import generation, minigpt
from analysis_lib.models.regressor import RegressorConfig
from tests.bad_input.case import Case
from tests.support import tiny

NAMES, CHECKPOINTS, ENVIRONMENT = "Names of models", "Checkpoints", "Environment variables"


@cache
def gpt2():
    return models.wrap(tiny.gpt2(), tiny.byte_level_tokenizer())


@cache
def bert():
    return models.wrap(tiny.bert(), tiny.herbert_tokenizer())


@cache
def _files() -> dict[str, bytes]:
    """The files of a good checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        tiny.save(folder, gpt2().model, gpt2().tokenizer)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def checkpoint(folder: Path) -> Path:
    """A good checkpoint, to be spoilt."""
    (folder / "checkpoint").mkdir()
    for name, content in _files().items():
        (folder / "checkpoint" / name).write_bytes(content)
    return folder / "checkpoint"


def with_config(**changes):
    """Loads a checkpoint whose configuration says something else."""

    def call(folder: Path):
        path = checkpoint(folder) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        models.load(path.parent)

    return call


def without(name: str):
    """Loads a checkpoint that lacks a file."""

    def call(folder: Path):
        (checkpoint(folder) / name).unlink()
        models.load(folder / "checkpoint")

    return call


def with_file(name: str, content: str | bytes):
    """Loads a checkpoint with another content in one file."""

    def call(folder: Path):
        (checkpoint(folder) / name).write_bytes(content.encode() if isinstance(content, str) else content)
        models.load(folder / "checkpoint")

    return call


def cut(folder: Path):
    path = checkpoint(folder) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    models.load(path.parent)


def not_finite(folder: Path):
    model = tiny.gpt2()
    model.transformer.h[1].mlp.c_fc.bias.data[3] = float("nan")
    tiny.save(folder / "checkpoint", model, gpt2().tokenizer)
    models.load(folder / "checkpoint")


def pickled(folder: Path):
    path = checkpoint(folder)
    torch.save({"w": torch.zeros(2)}, path / "pytorch_model.bin")
    (path / "model.safetensors").unlink()
    models.load(path)


def linked(folder: Path):
    path = checkpoint(folder) / "model.safetensors"
    shutil.move(path, folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    models.load(path.parent)


def larger_tokenizer(folder: Path):
    tiny.save(folder / "checkpoint", tiny.gpt2(vocab=300), gpt2().tokenizer)
    models.load(folder / "checkpoint")


def with_models(value: str):
    """Loads the Polish GPT-2 under a value of ANALYSIS_MODELS."""

    def call(folder: Path):
        with mock.patch.dict(os.environ, {"ANALYSIS_MODELS": value.replace("FOLDER", str(folder))}):
            models.load("polish-gpt2")

    return call


def another_architecture(folder: Path):
    tiny.save(folder / "checkpoint", bert().model, bert().tokenizer)
    with_models("polish-gpt2=FOLDER/checkpoint")(folder)


CASES = [
    Case(NAMES, "a study that does not exist, `load('polish-gpt3')`", lambda _: models.load("polish-gpt3"), "'polish-gpt3'"),
    Case(NAMES, "no name, `load('')`", lambda _: models.load(""), "name:"),
    Case(NAMES, "a number, `load(3)`", lambda _: models.load(3), "name:"),  # type: ignore[arg-type]
    Case(NAMES, "a folder that is not there, `load('models/mine/last')`", lambda _: models.load("models/mine/last"), "'models/mine/last'"),
    Case(NAMES, "an unknown source, `load('gpt2', source='disk')`", lambda _: models.load("gpt2", source="disk"), "source:"),
    Case(NAMES, "a study of the hub alone, embedded", lambda _: models.load("gpt2", source="embedded"), "source:"),
    Case(NAMES, "a study of this book, from the hub", lambda _: models.load("minigpt", source="hub"), "'minigpt'"),
    Case(NAMES, "an unknown device, `device='abacus'`", lambda _: models.load("minigpt", device="abacus"), "device:"),
    Case(NAMES, "a device that holds no numbers", lambda _: models.load("minigpt", device="meta"), "device:"),
    Case(NAMES, "a bare torch module, `wrap(Linear)`", lambda _: models.wrap(torch.nn.Linear(2, 2)), "model:"),  # type: ignore[arg-type]
    Case(NAMES, "a seed that is no whole number", lambda _: models.untrained_like(gpt2(), 0.5), "seed:"),  # type: ignore[arg-type]
    Case(NAMES, "7 heads of a model 16 wide", lambda _: minigpt.MiniGPTConfig(d_model=16, n_heads=7), "n_heads:"),
    Case(NAMES, "an unknown layout of a regressor", lambda _: RegressorConfig(layout="columns"), "layout:"),
    Case(NAMES, "generation with a masked model", lambda _: generation.continue_text(bert(), "Nie wiem", 2), "loaded:"),
    Case(CHECKPOINTS, "an empty folder", models.load, "config.json"),
    Case(CHECKPOINTS, "no weights", without("model.safetensors"), "model.safetensors"),
    Case(CHECKPOINTS, "no tokenizer", without("tokenizer.json"), "tokenizer"),
    Case(CHECKPOINTS, "weights as a pickle", pickled, "pickle"),
    Case(CHECKPOINTS, "weights that were cut off", cut, "model.safetensors"),
    Case(CHECKPOINTS, "weights that are text", with_file("model.safetensors", "not a tensor"), "model.safetensors"),
    Case(CHECKPOINTS, "NaN among the weights", not_finite, "h.1.mlp.c_fc.bias"),
    Case(CHECKPOINTS, "a configuration that is no JSON", with_file("config.json", "{"), "config.json"),
    Case(CHECKPOINTS, "an unknown architecture", with_config(model_type="mamba"), "'mamba'"),
    Case(CHECKPOINTS, "more layers than weights", with_config(n_layer=3), "without"),
    Case(CHECKPOINTS, "fewer layers than weights", with_config(n_layer=1), "layers"),
    Case(CHECKPOINTS, "another width than the weights have", with_config(n_embd=32), "sizes in config.json"),
    Case(CHECKPOINTS, "code of its own", with_config(auto_map={"AutoModel": "evil.Model"}), "auto_map"),
    Case(CHECKPOINTS, "a tokenizer larger than the embedding", larger_tokenizer, "tokenizer"),
    Case(CHECKPOINTS, "a tokenizer that is no JSON", with_file("tokenizer.json", "tokens"), "tokenizer"),
    Case(CHECKPOINTS, "a link that leads out of the folder", linked, "link"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS=published`", with_models("published"), "ANALYSIS_MODELS"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS=gpt9=owner/name`", with_models("gpt9=owner/name"), "'gpt9'"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS=herbert=`", with_models("herbert="), "ANALYSIS_MODELS"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS=herbert=not a folder`", with_models("herbert=not a folder"), "'not a folder'"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS` with one study twice", with_models("herbert=FOLDER,herbert=FOLDER"), "twice"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS` with a BERT for a GPT-2", another_architecture, "ANALYSIS_MODELS"),
    Case(ENVIRONMENT, "`ANALYSIS_MODELS` with an empty folder", with_models("polish-gpt2=FOLDER"), "config.json"),
]
