# %% [markdown]
# # Token and position terms of attention
#
# **Question.** Notebook 002 takes the attention scores of a two-layer transformer apart into four terms, by whether query and key read a token or a
# position, and reads from pictures that position-position matters most and looks at the previous token, and that tokens look at themselves. Which
# terms matter in which head, by what softmax can see of them and by what happens when they are left out?

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from analysis_lib import circuits, models, plots, statistics, weights
from analysis_lib.circuits import terms as attention_terms
from analysis_lib.circuits.terms import TERMS, LeaveOut
from analysis_lib.texts import paragraphs, sentences

plots.use_style()

# %% [markdown]
# **What was found**, computed by the cells below:
#
# - **Size.** Of the variance that softmax can see, position-position makes up {glue:text}`terms-toy-L0-pp-share:.0%` in layer 0 of the toy and {glue:text}`terms-Polish-L0-pp-share:.0%` in layer 0 of the Polish model, means
#   over heads; before training {glue:text}`terms-toy-L0-pp-share-fresh:.0%` and {glue:text}`terms-Polish-L0-pp-share-fresh:.0%`, because of how embeddings and positions are drawn. Token-token makes up
#   {glue:text}`terms-toy-L1-tt-share:.0%` and {glue:text}`terms-Polish-L1-tt-share:.0%` in layer 1; before training {glue:text}`terms-toy-L1-tt-share-fresh:.0%` and {glue:text}`terms-Polish-L1-tt-share-fresh:.0%`.
# - **What costs loss.** Without position-position in layer 0 the toy's loss on repeated tokens rises by {glue:text}`terms-toy-L0-pp-rise` nats, without token-token in
#   layer 1 by {glue:text}`terms-toy-L1-tt-rise`; in the Polish model by {glue:text}`terms-Polish-L0-pp-rise` and {glue:text}`terms-Polish-L1-tt-rise`.
# - **Shift by one.** In layer 0, position-position favours the previous position beyond what its positions in random order give in {glue:text}`terms-toy-shift-L0` of 8 heads of the toy and
#   {glue:text}`terms-Polish-shift-L0` of the Polish model (untrained {glue:text}`terms-toy-shift-fresh-L0` and {glue:text}`terms-Polish-shift-fresh-L0`, Holm-corrected). It is the *best* distance in
#   {glue:text}`terms-toy-peak-L0` and {glue:text}`terms-Polish-peak-L0` of these; the others favour recent positions, or another distance.
# - **The same token.** In layer 0 {glue:text}`terms-toy-same-up` heads of the toy and {glue:text}`terms-Polish-same-up` of the Polish model favour it, {glue:text}`terms-toy-same-down` and
#   {glue:text}`terms-Polish-same-down` avoid it (untrained: {glue:text}`terms-toy-same-fresh` and {glue:text}`terms-Polish-same-fresh` either way).
# - **Who wrote it.** In the toy's induction head {glue:text}`terms-induction`, the pair that raises the key after an earlier occurrence most is {glue:text}`terms-pair-top` (query by key),
#   {glue:text}`terms-pair-top-size`. The keys' part was written by {glue:text}`terms-pair-top-key`.
# - **The original's reading** leaves {glue:text}`terms-entropy-notebook:.2f` nats of entropy in a row where the model has {glue:text}`terms-entropy-model:.2f`, and moves {glue:text}`terms-moved-notebook:.0%` of the
#   attention, {glue:text}`terms-future-first:.0%` of the first row's to tokens that the model cannot see.

# %% [markdown]
# ## Models and sequences
#
# Both models are built as notebook 002's was: two layers of eight heads, no feed-forward layers, no layer norm, no biases; learned positions are added to what queries and keys read
# and to nothing else {cite}`press2021`.

# %%
loaded = {"toy": models.load("minigpt"), "Polish": models.load("minigpt-polish")}
fresh = {name: models.untrained_like(model, seed=0) for name, model in loaded.items()}
trained = {name: weights.extract(model) for name, model in loaded.items()}
untrained = {name: weights.extract(model) for name, model in fresh.items()}
print(*(model.label for model in loaded.values()), sep="\n")

# %% [markdown]
# - The toy reads {glue:text}`terms-toy-n` fresh sequences of {glue:text}`terms-toy-length` tokens in which a block of random symbols comes twice at a random distance ({doc}`induction <induction>` has the details of
#   its training).
# - The Polish model reads the beginnings, {glue:text}`terms-Polish-length` tokens each, of {glue:text}`terms-Polish-n` paragraphs written for this book.
#
# "Untrained" are the same configurations with fresh weights. Heads are chosen on as many other sequences, not on those that they are measured on. Sequences and paragraphs are the
# units: intervals are 95 % bootstraps over them {cite}`efron1993`. Layers and heads are counted from 0, as the literature on such circuits does: L0H3 is head 3 of the first layer.

# %%
def draw(seed):
    """Sequences of 64 symbols, the first a beginning sign, in which a block of 20 comes twice."""
    return circuits.repeated_random_tokens(range(1, 32), 48, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=seed)


encode = loaded["Polish"].tokenizer
openings = torch.tensor([p[:40] for p in (encode(text)["input_ids"] for text in paragraphs()["text"]) if len(p) >= 40])
choosing, probe = draw(seed=1), draw(seed=2)
ids = {"toy": torch.as_tensor(probe.ids), "Polish": openings[:16]}

# %% tags=["remove-cell"]
for name, sequences in ids.items():
    glue(f"terms-{name}-n", len(sequences), display=False)
    glue(f"terms-{name}-length", sequences.shape[1], display=False)

# %% [markdown]
# ## Four terms
#
# With $x$ the residual stream a layer reads and $p$ the positions, the score of query $i$ for key $j$ is
#
# $$s_{ij} = \frac{(x_i + p_i) W_Q W_K^\top (x_j + p_j)^\top}{\sqrt{d_{head}}} = x_i M x_j^\top + x_i M p_j^\top + p_i M x_j^\top + p_i M p_j^\top ,$$
#
# called token-token, token-position, position-token and position-position, the query's side first. `circuits.terms.score_terms` gives them scaled, and
# $-\infty$ where the key comes after the query, so that their sum goes into softmax as it is.

# %%
def all_terms(given):
    """Terms of both layers of both models, {(model, layer): [term, sequence, head, query, key]}."""
    return {(name, i): attention_terms.score_terms(w, ids[name], i) for name, w in given.items() for i in (0, 1)}


terms, untrained_terms = all_terms(trained), all_terms(untrained)

# %% [markdown]
# A known answer: softmax of the sum must be the pattern that the model itself computes.

# %%
@torch.no_grad()
def pattern_error(name):
    """Largest difference between the model's patterns and the terms' softmax, over layers, heads and sequences."""
    own = loaded[name].model(ids[name], output_attentions=True).attentions
    return max(float((terms[name, layer].sum(0).softmax(-1) - pattern).abs().max()) for layer, pattern in enumerate(own))


errors = {name: pattern_error(name) for name in loaded}

# %% tags=["remove-cell"]
for name, error in errors.items():
    glue(f"terms-{name}-error", error, display=False)

# %% [markdown]
# The largest difference is {glue:text}`terms-toy-error:.0e` in the toy and {glue:text}`terms-Polish-error:.0e` in the Polish model: rounding.
#
# ## Pictures
#
# Two heads of the toy are shown: of layer 0 the one that attends most to the previous token, of layer 1 the one that attends most to what came after an
# earlier occurrence of its token ({doc}`induction <induction>` defines both scores). Softmax does not see what is constant along a row, so each row's mean is
# removed before drawing, and all terms of a head share one scale.

# %%
def scored(name, layer, tokens, score, **options):
    """A head score of every head of a layer, from the terms' own patterns."""
    patterns = attention_terms.score_terms(trained[name], tokens, layer).sum(0).softmax(-1).numpy()
    return score(patterns[:, None], tokens.numpy(), **options)[0]  # one layer: [sequence, layer, head, query, key]


others = {"toy": torch.as_tensor(choosing.ids), "Polish": openings[16:32]}
previous = {n: int(scored(n, 0, tokens, circuits.previous_token_scores).argmax()) for n, tokens in others.items()}
induction = int(scored("toy", 1, others["toy"], circuits.induction_scores, rows=choosing.predictable).argmax())

# %% tags=["remove-cell"]
previous_scores = {name: scored(name, 0, ids[name], circuits.previous_token_scores) for name in ids}
induction_scores = scored("toy", 1, ids["toy"], circuits.induction_scores, rows=probe.predictable)

for name in ids:
    glue(f"terms-{name}-previous", f"L0H{previous[name]}", display=False)
    glue(f"terms-{name}-previous-score", float(previous_scores[name][previous[name]]), display=False)
glue("terms-induction", f"L1H{induction}", display=False)
glue("terms-induction-score", float(induction_scores[induction]), display=False)

# %% [markdown]
# The first is {glue:text}`terms-toy-previous`, which gives the previous token {glue:text}`terms-toy-previous-score:.0%` of its attention ({numref}`fig-terms-previous`). The second is
# {glue:text}`terms-induction`, which gives {glue:text}`terms-induction-score:.0%` to what came after earlier occurrences, at places where they foretell the next token ({numref}`fig-terms-induction`).
# (The last position of the context has nothing to predict in training, so its row was never learned.)

# %% tags=["hide-input"]
def show_terms(head_terms, labels=None):
    """Panels of one head's four terms [term, query, key], their sum and the pattern."""
    centred = attention_terms.row_centred(torch.cat([head_terms, head_terms.sum(0, keepdim=True)]))
    panels = dict(zip((*TERMS, "sum"), centred.numpy(), strict=True))
    return plots.term_maps(panels, head_terms.sum(0).softmax(-1).numpy(), labels)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy's previous-token head of layer 0 on one sequence: the four terms and their sum, each row's mean removed, and the pattern that they give.", "name": "fig-terms-previous"}, "image": {"alt": "Six lower triangles of 64 queries by 64 keys. Position-position has a bright line one place left of the diagonal, and so have sum and pattern; the other three terms are pale."}}
show_terms(terms["toy", 0][:, 0, previous["toy"]]);

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy's strongest induction head, in layer 1, on the same sequence, drawn in the same way.", "name": "fig-terms-induction"}, "image": {"alt": "Six lower triangles of 64 queries by 64 keys. Token-token has single bright cells and a broken line parallel to the diagonal in the rows of the second block, which the pattern shows too."}}
show_terms(terms["toy", 1][:, 0, induction]);

# %% [markdown]
# In the Polish model the layer-0 head with the highest previous-token score is {glue:text}`terms-Polish-previous` ({glue:text}`terms-Polish-previous-score:.0%`). {numref}`fig-terms-sentence` shows it on "Yesterday evening, at the station, I met an
# old acquaintance from school".

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The Polish model's layer-0 head with the highest previous-token score on one sentence, drawn in the same way.", "name": "fig-terms-sentence"}, "image": {"alt": "Six lower triangles with the tokens of a Polish sentence on both axes: four terms, their sum and the pattern."}}
sentence = encode(sentences()[0])["input_ids"]
words = [encode.decode([i]).strip() for i in sentence]
show_terms(attention_terms.score_terms(trained["Polish"], torch.tensor([sentence]), 0)[:, 0, previous["Polish"]], words);

# %% [markdown]
# ## How much of the scores a term is
#
# The size of a term $t$ is its variance *within rows*, over the keys $j \le i$ that query $i$ may attend to; the first row has one key and is left out. Terms covary, so their variances do not add up to that
# of the scores: they come to {glue:text}`terms-toy-own:.2f` times it in the toy and {glue:text}`terms-Polish-own:.2f` times in the Polish model. Covariances with the scores $s$ do add up, and give shares that sum to 1:
#
# $$\mathrm{share}_t = \frac{\sum_i \mathrm{cov}_{j \le i}(t_{ij}, s_{ij})}{\sum_i \mathrm{var}_{j \le i}(s_{ij})} .$$
#
# A share can be negative, where a term works against the others.

# %%
def by_head(name, layer, values):
    """Rows of a table: means over sequences of values [term, sequence, head], with bootstrap intervals."""
    return [
        (name, layer, head, term, *statistics.bootstrap_interval(values[at, :, head].numpy(), n_resamples=1000))
        for at, term in enumerate(TERMS)
        for head in range(values.shape[2])
    ]


COLUMNS = ["model", "layer", "head", "term", "estimate", "low", "high"]


# %%
def measured(measure):
    """A measure of terms for every head of both models, and its means over the heads of untrained models."""
    rows = [row for (name, layer), t in terms.items() for row in by_head(name, layer, measure(t))]
    null = [
        (name, layer, term, float(value))
        for name, layer in terms
        for term, value in zip(TERMS, measure(untrained_terms[name, layer]).mean((1, 2)), strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(null, columns=["model", "layer", "term", "estimate"])


# %% [markdown]
# Beside it stands what a term *does*: how much attention moves when it is left out, as total variation between the two patterns of a row, $\frac12 \sum_j |a_{ij} - a'_{ij}|$, from 0 to 1.

# %%
shares, null_shares = measured(lambda t: attention_terms.row_variances(t).share)
moved, null_moved = measured(attention_terms.total_variations)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of each term in the variance of scores within rows, by head, with 95 % intervals over sequences (most are smaller than the points). Dotted: untrained model, mean over the heads of the layer.", "name": "fig-terms-shares"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for each of the four terms, and dotted lines for the untrained models."}}
plots.terms_by_head(shares, null_shares, "share of variance within rows");

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Attention that moves when a term is left out of a head's scores: total variation, mean over rows, with 95 % intervals over sequences. Dotted: untrained model, mean over the heads of the layer.", "name": "fig-terms-moved"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for each of the four terms, and dotted lines for the untrained models."}}
plots.terms_by_head(moved, null_moved, "attention moved without the term");

# %% tags=["remove-cell"]
for name, layer in terms:
    for key, table, null in (("top", shares, null_shares), ("moved", moved, null_moved)):
        here = (table["model"] == name) & (table["layer"] == layer)
        means = table[here].groupby("term")["estimate"].mean()
        there = null[(null["model"] == name) & (null["layer"] == layer)].set_index("term")["estimate"]
        term = means.idxmax()
        for short, name_of in (("tt", TERMS[0]), ("pp", TERMS[3])):
            kind = "share" if key == "top" else "moved"
            glue(f"terms-{name}-L{layer}-{short}-{kind}", float(means[name_of]), display=False)
            glue(f"terms-{name}-L{layer}-{short}-{kind}-fresh", float(there[name_of]), display=False)
        for part, value in (("", term), ("-share", float(means[term])), ("-fresh", float(there[term]))):
            glue(f"terms-{name}-L{layer}-{key}{part}", value, display=False)
for name, model in loaded.items():
    glue(f"terms-{name}-spread-tokens", float(model.model.config.embedding_std), display=False)
    glue(f"terms-{name}-spread-positions", float(model.model.config.position_std), display=False)
    both = [attention_terms.row_variances(terms[name, layer]) for layer in (0, 1)]
    glue(f"terms-{name}-own", float(torch.stack([v.variance.sum(0) / v.total for v in both]).mean()), display=False)

# %% [markdown]
# Largest mean share over heads: {glue:text}`terms-toy-L0-top` in the toy's layer 0 ({glue:text}`terms-toy-L0-top-share:.2f`; untrained {glue:text}`terms-toy-L0-top-fresh:.2f`) and {glue:text}`terms-toy-L1-top` in its layer 1
# ({glue:text}`terms-toy-L1-top-share:.2f`; {glue:text}`terms-toy-L1-top-fresh:.2f`); {glue:text}`terms-Polish-L0-top` ({glue:text}`terms-Polish-L0-top-share:.2f`; {glue:text}`terms-Polish-L0-top-fresh:.2f`) and
# {glue:text}`terms-Polish-L1-top` ({glue:text}`terms-Polish-L1-top-share:.2f`; {glue:text}`terms-Polish-L1-top-fresh:.2f`) in the Polish model. Most attention moves, on average over heads, without {glue:text}`terms-toy-L0-moved`
# ({glue:text}`terms-toy-L0-moved-share:.2f`; untrained {glue:text}`terms-toy-L0-moved-fresh:.2f`) and {glue:text}`terms-toy-L1-moved` ({glue:text}`terms-toy-L1-moved-share:.2f`; {glue:text}`terms-toy-L1-moved-fresh:.2f`) in the toy's two layers,
# {glue:text}`terms-Polish-L0-moved` ({glue:text}`terms-Polish-L0-moved-share:.2f`; {glue:text}`terms-Polish-L0-moved-fresh:.2f`) and {glue:text}`terms-Polish-L1-moved`
# ({glue:text}`terms-Polish-L1-moved-share:.2f`; {glue:text}`terms-Polish-L1-moved-fresh:.2f`) in the Polish model's.
#
# The dotted lines matter. Before training, a term's size is what its author chose: the recipes draw embeddings and positions with standard deviations of {glue:text}`terms-toy-spread-tokens:.2g` and
# {glue:text}`terms-toy-spread-positions:.2g` in the toy, {glue:text}`terms-Polish-spread-tokens:.2g` and {glue:text}`terms-Polish-spread-positions:.2g` in the Polish model, and each side of a term that
# reads a position in the place of a token scales it by the ratio of the two. A large share of position-position is a finding only above that line.

# %% [markdown]
# ## What leaving a term out does to the loss
#
# A pattern may move where nothing depends on it. So each term is set to zero, in one head or in all heads of a layer, later layers are computed anew, and the loss is measured: in
# the toy at the repeated tokens of each sequence, which is where context helps, in the Polish model at every token. Zero is not a neutral place for a term to be (see
# [below](terms-centring)), so a rise says that the model relies on the term, not how much of its skill the term makes up; rises do not add up.

# %%
changes = {name: attention_terms.loss_changes(trained[name], ids[name]) for name in ids}
counted = {"toy": torch.as_tensor(probe.predictable[:, :-1]), "Polish": torch.ones_like(ids["Polish"][:, 1:], dtype=torch.bool)}


def over_counted(name, change):
    """Mean over the counted tokens of each sequence: from [..., sequence, token] to [..., sequence]."""
    return (change * counted[name]).sum(-1) / counted[name].sum(-1)


# %%
losses = pd.DataFrame(
    [
        row
        for name, change in changes.items()
        for layer in (0, 1)
        for row in by_head(name, layer, over_counted(name, change)[:, layer].transpose(1, 2))
    ],
    columns=COLUMNS,
)
alone, together = losses[losses["head"] < 8], losses[losses["head"] == 8]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Rise of the loss when a term is left out of one head, with 95 % intervals over sequences: at repeated tokens in the toy, at all tokens in the Polish model. The axis is linear up to 0.01 nats and logarithmic beyond.", "name": "fig-terms-losses"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for each of the four terms."}}
plots.terms_by_head(alone, null_shares[:0], "rise of the loss [nats]", logarithmic=0.01);

# %% [markdown]
# The table leaves a term out of all eight heads of a layer together.

# %% tags=["hide-input"]
def with_interval(row, digits=2):
    """An estimate and its interval as text."""
    return f"{row['estimate']:.{digits}f} ({row['low']:.{digits}f} to {row['high']:.{digits}f})"


shown = together.assign(cell=together.apply(with_interval, axis=1), where=together["model"] + ", layer " + together["layer"].astype(str))
shown.pivot(index="term", columns="where", values="cell").loc[list(TERMS), [f"{n}, layer {i}" for n in ids for i in (0, 1)]].rename_axis(
    index=None, columns=None
).style.set_caption("Rise of the loss [nats] without a term in all heads of a layer, with 95 % intervals")

# %% tags=["remove-cell"]
whole = {name: attention_terms.next_token_losses(trained[name], ids[name]) for name in ids}
for name in ids:
    glue(f"terms-{name}-loss", float(over_counted(name, whole[name]).mean()), display=False)
    for layer in (0, 1):
        part = together[(together["model"] == name) & (together["layer"] == layer)].set_index("term")
        for key, term in (("tt", TERMS[0]), ("pp", TERMS[3])):
            glue(f"terms-{name}-L{layer}-{key}-rise", with_interval(part.loc[term]), display=False)
        worst = part["estimate"].idxmax()
        glue(f"terms-{name}-L{layer}-worst", worst, display=False)
        glue(f"terms-{name}-L{layer}-worst-rise", with_interval(part.loc[worst]), display=False)

# %% [markdown]
# With all terms in place the loss is {glue:text}`terms-toy-loss:.2f` nats in the toy and {glue:text}`terms-Polish-loss:.2f` in the Polish model. The costliest term to lose is
# {glue:text}`terms-toy-L0-worst` in the toy's layer 0 ({glue:text}`terms-toy-L0-worst-rise` nats) and {glue:text}`terms-toy-L1-worst` in its layer 1
# ({glue:text}`terms-toy-L1-worst-rise`); in the Polish model {glue:text}`terms-Polish-L0-worst` in layer 0 ({glue:text}`terms-Polish-L0-worst-rise`) and
# {glue:text}`terms-Polish-L1-worst` in layer 1 ({glue:text}`terms-Polish-L1-worst-rise`).
#
# ## Shift by one, in position-position
#
# "A position pays attention to keys from the previous index": the notebook saw a diagonal. {numref}`fig-terms-profiles` averages the position-position term of every layer-0 head
# over rows by distance from query to key, row means removed. The term depends on positions alone, so no sampling is involved.

# %%
def by_distance(scores, reach=12):
    """Mean row-centred score [..., query, key] by distance, over the rows that reach so far back."""
    centred = attention_terms.row_centred(scores).numpy()
    return np.stack([centred.diagonal(-d, -2, -1)[..., reach - d :].mean(-1) for d in range(reach + 1)], -1)


profiles = {name: {f"L0H{h}": line for h, line in enumerate(by_distance(terms[name, 0][3, 0]))} for name in ids}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The position-position term of the layer-0 heads by distance from query to key (0: the query itself), each row's mean removed. The head with the highest previous-token score of each model is drawn thick and named.", "name": "fig-terms-profiles"}, "image": {"alt": "Two panels of lines from distance 0 to 12; the thick line of each panel is the model's previous-token head."}}
marked = {name: f"L0H{previous[name]}" for name in ids}
plots.offset_profiles(profiles, marked, dict.fromkeys(ids, plots.CYCLE[1]), "position-position [nats]");

# %% [markdown]
# The measure: the term at the previous position less its mean at the other positions of the row (a difference of log odds), averaged over rows. The null keeps the head and all position embeddings
# and puts them in random order, 999 times; p-values are corrected by Holm over the sixteen heads of a model.

# %%
def position_scores(w, length):
    """Position-position scores [layer, head, query, key] of all pairs of the first positions, future keys too."""
    p = w.W_pos[:length]
    return torch.einsum("qd,lhdc,lhec,ke->lhqk", p, w.W_Q, w.W_K, p) * w.attention_scale[:, None, None, None]


# %%
def shift_test(w, length, n=999):
    """Of the previous position in every head [layer, head]: contrast, corrected p, share of rows it tops, is it the peak."""
    scores, target, rng = position_scores(w, length), torch.eye(length).roll(1, 0).bool(), np.random.default_rng(0)
    found = attention_terms.row_contrasts(scores, target)
    orders = [torch.as_tensor(rng.permutation(length)) for _ in range(n)]
    null = torch.stack([attention_terms.row_contrasts(scores[..., o, :][..., o], target) for o in orders])
    p = ((null >= found).sum(0) + 1) / (n + 1)
    best = attention_terms.row_centred(scores)[..., 1:, :].argmax(-1) == torch.arange(length - 1)
    return found, statistics.holm(p), best.float().mean(-1), by_distance(scores).argmax(-1) == 1


# %%
shift = {name: shift_test(trained[name], ids[name].shape[1]) for name in ids}
shift_fresh = {name: shift_test(untrained[name], ids[name].shape[1]) for name in ids}

# %% tags=["remove-cell"]
for name in ids:
    for kind, (found, p, _, peak) in (("", shift[name]), ("-fresh", shift_fresh[name])):
        for layer in (0, 1):
            glue(f"terms-{name}-shift{kind}-L{layer}", int((p[layer] < 0.05).sum()), display=False)
            glue(f"terms-{name}-peak{kind}-L{layer}", int(((p < 0.05) & peak)[layer].sum()), display=False)
        glue(f"terms-{name}-shift{kind}-max", float(found.max()), display=False)
    found, _, best, _ = shift[name]
    glue(f"terms-{name}-shift-head", float(found[0, previous[name]]), display=False)
    glue(f"terms-{name}-shift-best", float(100 * best[0, previous[name]]), display=False)

# %% [markdown]
# The previous position stands out in {glue:text}`terms-toy-shift-L0` of 8 layer-0 heads and {glue:text}`terms-toy-shift-L1` of 8 layer-1 heads of the toy, and in {glue:text}`terms-Polish-shift-L0` and
# {glue:text}`terms-Polish-shift-L1` of the Polish model; in their untrained copies in {glue:text}`terms-toy-shift-fresh-L0`, {glue:text}`terms-toy-shift-fresh-L1`,
# {glue:text}`terms-Polish-shift-fresh-L0` and {glue:text}`terms-Polish-shift-fresh-L1`. A head that favours recent positions of any kind passes this test too. Heads whose term is highest at distance 1 of all distances up to
# 12, and which pass, are {glue:text}`terms-toy-peak-L0` and {glue:text}`terms-toy-peak-L1` in the toy's two layers, {glue:text}`terms-Polish-peak-L0` and {glue:text}`terms-Polish-peak-L1` in the Polish model's. In the toy's {glue:text}`terms-toy-previous` it lies {glue:text}`terms-toy-shift-head:.1f` nats above the other
# positions and is the highest of its row in {glue:text}`terms-toy-shift-best:.0f` % of rows; in the Polish {glue:text}`terms-Polish-previous`
# {glue:text}`terms-Polish-shift-head:.1f` nats and {glue:text}`terms-Polish-shift-best:.0f` % (the largest contrasts in untrained models are {glue:text}`terms-toy-shift-fresh-max:.1f` and
# {glue:text}`terms-Polish-shift-fresh-max:.1f`).
#
# ## The same token, in token-token
#
# "A token pays quite a bit of attention to itself": the notebook, in search of copying, saw a diagonal here too. Two things can make a diagonal. A token-token term may favour the query's *own place*; or it may
# favour the *same token*, and then earlier occurrences must stand out as well. In layer 0 the two cannot be told apart, since one token reads the same
# everywhere; in layer 1 they can. (Whether a head *copies* is a matter of values, not of scores: see {doc}`induction <induction>`.)
#
# In layer 0 the term is a table over the vocabulary, and the unit is the token type: the mean of the table's diagonal, each row's mean removed, against 999 tables with columns in random order, over the types that occur in
# the sequences (two-sided p, Holm over the eight heads).

# %%
def same_test(name, w, n=999):
    """Mean score of a token type for itself above other types, per layer-0 head, and Holm-corrected p."""
    types, rng = ids[name].unique(), np.random.default_rng(0)
    embedded = w.W_E[types]
    table = (embedded @ w.W_Q[0]) @ (embedded @ w.W_K[0]).transpose(-1, -2) * w.attention_scale[0]
    table = table - table.mean(-1, keepdim=True)
    rows, orders = np.arange(len(types)), [rng.permutation(len(types)) for _ in range(n)]
    found, null = table[:, rows, rows].mean(-1), torch.stack([table[:, rows, order].mean(-1) for order in orders])
    return found, statistics.holm(((null.abs() >= found.abs()).sum(0) + 1) / (n + 1))


# %% tags=["remove-cell"]
for name in ids:
    glue(f"terms-{name}-types", len(ids[name].unique()), display=False)
    found, p = same_test(name, trained[name])
    for key, chosen in (("up", found > 0), ("down", found < 0)):
        glue(f"terms-{name}-same-{key}", int((chosen.numpy() & (p < 0.05)).sum()), display=False)
    glue(f"terms-{name}-same-max", float(found.max()), display=False)
    glue(f"terms-{name}-same-min", float(found.min()), display=False)
    glue(f"terms-{name}-same-fresh", int((same_test(name, untrained[name])[1] < 0.05).sum()), display=False)

# %% [markdown]
# Of the toy's layer-0 heads {glue:text}`terms-toy-same-up` favour the same token and {glue:text}`terms-toy-same-down` avoid it ({glue:text}`terms-toy-types` types; from {glue:text}`terms-toy-same-min:+.2f` to
# {glue:text}`terms-toy-same-max:+.2f` nats); of the Polish model's {glue:text}`terms-Polish-same-up` and {glue:text}`terms-Polish-same-down` ({glue:text}`terms-Polish-types` types; {glue:text}`terms-Polish-same-min:+.2f` to
# {glue:text}`terms-Polish-same-max:+.2f` nats). Untrained: {glue:text}`terms-toy-same-fresh` and {glue:text}`terms-Polish-same-fresh` either way.
#
# For both layers, {numref}`fig-terms-same` has the contrast in running sequences: the term at such keys less its mean at the row's other keys. Frequent tokens might be favoured whoever asks, so earlier occurrences are held against a null in which
# each query looks for another token of its sequence, mean of ten shuffles; the difference is shown. Intervals are widened to 99.7 % so that sixteen heads together err with about 5 %.

# %%
def same_token(tokens, order=slice(None)):
    """Earlier places of the query's token, or of another token of the sequence where an order is given."""
    return (tokens[:, order, None] == tokens[:, None]).tril(-1)[:, None]


# %%
def sameness(name, scores):
    """Contrasts of token-token scores: own place, and earlier same token less the shuffled null [2, sequence, head]."""
    tokens, length, rng = ids[name], ids[name].shape[1], np.random.default_rng(0)
    own = attention_terms.row_contrasts(scores, torch.eye(length).bool())
    orders = [torch.as_tensor(rng.permutation(length)) for _ in range(10)]
    null = torch.stack([attention_terms.row_contrasts(scores, same_token(tokens, order)) for order in orders])
    return torch.stack([own, attention_terms.row_contrasts(scores, same_token(tokens)) - null.nanmean(0)])


# %%
KEYS = ("own place", "earlier same token")


def same_rows(name, layer, values):
    """Rows of a table: both contrasts of every head with 99.7 % intervals over sequences."""
    return [
        (name, layer, head, key, *statistics.bootstrap_interval(v[~np.isnan(v)], level=0.997, n_resamples=4000))
        for at, key in enumerate(KEYS)
        for head, v in enumerate(values[at].numpy().T)
    ]


# %%
same = pd.DataFrame([row for (n, i), t in terms.items() for row in same_rows(n, i, sameness(n, t[0]))], columns=COLUMNS)
same_fresh = pd.DataFrame([row for (n, i), t in untrained_terms.items() for row in same_rows(n, i, sameness(n, t[0]))], columns=COLUMNS)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Token-token scores of the query's own place and of earlier places of the same token, less those of the row's other keys; for earlier places, also less a null in which queries look for other tokens. Bars: 99.7 % intervals over sequences. Dotted: mean over the heads of an untrained model.", "name": "fig-terms-same"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for the own place and one for earlier places of the same token."}}
null_same = same_fresh.groupby(["model", "layer", "term"], as_index=False)["estimate"].mean()
plots.terms_by_head(same, null_same, "score above other keys [nats]", colours=dict(zip(KEYS, plots.CYCLE[2:4], strict=True)));

# %% tags=["remove-cell"]
for name in ids:
    for key in KEYS:
        here, null = (t[(t["model"] == name) & (t["layer"] == 1) & (t["term"] == key)] for t in (same, same_fresh))
        short, largest = key.split()[0], float(null["estimate"].abs().max())
        glue(f"terms-{name}-{short}-fresh", largest, display=False)
        glue(f"terms-{name}-{short}-up", int((here["low"] > largest).sum()), display=False)
        glue(f"terms-{name}-{short}-down", int((here["high"] < -largest).sum()), display=False)

# %% [markdown]
# An untrained head has accidental likings of its own, which more sequences would not average away; its largest contrast is the bar here. In layer 1 of the toy, {glue:text}`terms-toy-own-up` heads put their own place, and
# {glue:text}`terms-toy-earlier-up` earlier places of the same token, above the other keys by more than any untrained head does either way ({glue:text}`terms-toy-own-fresh:.2f` and {glue:text}`terms-toy-earlier-fresh:.2f` nats), and
# {glue:text}`terms-toy-own-down` and {glue:text}`terms-toy-earlier-down` below; in the Polish model {glue:text}`terms-Polish-own-up` and {glue:text}`terms-Polish-earlier-up` above, {glue:text}`terms-Polish-own-down` and
# {glue:text}`terms-Polish-earlier-down` below ({glue:text}`terms-Polish-own-fresh:.3f` and {glue:text}`terms-Polish-earlier-fresh:.3f` nats). The notebook's diagonal of layer 0, then, is a matter of single heads; a mean over heads would hide
# that some avoid what others seek.
#
# ## Layer 1: who wrote what is read
#
# In layer 1 the token side is itself a sum: the embedding, and what each of eight layer-0 heads wrote. `circuits.terms.part_scores` splits the scores of a head by both
# sides, ten parts by ten. {numref}`fig-terms-parts` sums the shares of variance over what the query reads, and shows which part of the *key* makes a head's scores vary.

# %%
labels, _ = attention_terms.part_scores(trained["toy"], ids["toy"][:1], 1, 0)
HEADS = [f"L1H{head}" for head in range(8)]


def shares_by_part(w, tokens, head):
    """Shares of one layer-1 head's variance by what wrote the query's part and the key's part [part, part]."""
    _, scores = attention_terms.part_scores(w, tokens, 1, head)
    return attention_terms.row_variances(scores.flatten(0, 1)).share.mean(1).unflatten(0, scores.shape[:2])


# %%
by_part = {name: torch.stack([shares_by_part(trained[name], ids[name][:16], head) for head in range(8)]) for name in ids}
read_by_keys = {f"{name} model": pd.DataFrame(parts.sum(1).numpy(), HEADS, labels) for name, parts in by_part.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Layer 1: share of each head's variance within rows by what the key reads (embedding, output of a layer-0 head, position), summed over what the query reads; 16 sequences. Shares of a row add up to 1; those under a twentieth of the largest are not written.", "name": "fig-terms-parts"}, "image": {"alt": "Two heat maps of eight layer-1 heads by ten parts, one for each model."}}
plots.part_maps(read_by_keys, "share of variance within rows");

# %% [markdown]
# Variance says nothing about *what* a part is good for. An induction head attends to the key after an earlier occurrence of the query's token. What raises just these keys? The contrast of scores between
# induction targets and the row's other keys is linear in the scores, so it splits exactly over pairs of parts ({numref}`fig-terms-contrast`).

# %%
targets = np.stack([circuits.induction_targets(tokens) for tokens in probe.ids]) & probe.predictable[:, :, None]


def induction_contrast(w):
    """How much each pair of parts raises induction targets in the toy's induction head [query part, key part, sequence]."""
    _, scores = attention_terms.part_scores(w, ids["toy"], 1, induction)
    return attention_terms.row_contrasts(scores, torch.as_tensor(targets))


# %%
contrast, contrast_fresh = induction_contrast(trained["toy"]), induction_contrast(untrained["toy"])


# %%
def carries(label):
    """What a part carries, as text: for a head, the distance that gets most of its attention, and how much."""
    if not label.startswith("L0H"):
        return label
    pattern = terms["toy", 0].sum(0).softmax(-1)[:, int(label[3:])]
    shares = [float(pattern.diagonal(-distance, -2, -1).mean()) for distance in range(12)]
    return f"{label} ({max(shares):.0%} of its attention {np.argmax(shares)} back)"


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy's induction head: how much each pair of parts raises the scores of induction targets above the row's other keys, mean over sequences. The cells add up to the contrast of the whole score.", "name": "fig-terms-contrast"}, "image": {"alt": "Heat map of ten query parts by ten key parts; a few dark cells stand out, the darkest where the query reads the embedding and the key what a layer-0 head wrote."}}
plots.part_maps({"what the query reads": pd.DataFrame(contrast.mean(-1).numpy(), labels, labels)}, "score above other keys [nats]");

# %% tags=["remove-cell"]
mean = contrast.mean(-1)
order = mean.flatten().argsort(descending=True)
top, second = (divmod(int(order[i]), len(labels)) for i in (0, 1))
for key, (q, k) in (("top", top), ("second", second)):
    glue(f"terms-pair-{key}", f"{labels[q]} by {labels[k]}", display=False)
    glue(f"terms-pair-{key}-query", carries(labels[q]), display=False)
    glue(f"terms-pair-{key}-key", carries(labels[k]), display=False)
    interval = statistics.bootstrap_interval(contrast[q, k].numpy())
    glue(f"terms-pair-{key}-size", f"{interval.estimate:.1f} nats ({interval.low:.1f} to {interval.high:.1f})", display=False)
glue("terms-pair-total", float(mean.sum()), display=False)
glue("terms-pair-fresh", float(contrast_fresh.mean(-1).abs().max()), display=False)
glue("terms-pair-share", float(100 * mean[top] / mean.sum()), display=False)

# %% [markdown]
# The largest pair is {glue:text}`terms-pair-top` (query by key): {glue:text}`terms-pair-top-size`, {glue:text}`terms-pair-share:.0f` % of the whole contrast of {glue:text}`terms-pair-total:.1f` nats; the next is
# {glue:text}`terms-pair-second` with {glue:text}`terms-pair-second-size`. In the untrained model no pair of the same head exceeds {glue:text}`terms-pair-fresh:.2f` nats. What stood $d$ places before an induction target is
# what stands $d - 1$ places before the query, so two parts that carry these tokens can be matched. Here the query's side of the largest pair is {glue:text}`terms-pair-top-query` and the key's
# {glue:text}`terms-pair-top-key`; of the next {glue:text}`terms-pair-second-query` and {glue:text}`terms-pair-second-key`. That a key is found by what an earlier head wrote into it is K-composition
# {cite}`elhage2021`, seen in the scores themselves.
#
# (terms-centring)=
# ## A choice in the split
#
# Scores do not say what is token and what is position. A vector moved from every token to every position, $(x - c) + (p + c)$, changes no score, no pattern and no loss, but all four terms. In particular the *mean* of the
# tokens can stand on either side, and what it does in a score depends on position alone. The table gives the mean share over heads as the weights have it, and with the tokens' mean counted as position
# (`centre=True`); the last columns repeat the rise of the loss for the toy.

# %%
def mean_shares(w, name, centre):
    """Mean share of each term over heads and sequences, for both layers [layer, term]."""
    found = [attention_terms.row_variances(attention_terms.score_terms(w, ids[name], i, centre)).share for i in (0, 1)]
    return np.stack([share.mean((1, 2)).numpy() for share in found])


WAYS = {"as it is": False, "centred": True}
centred = {(f"{name}, share", how): mean_shares(trained[name], name, c).ravel() for name in ids for how, c in WAYS.items()}

# %%
def rise(layer, term, centre):
    """Rise of the toy's loss without a term in all heads of a layer, mean over sequences."""
    without = attention_terms.next_token_losses(trained["toy"], ids["toy"], LeaveOut(term, layer, centre=centre))
    return float((over_counted("toy", without) - over_counted("toy", whole["toy"])).mean())


# %%
for how, c in WAYS.items():
    centred["toy, rise of loss [nats]", how] = [rise(layer, term, c) for layer in (0, 1) for term in TERMS]
index = [f"layer {layer}, {term}" for layer in (0, 1) for term in TERMS]
choice = pd.DataFrame(centred, index)
choice.style.format("{:.2f}").set_caption("Mean share of variance over heads, and rise of the loss, by where the tokens' mean stands")

# %% tags=["remove-cell"]
for name in ids:
    gap = (choice[f"{name}, share", "centred"] - choice[f"{name}, share", "as it is"]).abs()
    glue(f"terms-{name}-choice", float(gap.max()), display=False)
    glue(f"terms-{name}-choice-where", gap.idxmax(), display=False)

# %% [markdown]
# The choice moves a mean share by up to {glue:text}`terms-toy-choice:.2f` in the toy ({glue:text}`terms-toy-choice-where`) and {glue:text}`terms-Polish-choice:.2f` in the Polish model
# ({glue:text}`terms-Polish-choice-where`). Statements about terms, here as in the notebook, hold for one such choice; this page uses the weights as they are unless it says otherwise.
#
# ## What the original notebook did
#
# Notebook 002 left out the scaling, masked by setting scores above the diagonal to *zero*, took variances over all entries with these zeros among them, and showed a crop of ten rows and columns cut after softmax. Each
# is done here on purpose, to the same model and sequences.
#
# **Scale and mask.** A score of zero is not a forbidden one: softmax gives the future its share. The readings below differ in these two steps only.

# %%
def readings(head_terms):
    """Patterns [..., query, key] by reading: the model's, and the notebook's two steps apart and together."""
    scores = head_terms.sum(0)
    unscaled = scores / trained["toy"].attention_scale[0]
    return {
        "model": scores.softmax(-1),
        "unscaled": unscaled.softmax(-1),
        "zeros for mask": scores.tril().softmax(-1),
        "both (notebook)": unscaled.tril().softmax(-1),
    }


# %%
def entropy(pattern):
    """Mean entropy of rows [sequence], in nats."""
    return torch.special.entr(pattern).sum(-1).mean((1, 2))


# %%
def compared(patterns):
    """Measures of each reading, a row a reading, means over heads with intervals over sequences."""
    own = patterns["model"]
    found = {
        "entropy of a row [nats]": {k: entropy(p) for k, p in patterns.items()},
        "attention on the future": {k: p.triu(1).sum(-1).mean((1, 2)) for k, p in patterns.items()},
        "attention moved": {k: (p - own).abs().sum(-1).mean((1, 2)) / 2 for k, p in patterns.items()},
    }
    text = "{0.estimate:.2f} ({0.low:.2f} to {0.high:.2f})".format
    return pd.DataFrame({m: {k: text(statistics.bootstrap_interval(v.numpy())) for k, v in row.items()} for m, row in found.items()})


# %%
patterns = readings(torch.cat([terms["toy", 0], terms["toy", 1]], dim=2))  # sixteen heads
compared(patterns).style.set_caption("The toy's sixteen heads by reading: means with 95 % intervals over sequences")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy, mean over heads and sequences. Above: attention on keys that come after the query, by row. Below: sum of the ten by ten crop's rows, which is 1 where all attention of a row lies inside the crop.", "name": "fig-terms-readings"}, "image": {"alt": "Two panels of lines over query positions. Above, attention on the future is highest in the first row and falls for readings that mask with zeros, and is zero for the model; below, rows of the crop sum to less than one for these readings."}}
lines = {k: plots.CYCLE[i] for i, k in enumerate(("model", "zeros for mask", "both (notebook)"))}
future = {k: patterns[k].triu(1).sum(-1).mean((0, 1)).numpy() for k in lines}
crop = {k: patterns[k][..., :10, :10].sum(-1).mean((0, 1)).numpy() for k in lines}
plots.readings_by_row({"attention on the future": future, "sum of a row of the crop": crop}, lines);

# %% tags=["remove-cell"]
for key, name in (("model", "model"), ("notebook", "both (notebook)")):
    glue(f"terms-entropy-{key}", float(entropy(patterns[name]).mean()), display=False)
moved_by_reading = (patterns["both (notebook)"] - patterns["model"]).abs().sum(-1).mean() / 2
glue("terms-moved-notebook", float(moved_by_reading), display=False)
glue("terms-future-first", float(future["both (notebook)"][0]), display=False)
glue("terms-future-mean", float(future["both (notebook)"].mean()), display=False)
glue("terms-crop-first", float(crop["both (notebook)"][0]), display=False)

# %% [markdown]
# In the notebook's reading the first row, which can only attend to itself, gives {glue:text}`terms-future-first:.0%` of its attention to the future; over all rows it is {glue:text}`terms-future-mean:.1%`. Of
# that, the crop shows what falls into its ten columns: its first row sums to {glue:text}`terms-crop-first:.2f`.
#
# **Variance.** The notebook's variance runs over all entries of a term, the zeroed half included. Two things enter it that softmax never sees: the zeros, and what is constant along rows. The table takes the toy's
# induction head apart. (In the third column all rows count alike, short ones too, so that it can exceed the second.)

# %%
def variances(head_terms):
    """The notebook's variance of each term and those of causal entries and within rows, scores scaled; what is invisible."""
    causal = torch.ones(head_terms.shape[-2:]).tril().bool()
    notebook = head_terms.tril().flatten(-2).var(-1, correction=0).mean(1)
    entries = head_terms[..., causal].var(-1, correction=0).mean(1)
    within = attention_terms.row_variances(head_terms).variance.mean(1)
    moved = attention_terms.total_variations(head_terms).mean(1)
    return pd.DataFrame(
        {"with zeros (notebook)": notebook, "causal entries": entries, "within rows": within, "attention moved": moved}, list(TERMS)
    )


variances(terms["toy", 1][:, :, induction]).style.format("{:.2f}").set_caption(
    "The toy's induction head: variance of each term three ways, and the attention that moves without it"
)

# %% tags=["remove-cell"]
def top_terms(name, given):
    """Heads in which the notebook's largest term is not the one that moves most attention; in which either is position-position."""
    found = [variances(given[name, layer][:, :, head]) for layer in (0, 1) for head in range(8)]
    tops = [(v["with zeros (notebook)"].idxmax(), v["attention moved"].idxmax()) for v in found]
    return sum(a != b for a, b in tops), sum(a == TERMS[3] for a, _ in tops), sum(b == TERMS[3] for _, b in tops)


for name in ids:
    for kind, given in (("top", terms), ("fresh", untrained_terms)):
        for key, value in zip(("differ", "notebook", "moved"), top_terms(name, given), strict=True):
            glue(f"terms-{name}-{kind}-{key}", value, display=False)

# %% [markdown]
# In {glue:text}`terms-toy-top-differ` of 16 heads of the toy and {glue:text}`terms-Polish-top-differ` of the Polish model, the term with the largest variance in the notebook's sense is not the term without which most
# attention moves. "Position-position terms have the largest magnitude": by the notebook's variance in {glue:text}`terms-toy-top-notebook` and {glue:text}`terms-Polish-top-notebook` of 16 heads; by the attention that
# moves in {glue:text}`terms-toy-top-moved` and {glue:text}`terms-Polish-top-moved`. Untrained, the same counts are {glue:text}`terms-toy-fresh-notebook` and {glue:text}`terms-Polish-fresh-notebook`, {glue:text}`terms-toy-fresh-moved` and
# {glue:text}`terms-Polish-fresh-moved`.
#
# ## Findings
#
# - Every score of both models is the sum of its four terms, to rounding, in both layers.
# - Loss tells the terms apart most clearly ({numref}`fig-terms-losses`): layer 0 needs positions, layer 1 of the toy needs tokens, and the tokens its induction head matches were written into the keys by
#   layer-0 heads ({numref}`fig-terms-contrast`).
# - The notebook's two diagonals exist, each in some heads. Neither is a property of "the" position-position or token-token term.
# - Size is no measure of importance. Without position-position in layer 1 of the toy {glue:text}`terms-toy-L1-pp-moved:.0%` of the attention moves, and the loss changes by {glue:text}`terms-toy-L1-pp-rise` nats;
#   without token-token {glue:text}`terms-toy-L1-tt-moved:.0%`, and {glue:text}`terms-toy-L1-tt-rise` nats. And an untrained model sets the bar.
#
# ## Limits
#
# Two models, one of them trained for minutes on sequences made to need the circuit; other seeds and sizes may divide their terms otherwise. The split into tokens and positions is a choice ([above](terms-centring)). Zero is a
# strong intervention, and leaving terms out one by one cannot show what two of them do together. The method needs positions that only queries and keys read: in GPT-2 and BERT positions enter the residual stream,
# layer norms rescale the sum and values carry positions on, and the library refuses. The Polish paragraphs are few and were written for this book.
