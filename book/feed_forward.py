# %% [markdown]
# # Feed-forward layers in vocabulary space
#
# **Question.** Every neuron of a feed-forward layer has a *key*, which says what makes it active, and a *value*, which says what it then adds to the residual stream. Both are vectors of the model's
# width, so both can be read as lists of tokens {cite}`geva2021,dar2022`. Do these lists mean anything in a Polish GPT-2 and a HerBERT-like model, beyond what shuffled pairs, an untrained model and
# random vectors show?
#
# **What was found**
#
# - Some neurons collect words of one kind: an ending, a participle, a case, the forms of one verb ({numref}`fig-ff-key`).
# - Such lists are more frequent than among random vectors read through the same embedding: among keys by {glue:text}`ff-polish-gpt2-K-gain` percentage points in GPT-2 and
#   {glue:text}`ff-herbert-K-gain` in HerBERT, among values by {glue:text}`ff-polish-gpt2-V-gain` and {glue:text}`ff-herbert-V-gain`. An untrained model has none.
# - A neuron's key and value share few tokens, but more than those of two different neurons do. In GPT-2 the overlap is larger for the key and the *negated* value: such neurons take away what they match.
#
# Square brackets hold 95% intervals.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import display

from analysis_lib import models, plots, report, statistics
from analysis_lib.projections import neurons, shared_features, shuffled_overlap, top_overlap, top_tokens
from analysis_lib.projections.readers import Reader

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in TITLES.items()}

# %% [markdown]
# ## Keys and values
#
# With $x$ the vector that a layer reads, a feed-forward layer is a sum over its neurons $i$,
#
# $$\mathrm{FF}(x) = \sum_i f(x \cdot k_i + b_i)\, v_i + b ,$$
#
# where key $k_i$ is column $i$ of $W_{in}$, value $v_i$ is row $i$ of $W_{out}$, and $f$ is a GELU, which is close to zero where its argument is negative. So $k_i$ is a pattern, and $v_i$ is what is
# written when the pattern matches. In embedding space the neuron's two lists are the tokens with the largest entries of
#
# $$k_i W_U \qquad \text{and} \qquad v_i W_U ,$$
#
# and, for the tokens that both point *away* from, of $-k_i W_U$ and $-v_i W_U$. (Both models tie $W_U = W_E^\top$, so that one matrix serves for reading and writing.) A score is an inner product and
# has no unit; scores are compared within a list only.
#
# Most tokens of such a vocabulary are pieces of words. Lists here hold whole words that the Polish dictionary Morfeusz {cite}`kieras2017` knows, and numbers. Word beginnings such as *szczeg-* have large
# norms and would fill every list. The filter is applied before the search, so every list has its full length.

# %%
readers = {title: Reader.of(models.load(name), numbers=True) for name, title in TITLES.items()}
untrained = {title: reader.untrained(seed=0) for title, reader in readers.items()}

# %% tags=["hide-input"]
rows = {}
for title, reader in readers.items():
    w, steps = reader.weights, reader.vocabulary.filter_report(words=True, ascii_only=True)
    rows[title] = {
        "checkpoint and tokenizer": reader.loaded.identifier,
        "revision": reader.loaded.revision[:12],
        "layers": w.n_layers,
        "neurons of a layer": w.d_mlp,
        "width": w.d_model,
        "tokens": w.d_vocab,
        "words and numbers kept": int(reader.keep.sum()),
        "word tokens that an ASCII filter removes": report.percent(steps[-1].removed / steps[-2].left),
    }
report.table(pd.DataFrame(rows, dtype=object), "Two models, their neurons and their tokens", index=True)

# %% [markdown]
# The last row is what the original notebooks lost by keeping only tokens that the tokenizer spells in ASCII. GPT-2's tokenizer spells *że* ("that") as `ĠÅ¼e`, so every word with a Polish letter was gone.
#
# ### The lists of all neurons
#
# `all_keys_values` gives the keys and values of a model, and `top_tokens` finds the best tokens of all of them in one blocked product. Neurons are numbered layer after layer; layers and neurons count from
# 0, so that L2N17 is neuron 17 of the third layer.

# %%
def best(title, vectors, k=100, weights=None):
    """Top tokens of vectors under a model's unembedding, trained unless other weights are given."""
    reader = readers[title]
    return top_tokens(vectors, (weights or reader.weights).W_U, k, reader.keep).ids


top = {}
for title, reader in readers.items():
    keys, values = neurons.all_keys_values(reader.weights)
    top |= {(title, "K"): best(title, keys), (title, "V"): best(title, values), (title, "-V"): best(title, -values)}

# %% [markdown]
# Two controls are read in the same way. The **untrained** model has the same configuration and fresh weights, embeddings included. The **random vectors** are as many as there are keys and values, drawn
# from a normal distribution and read through the *trained* embedding: they show what any direction of this embedding space would show.

# %%
for title, fresh in untrained.items():
    keys, values = neurons.all_keys_values(fresh)
    top |= {(title, "untrained K"): best(title, keys, weights=fresh), (title, "untrained V"): best(title, values, weights=fresh)}
    top[title, "random"] = best(title, neurons.random_vectors(2 * len(keys), fresh.d_model, seed=0), k=20)

# %% [markdown]
# ## Which lists are alike, and in what
#
# Every list is judged by a rule. For the twenty top tokens of a key or value we count how many share a lemma (the form under which a dictionary lists a word), an ending of two or three letters, a part of
# speech, a case, a person; how many are numbers, names (words whose every lemma is capitalised), or capitalised. Two spellings of one form (*Dom*, *dom*) count once. Common features must count for less,
# since most words are nouns. So chance is a list in which each token is replaced by a random one of similar frequency (within 200 ranks of its id, since byte-pair ids are in the order of merging). With
# $p_j$ the share of tokens around token $j$ that have the feature, the chance of a count of $c$ or more is the tail of a sum of independent draws,
#
# $$P\Bigl(\sum_{j=1}^{20} B_j \ge c\Bigr), \qquad B_j \sim \mathrm{Bernoulli}(p_j),$$
#
# which `shared_features.alike_lists` computes exactly for every feature of every list. It is corrected over the features of a kind (Bonferroni) and over all lists and kinds of the model (Holm
# {cite}`holm1979`); a list *passes* where the result is below 0.05.

# %%
SOURCES = {"trained": ["K", "V"], "untrained": ["untrained K", "untrained V"], "random": ["random"]}
judged = {}
for title, reader in readers.items():
    kinds = shared_features.token_kinds(reader.lexicon, reader.keep)
    for source, sides in SOURCES.items():
        ids = np.concatenate([top[title, side][:, :20] for side in sides])
        judged[title, source] = shared_features.alike_lists(ids, kinds, reader.keep, reader.vocabulary.form_groups)
passed = {key: shared_features.passing(table) for key, table in judged.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The two most alike lists of three kinds: how many of a list's different forms share the feature (points), and how many would by chance (crosses). Below each feature stand the first words of the list. *-ąc* ends present participles, *-go* genitive adjectives and pronouns, *-ym* their instrumental and locative.", "name": "fig-ff-key"}, "image": {"alt": "Two panels, GPT-2 and HerBERT, with six lists each: two endings, two cases and the forms of two words. Points lie between six and twenty forms, crosses between zero and three."}}
alike = {
    title: neurons.most_alike(judged[title, "trained"], np.concatenate([top[title, "K"], top[title, "V"]]), r.weights.d_mlp, r.vocabulary)
    for title, r in readers.items()
}
shown = {title: table[table["shared"].str.match("ending|case|lemma")].sort_values("shared") for title, table in alike.items()}
plots.counts_against_chance(shown, COLOURS);

# %% [markdown]
# The rule does not find things in noise: no list of an untrained model passes. Random vectors are the harder control. A trained embedding already groups words, so that alike words come out together in
# whatever direction one looks.

# %% tags=["hide-input"]
def wilson(hits):
    """Share of lists that pass, with Wilson's interval."""
    return report.interval(*statistics.wilson_interval(int(hits.sum()), len(hits)), digits=1, scale=100, unit="%")


hits = {}
for title in readers:
    hits |= {(title, side): lists.any(axis=1) for side, lists in neurons.by_side(passed[title, "trained"]).items()}
    hits |= {(title, source): passed[title, source].any(axis=1) for source in ("random", "untrained")}
labels = {"K": "keys", "V": "values", "random": "random vectors", "untrained": "keys and values of the untrained model"}
rows = {label: {title: wilson(hits[title, side]) for title in readers} for side, label in labels.items()}
for side in "KV":
    gains = {title: statistics.difference_interval(hits[title, side], hits[title, "random"], n_resamples=1000) for title in readers}
    worded = {title: report.interval(*gain, digits=1, signed=True, scale=100) for title, gain in gains.items()}
    rows[f"{labels[side]} less random vectors [percentage points]"] = worded
    report.glue_frame(pd.Series({f"{name}-{side}-gain": worded[title] for name, title in TITLES.items()}), "ff")
report.table(pd.DataFrame(rows).T.rename_axis("lists that pass").reset_index(), "Share of lists with alike top tokens, in any kind")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Per cent of lists that pass, by kind (rows) and by layer (columns: keys K and values V of each layer, then random vectors read through the trained embedding, then the untrained model). A list can pass in several kinds; the first row counts it once.", "name": "fig-ff-alike"}, "image": {"alt": "Two coloured tables of percentages, GPT-2 above and HerBERT below. Rows: any kind, lemma, ending, part of speech, case, person, number, name, capital. Columns: keys by layer, values by layer, random vectors, untrained model."}}
maps = {}
for title, reader in readers.items():
    maps[title] = neurons.shares_by_layer(neurons.by_side(passed[title, "trained"]), reader.weights.n_layers)
    maps[title]["rand."], maps[title]["untr."] = (neurons.kind_shares(passed[title, source]) for source in ("random", "untrained"))
plots.percent_maps(maps);

# %% [markdown]
# Layers differ. The table has the percentage points by which the lists of each layer pass more often than random vectors.

# %%
columns = {}
for title, reader in readers.items():
    for side in "KV":
        gains = neurons.gains_by_layer(hits[title, side], hits[title, "random"], reader.weights.n_layers)
        words = [report.interval(*gain, digits=1, signed=True, scale=100) for gain in gains[["estimate", "low", "high"]].to_numpy()]
        columns[f"{title}, {labels[side]}"] = pd.Series(words)
report.table(pd.DataFrame(columns).rename_axis("layer").reset_index(), "Beside random vectors [percentage points]")

# %% [markdown]
# ### The most alike lists of each kind
#
# For every kind, the tables have the two lists with the smallest corrected probability among those that pass: what the tokens share, how many of the counted forms have it, and how many would by chance.

# %%
CAPTION = "{} ({} and its tokenizer): the most alike lists of each kind"
for title, reader in readers.items():
    display(report.table(alike[title].rename(columns={"expected": "by chance"}), CAPTION.format(title, reader.loaded.identifier), digits=1))

# %% [markdown]
# **A reading aid.** Polish inflects: a noun has seven cases in two numbers, a verb marks person, number and in the past gender, and endings show it. Endings that often come up: *-ami* instrumental plural
# ("with, by …s"), *-ach* locative plural ("in, on …s"), *-ego* genitive singular of adjectives, *-ych* genitive or locative plural of adjectives, *-ość* nouns like English *-ness*, *-nie* verbal nouns and
# adverbs, *-ł*, *-ła*, *-li* the past tense of he, she and they, *-ąc* "while …ing", *-ć* infinitives. A capital letter marks a name or the beginning of a sentence.
#
# ## Do a neuron's key and value speak of the same tokens?
#
# Dar et al. {cite}`dar2022` compare paired parameters: for every neuron the Jaccard index of the top 100 tokens of its key and of its value (0: no token in common, 1: the same tokens). The null pairs keys
# with the value of another neuron of the layer, every value used once, ten times over. The third comparison is with the negated value: such a neuron takes away what it matches.

# %%
PAIRS = {"key, value": ("K", "V"), "key, −value": ("K", "-V"), "untrained": ("untrained K", "untrained V")}
overlaps = {
    (title, pair): shuffled_overlap(top[title, left], top[title, right], n_layers=reader.weights.n_layers, seed=0)
    for title, reader in readers.items()
    for pair, (left, right) in PAIRS.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean Jaccard index of the top 100 tokens of paired lists, by layer. Points: a neuron's own pair, with 95% bootstrap intervals over the layer's neurons. Dashes of the same colour: shuffled pairs. A point above its dash is an overlap that belongs to the neuron; the higher dashes of trained models say that all lists of a layer favour some tokens.", "name": "fig-ff-overlap"}, "image": {"alt": "Two panels, GPT-2 and HerBERT. Horizontal axis: layers, first to last. Vertical axis: mean Jaccard index. For each layer three points with intervals, key with value, key with negated value and untrained, each beside a dash for shuffled pairs."}}
by_layer = pd.concat(
    [overlap.by_layer(readers[title].weights.n_layers).assign(model=title, pair=pair) for (title, pair), overlap in overlaps.items()]
)
colours = dict(zip(PAIRS, [plots.CYCLE[0], plots.CYCLE[1], plots.MODEL_COLOURS["untrained"]], strict=True))
plots.overlaps_by_layer(by_layer, colours, {title: title for title in readers});

# %%
rows = []
for (title, pair), overlap in overlaps.items():
    excess = statistics.bootstrap_interval(overlap.excess, n_resamples=1000)
    shares = {"own pair": overlap.real.mean(), "shuffled pairs": overlap.shuffled.mean()}
    difference = report.interval(*excess, digits=4, signed=True)
    rows.append({"model": title, "pair": pair, **shares, "difference": difference, "beyond": report.percent(overlap.beyond(0.999), 2)})
report.table(
    pd.DataFrame(rows),
    "Jaccard index over all layers; beyond: share of neurons above the 99.9% point of shuffled pairs, where chance has 0.1%",
    digits=4,
)

# %% [markdown]
# The sign can be seen without any tokens, in the cosine of a neuron's key and value; the table has its mean over neurons. Is the overlap due to a few neurons or to all of them? {numref}`fig-ff-survival`
# has the whole distribution: a Jaccard index of 0.1 is 18 of 100 tokens in common. The means are small, and the tail is where the neurons are that can be read.

# %% tags=["hide-input"]
rows = {
    title: {
        label: report.interval(*statistics.bootstrap_interval(neurons.key_value_cosines(w), n_resamples=1000), digits=3, signed=True)
        for label, w in (("trained", reader.weights), ("untrained", untrained[title]))
    }
    for title, reader in readers.items()
}
report.table(pd.DataFrame(rows).T.rename_axis("model").reset_index(), "Mean cosine of a neuron's key and value")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of neurons whose overlap reaches x, on a logarithmic axis. Full lines: a neuron's own pair; dashed: shuffled pairs (ten for every neuron). Where a full line leaves its dashed one, neurons overlap as no shuffled pair does.", "name": "fig-ff-survival"}, "image": {"alt": "Two panels, GPT-2 and HerBERT. Horizontal axis: Jaccard index of top 100 tokens. Vertical axis, logarithmic: share of neurons that reach it. Falling full lines for key with value and key with negated value, and falling dashed lines for their shuffled pairs."}}
falling = {title: {} for title in readers}
for (title, pair), overlap in overlaps.items():
    if pair != "untrained":
        falling[title] |= {pair: (overlap.real, colours[pair], "-"), f"{pair}, shuffled": (overlap.shuffled, colours[pair], "--")}
plots.survival(falling, "Jaccard index", "share of neurons that reach it");

# %% [markdown]
# ### One neuron at a time
#
# Three rules decide which neurons to show, the same for both models: the neuron whose **key and value** overlap most, the one whose **key and negated value** overlap most, and one drawn **at random**
# (seed 0), which shows what most neurons look like. The columns are those of the original notebook.

# %%
for title, reader in readers.items():
    keys, values = neurons.all_keys_values(reader.weights)
    rules = {f"largest overlap of {pair.replace(', ', ' and ')}": overlaps[title, pair].real for pair in ("key, value", "key, −value")}
    for rule, neuron in neurons.choose_neurons(rules, seed=0).items():
        columns = {"K": keys[neuron], "V": values[neuron], "−K": -keys[neuron], "−V": -values[neuron]}
        table = neurons.token_columns(columns, reader.weights.W_U, reader.vocabulary, reader.keep)
        name = neurons.neuron_name(neuron, reader.weights.d_mlp)
        display(report.table(table, f"{title}, {name}: {rule}. Token and score", name=f"{title}-{name}-{rule[:14]}".replace(" ", "-")))

# %% [markdown]
# What the dictionary says of the first four tokens of K and of V in the first table of each model:

# %%
aids = []
for title, reader in readers.items():
    neuron = int(np.argmax(overlaps[title, "key, value"].real))
    for side in "KV":
        aid = shared_features.readings(reader.lexicon, top[title, side][neuron][:4])
        aids.append(aid.assign(list=f"{title}, {side}")[["list", "form", "lemma", "can be"]])
report.table(pd.concat(aids), "Out of context a form can be several things")

# %% [markdown]
# ## Norms and layer norms
#
# **Do a few tokens own all lists?** Embeddings of large norm have large inner products with everything. The table says how many different tokens the lists of all neurons hold, twenty in each, and what
# share of the places the hundred most frequent of them fill.

# %%
sources = {"keys": ["K"], "values": ["V"], "random vectors": ["random"], "untrained": ["untrained K", "untrained V"]}
rows = [
    {"model": title, "vectors": label} | neurons.hubs(np.concatenate([top[title, side][:, :20] for side in sides]))
    for title in readers
    for label, sides in sources.items()
]
report.table(pd.DataFrame(rows), "Tokens that fill the lists", formats={"share of 100": ".1%"})

# %% [markdown]
# **What does leaving out the layer norm do?** GPT-2's keys do not read the residual stream but what `ln_2` makes of it. The gain $\gamma$ and the centring of that norm can be folded into the key,
# $k' = (I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,k$, and that is what the neuron responds to. The original notebook read $k$. The lists of $k$ and $k'$ have this in common:

# %%
n_layers = readers["GPT-2"].weights.n_layers
folded = best("GPT-2", neurons.all_keys_values(readers["GPT-2"].weights, "layer_norm")[0])
agreement = top_overlap(top["GPT-2", "K"], folded)
parts = {f"layer {layer}": part for layer, part in enumerate(np.split(agreement, n_layers))} | {"all layers": agreement}
mean = {label: statistics.bootstrap_interval(part, n_resamples=1000) for label, part in parts.items()}
mean = pd.Series(mean, name="mean Jaccard index").rename_axis("neurons").reset_index()
report.table(mean, "GPT-2: top 100 tokens of raw keys and of keys with ln_2 folded in", digits=3)

# %% tags=["remove-cell"]
report.glue("ff-polish-gpt2-folded-shared", round(float((200 * agreement / (1 + agreement)).mean())))
change = top_overlap(folded, top["GPT-2", "-V"]) - overlaps["GPT-2", "key, −value"].real
report.glue("ff-polish-gpt2-folded-kn", report.interval(*statistics.bootstrap_interval(change, n_resamples=1000), digits=4, signed=True))

# %% [markdown]
# About {glue:text}`ff-polish-gpt2-folded-shared` of 100 tokens agree, so the reading matters little: the overlap with the negated value changes by {glue:text}`ff-polish-gpt2-folded-kn`. BERT normalises after each sum; its norms stand on the
# residual stream itself and cannot be folded into keys, so HerBERT is read raw.
#
# ## The original notebook and this chapter
#
# The notebook showed four columns for ten neurons of a 24-layer Polish GPT-2 {cite}`dadas_gpt2`. Some of them are striking: in layer 19, neuron 0, both K and V list *imiona* (first names), *nazwisko*
# (surname), *pseudonim*, *przydomek* (nickname). This chapter differs in the following.
#
# - *Choice.* The notebook's neurons were picked by eye and given titles; the last, drawn at random, was shown under the title "places". Here rules pick, one neuron is random, and every list is counted.
# - *Control.* The notebook had none. Lists of random vectors read through a trained embedding can look meaningful too, as {numref}`fig-ff-alike` shows.
# - *Letters.* Only ASCII spellings passed, so that in its stored lists not one word has a Polish letter. Here all letters pass.
# - *Layer norm.* Keys were read without `ln_2`. Here both readings stand side by side.
# - *HerBERT* had no such tables there.
#
# ## Limits
#
# - The models are small; a neuron of a larger one may be cleaner. Set `ANALYSIS_MODELS=hub` to see.
# - Reading a vector through $W_U$ leaves out biases, positions and whatever later layers do. HerBERT puts one more dense layer between its last state and the vocabulary, which is left out here as in the
#   literature.
# - Chance draws tokens independently and takes id rank for frequency; tokens are read out of context, all dictionary readings at once.
# - The random vectors are isotropic. Neurons have directions in common, which raises the overlap of shuffled pairs and may raise the count of alike lists.
# - Overlap can come from frequency alone: a key that favours rare words and a value that points away from rare words share a list with opposite sign. Shuffled pairs control only for what the neurons of
#   a layer have in common.
# - A list that is alike says what a vector points at, not what the neuron does in a text; activations are needed for that.
#
# ## References
#
# Key-value memories: {cite:t}`geva2021`. Embedding space and paired parameters: {cite:t}`dar2022`. Dictionary: {cite:t}`kieras2017`. Bootstrap: {cite:t}`efron1993`. Multiple testing: {cite:t}`holm1979`.
