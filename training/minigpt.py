"""minigpt-induction: two layers of attention alone, trained on synthetic sequences until they hold an induction circuit.

    python -m training.minigpt --work training/runs --seed 0
    python -m training.minigpt --work training/runs --export

The first trains one seed (minutes on one CPU thread); the second trains those of the five seeds that are missing, measures
all and writes ``analysis_lib/checkpoints/minigpt-induction``.

A run has three stages. In the first, on long repeated blocks (``circuits.repeats``), the circuit forms; its heads then wait for two known
symbols and depend on where a block stands. In the second, on repetitions of every kind (``circuits.varied_repeats``), they learn to go by
one symbol, anywhere. In the third repetition is nearly certain, and weight decay keeps values small, so that attention has to be given
whole.

Which seed is shipped was settled before the five were trained: the one whose induction score after the first stage is the median of the
five, so that the book's model is a typical one and not the prettiest. ``seeds.json`` holds all five.
"""

import argparse
import csv
import json
import math
import platform
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from analysis_lib.circuits import placements, repeats, varied_repeats
from analysis_lib.models import LoadedModel
from analysis_lib.models.minigpt import MiniGPT, MiniGPTConfig
from training.folders import replaced
from training.muon import Muon

NAME = "minigpt-induction"
SEEDS = range(5)
STEPS, BATCH, WARMUP, RATE = 4000, 32, 100, 5e-3
SNAPSHOTS = (0, 100, 150, 200, 250, 300, 350, 400, 600, 1200, 2400, STEPS)
MUON_RATE, LATER_RATE = 0.02, 3e-3  # of the heads' matrices, of embeddings


class Stage(NamedTuple):
    """A later stage: its steps, those that its schedule is made for, warm-up, data, decay of values and outputs, snapshots, first draw."""

    steps: int
    schedule: int
    warmup: int
    mixture: varied_repeats.SequenceMixture
    decay: float
    snapshots: tuple[int, ...]
    first_draw: int


LATER = (
    Stage(600, 900, 50, varied_repeats.VARIED, 0.02, (50, 100, 150, 200, 300, 400, 600), first_draw=4000),
    Stage(200, 200, 20, varied_repeats.STEADY, 1.0, (100, 200), first_draw=5000),
)
LAST = STEPS + sum(stage.steps for stage in LATER)
TOKENS = LAST * BATCH * repeats.LENGTH
MEASURED_EVERY = 50
BLOCKS, GAPS, BEGINS = (4, 6, 10, 15, 20, 30), (0, 3, 10, 24), (1, 4, 10, 20, 32)  # of the placements that are measured
SYMBOL_ENTROPY = math.log(repeats.VOCABULARY - 1)  # of a block, in nats
FRESH_SEED = 10_000  # of the sequences that models are measured on; no training batch is drawn from it
CHECKPOINTS = Path(__file__).parents[1] / "analysis_lib" / "checkpoints"


def configuration():
    """The model's sizes. Embeddings start shorter than positions: the first thing to be learned is where to look."""
    return MiniGPTConfig(
        vocab_size=repeats.VOCABULARY,
        n_positions=repeats.LENGTH,
        d_model=128,
        n_heads=8,
        n_layers=2,
        embedding_std=0.3,
        position_std=1.0,
        bos_token_id=repeats.BEGIN,
    )


def build(seed):
    """A fresh model."""
    torch.manual_seed(seed)
    return MiniGPT(configuration())


def batch(seed, step):
    """Sequences [BATCH, LENGTH] of one step: they depend on seed and step alone."""
    return torch.from_numpy(repeats.sample_sequences(BATCH, np.random.default_rng([seed, step])))


def rate_share(step, steps=STEPS, warmup=WARMUP):
    """Share of the peak learning rate: linear warm-up, then a cosine to 2 %."""
    after = max(0, step - warmup) / (steps - warmup)
    return min(1, (step + 1) / warmup) * (0.51 + 0.49 * math.cos(math.pi * after))


def training_run(seed, until=None):
    """Train one seed.

    Parameters
    ----------
    until : int
        Stop here, by default after ``STEPS``; the schedule is that of the whole run, so the model is the whole run's at this step.

    Yields
    ------
    (int, MiniGPT, float)
        Steps taken, from 0; the model, which goes on changing; the loss of the step just taken (NaN at first).
    """
    model = build(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    yield 0, model, math.nan
    for step in range(STEPS if until is None else until):
        yield step + 1, model, take_step(model, [optimizer], rate_share(step), batch(seed, step))


def later_stage(seed, model, stage, until=None):
    """Train on from the model as float16 leaves it; yields as ``training_run``, steps counted from 1."""
    model = rounded(model).train()
    named = [(name, weight) for name, weight in model.named_parameters() if "blocks" in name]
    embeddings = [weight for name, weight in model.named_parameters() if "blocks" not in name]
    written = [weight for name, weight in named if "value" in name or "output" in name]
    asked = [weight for name, weight in named if "query" in name or "key" in name]
    groups = [{"params": asked}, {"params": written, "weight_decay": stage.decay}]
    optimizers = [Muon(groups, lr=MUON_RATE), torch.optim.AdamW(embeddings, lr=LATER_RATE, betas=(0.9, 0.98), weight_decay=0.01)]
    for step in range(stage.steps if until is None else until):
        ids = varied_repeats.sample_sequences(stage.mixture, np.random.default_rng([seed, stage.first_draw + step]))
        share = rate_share(step, stage.schedule, stage.warmup)
        yield step + 1, model, take_step(model, optimizers, share, torch.from_numpy(ids))


def take_step(model, optimizers, share, ids):
    """One step of all optimizers at a share of their peak rates; returns the loss before it."""
    loss = model(ids, labels=ids).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("peak", group["lr"])
            group["lr"] = group["peak"] * share
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def measure_placements(model):
    """Score of the best head of layer 1 by block length, gap and beginning, each on 32 sequences: rows ``[block, gap, begin, score]``."""
    loaded = LoadedModel(model, None, NAME, "memory", NAME, revision="")
    table = placements.placement_scores(loaded, BLOCKS, GAPS, BEGINS, n_sequences=32, seed=FRESH_SEED)
    best = placements.of_head({"model": table}, layer=1)
    return [[int(row.block), int(row.gap), int(row.begin), round(row.score, 4)] for row in best.itertuples()]


@torch.inference_mode()
def measure(model, n=256, seed=FRESH_SEED):
    """Head scores and losses on fresh sequences.

    Returns
    -------
    dict
        ``previous_token`` and ``induction``: mean attention [layer][head] to the token before, and to what came after earlier
        occurrences of the token, over tokens of later occurrences of the block. Losses in nats a token: ``background`` (sequences
        without a block), ``new`` (the block's first occurrence), ``repeated`` and ``repeated_known_2`` (later occurrences, after
        one and after two tokens of them).
    """
    rng = np.random.default_rng(seed)
    blocks = repeats.repeated_blocks(n, rng)
    ids = torch.from_numpy(blocks.ids)
    found = model(ids, output_attentions=True)
    losses = next_token_losses(found.logits, ids)
    plain = torch.from_numpy(repeats.background_sequences(n, rng))
    earlier = (ids[:, :, None] == ids[:, None]).tril(-1)  # (sequence, query, key)
    targets = torch.nn.functional.pad(earlier, (1, 0))[:, :, :-1].float()
    rows = torch.from_numpy(blocks.repeated(0)).float()
    induction = [torch.einsum("bhqk,bqk,bq->h", p, targets, rows) / rows.sum() for p in found.attentions]
    previous = [p.diagonal(-1, 2, 3).mean((0, 2)) for p in found.attentions]
    masks = {"new": blocks.new, "repeated": blocks.repeated(1), "repeated_known_2": blocks.repeated(2)}
    return {
        "previous_token": torch.stack(previous).tolist(),
        "induction": torch.stack(induction).tolist(),
        "background": float(next_token_losses(model(plain).logits, plain).mean()),
        **{name: float(losses[torch.from_numpy(mask[:, 1:])].mean()) for name, mask in masks.items()},
    }


def next_token_losses(logits, ids):
    """Nats [sequence, token - 1]."""
    return torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")


def summary(found):
    """The figures of ``measure`` that are followed along a run: each kind's best head, and losses."""
    best = {"previous_token": max(found["previous_token"][0]), "induction": max(found["induction"][1])}
    return {k: round(v, 4) for k, v in (best | {k: v for k, v in found.items() if isinstance(v, float)}).items()}


def half(model):
    """Weights in float16, as they are shipped."""
    return {name: weight.detach().half() for name, weight in model.state_dict().items()}


def rounded(model):
    """A copy of the model with what float16 leaves of its weights."""
    copy = MiniGPT(model.config)
    copy.load_state_dict({name: weight.float() for name, weight in half(model).items()})
    return copy.eval()


def stages(seed):
    """All stages of a run, one after the other: steps, counted on, whether the step is recorded, model, loss."""
    for step, model, loss in training_run(seed):
        yield step, step in SNAPSHOTS, model, loss
    taken = STEPS
    for stage in LATER:
        before = model
        for step, model, loss in later_stage(seed, before, stage):
            yield taken + step, step in stage.snapshots, model, loss
        taken += stage.steps


def snapshot_steps():
    """All steps whose weights are kept."""
    starts = np.cumsum([STEPS, *(stage.steps for stage in LATER)])
    return SNAPSHOTS + tuple(int(start) + step for start, stage in zip(starts, LATER, strict=False) for step in stage.snapshots)


def run(seed, folder):
    """Train one seed, with snapshots and a log of its scores, unless ``folder`` holds it; returns its record."""
    target = folder / f"seed-{seed}"
    if target.exists():
        return json.loads((target / "record.json").read_text(encoding="utf-8"))
    scratch = folder / f"seed-{seed}.part"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    log, losses, seconds, started = [], [], 0.0, time.time()
    for step, kept, model, loss in stages(seed):
        losses.append(loss)
        if kept:
            save_file(half(model), scratch / f"step-{step:05d}.safetensors")
        if step == STEPS:
            first_stage = measure(rounded(model))
        if step % MEASURED_EVERY == 0 if step <= STEPS else kept:
            seconds += time.time() - started
            train_loss = round(float(np.nanmean(losses)), 4) if step else None
            log.append({"step": step, "train_loss": train_loss, **summary(measure(model, 64)), "seconds": round(seconds, 1)})
            print(json.dumps({"seed": seed, **log[-1]}), flush=True)
            losses, started = [], time.time()
    record = {
        "seed": seed,
        "device": f"CPU, {platform.machine()}, one thread",
        "seconds": round(seconds, 1),
        "first_stage": first_stage,
        "trained": measure(rounded(model)),
        "untrained": measure(build(seed)),
        "placements": measure_placements(rounded(model)),
        "log": log,
    }
    (scratch / "record.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    scratch.rename(target)
    return record


def export(work):
    """Train what is missing, choose the seed by the rule above and write the checkpoint folder; returns its path."""
    records = [run(seed, work / NAME) for seed in SEEDS]
    scores = [summary(record["first_stage"])["induction"] for record in records]
    shipped = SEEDS[scores.index(sorted(scores)[len(scores) // 2])]
    with replaced(CHECKPOINTS, NAME) as scratch:
        for folder in ("seeds", "snapshots"):
            (scratch / folder).mkdir()
        for seed in SEEDS:
            shutil.copy(work / NAME / f"seed-{seed}" / f"step-{LAST:05d}.safetensors", scratch / "seeds" / f"seed-{seed}.safetensors")
        for step in snapshot_steps()[:-1]:
            shutil.copy(work / NAME / f"seed-{shipped}" / f"step-{step:05d}.safetensors", scratch / "snapshots")
        model = MiniGPT(configuration())
        model.load_state_dict({k: v.float() for k, v in load_file(scratch / "seeds" / f"seed-{shipped}.safetensors").items()})
        model.half().save_pretrained(scratch)
        chosen = records[SEEDS.index(shipped)]
        with open(scratch / "training_log.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(chosen["log"][0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(chosen["log"])
        write_json(scratch / "seeds.json", {"shipped": shipped, "runs": records})
        write_json(scratch / "evaluation.json", evaluation(chosen))
        (scratch / "README.md").write_text(card(records, shipped), encoding="utf-8")
    return CHECKPOINTS / NAME


def write_json(path, content):
    """Figures to five digits: what a fresh draw of sequences would change is in the third."""
    rounded_off = json.loads(json.dumps(content), parse_float=lambda text: float(f"{float(text):.5g}"))
    path.write_text(json.dumps(rounded_off, indent=1) + "\n", encoding="utf-8")


def evaluation(record):
    """Figures of the shipped model, the entropies that its losses are held against, and the run."""
    return {
        **record["trained"],
        "untrained": record["untrained"],
        "entropies": {**repeats.background().entropies(), "symbol": SYMBOL_ENTROPY},
        "run": {"seed": record["seed"], "steps": LAST, "tokens": TOKENS, "seconds": record["seconds"], "device": record["device"]},
    }


def card(records, shipped):
    """Model card in Markdown, with all seeds."""
    steps = " + ".join(str(n) for n in (STEPS, *(stage.steps for stage in LATER)))
    chosen, entropies = records[SEEDS.index(shipped)], repeats.background().entropies()
    found, parameters = chosen["trained"], sum(p.numel() for p in MiniGPT(configuration()).parameters())
    lines = [
        "---",
        "license: mit",
        "---",
        f"# {NAME}",
        "",
        f"`MiniGPT`, {parameters:,} parameters, made for this book by `training/minigpt.py`.",
        "",
        "| | |",
        "|---|---|",
        "| data | synthetic, drawn anew for every step by `analysis_lib/circuits/repeats.py`: a second-order Markov chain over 31 symbols; "
        "over every second sequence a block of random symbols is written again and again. Then, by `varied_repeats.py`, mostly walks "
        "through hidden cycles of 3 to 30 symbols, besides blocks of 4 to 30 symbols at any place, with noise, and the chain alone |",
        "| licence | MIT, as the code |",
        f"| tokens seen | {TOKENS:,} ({steps} steps of {BATCH} sequences of {repeats.LENGTH} tokens) |",
        f"| held-out loss, background | {found['background']:.3f} nats a token; entropy rate {entropies['both']:.3f}, "
        f"with one symbol of context {entropies['last']:.3f}, unigram {entropies['none']:.3f} |",
        f"| held-out loss, first occurrence of a block | {found['new']:.3f} nats a token; entropy {SYMBOL_ENTROPY:.3f} |",
        f"| device, wall time | {chosen['device']}; {chosen['seconds'] / 60:.1f} minutes |",
        f"| seed | {shipped}: the median of five by induction score after the first stage, a rule set before they were trained |",
        "| precision | float16 on disk, trained in float32 |",
        "",
        "All five seeds on fresh sequences, and below each the same network after the first stage and untrained. Scores are mean",
        "attention of the best head of layer 0 (previous token) and of layer 1 (induction), losses nats a token. *Everywhere* is the",
        f"best head's induction score over {len(chosen['placements'])} placements of a block among random symbols,",
        f"{BLOCKS[0]} to {BLOCKS[-1]} symbols, gaps of {GAPS[0]} to {GAPS[-1]}, beginnings from {BEGINS[0]} to {BEGINS[-1]}. *Repeated*",
        "tokens are those of later occurrences of a block after one token of the occurrence; *known 2*, after two.",
        "",
        "| seed | previous token | induction | everywhere | least | background | new | repeated | known 2 | minutes |",
        "|" + "---|" * 10,
    ]
    lines += [line for record in records for line in card_rows(record)]
    lines += [
        "",
        "`seeds/` holds the five models, `snapshots/` the shipped one along its training, `seeds.json` every head's scores and the",
        "course of all runs.",
        "",
        "Limits: a model of synthetic sequences. It shows how a circuit forms and how one is measured; what happens in text, or at another",
        "size, it does not say. What the last position does was never trained, since nothing comes after it: it costs the",
        "previous-token score 1 / 63. Trained again on another machine, the same seed differs by rounding.",
        "",
    ]
    return "\n".join(lines)


def card_rows(record):
    """One seed's rows of the card's table: trained, after the first stage, untrained."""
    everywhere = [row[-1] for row in record["placements"]]
    for kind, label in {"trained": record["seed"], "first_stage": "first stage", "untrained": "untrained"}.items():
        best, last = summary(record[kind]), kind == "trained"
        cells = [f"{best[name]:.3f}" for name in ("previous_token", "induction")]
        cells += [f"{np.mean(everywhere):.3f}", f"{min(everywhere):.3f}"] if last else ["", ""]
        cells += [f"{best[name]:.3f}" for name in ("background", "new", "repeated", "repeated_known_2")]
        yield f"| {label} | {' | '.join(cells)} | {record['seconds'] / 60:.1f} |" if last else f"| {label} | {' | '.join(cells)} |  |"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--seed", type=int, choices=SEEDS, help="train this seed only")
    parser.add_argument("--export", action="store_true", help="train the seeds that are missing and write the checkpoint")
    options = parser.parse_args(arguments)
    if options.export == (options.seed is not None):
        parser.error("give either --seed or --export")
    torch.set_num_threads(1)  # a small model gains nothing from more, and the same seed gives the same weights
    if options.export:
        print((export(options.work) / "README.md").read_text(encoding="utf-8"))
    else:
        run(options.seed, options.work / NAME)


if __name__ == "__main__":
    main()
