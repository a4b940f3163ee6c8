"""Regressors whose training tasks are few or many: after how many tasks does a model regress instead of recognising the task?

    python -m training.diversity --work training/runs --seeds 0

A task is a linear function of 4 numbers with noise of standard deviation 0.5 in y. For each number of tasks, from 4 to 1,024, a model
is trained on prompts of 8 points whose function is one of so many, drawn from N(0, I) once for each seed. Its answers on fresh prompts are
held against the two estimators that are best for so many tasks and for all functions (Raventós et al. 2023, arXiv 2306.15063): the
posterior mean over the training tasks and ridge regression. The mean squared distances go to `analysis_lib/recorded/task_diversity.csv`,
where rows of other seeds stay; weights are not kept beside it. Models, optimizers and curriculum are those of `training/regressor.py`.

``--short`` trains two numbers of tasks for a few steps each, to try whether everything works.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from analysis_lib import incontext
from analysis_lib.incontext import estimators
from analysis_lib.models import LoadedModel
from training import regressor
from training.loop import load_state
from training.recorded import record

COUNTS = (4, 16, 64, 256, 1024)
MOST = 16_384  # tasks that a seed's list has
N_DIMS, N_POINTS, NOISE = 4, 8, 0.5
TASK_SEED, TEST_SEED = 10**9 + 4, 10**9 + 5
N_TEST = 2000
RECORDED = Path(__file__).parents[1] / "analysis_lib" / "recorded" / "task_diversity.csv"


def tasks_of(count, seed):
    """The training tasks of one seed [task, d]; fewer are the first of more."""
    return torch.randn(MOST, N_DIMS, generator=torch.Generator().manual_seed(TASK_SEED + 10**6 * seed))[:count]


def recipe(count, seed):
    """What a model of so many tasks is trained on."""
    tasks = tasks_of(count, seed)
    return regressor.Task(
        {"n_dims": N_DIMS, "n_points": N_POINTS, "layout": "interleaved"},
        lambda n, prompt_seed: incontext.prompts_of_tasks(tasks, n, N_POINTS, prompt_seed, NOISE),
        rate=3e-3,
        steps=4000,
        unit=N_DIMS,
        noise=NOISE,
        muon=0.02,
    )


def distances(model, count, seed, n=None):
    """Mean squared distances between model and estimators, and their losses, on training tasks and on new ones: two rows.

    Everything is divided by d, and a mean over prompts and points; losses are against the y of the prompt.
    """
    tasks, n = tasks_of(count, seed), n or N_TEST
    loaded = LoadedModel(model, None, "task-diversity", "memory", "task-diversity", revision="")
    drawn = {
        "training": incontext.prompts_of_tasks(tasks, n, N_POINTS, TEST_SEED, NOISE),
        "new": incontext.linear_prompts(n, N_POINTS, N_DIMS, TEST_SEED, NOISE),
    }
    rows = []
    for kind, found in drawn.items():
        answers = {
            "model": incontext.predict(loaded, found.xs, found.ys),
            "tasks": estimators.bayes_of_tasks(found.xs, found.ys, tasks, NOISE),
            "ridge": incontext.bayes_ridge(found.xs, found.ys, NOISE),
        }
        row = {"tasks": count, "seed": seed, "prompts": kind}
        for name, other in (("model", "tasks"), ("model", "ridge"), ("tasks", "ridge")):
            row[f"{name}_to_{other}"] = ((answers[name] - answers[other]) ** 2).mean() / N_DIMS
        rows.append(row | {f"loss_{name}": incontext.squared_errors(given, found.ys, N_DIMS).mean() for name, given in answers.items()})
    return rows


def run(counts, seeds, work, steps=None):
    """Train what is missing, or go on where it was stopped, and measure: one table for all models."""
    rows = []
    for seed in seeds:
        for count in counts:
            task, folder = recipe(count, seed), Path(work) / "diversity" / f"tasks-{count}" / f"seed-{seed}"
            regressor.train_task(task, seed, folder, steps)
            model = regressor.build(task, seed)
            load_state(folder, model, [])
            rows += distances(model.eval(), count, seed)
            print(rows[-2:], flush=True)
    return pd.DataFrame(rows)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--seeds", default=[0], type=int, nargs="+")
    parser.add_argument("--threads", default=1, type=int)
    parser.add_argument("--short", action="store_true", help="two numbers of tasks, a few steps; nothing is recorded")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    if options.short:
        print(run(COUNTS[:2], options.seeds[:1], options.work / "short", steps=3))
    else:
        record(run(COUNTS, options.seeds, options.work), RECORDED, float_format="%.5f")


if __name__ == "__main__":
    main()
