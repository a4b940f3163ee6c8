# %% [markdown]
# # Token and position terms of attention
#
# **Question.** Does an attention head attend by *what* a token is or by *where* it stands? In a transformer in which only queries and keys read positions, the score of a query for a key is exactly a sum of four terms: token-token, token-position, position-token and position-position, the query's side first. How large is each term in each head, and what is lost without it?

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, circuits, models, plots, report, statistics, weights
from analysis_lib.circuits import induction
from analysis_lib.circuits import terms as attention_terms
from analysis_lib.circuits.terms import TERMS, LeaveOut
from analysis_lib.texts import paragraphs, sentences

plots.use_style()
loaded = {"toy": models.load("minigpt"), "Polish": models.load("minigpt-polish")}
trained = {name: weights.extract(model) for name, model in loaded.items()}
fresh = [{name: weights.extract(models.untrained_like(model, seed=seed)) for name, model in loaded.items()} for seed in range(5)]
untrained = fresh[0]  # where one is enough
print(*(model.label for model in loaded.values()), sep="\n")

# %% tags=["hide-cell"]
def draw(seed):
    """Sequences of 64 symbols, the first a beginning sign, in which a block of 20 comes twice."""
    return circuits.repeated_random_tokens(range(1, 32), 48, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=seed)


encode = loaded["Polish"].tokenizer
openings = torch.tensor([p[:40] for p in (encode(text)["input_ids"] for text in paragraphs()["text"]) if len(p) >= 40])
choosing, probe = draw(seed=1), draw(seed=2)
ids = {"toy": torch.as_tensor(probe.ids), "Polish": openings[:16]}  # what is measured
other_ids = {"toy": torch.as_tensor(choosing.ids), "Polish": openings[16:32]}  # what heads are chosen on
counted = {"toy": torch.as_tensor(probe.predictable[:, :-1]), "Polish": torch.ones_like(ids["Polish"][:, 1:], dtype=torch.bool)}


# %% tags=["hide-cell"]
WEIGHTS = {"trained": trained, "untrained": untrained}
whole = {(name, state): attention_terms.next_token_losses(given[name], ids[name]) for state, given in WEIGHTS.items() for name in ids}


def over_counted(name, change):
    """Mean over the counted tokens of each sequence: from [..., sequence, token] to [..., sequence]."""
    return ((change * counted[name]).sum(-1) / counted[name].sum(-1)).numpy()


def rise(name, leave_out, state="trained"):
    """Rise of the loss of each sequence without a term, in nats."""
    return over_counted(name, attention_terms.next_token_losses(WEIGHTS[state][name], ids[name], leave_out) - whole[name, state])


# %% tags=["hide-input"]
changes = {name: over_counted(name, attention_terms.loss_changes(trained[name], ids[name])) for name in ids}  # [term, layer, head, sequence]
without = {(f"{name}, layer {layer}", term): changes[name][at, layer, -1] for name in ids for layer in (0, 1) for at, term in enumerate(TERMS)}
without |= {
    (f"{name}, untrained, layer {layer}", term): rise(name, LeaveOut(term, layer), "untrained")
    for name in ids for layer in (0, 1) for term in TERMS
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Rise of the loss when a term is left out of all heads of a layer, with 95% intervals over sequences: at repeated tokens in the toy, at all tokens in the Polish model, and in both models before training.", "name": "fig-terms-key"}, "image": {"alt": "Eight rows of four points. Position-position in the toy's layer 0 and token-token in its layer 1 cost about three nats, position-position in the Polish model's layer 0 about one; all other points lie near zero, and so do those of untrained models."}}
rises = statistics.interval_table(without, ["label", "series"])
plots.intervals(rises, "rise of the loss [nats]", plots.TERM_COLOURS);

# %% [markdown]
# **What was found**
#
# - **The first layer needs positions.** Without position-position in layer 0 the loss of the *toy*, a model trained on repeated blocks, rises by {glue:text}`terms-toy-L0-pp-rise` nats at repeated tokens. In a model trained on
#   Polish text it rises by {glue:text}`terms-Polish-L0-pp-rise` nats, averaged over all tokens.
# - **The toy's second layer needs tokens.** Without token-token in layer 1 its loss rises by {glue:text}`terms-toy-L1-tt-rise` nats: the heads of this layer find what came after earlier occurrences of a token.
# - **Size is not importance.** In the toy's layer 1, position-position makes up {glue:text}`terms-toy-L1-pp-share` of the variance of scores, over all rows and heads, and leaving it out
#   raises the loss at repeated tokens by only {glue:text}`terms-toy-L1-pp-rise` nats.
#
# Square brackets hold 95% intervals over sequences, unless the title of a table says otherwise. L0H3 is head 3 of the first layer; layers and heads count from 0.
#
# ## Models and sequences
#
# Both models have two layers of eight heads, no feed-forward layers, no layer norm and no biases; learned positions are added to what queries and keys read
# and to nothing else {cite}`press2021`. The toy reads fresh sequences in which a block of random symbols comes twice at a random distance ({doc}`induction <induction>` describes
# its training). The Polish model reads the beginnings of paragraphs that were written for this book. *Untrained* models have the same configurations and fresh weights: five of each show how large terms are before training, and one of each what leaving a term out then costs. Sequences and paragraphs are the
# units: intervals are bootstraps over them {cite}`efron1993`. The heads to be looked at are chosen on a second set of as many sequences, and measured on the first.
#
# ## Four terms
#
# With $x$ the residual stream that a layer reads and $p$ the position embeddings, the score of query $i$ for key $j$ is
#
# $$s_{ij} = \frac{(x_i + p_i) W_Q W_K^\top (x_j + p_j)^\top}{\sqrt{d_{head}}} = x_i M x_j^\top + x_i M p_j^\top + p_i M x_j^\top + p_i M p_j^\top ,$$
#
# where $M = W_Q W_K^\top / \sqrt{d_{head}}$. The four terms are called token-token, token-position, position-token and position-position. `circuits.terms.score_terms` gives them with this scaling, and
# $-\infty$ where the key comes after the query, so that softmax can be applied to their sum as it is. The sum must give the pattern that the model itself computes.

# %%
def all_terms(given):
    """Terms of both layers of both models, {(model, layer): [term, sequence, head, query, key]}."""
    return {(name, i): attention_terms.score_terms(w, ids[name], i) for name, w in given.items() for i in (0, 1)}


@torch.no_grad()
def pattern_error(name):
    """Largest difference between the model's patterns and the terms' softmax, over layers, heads and sequences."""
    own = loaded[name].model(ids[name], output_attentions=True).attentions
    return max(float((terms[name, layer].sum(0).softmax(-1) - pattern).abs().max()) for layer, pattern in enumerate(own))


terms, fresh_terms = all_terms(trained), [all_terms(given) for given in fresh]
errors = {name: pattern_error(name) for name in loaded}

# %% [markdown]
# The model's own pattern and that of the sum differ by {glue:text}`terms-error` at most, in either model, which is rounding.
#
# Three heads are shown: the toy's head of layer 0 that attends most to the previous token, its head of layer 1 that attends most to what came after an
# earlier occurrence of its token ({doc}`induction <induction>` defines both scores), and the Polish model's head of layer 0 that attends most to the previous token. Softmax does not see what is constant along a row, so each row's mean is
# removed before drawing, and all terms of a head share one scale. Cells where the key comes after the query are grey. The first head's diagonal comes from position-position alone. In the second head token-token raises single keys, and position-position raises the first places. In the third, position-position favours near places without a sharp line.

# %%
circuit = induction.find_circuit(induction.probe_scores(induction.probe_patterns(loaded["toy"], choosing), choosing))
other_patterns = activations.run_ids(loaded["Polish"], other_ids["Polish"], outputs=["patterns"]).patterns
previous = {"toy": circuit.previous[1], "Polish": int(circuits.previous_token_scores(other_patterns)[0].argmax())}
strongest = circuit.strongest[1]


def show_terms(head_terms, labels=None):
    """Panels of one head's four terms [term, query, key], their sum and the pattern."""
    centred = attention_terms.row_centred(torch.cat([head_terms, head_terms.sum(0, keepdim=True)]))
    panels = dict(zip((*TERMS, "sum"), centred.numpy(), strict=True))
    return plots.term_maps(panels, head_terms.sum(0).softmax(-1).numpy(), labels)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy's previous-token head of layer 0 on one sequence: the four terms and their sum, each row's mean removed, and the pattern that they give.", "name": "fig-terms-previous"}, "image": {"alt": "Six lower triangles of 64 queries by 64 keys. Position-position has a strong line one place left of the diagonal, and so have sum and pattern; the other three terms are pale."}}
show_terms(terms["toy", 0][:, 0, previous["toy"]]);

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy's strongest induction head, in layer 1, on the same sequence, drawn in the same way. The last position of the context has nothing to predict in training, so its row was never learned.", "name": "fig-terms-induction"}, "image": {"alt": "Six lower triangles of 64 queries by 64 keys. Token-token has single strong cells and a line parallel to the diagonal in the rows of the second block, which the pattern shows too. Position-position is high in the first two columns."}}
show_terms(terms["toy", 1][:, 0, strongest]);

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The Polish model's layer-0 head with the highest previous-token score on one sentence, \"Yesterday evening, at the station, I met an old acquaintance from school\", drawn in the same way.", "name": "fig-terms-sentence"}, "image": {"alt": "Six lower triangles with the tokens of a Polish sentence on both axes: four terms, their sum and the pattern."}}
sentence = encode(sentences()[0])["input_ids"]
words = [encode.decode([i]).strip() for i in sentence]
show_terms(attention_terms.score_terms(trained["Polish"], torch.tensor([sentence]), 0)[:, 0, previous["Polish"]], words);

# %% [markdown]
# ## How large a term is
#
# The size of a term $t$ is its variance *within rows*, over the keys $j \le i$ that query $i$ may attend to; the first row has one key and is left out. Terms covary, so their variances do not add up to that
# of the scores $s$. Their covariances with the scores do add up to it, which gives shares that sum to 1:
#
# $$\mathrm{share}_t = \frac{\sum_i \mathrm{cov}_{j \le i}(t_{ij}, s_{ij})}{\sum_i \mathrm{var}_{j \le i}(s_{ij})} .$$
#
# A share is negative if a term works against the others. A second measure says what a term *does*: how much attention moves when it is left out. This is the total variation between a row's pattern with the term, $a$, and without it, $a'$: $\frac12 \sum_j |a_{ij} - a'_{ij}|$, from 0 to 1.

# %%
MEASURES = {"share": lambda t: attention_terms.row_variances(t).share, "moved": attention_terms.total_variations}
COLUMNS = ["model", "layer", "head", "term"]


def by_head(found):
    """A table with an interval for every model, layer, head and term, from {(model, layer): [term, sequence, head]}."""
    samples = {
        (*where, head, term): values[at, :, head].numpy()
        for where, values in found.items() for at, term in enumerate(TERMS) for head in range(8)
    }
    return statistics.interval_table(samples, COLUMNS)


# %%
measured = {key: by_head({where: measure(t) for where, t in terms.items()}) for key, measure in MEASURES.items()}
before = {
    key: pd.concat([by_head({where: measure(t) for where, t in given.items()}).assign(seed=seed) for seed, given in enumerate(fresh_terms)])
    for key, measure in MEASURES.items()
}
null = {key: table.groupby(["model", "layer", "term"], as_index=False)["estimate"].mean() for key, table in before.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of each term in the variance of scores within rows, by head, with 95% intervals over sequences (most are smaller than the points). Dotted: mean over the heads of the layer in five untrained models.", "name": "fig-terms-shares"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for each of the four terms, and dotted lines for the untrained models."}}
plots.terms_by_head(measured["share"], null["share"], "share of variance within rows");

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Attention that moves when a term is left out of a head's scores: total variation, mean over rows, with 95% intervals over sequences. Dotted: mean over the heads of the layer in five untrained models.", "name": "fig-terms-moved"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for each of the four terms, and dotted lines for the untrained models."}}
plots.terms_by_head(measured["moved"], null["moved"], "attention moved without the term");

# %%
def over_heads(table):
    """Mean over the eight heads of a layer with a t interval: a series by model, layer and term."""
    return table.groupby(["model", "layer", "term"], sort=False)["estimate"].apply(lambda x: statistics.t_interval(x.to_numpy()))


def over_models(table):
    """The same mean in untrained models: their average, and the lowest and the highest of the five."""
    means = table.groupby(["model", "layer", "term", "seed"], sort=False)["estimate"].mean()
    return means.groupby(["model", "layer", "term"], sort=False).apply(lambda x: statistics.Interval(x.mean(), x.min(), x.max()))


averages = pd.DataFrame({
    "share of variance": over_heads(measured["share"]), "share, untrained": over_models(before["share"]),
    "attention moved": over_heads(measured["moved"]), "moved, untrained": over_models(before["moved"]),
})
report.table(averages.reset_index(), "Means over the eight heads of a layer, with 95% t intervals over heads; in five untrained models the mean and its range")

# %% [markdown]
# The untrained models matter here. Before training, a term's size follows from a choice of the recipe: embeddings and positions are drawn with chosen standard deviations, and each side of a term that
# reads a position instead of a token multiplies the term by their ratio. A large share of position-position is a finding only where it exceeds that of the untrained models. The mean over heads does so in no layer here. The attention that position-position moves clearly exceeds that in the untrained models in one layer only, the toy's first, where it is about twice as large. Token-token has grown in training: in layer 1 of both models its mean share and the attention that it moves are far above those of all five untrained models.
#
# ## What leaving a term out does to the loss
#
# A pattern may move where nothing depends on it. So each term is set to zero, later layers are computed anew, and the loss is measured: in
# the toy at the repeated tokens of each sequence, where context helps, and in the Polish model at every token. {numref}`fig-terms-key` leaves a term out of all heads of a layer, and {numref}`fig-terms-losses` out of one head at a time.
# Setting a term to zero also removes its mean (see [below](terms-centring)), so a rise in loss shows that the model relies on the term but not how much of its skill comes from the term. The rises of several terms do not add up.

# %% mystnb={"figure": {"caption": "Rise of the loss when a term is left out of one head, with 95% intervals over sequences: at repeated tokens in the toy, at all tokens in the Polish model. The axis is linear up to 0.01 nats and logarithmic beyond.", "name": "fig-terms-losses"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for each of the four terms. Most points lie at zero. Position-position of three heads of the toy's layer 0 and token-token of four heads of its layer 1 stand high, and so does position-position of one head of the Polish model's layer 0."}}
alone = {
    (name, layer, head, term): changes[name][at, layer, head]
    for name in ids for layer in (0, 1) for head in range(8) for at, term in enumerate(TERMS)
}
losses = statistics.interval_table(alone, COLUMNS)
plots.terms_by_head(losses, null["share"][:0], "rise of the loss [nats]", logarithmic=0.01);

# %% [markdown]
# Few heads carry the rise. In the toy these are three heads of layer 0, for position-position, and four of layer 1, for token-token; in the Polish model most of the rise is due to position-position in a single head of layer 0. Not every term helps on these sequences: the toy's loss falls a little without token-position in layer 1.
# The next chapter, {doc}`term_targets`, asks which positions and which tokens these terms favour, and what an earlier head wrote for them.
#
# (terms-centring)=
# ## A choice in the split
#
# Scores do not say what is token and what is position. Moving a vector $c$ from every token to every position, $(x - c) + (p + c)$, changes no score, no pattern and no loss, but it changes all four terms. In particular the *mean* of the
# tokens can be counted on either side, since it is the same for every token. The table gives the mean share over heads with the weights as they are, and with the tokens' mean counted as position
# (`centre=True`); the last columns repeat the rise of the loss for the toy.

# %%
def mean_shares(name, centre):
    """Mean share of each term over heads and sequences, layer by layer."""
    given = [attention_terms.score_terms(trained[name], ids[name], layer, centre) for layer in (0, 1)]
    return [float(x) for t in given for x in attention_terms.row_variances(t).share.mean((1, 2))]


def mean_rises(centre):
    """Mean rise of the toy's loss without each term, layer by layer."""
    return [rise("toy", LeaveOut(term, layer, centre=centre)).mean() for layer in (0, 1) for term in TERMS]


# %%
SPLITS = {"as it is": False, "centred": True}
choice = {(f"{name}, share", how): mean_shares(name, centre) for name in ids for how, centre in SPLITS.items()}
choice |= {("toy, rise of loss [nats]", how): mean_rises(centre) for how, centre in SPLITS.items()}
choice = pd.DataFrame(choice, pd.MultiIndex.from_product([(0, 1), TERMS], names=["layer", "term"]))
report.table(choice, "Mean share of variance over heads, and rise of the loss, by where the tokens' mean is counted", index=True)

# %% [markdown]
# The choice moves a mean share by up to {glue:text}`terms-choice`. Statements about terms hold for one such choice; this page uses the weights as they are unless it says otherwise. One of the notebooks that this book began with measured terms by another
# variance, under another mask: {doc}`replication` shows {ref}`what that does <replication-terms>`.
#
# ## Limits
#
# These are two models, one of them trained for minutes on sequences made so as to need an induction circuit ({doc}`induction <induction>`); other seeds and sizes may divide their terms otherwise. The split into tokens and positions is a choice ([above](terms-centring)). Zero is a
# strong intervention, and leaving terms out one by one cannot show what two of them do together. The method needs positions that only queries and keys read: in GPT-2 and BERT positions enter the residual stream,
# layer norms rescale the sum and values carry positions on, so the library refuses them. The Polish paragraphs are few and were written for this book.
#
# ## Exercises
#
# 1. Check on random symbols that the four terms add up to what the toy's layer 0 attends by. ({ref}`Solution <sol-terms-1>`)
# 2. Leave token-token out of the toy's layer 1. How much does its loss rise where a block comes again, and how much elsewhere? ({ref}`Solution <sol-terms-2>`)
# 3. Leave position-position out of the toy's layer 0. How much does its loss rise where a block comes again? ({ref}`Solution <sol-terms-3>`)

# %% tags=["remove-cell"]
interval_of = rises.set_index(["label", "series"])[["estimate", "low", "high"]]
gap = max(float((choice[f"{name}, share", "centred"] - choice[f"{name}, share", "as it is"]).abs().max()) for name in ids)
findings = {
    "toy-L0-pp-rise": report.interval(*interval_of.loc[("toy, layer 0", TERMS[3])]),
    "toy-L1-tt-rise": report.interval(*interval_of.loc[("toy, layer 1", TERMS[0])]),
    "toy-L1-pp-rise": report.interval(*interval_of.loc[("toy, layer 1", TERMS[3])]),
    "Polish-L0-pp-rise": report.interval(*interval_of.loc[("Polish, layer 0", TERMS[3])]),
    "toy-L1-pp-share": report.percent(averages.loc[("toy", 1, TERMS[3]), "share of variance"].estimate),
    "error": report.scientific(max(errors.values()), 0),
    "choice": report.number(gap),
}
report.glue_frame(pd.Series(findings), "terms")

# %% tags=["remove-cell"]
def untrained_rises(name, leave_out):
    """Mean rise of the loss without a term in each untrained model."""
    with_all, without_it = ([attention_terms.next_token_losses(model[name], ids[name], left_out) for model in fresh] for left_out in (None, leave_out))
    return np.array([over_counted(name, high - low).mean() for low, high in zip(with_all, without_it, strict=True)])


for key, title, row in (
    ("toy-positions", "The toy's first layer needs positions", ("toy", 0, TERMS[3])),
    ("polish-positions", "The Polish two-layer model's first layer needs positions", ("Polish", 0, TERMS[3])),
    ("toy-tokens", "The toy's second layer needs tokens", ("toy", 1, TERMS[0])),
):
    model, layer, term = row
    null = untrained_rises(model, LeaveOut(term, layer))
    value = interval_of.loc[(f"{model}, layer {layer}", term)]
    name = {"toy": "minigpt", "Polish": "minigpt-polish"}[model]
    report.finding(f"terms-{key}", title, value, {"untrained": null}, model=name, unit="nats", section="attention_terms.html#fig-terms-losses")
