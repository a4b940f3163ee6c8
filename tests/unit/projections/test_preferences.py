"""Preferences between two forms: against the model's own logits, with heads that are planted, and intervals that hold."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import processors

from analysis_lib import models
from analysis_lib.activations.interventions import edited, zero
from analysis_lib.models import LoadedModel
from analysis_lib.models.encoder import Encoder
from analysis_lib.projections import preferences, vo_factors
from analysis_lib.projections.forms_in_text import head_means_in
from tests.support import tiny

PAIRS = pd.DataFrame(
    {
        "prefix": ["Wtedy do", "Wtedy do", "Tego dnia przed"],
        "cue": ["do", "do", "przed"],
        "right": ["domu", "matki", "domem"],
        "wrong": ["domem", "matka", "domu"],
    }
)


@pytest.fixture(scope="module", params=["polish-gpt2", "herbert"])
def loaded(request):
    return models.load(request.param, source="embedded")


@pytest.fixture(scope="module")
def scorer(loaded):
    return preferences.PairScorer(loaded, PAIRS)


def own_margins(loaded):
    """The same through the whole model, a pair at a time."""
    found = []
    for row in PAIRS.itertuples():
        if loaded.tokenizer.mask_token is None:
            ids = loaded.tokenizer(f" {row.prefix}")["input_ids"]
            place = -1
        else:
            ids = loaded.tokenizer(f"{row.prefix} {loaded.tokenizer.mask_token} .")["input_ids"]
            place = ids.index(loaded.tokenizer.mask_token_id)
        with torch.no_grad():
            logits = loaded.model(input_ids=torch.tensor([ids])).logits[0, place]
        found.append(float(logits[loaded.vocabulary.word_id(row.right)] - logits[loaded.vocabulary.word_id(row.wrong)]))
    return found


def heads_of(loaded):
    return loaded.model.config.num_hidden_layers, loaded.model.config.num_attention_heads


def test_margins_are_the_models_own(loaded, scorer):
    np.testing.assert_allclose(scorer.margins(), own_margins(loaded), atol=1e-3)
    assert len(scorer.sequences) == 2  # two of three pairs share their beginning


def test_effects_are_margins_lost(loaded, scorer):
    means = torch.zeros(*heads_of(loaded), 32)
    effects = scorer.ablation_effects(means, heads=[(1, 2), (3, 0)])
    with edited(loaded.model, {("heads", 1): zero(heads=[2])}):
        without = own_margins(loaded)
    np.testing.assert_allclose(effects[0], np.array(own_margins(loaded)) - without, atol=2e-3)
    assert effects.shape == (2, 3)


def test_effects_are_kept_on_disk_under_what_was_asked(loaded, scorer, monkeypatch, tmp_path):
    monkeypatch.setenv("ANALYSIS_SWEEPS", str(tmp_path))
    means = torch.zeros(*heads_of(loaded), 32)
    first = scorer.ablation_effects(means, heads=[(1, 2), (3, 0)])
    monkeypatch.setattr(preferences, "resumed", None)  # nothing can be computed any more
    np.testing.assert_array_equal(scorer.ablation_effects(means, heads=[(3, 0), (1, 2)]), first[::-1])
    for other_means, head in ((means, (1, 3)), (means + 1, (1, 2))):
        with pytest.raises(TypeError):
            scorer.ablation_effects(other_means, heads=[head])


def test_a_head_that_writes_its_mean_already_has_no_effect(loaded):
    weight = {"gpt2": lambda m: m.transformer.h[2].attn.c_attn, "bert": lambda m: m.bert.encoder.layer[2].attention.self.value}
    model = copy.deepcopy(loaded.model)
    module = weight[model.config.model_type](model)
    with torch.no_grad():
        values = 2 * model.config.hidden_size  # after queries and keys
        columns = slice(values, values + 32) if model.config.model_type == "gpt2" else slice(0, 32)
        (module.weight[:, columns] if model.config.model_type == "gpt2" else module.weight[columns]).zero_()
    constant = replace(loaded, model=model)
    means = head_means_in(constant, ["Kot siedzi na oknie.", "Wtedy przyszła."])
    effects = preferences.PairScorer(constant, PAIRS).ablation_effects(means, heads=[(2, 0), (2, 1)])
    np.testing.assert_allclose(effects[0], 0, atol=1e-4)
    assert np.abs(effects[1]).max() > 1e-4


def test_table_margins_are_entries_of_the_table(loaded, scorer):
    left, right = vo_factors(scorer.weights, 1, 3, embedding="layer_norm")
    n_layers, n_heads = heads_of(loaded)
    found = scorer.table_margins()
    assert found.shape == (n_layers * n_heads, 3)
    row = (left[scorer.cues.tolist()] @ right.T).numpy()
    expected = row[range(3), scorer.right] - row[range(3), scorer.wrong]
    np.testing.assert_allclose(found[n_heads + 3], expected, atol=1e-4)


def test_attention_to_the_cue(loaded, scorer):
    ids, place = torch.tensor([scorer.sequences[1]]), scorer.places[1]
    with torch.no_grad():
        patterns = loaded.model(input_ids=ids, output_attentions=True).attentions
    cue = scorer.sequences[1].index(scorer.cues[2])
    expected = torch.stack([pattern[0, :, place, cue] for pattern in patterns]).flatten()
    np.testing.assert_allclose(scorer.attention_to_cue()[:, 2], expected, atol=1e-5)


def test_bad_pairs_and_models_are_named(loaded):
    with pytest.raises(ValueError, match="expected one pair or more, of two different forms"):
        preferences.PairScorer(loaded, PAIRS.assign(wrong=PAIRS["right"]))
    with pytest.raises(ValueError, match="one token"):
        preferences.PairScorer(loaded, PAIRS.assign(wrong="najniebezpieczniejszego"))
    with pytest.raises(ValueError, match=r"means: expected \[layer, head, d_head\]"):
        preferences.PairScorer(loaded, PAIRS).ablation_effects(torch.zeros(1, 6, 32))


def test_a_bare_encoder_is_refused():
    tokenizer = tiny.herbert_tokenizer()
    bare = LoadedModel(
        model=Encoder(tiny.bert(vocab=len(tokenizer)).config).eval(),
        tokenizer=tokenizer,
        name="bare",
        source="folder",
        identifier="t",
        revision="0",
    )
    with pytest.raises(ValueError, match="found the bare encoder bare"):
        preferences.PairScorer(bare, PAIRS)


def test_an_end_that_the_tokenizer_puts_after_a_text_is_not_read():
    """The next word is asked for at the last word, and not at an end of text after it."""
    plain, ending = (tiny.byte_level_tokenizer(vocab_size=2000) for _ in range(2))  # every word of its sentences is a token
    end = ending.eos_token
    ending.backend_tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {end}", special_tokens=[(end, ending.eos_token_id)])
    assert ending("nie")["input_ids"] == [*plain("nie")["input_ids"], ending.eos_token_id]
    pairs = pd.DataFrame({"prefix": ["Nie wiem, a potem do"], "cue": ["do"], "right": ["lasu"], "wrong": ["drogą"]})
    model = tiny.gpt2(vocab=len(plain))
    expected, found = (preferences.PairScorer(models.wrap(model, tokenizer), pairs) for tokenizer in (plain, ending))
    assert found.sequences == expected.sequences == [plain(" Nie wiem, a potem do")["input_ids"]]
    assert found.places == [len(expected.sequences[0]) - 1]
    np.testing.assert_array_equal(found.margins(), expected.margins())


def test_a_masked_model_needs_a_tokenizer_with_a_mask():
    tokenizer = tiny.byte_level_tokenizer()
    with pytest.raises(ValueError, match="expected a tokenizer with a mask for a masked model, found .* without one"):
        preferences.PairScorer(models.wrap(tiny.bert(vocab=len(tokenizer)), tokenizer), PAIRS)


def test_crossed_intervals_hold_the_mean_of_crossed_units():
    """Rows and columns with effects of their own: resampling cells alone would hold the mean far too rarely."""
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows, columns = (side.ravel() for side in np.indices((20, 25)))
        values = rng.normal(size=20)[rows] + rng.normal(size=25)[columns] + rng.normal(size=500)
        found = preferences.crossed_interval(values, rows, columns, n_resamples=300, seed=seed)
        assert found.estimate == pytest.approx(values.mean())
        held += found.low <= 0 <= found.high
    assert held >= 52  # of 60; at a coverage of .95, fewer has a chance of 1%
    with pytest.raises(ValueError, match="two units or more of each kind"):
        preferences.crossed_interval([1.0, 2.0], [0, 0], [0, 1])
    with pytest.raises(ValueError, match="expected finite values"):
        preferences.crossed_interval([1.0, np.nan], [0, 1], [0, 1])


@pytest.mark.parametrize("shape", [(3, 3), (3, 60), (7, 60)])
def test_crossed_intervals_over_few_units_are_wide_enough(shape):
    """Without the stretch 0.80, 0.76 and 0.89 of them hold the mean."""
    held, rows, columns = 0, *(side.ravel() for side in np.indices(shape))
    for seed in range(150):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=shape[0])[rows] + rng.normal(size=shape[1])[columns] + rng.normal(size=len(rows))
        found = preferences.crossed_interval(values, rows, columns, n_resamples=400, seed=seed)
        held += found.low <= 0 <= found.high
    assert held >= 136  # of 150; at a coverage of .95, fewer has a chance of 2%
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1, found 95"):
        preferences.crossed_interval(values, rows, columns, level=95)


def test_correlation_over_heads():
    rng = np.random.default_rng(0)
    table = rng.normal(size=(3, 24))
    found, permuted = preferences.correlation_over_heads(table, 2 * table + 1, ranks=False)
    assert found.estimate == pytest.approx(1)
    assert found.low == pytest.approx(1)
    assert abs(permuted.mean()) < 0.02
    assert preferences.correlation_over_heads(table, np.exp(table))[0].estimate == pytest.approx(1)
    assert preferences.correlation_over_heads(table, -table)[0].estimate == pytest.approx(-1)
    one = preferences.correlation_over_heads(table[0], rng.normal(size=24), ranks=False)
    assert one[0].low <= one[0].estimate <= one[0].high
    single = np.corrcoef(table[0], table[1])[0, 1]
    assert preferences.correlation_over_heads(table[0], table[1], ranks=False)[0].estimate == pytest.approx(single)
    with pytest.raises(ValueError, match="four heads or more"):
        preferences.correlation_over_heads([1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="finite values that differ"):
        preferences.correlation_over_heads(np.ones(5), np.arange(5))


def test_a_missing_label_is_no_unit():
    with pytest.raises(ValueError, match="values, rows and columns: expected finite values and one label of each kind for each, found"):
        preferences.crossed_interval([1, 2, 3, 4.0], ["a", None, "b", "c"], [0, 1, 0, 1])
