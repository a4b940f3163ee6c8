"""The induction toy trained anew with the attention of one layer held fixed: which part has to wait for which?

    python -m training.clamps --seeds 0 1

The first steps of `training/minigpt.py`, in which the circuit forms, are taken again, with the attention patterns of one layer
replaced, in training and in measuring, by those of another model on the same sequences: of the same seed after its whole training
(final) or before it (initial). What the layer reads and writes is trained as ever. Singh et al. 2024 (arXiv 2404.07129) call this
clamping.
Scores and losses along all runs go to `analysis_lib/recorded/induction_clamps.csv`, where rows of other seeds stay; weights are not
kept beside it.

``--short`` takes two steps of one seed, to try whether everything works.
"""

import argparse
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pandas as pd
import torch

from analysis_lib.activations.hooks import attached
from analysis_lib.activations.sites import into, sites_of
from analysis_lib.models import training_history
from training import minigpt
from training.recorded import record

STEPS, EVERY = 400, 25
CLAMPS = {
    "none": None,
    "layer 0 final": (0, "final"),
    "layer 0 initial": (0, "initial"),
    "layer 1 final": (1, "final"),
    "layer 1 initial": (1, "initial"),
}
RECORDED = Path(__file__).parents[1] / "analysis_lib" / "recorded" / "induction_clamps.csv"
MEASURES = ("previous_token", "induction", "background", "repeated_known_2")


@contextmanager
def clamped(model, layer, source):
    """Let the heads of a layer attend as those of the source do on the same tokens, in the passes made inside the block."""
    places, seen = sites_of(model), {}

    def look(ids):
        with torch.no_grad():
            seen["pattern"] = source(ids, output_attentions=True).attentions[layer]

    def keep(values):
        seen["values"] = values.transpose(1, 2)  # [batch, head, token, d_head]

    def attend(_):
        return (seen["pattern"] @ seen["values"]).transpose(1, 2)

    functions = {"values": keep, "heads": attend, "patterns": lambda _: seen["pattern"]}
    with attached([(into(model), look), *((places.at(name, layer), function) for name, function in functions.items())]):
        yield


def run(seed, name, steps=STEPS, every=EVERY):
    """Train one seed with one clamp; a row of measures for every so many steps."""
    rows, held = [], CLAMPS[name]
    with ExitStack() as clamps:
        for step, model, _ in minigpt.training_run(seed, steps):
            if step == 0 and held:
                layer, kind = held
                source = training_history.seed_models()[seed].model if kind == "final" else minigpt.build(seed)
                clamps.enter_context(clamped(model, layer, source))
            if step % every == 0:
                found = minigpt.summary(minigpt.measure(model, 64))
                rows.append({"clamp": name, "seed": seed, "step": step} | {measure: found[measure] for measure in MEASURES})
    print(rows[-1], flush=True)
    return rows


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", default=[0, 1], type=int, nargs="+", choices=minigpt.SEEDS)
    parser.add_argument("--short", action="store_true", help="two steps of one seed; nothing is recorded")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if options.short:
        print(pd.DataFrame([row for name in CLAMPS for row in run(options.seeds[0], name, 2, 1)]))
        return
    rows = [row for seed in options.seeds for name in CLAMPS for row in run(seed, name)]
    record(pd.DataFrame(rows), RECORDED)


if __name__ == "__main__":
    main()
