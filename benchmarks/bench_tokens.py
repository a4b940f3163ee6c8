"""How much the exact token search costs beside the bare product and `topk`.

    python benchmarks/bench_tokens.py [--neurons 512] [--vocab 51200] [--width 1024] [--clock cpu]

A share of the neurons of a layer of the published GPT-2's size, drawn at random, against the whole vocabulary
in float32. Both take turns in one run. Preparing the vocabulary takes the same time whatever the number of
vectors; the column before the last leaves it out, as for a whole model. The last two are MiB that each needs at
most, vectors and vocabulary included, in a process of its own.
"""

from __future__ import annotations

import argparse
import time

import torch
from _memory import elsewhere, peak_of

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def bare(vectors, W_U, k, both_ends):
    """One product, and `topk` at one or both ends."""
    scores = vectors @ W_U
    return [scores.topk(k, dim=1, largest=largest) for largest in ((True, False) if both_ends else (True,))]


def search(vectors, W_U, k, both_ends):
    """The library's search."""
    from analysis_lib.projections import top_tokens

    return top_tokens(vectors, W_U, k, both_ends=both_ends)


def seconds(function, now, *arguments):
    """What one call takes."""
    start = now()
    function(*arguments)
    return now() - start


def drawn(options):
    """Random vectors and a vocabulary."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(options.neurons, options.width, generator=generator)
    return vectors, torch.randn(options.width, options.vocab, generator=generator)


def memory(function, options, both_ends):
    """MiB of one call in a process of its own."""
    sizes = [word for name in ("neurons", "vocab", "width", "k") for word in (f"--{name}", getattr(options, name))]
    return elsewhere(__file__, "--memory-of-one", f"{function.__name__},{int(both_ends)}", *sizes)


def main(arguments=None):
    """Measure and print one row for each number of ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=512)
    parser.add_argument("--vocab", type=int, default=51_200)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--memory-of-one", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.memory_of_one:
        import analysis_lib.projections  # noqa: F401

        name, ends = options.memory_of_one.split(",")
        print(peak_of(lambda: {"bare": bare, "search": search}[name](*drawn(options), options.k, ends == "1")))
        return
    now = CLOCKS[options.clock]
    vectors, W_U = drawn(options)
    few = vectors[: max(1, options.neurons // 8)]
    for function in (bare, search):
        function(few[:1], W_U, options.k, True)  # nothing is measured cold: the search imports the library
    print(
        f"{options.neurons} vectors, width {options.width}, vocabulary {options.vocab}, top {options.k}, {torch.get_num_threads()} threads"
    )
    print("ends      bare     search   ratio   ratio by vector   MiB bare   MiB search")
    for both_ends in (False, True):
        rest = (W_U, options.k, both_ends)
        taken = {(f, len(v)): seconds(f, now, v, *rest) for v in (few, vectors) for f in (bare, search)}
        bare_all, search_all = taken[bare, len(vectors)], taken[search, len(vectors)]
        by_vector = (search_all - taken[search, len(few)]) / (bare_all - taken[bare, len(few)])
        mib = [memory(f, options, both_ends) for f in (bare, search)]
        row = f"{1 + both_ends:4d} {bare_all:8.3f} s {search_all:8.3f} s {search_all / bare_all:7.2f} {by_vector:17.2f}"
        print(f"{row} {mib[0]:10.0f} {mib[1]:12.0f}", flush=True)


if __name__ == "__main__":
    main()
