"""The fifty best pairs of one head, by the search and by ways that compute the whole table.

    python benchmarks/bench_one_head.py [--models gpt2-mini untrained] [--heads 2] [--rows 4096] [--clock cpu]

Four ways take turns in one run, on the same head as its weights are: the library's search; FAISS's `IndexFlatIP`, where it is installed
(`pip install faiss-cpu`), asked for each token's best partner and then for the fifty partners of the fifty tokens whose best score
highest; `torch.topk` of each block; and the original notebook's method written out, which forms the table from the embeddings and the
head's whole matrix of the model's width, and bisects a threshold for it (`approx_topk`). Of a large vocabulary the last three compute
`--rows` rows, and their seconds are scaled up. The last column is the MiB that a way needs at most for what it computes, weights and
factors left out, in a process of its own. Factors are made beforehand. The rows go to benchmarks/one_head.csv.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _memory import elsewhere, peak_of
from bench_heads import BLOCK, CLOCKS, K, some_heads, subject

MODELS = ("gpt2-mini", "herbert-mini", "untrained")


def approx_topk(table, min_k=500, max_k=250_000, threshold=1.0, max_iters=10):
    """The entries above a threshold that leaves between `min_k` and `max_k` of them, as the notebook looks for it: a list of pairs."""

    def above(bound):
        return torch.nonzero((table > bound) & (table < np.inf)).shape[0]

    low, high = 0.0, threshold
    while (count := above(high)) > max_k:
        low, high = high, high * 2
    if not min_k <= count <= max_k:
        for _ in range(max_iters):
            middle = (low + high) / 2
            count = above(middle)
            if min_k <= count <= max_k:
                break
            low, high = (middle, high) if count > max_k else (low, middle)
        high = middle
    return torch.nonzero((table > high) & (table < np.inf)).tolist()


def notebook(weights, head, left, right, rows):
    """The original method: the whole table, then a threshold, then its entries in order."""
    table = weights.W_E[:rows] @ (weights.W_V[head] @ weights.W_O[head]) @ weights.W_U
    pairs = approx_topk(table)
    return sorted((table[i, j].item() for i, j in pairs), reverse=True)[:K]


def topk_of_blocks(weights, head, left, right, rows):
    """`torch.topk` of every block of the product, merged into a running list."""
    best = torch.full((K,), -torch.inf)
    for i in range(0, rows, BLOCK):
        for j in range(0, len(right), BLOCK):
            scores = left[i : min(i + BLOCK, rows)] @ right[j : j + BLOCK].T
            best = torch.cat([best, scores.flatten().topk(min(K, scores.numel())).values]).topk(K).values
    return best.tolist()


def faiss_flat(weights, head, left, right, rows):
    """FAISS: a pair among the fifty best is among the fifty best of a token whose best pair is among the fifty best of all tokens."""
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    index = faiss.IndexFlatIP(right.shape[1])
    index.add(right.numpy())
    best = index.search(left[:rows].numpy(), 1)[0][:, 0]
    asked = left[:rows][torch.from_numpy(np.argsort(-best)[:K].copy())]
    return np.sort(index.search(asked.numpy(), K)[0].ravel())[::-1][:K].tolist()


def search(weights, head, left, right, rows):
    """The library's search, over all rows."""
    from analysis_lib.projections.pair_search import search_pairs

    return search_pairs(left, right, K)[0].scores.tolist()


METHODS = {"search": search, "FAISS": faiss_flat, "topk of blocks": topk_of_blocks, "notebook": notebook}


def available():
    """The methods that can be run here."""
    if find_spec("faiss") is None:
        print("FAISS is not installed and left out: pip install faiss-cpu")
        return [name for name in METHODS if name != "FAISS"]
    return list(METHODS)


def factors(weights, head):
    """Both factors of the head's VO matrix, [vocab, d_head]."""
    from analysis_lib.projections import vo_factors

    return tuple(side.contiguous() for side in vo_factors(weights, *head))


def measure(name, count, rows, now, methods):
    """One row for each head and way; every way is called on few rows before, so that nothing is measured cold."""
    weights = subject(name).weights
    for head in some_heads(weights, count):
        left, right = factors(weights, head)
        part, seconds, scores = min(rows, len(left)), {}, {}
        for method in methods:
            METHODS[method](weights, head, left, right, K)
            start = now()
            scores[method] = METHODS[method](weights, head, left, right, part)
            seconds[method] = (now() - start) * (1 if method == "search" else len(left) / part)
        if part == len(left):
            for method in scores.keys() - {"search", "notebook"}:  # the notebook's may be fewer, and of entries above 0 only
                np.testing.assert_allclose(scores[method], scores["search"], rtol=1e-3)
        for method, taken in seconds.items():
            yield {
                "model": name,
                "layer": head[0],
                "head": head[1],
                "tokens": len(left),
                "method": method,
                "rows": len(left) if method == "search" else part,
                "seconds": taken,
                "ratio": taken / seconds["search"],
                "pairs": len(scores[method]),
                "peak_mib": elsewhere(__file__, "--memory-of-one", method, "--models", name, "--rows", rows),
            }


def memory_of_one(method, name, rows):
    """MiB that one way needs above weights and factors, for the first head drawn."""
    import analysis_lib.projections  # noqa: F401

    weights = subject(name).weights
    (head,) = some_heads(weights, 1)
    left, right = factors(weights, head)
    return peak_of(lambda: METHODS[method](weights, head, left, right, min(rows, len(left))))


def main(arguments: list[str] | None = None) -> None:
    """Measure, print medians, and write all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["gpt2-mini", "untrained"], choices=MODELS)
    parser.add_argument("--heads", type=int, default=2, help="heads of each model, drawn by lot")
    parser.add_argument("--rows", type=int, default=4096, help="rows of the table that the other ways compute at most")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("one_head.csv"), help="file to write the rows to")
    parser.add_argument("--memory-of-one", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of_one:
        print(memory_of_one(options.memory_of_one, options.models[0], options.rows))
        return
    methods, now = available(), CLOCKS[options.clock]
    rows = pd.DataFrame(row for name in options.models for row in measure(name, options.heads, options.rows, now, methods))
    rows.to_csv(options.csv, index=False, float_format="%.5g", lineterminator="\n")
    print(f"top {K} pairs of one head, {torch.get_num_threads()} threads, {options.clock} seconds, medians over heads")
    medians = rows.groupby(["model", "method"], sort=False)[["tokens", "rows", "seconds", "ratio", "pairs", "peak_mib"]].median()
    print(medians.to_string(float_format=lambda value: f"{value:.4g}"))


if __name__ == "__main__":
    main()
