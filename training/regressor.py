"""The regressors in context, trained on prompts drawn anew at every step.

    python -m training.regressor --task regressor --seed 0 --work training/runs
    python -m training.regressor_export --task regressor --work training/runs

The first command trains one seed, and resumes; the second measures every seed in
the work folder and writes the checkpoint. Tasks, all with a GPT-2 backbone 64 wide, 3
layers, 2 heads:

- ``regressor``: linear functions of 3 numbers without noise, 10 points, interleaved.
- ``regressor-noisy``: the same with noise of standard deviation 0.5 in y.
- ``model-selector``: which of two ridge regressions to trust, 21 points, stacked; both
  are fitted to 21 points, as in the original.
- ``model-selector-few``: the same, fitted to 6 points, where the choice matters more.

Batches of 64 prompts, gradients no longer than 1, warm-up of 200 steps, cosine to 2 %
of the peak; the loss is the squared error of all points (divided by d for the linear
functions). Over the first 300 steps the linear functions grow from 1 to 3 dimensions and
from 4 to 10 points (Garg et al. 2022, "curriculum"). All tasks use Adam, but for
``regressor``: there the blocks' matrices have Muon, and each point is weighted by the
inverse of what the best estimator leaves (`point_weights`), so that all points get used.

Which seed is shipped was decided before any was trained: the one with the lowest loss
on the validation prompts. No step is trained on these, but `regressor`'s point weights
are made from them; the figures that the card gives of a model are from other prompts,
but for this loss. All seeds are kept and reported (``seeds.json``).
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from analysis_lib import incontext
from analysis_lib.models.regressor import Regressor, RegressorConfig
from training.loop import append_log, load_state, save_state, trim_log
from training.muon import Muon

BATCH, WARMUP, CURRICULUM, FLOOR = 64, 200, 300, 0.02
LEAST_LEFT = 0.1  # added to what the best estimator leaves, so that no point weighs more than eleven times another
LOG_EVERY, SAVE_SECONDS = 250, 120
# Seeds of the training prompts. Torch's generator keeps 32 bits of a seed, and of these more than 10**8, so that small seeds are fresh.
TRAINING_SEEDS = 10**12
VALIDATION_SEED = 10**9 + 1


@dataclass(frozen=True)
class Task:
    """What one checkpoint is trained on: `draw(n, seed)` gives prompts with xs, ys; squared errors are divided by `unit`.

    `muon` is the rate of the blocks' matrices; None leaves them to Adam, whose rate is `rate`. Where `weighted`, points weigh by
    `point_weights`.
    """

    config: dict
    draw: Callable
    rate: float
    steps: int
    unit: float = 1.0
    noise: float = 0.0
    muon: float | None = None
    weighted: bool = False

    @property
    def linear(self) -> bool:
        return self.config["layout"] == "interleaved"


def _linear(noise, **recipe):
    return Task(
        {"n_dims": 3, "n_points": 10, "layout": "interleaved"},
        lambda n, seed: incontext.linear_prompts(n, 10, 3, seed, noise=noise),
        steps=12_000,
        unit=3.0,
        noise=noise,
        **recipe,
    )


def _selector(n_fitted):
    return Task(
        {"n_dims": 2, "n_points": 21, "layout": "stacked"},
        lambda n, seed, n_points=21: incontext.selector_prompts(n, seed, n_points=n_points, n_fitted=n_fitted),
        rate=1e-3,
        steps=10_000,
    )


TASKS = {
    "regressor": _linear(0.0, rate=3e-3, muon=0.02, weighted=True),
    "regressor-noisy": _linear(0.5, rate=1e-3),
    "model-selector": _selector(21),
    "model-selector-few": _selector(6),
}


def schedule(step, steps):
    """Share of the peak learning rate: linear warm-up, cosine to `FLOOR`."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    done = (step - WARMUP) / max(1, steps - WARMUP)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def batch_of(task, seed, step):
    """The prompts of one step: a function of task, seed and step alone. Unused dimensions are zero, as in Garg et al."""
    found = task.draw(BATCH, TRAINING_SEEDS * (seed + 1) + step)
    if not task.linear or step >= CURRICULUM:
        return found.xs, found.ys
    d, n = task.config["n_dims"], task.config["n_points"]
    dims = 1 + step * d // CURRICULUM
    points = math.ceil(n * dims / d)
    xs = found.xs[:, :points].clone()
    dropped = (xs[..., dims:] * found.w[:, None, dims:]).sum(-1)
    xs[..., dims:] = 0
    return xs, found.ys[:, :points] - dropped


def squared_errors(model, task, xs, ys):
    """Squared errors [prompt, point], in the task's unit."""
    return (model(xs, ys).predictions - ys).square() / task.unit


def point_weights(task, n=1000):
    """Weight of each point in the loss [point], of mean 1: the inverse of what the best estimator leaves there, and `LEAST_LEFT`.

    What is left is measured on the validation prompts. The first points cannot be known, whatever the model does. Their errors would be
    most of the loss, and their noise most of the gradient's.
    """
    if not task.weighted:
        return torch.ones(task.config["n_points"])
    found = task.draw(n, VALIDATION_SEED)
    left = incontext.squared_errors(incontext.bayes_ridge(found.xs, found.ys, task.noise), found.ys, task.unit).mean(0)
    weights = torch.tensor(1 / (left + LEAST_LEFT), dtype=torch.float32)
    return weights / weights.mean()


def optimizers_of(model, task, rate):
    """The optimizers of a run, each with its peak rate."""
    matrices = [] if task.muon is None else [p for p in model.backbone.h.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    found = [(torch.optim.Adam([p for p in model.parameters() if id(p) not in chosen], lr=rate), rate)]
    return found + ([(Muon(matrices, lr=task.muon), task.muon)] if matrices else [])


@torch.inference_mode()
def measured_errors(model, task, found, batch=1000):
    """Squared errors of many prompts [prompt, point]."""
    pairs = zip(found.xs.split(batch), found.ys.split(batch), strict=True)
    return torch.cat([squared_errors(model, task, xs, ys) for xs, ys in pairs])


def build(task, seed):
    """A fresh model; the activation replaced by the fused kernel of the same function, a fifth faster."""
    torch.manual_seed(seed)
    model = Regressor(RegressorConfig(**task.config))
    for block in model.backbone.h:
        block.mlp.act = torch.nn.GELU(approximate="tanh")
    return model


def train(name, seed, work, steps=None, rate=None):
    """Train one seed of a task, or go on where it was saved; returns the progress."""
    return train_task(TASKS[name], seed, Path(work) / name / f"seed-{seed}", steps, rate)


def train_task(task, seed, folder, steps=None, rate=None):
    """Train one seed of any task in a folder, or go on where it was saved; returns the progress."""
    steps, rate = steps or task.steps, rate or task.rate
    folder.mkdir(parents=True, exist_ok=True)
    model = build(task, seed)
    rates = optimizers_of(model, task, rate)
    optimizers = [optimizer for optimizer, _ in rates]
    weights = point_weights(task)
    progress = load_state(folder, model, optimizers) or {"step": 0, "tokens": 0, "seconds": 0.0}
    trim_log(folder / "log.csv", progress["tokens"])
    validation = task.draw(1000, VALIDATION_SEED)
    running, clock, saved = [], time.time(), time.time()
    while progress["step"] < steps:
        step = progress["step"]
        share = schedule(step, steps)
        for optimizer, peak in rates:
            optimizer.param_groups[0]["lr"] = peak * share
            optimizer.zero_grad(set_to_none=True)
        xs, ys = batch_of(task, seed, step)
        loss = (squared_errors(model, task, xs, ys) * weights[: ys.shape[1]]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        running.append(float(loss.detach()))
        now = time.time()
        progress = {
            "step": step + 1,
            "tokens": progress["tokens"] + 2 * ys.numel(),
            "seconds": progress["seconds"] + now - clock,
            "steps": steps,
            "rate": rate,
        }
        clock = now
        if progress["step"] % LOG_EVERY == 0 or progress["step"] == steps:
            losses = {"train_loss": float(np.mean(running)), "heldout_loss": float(measured_errors(model, task, validation).mean())}
            row = {k: progress[k] for k in ("step", "tokens")} | {k: round(v, 5) for k, v in losses.items()}
            append_log(folder / "log.csv", row | {"lr_share": round(share, 4), "seconds": round(progress["seconds"], 1)})
            running = []
        if now - saved > SAVE_SECONDS or progress["step"] == steps:
            save_state(folder, model, optimizers, progress)
            saved = now
    return progress


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--steps", type=int, help="by default what the task says")
    parser.add_argument("--rate", type=float, help="peak learning rate of Adam, by default the task's")
    parser.add_argument("--threads", default=1, type=int)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    print(train(options.task, options.seed, options.work, options.steps, options.rate))


if __name__ == "__main__":
    main()
