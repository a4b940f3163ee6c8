"""polish-gpt2-mini: a GPT-2 on the Polish corpus.

    python -m training.polish_gpt2 --work training/runs --tokens 100e6

Muon on the blocks' matrices, AdamW on the rest; embedding rows no longer than ``NORM_CAP``. While the learning rate is
constant the softmax of the loss is estimated from a sample of the vocabulary, afterwards it is exact. The same command
resumes; ``--continue-from`` starts from an exported checkpoint.
"""

from functools import lru_cache, partial

import numpy as np
import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

from training.attention import use_plain_attention
from training.command import add_shape, options_of, parsed, train_shaped
from training.loop import autocast, cap_norms, compute_type, even_starts, load_ids, sampled_columns, token_loss
from training.muon import Muon, remaining_groups

CONTEXT = 256
NORM_CAP = 1.6  # the median row of an unbounded run had norm 1.4, its longest 6.9
BATCHES = [(4e6, 8), (float("inf"), 16)]  # (up to how many tokens, windows a batch): early on more steps serve better
DECAY_FROM = 0.7


def configuration(vocab_size, layers=6, width=256, heads=8):
    """The model's configuration; ``gelu_fast`` as in the hub model."""
    return GPT2Config(
        vocab_size=vocab_size,
        n_positions=CONTEXT,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        activation_function="gelu_fast",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=True,
    )


def build(config, seed):
    """A fresh model; the activation replaced by the fused kernel of the same function for speed."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config)
    for block in model.transformer.h:
        block.mlp.act = nn.GELU(approximate="tanh")
    return model


def optimizers_for(model):
    """Muon for the blocks' matrices (queries, keys and values apart), AdamW for embeddings, gains and biases."""
    fused = [block.attn.c_attn.weight for block in model.transformer.h]
    single = [w for block in model.transformer.h for w in (block.attn.c_proj.weight, block.mlp.c_fc.weight, block.mlp.c_proj.weight)]
    return [
        Muon([{"params": fused, "parts": 3}, {"params": single}], dtype=compute_type(fused[0].device)),
        torch.optim.AdamW(remaining_groups(model, fused + single, 0.1), lr=2e-3, betas=(0.9, 0.98), fused=True),
    ]


def windows(ids, starts):
    """Token windows [batch, CONTEXT + 1] at the given starts."""
    return torch.stack([torch.from_numpy(ids[s : s + CONTEXT + 1].astype("int64")) for s in starts])


def loss_of(model, batch, chunk=512, fused=False, columns=None):
    """Mean next-token loss of windows [batch, CONTEXT + 1], in nats; ``columns`` as in `token_loss`."""
    hidden = model.transformer(batch[:, :-1]).last_hidden_state.flatten(0, 1).float()
    return token_loss(hidden, model.lm_head.weight, None, batch[:, 1:].flatten(), chunk, fused, columns)


def epoch_starts(n_tokens, batch, first, seed):
    """Starts of ``batch`` windows from the ``first`` on: an epoch has every window once, shuffled, its grid shifted."""
    per_epoch = (n_tokens - CONTEXT - 1) // CONTEXT - 1
    starts = []
    for window in range(first, first + batch):
        epoch, place = divmod(window, per_epoch)
        generator = torch.Generator().manual_seed(seed * 1000 + epoch)
        shift = int(torch.randint(CONTEXT, (1,), generator=generator))
        starts.append(int(epoch_order(per_epoch, seed, epoch)[place]) * CONTEXT + shift)
    return starts


@lru_cache(maxsize=2)
def epoch_order(per_epoch, seed, epoch):
    """The order of an epoch's windows."""
    return torch.randperm(per_epoch, generator=torch.Generator().manual_seed(seed * 1000 + epoch))


def batch_at(tokens):
    """Windows of the batch that begins after ``tokens``."""
    return next(batch for end, batch in BATCHES if tokens < end)


def main(arguments=None):
    parser = options_of(__doc__, tokens=100e6, compiled="the blocks: 1.5 times as fast on a CPU")
    add_shape(parser)
    parser.add_argument("--columns", default=5120, type=int, help="of the estimated softmax; 0: always exact")
    options = parsed(parser, arguments)
    folder = options.work / "polish-gpt2-mini"
    ids, heldout = load_ids(folder / "train.bin"), load_ids(folder / "heldout.bin")
    vocab_size = len(GPT2TokenizerFast.from_pretrained(folder / "tokenizer"))
    model = build(configuration(vocab_size, options.layers, options.width, options.heads), options.seed).to(options.device)
    if options.device == "cpu":
        use_plain_attention(model)
    if options.compile:
        model.transformer.compile()
    check = windows(heldout, even_starts(len(heldout), 64, CONTEXT + 1)).to(options.device)
    chunk = 512 if options.device == "cpu" else 8192
    order = torch.from_numpy(np.argsort(-np.bincount(ids, minlength=vocab_size), kind="stable"))

    def batch_loss(step, tokens):
        batch = batch_at(tokens)
        text = windows(ids, epoch_starts(len(ids), batch, tokens // CONTEXT, options.seed)).to(options.device)
        columns = None
        if options.columns and tokens < DECAY_FROM * options.tokens:
            generator = torch.Generator().manual_seed(options.seed * 10_000_019 + step)
            columns = partial(sampled_columns, order, n_columns=options.columns, generator=generator)
        return loss_of(model, text, chunk, options.compile, columns), batch * CONTEXT

    @torch.no_grad()
    def heldout_loss():
        with autocast(options.device):
            return float(torch.stack([loss_of(model, part, chunk, options.compile) for part in check.split(16)]).mean())

    train_shaped(
        options,
        folder,
        model,
        optimizers_for(model),
        batch_loss,
        heldout_loss,
        decay_from=DECAY_FROM,
        after_step=lambda: cap_norms(model.transformer.wte.weight, NORM_CAP),
    )


if __name__ == "__main__":
    main()
