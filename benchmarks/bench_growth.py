"""How the exact pair search grows with the vocabulary, with d_head and with the number of layers.

    python benchmarks/bench_growth.py [--most 250037] [--csv benchmarks/growth.csv]

Vocabulary: two heads of multilingual-e5-small, with tokens of its 250,037 drawn by lot. d_head: factors whose rows
have lognormal norms of spread 0.5. Layers: both lists of all heads of e5's first layers, over its Polish words. Each row also has
what forming the factors takes and what the whole product would take at the rate of a block of it, measured in
the same run, for all lists of a row; all on one thread, in the processor's seconds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from bench_pairs import factors as lognormal

HEADS = {"QK": (2, 7), "VO": (5, 5)}
READINGS = {"VO": {"embedding": "layer_norm", "unembedding": "unit"}, "QK": {"embedding": "layer_norm"}}
VOCABULARIES = (8192, 16_384, 32_768, 65_536, 131_072, 250_037)
WIDTHS = (16, 32, 64, 128)
LAYERS = (1, 2, 4, 8, 12)


def timed(function, *arguments):
    """Result and seconds."""
    start = time.process_time()
    return function(*arguments), time.process_time() - start


def product_rate(width: int, size: int = 1024, repeats: int = 20) -> float:
    """Billions of operations a second in one block of a product."""
    left, right = torch.randn(size, width), torch.randn(size, width)
    torch.mm(left, right.T)
    _, seconds = timed(lambda: [torch.mm(left, right.T) for _ in range(repeats)])
    return 2 * repeats * size**2 * width / seconds / 1e9


def searched(left: torch.Tensor, right: torch.Tensor, groups: np.ndarray | None = None) -> dict:
    """Seconds of one search, and the share of the product that it computed."""
    from analysis_lib.projections.pair_search import search_pairs

    (_, report), seconds = timed(search_pairs, left, right, 50, None, None, groups)
    return {"search": seconds, "computed": report.computed / (len(left) * len(right)), "strategy": report.strategy}


def by_vocabulary(reader, most: int) -> Iterator[dict]:
    """Two heads of e5 over more and more of its tokens."""
    from dataclasses import replace

    from analysis_lib.projections import qk_factors, vo_factors

    weights, order = reader.weights, np.random.default_rng(0).permutation(reader.weights.d_vocab)
    for vocab in VOCABULARIES:
        ids = np.sort(order[:vocab])
        if vocab > most:
            continue
        cut = replace(weights, W_E=weights.W_E[torch.from_numpy(ids)], W_U=weights.W_U[:, torch.from_numpy(ids)])
        for matrix, head in HEADS.items():
            function = vo_factors if matrix == "VO" else qk_factors
            (left, right), seconds = timed(lambda f=function, c=cut, m=matrix, h=head: f(c, *h, **READINGS[m]))
            row = searched(left.contiguous(), right.contiguous(), reader.vocabulary.form_groups[ids])
            yield {"subject": f"e5, {matrix}", "vocab": len(ids), "d_head": weights.d_head, "layers": 1, "factors": seconds, **row}


def by_width(vocab: int = 32_768) -> Iterator[dict]:
    """Random factors of several widths."""
    for width in WIDTHS:
        yield {"subject": "lognormal", "vocab": vocab, "d_head": width, "layers": 1, **searched(*lognormal(vocab, width, 0.5, 0))}


def by_layers(reader) -> Iterator[dict]:
    """All heads of e5's first layers, both matrices."""
    from analysis_lib.projections import head_lists

    readings = {"VO": "unit", "QK": "layer-normed"}
    for layers in LAYERS:
        heads = [(layer, head) for layer in range(layers) for head in range(reader.weights.n_heads)]
        _, seconds = timed(lambda h=heads: [head_lists.head_pairs(reader, m, r, heads=h, k=50) for m, r in readings.items()])
        yield {
            "subject": "e5, all heads",
            "vocab": int(reader.keep.sum()),
            "d_head": reader.weights.d_head,
            "layers": layers,
            "lists": len(readings) * len(heads),
            "search": seconds,
        }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the rows when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=VOCABULARIES[-1], help="largest vocabulary")
    parser.add_argument("--vary", nargs="+", default=["d_head", "layers", "vocab"], choices=["d_head", "layers", "vocab"])
    parser.add_argument("--csv", type=Path, default=Path(__file__).with_name("growth.csv"), help="file to write the rows to")
    options = parser.parse_args(arguments)
    import analysis_lib as al
    from analysis_lib.projections.readers import Reader

    torch.set_num_threads(1)
    reader = Reader.of(al.load("e5"))
    rates = {width: product_rate(width) for width in WIDTHS}
    rows = []
    whole = {"d_head": by_width(), "layers": by_layers(reader), "vocab": by_vocabulary(reader, options.most)}
    for varied in options.vary:
        for row in whole[varied]:
            product = 2 * row.pop("lists", 1) * row["vocab"] ** 2 * row["d_head"] / rates[row["d_head"]] / 1e9
            rows.append({"varied": varied, **row, "product": product, "rate": rates[row["d_head"]]})
            print({key: f"{value:.4g}" if isinstance(value, float) else value for key, value in rows[-1].items()}, flush=True)
            if options.csv:
                pd.DataFrame(rows).to_csv(options.csv, index=False, float_format="%.5g", lineterminator="\n")


if __name__ == "__main__":
    main()
