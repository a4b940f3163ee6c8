"""What chapters cost on models of the published size, from a sample.

    python tools/real_size_hub.py FOLDER
    python benchmarks/bench_real_size.py --folder FOLDER [--csv benchmarks/real_size.csv]

Each part of a chapter is done for a few heads, vectors or texts of the random models in the folder, on one thread, and its seconds
of the processor are multiplied by how often the chapter does it. Without a folder, nothing is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _memory import peak_mib

MODELS = {"polish-gpt2": "sdadas/polish-gpt2-medium", "herbert": "allegro/herbert-base-cased"}
READINGS = {"VO": "unit", "QK": "layer-normed"}
RELATIONS = ["same_lemma", "same_pos", "same_case", "same_number", "same_person", "preposition_noun"]
Part = tuple[str, int, int, Callable[[], object]]
"""What is done, how many of a thing are measured, how many the chapter has, and the work."""


def heads_parts(reader) -> Iterator[Part]:
    """The chapter on attention heads."""
    from analysis_lib import circuits, texts
    from analysis_lib.circuits.copying import copying_on_text
    from analysis_lib.models import is_causal
    from analysis_lib.projections import head_lists, random_heads, recall

    weights, sentences = reader.weights, texts.sentences()
    heads = [(layer, head) for layer in np.linspace(0, weights.n_layers - 1, 3).astype(int).tolist() for head in (0, 5)]
    total, lists = weights.n_layers * weights.n_heads, {}

    def search(matrix):
        lists[matrix] = head_lists.head_pairs(reader, matrix, READINGS[matrix], heads=heads)

    for matrix, how in READINGS.items():
        yield f"lists of heads, {matrix}", len(heads), total, partial(search, matrix)
        for make in (random_heads.rotated, random_heads.symmetric):
            options = {"n_draws": 1, "per_draw": 1, "names": RELATIONS}
            work = partial(random_heads.random_shares, reader, make, matrix, how, **options)
            yield f"lists of random heads, {make.__name__}, {matrix}", 1, 20, work
    describe = partial(head_lists.describe_lists, reader, lists, names=RELATIONS, max_draws=2000)
    yield "permuted lists", 2 * len(heads), 2 * total, describe
    yield "copying scores", 1, 2, partial(circuits.copying_scores, weights, centre=True)
    mixed = torch.randn(14 * len(sentences), weights.d_head)  # a row for each place of the sentences

    def recall_of(head):
        for _ in ("what tokens predict", "what the head writes"):
            (mixed @ (weights.W_O[0, head] @ weights.W_U)).topk(50, dim=1)

    yield "recall of heads", 2, min(96, total), lambda: [recall_of(head) for head in (0, 1)]
    if is_causal(reader.loaded.model):
        some, three = torch.randint(1, weights.d_vocab, (4, 96)), [(0, 0), (weights.n_layers // 2, 0), (weights.n_layers - 1, 0)]
        yield (
            "copying on text, two models",
            3 * 4,
            2 * min(24, total) * (24 if total <= 24 else 12),
            partial(copying_on_text, reader.loaded, some, three),
        )
    yield "recall of values", 4, len(sentences), partial(recall.value_recall, reader.loaded, sentences[:4])


def neurons_parts(reader, most: int = 1024) -> Iterator[Part]:
    """The chapter on feed-forward layers; `most` as there."""
    from analysis_lib import models
    from analysis_lib.projections import neurons, shared_features, shuffled_overlap, top_tokens

    weights, some, lists = reader.weights, 256, {}
    total = weights.n_layers * min(most, weights.d_mlp)
    keys, _ = neurons.all_keys_values(weights)
    kinds = shared_features.token_kinds(reader.lexicon, reader.keep)

    def search(both_ends):
        lists["ids"] = top_tokens(keys[:some], weights.W_U, 100, reader.keep, both_ends=both_ends)

    yield "lists of values, both ends", some, total, partial(search, True)
    yield "lists of keys, folded, untrained and random vectors", some, 5 * total, partial(search, False)
    yield "lists of vectors like the layer's", some, 6 * total, partial(search, False)
    yield "vectors like the layer's", 1, 6 * weights.n_layers, partial(neurons.similar_vectors, keys[: weights.d_mlp], 1)
    groups = reader.vocabulary.form_groups
    judge = lambda: shared_features.alike_lists(lists["ids"].ids[:, :20], kinds, reader.keep, groups)  # noqa: E731
    yield "lists judged", some, 11 * total, judge
    overlap = lambda: shuffled_overlap(lists["ids"].ids, lists["ids"].ids[::-1].copy(), n_layers=1, seed=0)  # noqa: E731
    yield "overlap of lists", some, 3 * total, overlap
    yield "an untrained model", 1, 1, partial(models.untrained_like, reader.loaded, seed=0)


def work_parts(reader, most: int = 1024) -> Iterator[Part]:
    """The chapter on neurons at work; `most` as there."""
    from analysis_lib import texts
    from analysis_lib.projections import neuron_activity, neurons, top_tokens

    weights, some, every, sentences = reader.weights, 256, texts.all_texts(), texts.sentences()[:8]
    keys, values = neurons.all_keys_values(weights)
    yield (
        "lists of keys and values",
        some,
        2 * weights.n_layers * min(most, weights.d_mlp),
        partial(top_tokens, keys[:some], weights.W_U, 20, reader.keep),
    )
    yield "where neurons fire", 12, len(every), partial(neuron_activity.Firing.of, reader.loaded, every[:12], n=12)
    lists, middle = np.tile(np.flatnonzero(reader.keep)[:20], (9, 1)), weights.n_layers // 2  # a value and eight others
    steer = partial(neuron_activity.steering, reader.loaded, sentences, middle, values[:9], lists, reader.keep)
    yield "values tried out", 1, 3 * min(6, weights.n_layers), steer


def norms_parts(reader) -> Iterator[Part]:
    """The chapter on norms of attention updates: passes over its texts."""
    from analysis_lib import models, norms, texts

    paragraphs, loaded = list(texts.paragraphs()["text"]), reader.loaded
    one, pair = partial(norms.update_norms, loaded, paragraphs[:2]), 2
    draws = 8 if reader.weights.d_model <= 512 else 5  # as there, of untrained models and of orders
    yield "norms: as they are, shuffled and untrained", pair, (2 + 2 * draws) * len(paragraphs), one
    replaced = len(paragraphs) + 6 * (len(paragraphs) // 2)  # the mean in all texts; in half of them doubled, and in untrained models
    options = {"n_places": 1, "reach": 12, "layers": norms.interventions.spread_layers(reader.weights.n_layers, 6), "later": 1}
    yield "updates replaced", pair, replaced, partial(norms.replace_updates, loaded, paragraphs[:2], **options)
    yield "untrained models", 1, 4 + draws, partial(models.untrained_like, loaded, seed=1)


def grammar_parts(reader) -> Iterator[Part]:
    """The chapter on grammar: heads removed, tables of heads, and random heads."""
    from analysis_lib import texts
    from analysis_lib.projections import forms_in_text, grammar, minimal_pairs, preferences, random_heads, rank_scores

    weights = reader.weights
    total, words = weights.n_layers * weights.n_heads, set(reader.vocabulary.text[reader.keep])
    pairs = minimal_pairs.minimal_pairs(minimal_pairs.phenomena(words), n_blocks=250)
    scorer, means = preferences.PairScorer(reader.loaded, pairs), forms_in_text.head_means_in(reader.loaded, texts.sentences()[:4])
    three = [(0, 0), (weights.n_layers // 2, 0), (weights.n_layers - 1, 0)]
    yield "heads removed", 3, min(total, 49), partial(scorer.ablation_effects, means, three)
    relations = grammar.relation_pairs(words, min_pairs=20, max_pairs=40)
    tokens = grammar.pair_ids(relations, reader.vocabulary.text, reader.keep)
    rivals = np.flatnonzero(reader.keep)[:1000]
    yield "tables of heads, two readings", 6, 2 * total, partial(rank_scores.head_rank_scores, weights, tokens, rivals, three * 2)
    for make, n in ((random_heads.rotated, 3), (random_heads.symmetric, 1)):
        work = partial(rank_scores.random_rank_scores, weights, make, tokens, rivals, n_draws=1, per_draw=n)
        yield f"tables of random heads, {make.__name__}", 1, 20, work


def lenses_parts(reader, passes: int = 2) -> Iterator[Part]:
    """The chapter on lenses: of deep models thirteen states, and for the Jacobian a sequence of some twelve tokens in each half."""
    from analysis_lib import activations
    from analysis_lib.projections import lens_scores, lenses

    weights, drawn = reader.weights, torch.Generator().manual_seed(0)
    layers, width = min(13, weights.n_layers + 1), weights.d_model
    states = torch.randn(1, 4000, width, generator=drawn).numpy()
    groups = np.arange(4000) // 60
    fits = 3 * layers + 8  # of the model, of the untrained one to both models' last states, and of two layers of four more samples
    yield "affine lenses", 1, fits, partial(lenses.affine_lens, states, states[0] @ states[0][:width] / width, groups)
    few = states[:, :64]
    yield "predictions of lenses", 64, 4 * layers * 600, partial(lens_scores.compare, weights, few[0], few)
    copies = torch.randint(1, weights.d_vocab, (16, 12))  # of a sequence: each is for one column

    def backward():
        with activations.recording(reader.loaded.model) as record:
            reader.loaded.model.base_model(input_ids=copies)
        kept = [record["states", layer] for layer in range(weights.n_layers + 1)]
        for column in range(passes):
            torch.autograd.grad(kept[-1][..., column].sum(), kept[:-1], retain_graph=True)

    yield "Jacobian lens", passes * len(copies), 2 * width, backward


CHAPTERS = {
    "grammar": grammar_parts,
    "lenses": lenses_parts,
    "attention_heads": heads_parts,
    "feed_forward": neurons_parts,
    "neurons_at_work": work_parts,
    "attention_norms": norms_parts,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and write the rows when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="what tools/real_size_hub.py has written")
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--chapters", nargs="+", default=list(CHAPTERS), choices=list(CHAPTERS))
    parser.add_argument("--csv", type=Path, help="file to write the rows to")
    options = parser.parse_args(arguments)
    if options.folder is None:
        print("no --folder with models of real size: nothing is measured")
        return
    import analysis_lib as al
    from analysis_lib.projections.readers import Reader

    torch.set_num_threads(1)
    rows = []
    for name in options.models:
        reader = Reader.of(al.load(str(options.folder / MODELS[name])))
        for chapter in options.chapters:
            for part, sampled, whole, work in CHAPTERS[chapter](reader):
                start = time.process_time()
                work()
                seconds = time.process_time() - start
                row = {"model": name, "chapter": chapter, "part": part, "sampled": sampled, "whole": whole, "seconds": seconds}
                rows.append(row | {"extrapolated": seconds * whole / sampled, "peak_mib": peak_mib()})
                print(f"{name} {chapter} {part}: {seconds:.2f} s for {sampled}, {rows[-1]['extrapolated']:.0f} s for {whole}", flush=True)
                if options.csv:
                    pd.DataFrame(rows).to_csv(options.csv, index=False, float_format="%.4g", lineterminator="\n")


if __name__ == "__main__":
    main()
