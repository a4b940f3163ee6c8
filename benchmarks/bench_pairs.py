"""How much faster the exact pair search is than forming the product block by block.

    python benchmarks/bench_pairs.py [--vocab 51200] [--spreads 0.3 0] [--json cost.json]

Every row is measured in one run, in turns, with the same masks and groups, so that
the ratios hold whatever else the machine is doing. Norms are lognormal with the
spread given: 0.3 to 0.7 are what trained token embeddings show; 0 (all norms equal)
is the worst case, where the bound prunes nothing; -1 stands for isotropic factors, whose
entries are normal numbers.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from _memory import elsewhere, peak_of

ISOTROPIC = -1.0
SPREADS = (0.3, 0.5, 0.7, 0.0, ISOTROPIC)
BLOCK = 1024


def factors(vocab, width, spread, seed):
    """Two random factors [vocab, width] with lognormal row norms, or isotropic ones."""
    generator = torch.Generator().manual_seed(seed)

    def one():
        rows = torch.randn(vocab, width, generator=generator)
        if spread == ISOTROPIC:
            return rows
        rows /= rows.norm(dim=1, keepdim=True)
        return rows * torch.exp(spread * torch.randn(vocab, 1, generator=generator))

    return one(), one()


def filters(vocab, seed):
    """Keep nine tokens in ten; every second token shares its group with the one before."""
    keep = np.random.default_rng(seed).random(vocab) < 0.9
    return keep, np.arange(vocab) // 2


def allowed_blocks(left, right, keep, groups):
    """Blocks of the product of kept tokens, with a view that masks equal groups."""
    keep, groups = torch.from_numpy(keep), torch.from_numpy(groups)
    left, right, groups = left[keep], right[keep], groups[keep]
    for i in range(0, len(left), BLOCK):
        for j in range(0, len(right), BLOCK):
            rows, columns = slice(i, i + BLOCK), slice(j, j + BLOCK)
            same = groups[rows, None], groups[None, columns]
            yield left[rows] @ right[columns].T, same


def blocked_topk(left, right, k, keep, groups):
    """Baseline: ``torch.topk`` of every block, merged into a running list."""
    best = torch.full((k,), -torch.inf)
    for scores, (row_groups, column_groups) in allowed_blocks(left, right, keep, groups):
        scores[row_groups == column_groups] = -torch.inf
        top = scores.flatten().topk(min(k, scores.numel())).values
        best = torch.cat([best, top]).topk(k).values
    return best.numpy()


def running_threshold(left, right, k, keep, groups):
    """All blocks, but only entries above the k-th so far are looked at again."""
    best = torch.full((k,), -torch.inf)
    for scores, (row_groups, column_groups) in allowed_blocks(left, right, keep, groups):
        if scores.max() > best[-1]:
            scores[row_groups == column_groups] = -torch.inf
            above = scores[scores > best[-1]]
            best = torch.cat([best, above]).topk(k).values
    return best.numpy()


def pair_search(left, right, k, keep, groups):
    """The library's search."""
    from analysis_lib.projections import top_pairs

    return top_pairs(left, right, k, keep, keep, groups).scores


METHODS = (blocked_topk, running_threshold, pair_search)


def measure(vocab, width, spread, k=50, seed=0):
    """Seconds per method; the search takes its turn before, between and after the slow ones, and shows its median."""
    problem = (*factors(vocab, width, spread, seed), k, *filters(vocab, seed))
    seconds, answers = {method: [] for method in METHODS}, {}
    for method in (pair_search, blocked_topk, pair_search, running_threshold, pair_search):
        start = time.perf_counter()
        answers[method] = method(*problem)
        seconds[method].append(time.perf_counter() - start)
    for method in METHODS[1:]:
        np.testing.assert_allclose(answers[method], answers[blocked_topk], rtol=1e-5)
    return {method.__name__: float(np.median(taken)) for method, taken in seconds.items()}


def memory_of_one(vocab, width, spread):
    """MiB of one search, factors included, above the interpreter and torch."""
    import analysis_lib.projections  # noqa: F401

    return peak_of(lambda: pair_search(*factors(vocab, width, spread, 0), 50, *filters(vocab, 0)))


def main(arguments=None):
    """Measure, print a table, and write JSON when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocab", type=int, default=51200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--spreads", type=float, nargs="+", default=SPREADS)
    parser.add_argument("--json", type=Path, help="file to write the measurements to")
    parser.add_argument("--memory-of-one", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    vocab, width = options.vocab, options.width
    if options.memory_of_one is not None:
        print(memory_of_one(vocab, width, options.memory_of_one))
        return
    print(f"vocabulary {vocab}, width {width}, {torch.get_num_threads()} threads")
    print("spread  blocked topk  threshold    search   topk/search  threshold/search    MiB")
    rows = []
    for spread in options.spreads:
        took = measure(vocab, width, spread)
        topk, threshold, search = took.values()
        row = {"vocab": vocab, "width": width, "spread": spread, "seconds": took}
        row |= {"topk_ratio": topk / search, "threshold_ratio": threshold / search}
        row |= {"memory_mib": elsewhere(__file__, "--memory-of-one", spread, "--vocab", vocab, "--width", width)}
        rows.append(row)
        print(
            f"{'normal' if spread == ISOTROPIC else spread:>6} {topk:11.2f} s {threshold:8.2f} s {search:7.3f} s "
            f"{topk / search:12.1f} {threshold / search:17.1f} {row['memory_mib']:8.0f}",
            flush=True,
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
