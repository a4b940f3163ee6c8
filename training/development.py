"""When things appear: what a model's snapshots measure along its training.

    python -m training.development --work training/runs --model polish-gpt2-mini

reads the snapshots that a run keeps at logarithmic steps and writes ``development.csv`` beside its log, a row a number:
``tokens, measure, source, layer, head, value``. Snapshots that are in the table are not measured again.
"""

import argparse
import csv
import os
from pathlib import Path

import numpy as np
from safetensors import safe_open
from scipy.special import entr

from analysis_lib import geometry, models, projections, texts, weights
from analysis_lib.activations import run
from analysis_lib.circuits import copying_scores
from analysis_lib.circuits.standard_probe import model_head_scores
from analysis_lib.projections.relations import permuted_null
from analysis_lib.vocabulary import Lexicon
from training.evaluate import heldout_losses, heldout_sources
from training.export import KINDS
from training.loop import check_heads, layers_of, load_weights
from training.tokens import MODELS

FIELDS = ["tokens", "measure", "source", "layer", "head", "value"]
HEAD_SCORES = ("previous token", "induction", "duplicate token")
HELDOUT_TOKENS = 16_384  # of each source: a curve's point, not a card's figure
PARAGRAPHS, STRIDE = 20, 64
PAIRS = 50


def pair_shares(loaded, lexicon):
    """Share of each head's best VO pairs of words that agree in lemma and in case: (relation, layer, head, share) tuples."""
    found, vocabulary = weights.extract(loaded), loaded.vocabulary
    keep, groups = vocabulary.keep(words=True, whole_words=True, min_length=2), vocabulary.form_groups
    for layer in range(found.n_layers):
        for head in range(found.n_heads):
            left, right = projections.vo_factors(found, layer, head)
            pairs = projections.top_pairs(left, right, PAIRS, keep_left=keep, keep_right=keep, groups=groups)
            shares = permuted_null(pairs.left_ids, pairs.right_ids, lexicon, groups, max_draws=1)["share"]
            yield "same_lemma", layer, head, float(shares["same_lemma"])
            yield "same_case", layer, head, float(shares["same_case"])


def of_paragraphs(loaded, paragraphs):
    """How alike states are, by layer, and the mean entropy of a row of attention [nats] by head: near 0 where a head looks at one place."""
    found = run(loaded, paragraphs, outputs=("patterns",), stride=STRIDE)
    for layer, value in enumerate(geometry.mean_cosine(found.output("states"))):
        yield {"measure": "anisotropy", "layer": layer, "value": float(value)}
    rows = np.concatenate([entr(pattern).sum(axis=-1) for pattern in found.output("patterns")], axis=-1)
    for (layer, head), value in np.ndenumerate(rows.mean(axis=-1)):
        yield {"measure": "entropy", "layer": layer, "head": head, "value": float(value)}


def measure(name, loaded, ids_by_source, lexicon):
    """All rows of one snapshot, without its tokens: dicts of the other ``FIELDS``."""
    short = {source: ids[:HELDOUT_TOKENS] for source, ids in ids_by_source.items()}
    for source, loss in heldout_losses(name, loaded.model, loaded.tokenizer, short):
        yield {"measure": "heldout_loss", "source": source, "value": loss}
    scores = {kind: model_head_scores(loaded, kind) for kind in HEAD_SCORES}
    scores["copying"] = copying_scores(weights.extract(loaded), centre=True)
    for kind, table in scores.items():
        for (layer, head), value in np.ndenumerate(table):
            yield {"measure": kind, "layer": layer, "head": head, "value": float(value)}
    yield from of_paragraphs(loaded, texts.paragraphs()["text"][:PARAGRAPHS])
    for relation, layer, head, value in pair_shares(loaded, lexicon):
        yield {"measure": relation, "layer": layer, "head": head, "value": value}


def develop(name, work, heads):
    """Measure the snapshots of one run that are not in its table yet; returns the table's path."""
    folder = work / name
    path, snapshots = folder / "development.csv", sorted((folder / "snapshots").glob("*.safetensors"), key=lambda p: int(p.stem))
    rows = read_table(path)
    done = {int(row["tokens"]) for row in rows}
    recipe, kind, tokenizer_kind = KINDS[name]
    tokenizer = tokenizer_kind.from_pretrained(folder / "tokenizer")
    ids_by_source = heldout_sources(folder)
    lexicon = None
    for snapshot in snapshots:
        if int(snapshot.stem) in done:
            continue
        with safe_open(snapshot, "pt") as file:
            tensors = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
            saved_heads = file.metadata().get("heads")  # older snapshots do not say
        table = next(v for k, v in tensors.items() if k.endswith(("wte.weight", "word_embeddings.weight")))
        model = kind(recipe.configuration(table.shape[0], layers_of(tensors), table.shape[1], heads))
        check_heads(model, saved_heads, snapshot)
        load_weights(model, tensors, snapshot)
        loaded = models.wrap(model.eval(), tokenizer)
        lexicon = lexicon or Lexicon.from_forms(loaded.vocabulary.text)
        rows += [{"tokens": snapshot.stem} | row for row in measure(name, loaded, ids_by_source, lexicon)]
        write_table(path, rows)
    return path


def read_table(path):
    """Rows of a table that is there, as dicts of text."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(path, rows):
    """Write the table whole or not at all."""
    scratch = path.with_suffix(".part")
    with open(scratch, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(scratch, path)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--heads", default=8, type=int)
    options = parser.parse_args(arguments)
    print(develop(options.model, options.work, options.heads))


if __name__ == "__main__":
    main()
