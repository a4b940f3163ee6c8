# %% [markdown]
# # Controls for a regression on the past
#
# **Question.** {doc}`attention_norms` regresses the size of each token's attention update on the sizes of the updates before it. There are few texts, sizes have a trend, and the pieces of a word
# are alike. Which results of such a regression depend on how it was set up, and how often does it report a dependence where there is none?
# {numref}`fig-norms-steps` has a row for each step from the original specification to the full one.

# %% tags=["hide-cell"]
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis_lib import models, norms, plots, report, statistics, texts
from analysis_lib.norms import bias, calibration, inputs, regression, sensitivity, wild

plots.use_style()
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
FULL = {"polish-gpt2": norms.FULL, "herbert": replace(norms.FULL, leads=2)}  # HerBERT's tokens see what follows
loaded = {name: models.load(name) for name in NAMES}
paragraphs = inputs.cut_to_fit(loaded.values(), texts.paragraphs()["text"])
measured = {name: norms.update_norms(model, paragraphs) for name, model in loaded.items()}
untrained = {name: norms.update_norms(models.untrained_like(model, seed=0), paragraphs) for name, model in loaded.items()}
print(*(model.label for model in loaded.values()), sep="\n")

# %% tags=["hide-cell"]
no_levels = replace(norms.ORIGINAL, errors="cluster")
STEPS = {
    "all texts, clustered, Holm": no_levels,
    "with log position": replace(no_levels, covariates=("log_position",)),
    "levels of texts, positions": norms.Specification(),
    "what the tokens are": norms.FULL,
}
by_text = {name: sensitivity.each_text(m) for name, m in measured.items()}
steps = {"original: one text": {name: t[t["text"] == 0] for name, t in by_text.items()}}
for title, specification in STEPS.items():
    steps[title] = {n: regression.marked(norms.lagged_regression(m.attention, m.tokens, specification)) for n, m in measured.items()}
steps["the same, untrained model"] = {
    n: regression.marked(norms.lagged_regression(m.attention, m.tokens, norms.FULL)) for n, m in untrained.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Coefficients of the two tokens before, as controls enter from top to bottom. Filled: p below 0.05 with the controls of its row (top row: uncorrected, 95% intervals; other rows: corrected by Holm, simultaneous intervals). Bottom row: all controls, a model that learned nothing. The tokens that follow are not controlled here; for HerBERT they are in the last table and the last figure of this page, so its coefficients differ there.", "name": "fig-norms-steps"}, "image": {"alt": "Six rows of two panels with points for each layer. In GPT-2 the points one token back are filled and positive above the first layer in all rows, and highest in the untrained model; those two tokens back are mostly nearer zero, some of them negative. In HerBERT all points one token back are filled from the second row to the fifth, except that of layer 2 in the fifth; they lie between -0.12 and 0.16 in layers 0 and 2, between 0.23 and 0.33 in layers 1, 3 and 4, and highest in layer 5, except in the fifth row, where layer 1 is highest; those two tokens back lie between -0.14 and 0.11. All are open and close to zero in the untrained model."}}
plots.coefficient_steps(steps, NAMES);

# %% [markdown]
# **What was found**
#
# - **A trend alone looks like a dependence on the past.** In simulated texts that have a trend and no dependence on earlier tokens, the *original* specification, that of the notebook with which this study began, reports such a dependence in {glue:text}`norms-false-trend` of them.
#   The *full* specification, with all controls of this page, errs about as often as it should.
# - **In GPT-2 controls matter most in the last layer.** The original specification, fitted to single texts, marks {glue:text}`norms-polish-gpt2-original-share` of GPT-2's coefficients one token back as significant. As controls enter, the coefficient of GPT-2's last layer falls when the trend is taken out. Its estimate rises again once the regression knows what the tokens are. The coefficients of the layers below change less.
# - **In HerBERT controls matter in several layers.** Once the regression knows what the tokens are, the estimate for the first layer grows by more than half, and that for layer 2 rises from below zero to close to zero. The estimate for the last layer is smaller with all controls than without them. The logarithm of the position alone hardly changes any coefficient. With all controls every coefficient one token back except that of layer 2 is significant.
# - **No control replaces an untrained model.** Even with every control, an untrained GPT-2 has a larger coefficient one token back than the trained one in every layer. An untrained HerBERT has no significant one, so in HerBERT the dependence comes with training.
#
# Square brackets hold 95% intervals. Texts are the units unless the page says otherwise.
#
# ## The original regression, and its controls one by one
#
# The models are the Polish GPT-2 and the HerBERT of this book, and the texts are {glue:text}`norms-texts` paragraphs that were written for it ({doc}`attention_norms`). With $y_{it}$ the log norm of the attention
# update at position $t$ of text $i$,
#
# $$y_{it} = \alpha_i + \gamma_t + \sum_{k} \beta_k\, y_{i,t-k} + \delta^\top x_{it} + e_{it} .$$
#
# The original notebook {cite}`cohen_norms` took one text, an intercept, two lags and ordinary standard errors, and marked every p below 0.05.
# `norms.ORIGINAL` is that specification, and with it one call repeats the original's analysis. On the same rows `numpy` gives the same coefficients:

# %%
first = measured["polish-gpt2"].tokens["text"] == 0
table = norms.lagged_regression(measured["polish-gpt2"].attention[:, first], measured["polish-gpt2"].tokens[first], norms.ORIGINAL)

logs = np.log(measured["polish-gpt2"].attention[:, first])
plain = [np.linalg.lstsq(np.c_[np.ones(len(y) - 3), y[2:-1], y[1:-2]], y[3:])[0][1:] for y in logs]
print(f"largest difference of {len(table)} coefficients: {np.abs(table['estimate'] - np.ravel(plain)).max():.0e}")

# %% tags=["hide-input"]
columns = {"layer": "layer", "lag": "tokens back", "estimate": "coefficient", "se": "standard error", "p": "p"}
report.table(
    table[list(columns)].rename(columns=columns),
    "GPT-2, the first text, the original's specification",
    formats={"coefficient": 3, "standard error": 3, "p": lambda p: report.p_value(p, bare=True)},
)

# %% [markdown]
# The controls are added in turn:
#
# 1. all texts, errors clustered by text with the jackknife {cite}`mackinnon2023`, Holm's correction {cite}`holm1979` over layers and lags;
# 2. log position as a covariate;
# 3. a level $\alpha_i$ for each text and $\gamma_t$ for each position, which take out a trend of any shape that texts share; the bias that the levels bring is subtracted;
# 4. what the tokens are: only outcomes that begin a word (the pieces of one word share its level), and as covariates log frequency in these texts, log rank in the
#    tokenizer's merges and punctuation, of the outcome's token *and* of the tokens at the lags; for the latter also whether they continue a word.
#
# The jackknife estimates the levels of positions again in each of the fits that leave one text out. Projecting them out once, as is usual, would make the standard errors 3% too small in these texts.
#
# In {numref}`fig-norms-steps` a filled point is significant by the test of its row, and has not yet been compared with a null: the bottom row is a model that has learned nothing, and in GPT-2 its points are filled as well. {doc}`attention_norms` therefore counts a coefficient only where it is farther from zero than those of untrained models.
#
# ## What each specification reports where there is nothing
#
# In simulated log norms the truth is known (`norms.simulation.simulate`). There are four kinds: independent tokens; independent tokens with a trend; words whose pieces share a level; errors whose size
# drifts along the text. In none of them does a token depend on those before it in any other way. The original specification gets one text of 95 tokens and 12 layers, as in the notebook it comes from; the full one gets 45 texts of 95 tokens and one layer.

# %%
rates = calibration.false_positives()
report.table(
    rates.rename_axis("no past, but").reset_index(),
    "False positives [%] at a level of 5%, with 95% intervals over draws. "
    "Original and full: the coefficient one token back by either specification; any of 24: at least"
    " one of the original's 24; any, Holm: the same, corrected",
    formats={test: lambda share: report.interval(*share, digits=0, scale=100) for test in rates},
)

# %% [markdown]
# The original specification takes a trend for a dependence on the past nearly every time, and the pieces of words or a drifting size of the errors in about a fifth of the draws. Of its 24 tests at least one errs in most draws even where tokens are independent, and in all draws otherwise; Holm's correction repairs this only where tokens are independent. The full specification errs about as often as it should.
#
# ## The price of levels
#
# Levels of texts bias the other coefficients. A text's mean contains the errors that follow an outcome, so coefficients of lags come out too small. The bias is $-(1+\rho)/T$ with many texts {cite}`nickell1981` and
# $-(1+3\rho)/T$ in a single series {cite}`kendall1954`, for a single lag with coefficient $\rho$ and texts of $T$ tokens. The table shows the bias in simulated texts with two lags of 0.3 and 0.1, and what is left of it after the correction.

# %%
for n_texts in (1, 45):
    print(f"one lag of 0.3, {n_texts} x 95 tokens: {bias.small_sample_bias(0.3, 95, n_texts):+.3f}")
report.table(
    calibration.remaining_bias().rename_axis("design").reset_index(),
    "Mean estimate less the truth, 95 tokens a text; 95% intervals over draws",
    digits=3,
)

# %% [markdown]
# ## Two ways to an interval
#
# The lags describe the data and are no mechanism, so the residuals need not be independent. The test of Breusch and Godfrey {cite}`godfrey1978`, which unlike Durbin and Watson's statistic allows for
# lagged outcomes, rejects the independence of residuals (p below 0.05, uncorrected) in {glue:text}`norms-bg` layers of the two models. Standard errors clustered by text remain valid, since they allow for any dependence within a text.
#
# They need many texts, however. With only some dozens, the **wild cluster bootstrap** {cite}`cameron2008,mackinnon2023` is a second opinion that needs no t distribution. It takes a value for the true coefficient, flips the signs
# of the residuals of whole texts at random, computes t again in each of 999 such samples, and keeps the value in the interval if the t of the data is not among the largest twentieth in size.

# %%
second = []
for name, title in NAMES.items():
    jackknife = norms.lagged_regression(measured[name].attention, measured[name].tokens, FULL[name])
    redrawn = wild.wild_intervals(measured[name].attention, measured[name].tokens, FULL[name])
    second.append(jackknife.merge(redrawn, on=["term", "layer", "lag"], suffixes=("", "_wild")).assign(model=title))
second = pd.concat(second, ignore_index=True)

# %%
shown = second[second["lag"] == 1]
columns = {"jackknife": ["estimate", "low", "high"], "wild cluster bootstrap": ["estimate_wild", "low_wild", "high_wild"]}
shown = shown[["model", "layer"]].assign(**{title: [statistics.Interval(*row) for row in shown[ends].to_numpy()] for title, ends in columns.items()})
report.table(shown, "The coefficient one token back with all controls: 95% intervals by the jackknife over texts and by the wild cluster bootstrap, each interval by itself")

# %% [markdown]
# The two agree. Over all {glue:text}`norms-wild-tested` lags and leads of both models the intervals of the bootstrap are {glue:text}`norms-wild-width` times as wide as those of the jackknife. The
# number of coefficients with a p below 0.05 by only one of the two is {glue:text}`norms-wild-differ`.
#
# ## Other choices
#
# Other analysts might have chosen differently. {numref}`fig-norms-choices` shows the coefficient one token back with other lags, from a later first position, for all tokens and not only those that begin a word, with covariates
# of the position in place of levels, for the feed-forward updates, and on random tokens, which are drawn evenly from the vocabulary and form no words.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The coefficient one token back under other choices, with 95% intervals (not corrected for the number of choices). Random tokens compare with the row of all tokens, since they have no words.", "name": "fig-norms-choices"}, "image": {"alt": "Two panels with a row for each of eight choices and a point for each layer. In GPT-2 the points of the first layer lie near zero and most others between 0.3 and 0.6, except in the row of the feed-forward updates, where all lie at 0.2 or below; in HerBERT nearly all lie between 0 and 0.3, and layers 1 and 3 to 5 have the four largest in all rows but those of the feed-forward updates and of random tokens."}}
choices = [sensitivity.other_choices(loaded[n], measured[n], FULL[n]).assign(model=n) for n in NAMES]
plots.coefficients_by_choice(pd.concat(choices), NAMES);

# %% [markdown]
# In GPT-2 the attention updates of every layer above the first keep a clear coefficient whatever is chosen, though its size depends on the number of lags and on which tokens are taken. The coefficient of the first layer is close to zero under every choice. In the layers above, random tokens have a clear coefficient as well, in some layers a larger one than the tokens of the texts and in others a smaller one: much of the coefficient comes from how the model averages and not from Polish sentences. HerBERT's coefficients
# do not exceed about 0.3 under any choice. Layers 1 and 3 to 5 have the four largest estimates for the tokens of the texts, whichever tokens, lags and positions are taken, but not for the feed-forward updates. The coefficient of layer 2 is below zero when all tokens are explained, and above zero under every other choice. Random tokens have coefficients above zero in every layer, too; in layers 1 and 3 to 5 they are smaller than those of all tokens of the texts.
#
# ## Limits
#
# - The simulations have four kinds of texts without a past. Real norms may mislead in a way that none of them has.
# - The models and texts are those of {doc}`attention_norms`: two small models, and paragraphs that were written for this book. Beside each model this page has one untrained model, a single draw of weights; {doc}`attention_norms` has eight.
# - Frequency is counted in these texts, which are short; the rank in the tokenizer's merges stands in for frequency in its training text.
#
# ## Exercises
#
# 1. How large is the bias of a true coefficient of 0.5 in texts of 20, 50 and 200 tokens, in a regression with a level for each text? ({ref}`Solution <sol-controls-1>`)
# 2. Add nothing but log position to the original specification. How often does it still report a past in simulated texts that have a trend and no past? ({ref}`Solution <sol-controls-2>`)

# %% tags=["remove-cell"]
for name in NAMES:
    report.glue(f"norms-{name}-original-share", report.percent(norms.neighbours(by_text[name], 1)["filled"].mean()))
report.glue("norms-false-trend", report.percent(rates.loc["trend", "original"].estimate))
wider = (second["high_wild"] - second["low_wild"]) / (second["high"] - second["low"])
residuals = second.groupby(["model", "layer"])["p_breusch_godfrey"].first()
report.glue("norms-wild-tested", len(second))
report.glue("norms-wild-differ", int(((second["p"] < 0.05) != (second["p_wild"] < 0.05)).sum()))
report.glue("norms-wild-width", report.span(wider))
report.glue("norms-bg", f"{(residuals < 0.05).sum()} of {len(residuals)}")
report.glue("norms-texts", len(paragraphs))
