"""Models and data that library and oracles are asked about. Weights are drawn by name, so that no version of a package changes them."""

import zlib
from functools import cache

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, PreTrainedModel

from analysis_lib.models import LoadedModel
from tests.support import offline, panels

GPT2S = {
    "3 layers of 4 heads": {"n_layer": 3, "n_head": 4, "n_embd": 24, "vocab_size": 50, "n_positions": 32},
    "2 layers of 5 heads": {"n_layer": 2, "n_head": 5, "n_embd": 35, "n_inner": 13, "vocab_size": 11, "n_positions": 17},
    "1 layer of 1 head": {"n_layer": 1, "n_head": 1, "n_embd": 7, "vocab_size": 19, "n_positions": 16},
    "4 layers of 2 heads, untied": {
        "n_layer": 4,
        "n_head": 2,
        "n_embd": 6,
        "vocab_size": 23,
        "n_positions": 20,
        "tie_word_embeddings": False,
    },
}
BERTS = {
    "2 layers of 3 heads": {"num_hidden_layers": 2, "num_attention_heads": 3, "hidden_size": 12, "intermediate_size": 31, "vocab_size": 37},
    "1 layer of 1 head": {"num_hidden_layers": 1, "num_attention_heads": 1, "hidden_size": 10, "intermediate_size": 5, "vocab_size": 13},
}


SHIPPED = ("polish-gpt2", "herbert", "minigpt")


@cache
def shipped(name: str) -> LoadedModel:
    """A model that comes with the library."""
    return offline.load(name)


@cache
def gpt2s() -> dict[str, PreTrainedModel]:
    """The shipped GPT-2, and random ones of odd shapes."""
    found = {
        f"GPT-2, {name}": filled(GPT2LMHeadModel, GPT2Config(**shape, bos_token_id=0, eos_token_id=0)) for name, shape in GPT2S.items()
    }
    return {"polish-gpt2": shipped("polish-gpt2").model} | found


@cache
def berts() -> dict[str, PreTrainedModel]:
    """The shipped BERT, and random ones of odd shapes."""
    shapes = {f"BERT, {name}": BertConfig(**shape, max_position_embeddings=16, pad_token_id=0) for name, shape in BERTS.items()}
    return {"herbert": shipped("herbert").model} | {name: filled(BertForMaskedLM, config) for name, config in shapes.items()}


@cache
def minigpt() -> PreTrainedModel:
    """The shipped attention-only model."""
    return shipped("minigpt").model


def filled(model_class: type, config: GPT2Config | BertConfig) -> PreTrainedModel:
    """A model in evaluation mode whose parameters, norms and biases too, depend on their names and shapes alone."""
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            drawn = rng.standard_normal(tuple(parameter.shape)) * (0.2 if parameter.ndim > 1 else 0.3)
            parameter.copy_(torch.from_numpy(drawn + (parameter.ndim == 1 and name.endswith("weight"))))
    return model


def ids_of(model: PreTrainedModel, n: int = 2, longest: int = 24, seed: int = 0) -> Tensor:
    """Random token ids [n, token] that the model can read."""
    length = min(longest, model.config.max_position_embeddings)
    return torch.from_numpy(np.random.default_rng(seed).integers(3, model.config.vocab_size, (n, length)))


def repeated_ids(model: PreTrainedModel, n: int = 2, seed: int = 0) -> Tensor:
    """The first half of a sequence twice, and one token more often, so that every kind of head has a target."""
    half = ids_of(model, n, 12, seed)[:, : min(12, model.config.max_position_embeddings // 2)]
    half[:, -2] = half[:, 0]
    return torch.cat([half, half], dim=1)


def clouds() -> dict[str, np.ndarray]:
    """Points of unequal variances around a common mean."""
    rng = np.random.default_rng(0)
    shapes = {"200 points in 20": (200, 20), "60 points in 7": (60, 7), "1000 points in 3": (1000, 3)}
    return {name: rng.normal(size=shape) * np.geomspace(1, 5, shape[1]) + 3 for name, shape in shapes.items()}


def manifolds() -> dict[str, np.ndarray]:
    """Points on curved surfaces of 2 and 5 dimensions in 12."""
    rng = np.random.default_rng(1)
    return {f"{d} dimensions": np.tanh(rng.normal(size=(400, d)) @ rng.normal(size=(d, 12))) for d in (2, 5)}


def regression_prompts() -> tuple[np.ndarray, np.ndarray]:
    """Five prompts of nine points in three dimensions, with noise."""
    rng = np.random.default_rng(2)
    xs, w = rng.normal(size=(5, 9, 3)), rng.normal(size=(5, 3, 1))
    return xs, (xs @ w)[..., 0] + 0.3 * rng.normal(size=(5, 9))


def one_text() -> tuple[np.ndarray, pd.DataFrame]:
    """Norms and tokens of one text."""
    return panels.panel(n_texts=1, n_tokens=100)


def many_texts() -> tuple[np.ndarray, pd.DataFrame]:
    """Norms and tokens of twelve texts of different lengths."""
    return panels.uneven_panel(n_texts=12)
