# %% [markdown]
# # Senses of a word
#
# **Question.** A language model turns every word into a vector, and changes it layer by layer according to the sentence around it. Does the vector of *zamek*, which means a castle or a lock, come to say which of the two is meant?

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd

from analysis_lib import geometry, models, plots, report, texts
from analysis_lib.geometry import projection, word_senses

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
ALL = TITLES | ({"e5": "e5"} if models.available()["e5"]["embedded"] else {})  # the package has no wheel for some machines
BLUE, ORANGE = plots.CYCLE[:2]

SENSES = texts.senses()
TEXTS = [*texts.sentences(), *SENSES["sentence"]]
HALF = len(texts.sentences()) + 16 * 18  # the untrained e5 reads the sentences of sixteen words only, to keep the page quick

# %% tags=["hide-input"]
loaded = {name: models.load(name, source="embedded" if name == "e5" else None) for name in ALL}
words = geometry.read_by_each(loaded, TEXTS, for_untrained={"e5": HALF} if "e5" in ALL else None)
trained = words["trained"]
LAYERS = {ALL[name]: found.layers for name, found in trained.items()}
print(*(model.label for model in loaded.values()), "" if "e5" in ALL else "e5 is not installed", sep="\n")
print(f"{len(TEXTS)} texts, {len(trained['herbert'].texts):,} words")


def each(measure, names=ALL):
    """A measure of the words of every model."""
    return {key: {name: measure(group[name]) for name in names} for key, group in words.items()}


# %% tags=["hide-input"]
LEMMAS, LABELS, FORMS = (SENSES[column].str.lower().to_numpy(dtype=str) for column in ("lemma", "sense", "form"))
PLACES = word_senses.locate(trained["herbert"].table, len(TEXTS) - len(SENSES) + np.arange(len(SENSES)), SENSES["start"])


def marked(states, **labels):
    """The ambiguous words among all words that a model read, with what they mean and how they are spelled."""
    read = states.shape[1] > PLACES
    labels = {"lemmas": LEMMAS, "senses": LABELS, "strata": FORMS} | labels
    return {"states": states[:, PLACES[read]]} | {key: None if label is None else label[read] for key, label in labels.items()}


nearest = each(lambda found: word_senses.neighbour_accuracy(**marked(found.states)))
nearest_p = {key: word_senses.holm_over_all(tests) for key, tests in nearest.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How often the nearest neighbour of an ambiguous word, among the other occurrences of this word, is in the same sense, by layer, with 95% intervals over the thirty words. Permuted: senses exchanged among occurrences that are spelled alike (the middle 95% of permutations). Untrained: the same architecture with fresh weights. Filled points are above permuted senses at 0.05, after Holm's correction.", "name": "fig-geo-senses"}, "image": {"alt": "One panel a model, lines over layers. In e5 the trained line starts a little below the permuted senses, lies above them from the third block on, with filled points from the fifth block on, and ends at 0.6. In GPT-2 it lies above them from the first block on, with filled points after the fourth block, the last block and the final layer norm. In HerBERT it lies above them in every layer, a little at first, with filled points after the last three blocks. The untrained lines stay near the permuted ones, in GPT-2's blocks mostly a little below them, in HerBERT and e5 above them."}}
drawn = {"trained": (BLUE, "-"), "permuted": (plots.MODEL_COLOURS["permuted"], "--"), "untrained": (plots.MODEL_COLOURS["untrained"], ":")}
shares = {title: {key: nearest[key][name].profile for key in words} | {"permuted": nearest["trained"][name].chance} for name, title in ALL.items()}
above = {title: {key: nearest_p[key][name] < 0.05 for key in words} | {"permuted": np.zeros(len(LAYERS[title]), bool)} for name, title in ALL.items()}
plots.layer_panels({"same sense, share": shares}, LAYERS, drawn, above);

# %% [markdown]
# **What was found**
#
# - **A published encoder tells senses apart; the two small models hardly do.** After e5's last block the nearest neighbour of an ambiguous word is in the same sense in {glue:text}`geo-e5-senses` of cases;
#   if only the spelling counted, it would be {glue:text}`geo-e5-permuted`. In some of GPT-2's later layers, the last among them, and after HerBERT's last three blocks the share is several points above that of permuted senses, which passes the test of {numref}`fig-geo-senses`. But in neither model does the last layer pass the correction over all claims ({doc}`null_board`).
# - **Spelling brings words closer than sense does.** In e5 the same spelling raises the mean cosine of two occurrences by {glue:text}`geo-e5-gap-form`, and the same sense by {glue:text}`geo-e5-gap`. The interval of the difference between the two lies above zero in every model, trained or not.
# - **The evidence is in the sentence.** Neighbours can also be found by the mean state of the other words of the sentence. Training makes such neighbours better in all three models. In GPT-2 and HerBERT they are in the same sense more often than neighbours found by the state of the word itself, also beyond what permuted senses give to each kind; in e5 no such difference is shown.
#
# Square brackets hold 95% intervals over words. {doc}`geometry` asks what the states of all words have in common.
#
# ## Thirty words with two meanings
#
# The texts were written for this book: forty plain sentences, and 540 that each show one sense of an ambiguous word. *Zamek* is one of thirty such words. It is a castle or a
# lock, and like every Polish noun it changes its ending with its role in the sentence: *zamku*, *zamkiem*, *zamki*, *zamków*.

# %%
def in_brackets(row, around=200):
    """The sentence, or so many characters on both sides, with the ambiguous word in brackets."""
    before, after = row.sentence[: row.start], row.sentence[row.end :]
    before = before if len(before) <= around else "… " + before[-around:].split(" ", 1)[1]
    after = after if len(after) <= around else after[:around].rsplit(" ", 1)[0] + " …"
    return f"{before}[{row.form}]{after}"

# %%
zamek = SENSES[SENSES["lemma"] == "zamek"]
three = zamek.iloc[[6, 0, 15]]
lines = [line for row in three.itertuples() for line in ((row.sense, in_brackets(row)), ("", texts.translations()[row.sentence]))]
report.table(pd.DataFrame(lines, columns=["sense", "sentence, and in English"]), "Three of the eighteen sentences with zamek")

# %% [markdown]
# Two models were trained for this book, a Polish **GPT-2**, which reads from left to right, and a **HerBERT**-like encoder, which sees both sides. **e5** is multilingual-e5-small {cite}`wang2024`, a published encoder of 12 blocks with
# weights in 4 bits ({doc}`models`). The comparison is not like for like: e5 has read far more text, in many languages, and was trained *contrastively*, to bring two texts that belong together close to each other. Where e5 is
# not installed, the page has the small models alone.
#
# The **state** of a word is the mean over its tokens. `embed` is what the first block reads, 1 to L are the outputs of the blocks, and L+ln_f is the output of GPT-2's final layer norm. GPT-2 has nothing to read before
# the first word of a text, so that word is left out in every model. **Untrained** models have the same configuration and tokenizer and fresh weights.
#
# ## The nearest neighbour
#
# If a layer keeps senses apart, the nearest neighbour of an occurrence of *zamek*, by the cosine of their states, should be in the same sense. Here are the four nearest neighbours of one occurrence, the lock of the table above, before the first block
# of e5 and after its last. The example was chosen because it shows the change.

# %%
SHOWN = "e5" if "e5" in ALL else "herbert"
states = trained[SHOWN].states[:, PLACES[zamek.index]]


def neighbours(layer, asked=15, k=4):
    """The k nearest occurrences of zamek, in their sentences."""
    order, cosines = word_senses.nearest_occurrences(states[layer], asked)
    near = zamek.iloc[order[:k]]
    right = np.where(near["sense"] == zamek["sense"].iloc[asked], "✓ ", "✗ ") + near["sense"]
    return pd.DataFrame({"layer": trained[SHOWN].layers[layer], "sense": right, "sentence": [in_brackets(row, 24) for row in near.itertuples()], "cosine": cosines[:k]})

# %%
report.table(pd.concat([neighbours(0), neighbours(-1)]), f"Nearest neighbours of the lock in 'Nie mogłam trafić kluczem do [zamku]' in {ALL[SHOWN]}")

# %% [markdown]
# Before the first block the neighbours are spelled alike, whatever they mean. After the last, three of the four mean a lock, and in them the word also stands in other cases and numbers. Over the eighteen sentences, the nearest neighbour of *zamek* is in the same sense
# {glue:text}`geo-zamek-first` times in the embedding and {glue:text}`geo-zamek-last` times after the last block. {numref}`fig-geo-plane` follows another word, *pokój* (room, peace), whose senses come apart so far that a plane shows it.

# %% mystnb={"figure": {"caption": "The eighteen occurrences of pokój in the plane of their first two principal components, in three layers; above e5, below an untrained e5. The titles say which share of the variance the plane keeps; the rest is not seen here.", "name": "fig-geo-plane"}, "image": {"alt": "Six scatter plots of filled and open points. In e5's embedding the points form three clusters, one for each spelling, with both senses in each. After the last block nearly all rooms lie on the left and nearly all peaces on the right. In the untrained model the two senses stay mixed, and hardly anything changes from layer to layer."}}
pokoj = SENSES[SENSES["lemma"] == "pokój"]
depths = [0, 8, 12] if SHOWN == "e5" else [0, 4, 6]
rows = {}
for key, title in (("trained", ALL[SHOWN]), ("untrained", "untrained")):
    plane = projection.principal_plane(words[key][SHOWN].states[:, PLACES[pokoj.index]])
    rows[title] = [(trained[SHOWN].layers[layer], plane.points[layer], plane.kept[layer]) for layer in depths]
plots.word_planes(rows, pokoj["sense"], {"room": (BLUE, "o"), "peace": (ORANGE, "s")}, pokoj["form"]);

# %% [markdown]
# ### One sentence through all layers
#
# What does a whole sentence look like on its way through the blocks? {numref}`fig-geo-sentence` follows *Dzieci biegły przez łąkę w stronę rzeki, a pies biegł za nimi* ("the children ran across the meadow towards the river, and the dog ran behind them") through {glue:text}`geo-shown`. The two forms of *biec* (to run), *biegły* and *biegł*, come close within a few blocks. The other words keep changing places.
# A plane keeps only a part of the variance, which grows from layer to layer as the states come to differ in fewer directions; in an untrained model of the same shape it keeps {glue:text}`geo-sentence-untrained` in every layer. So a distance in a panel is a hint, and the next sections measure cosines in all dimensions.

# %% mystnb={"figure": {"caption": "The words of one sentence in the plane of their first two principal components, layer by layer; each title says which share of the variance the plane keeps. Two forms of the verb biec (to run) are named in every panel, and all words in the first and the last.", "name": "fig-geo-sentence"}, "image": {"alt": "Thirteen scatter plots of eleven words. In the embedding biegły and biegł lie apart; within three blocks they lie next to each other and away from most others, and they stay neighbours to the end. The share that the planes keep grows from about a quarter to nearly a half."}}
ONE = 4  # of the plain sentences
shown = trained[SHOWN]
sentence = shown.table["word_form"][shown.texts == ONE].tolist()
plane = projection.principal_plane(shown.states[:, shown.texts == ONE])
named = [sentence.index(form) for form in ("biegły", "biegł")]
plots.sentence_planes(list(zip(shown.layers, plane.points, plane.kept, strict=True)), sentence, named);

# %% tags=["remove-cell"]
untold = words["untrained"][SHOWN]
kept = projection.principal_plane(untold.states[:, untold.texts == ONE]).kept
report.glue("geo-shown", ALL[SHOWN])
report.glue("geo-sentence-untrained", report.span(kept, digits=0, scale=100, unit="%"))

# %% [markdown]
# ### Spelling is the main confound
#
# Two occurrences of *zamkiem* are close because they are spelled alike, and a sense may prefer some endings. The null must keep whatever an ending says about the sense, so senses are **permuted among occurrences of one lemma that are spelled
# alike**. P-values are corrected by Holm {cite}`holm1979` over all layers of the trained models, and separately over those of the untrained ones. The call behind {numref}`fig-geo-senses` is
# `word_senses.neighbour_accuracy(states, lemmas, senses, strata=forms)`. The untrained e5 reads the sentences of only sixteen of the thirty words, so its line cannot be held against the permuted senses of all thirty.

# %% tags=["hide-output"]
by_lemma = pd.DataFrame({title: pd.Series(nearest["trained"][name].measure.raw[-1], nearest["trained"][name].measure.units) for name, title in ALL.items()})
by_lemma = by_lemma.assign(senses=SENSES.groupby("lemma")["sense"].unique().str.join(" / "))[["senses", *ALL.values()]]
by_lemma = by_lemma.sort_values(list(ALL.values())[-1], ascending=False).rename_axis("lemma").reset_index()
report.table(by_lemma, "The thirty words, their senses, and the share of nearest neighbours in the same sense, last layer")

# %% [markdown]
# A word has some eighteen sentences, so single words show little by themselves. The next table asks in three other ways, after the last block: with neighbours of **another spelling** only, so that spelling cannot help; with the **mean** of all
# words **subtracted**, since a shared direction can hide what differs; and with the mean state of the *other* words, since a reader finds the sense in the **rest of the sentence**. For the last, the same mean in an untrained model is
# the null, because sentences that share words are similar whatever was learned.

# %%
checks = {}
for name, title in ALL.items():
    found, last = trained[name], [trained[name].last_block]
    own = found.states[last]
    checks[title, "another spelling"] = word_senses.neighbour_accuracy(**marked(own, apart=FORMS))
    checks[title, "mean subtracted"] = word_senses.neighbour_accuracy(**marked(own - own.mean(axis=1, keepdims=True)))
    for key, group in words.items():
        labels, suffix = marked(group[name].states[last]), ", untrained" if key == "untrained" else ""
        checks[title, "all spellings" + suffix] = word_senses.neighbour_accuracy(**labels)
        labels["states"] = word_senses.rest_of_text(group[name], PLACES[: len(labels["lemmas"])])[last]
        checks[title, "rest of sentence" + suffix] = word_senses.neighbour_accuracy(**labels)

# %% tags=["hide-input"]
corrected = word_senses.holm_over_all(checks)
rows = [(*key, test.profile.at(0), test.chance.estimate[0], report.p_value(corrected[key][0], bare=True)) for key, test in checks.items()]
variants = pd.DataFrame(rows, columns=["model", "neighbours by", "same sense", "permuted", "p"])
report.table(variants, "Nearest neighbours after the last block; intervals over lemmas, p-values corrected over the rows")

# %%
def beyond(one, other):
    """What one kind of neighbours gives beyond another, each less its permuted senses, over the lemmas that both have."""
    first, second = one.measure, other.measure
    return (first.mean(np.isin(first.units, second.units)) - second.mean()).at(0)


PAIRS = {
    "word itself, trained − untrained": ("all spellings", "all spellings, untrained"),
    "rest of sentence, trained − untrained": ("rest of sentence", "rest of sentence, untrained"),
    "rest of sentence − word itself": ("rest of sentence", "all spellings"),
}
differences = {label: {title: beyond(*(checks[title, one] for one in pair)) for title in ALL.values()} for label, pair in PAIRS.items()}
report.table(pd.DataFrame.from_dict(differences, orient="index").rename_axis("difference").reset_index(), "Differences of shares, each beyond its permuted senses, after the last block; 95% intervals over the lemmas that both have")

# %% [markdown]
# The table of differences takes from each share what permuted senses give, since neighbours by the rest of the sentence agree more often in these too. Even so, such neighbours are in the same sense more often than neighbours by the word's own state in GPT-2 and HerBERT; in e5 no difference is shown. Training makes the rest of the sentence a better guide in all three models.
# So the evidence is in the sentence. The words of e5 and GPT-2 have taken up a part of it: training makes neighbours by the word's own state better, and these also agree where they must be spelled differently. GPT-2's words do so although they can read only what comes before them. HerBERT's words seem to have done so too, but less clearly. After its last block neighbours by the word's own state are in the same sense more often than permuted senses give, whether or not the mean is subtracted, and also where they must be spelled differently. Its last three blocks pass the test of {numref}`fig-geo-senses`, too. But beside an untrained model no difference is shown: its interval reaches down to just below zero.
#
# A nearest neighbour is one pair only. The **gap** looks at all pairs: it is the mean cosine of two occurrences in one sense minus that of two in different senses, beyond senses permuted among equal spellings. The gap by spelling is measured in the same way, beyond spellings permuted among equal senses. The table shows that the gap by sense is small, and above permuted senses in all three trained models and in none of the untrained ones. So by this measure too HerBERT's words hold a trace of their sense. In every model the gap by spelling is larger, and the interval of the difference excludes zero.

# %%
gap = each(lambda found: word_senses.cosine_gap(**marked(found.states[[-1]])))
by_form = each(lambda found: word_senses.cosine_gap(**marked(found.states[[-1]], senses=FORMS, strata=LABELS), n_permutations=200))
gap_p = {key: word_senses.holm_over_all(tests) for key, tests in gap.items()}
rows = {
    (title, key): (own.at(0), report.p_value(gap_p[key][name][0], bare=True), spelling.at(0), (spelling - own).at(0))
    for name, title in ALL.items() for key in words
    for own, spelling in [(gap[key][name].measure.mean(), by_form[key][name].measure.mean())]
}

# %%
gaps = pd.DataFrame.from_dict(rows, orient="index", columns=["by sense", "p", "by spelling", "difference"])
gaps.insert(0, "model", [title if key == "trained" else f"{title}, untrained" for title, key in rows])
report.table(gaps, "Gap of mean cosines beyond permutation, last layer; intervals over lemmas", digits=3)

# %% tags=["remove-cell"]
e5_last = {}
if "e5" in ALL:
    e5_last = {"senses": nearest["trained"]["e5"].profile.at(-1), "permuted": nearest["trained"]["e5"].chance.at(-1)}
for key in ("senses", "permuted"):
    report.glue(f"geo-e5-{key}", report.interval(*e5_last[key], scale=100, unit="%", digits=0) if e5_last else "(e5 is not installed)")
for key, column in (("gap", "by sense"), ("gap-form", "by spelling")):
    report.glue(f"geo-e5-{key}", report.interval(*gaps.set_index("model").loc["e5", column], digits=3) if e5_last else "(e5 is not installed)")
right = nearest["trained"][SHOWN].measure.raw[:, nearest["trained"][SHOWN].measure.units == "zamek"].ravel() * len(zamek)
for key, layer in (("first", 0), ("last", -1)):
    report.glue(f"geo-zamek-{key}", report.number(right[layer], 0))

# %% [markdown]
# ## Limits
#
# - That e5 separates senses is a finding on one model, in 4 bits. Why it does cannot be told here: it is larger, has read more, and was trained to compare texts.
# - The sentences were written for this book with the sense in mind, and nobody else has labelled them. How well a reader could tell the senses apart is not known.
# - GPT-2 sees what stands before a word. Where the sense becomes clear only after the word, its state cannot know it.
# - A word is the mean over its tokens, so a rare word is also an average of pieces.
# - Intervals over words do not cover the choice of texts, nor the one seed of each untrained model.
# - The cosine is one measure among others. That it separates senses weakly does not mean that a linear probe could not separate them.
#
# ## Exercises
#
# 1. *Pilot* is a flyer or a remote control. Change `"zamek"` to `"pilot"` and find an occurrence whose neighbours change sense between the embedding and the last layer. In which block of e5 does it happen? ({ref}`Solution <sol-geo-1>`)
# 2. Set `ANALYSIS_MODELS=hub` and put the same question to the published GPT-2 and HerBERT. Do they tell senses apart?

# %% tags=["remove-cell"]
def untrained_shares(name):
    """The share after the last block in four untrained models; e5 takes too long to ask more than one, with its interval over words."""
    first = nearest["untrained"][name].profile.at(-1)
    if name == "e5":
        return first
    others = (geometry.read_words(loaded[name], TEXTS, seed=seed, last=2) for seed in range(1, 4))
    return np.array([first.estimate, *(word_senses.neighbour_accuracy(**marked(found.states[-1:])).profile.at(-1).estimate for found in others)])


for name, title in ALL.items():
    page = {"model": name, "section": "senses.html#fig-geo-senses", "unit": "share of neighbours"}
    nulls = {"permuted": nearest["trained"][name].chance.at(-1), "untrained": untrained_shares(name)}
    report.finding(f"geo-{name}-senses", f"{title} puts occurrences in one sense next to each other", nearest["trained"][name].profile.at(-1), nulls, **page)
