"""Turn a run into an embedded checkpoint: float16 weights, tokenizer, figures, card.

    python -m training.export --work training/runs --model polish-gpt2-mini

writes ``analysis_lib/checkpoints/<model>/``: the old folder is replaced only when
the new one is whole. A run that is not done goes to a folder of its own with
``--to training/checkpoints``, from which ``--continue-from`` takes it up again.
"""

import argparse
import json
import platform
import re
import shutil
from pathlib import Path

import torch
from transformers import BertForMaskedLM, GPT2LMHeadModel, GPT2TokenizerFast, HerbertTokenizer

from training import herbert, polish_gpt2
from training.evaluate import evaluate_gpt2, evaluate_herbert, heldout_losses, heldout_sources
from training.folders import copy_whole, replaced
from training.loop import check_heads, layers_of, load_ids, load_weights, read_state, trim_log
from training.tokens import MODELS, read_documents

CHECKPOINTS = Path(__file__).parents[1] / "analysis_lib" / "checkpoints"
MAX_SHARD = "12MB"  # hosts of repositories warn of large files, and some refuse them
KINDS = {
    "polish-gpt2-mini": (polish_gpt2, GPT2LMHeadModel, GPT2TokenizerFast),
    "herbert-mini": (herbert, BertForMaskedLM, HerbertTokenizer),
}


def restore(name, folder, heads):
    """Model, tokenizer and progress of the state that a run last saved."""
    recipe, kind, tokenizer_kind = KINDS[name]
    path = folder / "state.safetensors"
    weights, _, progress, saved_heads = read_state(path)
    table = next(v for k, v in weights.items() if k.endswith(("wte.weight", "word_embeddings.weight")))
    model = kind(recipe.configuration(table.shape[0], layers_of(weights), table.shape[1], heads))
    check_heads(model, saved_heads, path)
    load_weights(model, weights, path)
    return model.eval(), tokenizer_kind.from_pretrained(folder / "tokenizer"), progress


def evaluate(name, model, tokenizer, folder, seed):
    """Held-out figures of the model beside an untrained one of the same configuration."""
    torch.manual_seed(seed + 1)
    untrained = type(model)(model.config).eval()
    text = "\n".join(p for document in read_documents(folder.parent / "heldout.jsonl") for p in document)
    train_ids, heldout_ids = (load_ids(folder / f"{split}.bin") for split in ("train", "heldout"))
    by_source = {"heldout_loss_by_source": dict(heldout_losses(name, model, tokenizer, heldout_sources(folder)))}
    if name == "polish-gpt2-mini":
        return evaluate_gpt2(model, untrained, train_ids, heldout_ids, text) | by_source
    return evaluate_herbert(model, untrained, tokenizer, train_ids, heldout_ids, text) | by_source


def interval(figure, scale=1.0, digits=3, unit=""):
    """'mean [low, high]' of a bootstrapped figure, with the unit after the mean; the card says that brackets hold 95% intervals."""
    return "{:.{d}f}{unit} [{:.{d}f}, {:.{d}f}]".format(*(scale * figure[k] for k in ("mean", "low", "high")), d=digits, unit=unit)


def card(name, model, figures, run):
    """Model card in Markdown."""
    loss = "next token" if name == "polish-gpt2-mini" else "masked token"
    lines = [
        "---",
        "language: pl",
        "license: cc-by-4.0",
        "---",
        f"# {name}",
        "",
        f"`{type(model).__name__}`, {sum(p.numel() for p in model.parameters()):,} parameters, made for this book by "
        f"`training/{'polish_gpt2' if name == 'polish-gpt2-mini' else 'herbert'}.py`.",
        "",
        "| | |",
        "|---|---|",
        f"| data | {run['train_words'] / 1e6:.1f} million words of {len(run['sources'])} sources, see below |",
        "| licence | CC BY 4.0; of the training text, the pages of Wikisource have free licences that are not known page by page |",
        f"| tokens seen | {run['tokens']:,} ({run['tokens'] / run['train_tokens']:.2f} passes over {run['train_tokens']:,}) |",
        f"| held-out loss | {interval(figures['heldout_loss'])} nats a {loss} |",
        f"| the same | {figures['nats_per_word']:.3f} nats a word, {figures['nats_per_character']:.3f} nats a character |",
        f"| unigram | entropy {figures['unigram_entropy']:.3f}, "
        f"held-out cross entropy {figures['unigram_heldout_loss']:.3f} nats a token |",
        f"| untrained | {figures['untrained_heldout_loss']:.3f} nats a token |",
        f"| under the unigram loss | {figures['under_unigram_loss']:.3f} nats |",
    ]
    if "top10" in figures:
        lines += [
            f"| masked token is the first guess | {interval(figures['top1'], 100, 1, '%')}; "
            f"unigram {interval(figures['unigram_top1'], 100, 1, '%')} |",
            f"| masked token among the first ten | {interval(figures['top10'], 100, 1, '%')}; "
            f"unigram {interval(figures['unigram_top10'], 100, 1, '%')}; untrained {100 * figures['untrained_top10']:.1f}% |",
        ]
    lines += [
        f"| device, wall time | {run['device']}; {run['seconds'] / 3600:.2f} hours |",
        f"| seed | {run['seed']} |",
        *([f"| the run | {run['note']} |"] if run.get("note") else []),
        "| precision | float16 on disk; trained in float32, with bf16 autocast where the device multiplies bf16 natively |",
        "",
        "| source | words | licence | repository and commit | held-out loss |",
        "|---|---|---|---|---|",
        *source_rows(figures["heldout_loss_by_source"], run["sources"]),
        "",
        "The loss curve is in `training_log.csv`, all figures in `evaluation.json`. Square brackets hold 95% intervals, bootstraps over",
        "held-out windows; the held-out set is 3 novels and 10 textbook modules, whole documents never trained on. Losses by",
        f"source are those of a second held-out set, whole documents of the newer sources, in nats a {loss}.",
        "",
        "Limits: a small model trained briefly. It shows how the book's methods work on a real, trained Polish model that",
        "anyone can load at once; it says little about large models. Half of its Polish or more is that of 1840-1939, with the",
        "views of their time, the rest that of law, parliament, textbooks and manuals. Not for use outside this book.",
        "",
    ]
    return "\n".join(lines)


def source_rows(losses, sources):
    """Rows of the card's table of sources; the older sources have their losses in the first table."""

    def loss(source):
        if source["source"] in losses:
            return f"{losses[source['source']]:.3f}"
        return "see above" if source.get("heldout_words") else "none held out"

    def origin(source):
        return re.sub(r"\b([0-9a-f]{10})[0-9a-f]{30}\b", r"\1", source["origin"])  # a whole commit would fill the table

    return [f"| {s['source']} | {s['train_words']:,} | {s['licence']} | {origin(s)} | {loss(s)} |" for s in sources]


def export(name, work, heads, seed, device, note="", checkpoints=None):
    """Write the folder of one model below ``checkpoints``, by default the embedded ones; returns its path.

    ``seed`` is for a state of before the seed was saved with it.
    """
    checkpoints = CHECKPOINTS if checkpoints is None else checkpoints
    folder = work / name
    model, tokenizer, progress = restore(name, folder, heads)
    seed = progress.get("seed", seed)
    model = model.half().float()  # what is measured is what is shipped
    figures = evaluate(name, model, tokenizer, folder, seed)
    manifest = json.loads((work / "manifest.json").read_text(encoding="utf-8"))
    run = {**progress, "seed": seed, "device": device, "train_tokens": len(load_ids(folder / "train.bin")), "note": note}
    run |= {key: manifest[key] for key in ("train_words", "sources")}
    with replaced(checkpoints, name) as scratch:
        model.half().save_pretrained(scratch, max_shard_size=MAX_SHARD)
        tokenizer.save_pretrained(scratch)
        shutil.copy(folder / "log.csv", scratch / "training_log.csv")
        for measured in ("development.csv", "token_counts.npz"):
            if (folder / measured).exists():
                shutil.copy(folder / measured, scratch / measured)
        for table in ("training_log.csv", "development.csv"):
            trim_log(scratch / table, progress["tokens"])  # a run that goes on has logged and measured more meanwhile
        (scratch / "evaluation.json").write_text(json.dumps({**figures, "run": run}, indent=1) + "\n", encoding="utf-8")
        (scratch / "README.md").write_text(card(name, model, figures, run), encoding="utf-8")
    copy_whole(work / "manifest.json", checkpoints / "corpus.json")
    return checkpoints / name


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--heads", default=8, type=int)
    parser.add_argument("--seed", default=0, type=int, help="of a run whose state does not say")
    parser.add_argument("--to", type=Path, help="folder of checkpoints; the embedded ones by default")
    parser.add_argument("--device-name", default=f"CPU, {platform.machine()}")
    parser.add_argument("--note", default="", help="what the card should say of the run besides its settings")
    options = parser.parse_args(arguments)
    target = export(options.model, options.work, options.heads, options.seed, options.device_name, options.note, options.to)
    print((target / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
