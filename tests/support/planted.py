"""Forty small GPT-2s with known heads, built by hand: what a head detector says of them can be held against what was planted.

Each model has two layers of four heads, no feed-forward part, and a residual stream of named slots: a token, a position, and what heads
write (the token before; the place of an earlier occurrence; the predicted token). The planted heads stand at random places, the others are
noise. The slots are turned by a random rotation that leaves the mean alone, so layer norm sees the same numbers and no weight can
be read off its axis.
"""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from analysis_lib.circuits import repeated_random_tokens
from tests.support.tiny_circuits import loaded

KINDS = (
    "induction by K-composition",
    "induction by Q-composition",
    "fixed offset",
    "duplicate token",
    "previous token",
    "none",
)
VOCAB, POSITIONS, HEADS, D_HEAD = 16, 32, 4, 32
WIDTH = HEADS * D_HEAD
TOKEN, PLACE, BEFORE, WHERE, PREDICTED = 0, VOCAB, VOCAB + POSITIONS, 2 * VOCAB + POSITIONS, 2 * (VOCAB + POSITIONS)
START = 0
CODE = D_HEAD - VOCAB  # slots of a head that a match of tokens leaves free
NORM = (WIDTH / 2) ** 0.5  # about what layer norm makes of the ones in a token's state
OWN = 0.7


@dataclass(frozen=True)
class Planted:
    """A model and what was planted in it: one of `KINDS`."""

    model: GPT2LMHeadModel
    kind: str
    seed: int

    @property
    def loaded(self):
        """As much of a LoadedModel as a study of ids reads."""
        return loaded(self.model)


def probe(seed):
    """A draw of the probe that fits these models."""
    return repeated_random_tokens(VOCAB, 24, block=6, gap=(0, 12), start=START, distinct=False, length=POSITIONS - 1, seed=seed)


def forty():
    """Forty models: seven of each of the first four kinds, six of the last two."""
    kinds = [kind for kind in KINDS for _ in range(7 if KINDS.index(kind) < 4 else 6)]
    return [build(kind, seed) for seed, kind in enumerate(kinds)]


def build(kind, seed):
    """One model of a kind; the seed draws where its heads stand, how sharp they are, and the noise."""
    rng = np.random.default_rng(seed)
    model = _blank()
    first, second = (int(head) for head in rng.integers(HEADS, size=2))
    layer = int(rng.integers(2))
    sharp = rng.uniform(9, 14)  # of a target above other keys: attention of .99 and more over thirty keys, without noise
    token, place = (TOKEN, VOCAB), (PLACE, POSITIONS)
    if kind == "induction by K-composition":
        _head(model, 0, first, _shift(1, sharp), token, BEFORE)
        _head(model, 1, second, _same(BEFORE, sharp), token, PREDICTED)
    elif kind == "induction by Q-composition":
        _head(model, 0, first, _same(TOKEN, sharp), place, WHERE, own=OWN)
        _head(model, 1, second, _next_place(sharp), token, PREDICTED)
    elif kind == "fixed offset":
        _head(model, layer, second, _shift(int(rng.integers(2, 14)), sharp), token, PREDICTED)
    elif kind == "duplicate token":
        _head(model, layer, second, _same(TOKEN, sharp), token, PREDICTED, own=OWN)
    elif kind == "previous token":
        _head(model, layer, second, _shift(1, sharp), token, PREDICTED)
    elif seed % 3 == 0:  # of nothing: the first position
        _head(model, layer, second, _first_place(sharp), token, PREDICTED)
    elif seed % 3 == 1:  # of nothing: another token, always the same one
        _head(model, layer, second, _same(TOKEN, sharp, np.roll(np.arange(VOCAB), int(rng.integers(1, VOCAB)))), token, PREDICTED)
    _noise(model, rng, rng.uniform(0, 0.1))
    _turn(model, rng)
    return Planted(model, kind, seed)


def _blank():
    """A GPT-2 that adds nothing to token and position."""
    config = GPT2Config(
        vocab_size=VOCAB, n_positions=POSITIONS, n_embd=WIDTH, n_layer=2, n_head=HEADS, n_inner=4, tie_word_embeddings=False,
        bos_token_id=START, eos_token_id=START,
    )  # fmt: skip
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight")) else 0.0)
        model.transformer.wte.weight[:, TOKEN : TOKEN + VOCAB] = torch.eye(VOCAB)
        model.transformer.wpe.weight[:, PLACE : PLACE + POSITIONS] = torch.eye(POSITIONS)
        model.lm_head.weight[:, PREDICTED : PREDICTED + VOCAB] = torch.eye(VOCAB)
    return model


def _head(model, layer, head, match, value, write, own=0.0):
    """Write one head: `match` gives what its queries and keys read, [width, slot] each; it copies slots of the stream to others.

    `own` lowers the score of the query's own place.
    """
    queries, keys = (side.clone() for side in match)
    if own:
        code = torch.cat([torch.eye(CODE), _hadamard(CODE) / CODE**0.5])  # 32 directions at |cosine| 1/4 or less
        queries[PLACE : PLACE + POSITIONS, -CODE:] = -(own**0.5) * code
        keys[PLACE : PLACE + POSITIONS, -CODE:] = own**0.5 * code
    start, size = value
    joined = model.transformer.h[layer].attn.c_attn.weight
    columns = slice(head * D_HEAD, (head + 1) * D_HEAD)
    with torch.no_grad():
        joined[:, :WIDTH][:, columns] = queries
        joined[:, WIDTH : 2 * WIDTH][:, columns] = keys
        joined[start : start + size, 2 * WIDTH :][:, columns][:, :size] = torch.eye(size)
        model.transformer.h[layer].attn.c_proj.weight[columns, write : write + size][:size] = torch.eye(size) / NORM


def _reading(queries, keys, n_slots, sharp):
    """Slot j is read from the rows `queries[j]` of the stream and, for keys, from the rows `keys[j]`; a match scores `sharp`."""
    found = torch.zeros(2, WIDTH, D_HEAD)
    size = (sharp * D_HEAD**0.5) ** 0.5 / NORM
    for side, rows in zip(found, (queries, keys), strict=True):
        for slot in range(n_slots):
            for row in rows[slot]:
                side[row, slot] = size
    return found[0], found[1]


def _shift(offset, sharp):
    """Position i asks for position i - offset, and for the first where there is none."""
    rows = [[PLACE + slot + offset] if slot + offset < POSITIONS else [] for slot in range(POSITIONS)]
    rows[0] = [PLACE + place for place in range(offset + 1)]
    return _reading(rows, [[PLACE + slot] for slot in range(POSITIONS)], POSITIONS, sharp)


def _same(start, sharp, order=None):
    """A token asks for keys with its own number in the slots from `start`, or with the number that `order` gives it."""
    order = range(VOCAB) if order is None else order
    return _reading([[TOKEN + slot] for slot in range(VOCAB)], [[start + int(slot)] for slot in order], VOCAB, sharp)


def _next_place(sharp):
    """The place after the one that the query's stream names."""
    rows = [[] if slot == 0 else [WHERE + slot - 1] for slot in range(POSITIONS)]
    return _reading(rows, [[PLACE + slot] for slot in range(POSITIONS)], POSITIONS, sharp)


def _first_place(sharp):
    """Every position asks for the first."""
    return _reading([[PLACE + place for place in range(POSITIONS)]], [[PLACE]], 1, sharp)


def _noise(model, rng, size):
    """Add normal numbers to all matrices of attention."""
    with torch.no_grad():
        for block in model.transformer.h:
            for weight in (block.attn.c_attn.weight, block.attn.c_proj.weight):
                scale = size if weight is block.attn.c_attn.weight else size / NORM
                weight += scale * torch.from_numpy(rng.standard_normal(tuple(weight.shape))).float()


def _turn(model, rng):
    """Turn the residual stream by a random rotation that leaves the vector of ones as it is, so that layer norm commutes with it."""
    ones = np.linalg.qr(np.column_stack([np.ones(WIDTH), rng.standard_normal((WIDTH, WIDTH - 1))]))[0]
    inner = np.linalg.qr(rng.standard_normal((WIDTH - 1, WIDTH - 1)))[0]
    turn = ones @ np.block([[np.ones((1, 1)), np.zeros((1, WIDTH - 1))], [np.zeros((WIDTH - 1, 1)), inner]]) @ ones.T
    turn = torch.from_numpy(turn).float()
    with torch.no_grad():
        for embedding in (model.transformer.wte, model.transformer.wpe, model.lm_head):
            embedding.weight.copy_(embedding.weight @ turn)
        for block in model.transformer.h:
            block.attn.c_attn.weight.copy_(turn.T @ block.attn.c_attn.weight)
            block.attn.c_proj.weight.copy_(block.attn.c_proj.weight @ turn)


def _hadamard(n):
    found = torch.ones(1, 1)
    while len(found) < n:
        found = torch.cat([torch.cat([found, found], 1), torch.cat([found, -found], 1)])
    return found
