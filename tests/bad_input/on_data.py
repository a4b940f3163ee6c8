"""Bad texts, vocabularies, factors, patterns, prompts, designs and samples."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, circuits, geometry, norms, projections, report, statistics, weights
from analysis_lib.activations import interventions
from analysis_lib.circuits import ablation
from analysis_lib.incontext import behaviour, estimators, prompts
from analysis_lib.models import generation, wrap
from analysis_lib.norms import Specification
from analysis_lib.projections import factors
from analysis_lib.vocabulary import Lexicon
from tests.bad_input.case import Case
from tests.bad_input.on_models import bert, gpt2
from tests.support import panels, tiny

TEXTS, VOCABULARY, FACTORS, PATTERNS = "Texts and tokens", "Vocabularies", "Weights and factors", "Patterns and interventions"
PROMPTS, DESIGNS, SAMPLES = "Prompts", "Designs of regressions", "Samples and states"


def pattern(n: int = 4) -> np.ndarray:
    """An attention pattern [layer, head, query, key] that looks at everything before."""
    return np.broadcast_to(np.tril(np.ones((n, n))) / np.arange(1, n + 1)[:, None], (2, 2, n, n))


def norms_of(change=lambda values: values, tokens=lambda table: table, **options):
    """Regresses a panel after a change."""

    def call(_):
        values, table = panels.panel(n_texts=3, n_tokens=20)
        norms.lagged_regression(change(values.copy()), tokens(table), replace(panels.EFFECTS, **options))

    return call


def first_norm(value: float):
    def change(values):
        values[0, 5] = value
        return values

    return change


def edited(change):
    """Runs the tiny GPT-2 with a change."""

    def call(_):
        with interventions.edited(gpt2().model, change()):
            gpt2().model(input_ids=torch.arange(4)[None])

    return call


STATES = np.random.default_rng(0).normal(size=(1, 12, 4))
X, Y = np.zeros((3, 4, 2)), np.zeros((3, 4))
LEFT, RIGHT = np.eye(3), np.ones((3, 3))

CASES = [
    Case(TEXTS, "one string in the place of a list", lambda _: activations.run(gpt2(), "Nie wiem."), "texts"),
    Case(TEXTS, "a table with texts in a column", lambda _: activations.run(gpt2(), pd.DataFrame({"text": ["Nie."]})), "texts"),  # type: ignore[arg-type]
    Case(TEXTS, "no text", lambda _: activations.run(gpt2(), []), "texts"),
    Case(TEXTS, "an empty text", lambda _: activations.run(gpt2(), ["Nie.", "  "]), "texts[1]"),
    Case(TEXTS, "a text that is a number", lambda _: activations.run(gpt2(), ["Nie.", 3]), "texts[1]"),  # type: ignore[list-item]
    Case(TEXTS, "a text longer than the context", lambda _: activations.run(gpt2(), ["las " * 200]), "texts[0]"),
    Case(TEXTS, "a stride longer than the context", lambda _: activations.run(gpt2(), ["las " * 200], stride=500), "stride"),
    Case(TEXTS, "an unknown output", lambda _: activations.run(gpt2(), ["Nie."], outputs=["attn"]), "'attn'"),
    Case(TEXTS, "batches of 0", lambda _: activations.run(gpt2(), ["Nie."], batch_size=0), "batch_size"),
    Case(TEXTS, "a bare model", lambda _: activations.run(tiny.gpt2(), ["Nie."]), "loaded:"),  # type: ignore[arg-type]
    Case(TEXTS, "a text for a model without a tokenizer", lambda _: wrap(tiny.gpt2()).reader, "tokenizer"),
    Case(TEXTS, "an id outside the vocabulary", lambda _: activations.run_ids(gpt2(), [[1, 2], [3, 400]]), "sequences[1]"),
    Case(TEXTS, "a sequence without tokens", lambda _: activations.run_ids(gpt2(), [[1, 2], []]), "sequences[1]"),
    Case(TEXTS, "ids with a fraction", lambda _: activations.run_ids(gpt2(), [[1.7, 2.9]]), "sequences[0]"),  # type: ignore[list-item]
    Case(TEXTS, "a layer that is not there", lambda _: activations.run_ids(gpt2(), [[1, 2]]).layer("7"), "'7'"),
    Case(TEXTS, "patterns that were not kept", lambda _: activations.run_ids(gpt2(), [[1, 2]]).output("patterns"), "patterns"),
    Case(TEXTS, "a sentence without a mask", lambda _: generation.fill_in(bert(), "Nie wiem."), "text:"),
    Case(VOCABULARY, "two words for one token", lambda _: gpt2().vocabulary.word_id("nie wiem"), "word:"),
    Case(VOCABULARY, "a word of several tokens", lambda _: gpt2().vocabulary.word_id("niepodległość"), "word:"),
    Case(VOCABULARY, "a lexicon of one string", lambda _: Lexicon.from_forms("dom"), "forms"),
    Case(VOCABULARY, "a form that is no string", lambda _: Lexicon.from_forms(["dom", None]), "forms[1]"),  # type: ignore[list-item]
    Case(VOCABULARY, "an unknown part of speech", lambda _: Lexicon.from_forms(["dom"]).has_pos("gerund phrase"), "name"),
    Case(FACTORS, "factors of different widths", lambda _: projections.top_pairs(LEFT, np.ones((3, 2))), "left and right"),
    Case(FACTORS, "NaN in a factor", lambda _: projections.top_pairs(LEFT, RIGHT * np.nan), "right"),
    Case(FACTORS, "a vector for a matrix", lambda _: projections.top_pairs(np.ones(3), RIGHT), "left"),
    Case(FACTORS, "complex numbers", lambda _: projections.top_pairs(LEFT * 1j, RIGHT), "left"),
    Case(FACTORS, "no pairs, `k=0`", lambda _: projections.top_pairs(LEFT, RIGHT, k=0), "k"),
    Case(FACTORS, "two and a half pairs", lambda _: projections.top_pairs(LEFT, RIGHT, k=2.5), "k"),  # type: ignore[arg-type]
    Case(FACTORS, "a mask of ids", lambda _: projections.top_pairs(LEFT, RIGHT, keep_left=[0, 2]), "keep_left"),
    Case(FACTORS, "groups of another length", lambda _: projections.top_pairs(LEFT, RIGHT, groups=np.zeros(5, int)), "groups"),
    Case(FACTORS, "vectors that do not fit the unembedding", lambda _: projections.top_tokens(np.ones((1, 4)), RIGHT), "W_U"),
    Case(FACTORS, "a head that is not there", lambda _: weights.extract(gpt2()).head(0, 9), "head:"),
    Case(FACTORS, "an unknown reading", lambda _: factors.vo_factors(weights.extract(gpt2()), 0, 0, "normed"), "embedding:"),
    Case(FACTORS, "layer norms of a BERT, folded", lambda _: weights.extract(bert(), fold_layer_norm=True), "fold_layer_norm"),
    Case(FACTORS, "an unknown kind of composition", lambda _: circuits.composition_scores(weights.extract(gpt2()), "q"), "kind:"),
    Case(FACTORS, "a null of one draw", lambda _: circuits.composition_z(weights.extract(gpt2()), "Q", n_draws=1), "n_draws:"),
    Case(PATTERNS, "no pattern", lambda _: circuits.head_scores([], []), "patterns:"),
    Case(PATTERNS, "more queries than keys", lambda _: circuits.head_scores([pattern()[..., :3]], [[1, 2, 3, 4]]), "patterns[0]"),
    Case(PATTERNS, "weights above 1", lambda _: circuits.head_scores([2 * pattern()], [[1, 2, 1, 2]]), "patterns[0]"),
    Case(PATTERNS, "fewer ids than positions", lambda _: circuits.head_scores([pattern()], [[1, 2, 1]]), "ids[0]"),
    Case(PATTERNS, "no repeated token", lambda _: circuits.head_scores([pattern()], [[1, 2, 3, 4]], names=["induction"]), "targets:"),
    Case(PATTERNS, "an unknown site", edited(lambda: {("attn", 0): interventions.zero()}), "'attn'"),
    Case(PATTERNS, "a layer that is not there", edited(lambda: {("attention", 5): interventions.zero()}), "layer:"),
    Case(PATTERNS, "a head that is not there", edited(lambda: {("heads", 0): interventions.zero([7])}), "heads:"),
    Case(PATTERNS, "patterns that are changed", edited(lambda: {("patterns", 0): interventions.zero()}), "frozen_patterns"),
    Case(PATTERNS, "the loss of a masked model", lambda _: ablation.ablation_effects(bert(), torch.ones(2, 4).long()), "loaded:"),
    Case(PROMPTS, "points without dimensions", lambda _: estimators.ridge(Y, Y, 1.0), "xs:"),
    Case(PROMPTS, "fewer answers than points", lambda _: estimators.ridge(X, Y[:, :3], 1.0), "ys:"),
    Case(PROMPTS, "an infinite answer", lambda _: estimators.ridge(X, Y + np.inf, 1.0), "ys:"),
    Case(PROMPTS, "a penalty of 0", lambda _: estimators.ridge(X, Y, 0.0), "penalty:"),
    Case(PROMPTS, "no neighbour", lambda _: estimators.nearest_neighbours(X, Y, k=0), "k:"),
    Case(PROMPTS, "negative noise", lambda _: prompts.linear_prompts(4, 5, 2, seed=0, noise=-0.1), "noise:"),
    Case(PROMPTS, "a seed of text", lambda _: prompts.linear_prompts(4, 5, 2, seed="zero"), "seed:"),  # type: ignore[arg-type]
    Case(PROMPTS, "no prompts", lambda _: prompts.linear_prompts(0, 5, 2, seed=0), "n_prompts:"),
    Case(
        PROMPTS,
        "too many points for the model",
        lambda _: behaviour.predict(wrap(tiny.regressor()), np.zeros((1, 9, 2)), np.zeros((1, 9))),
        "xs:",
    ),
    Case(DESIGNS, "a norm of 0", norms_of(first_norm(0.0)), "norms:"),
    Case(DESIGNS, "a norm that is NaN", norms_of(first_norm(np.nan)), "norms:"),
    Case(DESIGNS, "norms of fewer tokens", norms_of(lambda values: values[:, :-1]), "norms:"),
    Case(DESIGNS, "constant norms", norms_of(np.ones_like), "norms:"),
    Case(DESIGNS, "a text in two pieces", norms_of(tokens=lambda t: t.assign(text=np.arange(len(t)) % 2)), "tokens:"),
    Case(DESIGNS, "a covariate that is no column", norms_of(covariates=("mood",)), "'mood'"),
    Case(DESIGNS, "a covariate that never varies", norms_of(tokens=lambda t: t.assign(one=1.0), covariates=("one",)), "specification:"),
    Case(DESIGNS, "one name for a tuple of names", lambda _: Specification(covariates="mood"), "covariates:"),  # type: ignore[arg-type]
    Case(DESIGNS, "no lags", lambda _: Specification(lags=-1), "lags:"),
    Case(DESIGNS, "unknown errors", lambda _: Specification(errors="robust"), "errors:"),
    Case(DESIGNS, "clusters of a single text", lambda _: norms.lagged_regression(*panels.panel(n_texts=1)), "specification:"),
    Case(SAMPLES, "one state", lambda _: geometry.anisotropy(STATES[:, :1], [0]), "states"),
    Case(SAMPLES, "a state of zeros", lambda _: geometry.anisotropy(STATES * (np.arange(12) > 0)[:, None], range(12)), "states[0, 0]"),
    Case(SAMPLES, "fewer labels than states", lambda _: geometry.anisotropy(STATES, [0, 1]), "texts"),
    Case(SAMPLES, "states of one text", lambda _: geometry.anisotropy(STATES, np.zeros(12)), "texts"),
    Case(SAMPLES, "a word in too few texts", lambda _: geometry.self_similarity(STATES, range(12), range(12)), "min_contexts"),
    Case(SAMPLES, "one value", lambda _: statistics.bootstrap_interval([1.0]), "values:"),
    Case(SAMPLES, "NaN in a sample", lambda _: statistics.bootstrap_interval([1.0, np.nan, 2.0]), "values:"),
    Case(SAMPLES, "a level of 95", lambda _: statistics.bootstrap_interval([1.0, 2.0, 3.0], level=95), "level:"),
    Case(SAMPLES, "more successes than trials", lambda _: statistics.wilson_interval(5, 3), "successes"),
    Case(SAMPLES, "a p-value of 2", lambda _: statistics.holm([0.1, 2.0]), "pvalues:"),
    Case(SAMPLES, "choosing and measuring on one draw", lambda _: statistics.choose_and_measure(LEFT, LEFT), "choosing and measuring"),
    Case(SAMPLES, "a table with formats of no column", lambda _: report.table(pd.DataFrame({"a": [1]}), "A", formats={"b": 2}), "formats:"),
    Case(SAMPLES, "a claim without a null", lambda _: report.finding("k", "c", (1, 0, 2), {}, model="m", section="s"), "nulls"),
]
