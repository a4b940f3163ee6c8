"""minigpt-polish: two layers of attention alone on the Polish corpus, of notebook 002's size.

    python -m training.minigpt_polish --work training/runs --tokens 4e6
    python -m training.minigpt_polish --work training/runs --export

Text, tokens and tokenizer are polish-gpt2-mini's, and so is bf16 autocast; the learning rate warms up over 100,000 tokens and falls
from 40% of the run on; the softmax is exact. Batches have 4 x 256 tokens. Muon on the heads' matrices, AdamW on embedding and
positions; embedding rows no longer than ``NORM_CAP``. The same command resumes. The second command writes
``analysis_lib/checkpoints/minigpt-polish``.
"""

import json
import platform
import shutil

import torch
from transformers import GPT2TokenizerFast

from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig
from training.command import options_of, parsed
from training.evaluate import evaluate_gpt2
from training.export import CHECKPOINTS, interval
from training.folders import replaced
from training.loop import (
    ChunkedCrossEntropy,
    autocast,
    cap_norms,
    compute_type,
    even_starts,
    load_ids,
    load_weights,
    read_state,
    train,
    trim_log,
)
from training.muon import Muon
from training.polish_gpt2 import CONTEXT, epoch_starts, windows
from training.tokens import read_documents

NAME = "minigpt-polish"
TEXT = "polish-gpt2-mini"  # the folder of its tokens and its tokenizer
NORM_CAP = 3.0
TOKENS = 4e6
# Without a layer norm the embedding's own length carries frequencies, and it has to grow fast. Held-out loss after 300,000 tokens
# with Muon at 0.02: 7.73 at a rate of 2e-3, 7.37 at 1e-2, 7.07 at 2e-2 (unigram entropy 7.66). AdamW on everything: 7.28 at 1e-2.
TABLE_RATE = 2e-2


def configuration(vocab_size=16384):
    """Notebook 002's width and heads, with this book's vocabulary and context."""
    return MiniGPTConfig(
        vocab_size=vocab_size,
        n_positions=CONTEXT,
        d_model=256,
        n_heads=8,
        n_layers=2,
        tie_word_embeddings=True,
        embedding_std=0.05,
        position_std=1.0,
        bos_token_id=0,
        eos_token_id=0,
    )


def optimizers_for(model):
    """Muon for the heads' matrices, AdamW for embedding and positions."""
    return [
        Muon(list(model.blocks.parameters()), dtype=compute_type(model.embed.weight.device)),
        torch.optim.AdamW([model.embed.weight, model.positions.weight], lr=TABLE_RATE, betas=(0.9, 0.98), weight_decay=0.1, fused=True),
    ]


def loss_of(model, batch, chunk=512, fused=False):
    """Mean next-token loss of windows [batch, CONTEXT + 1], in nats."""
    states, _ = model.residual_stream(batch[:, :-1])
    return ChunkedCrossEntropy.apply(states[-1].flatten(0, 1).float(), model.unembed.weight, None, batch[:, 1:].flatten(), chunk, fused)


def restore(folder):
    """Model and progress of the state that a run last saved."""
    path = folder / "state.safetensors"
    weights, _, progress, _ = read_state(path)
    model = MiniGPT(configuration(len(weights["embed.weight"])))
    load_weights(model, weights, path)
    return model.eval(), progress


def export(work, seed, device, note=""):
    """Write the checkpoint folder from the run's last state, measured as it is shipped; returns its path.

    ``seed`` is for a state of before the seed was saved with it.
    """
    model, progress = restore(work / NAME)
    seed = progress.get("seed", seed)
    model = model.half().float()  # what is measured is what is shipped
    torch.manual_seed(seed + 1)
    untrained = MiniGPT(model.config).eval()
    train_ids, heldout_ids = (load_ids(work / TEXT / f"{split}.bin") for split in ("train", "heldout"))
    text = "\n".join(p for document in read_documents(work / "heldout.jsonl") for p in document)
    figures = evaluate_gpt2(model, untrained, train_ids, heldout_ids, text)
    manifest = json.loads((work / "manifest.json").read_text(encoding="utf-8"))
    run = {**progress, "seed": seed, "device": device, "train_tokens": len(train_ids), "note": note}
    run |= {key: manifest[key] for key in ("train_words", "sources")}
    with replaced(CHECKPOINTS, NAME) as scratch:
        model.half().save_pretrained(scratch)
        GPT2TokenizerFast.from_pretrained(work / TEXT / "tokenizer").save_pretrained(scratch)
        shutil.copy(work / NAME / "log.csv", scratch / "training_log.csv")
        trim_log(scratch / "training_log.csv", progress["tokens"])  # a run that goes on has logged more meanwhile
        (scratch / "evaluation.json").write_text(json.dumps({**figures, "run": run}, indent=1) + "\n", encoding="utf-8")
        (scratch / "README.md").write_text(card(model, figures, run), encoding="utf-8")
    return CHECKPOINTS / NAME


def card(model, figures, run):
    """Model card in Markdown."""
    lines = [
        "---",
        "language: pl",
        "license: cc-by-4.0",
        "---",
        f"# {NAME}",
        "",
        f"`MiniGPT`, {sum(p.numel() for p in model.parameters()):,} parameters, made for this book by `training/minigpt_polish.py`:",
        "two layers of attention alone, of the size that notebook 002 studies, with the text and the tokenizer of polish-gpt2-mini.",
        "",
        "| | |",
        "|---|---|",
        f"| data | {run['train_words'] / 1e6:.1f} million words of {len(run['sources'])} sources, which the card of {TEXT} lists |",
        "| licence | CC BY 4.0 |",
        f"| tokens seen | {run['tokens']:,} ({run['tokens'] / run['train_tokens']:.2f} passes over {run['train_tokens']:,}) |",
        f"| held-out loss | {interval(figures['heldout_loss'])} nats a next token |",
        f"| the same | {figures['nats_per_word']:.3f} nats a word, {figures['nats_per_character']:.3f} nats a character |",
        f"| unigram | entropy {figures['unigram_entropy']:.3f}, "
        f"held-out cross entropy {figures['unigram_heldout_loss']:.3f} nats a token |",
        f"| untrained | {figures['untrained_heldout_loss']:.3f} nats a token |",
        f"| under the unigram loss | {figures['under_unigram_loss']:.3f} nats |",
        f"| device, wall time | {run['device']}; {run['seconds'] / 60:.0f} minutes |",
        f"| seed | {run['seed']} |",
        *([f"| the run | {run['note']} |"] if run["note"] else []),
        "| precision | float16 on disk, trained with bf16 autocast over float32 weights |",
        "",
        "The loss curve is in `training_log.csv`, all figures in `evaluation.json`. Square brackets hold 95% intervals, bootstraps over",
        "held-out windows; the held-out set is 3 novels and 10 textbook modules, whole documents never trained on.",
        "",
        f"Limits: a very small model trained briefly on the text of {TEXT}, to have the measurements of",
        "two-layer attention on natural text beside those on synthetic sequences. Not for use outside this book.",
        "",
    ]
    return "\n".join(lines)


def main(arguments=None):
    parser = options_of(__doc__, tokens=TOKENS, compiled="the blocks: faster on a CPU")
    parser.add_argument("--batch", default=4, type=int)
    parser.add_argument("--export", action="store_true", help="write the checkpoint of the last saved state")
    parser.add_argument("--device-name", default=f"CPU, {platform.machine()}", help="for the card")
    parser.add_argument("--note", default="", help="what the card should say of the run besides its settings")
    options = parsed(parser, arguments)
    if options.export:
        print((export(options.work, options.seed, options.device_name, options.note) / "README.md").read_text(encoding="utf-8"))
        return
    ids, heldout = (load_ids(options.work / TEXT / f"{split}.bin") for split in ("train", "heldout"))
    folder = options.work / NAME
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    model = MiniGPT(configuration(len(GPT2TokenizerFast.from_pretrained(options.work / TEXT / "tokenizer")))).to(options.device)
    if options.compile:
        for block in model.blocks:
            block.compile()
    check = windows(heldout, even_starts(len(heldout), 64, CONTEXT + 1)).to(options.device)
    chunk = 512 if options.device == "cpu" else 8192

    def batch_loss(_step, tokens):
        starts = epoch_starts(len(ids), options.batch, tokens // CONTEXT, options.seed)
        return loss_of(model, windows(ids, starts).to(options.device), chunk, options.compile), options.batch * CONTEXT

    @torch.no_grad()
    def heldout_loss():
        with autocast(options.device):
            return float(torch.stack([loss_of(model, part, chunk, options.compile) for part in check.split(4)]).mean())

    progress = train(
        folder,
        model,
        optimizers_for(model),
        batch_loss,
        heldout_loss,
        total=options.tokens,
        warmup=100_000,
        decay_from=0.4,
        after_step=lambda: cap_norms(model.embed.weight, NORM_CAP),
        device=options.device,
        settings={"seed": options.seed},
    )
    print(progress)


if __name__ == "__main__":
    main()
