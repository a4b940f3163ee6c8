"""A MiniGPT whose weights are written by hand so that it is an induction circuit and nothing else."""

from types import SimpleNamespace

import torch

from analysis_lib import weights
from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig

VOCAB, POSITIONS, WIDTH = 12, 24, 60
D_HEAD = WIDTH // 2
SHARP = 40.0  # difference of scores between a head's target and any other key: attention elsewhere is below 1e-15
START = 0


def induction_model(gain: float = 12.0) -> MiniGPT:
    """Two layers of two heads: a previous-token head and an induction head, each beside a head of zeros.

    The residual stream has three parts, for a token, for the token before it and for the predicted token, each with one number for every
    token of the vocabulary. L0H0 attends to the position before and copies its token to the second part; L1H0 looks for keys whose
    second part holds the query's token, and copies their token to the third, which the unembedding reads.
    """
    config = MiniGPTConfig(vocab_size=VOCAB, n_positions=POSITIONS, d_model=WIDTH, n_heads=2, n_layers=2)
    config._attn_implementation = "eager"
    model = MiniGPT(config).eval()
    token, before, predicted = torch.eye(WIDTH)[:VOCAB], torch.eye(WIDTH)[VOCAB : 2 * VOCAB], torch.eye(WIDTH)[2 * VOCAB : 3 * VOCAB]
    place = torch.eye(WIDTH)[3 * VOCAB : 3 * VOCAB + POSITIONS]
    slots = torch.eye(D_HEAD)
    sharp = (SHARP * D_HEAD**0.5) ** 0.5
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embed.weight.copy_(token)
        model.positions.weight.copy_(place)
        model.unembed.weight.copy_(gain * predicted)
        first, second = (block.attn for block in model.blocks)
        # Linear weights are [out, in], and head 0 has the first D_HEAD outputs
        first.query.weight[:D_HEAD] = sharp * slots[: POSITIONS - 1].T @ place[1:]  # position i asks for i - 1
        first.key.weight[:D_HEAD] = sharp * slots[:POSITIONS].T @ place
        first.value.weight[:D_HEAD] = slots[:VOCAB].T @ token
        first.output.weight[:, :D_HEAD] = before.T @ slots[:VOCAB]
        second.query.weight[:D_HEAD] = sharp * slots[:VOCAB].T @ token
        second.key.weight[:D_HEAD] = sharp * slots[:VOCAB].T @ before
        second.value.weight[:D_HEAD] = slots[:VOCAB].T @ token
        second.output.weight[:, :D_HEAD] = predicted.T @ slots[:VOCAB]
    return model


def induction_weights():
    """Its weights in the notation."""
    return weights.weights_of(induction_model())


def loaded(model):
    """As much of a LoadedModel as a study of ids or of points reads."""
    return SimpleNamespace(model=model)
