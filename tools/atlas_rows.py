"""What the atlas says of every head and every neuron: lists, scores and p-values, as plain dictionaries for `atlas`.

Lists of words are those of the chapters on attention heads and on feed-forward layers, found and tested in the same way. The toy's lists
hold its symbols, and heads and neurons of the regressors, which read numbers, have scores alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import hypergeom

from analysis_lib import circuits, incontext, models
from analysis_lib.circuits import standard_probe
from analysis_lib.circuits.induction import SCORES, probe_patterns, probe_scores
from analysis_lib.incontext import heads as regressor_heads
from analysis_lib.incontext.answers import without_head
from analysis_lib.models import LoadedModel
from analysis_lib.projections import head_lists, neurons, qk_factors, relations, shared_features, top_pairs, top_tokens, vo_factors
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import correct_together
from analysis_lib.weights import TransformerWeights, extract

PAIRS, SHOWN_PAIRS = {"e5": 100}, 10  # of a head's list: those that are tested (200 where no number is given), and those that are shown
TOKENS, SHOWN_TOKENS = 20, 8  # of a neuron's list
MOST_NEURONS = 12_000  # of a model, so that the site stays small; of larger ones as many of each layer, drawn by lot
SEQUENCES = 24  # of the probe of head scores
PROMPTS = 640  # of a regressor
ATTENTION = {
    "previous token": "share of attention that goes to the token before",
    "two back": "share of attention that goes two places back",
    "duplicate token": "share of attention that goes to an earlier copy of the token",
    "induction": "share of attention that goes to the token after an earlier copy",
    "first position": "share of attention that goes to the first place",
}
COPYING = "copying", "sum of the eigenvalues of VO over the sum of their sizes; 1 where all tokens promote themselves"
COSINE = "cosine", "cosine of key and value"

Scores = Mapping[tuple[str, str], np.ndarray]  # (name, what it is) to [layer, number]


def part(scores: Scores, untrained: Scores | None = None, lists: list[str] | None = None, rows: list | None = None, **more: Any) -> dict:
    """Heads, or neurons, of a model: their scores, each with the largest of an untrained model, and their lists, row by row."""
    grids = list(scores.values())
    layers, size = grids[0].shape
    largest = {} if untrained is None else {name: round(float(grid.max()), 3) for name, grid in untrained.items()}
    named = [{"name": name[0], "about": name[1], "untrained": largest.get(name)} for name in scores]
    values = [[round(float(x), 3 if grid.size < 1000 else 2) for x in grid.ravel()] for grid in grids]
    return {"layers": layers, "size": size, "scores": named, "values": values, "lists": lists or [], "rows": rows or [], **more}


def language_heads(reader: Reader, study: str) -> tuple[dict, dict[str, head_lists.HeadPairs], pd.DataFrame]:
    """Heads of a model that reads words: the part without lists, the lists, and what these relate, not corrected."""
    normed = reader.weights.layer_norms is not None
    how = {"VO": "unit" if normed else "raw", "QK": "layer-normed" if normed else "raw"}
    lists = {matrix: head_lists.head_pairs(reader, matrix, reading, k=PAIRS.get(study, 200)) for matrix, reading in how.items()}
    related = head_lists.describe_lists(reader, lists, names=list(relations.TITLES), max_draws=2000)
    large = len(reader.vocabulary) > 100_000  # a fresh copy of such a vocabulary, and its copying scores, would take a minute
    found = head_part(reader.loaded, copying=not large, against_untrained=not large)
    return found, lists, related


def head_part(loaded: LoadedModel, copying: bool = True, against_untrained: bool = True) -> dict:
    """Scores of all heads on the standard probe, and their copying scores, beside an untrained model's."""
    trained, fresh = loaded, models.untrained_like(loaded, seed=0) if against_untrained else None
    return part(head_scores(trained, copying), None if fresh is None else head_scores(fresh, copying))


def head_scores(loaded: LoadedModel, copying: bool) -> dict[tuple[str, str], np.ndarray]:
    probe = standard_probe.standard_probe(loaded, n_sequences=SEQUENCES, seed=0)
    scores = probe_scores(probe_patterns(loaded, probe), probe)
    found = {(name, ATTENTION[name]): scores[name].mean(axis=0) for name in SCORES}
    return found | ({COPYING: circuits.copying_scores(extract(loaded), centre=True)} if copying else {})


def head_rows(reader: Reader, lists: Mapping[str, head_lists.HeadPairs], family: pd.DataFrame) -> list[list[dict]]:
    """Every head's two lists: first pairs, and for each relation share, mean share of permuted lists, p, corrected p, whether it passes."""
    table = family.set_index(["matrix", "layer", "head", "relation"])[["share", "null_mean", "p", "p_holm", "passes"]]
    tested = {place: values for place, *values in table.dropna(subset="share").itertuples()}
    rows = []
    for layer, head in lists["VO"]:
        row = []
        for matrix, pairs in lists.items():
            places = [(matrix, layer, head, name) for name in relations.TITLES]
            tests = [[relations.TITLES[place[-1]], *test_words(*tested[place])] for place in places if place in tested]
            row.append({"words": head_lists.shown_pairs(pairs[layer, head], reader.vocabulary, SHOWN_PAIRS), "tests": tests})
        rows.append(row)
    return rows


def test_words(share: float, null: float, p: float, p_holm: float, passes: bool) -> list:
    return [round(share, 3), round(null, 3), float(f"{p:.1e}"), float(f"{p_holm:.1e}"), int(passes)]


def language_models(readers: Mapping[str, Reader], together: Iterable[str]) -> dict[str, dict]:
    """Heads of models that read words; the tests of the models named in `together` are corrected as one family, as in the chapter."""
    found = {name: language_heads(reader, name) for name, reader in readers.items()}
    groups = [[name for name in found if name in set(together)], *([name] for name in found if name not in set(together))]
    family = pd.concat([correct_together({name: found[name][2] for name in group}) for group in groups if group])
    for name, (heads, lists, _) in found.items():
        rows = head_rows(readers[name], lists, family[family["model"] == name])
        heads |= {"lists": list(lists), "rows": rows}
    return {name: heads for name, (heads, _, _) in found.items()}


def toy_heads(loaded: LoadedModel) -> dict:
    """Heads of the toy, whose tokens are symbols: an ablation beside the scores, and the share of pairs of one symbol."""
    weights = extract(loaded)
    found = head_part(loaded)
    probe = standard_probe.standard_probe(loaded, n_sequences=SEQUENCES, seed=0)
    loss = circuits.ablation_effects(loaded, probe.ids, "mean").mean(axis=(2, 3))
    rise = {
        "name": "ablation",
        "about": "rise of the loss with the mean in the place of the head's output, in nats, over all tokens",
        "untrained": None,
    }
    found["scores"].append(rise)
    found["values"].append([round(float(x), 3) for x in loss.ravel()])
    size = len(weights.W_E)
    rows = []
    for layer, head in np.ndindex(weights.n_layers, weights.n_heads):
        row = []
        for factors in (vo_factors, qk_factors):
            pairs = top_pairs(*factors(weights, layer, head), size)
            same = int((pairs.left_ids == pairs.right_ids).sum())
            p = float(hypergeom.sf(same - 1, size * size, size, size))  # of all pairs as many are drawn, each one once
            corrected = min(1.0, 2 * weights.n_layers * weights.n_heads * p)
            words = [f"{a} → {b}" for a, b in zip(pairs.left_ids[:SHOWN_PAIRS], pairs.right_ids[:SHOWN_PAIRS], strict=True)]
            row.append({"words": words, "tests": [["one symbol", *test_words(same / size, 1 / size, p, corrected, corrected < 0.05)]]})
        rows.append(row)
    return found | {"lists": ["VO", "QK"], "rows": rows}


def language_neurons(reader: Reader) -> dict:
    """Neurons of a model that reads words: tokens of key and value, and what each list has in common.

    `ids` [2, neuron, token], and one table for keys and one for values: the feature that chance explains least, its count, the count by
    chance, p over all features, and whether the list passes among all lists of the model.
    """
    weights = reader.weights
    per_layer = min(weights.d_mlp, MOST_NEURONS // weights.n_layers)
    numbers = neurons.sample_neurons(weights.n_layers, weights.d_mlp, per_layer, seed=0)
    sides = [side[numbers] for side in neurons.all_keys_values(weights)]
    ids = np.stack([top_tokens(side, weights.W_U, TOKENS, reader.keep).ids for side in sides])
    kinds = shared_features.token_kinds(reader.lexicon, reader.keep)
    table = shared_features.alike_lists(np.concatenate(ids), kinds, reader.keep, reader.vocabulary.form_groups)
    best = table.sort_values(["p", "list"], kind="stable").drop_duplicates("list").sort_values("list", ignore_index=True)
    best["p"] = (best["p"] * len(kinds)).clip(upper=1)
    plain = best["kind"].isin(["part of speech", "case", "person", "number", "name", "capital"])  # the feature says it all
    best["shared"] = best["feature"].where(plain | (best["feature"] == ""), best["kind"] + " " + best["feature"])
    best["passes"] = best["p_holm"] < 0.05
    cosine = neurons.key_value_cosines(weights)[numbers].reshape(weights.n_layers, per_layer)
    found = part({COSINE: cosine}, lists=["key", "value"])
    if per_layer < weights.d_mlp:
        found["numbers"] = (numbers % weights.d_mlp).tolist()
    tests = [best.iloc[: len(numbers)], best.iloc[len(numbers) :]]
    return found | {"ids": ids[:, :, :SHOWN_TOKENS], "tests": tests, "text": reader.vocabulary.text}


def regressor_parts(loaded: LoadedModel, study: str) -> tuple[dict, dict]:
    """Heads and neurons of a regressor."""
    fresh = models.untrained_like(loaded, seed=0)
    xs, ys = regressor_prompts(loaded, study)
    trained, untrained = ((regressor_scores(m, xs, ys), regressor_neurons(extract(m))) for m in (loaded, fresh))
    return part(trained[0], untrained[0]), part(trained[1], untrained[1])


def regressor_prompts(loaded: LoadedModel, study: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of the kind that the model was trained on."""
    if study.startswith("model-selector"):
        drawn = incontext.selector_prompts(PROMPTS, seed=41, n_fitted=6 if study.endswith("few") else 21)
        return drawn.xs, drawn.ys
    config = loaded.model.config
    prompts = incontext.linear_prompts(PROMPTS, config.n_points, config.n_dims, seed=41, noise=0.5 if study.endswith("noisy") else 0.0)
    return prompts.xs, prompts.ys


def regressor_scores(loaded: LoadedModel, xs: torch.Tensor, ys: torch.Tensor) -> dict[tuple[str, str], np.ndarray]:
    half = xs.shape[1] // 2

    def error() -> float:
        return float(((incontext.predict(loaded, xs, ys) - ys.numpy()) ** 2)[:, half:].mean())

    whole, config = error(), loaded.model.config
    rise = np.zeros((config.num_hidden_layers, config.num_attention_heads))
    for layer, head in np.ndindex(*rise.shape):
        with without_head(loaded, layer, head, "mean"):
            rise[layer, head] = error() - whole
    prompts = incontext.Prompts(xs[:64], ys[:64], xs[:64], ys[:64], xs[:64, 0])
    patterns = regressor_heads.attention_patterns(loaded, prompts)
    return {
        ("ablation", "rise of the squared error in the second half of a prompt without the head (its mean output instead)"): rise,
        ("binding", "share of attention that an answer gives to its own question"): regressor_heads.binding(patterns).mean(axis=(0, -1)),
        ("product", "slope of attention in the product of a point's x and the x asked about"): regressor_heads.product_slopes(
            patterns, xs[:64]
        ).mean(axis=0),
    }


def regressor_neurons(weights: TransformerWeights) -> dict[tuple[str, str], np.ndarray]:
    keys, values = neurons.all_keys_values(weights)
    grid = weights.n_layers, weights.d_mlp
    return {
        ("writes", "inner product of the value with the read-out: what the neuron adds to the prediction where nothing follows it"): (
            (values @ weights.W_U)[:, 0].numpy().reshape(grid)
        ),
        COSINE: neurons.key_value_cosines(weights).reshape(grid),
        ("key norm", "length of the key"): keys.norm(dim=1).numpy().reshape(grid),
        ("value norm", "length of the value"): values.norm(dim=1).numpy().reshape(grid),
    }


def heads_reader(reader: Reader, study: str) -> Reader:
    """The reader of the chapter on heads: words without numbers, and of e5's words those of three letters or more."""
    keep = reader.vocabulary.keep(
        words=True, whole_words=True, counts=reader.counts, lexicon=reader.lexicon, min_length=3 if study == "e5" else 1
    )
    return replace(reader, keep=keep)
