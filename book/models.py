# %% [markdown]
# # Two Polish models
#
# **What are the two models whose weights this book reads, how good are they, and can their weights be trusted to be what we say they
# are?**
#
# - `polish-gpt2-mini` is a GPT-2 of {glue:text}`models-gpt2-layers` layers with {glue:text}`models-gpt2-heads` heads each and
#   {glue:text}`models-gpt2-parameters:.1f` million parameters, trained for this book on {glue:text}`models-gpt2-tokens:.1f` million
#   tokens of Polish novels and textbooks. On documents it never saw its loss is {glue:text}`models-gpt2-loss:.2f` nats a token (95 %
#   interval {glue:text}`models-gpt2-loss-low:.2f` to {glue:text}`models-gpt2-loss-high:.2f`); always guessing by frequency costs
#   {glue:text}`models-gpt2-unigram:.2f`, an untrained model {glue:text}`models-gpt2-untrained:.2f`.
# - `herbert-mini` is a BERT of the same size with HerBERT's kind of tokenizer, trained on {glue:text}`models-herbert-tokens:.1f` million
#   tokens to guess hidden words. Its loss on a hidden token is {glue:text}`models-herbert-loss:.2f` nats
#   ({glue:text}`models-herbert-loss-low:.2f` to {glue:text}`models-herbert-loss-high:.2f`) against
#   {glue:text}`models-herbert-unigram:.2f` by frequency; the hidden token is among its first ten guesses
#   {glue:text}`models-herbert-top10:.1f` % of the time ({glue:text}`models-herbert-top10-low:.1f` to
#   {glue:text}`models-herbert-top10-high:.1f`), against {glue:text}`models-herbert-unigram-top10:.1f` % for the ten most frequent tokens.
# - Attention rebuilt head by head from the extracted weights differs from what the models compute by at most
#   {glue:text}`models-identity-error:.1e` of the output's size: rounding. With HerBERT's output matrix split as an earlier notebook split
#   it, the difference is {glue:text}`models-wrong-split-error:.2f` times it.
#
# You will see the architectures, the training curves, how each tokenizer cuts Polish words, what the models write, and the check on the
# weights. The chapters on {doc}`feed-forward neurons <feed_forward>` and {doc}`attention heads <attention_heads>` build on it.

# %% tags=["hide-cell"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from myst_nb import glue

from analysis_lib import models, plots, statistics
from analysis_lib.models import cards
from analysis_lib.plots import diagrams

plots.use_style()
BLUE, ORANGE = plots.MODEL_COLOURS["polish-gpt2"], plots.MODEL_COLOURS["herbert"]
COLOURS = {"polish-gpt2": BLUE, "herbert": ORANGE}

# %% [markdown]
# ## The models
#
# A chapter asks for a *study name*. By default it gets the checkpoint that lies in the repository; with `ANALYSIS_MODELS=hub` it gets the
# published model. A label says which one this page was computed from: name, source, and the beginning of the SHA-256 of its weights.

# %%
gpt2 = models.load("polish-gpt2")
herbert = models.load("herbert")
print(gpt2.label, herbert.label, sep="\n")

# %% [markdown]
# The embedded models are small on purpose: they load at once, without a network, and every claim of this book can be recomputed on a
# laptop. They copy the architecture, not the size, of two published models, sdadas/polish-gpt2-medium {cite}`dadas_gpt2` and
# allegro/herbert-base-cased {cite}`mroczkowski2021`. The columns "published" are counted from those models' configurations.

# %% tags=["hide-input"]
table = {gpt2.identifier: gpt2.model, "published<br>GPT-2": cards.published_model("polish-gpt2")}
table |= {herbert.identifier: herbert.model, "published<br>HerBERT": cards.published_model("herbert")}
sizes = pd.DataFrame({name: cards.sizes(model) for name, model in table.items()})
shown = sizes.style.format(lambda n: f"{n:,}" if n < 100_000 else f"{n / 1e6:.2f} M")
shown.set_caption("Shapes, then numbers of parameters (M: millions).")

# %% tags=["remove-cell"]
for key, name in (("gpt2", gpt2.identifier), ("herbert", herbert.identifier)):
    for part in ("layers", "heads"):
        glue(f"models-{key}-{part}", int(sizes.loc[part, name]), display=False)
    glue(f"models-{key}-parameters", float(sizes.loc["all parameters", name] / 1e6), display=False)
    share = sizes.loc["token embedding", name] / sizes.loc["all parameters", name]
    glue(f"models-{key}-embedding-share", float(100 * share), display=False)

# %% [markdown]
# In both, the unembedding is the token embedding again (tied weights). In models this small most parameters are words:
# {glue:text}`models-gpt2-embedding-share:.0f` % of the GPT-2 and {glue:text}`models-herbert-embedding-share:.0f` % of the HerBERT-like
# model are the token embedding.
#
# What differs is where the layer norms stand ({numref}`fig-models-blocks`). GPT-2 {cite}`radford2019` is *pre-norm*: a module reads a
# normalised copy of the residual stream and adds to the stream itself, so that the gain of a layer norm can be multiplied into the
# weights that read through it. BERT {cite}`devlin2019` is *post-norm*: the sum of stream and module is normalised, which changes the
# stream for all later layers. That cannot be folded into any one matrix, and the library refuses to.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "One block of each architecture, read from the bottom up. The grey arrow is the residual stream; a plus adds a module's output to it. GPT-2's layer norms stand on the branches, HerBERT's on the stream.", "name": "fig-models-blocks"}, "image": {"alt": "Two block diagrams. In GPT-2 a branch leaves the residual stream, passes a layer norm and then attention or feed-forward, and is added back. In HerBERT the branch holds attention or feed-forward alone, and a layer norm stands on the stream after each addition."}}
figure, (left, right) = plt.subplots(1, 2, figsize=(5.6, 5.2))
diagrams.draw_block(left, "GPT-2: pre-norm", BLUE, True, ("token + position\nembedding", "layer norm,\nunembedding"))
diagrams.draw_block(right, "HerBERT: post-norm", ORANGE, False, ("embeddings,\nlayer norm", "dense, layer norm,\nunembedding"))

# %% [markdown]
# ## Data and training
#
# The text is Polish prose that may be passed on: novels of 1840 to 1939 from ELTeC-pol {cite}`eltec_pol`, and three OpenStax textbooks
# (psychology, micro- and macroeconomics). Polish spelling was reformed in 1936; novels in the old spelling were left out by a rule, so
# that one word has one spelling. Whole documents were held out, not sentences: a name that occurs in one novel only cannot leak.

# %% tags=["hide-input"]
summary = cards.corpus_summary()
pd.DataFrame(summary.items(), columns=["corpus", "number"]).style.format({"number": "{:,}"}).hide(axis="index")

# %% tags=["remove-cell"]
figures = {name: cards.figures(name) for name in COLOURS}
by_key = {"gpt2": figures["polish-gpt2"], "herbert": figures["herbert"]}
glue("models-words", float(summary["words for training"] / 1e6), display=False)
for key, found in by_key.items():
    glue(f"models-{key}-tokens", float(found["run"]["tokens"] / 1e6), display=False)
    glue(f"models-{key}-passes", float(found["run"]["tokens"] / found["run"]["train_tokens"]), display=False)
    glue(f"models-{key}-hours", float(found["run"]["seconds"] / 3600), display=False)

# %% tags=["remove-cell"]
for key, found in by_key.items():
    glue(f"models-{key}-unigram", float(found["unigram_heldout_loss"]), display=False)
    glue(f"models-{key}-untrained", float(found["untrained_heldout_loss"]), display=False)
    glue(f"models-{key}-under-unigram", float(found["under_unigram_entropy"]), display=False)
    for end, value in zip(("", "-low", "-high"), found["heldout_loss"], strict=True):
        glue(f"models-{key}-loss{end}", float(value), display=False)

# %% [markdown]
# The GPT-2 saw {glue:text}`models-gpt2-tokens:.1f` million tokens ({glue:text}`models-gpt2-passes:.2f` passes over the text,
# {glue:text}`models-gpt2-hours:.1f` hours), the HerBERT-like model {glue:text}`models-herbert-tokens:.1f` million
# ({glue:text}`models-herbert-passes:.2f` passes, {glue:text}`models-herbert-hours:.1f` hours). Muon {cite}`jordan2024` updates the
# matrices of the GPT-2's blocks, AdamW everything else.
#
# {numref}`fig-models-training` shows the loss on held-out text as training went on. The dashed line is the *unigram* loss: what a model
# pays that knows how frequent each token is in the training text and nothing else. A masked model lingers there: nothing can be learned
# from a context before some head looks at it. HerBERT-mini therefore begins with contexts of 16 tokens, which grow to 128. Its training
# loss belongs to the context of the moment; its held-out loss is always measured at 128.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss in nats a token (lower is better) against tokens seen. For GPT-2 the next token, for HerBERT a masked one. The held-out loss of this figure is that of a fixed small sample, measured while training; the table below has the whole held-out set.", "name": "fig-models-training"}, "image": {"alt": "Two panels of loss curves, one for each model, with a dashed line at the unigram loss."}}
figure, axes = plt.subplots(2, 1, figsize=(5.6, 5.6), sharex=True)
for axis, name in zip(axes, COLOURS, strict=True):
    plots.draw_training(axis, cards.training_log(name), COLOURS[name], figures[name]["unigram_heldout_loss"], name)
    axis.set_ylabel("loss [nats a token]")
axes[0].set_xlabel("");

# %% [markdown]
# ### Held-out loss
#
# With $p$ the probability that the model gives to the token that is there, the loss is $-\ln p$, averaged over held-out tokens; intervals
# are bootstraps over windows of text {cite}`efron1993`. A loss a token depends on how the tokenizer cuts; the same sum divided by words
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
cards.comparison(list(COLOURS), rows).style.set_caption("Held-out losses; 95 % intervals in parentheses.")

# %% [markdown]
# The two columns answer different questions: GPT-2 guesses the next token from what stands before it, the HerBERT-like model guesses a
# hidden token from both sides. *Whole words* are hidden, {glue:text}`models-herbert-mask-rate:.0f` % of them, so that no piece of a word
# gives the rest away, and its loss is an average over hidden tokens; its "nats a word" is that average times tokens a word, not the loss
# of a text.
#
# The GPT-2 is {glue:text}`models-gpt2-under-unigram:.2f` nats under the entropy of its tokens. We had set ourselves 2.9 nats as the mark
# of a model worth looking into, and {glue:text}`models-gpt2-aim` it.
#
# ### Does context help?
#
# A model that only knew frequencies would do equally well everywhere. The GPT-2's loss by the number of tokens that it has seen of a
# window ({numref}`fig-models-positions`) says how much of the text before it uses.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss of polish-gpt2-mini by position in the window, averaged over positions from each power of two to the next (lower is better). Dashed: the unigram loss.", "name": "fig-models-positions"}, "image": {"alt": "A line of held-out loss against the position in the window on a logarithmic axis, beside the dashed unigram loss."}}
by_position = np.array(figures["polish-gpt2"]["heldout_loss_by_position"])
starts = 2 ** np.arange(int(np.log2(len(by_position))))
means = np.add.reduceat(by_position, starts - 1) / np.diff([*(starts - 1), len(by_position)])
figure, axis = plt.subplots(figsize=(5.6, 3.2))
axis.plot(starts, means, "o-", color=BLUE)
axis.axhline(figures["polish-gpt2"]["unigram_heldout_loss"], color=plots.INK, ls="--", lw=1.2)
axis.set_xscale("log", base=2)
axis.set(xlabel="first position of the group [tokens]", ylabel="loss [nats a token]", xticks=starts, xticklabels=starts);

# %%
half = len(by_position) // 2
gain = statistics.difference_interval(by_position[half:], by_position[:8])

# %% tags=["remove-cell"]
for end, value in zip(("", "-low", "-high"), gain, strict=True):
    glue(f"models-gpt2-context-gain{end}", float(value), display=False)
glue("models-gpt2-half", int(half), display=False)
reached = figures["polish-gpt2"]["under_unigram_entropy"] >= 2.9
glue("models-gpt2-aim", "this model reached" if reached else "this model did not reach", display=False)
glue("models-herbert-mask-rate", float(100 * figures["herbert"]["mask_rate"]), display=False)

# %% [markdown]
# The loss beyond position {glue:text}`models-gpt2-half` minus the loss at the first eight positions is
# {glue:text}`models-gpt2-context-gain:+.2f` nats ({glue:text}`models-gpt2-context-gain-low:+.2f` to
# {glue:text}`models-gpt2-context-gain-high:+.2f`, bootstrap over positions). Below zero, context helps; how much of it is grammar from
# nearby and how much are names from far off, this figure does not say.
#
# ### Guessing hidden words
#
# For the HerBERT-like model a second figure is easier to read than a loss: how often the hidden token is its first guess, or among its
# first ten.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How often the hidden token of held-out text is among a model's first guesses, with 95 % intervals (higher is better). By frequency: the one, or ten, most frequent tokens are guessed every time.", "name": "fig-models-accuracy"}, "image": {"alt": "Shares of hidden tokens found by herbert-mini at one and ten guesses and for whole words, by frequency and by an untrained model, as points with intervals."}}
accuracy = cards.masked_accuracy("herbert")
figure, axis = plt.subplots(figsize=(5.6, 2.8))
for row, (label, share) in enumerate(accuracy.items()):
    colour = ORANGE if label.startswith("model") else plots.INK
    axis.plot([100 * share.low, 100 * share.high], [row, row], color=colour)
    axis.plot(100 * share.estimate, row, "o", color=colour)
axis.set(yticks=range(len(accuracy)), yticklabels=accuracy, xlabel="hidden tokens found [%]", xlim=(-1, None))
axis.invert_yaxis()

# %% tags=["remove-cell"]
for key, label in (("top1", "model, 1 guess"), ("top10", "model, 10 guesses"), ("unigram-top10", "by frequency, 10 guesses")):
    for end, value in zip(("", "-low", "-high"), accuracy[label], strict=True):
        glue(f"models-herbert-{key}{end}", float(100 * value), display=False)
found = figures["herbert"]["top10_whole_words"]
for end, value in zip(("", "-low", "-high"), found, strict=True):
    glue(f"models-herbert-top10-whole{end}", float(100 * value), display=False)

# %% [markdown]
# At one guess it finds {glue:text}`models-herbert-top1:.1f` %, at ten {glue:text}`models-herbert-top10:.1f` %; among words that are a
# single token {glue:text}`models-herbert-top10-whole:.1f` % ({glue:text}`models-herbert-top10-whole-low:.1f` to
# {glue:text}`models-herbert-top10-whole-high:.1f`) at ten. Pieces of longer words are harder, since the whole word is hidden.
#
# ## How words are cut
#
# The two models do not see the same units. GPT-2's tokenizer merges *bytes*, and marks a piece that begins a word (`Ġ` stands for the
# space before it). HerBERT's merges *characters*, and marks a piece that ends one (`</w>`). A letter such as *ś* is two bytes, so that
# the byte-level tokenizer writes `jeśli` ("if") as `ĠjeÅĽli`; one has to undo that before one looks for Polish letters.
# {numref}`fig-models-pieces` shows both cuts of the sentences that this chapter uses, with a hyphen where a marker says that a word goes
# on.

# %%
SENTENCES = {
    "A foal nibbled yellow grass by the river.": "Źrebię skubało żółtą trawę nad rzeką.",
    "I do not know whether it will rain tomorrow, but I shall not take an umbrella.":
        "Nie wiem, czy jutro będzie padać, ale nie wezmę parasola.",
    "The old clock on the church tower struck midnight.": "Stary zegar na wieży kościoła wybił północ.",
    "Mother was waiting for a letter that never came.": "Matka czekała na list, który nigdy nie nadszedł.",
    "Demand rises when the price falls.": "Popyt rośnie, gdy cena spada.",
}
texts = list(SENTENCES.values())

# %%
from analysis_lib.vocabulary import Vocabulary

vocabularies = {
    name: Vocabulary.from_tokenizer(loaded.tokenizer, loaded.model.config.vocab_size)
    for name, loaded in (("polish-gpt2", gpt2), ("herbert", herbert))
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Five sentences cut by the two tokenizers: byte-level BPE of polish-gpt2 (above, blue) and character BPE of HerBERT (below, orange). A hyphen stands where the marker says that the word goes on, before a piece for GPT-2 and after it for HerBERT. The English line is the translation.", "name": "fig-models-pieces"}, "image": {"alt": "Five Polish sentences, each twice as a row of boxes that hold the pieces of one tokenizer. Frequent words are one box, rare words two or three."}}
def pieces(text):
    return [v.labels(v.tokenizer(text, add_special_tokens=False).input_ids) for v in vocabularies.values()]


diagrams.draw_pieces([(english, pieces(polish)) for english, polish in SENTENCES.items()], [BLUE, ORANGE]);

# %% [markdown]
# The hyphens differ because the markers do: a byte-level piece says whether it *begins* a word and leaves open whether the word ends with
# it; a piece with `</w>` says that a word *ends* and leaves open whether it began there. A Vocabulary keeps both as "can start" and "can
# end" a word.
#
# ### The word *nie*
#
# That is more than spelling. *Nie* ("not", "no") is among the most frequent Polish words. One of the original notebooks looked its token
# up by its letters, `convert_tokens_to_ids("nie")`. In both vocabularies that is the id of a *piece*, not of the word; `word_id` asks for
# the token that stands for the word inside a text.

# %%
def look_up(vocabulary):
    by_letters, by_word = vocabulary.tokenizer.convert_tokens_to_ids("nie"), vocabulary.word_id("nie")
    ids = [index for text in texts for index in vocabulary.tokenizer(text).input_ids]
    return {"by letters": by_letters, "is": vocabulary.raw[by_letters], "found": ids.count(by_letters),
            "by word": by_word, "is ": vocabulary.raw[by_word], "found ": ids.count(by_word)}  # fmt: skip


lookups = pd.DataFrame({name: look_up(vocabulary) for name, vocabulary in vocabularies.items()}).T
lookups.style.format(escape="html").set_caption(
    'Two look-ups of "nie", and how often each id occurs in the five sentences, which hold "nie" twice in lower case.'
)

# %% [markdown]
# ### What filters take away
#
# Tables of tokens are easier to read without numbers and punctuation. The original notebooks kept ASCII only, which in Polish removes
# every word with *ą ć ę ł ń ó ś ź* or *ż*. `filter_report` says what each filter removes.

# %% tags=["hide-input"]
reports = {name: v.filter_report(whole_words=True, min_length=2, ascii_only=True) for name, v in vocabularies.items()}
shares = {
    name: {step.name: f"{step.removed:,} ({100 * step.removed_alone / v.is_token.sum():.0f} %)" for step in reports[name]}
    for name, v in vocabularies.items()
}
caption = "Tokens removed by each filter after those above it; in parentheses, the share of all tokens that it removes alone."
pd.DataFrame(shares).style.set_caption(caption)

# %%
from analysis_lib.vocabulary import Lexicon

whole = {name: v.text[v.keep(whole_words=True, min_length=2)] for name, v in vocabularies.items()}
known = {name: Lexicon.from_forms(forms).known for name, forms in whole.items()}

# %% tags=["remove-cell"]
for key, name in (("gpt2", "polish-gpt2"), ("herbert", "herbert")):
    vocabulary = vocabularies[name]
    words = vocabulary.keep()
    lost = words & ~vocabulary.keep(ascii_only=True)
    glue(f"models-{key}-ascii-removed", float(100 * lost.sum() / words.sum()), display=False)
    glue(f"models-{key}-known-share", float(100 * known[name].mean()), display=False)
    glue(f"models-{key}-known", int(known[name].sum()), display=False)

# %% [markdown]
# Of the tokens made of letters, the ASCII filter throws away {glue:text}`models-gpt2-ascii-removed:.0f` % of the GPT-2's and
# {glue:text}`models-herbert-ascii-removed:.0f` % of the HerBERT-like model's. This book does not use it.
#
# The dictionary of Morfeusz 2 {cite}`kieras2017` tells words from accidents of cutting. Of the tokens that can stand as a whole word and
# have two letters or more, it knows {glue:text}`models-gpt2-known-share:.0f` % ({glue:text}`models-gpt2-known:,` tokens) of the GPT-2's
# and {glue:text}`models-herbert-known-share:.0f` % ({glue:text}`models-herbert-known:,`) of the HerBERT-like model's. Among the others
# are names, beginnings or ends of longer words, and abbreviations.
#
# ## Norms of the embedding
#
# Projections onto the vocabulary are inner products with rows of $W_E$, and a long row wins many of them whatever its direction. In a
# trial run without a bound, one token in a hundred was about five times as long as the median: beginnings of words that only ever have
# one continuation, such as *szczeg-* (of *szczegół*, "detail"). They filled the top lists of every head. These models were therefore
# trained with a bound: after each step, longer rows of $W_E$ are scaled back to it.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Norms of the rows of the token embedding. The tick marks are the medians.", "name": "fig-models-norms"}, "image": {"alt": "Two histograms of embedding norms, one for each model, on a common axis."}}
tables = {"polish-gpt2": gpt2.model.get_input_embeddings(), "herbert": herbert.model.get_input_embeddings()}
norms = {name: table.weight.detach().norm(dim=1).numpy() for name, table in tables.items()}
figure, axis = plt.subplots(figsize=(5.6, 3.2))
bins = np.linspace(0, 1.02 * max(values.max() for values in norms.values()), 60)
for name, values in norms.items():
    axis.hist(values, bins, histtype="step", lw=1.8, color=COLOURS[name], label=name)
    axis.plot(np.median(values), 0, "|", color=COLOURS[name], ms=26, mew=2.5, clip_on=False)
axis.set(xlabel="norm of an embedding row", ylabel="tokens")
axis.legend(loc="upper left");

# %%
quantiles = pd.DataFrame({name: np.quantile(values, [0, 0.01, 0.5, 0.99, 1]) for name, values in norms.items()})
quantiles.index = ["shortest", "1 %", "median", "99 %", "longest"]
at_bound = {name: np.mean(values > 0.99 * values.max()) for name, values in norms.items()}
quantiles.style.format("{:.2f}")

# %% tags=["remove-cell"]
for key, name in (("gpt2", "polish-gpt2"), ("herbert", "herbert")):
    glue(f"models-{key}-norm-longest", float(norms[name].max()), display=False)
    glue(f"models-{key}-norm-at-bound", float(100 * at_bound[name]), display=False)
    glue(f"models-{key}-norm-ratio", float(np.quantile(norms[name], 0.99) / np.median(norms[name])), display=False)

# %% [markdown]
# The longest row has norm {glue:text}`models-gpt2-norm-longest:.2f` in the GPT-2 and {glue:text}`models-herbert-norm-longest:.2f` in the
# HerBERT-like model; {glue:text}`models-gpt2-norm-at-bound:.1f` % and {glue:text}`models-herbert-norm-at-bound:.1f` % of the rows are
# within a hundredth of it. The ratio of the 99th percentile to the median is {glue:text}`models-gpt2-norm-ratio:.2f` and
# {glue:text}`models-herbert-norm-ratio:.2f`. A bound limits what norms can do; it does not remove it. The chapter on
# {doc}`heads <attention_heads>` therefore shows readings with and without norms.
#
# ## What they write
#
# Four beginnings of our own, continued by the GPT-2: 40 tokens, drawn at temperature 0.8 from the 40 most likely, seed 0, nothing picked.

# %%
from analysis_lib.models import generation

PROMPTS = {
    "Long ago, in a small town on the Vistula,": "Dawno temu, w małym mieście nad Wisłą,",
    "Mother looked at him and": "Matka spojrzała na niego i",
    "'I do not know,' she answered": "– Nie wiem – odpowiedziała",
    "Demand for a good depends on": "Popyt na dobro zależy od",
}

# %% tags=["hide-input"]
written = {prompt: generation.continue_text(gpt2, prompt, n_samples=4) for prompt in PROMPTS.values()}
first = [(f"{prompt} …<br><i>{english}</i>", written[prompt][0]) for english, prompt in PROMPTS.items()]
wide = {"selector": "td", "props": "white-space: normal; text-align: left; vertical-align: top; min-width: 7rem"}
columns = ["beginning", "… as polish-gpt2-mini goes on"]
pd.DataFrame(first, columns=columns).style.hide(axis="index").set_table_styles([wide])

# %%
untrained = models.untrained_like(gpt2, seed=0)
noise = [text for prompt in PROMPTS.values() for text in generation.continue_text(untrained, prompt, n_samples=4)]
trained_share = statistics.bootstrap_interval(generation.known_share(sum(written.values(), [])))
untrained_share = statistics.bootstrap_interval(generation.known_share(noise))

# %% tags=["remove-cell"]
for key, interval in (("gpt2", trained_share), ("untrained", untrained_share)):
    for end, value in zip(("", "-low", "-high"), interval, strict=True):
        glue(f"models-{key}-words-known{end}", float(100 * value), display=False)

# %% [markdown]
# How good is that? In 16 continuations (four of each beginning) Morfeusz knows {glue:text}`models-gpt2-words-known:.0f` % of the words
# ({glue:text}`models-gpt2-words-known-low:.0f` to {glue:text}`models-gpt2-words-known-high:.0f`), and
# {glue:text}`models-untrained-words-known:.0f` % ({glue:text}`models-untrained-words-known-low:.0f` to
# {glue:text}`models-untrained-words-known-high:.0f`) of what an untrained model writes with the same tokenizer. That measures spelling
# and no more. Nothing here says that the sentences make sense, and a reader of Polish will see how seldom they do for longer than a
# clause.
#
# The HerBERT-like model fills gaps. One word is hidden in each sentence, and its five most likely tokens are shown with their
# probabilities; a hyphen after a token says that the word would go on.

# %%
GAPS = {
    "The old clock on the tower [struck] midnight.": "Stary zegar na wieży <mask> północ.",
    "Mother was waiting for a [letter] from her son.": "Matka czekała na <mask> od syna.",
    "I do not [know] whether it will rain tomorrow.": "Nie <mask>, czy jutro będzie padać.",
    "Demand rises when the [price] falls.": "Popyt rośnie, gdy <mask> spada.",
    "He sat down [at] the table and was silent.": "Usiadł <mask> stole i milczał.",
}

# %% tags=["hide-input"]
def guesses(text):
    return ", ".join(f"{label} {100 * share:.0f} %" for label, share in generation.fill_in(herbert, text))


filled = [(f"{text.replace('<mask>', '▁▁▁')}<br><i>{english}</i>", guesses(text)) for english, text in GAPS.items()]
columns = ["sentence", "herbert-mini's first five"]
pd.DataFrame(filled, columns=columns).style.hide(axis="index").set_table_styles([wide])

# %% [markdown]
# In the last sentence *stole* is the locative case of *stół* ("table"), so that only a preposition fits that governs the locative: *przy*
# ("at"), *na* ("on"), *w* ("in"), *po* ("after"), *o* ("about"). A guess there is a guess about grammar.
#
# ## One notation, and its proof
#
# Every chapter reads weights through `weights.extract`, which brings both architectures into one notation, that of TransformerLens: row
# vectors, one matrix for each head, $W_Q, W_K, W_V$ of shape $[d_{model}, d_{head}]$ and $W_O$ of shape $[d_{head}, d_{model}]$.

# %%
from analysis_lib import weights

read = {"polish-gpt2": weights.extract(gpt2), "herbert": weights.extract(herbert)}
names = ("W_E", "W_pos", "W_U", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
shapes = {key: [" × ".join(map(str, getattr(found, name).shape)) for name in names] for key, found in read.items()}
pd.DataFrame(shapes, index=names).style

# %% [markdown]
# A matrix read transposed, or cut into heads along the wrong axis, has the right shape and passes unseen. What tells is to compute with
# it: for the input $x$ of a layer's attention,
#
# $$A_h = \mathrm{softmax}\!\left(\frac{(x W_Q^h + b_Q^h)(x W_K^h + b_K^h)^\top}{\sqrt{d_{head}}}\right)$$
#
# $$\mathrm{output} = \sum_h A_h\,(x W_V^h + b_V^h)\, W_O^h + b_O$$
#
# must be the pattern and the output that the model itself computes {cite}`elhage2021`. `attention_errors` compares them, for every layer
# and head, on the five sentences.

# %%
errors = {"polish-gpt2": weights.attention_errors(gpt2, texts), "herbert": weights.attention_errors(herbert, texts)}
wrong = weights.attention_errors(herbert, texts, weights=weights.split_outputs_wrongly(read["herbert"]))

# %% [markdown]
# One of the original notebooks split HerBERT's output matrix into heads along its *output* axis, while attention lays its heads side by
# side on the *input* axis. Its tables of $W_{VO}$ for HerBERT therefore show mixtures of all heads. {numref}`fig-models-identity` holds
# that split against the same check.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Largest differences between attention rebuilt from extracted weights and the model's own (smaller is better; logarithmic). Patterns: one point a head, in attention weight. Outputs: one point a layer, divided by the output's largest value. Differences of exactly zero stand at the left, at 1e-9. Last row: HerBERT with its output matrix split along the wrong axis.", "name": "fig-models-identity"}, "image": {"alt": "Rows of points on a logarithmic axis. Errors of patterns and outputs of both models lie at a millionth or below; those of the wrong split lie near one."}}
groups = [(f"{name},\npatterns", found.pattern, COLOURS[name]) for name, found in errors.items()]
groups += [(f"{name},\noutputs", found.output / found.output_scale, COLOURS[name]) for name, found in errors.items()]
groups += [("herbert,\nwrong split", wrong.output / wrong.output_scale, plots.MODEL_COLOURS["permuted"])]
figure, axis = plt.subplots(figsize=(5.6, 3.8))
plots.draw_strips(axis, groups, floor=1e-9)
axis.set(xlabel="largest difference", xlim=(4e-10, 10));

# %% tags=["remove-cell"]
glue("models-identity-error", float(max((found.output / found.output_scale).max() for found in errors.values())), display=False)
pattern_error = max(float(found.pattern.max()) for found in errors.values())
glue("models-identity-pattern-error", f"within {pattern_error:.1e}" if pattern_error else "to the last bit", display=False)
glue("models-wrong-split-error", float((wrong.output / wrong.output_scale).max()), display=False)
glue("models-wrong-split-least", float((wrong.output / wrong.output_scale).min()), display=False)

# %% [markdown]
# Patterns agree {glue:text}`models-identity-pattern-error`, outputs within {glue:text}`models-identity-error:.1e` of their size. With the
# wrong split the error is between {glue:text}`models-wrong-split-least:.2f` and {glue:text}`models-wrong-split-error:.2f` times the
# output's size. The same check runs among the tests, on random models of many shapes.
#
# ## What the original notebooks did, and where we differ
#
# | the original notebooks | this book |
# |---|---|
# | split HerBERT's output matrix along the wrong axis | reads it so that heads add up to the model's own output, and tests it |
# | decoded some tables of GPT-2 with HerBERT's tokenizer | a vocabulary belongs to its model, and tables name it |
# | looked *nie* up by its letters | looks up the token that stands for the word |
# | kept ASCII tokens | keeps Polish letters, and reports what a filter removes |
# | took published models, on a cluster | small models of its own, and the published ones by a switch |
#
# ## Limits
#
# The models are small, and read {glue:text}`models-words:.1f` million words, most of them from old novels: their Polish is that of 1840
# to 1939 and of three textbooks. What a head of theirs does is shown to be so in *these* models. Whether it holds in a model a hundred
# times as large is a question that `ANALYSIS_MODELS=hub make book` puts, not one that this page answers. The intervals speak of held-out
# text of the same kind, one training run and one seed.
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
