# %% [markdown]
# # Attention heads in vocabulary space
#
# **Question.** A head has two matrices. $W_{VO}$ says what attending to a token promotes, $W_{QK}$ says which tokens look for
# which. Both can be written as tables over the vocabulary {cite}`dar2022`. Do those tables of a Polish GPT-2 and of a
# HerBERT-like model say more than chance would: do heads copy, relate forms of a word, mark grammar, and where in depth?

# %% tags=["hide-input"]
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from myst_nb import glue

from analysis_lib import circuits, models, plots, projections, statistics, weights
from analysis_lib.projections import recall, relations
from analysis_lib.texts import glossary, sentences
from analysis_lib.vocabulary import Lexicon, Vocabulary

plots.use_style()
K = 200  # pairs in a list
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}

# %% [markdown]
# **What was found**, computed by the cells below:
#
# - Of {glue:text}`heads-tested` lists of top pairs per model ({glue:text}`heads-count` heads, two matrices), the pairing beats
#   permuted pairs in at least one relation, after correction over the lists, in {glue:text}`heads-polish-gpt2-any` for
#   GPT-2 and {glue:text}`heads-herbert-any` for HerBERT; for random heads on the trained embeddings in {glue:text}`heads-random-gpt2-any` and
#   {glue:text}`heads-random-herbert-any`, in untrained models of the same shape in {glue:text}`heads-untrained-gpt2-any` and
#   {glue:text}`heads-untrained-herbert-any`.
#   A pairing that random heads show as often says nothing of what heads learned.
# - What a column *holds* differs more: the tokens on the right of a trained head's list are more alike than those of random heads by a cosine of
#   {glue:text}`heads-polish-gpt2-right_similarity-gain` in GPT-2 and {glue:text}`heads-herbert-right_similarity-gain` in HerBERT; on the left
#   {glue:text}`heads-polish-gpt2-left_similarity-gain` and {glue:text}`heads-herbert-left_similarity-gain`.
# - The relation found most often is *{glue:text}`heads-polish-gpt2-most`* in GPT-2
#   ({glue:text}`heads-polish-gpt2-most-count` lists) and *{glue:text}`heads-herbert-most`* in HerBERT
#   ({glue:text}`heads-herbert-most-count`).
# - A reading matters: a list of {glue:text}`heads-k` pairs holds a median of
#   {glue:text}`heads-polish-gpt2-distinct-raw:.0f` distinct tokens on the left in GPT-2 read raw, and
#   {glue:text}`heads-polish-gpt2-distinct-unit:.0f` with layer-normed embeddings and unit unembeddings
#   (HerBERT: {glue:text}`heads-herbert-distinct-raw:.0f` and {glue:text}`heads-herbert-distinct-unit:.0f`).
# - Does a head's table predict what the head writes? Recall of its top 50 tokens on text is
#   {glue:text}`heads-polish-gpt2-recall:.3f` against {glue:text}`heads-polish-gpt2-control:.3f` for permuted places in GPT-2,
#   {glue:text}`heads-herbert-recall:.3f` against {glue:text}`heads-herbert-control:.3f` in HerBERT (means over the
#   {glue:text}`heads-polish-gpt2-recall-n:d` and {glue:text}`heads-herbert-recall-n:d` heads that can be tested).

# %% tags=["hide-input"]
def random_heads(trained):
    """The trained embeddings with head matrices drawn from a normal distribution."""
    generator = torch.Generator().manual_seed(0)
    drawn = {name: torch.randn(getattr(trained, name).shape, generator=generator) for name in ("W_Q", "W_K", "W_V", "W_O")}
    return replace(trained, **drawn)


# %% tags=["hide-input"]
class Reader:
    """A model with all that reads it: weights, vocabulary, lexicon, the tokens kept, and its two nulls."""

    def __init__(self, name):
        self.name, self.title = name, NAMES[name]
        self.loaded = models.load(name)
        self.weights = weights.extract(self.loaded)
        self.untrained = weights.extract(models.untrained_like(self.loaded, seed=0))
        self.random = random_heads(self.weights)
        self.vocabulary = Vocabulary.from_tokenizer(self.loaded.tokenizer, self.weights.d_vocab)
        self.lexicon = Lexicon.from_forms(self.vocabulary.text)
        self.whole = self.vocabulary.keep(words=True, whole_words=True)
        self.keep = self.whole & self.lexicon.known


readers = {name: Reader(name) for name in NAMES}

# %% tags=["remove-cell"]
for name, reader in readers.items():
    glue(f"heads-{name}-label", reader.loaded.label, display=False)
    glue(f"heads-{name}-kept", f"{reader.keep.sum():,}", display=False)
    glue(f"heads-{name}-vocab", f"{reader.weights.d_vocab:,}", display=False)
glue("heads-k", K, display=False)

# %% [markdown]
# All figures of this page come from {glue:text}`heads-polish-gpt2-label` and {glue:text}`heads-herbert-label`; each list is
# decoded by its own model's tokenizer.
#
# ## The two tables of a head
#
# With rows as vectors, $W_E$ the embedding and $W_U$ the unembedding,
#
# $$\mathrm{VO} = W_E\, W_V W_O\, W_U, \qquad \mathrm{QK} = W_E\, W_Q W_K^\top\, W_E^\top .$$
#
# Entry $(a, b)$ of VO is the logit that attending to token $a$ gives to token $b$; of QK, the score of query $a$ for key $b$.
# A table has as many entries as the vocabulary squared, and none is ever formed: `projections.top_pairs` finds the best pairs exactly
# from two thin factors. Only tokens that can stand as whole words and that the dictionary of Morfeusz {cite}`kieras2017` knows are kept:
# {glue:text}`heads-polish-gpt2-kept` of {glue:text}`heads-polish-gpt2-vocab` in GPT-2, {glue:text}`heads-herbert-kept` of
# {glue:text}`heads-herbert-vocab` in HerBERT. Pairs of one form (*Dom*, *dom*) are left out, except where copying is the question.

# %%
def pairs_of(reader, factors, matrices=None, k=K, grouped=True, **reading):
    """Top pairs of every head, {(layer, head): TopPairs}."""
    matrices = matrices or reader.weights
    groups = reader.vocabulary.form_groups if grouped else None

    def search(layer, head):
        return projections.top_pairs(*factors(matrices, layer, head, **reading), k, reader.keep, reader.keep, groups)

    found = projections.map_heads(search, matrices.n_layers, matrices.n_heads)
    return {(layer, head): pairs for layer, row in enumerate(found) for head, pairs in enumerate(row)}


# %% [markdown]
# Three readings stand side by side: **raw** weights, as in the literature; embeddings **layer-normed** as the layer reads them; and,
# for VO, **unit** unembeddings besides, so that a token of large norm cannot own a list.

# %%
VO, QK = projections.vo_factors, projections.qk_factors
READINGS = {
    ("VO", "raw"): (VO, {}),
    ("VO", "layer-normed"): (VO, {"embedding": "layer_norm"}),
    ("VO", "unit"): (VO, {"embedding": "layer_norm", "unembedding": "unit"}),
    ("QK", "raw"): (QK, {}),
    ("QK", "layer-normed"): (QK, {"embedding": "layer_norm"}),
}
pairs = {
    (name, *key): pairs_of(reader, factors, **reading)
    for name, reader in readers.items()
    for key, (factors, reading) in READINGS.items()
}

# %% [markdown]
# ## Every head of a layer
#
# The best pairs of every head of the first and of the last layer, unit reading for VO and layer-normed for QK. The original notebooks showed six of
# sixteen heads and let columns slide to the left when a head returned nothing; here a column is a head, always. `a → b` reads
# "attending to *a* promotes *b*" (VO) or "query *a* looks for key *b*" (QK). Under each table stand glosses of its frequent words.

# %% tags=["hide-input"]
GLOSS = glossary()


def pair_table(reader, found, layer, rows=8):
    """Best pairs of a layer's heads as text, a column a head, and the words among them."""
    text = reader.vocabulary.text
    columns = {
        f"head {head}": [f"{text[a]} → {text[b]}" for a, b in zip(p.left_ids[:rows], p.right_ids[:rows], strict=True)]
        for (where, head), p in found.items()
        if where == layer
    }
    table = pd.DataFrame({head: pd.Series(cells, dtype=object) for head, cells in columns.items()}).fillna("")
    return table, sorted({word for cells in columns.values() for cell in cells for word in cell.split(" → ")})


def show(name, matrix, reading, layer):
    """A pair table under its caption, and glosses of the words that the glossary has."""
    reader = readers[name]
    caption = f"{reader.title} ({reader.loaded.identifier} and its tokenizer), {matrix}, {reading} reading, layer {layer + 1}"
    table, words = pair_table(reader, pairs[name, matrix, reading], layer)
    display(table.style.hide(axis="index").set_caption(caption))
    display(Markdown("; ".join(f"*{w}* {GLOSS[w.lower()]}" for w in words if w.lower() in GLOSS)))


# %%
show("polish-gpt2", "VO", "unit", 0)

# %%
show("polish-gpt2", "QK", "layer-normed", 0)

# %%
show("herbert", "VO", "unit", 0)

# %%
show("herbert", "QK", "layer-normed", 0)

# %%
show("polish-gpt2", "VO", "unit", readers["polish-gpt2"].weights.n_layers - 1)

# %%
show("polish-gpt2", "QK", "layer-normed", readers["polish-gpt2"].weights.n_layers - 1)

# %%
show("herbert", "VO", "unit", readers["herbert"].weights.n_layers - 1)

# %%
show("herbert", "QK", "layer-normed", readers["herbert"].weights.n_layers - 1)

# %% [markdown]
# Reading such tables by eye finds whatever one looks for. The next sections count.
#
# ## Who owns the lists
#
# A list of 200 pairs can hold 400 tokens or 30. {numref}`fig-heads-distinct` counts distinct left tokens; few mean that hubs, tokens of large norm or close to the mean of
# all embeddings, fill the list whatever the head does. The recipes bound the norms of embeddings while training ({doc}`models`), because without a bound word beginnings
# owned every raw list; a published model was trained without such a bound.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distinct tokens on the left of each head's list of 200 pairs, a point a head, the bar at the median. Few distinct tokens mean that the list belongs to hubs.", "name": "fig-heads-distinct"}, "image": {"alt": "Rows of points for GPT-2 and HerBERT, each matrix in its readings; raw readings hold the fewest distinct tokens where norms rule."}}
distinct = {
    key: np.array([projections.distinct_tokens(p)[0] for p in found.values()]) for key, found in pairs.items()
}
labels = {f"{NAMES[name]} {matrix} {reading}": values for (name, matrix, reading), values in distinct.items()}
colours = {f"{NAMES[n]} {m} {r}": plots.MODEL_COLOURS[n] for n, m, r in distinct}
plots.strips(labels, "distinct left tokens in a list of 200 pairs", colours);

# %% tags=["remove-cell"]
for (name, matrix, reading), values in distinct.items():
    if matrix == "VO":
        glue(f"heads-{name}-distinct-{reading}", float(np.median(values)), display=False)

# %% [markdown]
# ## Folding the layer norm
#
# GPT-2 reads the residual stream through a layer norm whose gain and centring can be folded into the weights (for HerBERT, whose norms stand on the
# stream itself, `weights.extract` refuses and says why). How many of a head's top 50 pairs survive the folding?

# %%
gpt2 = readers["polish-gpt2"]
folded = weights.extract(gpt2.loaded, fold_layer_norm=True)
jaccard = {}
for matrix, factors in (("VO", VO), ("QK", QK)):
    raw = {head: projections.TopPairs(*(part[:50] for part in p)) for head, p in pairs["polish-gpt2", matrix, "raw"].items()}
    new = pairs_of(gpt2, factors, matrices=folded, k=50)
    jaccard[matrix] = [projections.pairs_jaccard(raw[head], new[head]) for head in raw]

# %% tags=["remove-cell"]
for matrix, values in jaccard.items():
    interval = statistics.bootstrap_interval(values)
    glue(f"heads-fold-{matrix}", f"{interval.estimate:.2f} (95 % interval {interval.low:.2f} to {interval.high:.2f})", display=False)

# %% [markdown]
# The Jaccard index of raw and folded lists, mean over heads, is {glue:text}`heads-fold-VO` for VO and {glue:text}`heads-fold-QK` for QK: raw and
# folded weights are different readings, and a table has to say which it shows.
#
# ## What the pairs are
#
# Each list is now described by shares: pairs of **one lemma** (dictionary form) in different forms, of one **part of speech**, agreeing in **case**, **number** or
# **person**, a **preposition with a noun**, a preposition with a noun in a **case it governs**; and by the mean cosine of embeddings **within the left and
# within the right column**. Out of context Polish forms are ambiguous, so two words agree when some reading of one fits some reading of the other. Chance
# agreement is therefore common, and the null matters: the right column is permuted within the list 1,500 times, which keeps both columns; the
# similarities are held against random tokens of like frequency. P-values are corrected by Holm over all lists of a model, relation by relation. A list in which the same few
# tokens return gives a permutation little to change, so hubs make the test weak rather than wrong.
#
# Two models without learned heads go through the same mill: an **untrained** model, embeddings and all, and **random heads**, matrices drawn from a normal distribution
# between the *trained* embeddings. The second is the harder null: a trained embedding groups words by itself, and whatever direction one looks in, alike words come out together.

# %%
RELATIONS = {
    "same_lemma": "one lemma",
    "same_pos": "part of speech",
    "same_case": "case",
    "same_number": "number",
    "same_person": "person",
    "preposition_noun": "preposition, noun",
    "left_similarity": "similar left tokens",
    "right_similarity": "similar right tokens",
}
BEST = {"VO": "unit", "QK": "layer-normed"}


# %%
def describe(reader, found, similarity=True):
    """Relations of all lists beside their nulls, with the excess over the null."""
    embedding = reader.weights.W_E.numpy() if similarity else None
    groups, keep = reader.vocabulary.form_groups, reader.keep
    table = relations.head_relations(found, reader.lexicon, groups, embedding=embedding, keep=keep, n_permutations=1500)
    return table[table["relation"].isin(RELATIONS)].assign(excess=lambda t: t["share"] - t["null_mean"])


def corrected(tables):
    """Tables of several matrices in one, Holm-corrected p over all lists within each relation."""
    whole = pd.concat([table.assign(matrix=matrix) for matrix, table in tables.items()], ignore_index=True)
    return whole.assign(p_holm=whole.groupby("relation")["p"].transform(lambda p: statistics.holm(p.fillna(1.0))))


# %%
trained = {
    name: corrected({m: describe(reader, pairs[name, m, r]) for m, r in BEST.items()}) for name, reader in readers.items()
}


def null_model(reader, matrices):
    """The same table for matrices that learned nothing."""
    searches = {m: READINGS[m, reading] for m, reading in BEST.items()}
    return corrected({m: describe(reader, pairs_of(reader, f, matrices, **options)) for m, (f, options) in searches.items()})


fresh = {name: null_model(reader, reader.untrained) for name, reader in readers.items()}
drawn = {name: null_model(reader, reader.random) for name, reader in readers.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "VO: excess share of pairs (or excess cosine) over the null, for every head; a dot where the corrected p-value is below 0.05. The colour scale is the same along a row.", "name": "fig-heads-vo"}, "image": {"alt": "Heat maps of layers by heads for GPT-2 on the left and HerBERT on the right, one row for each relation."}}
vo = {NAMES[n]: t[t["matrix"] == "VO"] for n, t in trained.items()}
plots.head_maps(vo, RELATIONS);

# %% tags=["hide-input"] mystnb={"figure": {"caption": "QK: the same for the pairs that look for each other.", "name": "fig-heads-qk"}, "image": {"alt": "Heat maps of layers by heads for GPT-2 on the left and HerBERT on the right, one row for each relation."}}
qk = {NAMES[n]: t[t["matrix"] == "QK"] for n, t in trained.items()}
plots.head_maps(qk, RELATIONS);

# %% tags=["hide-input"]
def passing(table):
    """Lists below 0.05 after correction, by relation."""
    hits = table[table["p_holm"] < 0.05]
    return hits.groupby("relation").size().reindex(RELATIONS, fill_value=0)


counts = pd.DataFrame(
    {f"{NAMES[n]}, {kind}": passing(t[n]) for n in NAMES for kind, t in (("trained", trained), ("random heads", drawn), ("untrained", fresh))}
)
counts.rename(index=RELATIONS).rename_axis("lists that beat the null").style.set_caption(
    "Lists (heads times two matrices) below 0.05 after Holm's correction: trained, random heads on trained embeddings, untrained"
)

# %% tags=["remove-cell"]
SIMILAR = [r for r in RELATIONS if "similarity" in r]
PAIRING = [r for r in RELATIONS if r not in SIMILAR]
for name in NAMES:
    for kind, table in (("", trained[name]), ("untrained-", fresh[name]), ("random-", drawn[name])):
        hits = table[(table["p_holm"] < 0.05) & table["relation"].isin(PAIRING)]
        n_lists = len(hits[["matrix", "layer", "head"]].drop_duplicates())
        glue(f"heads-{kind}{name.removeprefix('polish-') if kind else name}-any", n_lists, display=False)
        if kind != "untrained-":
            alike = table[table["relation"].isin(SIMILAR) & (table["p_holm"] < 0.05)]
            glue(f"heads-{kind}{name}-similar", len(alike[["matrix", "layer", "head"]].drop_duplicates()), display=False)
    most = passing(trained[name])[PAIRING]
    glue(f"heads-{name}-most", RELATIONS[most.idxmax()] if most.max() else "none", display=False)
    glue(f"heads-{name}-most-count", int(most.max()), display=False)
for name in NAMES:
    for relation in SIMILAR:
        values = [t[name].loc[t[name]["relation"] == relation, "excess"].dropna() for t in (trained, drawn)]
        gain = statistics.difference_interval(*values)
        text = f"{gain.estimate:+.3f} (95 % interval over lists {gain.low:+.3f} to {gain.high:+.3f})"
        glue(f"heads-{name}-{relation}-gain", text, display=False)
n_heads = gpt2.weights.n_layers * gpt2.weights.n_heads
glue("heads-count", n_heads, display=False)
glue("heads-tested", 2 * n_heads, display=False)

# %% [markdown]
# ## Where in depth
#
# Means over the heads of a layer, with bootstrap intervals over heads, on one axis for both models and beside random heads on their embeddings. Layers are placed by relative depth, because
# the models a reader puts in may have different numbers of them.

# %%
def profile(table, model):
    """Mean excess by layer with a bootstrap interval over heads."""
    rows = []
    for (relation, layer), part in table.groupby(["relation", "layer"]):
        values = part["excess"].dropna()
        if len(values) > 1:
            mean, low, high = statistics.bootstrap_interval(values, n_resamples=1000)
            rows.append((relation, model, layer / max(1, table["layer"].max()), mean, low, high))
    return pd.DataFrame(rows, columns=["relation", "model", "depth", "mean", "low", "high"])


LINES = {
    "GPT-2": (plots.MODEL_COLOURS["polish-gpt2"], "-"),
    "HerBERT": (plots.MODEL_COLOURS["herbert"], "-"),
    "GPT-2, random heads": (plots.MODEL_COLOURS["untrained"], ":"),
    "HerBERT, random heads": (plots.MODEL_COLOURS["permuted"], ":"),
}

# %% tags=["hide-input"]
def profiles(matrix):
    """Profiles of trained and random heads for one matrix."""
    tables = {NAMES[n]: trained[n] for n in NAMES} | {f"{NAMES[n]}, random heads": drawn[n] for n in NAMES}
    return pd.concat([profile(t[t["matrix"] == matrix], title) for title, t in tables.items()])


# %% tags=["hide-input"] mystnb={"figure": {"caption": "VO: excess over the null by depth; bands are 95 % bootstrap intervals over the heads of a layer.", "name": "fig-heads-depth-vo"}, "image": {"alt": "Eight panels of lines from the first to the last layer, trained models in colour and random heads dotted."}}
plots.depth_profiles(profiles("VO"), RELATIONS, LINES, "excess");

# %% tags=["hide-input"] mystnb={"figure": {"caption": "QK: excess over the null by depth; bands are 95 % bootstrap intervals over the heads of a layer.", "name": "fig-heads-depth-qk"}, "image": {"alt": "Eight panels of lines from the first to the last layer, trained models in colour and random heads dotted."}}
plots.depth_profiles(profiles("QK"), RELATIONS, LINES, "excess");

# %% [markdown]
# ## Copying
#
# A head copies when attending to a token promotes that token. Two measures: the share of a list, same forms allowed, in which both tokens are one form; and
# the copying score of {cite:t}`elhage2021`, $\sum_i \mathrm{Re}\,\lambda_i / \sum_i |\lambda_i|$ over the eigenvalues of VO, which needs only a
# $d_\mathrm{head} \times d_\mathrm{head}$ matrix. Positive eigenvalues do not prove copying; an untrained model says how far they stray by chance. And the raw
# score has a trap: trained embeddings share a mean, and one eigenvalue along it can outweigh all others. Removing the mean over the vocabulary from the unembedding
# changes no probability, since softmax does not see a constant; the figure shows the score with the means removed, and the text says what the raw score would have claimed.

# %%
def copying(reader, matrices, model):
    """Both measures for every head."""
    lists = pairs_of(reader, VO, matrices, grouped=False, **READINGS["VO", "unit"][1])
    groups = reader.vocabulary.form_groups
    share = [float((groups[p.left_ids] == groups[p.right_ids]).mean()) for p in lists.values()]
    where = pd.DataFrame(list(lists), columns=["layer", "head"])
    raw, centred = (circuits.copying_scores(matrices, centre=c).ravel() for c in (False, True))
    return where.assign(model=model, same_form=share, raw=raw, centred=centred)


copies = pd.concat([copying(r, r.weights, r.title) for r in readers.values()])
copies_fresh = pd.concat([copying(r, r.untrained, r.title) for r in readers.values()])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Copying score by eigenvalues, means over the vocabulary removed: a column of points a layer, one point a head; crosses are untrained models of the same shape.", "name": "fig-heads-copying"}, "image": {"alt": "Points between minus one and one for each layer of GPT-2 and HerBERT, crosses of untrained models around zero."}}
plots.points_by_layer(copies, copies_fresh, "centred", "copying score", {t: plots.MODEL_COLOURS[n] for n, t in NAMES.items()});

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of same-form pairs among a head's 200 best VO pairs when such pairs are allowed; crosses are untrained models.", "name": "fig-heads-sameform"}, "image": {"alt": "Points from zero to one for each layer of GPT-2 and HerBERT."}}
plots.points_by_layer(copies, copies_fresh, "same_form", "share of same-form pairs", {t: plots.MODEL_COLOURS[n] for n, t in NAMES.items()});

# %% tags=["remove-cell"]
for name, title in NAMES.items():
    part, none = copies[copies["model"] == title], copies_fresh[copies_fresh["model"] == title]
    best = part.loc[part["same_form"].idxmax()]
    glue(f"heads-{name}-copy-head", f"layer {int(best['layer']) + 1}, head {int(best['head'])}", display=False)
    glue(f"heads-{name}-copy-share", float(best["same_form"]), display=False)
    glue(f"heads-{name}-copy-beyond", int((part["centred"] > none["centred"].max()).sum()), display=False)
    glue(f"heads-{name}-copy-below", int((part["centred"] < none["centred"].min()).sum()), display=False)
    glue(f"heads-{name}-copy-raw", f"{part['raw'].mean():.2f}", display=False)
    glue(f"heads-{name}-copy-centred", f"{part['centred'].mean():.2f}", display=False)

# %% [markdown]
# In GPT-2, {glue:text}`heads-polish-gpt2-copy-beyond` of {glue:text}`heads-count` heads score above every head of the untrained model and
# {glue:text}`heads-polish-gpt2-copy-below` below every one (they lower what they attend to); in HerBERT {glue:text}`heads-herbert-copy-beyond` and
# {glue:text}`heads-herbert-copy-below`. Mean scores over heads are {glue:text}`heads-polish-gpt2-copy-centred` and {glue:text}`heads-herbert-copy-centred`; raw, with the
# common means left in, {glue:text}`heads-polish-gpt2-copy-raw` and {glue:text}`heads-herbert-copy-raw`. The list with the most same-form pairs is that of
# {glue:text}`heads-polish-gpt2-copy-head` in GPT-2 ({glue:text}`heads-polish-gpt2-copy-share:.0%`) and of
# {glue:text}`heads-herbert-copy-head` in HerBERT ({glue:text}`heads-herbert-copy-share:.0%`).
#
# ## Does one reading say what another says?
#
# A claim such as "this head relates forms of a word" should hold on every reading. The table counts, for each reading of VO, the heads whose lists beat the null
# after correction over heads, and the heads that do so on all three.

# %%
def lemma_heads(name, reading):
    """Heads whose VO pairs share a lemma more often than permuted ones, corrected over heads."""
    table = corrected({"VO": describe(readers[name], pairs[name, "VO", reading], similarity=False)})
    hits = table[(table["relation"] == "same_lemma") & (table["p_holm"] < 0.05)]
    return {(int(layer) + 1, int(head)) for layer, head in zip(hits["layer"], hits["head"], strict=True)}


rows = {}
for name in NAMES:
    sets = {reading: lemma_heads(name, reading) for reading in ("raw", "layer-normed", "unit")}
    rows[NAMES[name]] = {k: len(v) for k, v in sets.items()} | {"all three": len(set.intersection(*sets.values()))}
pd.DataFrame(rows).T.style.set_caption("Heads whose VO lists relate forms of a lemma, by reading")

# %% [markdown]
# ## What the original filter throws away
#
# The original notebooks kept ASCII tokens only. Polish has nine letters outside ASCII (ą ć ę ł ń ó ś ź ż), and a byte-level tokenizer writes even more of
# its tokens with non-ASCII signs. Share of tokens that the filter removes, and share of our top pairs that it would have hidden:

# %%
lost = {}
for name, reader in readers.items():
    ascii_only = reader.vocabulary.keep(words=True, whole_words=True, ascii_only=True)
    found = pairs[name, "VO", "unit"].values()
    hidden = np.mean([~(ascii_only[p.left_ids] & ascii_only[p.right_ids]) for p in found])
    lost[reader.title] = {"whole-word tokens removed": 1 - ascii_only.sum() / reader.whole.sum(), "top VO pairs hidden": hidden}
    glue(f"heads-{name}-ascii", float(hidden), display=False)
pd.DataFrame(lost).T.style.format("{:.1%}").set_caption("What an ASCII filter removes")

# %% [markdown]
# ## Do the tables predict what heads write?
#
# A table is a claim about weights. The test on text: at every place of {glue:text}`heads-n-sentences` sentences written for this book, take the token that a head attends to most;
# its row of VO predicts 50 tokens. How many of them are among the 50 tokens that the head's actual output raises most? The control gives each place the prediction of
# another place, so lists that always hold the same tokens gain nothing. Reading: layer-normed embeddings, raw unembedding, since that is what the output is projected with.

# %%
def normed(matrices, layer, head):
    """VO factors in the layer-normed reading."""
    return VO(matrices, layer, head, embedding="layer_norm")


texts = sentences()
recalled = pd.concat(
    [recall.head_recall(r.loaded, texts, normed).assign(model=r.title) for r in readers.values()], ignore_index=True
)
glue("heads-n-sentences", len(texts), display=False)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Recall of a head's predicted tokens among those its output raises most, against the permuted control; a point a head, bars are 95 % bootstrap intervals over sentences. On the line, the table says nothing about the place.", "name": "fig-heads-recall"}, "image": {"alt": "Scatter of recall against control for the heads of GPT-2 and HerBERT, with the diagonal."}}
by_title = {t: plots.MODEL_COLOURS[n] for n, t in NAMES.items()}
plots.against_control(recalled, by_title, "recall with permuted places (share of 50)", "recall (share of 50)");

# %% tags=["remove-cell"]
for name, title in NAMES.items():
    part = recalled[recalled["model"] == title]
    glue(f"heads-{name}-recall", float(part["recall"].mean()), display=False)
    glue(f"heads-{name}-recall-n", int(part["recall"].notna().sum()), display=False)
    glue(f"heads-{name}-control", float(part["control"].mean()), display=False)
    interval = statistics.bootstrap_interval(part["excess"].dropna())
    glue(f"heads-{name}-recall-excess", f"{interval.estimate:.3f} (95 % interval over heads {interval.low:.3f} to {interval.high:.3f})", display=False)

# %% [markdown]
# The excess over the control is {glue:text}`heads-polish-gpt2-recall-excess` in GPT-2 and {glue:text}`heads-herbert-recall-excess` in HerBERT. A row of a table knows the attended
# *token*; a head reads the attended *state*, and the deeper the layer the more the two differ. Places whose most attended token is special are left out, which takes away
# heads of HerBERT that rest on `<s>` or `</s>`.
#
# The same question for feed-forward values, as {cite:t}`dar2022` put it: the most active value of each place against the hidden state after its block.

# %%
values = pd.concat([recall.value_recall(r.loaded, texts).assign(model=r.title) for r in readers.values()])
shown = values.assign(layer=values["layer"] + 1)[["model", "layer", "recall", "low", "high", "control", "n_places"]]
shown.style.hide(axis="index").format(precision=3).set_caption("Recall of the most active value among the hidden state's top 50 tokens")

# %% [markdown]
# ## What the original notebooks did, and where this differs
#
# - HerBERT's $W_O$ was cut into heads along the wrong axis, so its VO tables belong to no head; {doc}`models` shows the error, and a test keeps it.
# - GPT-2's QK tables were decoded with HerBERT's tokenizer. Here a list carries its model and tokenizer.
# - A threshold search returned between none and hundreds of thousands of pairs, filtered afterwards; `top_pairs` filters first and is exact.
# - Six of sixteen heads, ASCII tokens, raw weights, no null. Here all heads, all Polish letters, three readings, permuted and untrained nulls.
#
# ## Limits
#
# The embedded models are small and briefly trained on old prose and textbooks; `ANALYSIS_MODELS=hub make book` asks the same of the published ones. Readings of
# Morfeusz are out of context, so agreement is an upper bound. Permuting within a list cannot see that a list is all nouns: that is what the similarity of columns is for.
# Heads of one layer are not independent samples, so the bands by depth describe this model, not models in general. Biases and positions are left out of all tables.
