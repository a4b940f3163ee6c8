"""Update norms and their regression: parity with statsmodels, planted coefficients, false positives where nothing is to be found."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.diagnostic import acorr_breusch_godfrey

from analysis_lib import activations, models, norms, statistics, weights
from analysis_lib.models import LoadedModel
from analysis_lib.norms import FULL, ORIGINAL, Specification, interventions, nulls, regression, simulation
from tests.support import tiny

EFFECTS = Specification()  # text and position levels, clustered errors, no covariates


def loaded_with(model, tokenizer):
    return LoadedModel(model=model, tokenizer=tokenizer, name="tiny", source="folder", identifier="tiny", revision="0")


@pytest.fixture(scope="module")
def gpt2():
    tokenizer = tiny.byte_level_tokenizer()
    return loaded_with(tiny.gpt2(vocab=len(tokenizer), layers=3), tokenizer)


@pytest.fixture(scope="module")
def bert():
    tokenizer = tiny.herbert_tokenizer()
    return loaded_with(tiny.bert(vocab=len(tokenizer), layers=3), tokenizer)


def panel(n_texts=6, n_tokens=40, n_layers=1, seed=0):
    return simulation.simulate("autoregressive", n_layers, n_texts, n_tokens, seed=seed)


def past(table):
    return table[table["term"].isin(("lag", "lead"))]


def random_ids(n, length, vocab=400, seed=0):
    return np.random.default_rng(seed).integers(1, vocab, size=(n, length)).tolist()


# What is measured


def test_gpt2_norms_are_those_of_the_modules_outputs(gpt2):
    text = tiny.SENTENCES[1]
    found = norms.update_norms(gpt2, [text])
    model, seen = gpt2.model.transformer, {}
    handles = [block.attn.c_proj.register_forward_hook(lambda m, a, out, i=i: seen.update({i: out})) for i, block in enumerate(model.h)]
    with torch.no_grad():
        model(**gpt2.tokenizer(text, return_tensors="pt"))
    for handle in handles:
        handle.remove()
    expected = np.stack([seen[i][0].norm(dim=-1).numpy() for i in range(3)])
    np.testing.assert_allclose(found.attention, expected, rtol=1e-5)
    assert found.mlp.shape == found.attention.shape


def test_bert_norms_are_taken_before_the_layer_norm(bert):
    text = tiny.SENTENCES[4]
    found = norms.update_norms(bert, [text])
    ids = bert.tokenizer(text, return_tensors="pt")["input_ids"]
    layer = bert.model.bert.encoder.layer[0]
    with torch.no_grad():
        states = bert.model.bert.embeddings(ids)
        inside = layer.attention.self(states)[0]
        attention = layer.attention.output.dense(inside)
        between = layer.attention.output(inside, states)
        mlp = layer.output.dense(layer.intermediate(between))
    np.testing.assert_allclose(found.attention[0], attention[0].norm(dim=-1).numpy(), rtol=1e-4)
    np.testing.assert_allclose(found.mlp[0], mlp[0].norm(dim=-1).numpy(), rtol=1e-4)


def test_tokens_say_what_they_are_without_context(gpt2, bert):
    for loaded in (gpt2, bert):
        tokens = norms.update_norms(loaded, [*tiny.SENTENCES, "Piernikarnia, kalosze."]).tokens
        assert not tokens.loc[tokens["position"] == 0, "word_internal"].any()
        assert tokens["word_internal"].any()
        assert not (tokens["word_internal"] & tokens["no_word"]).any()
        commas = tokens[tokens["form"] == ","]
        assert commas["no_word"].all()
        np.testing.assert_allclose(np.exp(commas["log_frequency"]), len(commas))
    assert tokens.groupby("text")["special"].agg(["first", "last"]).to_numpy().all()


def test_ids_give_the_norms_of_their_text(gpt2, bert):
    for loaded in (gpt2, bert):
        texts = list(tiny.SENTENCES[:3])
        of_text = norms.update_norms(loaded, texts)
        of_ids = norms.update_norms(loaded, loaded.tokenizer(texts)["input_ids"])
        np.testing.assert_allclose(of_ids.attention, of_text.attention, rtol=1e-5)
        for column in ("special", "no_word", "log_frequency", "log_rank"):
            np.testing.assert_array_equal(of_ids.tokens[column], of_text.tokens[column])


@pytest.mark.parametrize("kind", ["gpt2", "bert"])
def test_norm_based_attention_is_the_norm_of_what_each_token_contributes(kind, request):
    loaded = request.getfixturevalue(kind)
    read = weights.extract(loaded)
    texts = list(tiny.SENTENCES[:2])
    summed, by_head = norms.norm_based_attention(loaded, texts), norms.norm_based_attention(loaded, texts, per_head=True)
    ran = activations.run(loaded, texts, outputs=("attention", "patterns"))
    layer, rows = 1, np.flatnonzero(ran.tokens["text"] == 1)
    states = torch.from_numpy(ran.states[layer][rows])
    if kind == "gpt2":
        states = loaded.model.transformer.h[layer].ln_1(states)
    values = (states @ read.W_V[layer] + read.b_V[layer][:, None]) @ read.W_O[layer]
    vectors = torch.from_numpy(ran.patterns[1][layer])[..., None] * values[:, None]  # (head, query, key, d_model)
    np.testing.assert_allclose(by_head[1][layer], vectors.norm(dim=-1).detach(), atol=1e-4)
    np.testing.assert_allclose(summed[1][layer], vectors.sum(dim=0).norm(dim=-1).detach(), atol=1e-3)
    output = vectors.sum(dim=(0, 2)) + read.b_O[layer]
    np.testing.assert_allclose(output.detach(), ran.attention[layer][rows], atol=1e-3)
    asked = norms.update_norms(loaded, texts, norm_based=True).norm_based
    np.testing.assert_array_equal(asked[0], summed[0])


def test_shared_sources_of_plain_averages_are_known():
    average = np.tril(np.ones((1, 20, 20))) / np.arange(1, 21)[:, None]
    found = norms.shared_sources([average, average], first=4)
    t = np.arange(4, 20)
    np.testing.assert_allclose(found, np.mean(t / (t + 1)))
    np.testing.assert_allclose(norms.shared_sources([np.eye(9)[None]], first=3), 0)
    with pytest.raises(ValueError, match="first: expected at least 1 and less"):
        norms.shared_sources([average], first=20)


# Parity


def test_original_specification_is_the_notebooks_least_squares():
    values, tokens = panel(n_texts=1, n_tokens=60, n_layers=2)
    found = norms.lagged_regression(values, tokens, ORIGINAL)
    for layer, y in enumerate(np.log(values)):
        design = np.array([[1, y[t - 1], y[t - 2]] for t in range(3, len(y))])
        betas = np.linalg.lstsq(design, y[3:], rcond=None)[0]
        part = found[found["layer"] == layer]
        np.testing.assert_allclose(part["estimate"], betas[1:], rtol=0, atol=1e-10)
        fit = sm.OLS(y[3:], design).fit()
        np.testing.assert_allclose(part["se"], fit.bse[1:], rtol=1e-8)
        np.testing.assert_allclose(part["p"], fit.pvalues[1:], rtol=1e-6)
        np.testing.assert_allclose(part[["low", "high"]], fit.conf_int()[1:], rtol=1e-8)
        expected = acorr_breusch_godfrey(fit, nlags=4, result_object=True)
        np.testing.assert_allclose(part["p_breusch_godfrey"], expected[1], rtol=1e-6)


def test_hac_errors_of_one_text_are_newey_and_wests():
    values, tokens = panel(n_texts=1, n_tokens=100)
    found = norms.lagged_regression(values, tokens, replace(ORIGINAL, errors="hac", first=2))
    y = np.log(values[0])
    fit = sm.OLS(y[2:], sm.add_constant(np.c_[y[1:-1], y[:-2]])).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": True})
    np.testing.assert_allclose(found["se"], fit.bse[1:], rtol=1e-8)


def test_effects_are_dummies_and_errors_are_clustered():
    values, tokens = panel(n_texts=8, n_tokens=30)
    specification = replace(EFFECTS, covariates=("log_rank",), lagged_covariates=("no_word",), correct_bias=False)
    found = norms.lagged_regression(values, tokens, specification)
    data = tokens.assign(y=np.log(values[0]))
    within = data.groupby("text")
    data = data.assign(**{f"{name}{k}": within[name].shift(k) for name in ("y", "no_word") for k in (1, 2)})
    data = data[data["position"] >= 8].reset_index(drop=True)
    dummies = pd.get_dummies(data[["text", "position"]].astype(str), drop_first=True, dtype=float)
    x = np.c_[data[["y1", "y2", "log_rank", "no_word1", "no_word2"]].astype(float), dummies, np.ones(len(data))]
    fit = sm.OLS(data["y"].to_numpy(), x).fit()
    np.testing.assert_allclose(found["estimate"], fit.params[:5], atol=1e-10)
    ordinary = norms.lagged_regression(values, tokens, replace(specification, errors="ordinary"))
    np.testing.assert_allclose(ordinary["se"], fit.bse[:5], rtol=1e-8)
    assert list(found["term"] + found["lag"].astype(str)) == ["lag1", "lag2", "log_rank0", "no_word1", "no_word2"]


def test_clustered_errors_are_the_spread_of_estimates_without_one_text():
    values, tokens = panel(n_texts=30, n_tokens=30)
    specification = replace(EFFECTS, position_effects=False, correct_bias=False, first=2)
    found = norms.lagged_regression(values, tokens, specification)
    keep = [tokens["text"].to_numpy() != text for text in range(30)]
    without = np.array([norms.lagged_regression(values[:, k], tokens[k], specification)["estimate"] for k in keep])
    expected = np.sqrt(29 / 30 * ((without - found["estimate"].to_numpy()) ** 2).sum(axis=0))
    np.testing.assert_allclose(found["se"], expected, rtol=2e-3)  # one intercept counts as a regressor


def test_holm_and_simultaneous_intervals_are_over_all_lags_of_all_layers():
    values, tokens = panel(n_layers=3)
    found = norms.lagged_regression(values, tokens, replace(EFFECTS, covariates=("log_rank",)))
    tested = past(found)
    np.testing.assert_allclose(tested["p_holm"], statistics.holm(tested["p"]))
    assert found.loc[found["term"] == "log_rank", "p_holm"].isna().all()
    at_once = norms.lagged_regression(values, tokens, replace(EFFECTS, covariates=("log_rank",)), level=1 - 0.05 / len(tested))
    np.testing.assert_allclose(found[["low_all", "high_all"]], at_once[["low", "high"]])
    assert (found["n_texts"] == 6).all()
    assert (found["n"] == 6 * 32).all()
    assert set(tested["units"]) == {"log norm a log norm"}


@settings(max_examples=8, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 5))
def test_the_unit_of_the_norms_does_not_matter(scale, seed):
    values, tokens = panel(seed=seed)
    a, b = (norms.lagged_regression(v, tokens, EFFECTS) for v in (values, scale * values))
    np.testing.assert_allclose(a["estimate"], b["estimate"], atol=1e-9)
    np.testing.assert_allclose(a["p"], b["p"], atol=1e-9)


def test_position_mean_leaves_the_own_text_out():
    values, tokens = panel(n_texts=3, n_tokens=12)
    changed = values.copy()
    changed[0, 12:24] *= 7
    specification = Specification(lags=1, covariates=("position_mean",), position_effects=False, first=2)
    from analysis_lib.norms.design import design_of

    before, after = (design_of(v, tokens, specification) for v in (values, changed))
    own = before.text == 1
    np.testing.assert_allclose(before.x[0, own, 1], after.x[0, own, 1], rtol=1e-12)
    np.testing.assert_allclose(after.x[0, ~own, 1] - before.x[0, ~own, 1], np.log(7) / 2)


# Known truths


def test_planted_coefficients_are_within_their_intervals():
    values, tokens = simulation.simulate("autoregressive", 200, 40, 60, rho=(0.4, 0.2), seed=3)
    found = past(norms.lagged_regression(values, tokens, EFFECTS))
    for lag, truth in ((1, 0.4), (2, 0.2)):
        part = found[found["lag"] == lag]
        covered = ((part["low"] <= truth) & (truth <= part["high"])).mean()
        assert 0.90 <= covered <= 0.99  # 200 draws of 95 %: three standard errors are 4.6 points
        assert abs(part["estimate"].mean() - truth) < 0.006  # what the text levels cost before correction is three times that
        assert (part["estimate"] + part["bias"]).mean() < truth - 0.015


@pytest.mark.parametrize("kind", ["independent", "trend", "words", "volatile"])
def test_false_positives_of_the_full_specification_are_near_five_per_cent(kind):
    found = norms.null_distribution(kind, specification=FULL, n_draws=120, n_texts=40, n_tokens=60, seed=1)
    rate = (past(found)["p"] < 0.05).mean()
    assert 0.01 <= rate <= 0.095  # 240 tests: three standard errors of 5 % are 4.2 points


@pytest.mark.parametrize(("kind", "least"), [("trend", 0.9), ("words", 0.2)])
def test_the_original_specification_sees_a_past_where_there_is_none(kind, least):
    found = norms.null_distribution(kind, specification=ORIGINAL, n_draws=100, n_texts=1, seed=1)
    assert (found.loc[found["lag"] == 1, "p"] < 0.05).mean() > least


def test_uncorrected_stars_of_many_layers_are_false_more_often_than_not():
    found = norms.null_distribution("independent", specification=ORIGINAL, n_draws=60, n_texts=1, n_layers=12, seed=2)
    any_star = found.groupby("draw")[["p", "p_holm"]].min() < 0.05
    assert any_star["p"].mean() > 0.55
    assert any_star["p_holm"].mean() < 0.14  # three standard errors above 5 %


def test_leads_and_lags_of_independent_tokens_are_zero_on_average():
    values, tokens = simulation.simulate("independent", 100, 30, 40, seed=5)
    found = norms.lagged_regression(values, tokens, replace(EFFECTS, leads=2))
    assert set(found["lag"]) == {1, 2, -1, -2}
    assert found.groupby("lag")["estimate"].mean().abs().max() < 0.013
    assert (found.groupby("lag")["bias"].mean() < -0.025).all()
    assert 0.02 <= (found["p"] < 0.05).mean() <= 0.085


@pytest.mark.parametrize(("n_texts", "draws"), [(1, 4000), (20, 400)])
def test_small_sample_bias_is_what_least_squares_shows(n_texts, draws):
    rho, n_tokens = 0.5, 60
    values, _ = simulation.simulate("autoregressive", draws, n_texts, n_tokens, rho=(rho,), seed=7)
    y = np.log(values).reshape(draws, n_texts, n_tokens) + 0.3 * np.log1p(np.arange(n_tokens))  # without the trend
    before, after = (part - part.mean(axis=-1, keepdims=True) for part in (y[..., :-1], y[..., 1:]))
    found = (before * after).sum(axis=(1, 2)) / (before**2).sum(axis=(1, 2)) - rho
    expected = regression.small_sample_bias(rho, n_tokens, n_texts)
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(draws) + 0.15 * abs(expected)  # the rest is of order 1/T²
    assert regression.small_sample_bias(rho, n_tokens) == pytest.approx(-(1 + 3 * rho) / n_tokens)


def test_breusch_godfrey_rejects_a_missing_lag_and_not_a_right_model():
    values, tokens = simulation.simulate("autoregressive", 40, 30, 80, rho=(0.3, 0.3), seed=8)
    right = past(norms.lagged_regression(values, tokens, EFFECTS)).groupby("layer")["p_breusch_godfrey"].first()
    missing = past(norms.lagged_regression(values, tokens, replace(EFFECTS, lags=1))).groupby("layer")["p_breusch_godfrey"].first()
    assert (missing < 0.05).mean() > 0.95
    assert (right < 0.05).mean() < 0.2


def test_the_past_explains_what_was_planted_and_no_more():
    values, tokens = simulation.simulate("autoregressive", 5, 40, 80, rho=(0.6,), seed=9)
    found = norms.past_explains(values, tokens, replace(EFFECTS, lags=1), n_resamples=200)
    assert found["partial_r2"].between(0.28, 0.42).all()  # rho squared is 0.36; the text levels take a little
    assert (found["heldout_r2"] - found["partial_r2"]).abs().max() < 0.03
    assert (found["low"] < found["heldout_r2"]).all()
    nothing = norms.past_explains(*simulation.simulate("independent", 5, 40, 80, seed=9), EFFECTS, n_resamples=200)
    assert nothing["heldout_r2"].max() < 0.005
    assert (nothing["partial_r2"] > nothing["heldout_r2"]).all()


# Nulls of models


def test_an_untrained_model_is_starred_by_the_original_and_not_beyond_itself(gpt2):
    texts = random_ids(8, 40)
    specification = replace(EFFECTS, first=4)
    null = norms.null_distribution("untrained", gpt2, texts, specification, n_draws=24, seed=0)
    held = [norms.against_null(null[null["draw"] == i], null[null["draw"] != i]) for i in range(24)]
    for p in ("p_differs", "p_beyond"):
        assert np.mean([table[p] < 0.05 for table in held]) < 0.11  # 144 tests of 5 %, three to a draw
    untrained = models.untrained_like(gpt2, 0)
    seen = norms.update_norms(untrained, texts[:1])
    stars = norms.lagged_regression(seen.attention, seen.tokens, ORIGINAL)
    assert (stars.loc[stars["lag"] == 1, "p"] < 0.05).all()


def test_shuffling_keeps_tokens_and_draws_of_it_do_not_differ(bert):
    texts = list(tiny.SENTENCES)
    specification = Specification(first=1, position_effects=False)
    null = norms.null_distribution("shuffled", bert, texts, specification, n_draws=16, seed=0)
    held = [norms.against_null(null[null["draw"] == i], null[null["draw"] != i]) for i in range(16)]
    assert np.mean([table["p_differs"] < 0.05 for table in held]) < 0.13
    whole = norms.update_norms(bert, texts).tokens
    ((values, moved),) = nulls.shuffled_norms(bert, texts, 1, 0)
    again = norms.update_norms(bert, [ids.tolist() for _, ids in moved.groupby("text")["token_id"]])
    np.testing.assert_allclose(values, again.attention, rtol=1e-4)
    assert (whole["token_id"].to_numpy()[moved["occurrence"]] == moved["token_id"]).all()
    assert (moved["special"] == whole["special"]).all()
    assert (moved["position"] == whole["position"]).all()
    assert not (moved["token_id"] == whole["token_id"]).all()
    for text in range(len(texts)):
        np.testing.assert_array_equal(*(np.sort(t.loc[t["text"] == text, "token_id"]) for t in (moved, whole)))


def test_against_null_tells_size_from_sign():
    table = pd.DataFrame({"term": "lag", "layer": [0, 1, 2], "lag": 1, "estimate": [0.5, -0.5, 0.9]})
    rng = np.random.default_rng(0)
    null = pd.concat([table.assign(draw=i, estimate=0.5 + 0.05 * rng.standard_normal(3)) for i in range(10)])
    found = norms.against_null(table, null)
    assert (found["p_differs"] < 0.01).tolist() == [False, True, True]
    assert (found["p_beyond"] < 0.01).tolist() == [False, False, True]
    with pytest.raises(ValueError, match="null: expected two draws"):
        norms.against_null(table, null[null["draw"] == 0])


def coefficients(estimates, p_holm):
    return pd.DataFrame({"term": "lag", "layer": range(len(estimates)), "lag": 1, "estimate": estimates, "p_holm": p_holm})


def test_expected_sizes_are_means_over_orders_and_occurrences(bert):
    texts = [" ".join(tiny.SENTENCES[:2] * 2), " ".join(tiny.SENTENCES[2:4])]
    tokens = norms.update_norms(bert, texts).tokens
    draws = nulls.shuffled_norms(bert, texts, n_draws=3, seed=4)
    found = nulls.expected_sizes(draws)
    assert (found[tokens["special"].to_numpy()] == 0).all(axis=None)
    for layer in range(3):
        sums = {}
        for values, moved in draws:
            logs = np.log(values[layer])
            for row, token in moved[~moved["special"]].iterrows():
                there = (moved["position"] == token["position"]) & ~moved["special"]
                sums.setdefault((token["text"], token["token_id"]), []).append(logs[row] - logs[there].mean())
        expected = [0.0 if t["special"] else np.mean(sums[t["text"], t["token_id"]]) for _, t in tokens.iterrows()]
        np.testing.assert_allclose(found[f"expected_{layer}"], expected, atol=1e-6)
    with pytest.raises(ValueError, match="draws: expected one or more"):
        nulls.expected_sizes([])
    with pytest.raises(ValueError, match="n_draws: expected at least 1, found 0"):
        nulls.shuffled_norms(bert, texts, n_draws=0)


def test_a_covariate_may_differ_by_layer():
    values, tokens = panel(n_layers=2)
    rng = np.random.default_rng(0)
    own = pd.DataFrame(rng.standard_normal((len(tokens), 2)), columns=["own_0", "own_1"])
    both = norms.lagged_regression(values, pd.concat([tokens, own], axis=1), replace(EFFECTS, covariates=("own",)))
    for layer in (0, 1):
        alone = norms.lagged_regression(values[layer], tokens.assign(own=own[f"own_{layer}"]), replace(EFFECTS, covariates=("own",)))
        np.testing.assert_allclose(both.loc[both["layer"] == layer, "estimate"], alone["estimate"], atol=1e-12)


def test_survivors_pass_every_control_they_are_said_to():
    table = coefficients([0.5, 0.5, 0.9, -0.2, 0.9], [0.001, 0.2, 0.001, 0.001, 0.001])
    hac = coefficients(table["estimate"], [0.001, 0.001, 0.001, 0.001, 0.3])
    rng = np.random.default_rng(1)

    def null_at(means):
        return pd.concat([table.assign(draw=i, estimate=np.array(means) + 0.02 * rng.standard_normal(5)) for i in range(12)])

    untrained = norms.against_null(table, null_at([0.9, 0.0, 0.0, 0.5, 0.0]))
    shuffled = norms.against_null(table, null_at([0.0, 0.0, 0.9, 0.0, 0.0]))
    found = norms.survivors(hac, untrained, shuffled)
    assert found["significant"].tolist() == [True, False, True, True, False]  # the second fails clustered errors, the last HAC
    assert found["differs"].tolist() == [True, False, True, True, False]
    assert found["starred"].tolist() == [False, False, True, False, False]  # smaller than untrained is no star
    assert not found["ordered"].any()  # the third is as large on shuffled tokens
    assert norms.survivors(hac, untrained, untrained)["ordered"].equals(found["starred"])
    with pytest.raises(ValueError, match="hac: expected the lags"):
        norms.survivors(hac[:3], untrained, shuffled)


def test_mean_by_position_is_the_mean_of_logs_of_those_who_get_there():
    tokens = pd.DataFrame({"text": [0] * 4 + [1] * 3, "position": [0, 1, 2, 3, 0, 1, 2]})
    tokens["special"] = tokens["position"] == 0
    values = np.exp(np.arange(14.0).reshape(2, 7))
    np.testing.assert_allclose(norms.mean_by_position(values, tokens, least=2), [[3, 4], [10, 11]])
    np.testing.assert_allclose(norms.mean_by_position(values, tokens, least=1), [[3, 4, 3], [10, 11, 10]])
    with pytest.raises(ValueError, match="least: expected 1 to 2, the texts, found 3"):
        norms.mean_by_position(values, tokens, least=3)


# Replacing an update


def test_a_replaced_update_acts_on_later_tokens_of_later_layers(gpt2):
    texts = ["Nie wiem, czy jeśli żeby który nie. Mały źrebak pił wodę.", "Pięć kobiet i pięciu mężczyzn szło drogą do Żar nie."]
    found = interventions.replace_updates(gpt2, texts, n_places=1, reach=3, first=2)
    assert set(zip(found["layer"], found["measured"], strict=True)) == {(0, 1), (0, 2), (1, 2)}
    assert set(found["distance"]) == {1, 2, 3}
    row = found[(found["layer"] == 1) & (found["text"] == 1)].iloc[0]
    ran = activations.run(gpt2, texts, outputs=("attention",))
    mean = torch.from_numpy(ran.attention[1][ran.tokens["position"] >= 2].mean(axis=0))
    ids = torch.tensor([ran.tokens.loc[ran.tokens["text"] == 1, "token_id"].tolist()])
    blocks, seen = gpt2.model.transformer.h, {}

    def put(module, args, output):
        values = output[0].clone()
        values[0, int(row["place"])] = mean
        return (values, *output[1:])

    handles = [
        blocks[1].attn.register_forward_hook(put),
        blocks[2].attn.c_proj.register_forward_hook(lambda m, a, out: seen.update(out=out)),
    ]
    with torch.no_grad():
        gpt2.model(ids)
    for handle in handles:
        handle.remove()
    start = np.flatnonzero(ran.tokens["text"] == 1)[0]
    for _, other in found[(found["layer"] == 1) & (found["text"] == 1)].iterrows():
        at = int(other["place"] + other["distance"])
        change = np.log(seen["out"][0, at].norm().item()) - np.log(np.linalg.norm(ran.attention[2][start + at]))
        assert other["change"] == pytest.approx(change, abs=1e-5)
    assert (found["change"].abs() > 0).any()


def test_replacing_leaves_no_hooks_and_reaches_both_sides_of_bert(bert):
    texts = [" ".join(tiny.SENTENCES[:2]), " ".join(tiny.SENTENCES[2:4])]
    found = interventions.replace_updates(bert, texts, n_places=2, reach=2, first=1)
    assert set(found["distance"]) == {-2, -1, 1, 2}
    assert not any(module._forward_hooks for module in bert.model.modules())
    with pytest.raises(ValueError, match=r"texts\[0\] has \d+ tokens; expected more than"):
        interventions.replace_updates(bert, texts, reach=40)


def test_sizes_of_changes_are_means_over_places_and_then_texts():
    rows = [(0, 1, 0, 1, -1.0), (0, 1, 0, 1, 3.0), (0, 1, 1, 1, 4.0), (0, 1, 0, 2, 1.0), (0, 1, 0, 3, -3.0), (0, 1, 1, 2, 0.0),
            (0, 1, 1, 3, 0.0), (0, 1, 0, -1, 9.0), (0, 1, 1, -1, 9.0), (0, 2, 0, 1, 99.0)]  # fmt: skip
    effects = pd.DataFrame(rows, columns=["layer", "measured", "text", "distance", "change"])
    found = interventions.size_by_distance(effects, n_resamples=50).set_index("distance")
    assert found["estimate"].to_dict() == {-1: 9.0, 1: 3.0, 2: 0.5, 3: 1.5}
    assert (found["low"] <= found["estimate"]).all()
    assert (found["estimate"] <= found["high"]).all()
    pair = interventions.next_and_further(effects)
    assert pair[["next", "further"]].to_numpy().tolist() == [[2, 2], [4, 0]]
    with pytest.raises(ValueError, match="effects: expected distances of 2 and more, found none above 1"):
        interventions.next_and_further(effects[effects["distance"] < 2])


def test_scaling_changes_the_size_alone(gpt2):
    texts = ["Nie wiem, czy jeśli żeby który nie. Mały źrebak pił wodę.", "Pięć kobiet i pięciu mężczyzn szło drogą do Żar nie."]
    found = interventions.replace_updates(gpt2, texts, n_places=1, reach=2, first=2, scale=2.0)
    np.testing.assert_allclose(found["replaced"], np.log(2), atol=1e-5)
    nothing = interventions.replace_updates(gpt2, texts, n_places=1, reach=2, first=2, scale=1.000001)
    assert nothing["change"].abs().max() < 1e-4 < found["change"].abs().max()
    half, double = (interventions.replace_updates(gpt2, texts, n_places=1, reach=2, first=2, scale=s) for s in (0.99, 1.01))
    np.testing.assert_allclose(half["change"], -double["change"], atol=2e-4)  # to first order
    for scale in (0, 1, -1.0, np.inf):
        with pytest.raises(ValueError, match="scale: expected a positive number other than 1"):
            interventions.replace_updates(gpt2, texts, scale=scale)


def test_elasticity_is_the_change_a_unit_of_log_size():
    rng = np.random.default_rng(0)
    effects = pd.DataFrame({"layer": 0, "measured": 1, "text": np.arange(80) // 2, "distance": 1, "replaced": np.log(2)})
    effects["change"] = 0.3 * effects["replaced"] + 0.1 * rng.standard_normal(80)
    ignored = effects.assign(distance=2, change=9.0)
    found = interventions.elasticity(pd.concat([effects, ignored])).iloc[0]
    assert found["estimate"] == pytest.approx(effects["change"].mean() / np.log(2))
    assert found["low"] < 0.3 < found["high"]
    with pytest.raises(ValueError, match="effects: expected updates that were scaled"):
        interventions.elasticity(effects.assign(replaced=0.0))


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [({"lags": 0}, "lags: expected a whole number of at least 1"), ({"leads": -1}, "leads: expected"), ({"first": 1.5}, "first: expected"),
     ({"errors": "robust"}, "errors: expected one of ordinary"), ({"text_effects": False}, "correct_bias: expected text_effects")],
)  # fmt: skip
def test_bad_specifications_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(EFFECTS, **change)


def test_bad_data_are_named():
    values, tokens = panel()
    cases = [
        (values[:, :-1], tokens, EFFECTS, "norms: expected .layer, token. with 240 tokens"),
        (values * 0, tokens, EFFECTS, "norms: expected positive finite numbers, found 0.0 at layer 0, token 0"),
        (values * 0 + 2, tokens, EFFECTS, "norms: layer 0 is constant"),
        (np.exp(tokens["text"].to_numpy(float)), tokens, EFFECTS, "layer 0 is constant once the effects"),
        (np.exp(tokens["position"].to_numpy(float)), tokens, ORIGINAL, r"lag \(lag 2\) is collinear"),
        (values, tokens.assign(twice=2 * tokens["log_rank"]), replace(EFFECTS, covariates=("log_rank", "twice")), "twice .* is collinear"),
        (values, tokens, replace(EFFECTS, covariates=("log_position",)), "log_position .* is collinear with the effects"),
        (values, tokens, replace(EFFECTS, covariates=("length",)), "tokens: expected a column 'length'"),
        (values, tokens.sample(frac=1, random_state=0), EFFECTS, "tokens: expected texts one after the other"),
        (*panel(n_texts=1), replace(EFFECTS, position_effects=False), "need two texts or more"),
        (*panel(n_texts=1), replace(ORIGINAL, covariates=("position_mean",)), "'position_mean' is the mean over the other texts"),
    ]
    for norm, table, specification, message in cases:
        with pytest.raises(ValueError, match=message):
            norms.lagged_regression(norm, table, specification)


@pytest.mark.parametrize(("lags", "length", "fits"), [(2, 6, False), (2, 7, True), (4, 8, False), (4, 9, True)])
def test_texts_shorter_than_lags_and_five_are_refused(lags, length, fits):
    values, tokens = panel(n_texts=12, n_tokens=length)
    specification = Specification(lags=lags, first=lags, position_effects=False)
    if fits:
        assert len(norms.lagged_regression(values, tokens, specification)) == lags
    else:
        with pytest.raises(ValueError, match=f"text 0 is too short, it gives {length - lags} outcomes.*at least {lags + 5} tokens"):
            norms.lagged_regression(values, tokens, specification)


def test_bad_nulls_are_named(gpt2):
    with pytest.raises(ValueError, match="kind: expected one of untrained, shuffled, independent"):
        norms.null_distribution("permuted")
    with pytest.raises(ValueError, match="loaded, texts: expected a model and texts"):
        norms.null_distribution("untrained", gpt2)
    with pytest.raises(ValueError, match="n_draws: expected"):
        norms.null_distribution("trend", n_draws=0)
    with pytest.raises(ValueError, match="folds: expected 2 to 6"):
        norms.past_explains(*panel(), EFFECTS, folds=7)
    with pytest.raises(ValueError, match="rho, n_tokens, n_texts: expected"):
        regression.small_sample_bias(1.0, 50)


def test_arguments_are_left_alone_and_results_repeat():
    values, tokens = panel()
    kept = values.copy(), tokens.copy()
    first, second = (norms.lagged_regression(values, tokens, FULL) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    np.testing.assert_array_equal(values, kept[0])
    pd.testing.assert_frame_equal(tokens, kept[1])
