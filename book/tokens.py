# %% [markdown]
# # How words are cut
#
# **Question.** A model reads tokens, which are words or pieces of words. Where do the tokenizers of the book's models cut Polish words, how does one find a word among the tokens, and what
# does a filter for readable tokens take away?

# %% tags=["hide-input"]
import re

import numpy as np
import pandas as pd

from analysis_lib import models, plots, report, statistics
from analysis_lib.plots import diagrams
from analysis_lib.texts import paragraphs
from analysis_lib.vocabulary import Lexicon

plots.use_style()
HAS_E5 = models.available()["e5"]["embedded"] is not None  # the package has no wheel for some machines
two = {name: models.load(name) for name in ("polish-gpt2", "herbert")}
loaded = two | ({"e5": models.load("e5", source="embedded")} if HAS_E5 else {})
vocabularies = {name: one.vocabulary for name, one in loaded.items()}
COLOURS = {name: plots.MODEL_COLOURS[name] for name in loaded}
print(*(one.label for one in loaded.values()), sep="\n")

# %% tags=["hide-input"]
SENTENCES = {
    "A foal nibbled yellow grass by the river.": "Źrebię skubało żółtą trawę nad rzeką.",
    "Mother was waiting for a letter that never came.": "Matka czekała na list, który nigdy nie nadszedł.",
    "Demand rises when the price falls.": "Popyt rośnie, gdy cena spada.",
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Three sentences cut by the tokenizers: byte-level BPE of polish-gpt2 (blue), character BPE of HerBERT (orange), and the Unigram model of e5 (green). A hyphen stands where the tokenizer's marker says that the word goes on: before a piece for GPT-2 and e5, after it for HerBERT. A box with ␣ alone is e5's marker as a piece of its own. The English line is the translation.", "name": "fig-tokens-pieces"}, "image": {"alt": "Three Polish sentences, each as a row of boxes for every tokenizer, which hold its pieces. Frequent words are mostly one box, rare words two to four; e5 cuts some frequent words too."}}
def pieces(text):
    """The labels of a sentence's tokens, by model."""
    return [one.labels(one.tokenizer(text, add_special_tokens=False).input_ids) for one in vocabularies.values()]


diagrams.draw_pieces([(english, pieces(polish)) for english, polish in SENTENCES.items()], list(COLOURS.values()));

# %% [markdown]
# **What was found**
#
# - **The published encoder cuts more Polish words than the two Polish models do.** GPT-2 reads {glue:text}`tokens-one-gpt2` of the words of Polish paragraphs as one token, HerBERT {glue:text}`tokens-one-herbert`, and the published encoder e5, whose vocabulary
#   serves a hundred languages, {glue:text}`tokens-one-e5`.
# - **A word has to be looked up as a word.** The token that is spelt *nie* ("not") is a piece of longer words in the vocabularies of both Polish models, and the word itself is another token.
# - **A filter for ASCII is a filter against Polish.** It takes away {glue:text}`tokens-ascii-gpt2` of GPT-2's tokens and {glue:text}`tokens-ascii-herbert` of HerBERT's, among them every word with one of the nine Polish letters outside ASCII.
#
# Square brackets hold 95% intervals over paragraphs.
#
# ## Three ways to mark a word
#
# GPT-2's tokenizer merges *bytes*, and marks a piece that begins a word (`Ġ` stands for the space before it). HerBERT's merges *characters*, and marks a piece that ends one (`</w>`). That of e5 chooses the likeliest pieces from a list {cite}`kudo2018`, and marks
# the beginning of a word with `▁`. A letter such as *ś* is two bytes, so that the byte-level tokenizer writes `jeśli` ("if") as `ĠjeÅĽli`; one has to undo that before one looks for Polish letters.
#
# The hyphens of {numref}`fig-tokens-pieces` differ because the markers do. A byte-level piece says whether it *begins* a word and leaves open whether the word ends with it; a piece with `</w>` says that a word *ends* and leaves open whether it
# began there. A `Vocabulary` keeps both, as `starts_word` and `ends_word`.

# %%
vocabulary = vocabularies["herbert"]
some = vocabulary.tokenizer(SENTENCES["Demand rises when the price falls."], add_special_tokens=False).input_ids
columns = {"token": vocabulary.raw, "text": vocabulary.text, "can start a word": vocabulary.starts_word, "can end a word": vocabulary.ends_word}
report.table(pd.DataFrame({name: np.asarray(values)[some] for name, values in columns.items()}), "HerBERT's tokens of one sentence")

# %% [markdown]
# Into how many pieces does a word fall? The words of the paragraphs that were written for this book were cut one by one.

# %%
def piece_counts(tokenizer):
    """Pieces of each word, paragraph by paragraph."""
    words = [re.findall(r"[^\W\d_]+", text) for text in paragraphs()["text"]]
    return [np.array([len(tokenizer(f" {word}", add_special_tokens=False).input_ids) for word in found]) for found in words]


counts = {name: piece_counts(one.tokenizer) for name, one in vocabularies.items()}
rows = {
    name: {
        "tokens in the vocabulary": report.number(len(vocabularies[name])),
        "pieces a word": statistics.bootstrap_interval([found.mean() for found in of_texts]),
        "words in one piece [%]": statistics.Interval(*(100 * np.array(statistics.bootstrap_interval([(found == 1).mean() for found in of_texts])))),
        "most pieces": max(found.max() for found in of_texts),
    }
    for name, of_texts in counts.items()
}
report.table(pd.DataFrame(rows).T.rename_axis("model").reset_index(), "How many pieces Polish words have, means over paragraphs with 95% intervals")

# %% [markdown]
# ## The word *nie*
#
# *Nie* ("not", "no") is among the most frequent Polish words. If its token is looked up by its letters, as `convert_tokens_to_ids("nie")` does, the vocabularies of GPT-2 and HerBERT give the id of a *piece*, not of the word;
# `word_id` asks for the token that stands for the word inside a text. ({doc}`replication` shows what followed where an original notebook looked the word up by its letters.)

# %%
def look_up(vocabulary):
    """Both ids of nie, the tokens behind them, and how often each occurs in the three sentences."""
    ids = [index for text in SENTENCES.values() for index in vocabulary.tokenizer(text).input_ids]
    by_letters, by_word = vocabulary.tokenizer.convert_tokens_to_ids("nie"), vocabulary.word_id("nie")
    return [found for index in (by_letters, by_word) for found in (vocabulary.raw[index], ids.count(index))]

# %%
columns = ["by letters", "occurrences", "as a word", "its occurrences"]
lookups = pd.DataFrame([look_up(vocabularies[name]) for name in two], columns=columns, index=list(two))
report.table(lookups, 'Two look-ups of "nie" and how often each occurs in the three sentences, which hold it once', index=True)

# %% [markdown]
# ## What filters take away
#
# Tables of tokens are easier to read without numbers and punctuation. A filter that keeps ASCII only also removes
# every Polish word with *ą ć ę ł ń ó ś ź* or *ż*. `filter_report` says what each filter removes. This book does not use the ASCII filter, the last in the table; the original notebooks did ({doc}`replication`).

# %%
filters = {}
for name in two:
    for step in vocabularies[name].filter_report(whole_words=True, min_length=2, ascii_only=True):
        filters.setdefault(step.name, {})[name] = step.removed
        filters[step.name][f"{name}, alone"] = report.percent(step.removed_alone / vocabularies[name].is_token.sum())
caption = "Tokens removed by each filter after those above it, and the share of all tokens that it removes alone"
report.table(pd.DataFrame(filters).T, caption, index=True)

# %% [markdown]
# The dictionary of Morfeusz 2 {cite}`kieras2017` tells real words from pieces that only look like words. Of the tokens that can stand as a whole word and
# have two letters or more, it knows {glue:text}`tokens-gpt2-known` of GPT-2's and {glue:text}`tokens-herbert-known` of HerBERT's. Among the others
# are names, beginnings or ends of longer words, abbreviations and English words from software manuals.

# %%
whole = {name: vocabularies[name].text[vocabularies[name].keep(whole_words=True, min_length=2)] for name in two}
known = {name: Lexicon.from_forms(forms).known.mean() for name, forms in whole.items()}

# %% [markdown]
# ## Norms of the embedding
#
# Projections onto the vocabulary are inner products with rows of $W_E$, and a long row wins many of them whatever its direction. In a
# trial run without a bound, one token in a hundred was about five times as long as the median: beginnings of words that only ever have
# one continuation, such as *szczeg-* (of *szczegół*, "detail"). They filled the top lists of every head. The two Polish models were therefore
# trained with a bound on the norm: after each step, rows of $W_E$ that exceeded it were scaled back to it.

# %% mystnb={"figure": {"caption": "Norms of the rows of the token embedding. The tick marks are the medians.", "name": "fig-tokens-norms"}, "image": {"alt": "Two histograms of embedding norms, one for each model, on a common axis."}}
norms = {name: one.model.get_input_embeddings().weight.detach().norm(dim=1).numpy() for name, one in two.items()}
plots.norm_histograms(norms, COLOURS);

# %%
ends = {"shortest": 0, "1%": 0.01, "median": 0.5, "99%": 0.99, "longest": 1}
quantiles = pd.DataFrame({name: np.quantile(values, list(ends.values())) for name, values in norms.items()}, index=list(ends), dtype=object)
quantiles.loc["within 1% of the longest"] = [report.percent(np.mean(values > 0.99 * values.max()), 1) for values in norms.values()]
report.table(quantiles, "Quantiles of the norms of embedding rows, and the share of rows that are about as long as the longest", index=True)

# %% [markdown]
# The longest rows of GPT-2 lie at the bound, while no row of HerBERT comes near it. In both models some rows are longer than others, so a bound does not remove the influence of norms. {doc}`attention_heads` therefore reads what heads write with unembeddings of length one, and an exercise there compares that with the raw weights.
#
# ## Limits
#
# A piece that looks like a Polish ending need not be one to the model, which sees an id and no letters. The paragraphs were written for this book; older or more technical text has more rare words, and more pieces a word. Words were cut one by one, so what a tokenizer does at
# punctuation is not counted here.
#
# ## Exercises
#
# 1. Into how many pieces do the three tokenizers cut *najpiękniejszego* (of the most beautiful one), and how many of them are words? ({ref}`Solution <sol-tokens-1>`)
# 2. Some words in the paragraphs end in *-ego* and are cut. How many of them are cut right before this ending? ({ref}`Solution <sol-tokens-2>`)

# %% tags=["remove-cell"]
def one_piece(name):
    """Share of words in one piece, in words."""
    found = statistics.bootstrap_interval([(of_text == 1).mean() for of_text in counts[name]])
    return report.interval(*found, scale=100, unit="%", digits=0)


quoted = {
    "one-gpt2": one_piece("polish-gpt2"),
    "one-herbert": one_piece("herbert"),
    "one-e5": one_piece("e5") if HAS_E5 else "(e5 is not installed)",
    "ascii-gpt2": filters["ASCII only"]["polish-gpt2, alone"],
    "ascii-herbert": filters["ASCII only"]["herbert, alone"],
    "gpt2-known": report.percent(known["polish-gpt2"]),
    "herbert-known": report.percent(known["herbert"]),
}
report.glue_frame(pd.Series(quoted, dtype=object), "tokens")
