"""polish-gpt2-mini: a GPT-2 on the Polish corpus.

    python -m training.polish_gpt2 --work training/runs --tokens 24e6

Muon on the blocks' matrices, AdamW on the rest, batches of 4 x 256 tokens, bf16
autocast; embedding rows no longer than ``NORM_CAP``. The same command resumes.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel

from training.loop import ChunkedCrossEntropy, autocast, cap_norms, load_ids, train

CONTEXT = 256
NORM_CAP = 1.6  # the median row of an unbounded run had norm 1.4, its longest 6.9


def configuration(vocab_size, layers=4, width=192, heads=6):
    """The model's configuration; ``gelu_fast`` as in the hub model."""
    return GPT2Config(
        vocab_size=vocab_size, n_positions=CONTEXT, n_embd=width, n_layer=layers, n_head=heads,
        activation_function="gelu_fast", resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0, tie_word_embeddings=True,
    )


def build(config, seed):
    """A fresh model; the activation replaced by the fused kernel of the same function for speed."""
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(config)
    for block in model.transformer.h:
        block.mlp.act = nn.GELU(approximate="tanh")
    return model


def optimizers_for(model):
    """Muon for the blocks' matrices, AdamW for embeddings, gains and biases."""
    matrices = [p for n, p in model.named_parameters() if ".h." in n and p.ndim == 2]
    inside = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in inside]
    tables, vectors = [p for p in others if p.ndim == 2], [p for p in others if p.ndim == 1]
    return [
        torch.optim.Muon(matrices, lr=0.02, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW(
            [{"params": tables, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=2e-3, betas=(0.9, 0.98), fused=True
        ),
    ]


def windows(ids, starts):
    """Token windows [batch, CONTEXT + 1] at the given starts."""
    return torch.stack([torch.from_numpy(ids[s : s + CONTEXT + 1].astype("int64")) for s in starts])


def loss_of(model, batch, chunk=512, fused=False):
    """Mean next-token loss of windows [batch, CONTEXT + 1], in nats."""
    hidden = model.transformer(batch[:, :-1]).last_hidden_state.flatten(0, 1).float()
    return ChunkedCrossEntropy.apply(hidden, model.lm_head.weight, None, batch[:, 1:].flatten(), chunk, fused)


def epoch_starts(n_tokens, batch, step, seed):
    """Starts of one batch: every window of an epoch once, in a shuffled order, with a shifted grid each epoch."""
    per_epoch = (n_tokens - CONTEXT - 1) // CONTEXT - 1
    epoch, place = divmod(step * batch, per_epoch - per_epoch % batch)
    generator = torch.Generator().manual_seed(seed * 1000 + epoch)
    shift = int(torch.randint(CONTEXT, (1,), generator=generator))
    order = torch.randperm(per_epoch, generator=generator)
    return (order[place : place + batch] * CONTEXT + shift).tolist()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--tokens", default=24e6, type=float)
    parser.add_argument("--batch", default=4, type=int)
    parser.add_argument("--layers", default=4, type=int)
    parser.add_argument("--width", default=192, type=int)
    parser.add_argument("--heads", default=6, type=int)
    parser.add_argument("--vocab", default=16384, type=int)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", default=0, type=int)
    parser.add_argument("--compile", action="store_true", help="torch.compile the blocks: 1.5 times as fast on a CPU, needs a C++ compiler")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = options.work / "polish-gpt2-mini"
    ids, heldout = load_ids(folder / "train.bin"), load_ids(folder / "heldout.bin")
    model = build(configuration(options.vocab, options.layers, options.width, options.heads), options.seed).to(options.device)
    if options.compile:
        model.transformer.compile()
    check = windows(heldout, range(0, 64 * 4800, 4800)).to(options.device)
    chunk = 512 if options.device == "cpu" else 8192

    def batch_loss(_step, tokens):
        starts = epoch_starts(len(ids), options.batch, tokens // (options.batch * CONTEXT), options.seed)
        return loss_of(model, windows(ids, starts).to(options.device), chunk, options.compile), options.batch * CONTEXT

    @torch.no_grad()
    def heldout_loss():
        with autocast(options.device):
            return float(torch.stack([loss_of(model, part, chunk, options.compile) for part in check.split(options.batch)]).mean())

    progress = train(
        folder, model, optimizers_for(model), batch_loss, heldout_loss, total=options.tokens, warmup=200_000,
        after_step=lambda: cap_norms(model.transformer.wte.weight, NORM_CAP), device=options.device,
    )
    print(progress)


if __name__ == "__main__":
    main()
