# %% [markdown]
# # The original notebooks re-examined
#
# This book began with notebooks by others. They ran on published models and on data that are not in this book, so their numbers cannot be repeated here. Their *procedures* can be repeated. Most sections of this page run one of them on the
# book's models and texts, beside the measure that the book uses instead, and show what each step does to the result.
#
# **What was found**
#
# - **Some of the recorded lists of heads hold up.** {glue:text}`rep-lists-survive` of {glue:text}`rep-lists` pair words by grammar or form more often than the same lists shuffled.
# - **Two sets of tables are not what they claim to be.** One was decoded with another model's tokenizer, and one comes from a matrix that was cut into heads along the wrong axis. Neither mistake raises an error.
# - **Several steps make things look more alike or more dependent than they are:** pairs of a token with itself, averages over texts, and a trend along the text ({doc}`norms_controls`). Others work against them: all tokens of a text, punctuation and special tokens included, are less alike than its words.
#
# ## Anisotropy and context-specificity
#
# The notebook asked how alike the tokens of a text are in each layer (*anisotropy*), and how alike the occurrences of the word *nie* ("not") are (*context-specificity*). {doc}`geometry` asks the same with other steps. That chapter reads the
# book's sentences; this page reads the book's paragraphs as well. Square brackets and bands hold 95% intervals over texts.

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd

from analysis_lib import activations, geometry, models, plots, projections, recorded, report, statistics, texts, weights
from analysis_lib.geometry.anisotropy import self_pair_bias
from analysis_lib.geometry.contexts import similarity_of_averages
from analysis_lib.projections import recorded_lists
from analysis_lib.projections.relations import permuted_null
from analysis_lib.vocabulary import Lexicon

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in TITLES.items()}
BLUE, GREEN, PINK = (plots.CYCLE[i] for i in (0, 2, 3))
TEXTS = texts.all_texts()

# %%
loaded = {name: models.load(name) for name in TITLES}
runs = {name: activations.run(model, TEXTS, stride=64) for name, model in loaded.items()}
words = {name: geometry.WordStates.of(run) for name, run in runs.items()}
layers = {title: words[name].layers for name, title in TITLES.items()}
anisotropy = {name: geometry.anisotropy(found.states, found.texts) for name, found in words.items()}
print(*(model.label for model in loaded.values()), sep="\n")
print(f"{len(TEXTS)} texts, {len(words['herbert'].texts):,} words")

# %% [markdown]
# ### Pairs of a token with itself
#
# The notebook drew two tokens of a text at random with replacement, so that with probability $1/n$ a token met itself and gave a cosine of 1. For $n$ tokens with a true mean cosine $s$ the expectation is
# $s + (1 - s)/n$: the shorter the text and the smaller the mean cosine, the more is added ({numref}`fig-rep-pairs`). Models that cut a text into different numbers of tokens get different biases. {doc}`geometry` takes all pairs of different words in closed form.

# %% mystnb={"figure": {"caption": "What pairs of a token with itself add to the mean cosine of one text, in the last layer, by the number of its tokens; a point is a text. Both axes are logarithmic.", "name": "fig-rep-pairs"}, "image": {"alt": "Two falling clouds of points, GPT-2's above HerBERT's: single sentences of ten to forty tokens on the left, paragraphs of more than a hundred on the right."}}
within = {name: geometry.within_texts(run.states, run.tokens["text"].to_numpy()) for name, run in runs.items()}
added = {title: (within[name].counts, self_pair_bias(within[name])[-1]) for name, title in TITLES.items()}
plots.pair_bias(added, COLOURS, "tokens in the text", "added to the mean cosine");

# %% [markdown]
# ### A single text, and all of its tokens
#
# The notebook measured anisotropy within one text. Words of one text share its topic and stand in one another's context, so their mean cosine says little about the language and differs from text to text. The notebook also took
# all tokens: punctuation, special tokens, and the first words of texts, whose states are unusual, above all in GPT-2.

# %%
def first_words(name):
    """Length and mean cosine of the first words' states after the first block, beside those of the other words."""
    found = words[name]
    lengths = [np.linalg.norm(states[1], axis=1) for states in (found.firsts, found.states)]
    alike = geometry.anisotropy(found.firsts, np.arange(len(TEXTS))).at(1)
    return [statistics.bootstrap_interval(lengths[0] / lengths[1].mean()), alike, anisotropy[name].at(1)]

# %%
columns = ["length / mean length of other words", "mean cosine", "mean cosine, other words"]
first = pd.DataFrame([first_words(name) for name in TITLES], columns=columns, index=list(TITLES.values()))
report.table(first, "First words of texts, after the first block; intervals over texts", index=True)

# %% mystnb={"figure": {"caption": "Mean cosine by layer: words of different texts (95% interval over texts), words within one text, and all tokens within one text (lines: medians over texts; bands: the middle 95% of texts, what one text may give).", "name": "fig-rep-single"}, "image": {"alt": "Two panels of lines over layers, one a model: wide bands for single texts, of words and of tokens, and a thin line for words of different texts."}}
single = {
    title: {
        "words, different texts": anisotropy[name],
        "words, one text": geometry.within_texts(words[name].states, words[name].texts).spread(),
        "tokens, one text": within[name].spread(),
    }
    for name, title in TITLES.items()
}
styles = {"words, different texts": (BLUE, "-"), "words, one text": (GREEN, "--"), "tokens, one text": (PINK, ":")}
plots.layer_panels({"mean cosine": single}, layers, styles);

# %% [markdown]
# ### The token that was looked up
#
# The notebook looked up the id of the string `nie`. In neither tokenizer is this id the word *nie*. In HerBERT it is the piece that *begins* longer words (the word is `nie</w>`), in GPT-2 the one that
# *continues* them (the word is `Ġnie`). The notebook also averaged all occurrences in a text before it compared texts, which makes them more alike. It subtracted no baseline, and neither do the lines of {numref}`fig-rep-token`.

# %%
pieces, nie = {}, {}
for name, title in TITLES.items():
    tokens, found = runs[name].tokens, words[name]
    pieces[name] = (tokens["token_id"] == loaded[name].tokenizer.convert_tokens_to_ids("nie")).to_numpy()
    nie[title] = {
        "the word": geometry.anisotropy(*found.of_form("nie"), all_texts=found.texts),
        "the word, averaged": similarity_of_averages(*found.of_form("nie"), all_texts=found.texts),
    }
    of_texts = tokens["text"].to_numpy()[pieces[name]]
    if len(set(of_texts)) > 1:
        nie[title]["the piece, averaged"] = similarity_of_averages(runs[name].states[:, pieces[name]], of_texts)
    else:
        print(f"The id that was looked up stands in fewer than two of these texts in {title}, so the figure has no line for it.")

# %% mystnb={"figure": {"caption": "Raw self-similarity by layer of the word nie, of its averages over each text, and of averages of the token that the notebook looked up, with 95% intervals over texts.", "name": "fig-rep-token"}, "image": {"alt": "Two panels of lines over layers, one a model: from the first block on the curve of the piece lies below those of the word, far below in GPT-2; in HerBERT it lies a little below up to the fourth block, far below after the fifth, and nearer again after the last."}}
styles = {"the word": (BLUE, "-"), "the word, averaged": (GREEN, ":"), "the piece, averaged": (PINK, "--")}
plots.layer_panels({"mean cosine": nie}, layers, styles);

# %% [markdown]
# ### The last layer, and the number of passes
#
# A model has one hidden state more than it has layers: the embedding. The notebook looped over as many indices as there are layers, so it drew the embedding as layer 0 and left out the output of the last block, while its printed
# values came from the last state alone. It also ran a model anew for every layer and every text. The table counts the passes that its loops would make on these texts, and those of this page, where one pass over each batch serves all layers and measures.

# %%
def original(name):
    """What the notebook's steps do on this page's texts."""
    words_hit = (runs[name].tokens.loc[pieces[name], "word_form"] == "nie").sum()
    averaged = (nie[TITLES[name]]["the word, averaged"] - nie[TITLES[name]]["the word"]).at(-1)
    return [pieces[name].sum(), words_hit, averaged, (1 + words[name].last_block) * (1 + len(TEXTS)), runs[name].passes]

# %%
columns = ["uses of the id looked up", "of these, the word nie", "averaging adds to the cosine", "passes, notebook", "passes, here"]
steps = pd.DataFrame([original(name) for name in TITLES], columns=columns, index=list(TITLES.values()))
report.table(steps, "The notebook's steps on this page's texts; interval over texts, last layer", index=True)

# %% [markdown]
# ### What was recorded
#
# The notebook printed four values. The table below puts them beside what the same procedure gives on this book's models and texts, and beside the measure of {doc}`geometry` at the same layer. Models and texts differ, so a row is no
# replication. The notebook also compared its two models on different texts: HerBERT's context holds 512 tokens, a longer text raised an error, and the loop swallowed the error, so that only GPT-2 read the long texts. In the last layer of both models the notebook's procedure gives the higher anisotropy, for a good part because of its pairs of a token with itself: without them, all tokens of one text are about as alike in GPT-2 as words of different texts, and in HerBERT only a little more alike ({numref}`fig-rep-single`).

# %%
printed = recorded.figures("001")
rows = {}
for short, name in (("herbert", "herbert"), ("gpt2", "polish-gpt2")):
    lines, baseline = nie[TITLES[name]], anisotropy[name]
    one_text = statistics.bootstrap_interval(within[name].raw[-1] + self_pair_bias(within[name])[-1])
    found = {"anisotropy": (one_text, baseline), "context-specificity": (lines["the piece, averaged"].at(-1) if "the piece, averaged" in lines else np.nan, lines["the word"] - baseline)}
    for quantity, (same, here) in found.items():
        rows[f"{quantity}, {TITLES[name]}"] = (printed.loc[f"{quantity}-{short}", "value"], same, here.at(-1))

# %%
compared = pd.DataFrame.from_dict(rows, orient="index", columns=["recorded", "same procedure here", "this book"])
report.table(compared, "Last layer. Anisotropy: within texts and between texts. Context-specificity: the piece, and the word minus anisotropy", index=True)

# %% [markdown]
# ## Token pairs of heads
#
# The notebooks printed the best pairs of $W_{VO}$ and $W_{QK}$ for chosen heads of `sdadas/polish-gpt2-medium`, and read them by eye: one head pairs *swoich* with *swojej* (two forms of "one's own"), another *pan* with *panu* (two forms of "gentleman"). Eleven
# of these lists are kept in this book, so they can be put to the test that {doc}`attention_heads` uses: does a list pair forms of one lemma, one part of speech, or a preposition with a noun more often than the same list
# with its right column shuffled? Pairs of a token with itself do not count.

# %%
lists = recorded.head_lists()
sides = lists[["left", "right"]].apply(lambda column: column.str.strip())
forms = sorted(set(sides["left"]) | set(sides["right"]))
lexicon, row_of = Lexicon.from_forms(forms), {form: row for row, form in enumerate(forms)}
folded = pd.factorize(pd.Series(forms).str.lower())[0]
tested = {"same_lemma": "one lemma", "same_pos": "one part of speech", "preposition_noun": "preposition and noun"}
pairs = {
    f"W_{matrix} {report.head_name(layer, head)}": [sides.loc[rows.index, side].map(row_of).to_numpy() for side in ("left", "right")]
    for (matrix, layer, head), rows in lists.groupby(["matrix", "layer", "head"])
}
found = {name: permuted_null(*both, lexicon, folded, names=list(tested)) for name, both in pairs.items()}
relations = pd.concat(found, names=["list"]).reset_index().dropna(subset="p")
relations["p"] = statistics.holm(relations["p"])

# %% tags=["hide-input"]
preposition, noun = lexicon.has_pos("preposition"), lexicon.has_pos("noun")
HOLDS = {
    "same_lemma": lambda a, b: lexicon.lemmas[a] & lexicon.lemmas[b],
    "same_pos": lambda a, b: (lexicon.pos[a] & lexicon.pos[b]).any(),
    "preposition_noun": lambda a, b: (preposition[a] and noun[b]) or (noun[a] and preposition[b]),
}


def example(name, relation):
    """The first pair of a list, of two different words, that is in a relation."""
    pairs = sides[labels == name].itertuples(index=False)
    return next(f"{a} → {b}" for a, b in pairs if a.lower() != b.lower() and HOLDS[relation](row_of[a], row_of[b]))


labels = "W_" + lists["matrix"] + " " + [report.head_name(*head) for head in lists[["layer", "head"]].to_numpy()]
surviving = relations[relations["p"] < 0.05]
columns = {"list": "list", "example": "a pair", "relation": "relation", "share": "share", "null_mean": "shuffled", "n": "pairs", "p": "p, Holm"}
report.table(
    surviving.assign(example=[example(*row) for row in surviving[["list", "relation"]].to_numpy()], relation=surviving["relation"].map(tested))[list(columns)].rename(columns=columns),
    "Recorded lists that pair words beyond chance: the share of pairs of two dictionary words in the relation, "
    "its mean over shuffled lists, p-values corrected over all lists and relations",
    formats={"p, Holm": lambda p: report.p_value(p, bare=True)},
)

# %% tags=["hide-input", "key-figure"] mystnb={"figure": {"caption": "Share of pairs that are two forms of one lemma (dictionary form), in each of the eleven recorded lists (blue) and in 200 shuffled versions of it (green: their mean and middle 95%). A row is a list of token pairs that a notebook printed for one head of the published GPT-2. Only pairs of two different dictionary words count; one list has none, so its row is empty.", "name": "fig-rep-lists"}, "image": {"alt": "Eleven rows, one for each recorded list. In five of them, one of W_QK and four of W_VO, the point of the list lies to the right of the bar of its shuffled versions. In one row it lies inside the bar, in four both are at zero, and one row is empty."}}
rng = np.random.default_rng(0)


def lemma_share(left, right):
    """Share of a list's pairs that are two forms of one lemma, in per cent."""
    return 100 * permuted_null(left, right, lexicon, folded, names=["same_lemma"], max_draws=1)["share"].item()


bars = []
for name, (left, right) in pairs.items():
    own, shuffled = lemma_share(left, right), [lemma_share(left, rng.permutation(right)) for _ in range(200)]
    bars += [(name, "recorded", own, own, own), (name, "shuffled", np.mean(shuffled), *np.quantile(shuffled, [0.025, 0.975]))]
plots.intervals(pd.DataFrame(bars, columns=["label", "series", "estimate", "low", "high"]), "pairs of one lemma [%]", {"recorded": BLUE, "shuffled": GREEN}, zero=False);

# %% [markdown]
# {glue:text}`rep-lists-survive` of {glue:text}`rep-lists` recorded lists survive in one relation or more, nearly all of them by pairing forms of one lemma. {numref}`fig-rep-lists` shows this relation alone: all five lists that lie outside their shuffled versions there survive the correction, and the sixth, W_QK L21H7, survives by pairing prepositions with nouns. The published GPT-2 thus has heads whose lists pair forms of one lemma. {doc}`attention_heads` finds a few such lists in the small GPT-2 of this book as well, most of them in its first layer. Two cautions remain. The notebooks
# show heads that somebody found worth showing, so the share says nothing about the other heads. And a head that merely pairs similar tokens would pass too. The null of random symmetric heads, which {doc}`attention_heads` uses against this, needs the weights, and the lists alone do not give them.
#
# ### The same lists, made again
#
# If the model that the book is run on has these heads, their lists can be made again from its weights. The weights are then read as the notebook read them: raw, and with tokens of ASCII letters only. How many of the recorded pairs are among the fifty best, and do they come in the
# recorded order?

# %%
gpt2 = weights.extract(loaded["polish-gpt2"])
has_them = gpt2.n_layers > lists["layer"].max() and gpt2.n_heads > lists["head"].max()

# %%
if has_them:
    again = recorded_lists.compare_lists(gpt2, loaded["polish-gpt2"].vocabulary, lists)
    again.insert(0, "list", [f"W_{row.matrix} {report.head_name(row.layer, row.head)}" for row in again.itertuples()])
    again = again.drop(columns=["matrix", "layer", "head"]).rename(columns={"best": "the best pair here", "overlap": "among the 50 best", "order": "rank correlation"})
else:
    print(f"This GPT-2 has {gpt2.n_layers} layers of {gpt2.n_heads} heads, and the lists are of layers 0 to 23 of the published one. ANALYSIS_MODELS=hub makes them again.")

# %%
report.table(again, "Recorded lists beside those of the same heads in this model; known: pairs of two tokens of its vocabulary", polish=["the best pair here"]) if has_them else None

# %% [markdown]
# ### Lists of neurons
#
# The notebook also printed, for ten neurons of the 24-layer GPT-2 that were picked by eye or drawn by lot, the tokens that key and value point at and away from. It read keys without the layer norm in front of them and left out every token with a Polish letter. Some of these lists are striking. In
# layer 19, neuron 0, both key and value list *nazwisko* (surname) and *pseudonim* (pseudonym). Picked lists cannot say how common such neurons are, and there was no control, so {doc}`feed_forward` picks neurons by rule and counts every list. The table has the beginnings of the recorded lists.

# %%
of_neurons = recorded.neuron_lists()
beginnings = of_neurons[of_neurons["side"].isin(["K", "V"])].groupby(["layer", "neuron", "side"], sort=False)["token"].agg(lambda tokens: ", ".join(tokens.str.strip()[:6]))
beginnings = beginnings.unstack().rename(columns={"K": "key", "V": "value"}).reset_index()
report.table(beginnings, "The first six tokens of each neuron's key and value, as recorded; many are pieces of words", polish=["key", "value"])

# %%
if has_them:
    neurons_again = recorded_lists.compare_neurons(gpt2, loaded["polish-gpt2"].vocabulary, of_neurons)
    neurons_again = neurons_again.rename(columns={"best": "the best tokens here", "overlap": "among the 30 best", "order": "rank correlation"})
report.table(neurons_again, "Recorded lists of neurons beside those of the same neurons in this model; known: tokens of its vocabulary", polish=["the best tokens here"]) if has_them else None

# %% [markdown]
# ### How the pairs were searched
#
# The search halved the range of a threshold at most ten times, until between 500 and 250,000 entries lay above it. How many entries it lets through depends on their size, and it may let through none:

# %%
def bisected(entries, fewest=500, most=250_000, high=1.0, steps=10):
    """How many entries the notebook's threshold lets through."""
    low = 0.0
    while (count := int((entries > high).sum())) > most:
        low, high = high, 2 * high
    for _ in range(steps):
        if fewest <= count <= most:
            break
        middle = (low + high) / 2
        count = int((entries > middle).sum())
        low, high = (middle, high) if count > most else (low, middle)
    return count


entries = np.random.default_rng(0).normal(size=(1000, 1000))
counts = {str(scale): bisected(entries * scale) for scale in (1, 0.01, 0.001, 0.0001)}
report.table(pd.DataFrame(counts.items(), columns=["standard deviation of the entries", "pairs let through"]), "The notebook's threshold on random tables of a million entries, where it should let through 500 or more")

# %% [markdown]
# `top_pairs` returns the largest entries themselves, as many as asked for, whatever their size. In the notebooks, filters for letters also ran *after* the search, and their test for letters refused every byte-level token with a Polish letter
# in it, so *że* ("that") and *który* ("which") could appear in no list.
#
# ### The wrong tokenizer
#
# One function ignored the tokenizer it was given and decoded GPT-2's tokens with HerBERT's, in which the same ids stand for other words:

# %%
known = np.arange(gpt2.d_vocab) < len(loaded["herbert"].vocabulary)  # ids that stand for something in both tokenizers
pairs = projections.top_pairs(*projections.qk_factors(gpt2, 0, 0), k=5, keep_left=known, keep_right=known)
decoded = {f"{side}, by {title}": loaded[name].vocabulary.text[ids] for side, ids in (("query", pairs.left_ids), ("key", pairs.right_ids)) for name, title in TITLES.items()}
report.table(pd.DataFrame(decoded), "The best pairs of W_QK in GPT-2's head L0H0, decoded with its own tokenizer and with HerBERT's", polish=decoded)

# %% [markdown]
# ### Heads cut along the wrong axis
#
# For HerBERT the output matrix was split along its outputs, while a head owns a part of its *inputs*. {numref}`fig-models-identity` shows that the parts then do not add up to the layer's output, so the HerBERT tables of $W_{VO}$ belong to
# no head. How many of the fifty best pairs of a head are still there after such a split?

# %%
herbert, of_herbert = loaded["herbert"], weights.extract(loaded["herbert"])
words = herbert.vocabulary.keep(words=True, whole_words=True, counts=herbert.counts)
lists_of = {
    label: {(0, head): projections.top_pairs(*projections.vo_factors(w, 0, head), k=50, keep_left=words, keep_right=words) for head in range(w.n_heads)}
    for label, w in (("right", of_herbert), ("wrong", weights.split_outputs_wrongly(of_herbert)))
}
pairs_of = {label: {head: set(zip(found.left_ids.tolist(), found.right_ids.tolist(), strict=True)) for head, found in by_head.items()} for label, by_head in lists_of.items()}
rows = [
    {
        "head": report.head_name(*head),
        "best pair": " → ".join(herbert.vocabulary.text[[lists_of["right"][head].left_ids[0], lists_of["right"][head].right_ids[0]]]),
        "best pair, wrong split": " → ".join(herbert.vocabulary.text[[lists_of["wrong"][head].left_ids[0], lists_of["wrong"][head].right_ids[0]]]),
        "pairs of fifty in both": len(pairs_of["right"][head] & pairs_of["wrong"][head]),
    }
    for head in pairs_of["right"]
]
report.table(pd.DataFrame(rows), "W_VO of the heads of HerBERT's first layer, split rightly and as the notebook split it", polish=["best pair", "best pair, wrong split"])

# %% [markdown]
# Nothing is left of any head's list, so the notebook's tables say nothing about the heads that they name.
#
# (replication-terms)=
# ## Token and position terms of attention
#
# The notebook split the scores of a two-layer model into the four terms of {doc}`attention_terms`, and called a term important when its variance was large. On the way it left out the scaling by $1/\sqrt{d_{head}}$, masked by setting
# scores above the diagonal to *zero*, took variances over all entries with these zeros among them, and showed a crop of ten rows and columns cut after softmax. Each of these steps is repeated here on purpose (`circuits.readings`), on the models and sequences of {doc}`attention_terms`.

# %% tags=["hide-cell"]
import torch

from analysis_lib import circuits
from analysis_lib.circuits import induction, readings
from analysis_lib.circuits import terms as attention_terms

two_layers = {"toy": models.load("minigpt"), "Polish": models.load("minigpt-polish")}
tokenizer = two_layers["Polish"].tokenizer
choosing, probe = (circuits.repeated_random_tokens(range(1, 32), 48, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=seed) for seed in (1, 2))
openings = [p[:40] for p in (tokenizer(text)["input_ids"] for text in texts.paragraphs()["text"]) if len(p) >= 40]
ids = {"toy": torch.as_tensor(probe.ids), "Polish": torch.tensor(openings[:16])}
circuit = induction.find_circuit(induction.probe_scores(induction.probe_patterns(two_layers["toy"], choosing), choosing))
print(*(model.label for model in two_layers.values()), sep="\n")


def both_layers(name, model):
    """Terms of both layers, heads one after another [term, sequence, head, query, key]."""
    given = weights.extract(model)
    return torch.cat([attention_terms.score_terms(given, ids[name], layer) for layer in (0, 1)], dim=2)


terms = {("trained", name): both_layers(name, model) for name, model in two_layers.items()}
terms |= {("untrained", name): both_layers(name, models.untrained_like(model, seed=0)) for name, model in two_layers.items()}

# %% [markdown]
# A score of zero does not forbid a key: softmax gives the keys after the query their share.

# %%
scale = float(weights.extract(two_layers["toy"]).attention_scale[0])
patterns = readings.notebook_patterns(terms["trained", "toy"].sum(0), scale)
compared = {
    measure: {key: statistics.bootstrap_interval(values.numpy()) for key, values in by_reading.items()}
    for measure, by_reading in readings.compare_patterns(patterns).items()
}
report.table(pd.DataFrame(compared).rename_axis("reading").reset_index(), "The toy's sixteen heads by reading: means with 95% intervals over sequences")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy, mean over heads and sequences. Above: attention on keys that come after the query, by row. Below: sum of the ten by ten crop's rows, which is 1 where all attention of a row lies inside the crop.", "name": "fig-rep-readings"}, "image": {"alt": "Two panels of lines over query positions. Above, attention on the future is highest in the first row and falls for readings that mask with zeros, and is zero for the model; below, rows of the crop sum to less than one for these readings."}}
drawn = {key: plots.CYCLE[i] for i, key in enumerate(("model", "zeros for mask", "both (notebook)"))}
future = {key: patterns[key].triu(1).sum(-1).mean((0, 1)).numpy() for key in drawn}
crop = {key: patterns[key][..., :10, :10].sum(-1).mean((0, 1)).numpy() for key in drawn}
plots.readings_by_row({"attention on the future": future, "sum of a row of the crop": crop}, drawn);

# %% [markdown]
# In the notebook's reading the first row, which can only attend to itself, gives {glue:text}`rep-future-first` of its attention to later tokens. Two things enter the notebook's variance that do not act on the model's attention: the zeros of the
# mask, and what is constant along a row. The table takes the toy's induction head apart. (In the variance *within rows* all rows count alike, short ones too, so it can exceed the variance over all causal entries.)

# %%
strongest = terms["trained", "toy"][:, :, 8 + circuit.strongest[1]]  # the heads of layer 1 come after the eight of layer 0
sizes = pd.DataFrame(readings.term_variances(strongest), index=pd.Index(attention_terms.TERMS, name="term"))
report.table(sizes.reset_index(), "The toy's induction head: variance of each term three ways, and the attention that moves without it")

# %% [markdown]
# Is the term with the largest variance the one that matters most? The next table counts the heads in which it is not, because leaving out another term moves more attention.

# %%
rows = []
for (state, name), given in terms.items():
    by_variance, by_attention = readings.largest_terms(given).values()
    rows.append((name, state, int((by_variance != by_attention).sum()), int((by_variance == 3).sum()), int((by_attention == 3).sum())))
columns = ["model", "weights", "largest term differs", "position-position, by variance", "position-position, by attention moved"]
report.table(pd.DataFrame(rows, columns=columns), "Heads of 16 whose largest term differs between the two measures, and heads in which either measure makes position-position the largest")

# %% [markdown]
# The statement "position-position terms have the largest magnitude" thus holds, by either measure, for most heads of the trained toy and for fewer than half of those of the Polish model. It holds for all heads of untrained models, so it is no sign of learning. In some heads the two measures do not agree on the largest term.
#
# The notebook also read from diagonals in its pictures what a term looks for. Of position-position it says "a position pays attention to keys from previous index", and of token-token "a token pays quite a bit of attention to itself". {doc}`term_targets` tests both statements head by head on these two models.
# Some heads do favour the previous position, and some the same token. Other heads favour another distance more, or avoid the same token, so neither statement holds for the term in every head.
#
# ## Norms regressed on their past
#
# Another notebook regressed the norms of attention updates on those before them {cite}`cohen_norms`. {doc}`norms_controls` runs its specification as it was, and then adds one control after another.
#
# | the original notebook | {doc}`attention_norms` and {doc}`norms_controls` |
# |---|---|
# | one English text of about 95 tokens | {glue:text}`attention_norms.ipynb::norms-texts:d` Polish texts, and random and shuffled tokens |
# | an intercept and two lags | levels of texts and positions, what the tokens are, lags and leads |
# | ordinary standard errors | clustered by text with the jackknife; HAC {cite}`newey1987` as a second opinion |
# | Durbin and Watson's statistic in the summary, pulled towards 2 by lagged outcomes | the test of Breusch and Godfrey |
# | 24 tests at 0.05 | Holm's correction over layers and lags, intervals that hold at once |
# | no null | untrained models, shuffled tokens, simulated texts |
# | histograms drawn at the left edges of their bins; hooks left on the model | at the centres; hooks are removed |
#
# Its author called for more texts and for causal interventions himself.
#
# ## Regression in context
#
# The notebook on a GPT-2 that does regression ({doc}`incontext_regression`) stops at errors: names that were never defined, a hook tree that fails on the first module, a syntax error in the clustering function. None of its clusters
# was ever computed. Its prompts do not alternate between questions and answers, so its even and odd rows are not the rows of questions and answers. It renamed the weights of an embedding table that no prompt reads; `weights.extract` has the read-in and the
# read-out that take the table's place. Its hooks stay on the model; `activations.named` gives what they record under the same names, and removes its own hooks.
#
# (replication-selection)=
# ### Errors of the selector
#
# The project that this notebook belongs to recorded errors at the last of 21 points on 10,000 prompts {cite}`berkott2023`. Can they be compared with those of {doc}`model_selection`?

# %%
from analysis_lib import incontext

stored = recorded.figures("003")["value"]
rows = {"recorded": [None, *(float(stored[key]) for key in ("ridge-0.1", "ridge-0.8", "oracle"))]}
for title, alphas in (("alphas 0.1 and 0.8, as configured", (0.1, 0.8)), ("alphas 0.1 and 0.5", (0.1, 0.5))):
    prompts = incontext.selector_prompts(4000, seed=15, alphas=alphas)
    errors = (prompts.xs - prompts.ys[..., None])[:, -1].square().double()
    noise = np.mean([(0.8 * alpha) ** 2 for alpha in alphas])
    rows[title] = [noise, *errors.mean(dim=0).tolist(), float(errors.min(dim=1).values.mean())]

# %%
columns = ["noise alone", "first ridge", "second ridge", "choice that sees the answer"]
report.table(pd.DataFrame(rows, index=columns).T, "Squared error at the last point, recorded and by the alphas that make the prompts", digits=4, index=True)

# %% [markdown]
# The recorded errors cannot be compared with those. With the alphas of the printed configuration the noise in y alone has a variance of {glue:text}`rep-noise-floor`, and every predictor that does not see the answer errs by at least that much. With alphas 0.1 and 0.5 the same procedure gives errors of about the recorded size, so the figures
# were probably made with those. The recorded "oracle" is no rule that could be followed, since it looks at the answer. And with 21 points fitted, all strategies answer nearly alike, so that these errors could not show whether a model was selected.
#
# ## Further steps, shown in other chapters
#
# | what the notebook did | what follows | shown in |
# |---|---|---|
# | a virtual head that holds the direct head as well | what is read as the virtual head is mostly the direct one | {doc}`induction` |
# | clusters of attention rows without a null | a cut between early and late positions, which random attention shows too | {doc}`incontext_regression` |
# | regressions fitted to all points of a prompt | the two predictors hardly differ, so there is nothing to choose | {doc}`model_selection` |

# %% tags=["remove-cell"]
report.glue("rep-lists-survive", surviving["list"].nunique())
report.glue("rep-lists", len(found))
report.glue("rep-noise-floor", report.number(rows["alphas 0.1 and 0.8, as configured"][0], 3))
report.glue("rep-future-first", report.percent(future["both (notebook)"][0]))
