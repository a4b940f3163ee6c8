# %% [markdown]
# # Norms of attention updates
#
# **Question.** In every layer, attention adds a vector to each token's residual stream. Is the size of that update predicted by the sizes of the
# updates of the tokens before it: beyond the position in the text, beyond what the tokens are, and beyond what a transformer would show
# that has learned nothing?
#
# **What was found**, computed by the cells below ({glue:text}`norms-texts` texts; tests corrected by Holm over all layers and lags):
#
# | | GPT-2 | HerBERT |
# |---|---|---|
# | coefficients tested (two tokens back; in HerBERT also two ahead) | {glue:text}`norms-polish-gpt2-tested` | {glue:text}`norms-herbert-tested` |
# | significant under all controls, with clustered and with HAC errors | {glue:text}`norms-polish-gpt2-significant` | {glue:text}`norms-herbert-significant` |
# | **starred**: also farther from zero than in untrained models | {glue:text}`norms-polish-gpt2-starred` | {glue:text}`norms-herbert-starred` |
# | starred, and farther from zero than with the tokens of each text shuffled | {glue:text}`norms-polish-gpt2-ordered` | {glue:text}`norms-herbert-ordered` |
# | starred, and significant when each token's size in other orders is held | {glue:text}`norms-polish-gpt2-exact` | {glue:text}`norms-herbert-exact` |
# | coefficient one token back, mean over layers: trained | {glue:text}`norms-polish-gpt2-mean-trained` | {glue:text}`norms-herbert-mean-trained` |
# | the same, untrained models | {glue:text}`norms-polish-gpt2-mean-untrained` | {glue:text}`norms-herbert-mean-untrained` |
# | the same, trained, tokens shuffled | {glue:text}`norms-polish-gpt2-mean-shuffled` | {glue:text}`norms-herbert-mean-shuffled` |
# | variance explained in held-out texts, by layer | {glue:text}`norms-polish-gpt2-heldout-trained` | {glue:text}`norms-herbert-heldout-trained` |
#
# A small p-value on a coefficient is easily had, and says little. {glue:text}`norms-verdict` The specification of the original notebook,
# which has none of these controls, finds a past in {glue:text}`norms-false-trend` of simulated texts that have a trend and no past. And within a layer no
# coefficient can be an effect of one update on the next: a layer computes all tokens at once. Where a cause is possible, from one layer to
# the next, replacing an update changes what is near it, in {glue:text}`norms-polish-gpt2-causal-trained` layers of GPT-2 and
# {glue:text}`norms-herbert-causal-trained` of HerBERT more than what is farther on. But sizes do not act as the regression would have it: an update made larger by one log unit
# changes the next token's log norm, one layer on, by {glue:text}`norms-polish-gpt2-acts` in GPT-2 and by {glue:text}`norms-herbert-acts` in HerBERT, where the coefficients in those layers are
# {glue:text}`norms-polish-gpt2-beside` and {glue:text}`norms-herbert-beside`.

# %% tags=["hide-cell"]
import re
from dataclasses import replace

import numpy as np
import pandas as pd
from myst_nb import glue

from analysis_lib import models, norms, plots, statistics, texts
from analysis_lib.norms import design, interventions, nulls

plots.use_style()
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}


# %% tags=["hide-cell"]
def minus(text):
    """Numbers in words, with a true minus, and none before a zero."""
    return re.sub(r"-(?=0\.0*(?!\d))", "", text).replace("-", "−")


def lag_one(table):
    """Rows of the coefficients one token back."""
    return table[(table["term"] == "lag") & (table["lag"] == 1)]


def span(values, digits=2):
    """Smallest to largest of some values."""
    low, high = (minus(f"{end:.{digits}f}") for end in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"

# %%
loaded = {name: models.load(name) for name in NAMES}
print(*(model.label for model in loaded.values()), sep="\n")

# %% [markdown]
# ## Data
#
# The running paragraphs that were written for this book: news, narrative and explanation. A token has a predecessor only within the
# model's context, so each text is cut after the last sentence that fits the shorter of the two.

# %%
context = {n: min(m.model.config.max_position_embeddings, m.tokenizer.model_max_length) for n, m in loaded.items()}


def fits(text):
    """Whether a text fits both models' contexts."""
    return all(len(m.tokenizer(text, verbose=False)["input_ids"]) <= context[n] for n, m in loaded.items())


def fitting(text):
    """The text up to the last sentence that fits."""
    sentences = re.split(r"(?<=[.?!…]) ", text)
    return next(cut for k in range(len(sentences), 0, -1) if fits(cut := " ".join(sentences[:k])))


paragraphs = [fitting(text) for text in texts.paragraphs()["text"]]

# %% [markdown]
# `norms.update_norms` gives the Euclidean norm of each block's attention output (after `c_proj` in GPT-2, after `output.dense` in
# HerBERT, before any layer norm) and feed-forward output, for every token.

# %%
found = {name: norms.update_norms(model, paragraphs) for name, model in loaded.items()}
fresh = {name: models.untrained_like(model, seed=0) for name, model in loaded.items()}
untrained = {name: norms.update_norms(model, paragraphs) for name, model in fresh.items()}

# %% tags=["hide-input"]
rows = {}
for name, measured in found.items():
    content = measured.tokens[~measured.tokens["special"]]
    length = content.groupby("text").size()
    rows[NAMES[name]] = {
        "texts": len(length), "tokens": len(content), "median tokens a text": int(length.median()),
        "tokens that continue a word [%]": f"{100 * content['word_internal'].mean():.0f}",
        "punctuation [%]": f"{100 * content['no_word'].mean():.0f}",
    }  # fmt: skip
pd.DataFrame(rows).style.set_caption("Texts as each model sees them, special tokens not counted")

# %% tags=["remove-cell"]
glue("norms-texts", len(paragraphs), display=False)

# %% [markdown]
# ## The norms
#
# {numref}`fig-norms-raw` shows them token by token and as distributions, each count drawn at the centre of its bin; special tokens are left
# out. {numref}`fig-norms-position` shows what stands in the way of any regression on the past: norms have a trend. A GPT-2 token averages over
# all that came before it, and an average of many vectors is short. The untrained model shows this purest; its trend is no achievement of training.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Norms of the attention update. Above: 500 tokens drawn at random, shifted sideways within their layer. Below: share of all tokens by norm. Each model has a scale of its own below, since the norms are lengths in its own residual stream.", "name": "fig-norms-raw"}, "image": {"alt": "Two columns, GPT-2 and HerBERT. Above, a cloud of points for each of four layers on a logarithmic axis; below, one distribution curve a layer. The layers of a model differ by up to a factor of thirty."}}
content = {name: ~measured.tokens["special"].to_numpy() for name, measured in found.items()}
plots.norm_distributions({NAMES[name]: measured.attention[:, content[name]] for name, measured in found.items()});


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean log norm of the attention update by position, less its mean over positions; dotted: an untrained model. In HerBERT position 1 on this axis is the first token after the special one.", "name": "fig-norms-position"}, "image": {"alt": "Two panels of lines against position on a logarithmic axis. Dotted lines of the untrained GPT-2 fall steadily; those of HerBERT are flat."}}
both = {"trained": found, "untrained": untrained}
trends = {NAMES[n]: {k: norms.measure.mean_by_position(m[n].attention, m[n].tokens) for k, m in both.items()} for n in NAMES}
plots.position_trends(trends);

# %% tags=["remove-cell"]
for name, title in NAMES.items():
    for kind, values in trends[title].items():
        slopes = np.polyfit(np.log(np.arange(values.shape[1]) + 1), values.T, 1)[0]
        glue(f"norms-{name}-slope-{kind}", span(slopes), display=False)
glue("norms-first", norms.FULL.first, display=False)

# %% [markdown]
# Fitted on the log of position, the slopes by layer run from {glue:text}`norms-polish-gpt2-slope-untrained` in the untrained GPT-2 (an average of independent
# vectors would have −0.5), from {glue:text}`norms-polish-gpt2-slope-trained` in the trained one, and from {glue:text}`norms-herbert-slope-untrained` and
# {glue:text}`norms-herbert-slope-trained` in HerBERT, where every token sees the whole text.
#
# The first positions of a GPT-2 are a world of their own: the first token attends to itself alone. They are left out as outcomes (the first
# {glue:text}`norms-first` positions), and a sensitivity table below shows what other choices change.
#
# ## The original regression, and its controls one by one
#
# With $y_{it}$ the log norm at position $t$ of text $i$,
#
# $$y_{it} = \alpha_i + \gamma_t + \sum_{k} \beta_k\, y_{i,t-k} + \delta^\top x_{it} + e_{it} .$$
#
# The original notebook {cite}`cohen_norms` took one text, an intercept, two lags and ordinary standard errors, and marked what was below 0.05.
# `norms.ORIGINAL` is that specification, and with it `norms.lagged_regression` is the original's analysis in one call:

# %%
def original(measured, text=0):
    """The original's regression on one text; filled where the uncorrected p is below 0.05."""
    own = (measured.tokens["text"] == text).to_numpy()
    table = norms.lagged_regression(measured.attention[:, own], measured.tokens[own], norms.ORIGINAL)
    return table.assign(filled=table["p"] < 0.05)


steps = {"original: one text": {name: original(measured) for name, measured in found.items()}}

# %% tags=["hide-input"]
columns = {"lag": "tokens back", "estimate": "coefficient", "se": "standard error", "p": "p"}
table = steps["original: one text"]["polish-gpt2"].assign(layer=lambda t: t["layer"] + 1).set_index("layer")[list(columns)]
table.rename(columns=columns).style.format({"p": "{:.2g}"}, precision=3).set_caption("GPT-2, the first text, the original's specification")

# %% [markdown]
# That is what plain least squares gives on the same rows (outcomes from the fourth token on, an intercept, the log norms of the two tokens before):

# %%
def least_squares(measured, layer, text=0):
    """Coefficients of the two lags by `numpy.linalg.lstsq`."""
    y = np.log(measured.attention[layer, measured.tokens["text"] == text])
    return np.linalg.lstsq(np.c_[np.ones(len(y) - 3), y[2:-1], y[1:-2]], y[3:], rcond=None)[0][1:]


plain = np.concatenate([least_squares(found["polish-gpt2"], layer) for layer in range(len(found["polish-gpt2"].attention))])
apart = np.abs(steps["original: one text"]["polish-gpt2"]["estimate"] - plain).max()
print(f"largest difference of {len(plain)} coefficients: {apart:.0e}")

# %% [markdown]
# The controls are added in turn:
#
# 1. all texts, errors clustered by text with the jackknife {cite}`mackinnon2023`, Holm's correction {cite}`holm1979` over layers and lags;
# 2. log position as a covariate;
# 3. a level $\alpha_i$ for each text and $\gamma_t$ for each position, which take out a trend of any shape, and the bias that the
#    levels bring taken out as well;
# 4. what the tokens are: outcomes that begin a word (pieces of one word share its level), log frequency in these texts, log rank in the
#    tokenizer's merges, punctuation; of the outcome's token *and* of the tokens at the lags, and whether those continue a word.

# %%
NO_EFFECTS = replace(norms.ORIGINAL, errors="cluster")
STEPS = {
    "all texts, clustered, Holm": NO_EFFECTS,
    "with log position": replace(NO_EFFECTS, covariates=("log_position",)),
    "levels of texts, positions": norms.Specification(),
    "what the tokens are": norms.FULL,
}


# %%
def step(measured, specification):
    """Coefficients with simultaneous intervals; filled where significant after Holm's correction."""
    table = norms.lagged_regression(measured.attention, measured.tokens, specification)
    return table.assign(low=table["low_all"], high=table["high_all"], filled=table["p_holm"] < 0.05)


# %%
for title, specification in STEPS.items():
    steps[title] = {name: step(measured, specification) for name, measured in found.items()}
steps["the same, untrained model"] = {name: step(measured, norms.FULL) for name, measured in untrained.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Coefficients of the two tokens before, as controls enter from top to bottom. Filled: p below 0.05 with the controls of its row (top row: uncorrected, 95 % intervals; other rows: corrected by Holm, simultaneous intervals). Filled is not yet a star: none is held against a null here. Bottom row: all controls, a model that learned nothing.", "name": "fig-norms-steps"}, "image": {"alt": "Six rows of two panels with points for each of four layers. In GPT-2 most points are filled and positive in all rows, and highest in the untrained model; in HerBERT coefficients are smaller and close to zero in the untrained model."}}
plots.coefficient_steps(steps, NAMES);

# %% tags=["remove-cell"]
every = {name: pd.concat([original(m, text) for text in range(len(paragraphs))]) for name, m in found.items()}
for name, table in every.items():
    glue(f"norms-{name}-original-share", f"{100 * lag_one(table)['filled'].mean():.0f} %", display=False)
for title, key in (("all texts, clustered, Holm", "plain"), ("what the tokens are", "full"), ("the same, untrained model", "untrained")):
    for name, table in steps[title].items():
        glue(f"norms-{name}-{key}-lag1", span(lag_one(table)["estimate"]), display=False)

# %% [markdown]
# One token back, the coefficients by layer go from {glue:text}`norms-polish-gpt2-plain-lag1` (all texts, no control) to
# {glue:text}`norms-polish-gpt2-full-lag1` (all controls) in GPT-2, and from {glue:text}`norms-herbert-plain-lag1` to
# {glue:text}`norms-herbert-full-lag1` in HerBERT. With all controls an untrained GPT-2 has {glue:text}`norms-polish-gpt2-untrained-lag1`. Run on each text by itself,
# the original specification marks {glue:text}`norms-polish-gpt2-original-share` of GPT-2's and {glue:text}`norms-herbert-original-share` of
# HerBERT's coefficients one token back.
#
# ## What each specification finds where there is nothing
#
# In simulated log norms the truth is known (`norms.simulation.simulate`): independent tokens; independent tokens with a trend; words whose pieces share a level; errors whose
# size drifts along the text. None of them has a past beyond what the sentence says. The original specification gets one text of 95 tokens and 12 layers, as it had in
# GPT-2; the full one 45 texts of 95.

# %%
KINDS = {"independent": "independent", "trend": "trend", "words": "words in pieces", "volatile": "drifting size of errors"}


def false_positives(kind):
    """Which tests, and which sets of 24 tests, find a past."""
    plain = nulls.null_distribution(kind, specification=norms.ORIGINAL, n_draws=30, n_texts=1, n_layers=12)
    full = nulls.null_distribution(kind, specification=norms.FULL, n_draws=80)
    full = full[full["term"] == "lag"]
    any_of_24 = plain.groupby("draw")[["p", "p_holm"]].min() < 0.05
    samples = {"original": plain.loc[plain["lag"] == 1, "p"] < 0.05, "any of 24": any_of_24["p"]}
    return samples | {"any, Holm": any_of_24["p_holm"], "full": full["p"] < 0.05}


hits = {title: false_positives(kind) for kind, title in KINDS.items()}

# %% tags=["hide-input"]
def percent(sample):
    """A share in per cent with Wilson's interval."""
    share = statistics.wilson_interval(int(sample.sum()), len(sample))
    return f"{100 * share.estimate:.0f} ({100 * share.low:.0f} to {100 * share.high:.0f})"


rates = pd.DataFrame({kind: {test: percent(sample) for test, sample in tests.items()} for kind, tests in hits.items()}).T
rates.rename_axis("no past, but").style.set_caption(
    "False positives [%] at a level of 5 %, with 95 % intervals over draws. Original: the coefficient one token back; any of 24: one or more of"
    " the original's 24; any, Holm: the same, corrected; full: each test of the full specification"
)

# %% tags=["remove-cell"]
glue("norms-false-trend", f"{100 * hits['trend']['original'].mean():.0f} %", display=False)
glue("norms-false-any", rates.loc["independent", "any of 24"], display=False)
full_hits = [kind["full"].mean() for kind in hits.values()]
glue("norms-false-full", f"{100 * min(full_hits):.0f} to {100 * max(full_hits):.0f} %", display=False)

# %% [markdown]
# Even where tokens are independent, 24 uncorrected tests give at least one p below 0.05 in {glue:text}`norms-false-any` % of such models. The full specification's rates per
# test are {glue:text}`norms-false-full`.
#
# Levels of texts have a price: a text's mean contains the errors that follow, so coefficients of lags come out too small, by
# $-(1+\rho)/T$ with many texts {cite}`nickell1981` and $-(1+3\rho)/T$ in a single series {cite}`kendall1954`, for one lag $\rho$ and $T$ tokens. Here it is in
# simulated texts with coefficients 0.3 and 0.1, and what is left after the correction:

# %%
one = replace(norms.ORIGINAL, covariates=("log_position",))
levels = norms.Specification()
designs = {
    "one text": (one, 1, 200),
    "45 texts, uncorrected": (replace(levels, correct_bias=False), 45, 40),
    "45 texts": (levels, 45, 40),
}
drawn = {
    title: nulls.null_distribution("autoregressive", specification=s, n_texts=n, n_draws=draws) for title, (s, n, draws) in designs.items()
}

# %% tags=["hide-input"]
def mean_error(table, lag, truth):
    """Mean estimate less the truth, with an interval over draws."""
    error = statistics.bootstrap_interval(table.loc[(table["term"] == "lag") & (table["lag"] == lag), "estimate"] - truth)
    return minus(f"{error.estimate:+.3f} ({error.low:+.3f} to {error.high:+.3f})")


bias = {title: {f"{lag} back": mean_error(t, lag, truth) for lag, truth in ((1, 0.3), (2, 0.1))} for title, t in drawn.items()}
pd.DataFrame(bias).T.style.set_caption("Mean estimate less the truth, 95 tokens a text; 95 % intervals over draws")

# %% tags=["remove-cell"]
glue("norms-bias-one", minus(f"{norms.bias.small_sample_bias(0.3, 95):+.3f}"), display=False)
glue("norms-bias-many", minus(f"{norms.bias.small_sample_bias(0.3, 95, 45):+.3f}"), display=False)

# %% [markdown]
# For one lag of 0.3 the formulas give {glue:text}`norms-bias-one` in one text and {glue:text}`norms-bias-many` in 45.
#
# ## Beyond what any transformer would show
#
# Now the two models side by side, with all controls; HerBERT also sees what follows, so its regression has leads as well as lags. Two nulls are made
# with the *same texts and the same specification*: models of the same shape with fresh weights, and the trained model on texts whose tokens were shuffled (each
# token keeps its description). If a model were one more draw of the null, its coefficient would lie in the bar with probability 0.95.

# %%
SPECIFICATION = {"polish-gpt2": norms.FULL, "herbert": replace(norms.FULL, leads=2)}
full = {n: norms.lagged_regression(m.attention, m.tokens, SPECIFICATION[n]) for n, m in found.items()}
hac = {n: norms.lagged_regression(m.attention, m.tokens, replace(SPECIFICATION[n], errors="hac")) for n, m in found.items()}

# %%
DRAWS = {"untrained": 8, "shuffled": 8}
orders, held = {}, {}
for name, model in loaded.items():
    same = replace(SPECIFICATION[name], errors="ordinary")  # only coefficients are wanted, and errors do not change them
    orders[name] = nulls.shuffled_norms(model, paragraphs, DRAWS["shuffled"])
    untrained_draws = nulls.null_distribution("untrained", model, paragraphs, same, DRAWS["untrained"])
    held[name, "untrained"] = nulls.against_null(full[name], untrained_draws)
    held[name, "shuffled"] = nulls.against_null(full[name], nulls.regress_draws(orders[name], same))
verdicts = {name: norms.verdicts.survivors(hac[name], held[name, "untrained"], held[name, "shuffled"]) for name in NAMES}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Coefficients with all controls, with intervals that hold for all layers and neighbours at once. Filled, a star: the coefficient survives everything, that is Holm's correction, clustered and HAC errors, levels of positions, what the tokens are, and the untrained models. Bars: where 95 % of draws of a null are expected. Each model has a scale of its own.", "name": "fig-norms-nulls"}, "image": {"alt": "Rows of panels for one and two tokens back and, in HerBERT, ahead; points of the trained model beside grey bars for untrained models and violet bars for shuffled tokens. In GPT-2 one token back the grey bars stand above the points; in HerBERT they lie around zero."}}
stacked = pd.concat([table.assign(model=n, null=kind, filled=verdicts[n]["starred"]) for (n, kind), table in held.items()])
bars = {"untrained": plots.MODEL_COLOURS["untrained"], "shuffled": plots.MODEL_COLOURS["permuted"]}
plots.coefficients_against_nulls(stacked, bars, NAMES);

# %% tags=["hide-input"]
COUNTS = {
    "significant": "significant: Holm, clustered and HAC",
    "differs": "and differ from untrained models",
    "starred": "starred: and farther from zero than untrained",
    "ordered": "and farther than with shuffled tokens",
}
counts = {NAMES[n]: {"tested": len(v)} | {text: int(v[key].sum()) for key, text in COUNTS.items()} for n, v in verdicts.items()}
pd.DataFrame(counts).style.set_caption("Coefficients that pass; each row is within the significant ones, the last within the starred")

# %% tags=["hide-input"]
def where(lag):
    """A lag or lead in words."""
    return f"{abs(lag)} {'back' if lag > 0 else 'ahead'}"


def described(name):
    """The starred coefficients, beside both nulls."""
    table, shuffled = verdicts[name], held[name, "shuffled"]
    rows = {
        "model": NAMES[name],
        "layer": table["layer"] + 1,
        "token": table["lag"].map(where),
        "coefficient": [f"{minus(f'{b:.2f}')} ({span((x, y))})" for b, x, y in table[["estimate", "low_all", "high_all"]].to_numpy()],
        "untrained": [span(ends) for ends in table[["null_low", "null_high"]].to_numpy()],
        "shuffled": [span(ends) for ends in shuffled[["null_low", "null_high"]].to_numpy()],
        "needs order": np.where(table["ordered"], "yes", "no"),
    }
    return pd.DataFrame(rows)[table["starred"]]


pd.concat([described(name) for name in NAMES]).style.hide(axis="index").set_caption(
    "Starred coefficients: simultaneous interval, where 95 % of draws of each null are expected, and whether shuffled tokens are exceeded"
)

# %% tags=["remove-cell"]
for name, table in verdicts.items():
    glue(f"norms-{name}-tested", len(table), display=False)
    for key in COUNTS:
        glue(f"norms-{name}-{key}", int(table[key].sum()), display=False)
    for kind in ("trained", *DRAWS):
        means = lag_one(table)["estimate"] if kind == "trained" else lag_one(held[name, kind])["null_mean"]
        glue(f"norms-{name}-mean-{kind}", minus(f"{means.mean():.2f}"), display=False)
        glue(f"norms-{name}-layers-{kind}", minus(", ".join(f"{x:.2f}" for x in means)), display=False)
    glue(f"norms-{name}-bg", int((table.groupby("layer")["p_breusch_godfrey"].first() < 0.05).sum()), display=False)
    glue(f"norms-{name}-n", f"{int(table['n'].iloc[0]):,}", display=False)
layers = len(found["polish-gpt2"].attention)
glue("norms-layers", layers, display=False)
glue("norms-draws", DRAWS["untrained"], display=False)


# %% tags=["remove-cell"]
def verdict(key):
    """How many coefficients of each model are left, in words."""
    left = {NAMES[n]: int(v[key].sum()) for n, v in verdicts.items()}
    return " and ".join(f"{count or 'none'} of {name}'s" for name, count in left.items())


said = f"Farther from zero than in untrained models are {verdict('starred')}, farther also than with the same tokens in another order {verdict('ordered')}."
glue("norms-verdict", said, display=False)
glue("norms-differs", verdict("differs"), display=False)

# %% [markdown]
# {glue:text}`norms-verdict` (Outcomes: {glue:text}`norms-polish-gpt2-n` and {glue:text}`norms-herbert-n`.) To *differ* from untrained models is less than
# to exceed them: that do {glue:text}`norms-differs`. What an untrained GPT-2 shows has a plain cause. Its attention is nearly uniform, its update a running
# mean of all that came before, and a running mean moves slowly. Training makes attention selective: one token back the coefficient is
# {glue:text}`norms-polish-gpt2-mean-trained` on average over layers, where untrained models have {glue:text}`norms-polish-gpt2-mean-untrained`. HerBERT's untrained
# layers average over the whole text at every token and have no slow movement to show ({glue:text}`norms-herbert-mean-untrained`).
#
# The shuffled texts say what the coefficients are about. Where one needs words in their order, shuffling takes it away; where it stays, any tokens in any order
# would do. One token back, by layer, the coefficients are {glue:text}`norms-polish-gpt2-layers-trained` in GPT-2 and, shuffled,
# {glue:text}`norms-polish-gpt2-layers-shuffled`; in HerBERT {glue:text}`norms-herbert-layers-trained` and {glue:text}`norms-herbert-layers-shuffled`.
#
# The lags are a description, not a mechanism: the test of Breusch and Godfrey {cite}`godfrey1978`, which unlike Durbin and Watson's statistic allows for lagged outcomes, finds
# autocorrelated residuals (p below 0.05) in {glue:text}`norms-polish-gpt2-bg` of GPT-2's and {glue:text}`norms-herbert-bg` of HerBERT's {glue:text}`norms-layers` layers. Clustered errors stay right, since they allow for any dependence within a text.
#
# ### Other choices
#
# The coefficient one token back under other choices: other lags, a later first position, all tokens and not only those that begin a word, log position and the mean
# of the other texts at that position in place of a level for each; and of the feed-forward updates. Random tokens are drawn evenly from the vocabulary, have no words, and
# are as many and as long as the texts.

# %% tags=["hide-input"]
def random_texts(name, seed=0):
    """Sequences of random tokens as long as the texts, special tokens in their places."""
    tokens, rng = found[name].tokens, np.random.default_rng(seed)
    special = list(set(loaded[name].tokenizer.all_special_ids))
    pool = np.setdiff1d(np.arange(len(loaded[name].tokenizer)), special)
    ids = np.where(tokens["special"], tokens["token_id"], rng.choice(pool, len(tokens)))
    return [ids[rows].tolist() for rows in tokens.groupby("text").indices.values()]


random = {name: norms.update_norms(model, random_texts(name)) for name, model in loaded.items()}
WORDLESS = {"lagged_covariates": design.IDENTITY, "word_starts": False}

# %%
CHOICES = {
    "all controls": {},
    "one lag": {"lags": 1},
    "four lags": {"lags": 4},
    "from position 16": {"first": 16},
    "all tokens, not word starts": WORDLESS,
    "position by covariates": {"position_effects": False, "covariates": (*design.IDENTITY, "log_position", "position_mean")},
}


def one_back(name, measured, module="attention", **changes):
    """The coefficient one token back in each layer."""
    table = norms.lagged_regression(getattr(measured, module), measured.tokens, replace(SPECIFICATION[name], **changes))
    return [minus(f"{b:.2f} ({e:.2f})") for b, e in lag_one(table)[["estimate", "se"]].to_numpy()]


# %% tags=["hide-input"]
def choices(name):
    """All choices for one model, a row each."""
    rows = {title: one_back(name, found[name], **changes) for title, changes in CHOICES.items()}
    rows["feed-forward updates"] = one_back(name, found[name], module="mlp")
    rows["random tokens"] = one_back(name, random[name], **WORDLESS)
    return pd.DataFrame(rows, index=[f"layer {i + 1}" for i in range(len(found[name].attention))]).T


choices("polish-gpt2").style.set_caption("GPT-2: coefficient one token back (standard error)")

# %% tags=["hide-input"]
choices("herbert").style.set_caption("HerBERT: coefficient one token back (standard error)")

# %% [markdown]
# ### What a token is, exactly
#
# Frequency, rank and punctuation describe a token; they do not say all that it is. A token that has large updates anywhere, beside another such token, would look like a dependence.
# `norms.nulls.expected_sizes` asks the model itself: in the shuffled texts above each token stands in other places of its own text, and the mean of its log norms there, by layer, is
# what it measures in whatever order. It enters for the outcome's token and for its neighbours, beside all other controls.

# %%
exact = {}
for name, measured in found.items():
    tokens = pd.concat([measured.tokens, nulls.expected_sizes(orders[name])], axis=1)
    own, lagged = ((*names, "expected") for names in (norms.FULL.covariates, norms.FULL.lagged_covariates))
    exact[name] = norms.lagged_regression(measured.attention, tokens, replace(SPECIFICATION[name], covariates=own, lagged_covariates=lagged))

# %% tags=["hide-input"]
def beside_exact(name):
    """The starred coefficients without and with what a token measures elsewhere."""
    tested = exact[name][exact[name]["term"].isin(("lag", "lead"))].reset_index(drop=True)
    table = pd.DataFrame({"model": NAMES[name], "layer": tested["layer"] + 1, "token": tested["lag"].map(where), "starred": verdicts[name]["estimate"]})
    return table.assign(**{"with expected sizes": tested["estimate"], "p, Holm": tested["p_holm"]})[verdicts[name]["starred"]]


kept = pd.concat([beside_exact(name) for name in NAMES])
kept.style.hide(axis="index").format({"p, Holm": "{:.2g}"}, precision=2).set_caption(
    "Starred coefficients, and the same with the expected sizes of the tokens held"
)

# %% tags=["remove-cell"]
for name, title in NAMES.items():
    part = kept[kept["model"] == title]
    glue(f"norms-{name}-exact", int((part["p, Holm"] < 0.05).sum()), display=False)
    ratio = part["with expected sizes"].mean() / part["starred"].mean() if len(part) else np.nan
    glue(f"norms-{name}-exact-ratio", f"{100 * ratio:.0f} %", display=False)

# %% [markdown]
# Of the starred coefficients {glue:text}`norms-polish-gpt2-exact` (GPT-2) and {glue:text}`norms-herbert-exact` (HerBERT) stay significant; their mean is
# {glue:text}`norms-polish-gpt2-exact-ratio` and {glue:text}`norms-herbert-exact-ratio` of what it was. {glue:text}`norms-draws` orders leave noise in the expected size of a token, so some of its identity may remain.
#
# ## How much neighbours explain
#
# The partial $R^2$ is the share of the variance left by levels and token identity that lags (and leads) explain. Held out, coefficients come from other
# texts, and only the level of the predicted text is its own; the interval is a bootstrap over texts.

# %%
explained = pd.concat(
    [
        norms.past_explains(m.attention, m.tokens, SPECIFICATION[name]).assign(model=name, source=source)
        for source, measured in (("trained", found), ("untrained", untrained))
        for name, m in measured.items()
    ]
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variance of log norms explained by the neighbours beyond levels and token identity: points for held-out texts with 95 % intervals, bars for the sample itself. The panels have scales of their own.", "name": "fig-norms-explained"}, "image": {"alt": "Two panels by layer. In GPT-2 crosses of the untrained model stand near the top, circles of the trained model lower; in HerBERT all values are small."}}
plots.explained_by_layer(explained, NAMES);

# %% tags=["remove-cell"]
for (name, source), part in explained.groupby(["model", "source"]):
    glue(f"norms-{name}-heldout-{source}", span(part["heldout_r2"], 3), display=False)
gap = (explained["partial_r2"] - explained["heldout_r2"]).abs().max()
glue("norms-heldout-gap", float(gap), display=False)

# %% [markdown]
# In texts held out the neighbours explain {glue:text}`norms-polish-gpt2-heldout-trained` of the rest in GPT-2 (untrained:
# {glue:text}`norms-polish-gpt2-heldout-untrained`) and {glue:text}`norms-herbert-heldout-trained` in HerBERT (untrained:
# {glue:text}`norms-herbert-heldout-untrained`). In the sample and out of it differ by at most {glue:text}`norms-heldout-gap:.3f`.
#
# ## What neighbours have in common
#
# If a layer's updates cannot act on each other, what makes neighbours alike? They read the same sources. Norm-based attention
# {cite}`kobayashi2020` says how much token $j$ contributes to the update of token $i$,
#
# $$\Bigl\lVert \sum_h \alpha^h_{ij}\, f^h(x_j) \Bigr\rVert , \qquad f^h(x) = (x W_V^h + b_V^h)\, W_O^h ,$$
#
# and with each row made to sum to 1, $\sum_j \min(w_{t,j}, w_{t-1,j})$ is the share of its sources that a token has in common with the one before it.

# %%
FEW = paragraphs[:16]
shared = []
for name, model in loaded.items():
    for source, one in (("trained", model), ("untrained", fresh[name])):
        means = norms.shared_sources(norms.norm_based_attention(one, FEW)).mean(axis=0)
        table = full[name] if source == "trained" else step(untrained[name], SPECIFICATION[name])
        shared.append(lag_one(table)[["layer", "estimate"]].assign(model=name, source=source, shared=means))
shared = pd.concat(shared)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Coefficient one token back (all controls) against the share of sources that a token has in common with the one before; a point a layer, numbered for the trained models.", "name": "fig-norms-sources"}, "image": {"alt": "Scatter of coefficients against shared sources for the layers of both models, trained and untrained."}}
plots.sources_and_coefficients(shared, NAMES);

# %% tags=["remove-cell"]
for (name, source), part in shared.groupby(["model", "source"]):
    glue(f"norms-{name}-shared-{source}", span(part["shared"]), display=False)

# %% [markdown]
# Neighbours share {glue:text}`norms-polish-gpt2-shared-trained` of their sources in GPT-2 by layer ({glue:text}`norms-polish-gpt2-shared-untrained` untrained) and
# {glue:text}`norms-herbert-shared-trained` in HerBERT ({glue:text}`norms-herbert-shared-untrained` untrained). Sources in common make updates alike; they do not make their *sizes vary together* from place to
# place unless what is shared changes slowly along the text, as a running mean does. That is why an untrained HerBERT, which shares nearly everything everywhere, has a
# coefficient near zero. Eight layers are too few for more than this remark.
#
# ## A cause, where there can be one
#
# The update of one token in one layer is replaced by the layer's mean update, and the norms of its neighbours' updates are measured in the *next* layer, where they can
# change. If the regression showed an effect of the token before, the next token should be moved, and more than tokens further on, which are the control: the same
# intervention at another distance. Untrained models are the other control. One place is drawn in each text; untrained models read every second one.

# %%
REACH, SOME = 12, paragraphs[::2]
changes = {}
for name, model in loaded.items():
    for source, one, read in (("trained", model, paragraphs), ("untrained", fresh[name], SOME)):
        changes[name, source] = interventions.replace_updates(one, read, n_places=1, reach=REACH)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean absolute change of the log norm of the attention update in the next layer, by distance from the token whose update was replaced (logarithmic; bands: 95 % intervals over texts). Below zero: tokens before it, which only HerBERT's see.", "name": "fig-norms-causal"}, "image": {"alt": "Two panels of lines by distance, one for each replaced layer; most fall with distance from the replaced token."}}
by_distance = [interventions.size_by_distance(changes[name, "trained"]).assign(model=name) for name in NAMES]
plots.change_by_distance(pd.concat(by_distance), NAMES);

# %% tags=["hide-input"]
LEVEL = 1 - 0.05 / (2 * (layers - 1))  # all layers of both models at once
effects = []
for (name, source), table in changes.items():
    for row in interventions.next_and_further(table, level=LEVEL).itertuples():
        effects.append((NAMES[name], source, row.layer + 1, row.next, row.further, row.estimate, row.low, row.high))
effects = pd.DataFrame(effects, columns=["model", "weights", "layer", "next", "further", "difference", "low", "high"])
effects.style.hide(axis="index").format(lambda x: minus(f"{x:.2g}"), subset=list(effects.columns[3:])).set_caption(
    f"Mean |change of log norm| one layer after the one replaced: the next token, tokens 2 to {REACH} on, the difference, and an interval that"
    " holds for all six at once"
)

# %% tags=["remove-cell"]
for name, title in NAMES.items():
    for source in ("trained", "untrained"):
        part = effects[(effects["model"] == title) & (effects["weights"] == source)]
        glue(f"norms-{name}-causal-{source}", f"{int((part['low'] > 0).sum())} of {len(part)}", display=False)

# %% [markdown]
# The next token is moved more than tokens further on, by an interval above zero, in {glue:text}`norms-polish-gpt2-causal-trained` layers of GPT-2
# ({glue:text}`norms-polish-gpt2-causal-untrained` untrained) and {glue:text}`norms-herbert-causal-trained` of HerBERT
# ({glue:text}`norms-herbert-causal-untrained` untrained). Where it is so in a trained model, later layers attend to the token before more than to others, which is a
# fact about attention and not about norms: the replaced update changed in direction as well as in size. In an untrained GPT-2 attention is nearly even, and the next
# token averages over fewer tokens than those further on.
#
# Do *sizes* act on sizes? Now the update is doubled, its direction kept. Its log norm grows by $\log 2$; the change of the next token's log norm in the next layer,
# divided by that, is in the unit of a coefficient of the regression (every second text):

# %%
doubled = {name: interventions.replace_updates(model, SOME, n_places=1, reach=1, scale=2.0) for name, model in loaded.items()}
acts = {name: interventions.elasticity(table) for name, table in doubled.items()}

# %% tags=["hide-input"]
table = pd.concat([acts[name].assign(model=title, beside=lag_one(full[name])["estimate"].to_numpy()[1:]) for name, title in NAMES.items()])
table = table.assign(layer=table["layer"] + 1)[["model", "layer", "estimate", "low", "high", "beside"]]
table.columns = ["model", "layer doubled", "change a unit", "low", "high", "regression"]
table.style.hide(axis="index").format(lambda x: minus(f"{x:.3f}"), subset=list(table.columns[2:])).set_caption(
    "Change of the next token's log norm in the next layer a unit of log norm, with 95 % intervals over texts; regression: the coefficient one token back in that next layer"
)

# %% tags=["remove-cell"]
for name, found_acts in acts.items():
    glue(f"norms-{name}-acts", span(found_acts["estimate"]), display=False)
    glue(f"norms-{name}-beside", span(lag_one(full[name])["estimate"].to_numpy()[1:]), display=False)
    clear = int(((found_acts["low"] > 0) | (found_acts["high"] < 0)).sum())
    glue(f"norms-{name}-acts-clear", f"{clear} of {len(found_acts)}", display=False)

# %% [markdown]
# By layer, the effect of size on size is {glue:text}`norms-polish-gpt2-acts` in GPT-2 (the interval is clear of zero in {glue:text}`norms-polish-gpt2-acts-clear` layers) and
# {glue:text}`norms-herbert-acts` in HerBERT ({glue:text}`norms-herbert-acts-clear`), beside coefficients of {glue:text}`norms-polish-gpt2-beside` and {glue:text}`norms-herbert-beside`. The two need not agree, in size or in sign: the
# regression describes what neighbours in one layer have in common, the intervention what one layer does to the next.
#
# ## What the original notebook did, and where we differ
#
# | the original notebook | this chapter |
# |---|---|
# | one English text of about 95 tokens | all running texts of the book, and random and shuffled tokens |
# | an intercept and two lags | levels of texts and positions, what the tokens are, lags and leads |
# | ordinary standard errors | clustered by text with the jackknife; HAC {cite}`newey1987` as a second opinion |
# | Durbin and Watson's statistic in the summary, drawn to 2 by lagged outcomes | the test of Breusch and Godfrey |
# | 24 tests at 0.05 | Holm's correction over layers and lags, intervals that hold at once |
# | no null | untrained models, shuffled tokens, simulated texts |
# | histograms drawn at the left edges of their bins; hooks left on the model | at the centres; hooks are removed |
#
# Its author called for more texts and for causal interventions himself.
#
# ## Findings and limits
#
# - "Does an update depend on the update before it, in this layer?" has an answer without data: it cannot. A regression within a layer describes what neighbours have in common.
# - In GPT-2 the coefficient one token back is {glue:text}`norms-polish-gpt2-mean-trained` on average over layers, where
#   untrained models have {glue:text}`norms-polish-gpt2-mean-untrained`: there, a significant coefficient says that a causal model averages. {glue:text}`norms-verdict`
# - Sizes of updates act on later sizes next to them by {glue:text}`norms-polish-gpt2-acts` (GPT-2) and {glue:text}`norms-herbert-acts` (HerBERT), log norm a log norm, one layer on.
# - The full specification is near its nominal level in simulation ({glue:text}`norms-false-full` at 5 %), not exactly at it; {glue:text}`norms-texts` texts are enough clusters for such errors, not for
#   many more covariates. The untrained null rests on {glue:text}`norms-draws` draws of fresh weights, the shuffled one on as many orders: they tell large differences, not small ones,
#   and on these texts, not on others.
# - Frequency is counted in these texts, which are short; the rank in the tokenizer's merges stands in for frequency in its training text. With the size that each token has in other orders held as well,
#   starred coefficients are {glue:text}`norms-polish-gpt2-exact-ratio` (GPT-2) and {glue:text}`norms-herbert-exact-ratio` (HerBERT) of themselves. What a token is in context, its part of speech say, is not controlled.
# - The untrained models have the initialisation of their architecture in transformers. Two small models are described, one training run each; `ANALYSIS_MODELS=hub make book` asks the same of the published ones.
