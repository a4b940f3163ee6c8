"""Anisotropy of all layers over very many states: in closed form, by sampling as in the original notebook, and from all pairs.

    python benchmarks/bench_anisotropy.py [--states 100000] [--layers 26] [--width 1024] [--clock cpu]

States are drawn at random with a mean that a layer shares, in texts of twenty words. Three ways take turns in each layer: the closed form
of `geometry.mean_cosine`, over all pairs of different states; the notebook's loop, which draws a thousand pairs and takes SciPy's
cosine of each; and the product of all states with each other, of which `--rows` rows are computed and the seconds scaled up. `geometry
.anisotropy`, over pairs of different texts and with a bootstrap over texts, is timed beside them. The spread is the standard deviation
that the notebook's estimate has by its sampling, from its own thousand cosines. MiB are those that a way needs at most for one layer
above the states, in a process of its own. One layer is in memory at a time. The rows go to benchmarks/anisotropy.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from _memory import elsewhere, peak_of
from bench_heads import CLOCKS

WORDS, PAIRS, BLOCK = 20, 1000, 1024


def drawn(n, width, layer):
    """States of one layer, float32 [n, width]; the later the layer, the longer the mean that they share."""
    rng = np.random.default_rng(layer)
    mean = rng.standard_normal(width, dtype=np.float32) * np.float32(0.05 * layer)
    return rng.standard_normal((n, width), dtype=np.float32) + mean


def closed(states, rows):
    """Mean cosine over all pairs of different states, without a pair."""
    from analysis_lib.geometry import mean_cosine

    return float(mean_cosine(states)), 0.0


def by_texts(states, rows):
    """The book's measure: pairs of different texts, with its intervals."""
    from analysis_lib.geometry import anisotropy

    found = anisotropy(states[None], np.arange(len(states)) // WORDS).at(0)
    return found.estimate, 0.0


def sampled(states, rows):
    """The notebook's loop, written out: two states at random, with replacement, a thousand times."""
    from scipy.spatial.distance import cosine

    rng, cosines = np.random.default_rng(0), []
    for _ in range(PAIRS):
        first, second = rng.integers(0, len(states), 2)
        cosines.append(1 - cosine(states[first], states[second]))
    return sum(cosines) / len(cosines), float(np.std(cosines) / np.sqrt(PAIRS))


def all_pairs(states, rows):
    """Products of the first rows with all states, without each with itself."""
    units = states / np.linalg.norm(states, axis=1, keepdims=True)
    total = sum(float((units[i : min(i + BLOCK, rows)] @ units.T).sum(dtype=np.float64)) for i in range(0, rows, BLOCK))
    return (total - rows) / (rows * (len(states) - 1)), 0.0


METHODS = {"closed form": closed, "closed form, texts and intervals": by_texts, "1,000 pairs, notebook": sampled, "all pairs": all_pairs}


def measure(options):
    """One row for each layer and way."""
    now = CLOCKS[options.clock]
    part = min(options.rows, options.states)
    for function in METHODS.values():
        function(drawn(10 * WORDS, options.width, 1), WORDS)  # nothing is measured cold
    for layer in range(options.layers):
        states = drawn(options.states, options.width, layer)
        for method, function in METHODS.items():
            start = now()
            value, spread = function(states, part)
            seconds = (now() - start) * (options.states / part if method == "all pairs" else 1)
            yield {"layer": layer, "method": method, "seconds": seconds, "value": value, "sampling_sd": spread}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print sums over layers, and write all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=100_000)
    parser.add_argument("--layers", type=int, default=26, help="states of the published GPT-2: the embedding, 24 blocks, the final norm")
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=1024, help="rows of the table of all pairs that are computed")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("anisotropy.csv"), help="file to write the rows to")
    parser.add_argument("--memory-of-one", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of_one:
        import analysis_lib.geometry  # noqa: F401

        states, rows = drawn(options.states, options.width, 1), min(options.rows, options.states)
        print(peak_of(lambda: METHODS[options.memory_of_one](states, rows)))
        return
    sizes = [word for name in ("states", "width", "rows") for word in (f"--{name}", getattr(options, name))]
    mib = {method: elsewhere(__file__, "--memory-of-one", method, *sizes) for method in METHODS}
    rows = pd.DataFrame(measure(options))
    rows["ratio"] = rows["seconds"] / rows.groupby("layer")["seconds"].transform("first")
    rows = rows.assign(states=options.states, width=options.width, peak_mib=rows["method"].map(mib))
    rows.to_csv(options.csv, index=False, float_format="%.5g", lineterminator="\n")
    print(f"{options.layers} layers of {options.states:,} states, width {options.width}, {options.clock} seconds")
    by_method = rows.groupby("method", sort=False)
    table = by_method[["seconds"]].sum().assign(ratio=by_method["ratio"].median(), peak_mib=by_method["peak_mib"].first())
    table["sampling sd"] = by_method["sampling_sd"].median()
    print(table.to_string(float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
