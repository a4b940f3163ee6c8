"""minigpt-polish: two layers of attention alone on the Polish corpus, of notebook 002's size.

    python -m training.minigpt_polish --work training/runs --tokens 4e6

Text, tokens and tokenizer are polish-gpt2-mini's, and so are the batches (4 x 256 tokens), the schedule and bf16
autocast. Muon on the heads' matrices, AdamW on embedding and positions; embedding rows no longer than
``NORM_CAP``. The same command resumes.
"""

import argparse
from pathlib import Path

import torch

from analysis_lib.minigpt import MiniGPT, MiniGPTConfig
from training.loop import ChunkedCrossEntropy, autocast, cap_norms, load_ids, train
from training.polish_gpt2 import CONTEXT, epoch_starts, windows

NAME = "minigpt-polish"
TEXT = "polish-gpt2-mini"  # the folder of its tokens and its tokenizer
NORM_CAP = 3.0
# Without a layer norm the embedding's own length carries frequencies, and it has to grow fast. Held-out loss after 300,000 tokens
# with Muon at 0.02: 7.73 at a rate of 2e-3, 7.37 at 1e-2, 7.07 at 2e-2 (unigram entropy 7.66). AdamW on everything: 7.28 at 1e-2.
TABLE_RATE = 2e-2


def configuration(vocab_size=16384):
    """Notebook 002's width and heads, with this book's vocabulary and context."""
    return MiniGPTConfig(
        vocab_size=vocab_size, n_positions=CONTEXT, d_model=256, n_heads=8, n_layers=2, tie_word_embeddings=True,
        embedding_std=0.05, position_std=1.0, bos_token_id=0, eos_token_id=0,
    )


def optimizers_for(model):
    """Muon for the heads' matrices, AdamW for embedding and positions."""
    return [
        torch.optim.Muon(list(model.blocks.parameters()), lr=0.02, momentum=0.95, weight_decay=0.02),
        torch.optim.AdamW([model.embed.weight, model.positions.weight], lr=TABLE_RATE, betas=(0.9, 0.98), weight_decay=0.1, fused=True),
    ]


def loss_of(model, batch, chunk=512, fused=False):
    """Mean next-token loss of windows [batch, CONTEXT + 1], in nats."""
    states, _ = model.residual_stream(batch[:, :-1])
    return ChunkedCrossEntropy.apply(states[-1].flatten(0, 1).float(), model.unembed.weight, None, batch[:, 1:].flatten(), chunk, fused)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--tokens", default=4e6, type=float)
    parser.add_argument("--batch", default=4, type=int)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", default=0, type=int)
    parser.add_argument("--compile", action="store_true", help="torch.compile the blocks: faster on a CPU, needs a C++ compiler")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    ids, heldout = (load_ids(options.work / TEXT / f"{split}.bin") for split in ("train", "heldout"))
    folder = options.work / NAME
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    model = MiniGPT(configuration()).to(options.device)
    if options.compile:
        for block in model.blocks:
            block.compile()
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
        folder, model, optimizers_for(model), batch_loss, heldout_loss, total=options.tokens, warmup=100_000,
        after_step=lambda: cap_norms(model.embed.weight, NORM_CAP), device=options.device,
    )
    print(progress)


if __name__ == "__main__":
    main()
