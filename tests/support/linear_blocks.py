"""A model whose blocks are affine maps of each token's state, so that every lens but the logit lens can be exact."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import torch
from torch import nn

from analysis_lib import models
from analysis_lib.activations.sites import Sites, into, out_of
from analysis_lib.models import LoadedModel
from analysis_lib.models.architectures import ARCHITECTURES, Architecture
from tests.support import tiny

NAME = "linear-blocks"


class LinearBlock(nn.Linear):
    """h becomes h + h M + c."""

    def forward(self, states):
        return states + super().forward(states)


class LinearBlocks(nn.Module):
    """Blocks after an embedding, and nothing else."""

    def __init__(self, vocab: int, width: int, layers: int):
        super().__init__()
        self.config = SimpleNamespace(
            model_type=NAME,
            vocab_size=vocab,
            hidden_size=width,
            num_hidden_layers=layers,
            max_position_embeddings=64,
            num_attention_heads=1,
        )
        self.embed = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(LinearBlock(width, width) for _ in range(layers))
        self.device = torch.device("cpu")

    @property
    def base_model(self):
        return self

    def forward(self, input_ids, attention_mask=None):
        states = self.embed(input_ids)
        for block in self.blocks:
            states = block(states)
        return states


def sites(model: LinearBlocks) -> Sites:
    written = [out_of(block) for block in model.blocks]
    return Sites(states=[into(model.blocks[0]), *written], patterns=written)


@contextmanager
def linear_blocks(width: int = 12, layers: int = 3) -> Iterator[LoadedModel]:
    """A random one with a tokenizer; the architecture is registered for as long as it is used."""
    models.register(NAME, Architecture(LinearBlocks, sites, lambda model: None, norm=None, causal=True))
    tokenizer = tiny.byte_level_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LinearBlocks(len(tokenizer), width, layers).eval()
    try:
        yield LoadedModel(model, tokenizer, NAME, "memory", NAME, "0")
    finally:
        del ARCHITECTURES[NAME]
