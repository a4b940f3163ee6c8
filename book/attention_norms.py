# %% [markdown]
# # Norms of attention updates
#
# **Question.** In every layer, attention adds a vector to each token's state: its update. If one token's update is large, is the next token's large too? And if one update is
# *made* larger, does the next one grow? The first question is about prediction, the second about cause, and they have different answers.
#
# **What was found**
#
# - **A large update predicts a large next one in its own layer, but does not make the next one large.** When the log norm of an update is regressed on that of the token before in the same layer, the coefficients in GPT-2's layers above the first are {glue:text}`norms-polish-gpt2-beside`. A cause can only work from one layer to the next. There the same regression gives smaller coefficients, most of them near zero, except for a large one in GPT-2's layer 2, and doubling an update changes the next token's by {glue:text}`norms-polish-gpt2-acts` in the same unit.
# - **In GPT-2 prediction needs no learning.** Untrained GPT-2s have *larger* coefficients than the trained one, {glue:text}`norms-polish-gpt2-mean-untrained` on average, because their updates are running means of what came before.
# - **In HerBERT prediction comes with training.** There {glue:text}`norms-herbert-starred` of {glue:text}`norms-herbert-tested` coefficients are significant and farther from zero than in untrained models, where they lie near zero. Neighbours explain little, however: in texts held out they together explain at most
#   {glue:text}`norms-herbert-heldout-most` of the variance in any layer.

# %% tags=["hide-cell"]
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis_lib import models, norms, plots, report, statistics, texts
from analysis_lib.norms import inputs, interventions, measure

plots.use_style()
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
SPECIFICATION = {"polish-gpt2": norms.FULL, "herbert": replace(norms.FULL, leads=2)}
REPLACED = 6  # layers whose updates are replaced, spread evenly; of the small models all

# %% [markdown]
# The whole analysis takes a few calls, which the rest of the chapter explains. `norms.examine` regresses the log norms of each layer's updates on those of the
# neighbouring tokens, under every control and beside two nulls (untrained models and shuffled texts). `norms.replace_updates` doubles one token's update and measures what happens to the next token's, one layer on.

# %%
loaded = {name: models.load(name) for name in NAMES}
paragraphs = inputs.cut_to_fit(loaded.values(), texts.paragraphs()["text"])
draws = {name: 8 if model.model.config.hidden_size <= 512 else 5 for name, model in loaded.items()}  # of each null
examined = {name: norms.examine(model, paragraphs, SPECIFICATION[name], draws[name], draws[name]) for name, model in loaded.items()}
layers = {name: interventions.spread_layers(model.model.config.num_hidden_layers, REPLACED) for name, model in loaded.items()}

# %%
DOUBLING = {"n_places": 1, "reach": 1, "scale": 2.0, "later": 1}
doubled = {name: norms.replace_updates(model, paragraphs[::2], layers=layers[name], **DOUBLING) for name, model in loaded.items()}
print(*(model.label for model in loaded.values()), sep="\n")

# %%
measured = {name: examined[name].measured for name in NAMES}
ACROSS = {name: replace(specification, layers_up=1, correct_bias=False) for name, specification in SPECIFICATION.items()}
ENDS = ["estimate", "low_all", "high_all"]


def from_below(of_models):
    """Coefficient of the token before in the layer below, by layer."""
    return {name: norms.neighbours(norms.lagged_regression(m.attention, m.tokens, ACROSS[name]), 1).set_index("layer") for name, m in of_models.items()}


across = {"trained": from_below(measured)}

# %% tags=["key-figure"] mystnb={"figure": {"caption": "The token before, under all controls. Filled circles: its coefficient in the same layer. Grey bars: the same in 95% of untrained models. Open circles: its coefficient in the layer below. Diamonds: change of the next token's log norm when the update in the layer below is doubled, per unit of log norm. Lines: 95% intervals that hold for all circles of one kind in a model, and for all diamonds, at once. Each model has a scale of its own.", "name": "fig-norms-key"}, "image": {"alt": "Two panels by layer. In GPT-2 the filled circles lie between 0.3 and 0.6, the grey bars of untrained models above them near 0.8, and the open circles and the diamonds near zero, except in layer 2, where the open circle lies near 1.9 with a long line and the diamond lowest. In HerBERT the grey bars lie around zero, the filled circles between 0.07 and 0.25, above the bars in every layer, the open circles between -0.07 and 0.1, and the diamonds close to zero."}}
n_effects = sum(table["layer"].nunique() for table in doubled.values())
effects = {name: interventions.elasticity(table, level=1 - 0.05 / n_effects) for name, table in doubled.items()}
below = {name: table[ENDS].set_axis(["across", "across_low", "across_high"], axis=1) for name, table in across["trained"].items()}
beside = {name: examined[name].beside_effects(effects[name]).join(below[name], on="layer") for name in NAMES}
plots.regression_beside_effect(pd.concat([table.assign(model=name) for name, table in beside.items()]), NAMES);

# %% [markdown]
# ## What is measured
#
# The texts are paragraphs that were written for this book: news, narrative and explanation. A token has a predecessor only within the model's context,
# so `inputs.cut_to_fit` cuts each text after the last sentence that fits both models. `norms.update_norms` gives the Euclidean norm of each block's attention
# output (after `c_proj` in GPT-2, after `output.dense` in HerBERT, before any layer norm) for every token.

# %%
fresh = {name: models.untrained_like(model, seed=0) for name, model in loaded.items()}
untrained = {name: norms.update_norms(model, paragraphs) for name, model in fresh.items()}
report.table(
    pd.DataFrame({title: inputs.summary(measured[name].tokens) for name, title in NAMES.items()}),
    "Texts as each model sees them, special tokens not counted",
    index=True,
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Norms of the attention update. Above: 500 tokens drawn at random, shifted sideways within their layer. Below: share of all tokens by norm. Each model has a scale of its own below, since the norms are lengths in its own residual stream. Special tokens are left out.", "name": "fig-norms-raw"}, "image": {"alt": "Two columns, GPT-2 and HerBERT. Above, a cloud of points for each layer on a logarithmic axis; below, one distribution curve a layer. HerBERT's layer 4 has updates about two and a half times as long as layer 5, which comes next, and its layer 2 has the shortest; GPT-2's layers differ less, and its layer 1 has the longest."}}
plots.norm_distributions({NAMES[name]: m.attention[:, ~m.tokens["special"].to_numpy()] for name, m in measured.items()});

# %% [markdown]
# The regression of this page explains the log norm of a token's update by those of the two tokens before it in the same layer. Its *coefficient one token back* says by how much the log norm is higher when that of the token before is higher by one,
# other things equal. The controls, which hold those things equal, follow in *Beyond what any transformer would show*.
#
# Any regression on the past meets an obstacle: norms have a trend ({numref}`fig-norms-position`). In GPT-2 a token averages over all that came before it, and an average of many
# vectors is short. The trend is clearest in the untrained model, where the slopes on the log of position are {glue:text}`norms-slope-untrained`; an average of independent vectors would have −0.5.
# In HerBERT every token sees the whole text, and the figure shows no trend; only the first few tokens stand apart. The very first has a shorter update in every layer but the last, and the second has a shorter one in layers 1 and 3 and a longer one in the last layer.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean log norm of the attention update by position, less its mean over positions; dotted: an untrained model. In HerBERT the first position is the first token after the special one.", "name": "fig-norms-position"}, "image": {"alt": "Two panels of lines against position on a logarithmic axis. Dotted lines of the untrained GPT-2 fall steadily, and so does the last layer of the trained one, while its other layers change less; those of HerBERT are flat, but for the first few positions: at the first all layers but the last are lower, and at the second layers 1 and 3 are lower and layer 5 higher."}}
both = {"trained": measured, "untrained": untrained}
trends = {n: {kind: measure.mean_by_position(m[n].attention, m[n].tokens) for kind, m in both.items()} for n in NAMES}
plots.position_trends({NAMES[name]: lines for name, lines in trends.items()});

# %% [markdown]
# ## What an update does to later ones
#
# Within a layer no update can depend on another, since a layer computes all tokens at once. A cause can only run from one layer to a later one. So the update of one token in one
# layer is replaced by the layer's mean update, and the norms of its neighbours' updates are measured in the *next* layer. If the token before mattered as such, the norm at the next token would
# change, and it would change more than the norms at tokens further on. Those tokens are the first control; untrained models are the second. One place is drawn in each text.

# %%
REACH = 12
changes = {(name, "trained"): norms.replace_updates(model, paragraphs, n_places=1, reach=REACH, layers=layers[name], later=1) for name, model in loaded.items()}
changes |= {(name, "untrained"): norms.replace_updates(model, paragraphs[::2], n_places=1, reach=REACH, layers=layers[name], later=1) for name, model in fresh.items()}

# %% mystnb={"figure": {"caption": "Mean absolute change of the log norm of the attention update one layer after the replaced one, by distance from the token whose update was replaced (logarithmic; bands: 95% intervals over texts). Below zero: tokens before it, which only HerBERT's tokens see.", "name": "fig-norms-causal"}, "image": {"alt": "Two panels of lines by distance, one for each replaced layer. In GPT-2 the lines fall with distance from the replaced token, those of layers 2 and 3 steeply; that of layer 1 lies far above the others and falls slowly. In HerBERT all lines peak around the token and fall steeply on either side; those of layers 0 and 1 are the highest beside it."}}
by_distance = [interventions.size_by_distance(changes[name, "trained"]).assign(model=name) for name in NAMES]
plots.change_by_distance(pd.concat(by_distance), NAMES);

# %%
moved = pd.concat(
    interventions.next_and_further(changes[name, weights], level=1 - 0.05 / (2 * n_effects)).assign(model=NAMES[name], weights=weights)
    for name in NAMES
    for weights in ("trained", "untrained")
)
difference = [report.interval(*row, scale=1000) for row in moved[["estimate", "low", "high"]].to_numpy()]
thousandths = dict.fromkeys(("next", "further"), lambda x: report.number(x, scale=1000))
report.table(
    moved.assign(difference=difference)[["model", "weights", "layer", "next", "further", "difference"]],
    f"Mean |change of log norm| in thousandths, one layer after the one replaced: the next token, tokens 2 to {REACH} on, and the difference, "
    "with intervals over texts that"
    " hold for all rows at once",
    formats=thousandths,
)

# %% [markdown]
# The norm at the next token changes more than the norms further on, with the interval of the difference above zero, in {glue:text}`norms-polish-gpt2-causal-trained` layers of GPT-2 and
# {glue:text}`norms-herbert-causal-trained` of HerBERT. For this it would be enough that the next layer attends to near tokens more than to distant ones, and in HerBERT the norm just before the replaced token changes about as much as that just after it, and about twice as much where the update of layer 0 or 1 was replaced. The replaced update also changed in direction and not only in size,
# so the effect says something about attention rather than about norms. In the untrained GPT-2, where attention is nearly even, no such difference is shown: every interval includes zero. In the untrained HerBERT the norms hardly change at all.
#
# The largest effect in GPT-2 is hardly local. Replacing an update of its layer 1 changes the norms of the next layer far more than replacing one of any other layer, and it does so twelve tokens on as well. HerBERT's effects are local: whichever layer's update is replaced, the change falls to a small fraction within six tokens on either side ({numref}`fig-norms-causal`).
#
# To ask about *size* alone, the opening figure ({numref}`fig-norms-key`) doubles the update and keeps its direction. The log norm of the update then grows by $\log 2$; the change of the next token's log
# norm in the next layer, divided by $\log 2$, is in the unit of a coefficient. This effect and the coefficient need not agree, in size or in sign: the regression describes what neighbours in one layer
# have in common, the intervention what one layer does to the next. The table therefore also has the coefficient *across* layers: the next layer's log norms regressed on this layer's, the token's own included,
# under the same controls. This is the prediction that the intervention tests.

# %% tags=["hide-input"]
across["untrained"] = from_below(untrained)
rows = [
    {
        "model": title,
        "layer": layer,
        "within the layer": statistics.Interval(*beside[name].set_index("layer").loc[layer, ["estimate", "low", "high"]]),
        "from the layer below": statistics.Interval(*across["trained"][name].loc[layer, ENDS]),
        "the same, untrained": statistics.Interval(*across["untrained"][name].loc[layer, ENDS]),
        "caused": statistics.Interval(*beside[name].set_index("layer").loc[layer, ["effect", "effect_low", "effect_high"]]),
    }
    for name, title in NAMES.items()
    for layer in across["trained"][name].index.intersection(beside[name]["layer"])
]
report.table(
    pd.DataFrame(rows),
    "The token before: coefficient of its log norm in the same layer and in the layer below, and what doubling its update in the layer below causes; "
    "log norm for each log norm, intervals that hold at once",
)

# %% [markdown]
# Prediction and cause differ most clearly in GPT-2's layer 2. There a large update of the token before, in layer 1, predicts a larger update (by how much is measured only roughly), but doubling it makes that update *smaller*. In layer 5 the prediction is negative, and no effect is shown, since its interval includes zero. In the other layers of GPT-2 both are near zero, although the coefficients within the layer are not. In HerBERT a large update in layer 3 predicts a slightly smaller one of the next token in layer 4, and doubling it makes that update slightly smaller as well. A large update in layer 4 predicts a slightly larger one in layer 5, but doubling it shows no effect. In the other layers of HerBERT the intervals of both include zero. The regression within a layer therefore sees what neighbours share in that layer, and not something that one token passes on to the next, as far as one step to the next layer shows.

# %% [markdown]
# ## Beyond what any transformer would show
#
# The regression holds constant what else could make neighbours alike: the level of each text, the level of each position, and what the tokens are (only tokens that begin a word are explained, and their frequency, their rank in the
# tokenizer's merges and punctuation are covariates, as are those of the tokens at the lags). {doc}`norms_controls` gives the formula and adds these controls one by one. HerBERT's tokens see what follows, so its regression has
# leads (tokens after) as well as lags (tokens before).
#
# Two nulls are made with the *same texts and the same specification*: models of the same shape with fresh weights, and the trained model on texts whose tokens were shuffled (each token keeps its description). Eight draws
# of each (five for a model wider than 512, whose bars are therefore a fifth longer) show where another draw would lie with a probability of 0.95.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Coefficients with all controls, with intervals that hold for all layers and neighbours at once. Filled, a star: significant after Holm's correction by errors clustered by text and by HAC errors (which allow for dependence between near tokens), and farther from zero than in untrained models. Holm's correction is a little less strict than such intervals, so the interval of a star may just include zero. Bars: where 95% of draws of a null are expected. Each model has a scale of its own.", "name": "fig-norms-nulls"}, "image": {"alt": "Panels for one and two tokens back and, in HerBERT, ahead; points of the trained model beside grey bars for untrained models and violet bars for shuffled tokens. In GPT-2 one token back the grey bars stand above the points; in HerBERT they lie around zero, below the points one token back and one ahead in every layer."}}
plots.coefficients_against_nulls(pd.concat([examined[name].beside_nulls().assign(model=name) for name in NAMES]), NAMES);

# %%
counts = pd.DataFrame({name: examination.counts() for name, examination in examined.items()})
report.table(
    counts.rename(columns=NAMES, index=norms.verdicts.CONTROLS).rename_axis("coefficients").reset_index(),
    "Coefficients that pass each control; the last two rows are within the starred ones",
)

# %% [markdown]
# The coefficients of an untrained GPT-2 have a plain cause. Its attention is nearly uniform, its update is a running mean of all that came before, and a running mean changes slowly. Training makes
# attention selective: one token back the coefficient is {glue:text}`norms-polish-gpt2-mean-trained` on average over layers, where untrained models have {glue:text}`norms-polish-gpt2-mean-untrained`.
# HerBERT's untrained layers average over the whole text at every token and have no slow change to show; its coefficients come with training.
#
# The starred coefficients, those that are significant and farther from zero than in untrained models, are listed below. Shuffled texts show whether they are about words in their order: a coefficient needs the order if it is clearly farther from zero than with shuffled tokens. HerBERT has {glue:text}`norms-herbert-ordered` that are clearly farther: those of the token before in layers 0 and 1 and of the token after in layers 1 and 3. For the others this cannot be said, and in every layer of HerBERT but layer 2 shuffled tokens give the token before and the token after coefficients above zero as well, in layers 3 to 5 of a similar size. GPT-2 also has coefficients one token back that lie above those of shuffled texts, from layer 3 on ({numref}`fig-norms-nulls`): order matters there, but the untrained models lie higher still, so these coefficients have no star. Frequency, rank and punctuation do not say all that a token is, either. If tokens that have large updates wherever they stand tended to stand side by side, that would look like a dependence.
# The shuffled texts give a control for this too: in them each token stands in other places of its own text, and the mean of its log norms there is its *expected size*. The last column holds it constant
# for the outcome's token and for its neighbours, beside all other controls. All starred coefficients remain significant.

# %%
starred = pd.concat({title: examined[name].starred() for name, title in NAMES.items()}, names=["model", None]).reset_index("model")
columns = {"lag": "tokens back", "ordered": "needs order", "exact": "size held"}
report.table(
    starred.drop(columns="p_exact").rename(columns=columns),
    "Starred coefficients with their simultaneous intervals, which hold although these were selected; "
    "mean of each null and where 95% of its draws are expected; whether"
    " shuffled tokens are exceeded; the coefficient with expected sizes held. Tokens back: −1 is the token after",
)

# %% [markdown]
# ## How much neighbours explain
#
# Levels and token identity leave a part of the variance; the partial $R^2$ is the share of it that lags (and leads) explain. For held-out texts, coefficients come from other texts, and only the level of the
# predicted text is its own. In GPT-2 the share depends on the layer: the neighbours explain nothing in layer 0, most of the variance in layer 1 and a smaller part above. In the untrained GPT-2 they explain nearly all of it in every layer, and in the untrained HerBERT next to nothing. In the trained HerBERT they explain a small part of it in layers 1 and 3 to 5 and less in layer 0; in layer 2 the interval includes zero ({numref}`fig-norms-explained`).

# %%
explained = pd.concat(
    norms.past_explains(m.attention, m.tokens, SPECIFICATION[name]).assign(model=name, source=source)
    for source, by_model in both.items()
    for name, m in by_model.items()
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Variance of log norms explained by the neighbours beyond levels and token identity: points for held-out texts with 95% intervals over texts, bars for the sample itself. The panels have scales of their own.", "name": "fig-norms-explained"}, "image": {"alt": "Two panels by layer. In GPT-2 crosses of the untrained model stand near the top, circles of the trained model lower: at zero in layer 0, high in layer 1, below 0.3 in the others. In HerBERT the crosses lie at zero, and the circles at zero in layer 2, at 0.03 in layer 0, and between 0.13 and 0.18 in layers 1 and 3 to 5."}}
plots.explained_by_layer(explained, NAMES);

# %% [markdown]
# ## What neighbours have in common
#
# If a layer's updates cannot act on each other, what makes neighbours alike? One answer is that they read the same sources. Norm-based attention {cite}`kobayashi2020` says how much token $j$ contributes to the
# update of token $i$,
#
# $$\Bigl\lVert \sum_h \alpha^h_{ij}\, f^h(x_j) \Bigr\rVert , \qquad f^h(x) = (x W_V^h + b_V^h)\, W_O^h ,$$
#
# and with each row $w$ scaled to sum to 1, $\sum_j \min(w_{t,j}, w_{t-1,j})$ is the share of its sources that a token has in common with the one before it.

# %%
shared = []
for name, model in loaded.items():
    for source, one in (("trained", model), ("untrained", fresh[name])):
        means = norms.shared_sources(norms.norm_based_attention(one, paragraphs[:16])).mean(axis=0)
        m = both[source][name]
        table = norms.neighbours(norms.lagged_regression(m.attention, m.tokens, SPECIFICATION[name]), 1)
        shared.append(table[["layer", "estimate"]].assign(model=name, source=source, shared=means))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Coefficient one token back (all controls) against the share of sources that a token has in common with the one before, mean over 16 texts; a point for each layer, numbered for the trained models.", "name": "fig-norms-sources"}, "image": {"alt": "Scatter of coefficients against shared sources for the layers of both models, trained and untrained. GPT-2's layer 1 lies near the untrained GPT-2, far to the right; its layer 0 shares the fewest sources of all GPT-2's layers and has a coefficient of zero. HerBERT's layers lie on the left, in no clear order: layer 0 shares the fewest sources and layer 5 the most, and layer 2, in between, has the smallest coefficient; the untrained HerBERT lies farthest right, just below zero."}}
plots.sources_and_coefficients(pd.concat(shared), NAMES);

# %% [markdown]
# Sources in common make updates alike. GPT-2's layer 1, where the neighbours explain most, shares nearly as many sources between neighbours as an untrained model, and its layer 0, where they explain nothing, the fewest. But sources in common do not make the *sizes* of updates *vary together* from place to place unless what is shared changes slowly along the text, as a running mean does. That would explain
# why an untrained HerBERT, where neighbours share nearly everything everywhere, has a coefficient near zero. In the trained HerBERT neighbours share about as many sources in layer 2 as in layers 3 and 4, and yet the coefficients of layers 3 and 4 are more than three times that of layer 2. The layers of two small models are too few for more than this remark.
#
# ## Limits
#
# - The nulls rest on eight draws of fresh weights and eight orders of the tokens. They can show large differences but not small ones, and only on these texts.
# - {glue:text}`norms-texts` texts are enough for errors that are clustered by text, but not for many more covariates. What a token is in context, its part of speech for instance, is not controlled.
# - Frequency is counted in these texts, which are short; the rank in the tokenizer's merges stands in for frequency in its training text.
# - The effect of doubling is measured one layer on and for the next token only. Smaller changes, and changes of several tokens at once, may act differently.
# - The untrained models have the initialisation of their architecture in transformers. Two small models are described, one training run each; `ANALYSIS_MODELS=hub make book` puts the same questions to the published ones.
#
# ## Exercises
#
# 1. How strongly do the log norms of neighbouring tokens correlate in each layer of GPT-2, and how strongly in an untrained one? ({ref}`Solution <sol-norms-1>`)
# 2. Shuffle the measured norms within each text. How much of the correlation between neighbours is left in GPT-2? ({ref}`Solution <sol-norms-2>`)
#
# The notebook that this chapter began with put its first question to one text: {doc}`replication` has its steps beside these.

# %% tags=["remove-cell"]
for name in NAMES:
    own, back = examined[name], examined[name].one_back()
    after = moved[(moved["model"] == NAMES[name]) & (moved["weights"] == "trained")]
    heldout = explained[(explained["model"] == name) & (explained["source"] == "trained")]["heldout_r2"]
    glued = {
        "beside": report.span(beside[name]["estimate"]),
        "acts": report.span(effects[name]["estimate"]),
        "causal-trained": f"{(after['low'] > 0).sum()} of {len(after)}",
        "heldout-most": report.percent(heldout.max(), 1),
        **{f"mean-{kind}": report.number(value) for kind, value in back.items()},
        **own.counts(),
    }
    report.glue_frame(pd.Series(glued, dtype=object), f"norms-{name}")
report.glue("norms-texts", len(paragraphs))
report.glue("norms-slope-untrained", report.span(measure.position_slopes(trends["polish-gpt2"]["untrained"])))

# %% tags=["remove-cell"]
def over_layers(table, *ends):
    """Mean over layers of an estimate and its ends, which is wide enough even where layers move together."""
    return tuple(table[list(ends)].mean())


EFFECT = ("estimate", "low", "high")
UNTRAINED = 4  # how untrained models differ among themselves is more than what an interval over texts of one of them covers


def acts_of(name, model):
    """Mean over layers of what doubling an update does to the next one."""
    table = norms.replace_updates(model, paragraphs[::2], layers=layers[name], **DOUBLING)
    return over_layers(interventions.elasticity(table), "estimate")[0]


acts_untrained = {name: [acts_of(name, model)] for name, model in fresh.items()}  # seed 0
for name, acts in acts_untrained.items():
    acts += [acts_of(name, models.untrained_like(loaded[name], seed=seed)) for seed in range(1, UNTRAINED)]
for name, title in NAMES.items():
    own, page = examined[name], {"model": name, "unit": "log norm for each log norm", "section": "attention_norms.html#fig-norms-key"}
    tables = {"untrained": norms.neighbours(own.untrained, 1), "shuffled tokens": norms.neighbours(own.shuffled, 1)}
    nulls = {null: over_layers(table, "null_mean", "null_low", "null_high") for null, table in tables.items()}
    report.finding(f"norms-{name}-predicts", f"{title}: a large update predicts a large next one", over_layers(tables["untrained"], *EFFECT), nulls, **page)
    acts = over_layers(interventions.elasticity(doubled[name]), *EFFECT)
    report.finding(f"norms-{name}-acts", f"{title}: enlarging an update enlarges the next one", acts, {"untrained": np.array(acts_untrained[name])}, **page)
