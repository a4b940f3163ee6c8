"""Turn runs of the regressors into embedded checkpoints: float16 weights, figures, card.

    python -m training.regressor_export --task regressor --work training/runs

measures every seed in the work folder on fresh prompts, ships the one of the lowest
validation loss and keeps the weights and figures of all (``seeds/``, ``seeds.json``).
"""

import argparse
import json
import platform
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from analysis_lib import incontext
from analysis_lib.incontext import estimators, prompts, selection
from analysis_lib.models import STUDIES
from analysis_lib.models.regressor import Regressor, RegressorConfig
from analysis_lib.statistics import bootstrap_interval, difference_interval
from training.export import interval as worded
from training.folders import replaced
from training.loop import read_state
from training.regressor import BATCH, TASKS, VALIDATION_SEED, build, measured_errors

CHECKPOINTS = Path(__file__).parents[1] / "analysis_lib" / "checkpoints"
TEST_SEED, CALIBRATION_SEED = 10**9 + 2, 10**9 + 3
N_TEST, N_COMPONENTS = 10_000, 4000


def interval(values):
    """Mean and 95% interval over prompts."""
    found = bootstrap_interval(np.asarray(values, dtype=float))
    return {"mean": found.estimate, "low": found.low, "high": found.high}


def difference(a, b):
    """Mean of a - b over the same prompts, and its 95% interval."""
    found = difference_interval(np.asarray(a, dtype=float), np.asarray(b, dtype=float), paired=True)
    return {"mean": found.estimate, "low": found.low, "high": found.high}


def measure_linear(model, task):
    """Errors on fresh prompts beside the best estimator's, least squares' and zero's; k is the number of points shown."""
    found = task.draw(N_TEST, TEST_SEED)
    errors = measured_errors(model, task, found).numpy()
    best, least, zero = (
        incontext.squared_errors(predictions, found.ys, task.config["n_dims"])
        for predictions in (
            incontext.bayes_ridge(found.xs, found.ys, task.noise),
            incontext.least_squares(found.xs, found.ys),
            estimators.zero(found.xs, found.ys),
        )
    )
    late = slice(2 * task.config["n_dims"], None)
    return {
        "mean_error": interval(errors.mean(1)),
        "best_mean_error": interval(best.mean(1)),
        "late_error": interval(errors[:, late].mean(1)),
        "late_error_least_squares": interval(least[:, late].mean(1)),
        "late_error_best": interval(best[:, late].mean(1)),
        "late_excess": difference(errors[:, late].mean(1), least[:, late].mean(1)),
        "last_error": interval(errors[:, -1]),
        "last_error_least_squares": interval(least[:, -1]),
        "last_error_best": interval(best[:, -1]),
        "last_error_zero": interval(zero[:, -1]),
        "zero_over_model_at_the_last_point": float(zero[:, -1].mean() / errors[:, -1].mean()),
        "error_by_k": errors.mean(0).tolist(),
        "best_error_by_k": best.mean(0).tolist(),
    }


def measure_selector(model, task):
    """Errors at the last point of fresh prompts beside both ridges, ways to choose between them, and the posterior mean.

    The posterior mean is over `N_COMPONENTS` simulated functions and so only an estimate; the least possible error is at most that of this
    mean.
    """
    found = task.draw(N_TEST, TEST_SEED)
    simulated = task.draw(N_COMPONENTS, CALIBRATION_SEED, n_points=400)
    posterior = selection.Mixture.from_prompts(simulated.xs, simulated.ys, simulated.alphas).posterior(found.xs, found.ys)
    true = torch.isclose(found.alphas, torch.tensor(prompts.ALPHAS[1])).long()
    predictions = {
        "ridge_0.1": found.xs[..., 0],
        "ridge_0.8": found.xs[..., 1],
        "true_alpha": found.xs[torch.arange(len(true)), :, true],
        "more_probable": selection.hard_choice(found.xs, posterior),
        "bayes_average": selection.averaging(found.xs, posterior),
        "posterior_mean": posterior.mean,
    }
    errors = {name: incontext.squared_errors(values, found.ys, 1) for name, values in predictions.items()}
    errors["choice_that_has_seen_the_answer"] = np.minimum(errors["ridge_0.1"], errors["ridge_0.8"])
    errors["model"] = measured_errors(model, task, found).double().numpy()
    last = {name: values[:, -1] for name, values in errors.items()}
    figures = {f"last_error_{name}": interval(values) for name, values in last.items()}
    figures |= {f"lead_over_{name}": difference(values, last["model"]) for name, values in last.items() if name != "model"}
    of_alpha = {str(alpha): true.numpy() == i for i, alpha in enumerate(prompts.ALPHAS)}
    return figures | {
        "last_error_by_alpha": {
            alpha: {name: float(values[made].mean()) for name, values in last.items()} for alpha, made in of_alpha.items()
        },
        "ridge_0.8_over_0.1_at_alpha_0.8": difference(*(last[name][of_alpha["0.8"]] for name in ("ridge_0.8", "ridge_0.1"))),
        "error_by_k": {name: values.mean(0).tolist() for name, values in errors.items()},
    }


def measure(model, task):
    """Figures of a model on the test prompts."""
    return (measure_linear if task.linear else measure_selector)(model, task)


# --- checkpoint ---


def finished_seeds(folder):
    """Seeds with a saved state, in order."""
    return sorted(int(path.parent.name.removeprefix("seed-")) for path in folder.glob("seed-*/state.safetensors"))


def restore(task, folder):
    """The model that a run last saved, rounded to float16, and its progress."""
    weights, _, progress, _ = read_state(folder / "state.safetensors")
    model = Regressor(RegressorConfig(**task.config))
    model.load_state_dict(weights)
    return model.half().float().eval(), progress


shown = partial(worded, digits=4)


def rows_of(task, figures):
    """What the card says of a seed, label to text."""
    if task.linear:
        return {
            "error at the last point": shown(figures["last_error"]),
            "the same, least squares": shown(figures["last_error_least_squares"]),
            "the same, best estimator (ridge with the noise's variance)": shown(figures["last_error_best"]),
            "the same, zero": shown(figures["last_error_zero"]),
            "mean error from 2d points on, above least squares by": shown(figures["late_excess"]),
        }
    rows = {"error at the last point": shown(figures["last_error_model"])}
    for name, label in (("ridge_0.1", "ridge(0.1)"), ("ridge_0.8", "ridge(0.8)")):
        both = (shown(figures[f"{what}_{name}"]) for what in ("last_error", "lead_over"))
        rows[f"the same, {label}; the model is under it by"] = "; ".join(both)
    rows["the same, the ridge of the true alpha"] = shown(figures["last_error_true_alpha"])
    rows["the same, Bayes average of the two ridges"] = shown(figures["last_error_bayes_average"])
    rows[f"the same, posterior mean over {N_COMPONENTS:,} simulated functions"] = shown(figures["last_error_posterior_mean"])
    return rows


DATA = {
    "regressor": "y = w x, 10 points of 3 standard normal numbers, w standard normal, without noise",
    "regressor-noisy": "y = w x + noise of standard deviation 0.5, 10 points of 3 standard normal numbers, w standard normal",
    "model-selector": "two ridge regressions (penalties 0.1 and 0.8, with intercept) fitted to 21 points of 5 standard normal numbers, "
    "noise of standard deviation 0.08 or 0.64; the prompt is what both predict at 21 fresh points and what was measured at the first 20",
}
DATA["model-selector-few"] = DATA["model-selector"].replace("fitted to 21 points", "fitted to 6 points")


def card(name, model, seeds, chosen, device):
    """Model card in Markdown."""
    task, best = TASKS[name], seeds[chosen]
    run = best["run"]
    among = ", ".join(map(str, seeds))
    which = f"of the lowest validation loss among {among}, as was decided beforehand" if len(seeds) > 1 else "the only one trained"
    lines = [
        "---",
        "license: cc-by-4.0",
        "---",
        f"# {name}",
        "",
        f"`Regressor`, {sum(p.numel() for p in model.parameters()):,} parameters, made for this book by `training/regressor.py`.",
        "",
        "| | |",
        "|---|---|",
        f"| data | {DATA[name]}; drawn anew at every step |",
        "| licence | CC BY 4.0 |",
        f"| tokens seen | {run['tokens']:,} in {run['step']:,} steps of {BATCH} prompts |",
        f"| validation loss (by which the seed was chosen) | {best['validation_loss']:.4f} on 1,000 validation prompts |",
        *(f"| {label} | {text} |" for label, text in rows_of(task, best).items()),
        f"| untrained | {best['untrained_loss']:.4f} on the validation prompts |",
        f"| device, wall time | {device}; {run['seconds'] / 60:.0f} minutes |",
        f"| seed | {chosen}, {which} |",
        *(
            f"| seed {seed} | validation loss {found['validation_loss']:.4f}; error at the last point "
            f"{shown(found['last_error' if task.linear else 'last_error_model'])} |"
            for seed, found in seeds.items()
        ),
        "| precision | float16 on disk, trained in float32 |",
        "",
        f"Errors are squared{', divided by d as in Garg et al. 2022,' if task.linear else ''} and are means over {N_TEST:,} held-out",
        "prompts that served for nothing else, of the weights as shipped. Square brackets hold 95% intervals, bootstraps over prompts.",
        "The loss curve is in `training_log.csv`, all figures in `evaluation.json` and, of every seed, in `seeds.json`; weights of every",
        "seed in `seeds/`.",
        "",
        "Limits: a small model, trained for minutes on one kind of prompt of one length. It shows how the book's methods work on a model",
        "whose best answer is known; it says little about large models. Not for use outside this book.",
        "",
    ]
    return "\n".join(lines)


def export(name, work, device):
    """Measure every seed of a task and write its checkpoint folder; returns its path."""
    task, runs, embedded = TASKS[name], Path(work) / name, STUDIES[name].embedded
    if embedded is None:
        raise ValueError(f"name: expected a study with an embedded checkpoint, found {name!r}")
    validation = task.draw(1000, VALIDATION_SEED)
    untrained = float(measured_errors(build(task, 10**6).eval(), task, validation).mean())
    seeds, models = {}, {}
    for seed in finished_seeds(runs):
        model, progress = restore(task, runs / f"seed-{seed}")
        if progress["step"] < progress["steps"]:
            raise ValueError(f"{runs}/seed-{seed}: expected a finished run, found {progress['step']} of {progress['steps']} steps")
        wanted, found = (task.steps, task.rate), (progress["steps"], progress["rate"])
        if found != wanted:
            raise ValueError(f"{runs}/seed-{seed}: expected a run of {wanted[0]} steps at rate {wanted[1]}, found {found[0]} at {found[1]}")
        loss = float(measured_errors(model, task, validation).mean())
        seeds[seed] = {"validation_loss": loss, "untrained_loss": untrained, **measure(model, task), "run": {**progress, "seed": seed}}
        models[seed] = model
    if not seeds:
        raise ValueError(f"work: expected finished runs in {runs}/seed-*, found none")
    chosen = min(seeds, key=lambda seed: seeds[seed]["validation_loss"])
    target = CHECKPOINTS / embedded
    with replaced(CHECKPOINTS, embedded) as scratch:
        models[chosen].half().save_pretrained(scratch)
        (scratch / "seeds").mkdir()
        for seed, model in models.items():
            state = {k: v.half().contiguous() for k, v in model.state_dict().items()}
            save_file(state, scratch / "seeds" / f"seed-{seed}.safetensors", metadata={"format": "pt"})
        shutil.copy(runs / f"seed-{chosen}" / "log.csv", scratch / "training_log.csv")
        for file, content in (
            ("seeds.json", seeds),
            ("evaluation.json", {**seeds[chosen], "run": {**seeds[chosen]["run"], "device": device}}),
        ):
            (scratch / file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (scratch / "README.md").write_text(card(name, models[chosen], seeds, chosen, device), encoding="utf-8")
        for inner in (path for path in (target.iterdir() if target.is_dir() else []) if (path / "config.json").is_file()):
            shutil.copytree(inner, scratch / inner.name)  # a variant that lives inside
    return target


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--device-name", default=f"CPU, {platform.machine()}, one thread")
    options = parser.parse_args(arguments)
    print((export(options.task, options.work, options.device_name) / "README.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
