# %% [markdown]
# # Attention heads in vocabulary space
#
# **Question.** A head has two matrices. $W_{VO}$ says which tokens become more likely when the head attends to a token, and $W_{QK}$ says which tokens look for which. Both can be
# written as tables over the vocabulary {cite}`dar2022`. Do those tables relate words by grammar or meaning, and is that the work of the head?
#
# **What was found**
#
# - Of the {glue:text}`heads-tested` tables of each model, {glue:text}`heads-polish-gpt2-any` of GPT-2 and {glue:text}`heads-herbert-any` of HerBERT pair words by grammar or meaning more often than
#   chance does. Random heads on the same embeddings reach {glue:text}`heads-random-gpt2-any` and {glue:text}`heads-random-herbert-any`, so a table of this kind is no evidence of what a head has
#   learned unless it beats that null as well.
# - The words in one column of a table are alike, in trained heads only a little more than in random ones ({numref}`fig-heads-excess`). A trained embedding groups words by itself.
# - A table predicts little of what its head writes on text: recall exceeds that of permuted places by {glue:text}`heads-polish-gpt2-recall-excess` in GPT-2 and
#   {glue:text}`heads-herbert-recall-excess` in HerBERT.
#
# Square brackets hold 95% intervals.

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import Markdown

from analysis_lib import circuits, models, plots, projections, report, statistics, weights
from analysis_lib.projections import head_lists, recall
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import correct_together
from analysis_lib.texts import glossary, sentences

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in TITLES.items()}

# %% [markdown]
# ## The two tables of a head
#
# With rows as vectors, $W_E$ the embedding and $W_U$ the unembedding,
#
# $$\mathrm{VO} = W_E\, W_V W_O\, W_U, \qquad \mathrm{QK} = W_E\, W_Q W_K^\top\, W_E^\top .$$
#
# Entry $(a, b)$ of VO is the logit that attending to token $a$ gives to token $b$; entry $(a, b)$ of QK is the score of query $a$ for key $b$. Such a table has as many entries as the
# vocabulary squared, and none is ever formed: `top_pairs` finds its largest entries exactly from two thin factors.
#
# Only tokens that can stand as whole words and that the dictionary of Morfeusz {cite}`kieras2017` knows are kept: {glue:text}`heads-polish-gpt2-kept` of
# {glue:text}`heads-polish-gpt2-vocab` in GPT-2, {glue:text}`heads-herbert-kept` of {glue:text}`heads-herbert-vocab` in HerBERT. Pairs of one form (*Dom*, *dom*) are left out. Layers and
# heads count from 0, so that L0H3 is the fourth head of the first layer. The figures of this page come from {glue:text}`heads-polish-gpt2-label` and {glue:text}`heads-herbert-label`, each
# decoded by its own tokenizer.

# %%
readers = {title: Reader.of(models.load(name)) for name, title in TITLES.items()}
gpt2 = readers["GPT-2"]
factors = projections.vo_factors(gpt2.weights, layer=0, head=3, embedding="layer_norm", unembedding="unit")
found = projections.top_pairs(*factors, 6, gpt2.keep, gpt2.keep, gpt2.vocabulary.form_groups)
report.table(found.to_frame(gpt2.vocabulary)[["left", "right", "score"]], "GPT-2, VO of L0H3: the six best pairs (left token → right token)")

# %% tags=["remove-cell"]
for name, title in TITLES.items():
    reader = readers[title]
    about = {"label": reader.loaded.label, "kept": report.number(int(reader.keep.sum())), "vocab": report.number(reader.weights.d_vocab)}
    report.glue_frame(pd.Series(about), f"heads-{name}")

# %% [markdown]
# Each table is read in two ways: from the **raw** weights, as in the literature, and from embeddings **layer-normed** as the layer reads them. For VO the second reading has **unit** unembeddings besides,
# so that a token of large norm cannot own a list. For every head the 200 best pairs are listed in both readings. Tests use the second one, which was chosen beforehand.

# %%
TESTED = {"VO": "unit", "QK": "layer-normed"}
READINGS = [("VO", "raw"), ("VO", "unit"), ("QK", "raw"), ("QK", "layer-normed")]
lists = {
    (title, *reading): head_lists.head_pairs(reader, *reading, k=200, n_jobs=2)
    for title, reader in readers.items()
    for reading in READINGS
}

# %% [markdown]
# ## What the pairs are
#
# Each list is described by shares: pairs of **one lemma** (dictionary form) in different forms, of one **part of speech**, agreeing in **case**, **number** or **person**, or a **preposition with a
# noun**. Two more figures are the mean cosine of embeddings **within the left** and **within the right column**. Out of context Polish forms are ambiguous, so two words agree when some
# reading of one fits some reading of the other. Chance agreement is therefore common, and each figure needs its null:
#
# - The right column is permuted within the list, which keeps both columns. Where a few tokens fill a list, permuting changes little; the test then loses power but stays valid.
# - The similarity of a column is compared with that of random tokens of like frequency.
#
# A test goes on until chance has done as well 20 times {cite}`besag1991`, at most for 20,000 permutations (2,000 draws for similarities). Beyond that the tail of the null is extrapolated as an exponential, which errs
# on the large side for counts and sums ({cite:t}`knijnenburg2009` fit a generalised Pareto tail). All p-values of the page form one family: both models, all lists, all eight figures. Holm's method
# bounds the chance of one false finding or more among these {glue:text}`heads-family` tests by 5%.
#
# Two controls without learned heads are analysed in the same way, each as a family of its own. An **untrained** model has fresh embeddings too. **Random heads** are matrices drawn from a normal
# distribution between the *trained* embeddings.

# %%
PAIRINGS = {
    "same_lemma": "one lemma",
    "same_pos": "part of speech",
    "same_case": "case",
    "same_number": "number",
    "same_person": "person",
    "preposition_noun": "preposition, noun",
}
SIMILARITIES = {"left_similarity": "similar left tokens", "right_similarity": "similar right tokens"}


def family(source, **other):
    """What all lists of both models relate, corrected together; `other` weights in place of the trained ones."""
    tables = {}
    for title, reader in readers.items():
        found = {
            m: head_lists.head_pairs(reader, m, r, other[title], n_jobs=2) if other else lists[title, m, r] for m, r in TESTED.items()
        }
        tables[title] = head_lists.describe_lists(reader, found, names=list(PAIRINGS), n_jobs=2)
    return correct_together(tables).assign(source=source)


# %%
trained = family("trained")
random = family("random heads", **{title: reader.random_heads(seed=0) for title, reader in readers.items()})
untrained = family("untrained", **{title: reader.untrained(seed=0) for title, reader in readers.items()})

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Excess over the null of every list: share of pairs, or mean cosine for the last two rows. One point for each head and matrix, filled where it passes after correction over all lists and figures; bars are medians. A row where the trained points do not lie to the right of those of random heads shows nothing that the heads have learned.", "name": "fig-heads-excess"}, "image": {"alt": "Two panels, GPT-2 and HerBERT, with eight rows each. In the six rows of pairings most points of trained heads, random heads and untrained models lie around zero. In the two rows of similar tokens the points of trained and of random heads lie to the right of zero and those of untrained models at zero."}}
everything = pd.concat([trained, random, untrained])
shades = {
    title: {"trained": COLOURS[title], "random heads": plots.MODEL_COLOURS["permuted"], "untrained": plots.MODEL_COLOURS["untrained"]}
    for title in readers
}
plots.excesses({title: everything[everything["model"] == title] for title in readers}, PAIRINGS | SIMILARITIES, shades, "excess over the null");

# %%
sources = {"trained": trained, "random heads": random, "untrained": untrained}
counts = pd.concat({source: head_lists.passing_lists(table, PAIRINGS) for source, table in sources.items()}, axis=1).swaplevel(axis=1)
counts = counts.sort_index(axis=1, level=0, sort_remaining=False)
counts.columns = [", ".join(label) for label in counts.columns]
report.table(counts, "Lists that pass, by relation, model and source", index=True)

# %% tags=["remove-cell"]
any_of = {source: head_lists.passing_lists(table, PAIRINGS).loc["any of these"] for source, table in sources.items()}
for name, title in TITLES.items():
    short = name.removeprefix("polish-")
    report.glue(f"heads-{name}-any", any_of["trained"][title])
    report.glue(f"heads-random-{short}-any", any_of["random heads"][title])
    report.glue(f"heads-untrained-{short}-any", any_of["untrained"][title])
    for relation in SIMILARITIES:
        values = [table.loc[(table["model"] == title) & (table["relation"] == relation), "excess"].dropna() for table in (trained, random)]
        gain = statistics.difference_interval(*values)
        report.glue(f"heads-{name}-{relation}-gain", report.interval(*gain, digits=3, signed=True))
report.glue("heads-family", len(trained))
report.glue("heads-tested", len(trained) // len(readers) // len(PAIRINGS | SIMILARITIES))

# %% [markdown]
# The lists that pass, with their first pairs, are these. The column *raw excess* says what the same head shows when the weights are read raw: a claim such as "this head relates forms of a word"
# should not depend on the reading.

# %%
tested = {title: {m: lists[title, m, r] for m, r in TESTED.items()} for title in readers}
raw = {title: {m: lists[title, m, "raw"] for m in TESTED} for title in readers}
passing = head_lists.passing_table(trained, readers, tested, raw, list(PAIRINGS))
passing["relation"] = passing["relation"].map(PAIRINGS)
report.table(
    passing.rename(columns={"other excess": "raw excess"}),
    "Lists that pair words more often than permuted lists do (p corrected over all lists and figures of both models)",
    formats={"p": lambda p: report.p_value(p, bare=True)},
)

# %% tags=["hide-input"]
GLOSSES = glossary()
words = sorted({word for cell in passing["pairs"] for word in cell.lower().replace(" → ", " ").replace(", ", " ").split()} & set(GLOSSES))
Markdown("In these pairs: " + "; ".join(f"*{word}* {GLOSSES[word]}" for word in words))

# %% [markdown]
# What a *column* holds departs from chance more clearly than how it is paired, but most of that is the embedding's. Tokens on the right of a trained head's list are more alike than those of random heads by a cosine of
# {glue:text}`heads-polish-gpt2-right_similarity-gain` in GPT-2 and {glue:text}`heads-herbert-right_similarity-gain` in HerBERT; on the left the differences are
# {glue:text}`heads-polish-gpt2-left_similarity-gain` and {glue:text}`heads-herbert-left_similarity-gain` (means over lists).
#
# ## Where in depth
#
# A layer has few heads, so the bands are Student's t intervals over them. Layers are placed by relative depth, because the models a reader puts in may have different numbers of them.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Excess cosine within the left and the right column by depth: trained heads and random heads. Bands are 95% t intervals over the heads of a layer.", "name": "fig-heads-depth"}, "image": {"alt": "Four panels, VO and QK, left and right column. Lines from the first to the last layer for GPT-2 and HerBERT, random heads dotted."}}
profiles = pd.concat(
    [
        head_lists.layer_means(table[table["model"] == title]).assign(model=title + suffix)
        for table, suffix in ((trained, ""), (random, ", random heads"))
        for title in readers
    ]
)
profiles["panel"] = profiles["matrix"] + " " + profiles["relation"]
panels = {f"{m} {r}": f"{m}, {label}" for m in TESTED for r, label in SIMILARITIES.items()}
lines = {title + suffix: (colour, style) for suffix, style in (("", "-"), (", random heads", ":")) for title, colour in COLOURS.items()}
plots.depth_profiles(profiles, panels, lines, "excess cosine");

# %% [markdown]
# ## Hubs, and what the layer norm changes
#
# A list of 200 pairs can hold 400 tokens or 30. Few distinct tokens mean that hubs, tokens of large norm or close to the mean of all embeddings, fill the list whatever the head does. The recipes bound
# the norms of embeddings while training ({doc}`models`), because without a bound word beginnings owned every raw list; a published model was trained without such a bound.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Distinct tokens on the left of each head's list of 200 pairs: one point for each head, the bar at the median. Few distinct tokens mean that the list belongs to hubs.", "name": "fig-heads-distinct"}, "image": {"alt": "Rows of points for GPT-2 and HerBERT, each matrix in its readings. Points spread from a few tokens to two hundred in every row."}}
distinct = {" ".join(key): head_lists.distinct_left(found) for key, found in lists.items()}
plots.strips(distinct, "distinct left tokens in a list of 200 pairs", {label: COLOURS[label.split()[0]] for label in distinct});

# %% [markdown]
# GPT-2 reads the residual stream through a layer norm whose gain and centring can be folded into the weights. (For HerBERT, whose norms stand on the stream itself, `weights.extract` refuses and says
# why.) The Jaccard index of a head's 50 best pairs before and after folding, mean over heads:

# %%
folded = weights.extract(gpt2.loaded, fold_layer_norm=True)
kept = {}
for matrix in TESTED:
    new = head_lists.head_pairs(gpt2, matrix, "raw", folded, k=50, n_jobs=2)
    old = {head: projections.TopPairs(*(part[:50] for part in pairs)) for head, pairs in lists["GPT-2", matrix, "raw"].items()}
    kept[matrix] = statistics.bootstrap_interval([projections.pairs_jaccard(old[head], new[head]) for head in old])
report.table(pd.Series(kept, name="Jaccard index").rename_axis("matrix").reset_index(), "GPT-2: raw and folded lists, intervals over heads")

# %% [markdown]
# Raw and folded weights are different readings, and a table has to say which one it shows.
#
# ## Copying
#
# A head copies when attending to a token promotes that token. The copying score of {cite:t}`elhage2021`, $\sum_i \mathrm{Re}\,\lambda_i / \sum_i |\lambda_i|$ over the eigenvalues of VO, needs only a
# $d_\mathrm{head} \times d_\mathrm{head}$ matrix. Positive eigenvalues do not prove copying, and an untrained model says how far they stray by chance. The raw score has a trap: trained embeddings
# share a mean, and one eigenvalue along it can outweigh all others. Removing the mean over the vocabulary from the unembedding changes no probability, since softmax does not see a constant.

# %%
def copying(matrices, title):
    """Copying scores of every head, with the means over the vocabulary removed and with them left in."""
    centred, raw = (circuits.copying_scores(matrices, centre=centre) for centre in (True, False))
    layer, head = np.indices(centred.shape)
    return pd.DataFrame({"model": title, "layer": layer.ravel(), "head": head.ravel(), "centred": centred.ravel(), "raw": raw.ravel()})


copies = pd.concat([copying(reader.weights, title) for title, reader in readers.items()])
copies_fresh = pd.concat([copying(reader.untrained(seed=0), title) for title, reader in readers.items()])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Copying score by eigenvalues, means over the vocabulary removed: one point for each head above its layer; crosses are untrained models of the same shape.", "name": "fig-heads-copying"}, "image": {"alt": "Points between minus one and one for each layer of GPT-2 and HerBERT, crosses of untrained models around zero."}}
plots.points_by_layer(copies, copies_fresh, "centred", "copying score", COLOURS);

# %% tags=["hide-input"]
fresh_range = copies_fresh.groupby("model")["centred"].agg(["min", "max"])
rows = {}
for title, part in copies.groupby("model", sort=False):
    low, high = fresh_range.loc[title]
    rows[title] = {
        "heads": len(part),
        "above every untrained head": int((part["centred"] > high).sum()),
        "below every untrained head": int((part["centred"] < low).sum()),
        "mean score": report.number(part["centred"].mean()),
        "with the common means left in": report.number(part["raw"].mean()),
    }
report.table(pd.DataFrame.from_dict(rows, orient="index", dtype=object).rename_axis("model").reset_index(), "Copying scores of all heads")

# %% [markdown]
# Heads below every untrained head lower the logit of what they attend to. The last column shows how much the common means alone would move the score.
#
# ## What the original filter throws away
#
# The original notebooks kept ASCII tokens only. Polish has nine letters outside ASCII (ą ć ę ł ń ó ś ź ż), and a byte-level tokenizer writes even more of its tokens with non-ASCII signs.

# %%
rows = {}
for title, reader in readers.items():
    whole, plain = (reader.vocabulary.keep(words=True, whole_words=True, ascii_only=ascii_only) for ascii_only in (False, True))
    hidden = head_lists.hidden_share(lists[title, "VO", "unit"], plain)
    rows[title] = {"whole-word tokens removed": report.percent(1 - plain.sum() / whole.sum()), "top VO pairs hidden": report.percent(hidden)}
report.table(pd.DataFrame(rows).T.rename_axis("model").reset_index(), "What an ASCII filter removes")

# %% [markdown]
# ## Do the tables predict what heads write?
#
# A table is a claim about weights, and text can test it. At every place of {glue:text}`heads-n-sentences` sentences written for this book, take the token that a head attends to most; its row of VO
# predicts 50 tokens. How many of them are among the 50 tokens that the head's actual output raises most? The controls give each place the prediction of another place, so lists that always hold the same
# tokens gain nothing: a place anywhere, or a place of the same sentence. Only the second also keeps the sentence's topic, and the excess is taken over it. The reading is layer-normed
# embeddings with the raw unembedding, since that is what the output is projected with.

# %%
def layer_normed(matrices, layer, head):
    """VO factors in the layer-normed reading."""
    return projections.vo_factors(matrices, layer, head, embedding="layer_norm")


texts = sentences()
recalled = pd.concat([recall.head_recall(r.loaded, texts, layer_normed).assign(model=title) for title, r in readers.items()])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Recall of a head's predicted tokens among those its output raises most, against two permuted controls: one point for each head, bars are 95% bootstrap intervals over sentences. On the line, the table says nothing about the place.", "name": "fig-heads-recall"}, "image": {"alt": "Two scatter plots of recall against control for the heads of GPT-2 and HerBERT, with the diagonal. Left: places permuted within sentences. Right: places permuted across all sentences."}}
controls = {"control": "recall, places permuted\nwithin sentences", "control_anywhere": "recall, places permuted\nacross sentences"}
plots.against_control(recalled, COLOURS, controls, "recall (share of 50)");

# %% tags=["hide-input"]
tests = recalled.dropna(subset="recall").assign(excess_anywhere=lambda t: t["recall"] - t["control_anywhere"])
columns = {"recall": "recall", "control": "within sentences", "control_anywhere": "anywhere"}
means = tests.groupby("model", sort=False)[list(columns)].mean().rename(columns=columns)
for column, label in (("excess", "excess over within"), ("excess_anywhere", "excess over anywhere")):
    means[label] = [statistics.t_interval(part[column]) for _, part in tests.groupby("model", sort=False)]
means["heads"] = tests.groupby("model", sort=False).size()
report.table(means.reset_index(), "Recall and its two controls, means over the heads that can be tested, t intervals over heads", digits=3)

# %% tags=["remove-cell"]
report.glue("heads-n-sentences", len(texts))
for name, title in TITLES.items():
    report.glue(f"heads-{name}-recall-excess", report.interval(*means.loc[title, "excess over within"], digits=3))

# %% [markdown]
# A row of a table knows the attended *token*, whereas a head reads the attended *state*, and the deeper the layer the more the two differ. Places whose most attended token is special are left out, which
# takes away heads of HerBERT that rest on `<s>` or `</s>`.
#
# The same question for feed-forward values, as {cite:t}`dar2022` put it: the most active value of each place against the hidden state after its block.

# %%
values = pd.concat([recall.value_recall(r.loaded, texts).assign(model=title) for title, r in readers.items()])
values["recall, interval over sentences"] = [statistics.Interval(*row) for row in values[["recall", "low", "high"]].to_numpy()]
shown = values.rename(columns={"control": "within sentences", "control_anywhere": "anywhere", "n_places": "places"})
report.table(
    shown[["model", "layer", "recall, interval over sentences", "within sentences", "anywhere", "places"]],
    "Recall of the most active value among the hidden state's top 50 tokens, beside permuted places",
    digits=3,
)

# %% [markdown]
# ## What the original notebooks did, and where this differs
#
# - HerBERT's $W_O$ was cut into heads along the wrong axis, so its VO tables belong to no head; {doc}`models` shows the error, and a test keeps it.
# - GPT-2's QK tables were decoded with HerBERT's tokenizer. Here a list carries its model and tokenizer.
# - A threshold search returned between none and hundreds of thousands of pairs, which were filtered afterwards; `top_pairs` filters first and is exact.
# - Six of sixteen heads were shown, with ASCII tokens, raw weights and no null. Here all heads are analysed, with all Polish letters, two readings of each table, and permuted, random and untrained nulls.
#
# ## Limits
#
# The embedded models are small and were trained briefly on old prose and textbooks; `ANALYSIS_MODELS=hub make book` asks the same of the published ones. Readings of Morfeusz are out of context, so
# agreement is an upper bound. Permuting within a list cannot see that a list is all nouns, which is what the similarity of columns is for. One draw of random heads stands for all. Heads of one layer are
# not independent samples, so the bands by depth describe this model and not models in general. Biases and positions are left out of all tables.
