# %% [markdown]
# # Feed-forward layers in vocabulary space
#
# **Question.** Every neuron of a feed-forward layer has a *key*, which says what makes it active, and a *value*, which says what it then adds
# to the residual stream. Both are vectors of the model's width, so both can be read as lists of tokens {cite}`geva2021,dar2022`. Do these lists
# mean anything in a Polish GPT-2 and a HerBERT-like model: more than lists of shuffled pairs, of an untrained model, of vectors drawn at random?
#
# **What was found**, computed by the cells below (in brackets: 95% intervals over neurons):
#
# | | GPT-2 | HerBERT |
# |---|---|---|
# | top tokens of key and value: Jaccard index above that of shuffled pairs | {glue:text}`ff-polish-gpt2-kv-excess` | {glue:text}`ff-herbert-kv-excess` |
# | top tokens of key and *negated* value: the same | {glue:text}`ff-polish-gpt2-kn-excess` | {glue:text}`ff-herbert-kn-excess` |
# | key and value of an untrained model: the same | {glue:text}`ff-polish-gpt2-untrained-excess` | {glue:text}`ff-herbert-untrained-excess` |
# | keys whose top tokens are alike (case, part of speech, ending …) beyond chance | {glue:text}`ff-polish-gpt2-K-passing` | {glue:text}`ff-herbert-K-passing` |
# | values of which this is true | {glue:text}`ff-polish-gpt2-V-passing` | {glue:text}`ff-herbert-V-passing` |
# | random vectors, read through the trained embedding | {glue:text}`ff-polish-gpt2-random-passing` | {glue:text}`ff-herbert-random-passing` |
# | keys and values of the untrained model | {glue:text}`ff-polish-gpt2-untrained-passing` | {glue:text}`ff-herbert-untrained-passing` |
# | word tokens that the ASCII filter of the original notebooks removes | {glue:text}`ff-polish-gpt2-ascii:.0%` | {glue:text}`ff-herbert-ascii:.0%` |
#
# The random vectors are the control to watch: a trained embedding groups words, and any direction in it may look meaningful. More of the lists are alike than among random vectors, by
# intervals that exclude zero, for GPT-2's keys in layers: {glue:text}`ff-polish-gpt2-K-above`; for its values in layers: {glue:text}`ff-polish-gpt2-V-above`; for HerBERT's
# keys in layers: {glue:text}`ff-herbert-K-above`; for its values in layers: {glue:text}`ff-herbert-V-above`.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from myst_nb import glue

from analysis_lib import models, plots, statistics, weights
from analysis_lib.projections import feed_forward_keys_values, shared_features, shuffled_overlap, top_overlap, top_tokens
from analysis_lib.vocabulary import Lexicon, Vocabulary

plots.use_style()
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}

# %% [markdown]
# ## Keys and values
#
# With $x$ the vector a layer reads, a feed-forward layer is a sum over its neurons $i$,
#
# $$\mathrm{FF}(x) = \sum_i f(x \cdot k_i + b_i)\, v_i + b ,$$
#
# where key $k_i$ is column $i$ of $W_{in}$, value $v_i$ row $i$ of $W_{out}$, and $f$ is a GELU: close to zero where its argument is negative. So $k_i$ is a pattern and $v_i$ what is written when it matches. In
# embedding space the neuron's two lists are the tokens with the largest entries of
#
# $$k_i W_U \qquad \text{and} \qquad v_i W_U ,$$
#
# and, for the tokens that both point *away* from, of $-k_i W_U$ and $-v_i W_U$. (Both models tie $W_U = W_E^\top$, so that one matrix
# serves for reading and writing.) A score is an inner product and has no unit; scores are compared within a list only.

# %%
loaded = {name: models.load(name) for name in NAMES}
model = {name: weights.extract(one) for name, one in loaded.items()}
untrained = {name: weights.extract(models.untrained_like(one, seed=0)) for name, one in loaded.items()}
vocabulary = {name: Vocabulary.from_tokenizer(loaded[name].tokenizer, model[name].d_vocab) for name in NAMES}
lexicon = {name: Lexicon.from_forms(vocabulary[name].text) for name in NAMES}
keep = {name: shared_features.word_tokens(vocabulary[name], lexicon[name]) for name in NAMES}


# %% tags=["remove-cell"]
def signed(interval, digits=4, scale=1):
    """A difference with its interval, as the page shows it."""
    numbers = [f"{scale * x:+.{digits}f}".replace("-", "−") for x in interval]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def verdict(interval):
    """What an interval of a difference says."""
    return "above" if interval.low > 0 else "below" if interval.high < 0 else "not told apart from"


def glue_all(prefix, **values):
    """Glue several values, numbers as Python floats."""
    for key, value in values.items():
        glue(f"ff-{prefix}-{key}", value if isinstance(value, str) else float(value), display=False)


# %% tags=["remove-cell"]
for name, one in loaded.items():
    w = model[name]
    glue(f"ff-{name}-label", one.label, display=False)
    glue(f"ff-{name}-shape", f"{w.n_layers} layers of {w.d_mlp:,} neurons, each key and value of {w.d_model} numbers", display=False)
    glue(f"ff-{name}-neurons", f"{w.n_layers * w.d_mlp:,}", display=False)
    glue(f"ff-{name}-kept", f"{keep[name].sum():,}", display=False)
    glue(f"ff-{name}-vocab", f"{w.d_vocab:,}", display=False)

# %% [markdown]
# The models are {glue:text}`ff-polish-gpt2-label`: {glue:text}`ff-polish-gpt2-shape`; and {glue:text}`ff-herbert-label`:
# {glue:text}`ff-herbert-shape`. Each list is decoded by its own model's tokenizer.
#
# ### Which tokens may stand in a list
#
# Most tokens of such a vocabulary are pieces of words. Lists here hold whole words that the Polish dictionary Morfeusz {cite}`kieras2017` knows, and numbers:
# {glue:text}`ff-polish-gpt2-kept` of {glue:text}`ff-polish-gpt2-vocab` tokens in GPT-2, {glue:text}`ff-herbert-kept` of {glue:text}`ff-herbert-vocab` in
# HerBERT. Word beginnings such as *szczeg-* have large norms and would fill every list. The filter is applied before the search, so every list has its full length.
#
# The original notebooks kept only tokens that the tokenizer spells in ASCII. GPT-2's tokenizer spells *że* ("that") as `ĠÅ¼e`, so every word with
# a Polish letter was gone. What that filter takes from the word tokens:

# %% tags=["hide-input"]
filtered = pd.DataFrame(
    {
        NAMES[name]: {
            "word tokens": (steps := vocabulary[name].filter_report(words=True, ascii_only=True))[-2].left,
            "removed as not ASCII": steps[-1].removed,
            "share": f"{steps[-1].removed / steps[-2].left:.0%}",
        }
        for name in NAMES
    }
)
for name in NAMES:
    counts = filtered[NAMES[name]]
    glue(f"ff-{name}-ascii", float(counts.iloc[1] / counts.iloc[0]), display=False)
filtered.style.set_caption("Tokens that the ASCII filter of the original notebooks removes").set_uuid("ascii")


# %% [markdown]
# ### The lists of all neurons
#
# `feed_forward_keys_values` gives a layer's keys and values, `top_tokens` the best tokens of all of them in one blocked product. Neurons are
# numbered through the model, layer after layer.


# %%
def keys_values(one, reading="raw"):
    """Keys and values of all layers, [layers * d_mlp, d_model] each."""
    layers = [feed_forward_keys_values(one, layer, reading) for layer in range(one.n_layers)]
    return [torch.cat(side) for side in zip(*layers, strict=True)]


vectors = {name: dict(zip("KV", keys_values(model[name]), strict=True)) for name in NAMES}


# %%
def best(name, rows, k=100, one=None):
    """Top tokens of vectors under a model's unembedding, trained unless said otherwise."""
    return top_tokens(rows, (one or model[name]).W_U, k, keep[name]).ids


top = {(name, side): best(name, rows) for name in NAMES for side, rows in vectors[name].items()}
top |= {(name, "-V"): best(name, -vectors[name]["V"]) for name in NAMES}

# %% [markdown]
# Two controls are read in the same way. The **untrained** model has the same configuration and fresh weights, embeddings too. The **random
# vectors** are as many as there are keys and values, drawn from a normal distribution and read through the *trained* embedding: what
# any direction of this embedding space would show.

# %%
fresh = {name: dict(zip("KV", keys_values(untrained[name]), strict=True)) for name in NAMES}
top |= {(name, f"untrained {side}"): best(name, rows, one=untrained[name]) for name in NAMES for side, rows in fresh[name].items()}
generator = torch.Generator().manual_seed(0)
for name in NAMES:
    drawn = torch.randn(torch.cat([*vectors[name].values()]).shape, generator=generator)
    top[name, "random"] = best(name, drawn, k=20)

# %% [markdown]
# ## Do a neuron's key and value speak of the same tokens?
#
# Dar et al. {cite}`dar2022` compare paired parameters: for every neuron the Jaccard index of the top 100 tokens of its key and of its value
# (0: no token in common, 1: the same tokens), against keys with the value of another neuron of the layer, every value used once, ten times over. The third
# comparison is with the negated value: such a neuron takes away what it matches.

# %%
PAIRS = {"key, value": ("K", "V"), "key, −value": ("K", "-V"), "untrained": ("untrained K", "untrained V")}


def layer_overlaps(name, pair, layer):
    """Overlaps of one layer's neurons and of shuffled pairs."""
    rows = slice(layer * model[name].d_mlp, (layer + 1) * model[name].d_mlp)
    return shuffled_overlap(*(top[name, side][rows] for side in PAIRS[pair]), seed=layer)


overlaps = {
    (name, pair, layer): layer_overlaps(name, pair, layer) for name in NAMES for pair in PAIRS for layer in range(model[name].n_layers)
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean Jaccard index of the top 100 tokens of paired lists, by layer. Points: a neuron's own pair, with 95% bootstrap intervals over the layer's neurons. Dashes of the same colour: shuffled pairs. A point above its dash is an overlap that belongs to the neuron; the higher dashes of trained models say that all lists of a layer favour some tokens.", "name": "fig-ff-overlap"}, "image": {"alt": "Two panels, GPT-2 and HerBERT. Horizontal axis: layers, first to last. Vertical axis: mean Jaccard index. For each layer three points with intervals, key with value, key with negated value and untrained, each beside a dash for shuffled pairs."}}
rows = []
for (name, pair, layer), found in overlaps.items():
    estimate = statistics.bootstrap_interval(found.real, n_resamples=1000)
    rows.append((name, pair, layer, *estimate, found.shuffled.mean()))
by_layer = pd.DataFrame(rows, columns=["model", "pair", "layer", "estimate", "low", "high", "shuffled"])
colours = dict(zip(PAIRS, [plots.CYCLE[0], plots.CYCLE[1], plots.MODEL_COLOURS["untrained"]], strict=True))
figure = plots.overlaps_by_layer(by_layer, colours, NAMES)


# %% tags=["remove-cell"]
def excess(name, pair):
    """Real minus shuffled, neuron by neuron, over all layers."""
    found = [overlaps[name, pair, layer] for layer in range(model[name].n_layers)]
    return np.concatenate([one.real - one.shuffled.mean(axis=0) for one in found])


def pooled(name, pair, which):
    """All overlaps of a kind, over all layers."""
    return np.concatenate([np.ravel(getattr(overlaps[name, pair, layer], which)) for layer in range(model[name].n_layers)])


# %% tags=["remove-cell"]
SHORT = {"key, value": "kv", "key, −value": "kn", "untrained": "untrained"}
for name in NAMES:
    for pair, short in SHORT.items():
        found = statistics.bootstrap_interval(excess(name, pair), n_resamples=1000)
        real, shuffled = (pooled(name, pair, which) for which in ("real", "shuffled"))
        beyond = (real > np.quantile(shuffled, 0.999)).mean()
        numbers = {"excess": signed(found), "verdict": verdict(found), "real": real.mean(), "shuffled": shuffled.mean(), "beyond": beyond}
        glue_all(f"{name}-{short}", **numbers)


# %% tags=["remove-cell"]
def cosines(one):
    """Cosine of every neuron's key and value."""
    return torch.nn.functional.cosine_similarity(*keys_values(one)).double().numpy()


for name in NAMES:
    found = statistics.bootstrap_interval(cosines(model[name]), n_resamples=1000)
    fresh_found = statistics.bootstrap_interval(cosines(untrained[name]), n_resamples=1000)
    glue_all(name, cosine=signed(found, 3), **{"untrained-cosine": signed(fresh_found, 3)})

# %% [markdown]
# Over all layers of GPT-2 the overlap of key and value is {glue:text}`ff-polish-gpt2-kv-verdict` that of shuffled pairs (Jaccard index
# {glue:text}`ff-polish-gpt2-kv-real:.4f`, shuffled {glue:text}`ff-polish-gpt2-kv-shuffled:.4f`, difference {glue:text}`ff-polish-gpt2-kv-excess`); the overlap of
# key and negated value is {glue:text}`ff-polish-gpt2-kn-verdict` it ({glue:text}`ff-polish-gpt2-kn-excess`). In HerBERT key and value are
# {glue:text}`ff-herbert-kv-verdict` shuffled pairs ({glue:text}`ff-herbert-kv-excess`), key and negated value {glue:text}`ff-herbert-kn-verdict` them
# ({glue:text}`ff-herbert-kn-excess`). Untrained, a key and its value are {glue:text}`ff-polish-gpt2-untrained-verdict` shuffled pairs in GPT-2's shape
# ({glue:text}`ff-polish-gpt2-untrained-excess`) and {glue:text}`ff-herbert-untrained-verdict` them in HerBERT's ({glue:text}`ff-herbert-untrained-excess`).
#
# The sign can be seen without any tokens: the cosine of a neuron's key and value is {glue:text}`ff-polish-gpt2-cosine` on average in GPT-2,
# {glue:text}`ff-herbert-cosine` in HerBERT, and {glue:text}`ff-polish-gpt2-untrained-cosine` and {glue:text}`ff-herbert-untrained-cosine` untrained. Where it is negative, a neuron
# takes away some of what it matches.
#
# Is it a few neurons or all of them? {numref}`fig-ff-survival` has the whole distribution: a Jaccard index of 0.1 is 18 of 100 tokens in common. One shuffled
# pair in a thousand overlaps beyond its 99.9% point; of GPT-2's neurons {glue:text}`ff-polish-gpt2-kv-beyond:.2%` do with their value and
# {glue:text}`ff-polish-gpt2-kn-beyond:.2%` with their negated value, of HerBERT's {glue:text}`ff-herbert-kv-beyond:.2%` and {glue:text}`ff-herbert-kn-beyond:.2%`.


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of neurons whose overlap reaches x, on a logarithmic axis. Full lines: a neuron's own pair; dashed: shuffled pairs (ten for every neuron). Where a full line leaves its dashed one, neurons overlap as no shuffled pair does.", "name": "fig-ff-survival"}, "image": {"alt": "Two panels, GPT-2 and HerBERT. Horizontal axis: Jaccard index of top 100 tokens. Vertical axis, logarithmic: share of neurons that reach it. Falling full lines for key with value and key with negated value, and falling dashed lines for their shuffled pairs."}}
def falling(name, pair):
    """Lines of a pair and of its shuffled pairs."""
    samples = {"real": (pair, "-"), "shuffled": (f"{pair}, shuffled", "--")}
    return {label: (pooled(name, pair, which), colours[pair], style) for which, (label, style) in samples.items()}


lines = {NAMES[name]: falling(name, "key, value") | falling(name, "key, −value") for name in NAMES}
figure = plots.survival(lines, "Jaccard index", "share of neurons that reach it")


# %% [markdown]
# ## One neuron at a time
#
# Which neurons to show is decided by three rules, the same for both models: the neuron whose **key and value** overlap most, the one whose **key and
# negated value** overlap most, and one drawn **at random** (seed 0), which shows what most neurons look like. Columns as in the original notebook.


# %% tags=["hide-input"]
def four_columns(name, neuron, rows=10):
    """The top tokens of K, V, -K and -V with their scores."""
    key, value = vectors[name]["K"][neuron], vectors[name]["V"][neuron]
    found = top_tokens(torch.stack([key, value, -key, -value]), model[name].W_U, rows, keep[name])
    text = vocabulary[name].text
    cells = [[f"{text[i]} {score:.2f}" for i, score in zip(*column, strict=True)] for column in zip(*found, strict=True)]
    return pd.DataFrame(dict(zip(["K", "V", "−K", "−V"], cells, strict=True)))


def chosen(name, rule):
    """The neuron that a rule picks: the largest overlap of a pair of lists, or one drawn by lot."""
    if rule == "random":
        return int(np.random.default_rng(0).integers(model[name].n_layers * model[name].d_mlp))
    return int(np.argmax(pooled(name, rule, "real")))


def show(name, rule):
    """The four columns under a caption that names model, tokenizer and neuron."""
    neuron, why = chosen(name, rule), "drawn at random" if rule == "random" else f"largest overlap of {rule.replace(', ', ' and ')}"
    layer, index = divmod(neuron, model[name].d_mlp)
    caption = f"{NAMES[name]} ({loaded[name].identifier} and its tokenizer), layer {layer + 1}, neuron {index}: {why}. Token and score."
    return four_columns(name, neuron).style.hide(axis="index").set_caption(caption).set_uuid(f"{name}-{neuron}")


# %%
show("polish-gpt2", "key, value")

# %%
show("polish-gpt2", "key, −value")

# %%
show("polish-gpt2", "random")

# %%
show("herbert", "key, value")

# %%
show("herbert", "key, −value")

# %%
show("herbert", "random")

# %% [markdown]
# **A reading aid.** Polish inflects: a noun has seven cases in two numbers, a verb marks person, number and in the past gender, and endings show it.
# Endings that often come up: *-ami* instrumental plural ("with, by …s"), *-ach* locative plural ("in, on …s"), *-ego* genitive singular of adjectives, *-ych*
# genitive or locative plural of adjectives, *-ość* nouns like English *-ness*, *-nie* verbal nouns and adverbs, *-ł*, *-ła*, *-li* the past tense of
# he, she and they, *-ąc* "while …ing", *-ć* infinitives. A capital letter marks a name or the beginning of a sentence. What the dictionary says of the first
# four tokens of K and of V in the first table of each model (lemma: the form under which a dictionary lists the word):

# %% tags=["hide-input"]
aids = []
for name in NAMES:
    neuron = chosen(name, "key, value")
    for side in "KV":
        aid = shared_features.readings(lexicon[name], top[name, side][neuron][:4])
        aids.append(aid.assign(list=f"{NAMES[name]}, {side}")[["list", "form", "lemma", "can be"]])
pd.concat(aids).style.hide(axis="index").set_caption("Out of context a form can be several things").set_uuid("aid")


# %% [markdown]
# ## Which lists are alike, and in what
#
# Now every list is judged by a rule. For the twenty top tokens of a key or value we count how many share a lemma, an ending of two or three letters, a
# part of speech, a case, a person; how many are numbers, names (words whose every lemma is capitalised), or capitalised. Two spellings of one form (*Dom*, *dom*) count once.
# Common features must count for less: most words are nouns. So chance is a list in which each token is replaced by a random one of similar frequency
# (within 200 ranks of its id, since byte-pair ids are in the order of merging). With $p_j$ the share of tokens around token $j$ that have the feature, the chance of a
# count $c$ or more is the tail of a sum of independent draws,
#
# $$P\Bigl(\sum_{j=1}^{20} B_j \ge c\Bigr), \qquad B_j \sim \mathrm{Bernoulli}(p_j),$$
#
# which `projections.shared_features.alike_lists` computes exactly for every feature of every list. It is corrected over the features of a kind (Bonferroni) and over all
# lists and kinds of the model (Holm {cite}`holm1979`); a list *passes* where the result is below 0.05.

# %%
kinds = {name: shared_features.token_kinds(lexicon[name], keep[name]) for name in NAMES}


def alike(name, *sides):
    """Best feature of every list and kind; the lists of several sides one after the other."""
    lists = np.concatenate([top[name, side][:, :20] for side in sides])
    return shared_features.alike_lists(lists, kinds[name], keep[name], vocabulary[name].form_groups)


SOURCES = {"trained": ("K", "V"), "untrained": ("untrained K", "untrained V"), "random": ("random",)}
judged = {(name, source): alike(name, *sides) for name in NAMES for source, sides in SOURCES.items()}


# %% tags=["remove-cell"]
passed = {key: shared_features.passing(table) for key, table in judged.items()}


def of_side(name, side):
    """Passing lists of the keys or of the values."""
    half = model[name].n_layers * model[name].d_mlp
    return passed[name, "trained"].iloc[:half] if side == "K" else passed[name, "trained"].iloc[half:]


def percent(lists):
    """Per cent of lists that pass in any kind, with Wilson's interval."""
    interval = statistics.wilson_interval(int(lists.any(axis=1).sum()), len(lists))
    return "{:.1f}% [{:.1f}, {:.1f}]".format(*(100 * x for x in interval))


# %% tags=["remove-cell"]
for name in NAMES:
    for source in ("untrained", "random"):
        glue(f"ff-{name}-{source}-passing", percent(passed[name, source]), display=False)
    for side in "KV":
        hits = [lists.any(axis=1).to_numpy(dtype=float) for lists in (of_side(name, side), passed[name, "random"])]
        gain = statistics.difference_interval(*hits, n_resamples=1000)
        numbers = {"passing": percent(of_side(name, side)), "gain": signed(gain, 1, 100), "gain-verdict": verdict(gain)}
        glue_all(f"{name}-{side}", **numbers, share=hits[0].mean(), random=hits[1].mean())


# %% tags=["remove-cell"]
def gains_by_layer(name, side):
    """By what share the lists of each layer pass more often than random vectors."""
    control = passed[name, "random"].any(axis=1).to_numpy(dtype=float)
    layers = of_side(name, side).any(axis=1).to_numpy(dtype=float).reshape(model[name].n_layers, -1)
    return [statistics.difference_interval(hits, control, n_resamples=1000) for hits in layers]


gains = {(name, side): gains_by_layer(name, side) for name in NAMES for side in "KV"}
for (name, side), found in gains.items():
    above = [str(i + 1) for i, gain in enumerate(found) if gain.low > 0]
    glue(f"ff-{name}-{side}-above", ", ".join(above) or "none", display=False)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Per cent of lists that pass, by kind (rows) and by layer (columns: keys K and values V of layers 1 to last, then random vectors read through the trained embedding, then the untrained model). A list can pass in several kinds; the first row counts it once. Corrected over all lists and kinds by Holm's method, level 0.05.", "name": "fig-ff-alike"}, "image": {"alt": "Two coloured tables of percentages, GPT-2 above and HerBERT below. Rows: any kind, lemma, ending, part of speech, case, person, number, name, capital. Columns: keys by layer, values by layer, random vectors, untrained model."}}
def shares(lists):
    """Share of lists that pass, in any kind and in each."""
    return pd.concat([pd.Series({"any kind": lists.any(axis=1).mean()}), lists.mean()])


maps = {}
for name in NAMES:
    d_mlp = model[name].d_mlp
    blocks = [
        (f"{side}{i + 1}", of_side(name, side).iloc[i * d_mlp : (i + 1) * d_mlp]) for side in "KV" for i in range(model[name].n_layers)
    ]
    blocks += [("rand.", passed[name, "random"]), ("untr.", passed[name, "untrained"])]
    maps[NAMES[name]] = pd.DataFrame({label: shares(lists) for label, lists in blocks})
figure = plots.percent_maps(maps)

# %% [markdown]
# The untrained model shows that the rule does not find things in noise: {glue:text}`ff-polish-gpt2-untrained-passing` and
# {glue:text}`ff-herbert-untrained-passing` of its lists pass. Random vectors show something else: a trained embedding already groups words, so that whatever
# direction one looks in, alike words come out together ({glue:text}`ff-polish-gpt2-random-passing` of the lists in GPT-2,
# {glue:text}`ff-herbert-random-passing` in HerBERT). Beside that, the share of GPT-2's keys that pass is {glue:text}`ff-polish-gpt2-K-gain-verdict` that of random vectors
# (difference {glue:text}`ff-polish-gpt2-K-gain` percentage points) and that of its values {glue:text}`ff-polish-gpt2-V-gain-verdict` it
# ({glue:text}`ff-polish-gpt2-V-gain`); for HerBERT's keys it is {glue:text}`ff-herbert-K-gain-verdict` ({glue:text}`ff-herbert-K-gain`), for its values
# {glue:text}`ff-herbert-V-gain-verdict` ({glue:text}`ff-herbert-V-gain`).
#
# Layers may differ. Percentage points by which lists pass more often than random vectors, with 95% bootstrap intervals:

# %% tags=["hide-input"]
columns = {
    f"{NAMES[name]}, {word}": [signed(gain, 1, 100) for gain in gains[name, side]]
    for name in NAMES
    for side, word in zip("KV", ("keys", "values"), strict=True)
}
by_depth = pd.DataFrame({label: pd.Series(cells) for label, cells in columns.items()}).fillna("")
by_depth.index = [f"layer {i + 1}" for i in by_depth.index]
by_depth.style.set_caption("Beside random vectors [percentage points]").set_uuid("gains")

# %% [markdown]
# ### The most alike lists of each kind
#
# For every kind, the two lists with the smallest corrected probability among those that pass: what the tokens share, how many of the counted forms have it, how many
# chance would give.


# %% tags=["hide-input"]
def most_alike(name, rows=2, words=8):
    """The lists with the smallest p of each kind, among those that pass."""
    table = judged[name, "trained"]
    table = table[table["p_holm"] < 0.05].sort_values(["p", "list"]).groupby("kind", sort=False).head(rows)
    half = model[name].n_layers * model[name].d_mlp
    lists = np.concatenate([top[name, "K"], top[name, "V"]])
    place = [f"{'KV'[i // half]}, layer {i % half // model[name].d_mlp + 1}, {i % model[name].d_mlp}" for i in table["list"]]
    shared = [f"{row.kind}: {row.feature}" if row.kind != row.feature else row.kind for row in table.itertuples()]
    tokens = [" ".join(vocabulary[name].text[lists[i, :words]]) for i in table["list"]]
    counts = [f"{n} of {size}" for n, size in zip(table["count"], table["size"], strict=True)]
    chance = [f"{expected:.1f}" for expected in table["expected"]]
    return pd.DataFrame({"neuron": place, "what is shared": shared, "forms": counts, "by chance": chance, "top tokens": tokens})


def show_most_alike(name):
    """The table under a caption that names model and tokenizer."""
    caption = f"{NAMES[name]} ({loaded[name].identifier} and its tokenizer): the most alike lists of each kind"
    return most_alike(name).style.hide(axis="index").set_caption(caption).set_uuid(f"alike-{name}")


# %%
show_most_alike("polish-gpt2")

# %%
show_most_alike("herbert")

# %% [markdown]
# ## Norms and layer norms
#
# **Do a few tokens own all lists?** Embeddings of large norm have large inner products with everything. The lists of all neurons, twenty tokens each, hold
# this many different tokens, and the hundred most frequent of them fill this share of the places:


# %% tags=["hide-input"]
def hubs(name, sides):
    """Different tokens in lists of twenty, and the share of places of the hundred most frequent."""
    ids = np.concatenate([top[name, side][:, :20] for side in sides])
    counts = np.sort(np.bincount(ids.ravel()))[::-1]
    return {
        "lists": f"{len(ids):,}",
        "different tokens": f"{(counts > 0).sum():,}",
        "share of 100": f"{counts[:100].sum() / counts.sum():.1%}",
    }


sources = {"keys": ["K"], "values": ["V"], "random vectors": ["random"], "untrained": ["untrained K", "untrained V"]}
hub_table = pd.DataFrame({(NAMES[name], label): hubs(name, sides) for name in NAMES for label, sides in sources.items()}).T
hub_table.style.set_caption("Tokens that fill the lists").set_uuid("hubs")

# %% [markdown]
# **What does leaving out the layer norm do?** GPT-2's keys do not read the residual stream but what `ln_2` makes of it. The gain $\gamma$ and the centring of that norm can be folded into
# the key, $k' = (I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,k$, and that is what the neuron responds to. The original notebook read $k$. The lists of $k$ and $k'$
# have this in common:

# %%
folded = best("polish-gpt2", keys_values(model["polish-gpt2"], "layer_norm")[0])
agreement = top_overlap(top["polish-gpt2", "K"], folded)
per_layer = agreement.reshape(model["polish-gpt2"].n_layers, -1)

# %% tags=["hide-input"]
rows = [statistics.bootstrap_interval(layer, n_resamples=1000) for layer in per_layer]
table = pd.DataFrame(rows, index=[f"layer {i + 1}" for i in range(len(rows))]).map("{:.3f}".format)
table.columns = ["mean Jaccard", "95% from", "to"]
table.style.set_caption("GPT-2: top 100 tokens of raw keys and of keys with ln_2 folded in").set_uuid("folded")

# %% tags=["remove-cell"]
found = statistics.bootstrap_interval(agreement, n_resamples=1000)
glue("ff-polish-gpt2-folded", "{:.3f} [{:.3f}, {:.3f}]".format(*found), display=False)
change = statistics.bootstrap_interval(
    top_overlap(folded, top["polish-gpt2", "-V"]) - pooled("polish-gpt2", "key, −value", "real"), n_resamples=1000
)
glue("ff-polish-gpt2-folded-kn", signed(change), display=False)

# %% [markdown]
# Over the model the Jaccard index is {glue:text}`ff-polish-gpt2-folded`, so what the page says of GPT-2's keys depends little or much on the reading as this number is
# near 1 or not; the overlap with the negated value changes by {glue:text}`ff-polish-gpt2-folded-kn`. BERT normalises after each sum; its norms stand on the residual
# stream itself and cannot be folded into keys, so HerBERT is read raw.
#
# ## The original notebook and this chapter
#
# The notebook showed four columns for ten neurons of a 24-layer Polish GPT-2 {cite}`dadas_gpt2`. Some of them are striking: in layer 19, neuron 0, both K and V list *imiona*
# (first names), *nazwisko* (surname), *pseudonim*, *przydomek* (nickname). Where we differ:
#
# - *Choice.* Its neurons were picked by eye and given titles; the last, drawn at random, was shown under the title "places". Here rules pick, one neuron is random, and every
#   list of the model is counted.
# - *Control.* It had none. Lists of random vectors read through a trained embedding can look meaningful too, as {numref}`fig-ff-alike` shows.
# - *Letters.* Only ASCII spellings passed, so that in its stored lists not one word has a Polish letter. Here all letters pass.
# - *Layer norm.* Keys were read without `ln_2`. Here both readings stand side by side.
# - *HerBERT* had no such tables there.
#
# ## Findings
#
# - Paired parameters: {glue:text}`ff-polish-gpt2-kv-excess` (GPT-2) and {glue:text}`ff-herbert-kv-excess` (HerBERT) of Jaccard index above shuffled pairs for key and value,
#   {glue:text}`ff-polish-gpt2-kn-excess` and {glue:text}`ff-herbert-kn-excess` for key and negated value. An index of 0.01 is two tokens of a hundred: the means are small, the tail in
#   {numref}`fig-ff-survival` is where the neurons are that can be read.
# - {glue:text}`ff-polish-gpt2-K-passing` of GPT-2's keys, {glue:text}`ff-polish-gpt2-V-passing` of its values, {glue:text}`ff-herbert-K-passing` of HerBERT's keys and
#   {glue:text}`ff-herbert-V-passing` of its values have alike top tokens; random vectors {glue:text}`ff-polish-gpt2-random-passing` and
#   {glue:text}`ff-herbert-random-passing`. The kinds they pass in most are *{glue:text}`ff-polish-gpt2-commonest`* in GPT-2 and
#   *{glue:text}`ff-herbert-commonest`* in HerBERT.
#
# ## Limits
#
# - The models are small; a neuron of a larger one may be cleaner. Set `ANALYSIS_MODELS=hub` to see.
# - Reading a vector through $W_U$ leaves out biases, positions and whatever later layers do. HerBERT puts one more dense layer between its last state and the
#   vocabulary, which is left out here as in the literature.
# - Chance draws tokens independently and takes id rank for frequency; tokens are read out of context, all dictionary readings at once.
# - The random vectors are isotropic. Neurons have directions in common, which raises the overlap of shuffled pairs and may raise the count of alike lists.
# - Overlap can come from frequency alone: a key that favours rare words and a value that points away from rare words share a list with opposite sign. Shuffled
#   pairs control only for what the neurons of a layer have in common.
# - A list that is alike says what a vector points at, not what the neuron does in a text; activations are needed for that.
#
# ## References
#
# Key-value memories: {cite:t}`geva2021`. Embedding space and paired parameters: {cite:t}`dar2022`. Dictionary: {cite:t}`kieras2017`. Bootstrap: {cite:t}`efron1993`.
# Multiple testing: {cite:t}`holm1979`.

# %% tags=["remove-cell"]
for name in NAMES:
    hits = passed[name, "trained"].sum().sort_values(ascending=False)
    glue(f"ff-{name}-commonest", str(hits.index[0]) if hits.iloc[0] else "none", display=False)
