# %% [markdown]
# # Geometry of contextual words
#
# **Question.** How alike are the states of different words? How alike are those of one word in different sentences? And does a layer keep the senses of an ambiguous word apart? The chapter
# measures all three layer by layer, after {cite}`ethayarajh2019`, on texts written for this book: in a Polish GPT-2 and a HerBERT-like model that were trained for the book, and in a published encoder.
#
# **Findings.** Square brackets hold 95% intervals, over texts, words or lemmas as each section says.
#
# - Words of different texts point in much the same direction. In the layer where the mean cosine is highest it is {glue:text}`geo-polish-gpt2-peak` in GPT-2 and {glue:text}`geo-herbert-peak` in HerBERT;
#   untrained models have {glue:text}`geo-polish-gpt2-peak-untrained` and {glue:text}`geo-herbert-peak-untrained` there.
# - Very few dimensions make most of this. After the last block three of them carry {glue:text}`geo-polish-gpt2-rogue` of GPT-2's mean cosine and {glue:text}`geo-herbert-rogue` of HerBERT's.
# - The published encoder, e5, tells the senses of a word apart, and the two small models hardly do. After e5's last layer the nearest neighbour of an occurrence is in the same sense in
#   {glue:text}`geo-e5-senses` of cases; with senses permuted within each form it would be in {glue:text}`geo-e5-permuted`, and without training it is in {glue:text}`geo-e5-untrained`.
# - In the last layer of the small models, occurrences in the same sense are closer than those in different senses by {glue:text}`geo-polish-gpt2-gap` (GPT-2) and {glue:text}`geo-herbert-gap`
#   (HerBERT), beyond chance and word form. Occurrences of the same *form* are closer than those of different forms by {glue:text}`geo-polish-gpt2-forms` and {glue:text}`geo-herbert-forms`.

# %% tags=["hide-input"]
from functools import partial

import numpy as np
import pandas as pd
from IPython.display import display

from analysis_lib import activations, geometry, models, plots, recorded, report, statistics, texts
from analysis_lib.geometry import word_senses
from analysis_lib.geometry.anisotropy import self_pair_bias
from analysis_lib.geometry.contexts import similarity_of_averages

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
ALL = TITLES | ({"e5": "e5"} if models.available()["e5"]["embedded"] else {})  # the package has no wheel for some machines
STYLES = {title: (plots.MODEL_COLOURS[name], "-") for name, title in ALL.items()}
STYLES["untrained"] = (plots.MODEL_COLOURS["untrained"], "--")
BLUE, GREEN, PINK, YELLOW = (plots.CYCLE[i] for i in (0, 2, 3, 4))

# %% [markdown]
# ## Texts, words, states
#
# There are three kinds of text: plain sentences, sentences that each show one sense of an ambiguous word, and paragraphs. One forward pass a batch gives the states of all layers. `embed` is what
# the first block reads, 1 to L are the outputs of the blocks, and `L+ln_f` is the last of them after GPT-2's final layer norm. A text longer than the model's context is read in overlapping windows.
#
# A **word** is the mean of the states of its tokens, and is named by its form as written. The first word of each text is left out. Each trained model stands beside an **untrained** one with
# the same configuration and tokenizer and fresh weights.
#
# **e5** is multilingual-e5-small {cite}`wang2024`, an encoder of 12 blocks whose weights are stored in 4 bits ({doc}`models`). It is no like-for-like comparison with the small models: others trained it on far more text, in many
# languages, and *contrastively*, to bring the mean states of two texts that belong together close to each other. It reads the sentences and not the paragraphs here, and is left out of some measures, to keep the page quick. The
# page says so where e5 is not installed, and then has the small models alone.

# %%
SENSES = texts.senses()
TEXTS = texts.all_texts()
loaded = {name: models.load(name) for name in TITLES}
runs = {name: activations.run(one, TEXTS, stride=64) for name, one in loaded.items()}
fresh = {name: models.untrained_like(one, seed=0) for name, one in loaded.items()}
words = {
    "trained": {name: geometry.WordStates.of(run) for name, run in runs.items()},
    "untrained": {name: geometry.WordStates.of(activations.run(one, TEXTS, stride=64)) for name, one in fresh.items()},
}
if "e5" in ALL:
    e5 = models.load("e5", source="embedded")
    for key, one in (("trained", e5), ("untrained", models.untrained_like(e5, seed=0))):
        words[key]["e5"] = geometry.WordStates.of(activations.run(one, TEXTS[: len(texts.sentences()) + len(SENSES)]))
trained = words["trained"]
print(*(one.label for one in loaded.values()), e5.label if "e5" in ALL else "e5 is not installed", sep="\n")
print(f"{len(TEXTS)} texts, {len(trained['herbert'].texts):,} words")


def each(measure, names=ALL):
    """A measure of the words of every model."""
    return {key: {name: measure(group[name]) for name in names} for key, group in words.items()}


# %% [markdown]
# Why does the first word go? At GPT-2's first position a token can attend to nothing but itself, so a first word is no sample of words in context. Its states are unusual in both models:

# %% tags=["hide-input"]
def first_words(name):
    """Length and mean cosine of the first words' states after the first block."""
    norms = [np.linalg.norm(states[1], axis=1) for states in (trained[name].firsts, trained[name].states)]
    alike = [geometry.anisotropy(words[key][name].firsts, np.arange(len(TEXTS))).at(1) for key in ("trained", "untrained")]
    return [statistics.bootstrap_interval(norms[0] / norms[1].mean()), *alike]


columns = ["length / mean length of other words", "mean cosine", "mean cosine, untrained"]
first = pd.DataFrame([first_words(name) for name in TITLES], columns=columns, index=list(TITLES.values()))
report.table(first, "First words of texts, after the first block; intervals over texts", index=True)

# %% [markdown]
# ## Anisotropy by layer
#
# **Anisotropy** is the expected cosine of a word of one text and a word of another. Ethayarajh drew a thousand such pairs, but the expectation has a closed form. With $m_t$ the
# mean of the unit vectors of text $t$, and $T$ texts,
#
# $$\mathrm{anisotropy} = \frac{\bigl\|\sum_t m_t\bigr\|^2 - \sum_t \|m_t\|^2}{T^2 - T}.$$
#
# It forms no pairs, and is cheap enough to be computed again for a thousand bootstrap samples of texts. **IsoScore** {cite}`rudman2022` asks something else: how evenly does
# the variance fill the dimensions (1 means evenly, 0 means a single dimension)? It does not see a mean that all words share; a cosine does. {numref}`fig-geo-anisotropy` shows both.

# %%
anisotropy = each(lambda found: geometry.anisotropy(found.states, found.texts))
isotropy = each(lambda found: geometry.isotropy(found.states, found.texts))

# %% mystnb={"figure": {"caption": "Mean cosine of words of different texts (above) and IsoScore (below) by layer, with 95% intervals over texts. A high cosine and a low IsoScore are both called anisotropic, and are different things.", "name": "fig-geo-anisotropy"}, "image": {"alt": "Panels of lines over layers, one column a model: the trained model in colour, an untrained one in grey; the lines of trained and untrained models differ in shape, and the two measures do not mirror each other."}}
LAYERS = {ALL[name]: found.layers for name, found in trained.items()}


def beside(profiles):
    """Trained and untrained models as lines of one panel."""
    return {ALL[name]: {ALL[name]: line, "untrained": profiles["untrained"][name]} for name, line in profiles["trained"].items()}


plots.layer_panels({"mean cosine": beside(anisotropy), "IsoScore": beside(isotropy)}, LAYERS, STYLES);

# %% [markdown]
# The null is not zero: states of untrained models share a direction too. Training makes this direction much stronger in GPT-2's early blocks and takes it back in the last one, while HerBERT's words keep it to the end. The
# two measures rank layers differently, since a direction that all words share raises the cosine and leaves IsoScore alone. In e5 the mean cosine jumps in the last block.
#
# ### Which dimensions carry it
#
# A mean cosine is a sum over dimensions, so each has its share, and a few **rogue dimensions** may carry most of it {cite}`timkey2021`. The three with the largest shares are chosen on one half of the texts, and
# their shares are measured on the other half. If all {glue:text}`geo-width` dimensions carried the same, three would have a share of {glue:text}`geo-three-alike`.

# %%
rogue = each(lambda found: geometry.rogue_dimensions(found.states, found.texts), TITLES)


# %%
def rogue_table(name):
    """Leading dimensions, their shares, and what is left without them, in the half of the texts that did not choose."""
    found, leading = trained[name], rogue["trained"][name]
    rest = np.isin(found.texts, leading.measured_on)
    states, labels = found.without_dimensions(leading.dimensions)[:, rest], found.texts[rest]
    columns = {"share of three": leading.shares[2], "untrained": rogue["untrained"][name].shares[2]}
    columns |= {"cosine without them": geometry.anisotropy(states, labels), "IsoScore without them": geometry.isotropy(states, labels)}
    table = pd.DataFrame({"dimensions": [", ".join(map(str, row)) for row in leading.dimensions]}, index=found.layers)
    return table.assign(**{label: [profile.at(layer) for layer in range(len(table))] for label, profile in columns.items()})


for name, title in TITLES.items():
    display(report.table(rogue_table(name), f"{title}: dimensions that carry the mean cosine, by layer", index=True))

# %% [markdown]
# Set to zero, three coordinates take most of the mean cosine of GPT-2's last layer with them. What a cosine of whole states says can hang on a handful of coordinates.
#
# ## One word in many contexts
#
# **Self-similarity** is the expected cosine of two occurrences of a word in different texts. High values mean that context changes the word *little*. Its baseline is
# anisotropy: {numref}`fig-geo-self` shows how much more alike two occurrences of a word are than two words. Words in at least five texts count. **Function words** are the twenty most widespread ones
# that Morfeusz {cite}`kieras2017` knows as preposition, conjunction, particle or pronoun; **content words** are nouns, verbs, adjectives or adverbs only. Intervals are over words, and over texts for *nie* ("not").

# %%
similar = each(lambda found: geometry.self_similarity(found.states, found.forms, found.texts))
explainable = each(lambda found: geometry.max_explainable_variance(found.states, found.forms, found.texts), TITLES)
KINDS = {name: geometry.function_and_content(measure) for name, measure in similar["trained"].items()}


def adjusted(key, name):
    """Self-similarity minus anisotropy: both resample texts for one word, words and texts for a kind of words."""
    found, baseline = words[key][name], anisotropy[key][name]
    means = {f"{kind} words": similar[key][name].mean(chosen, adjusted=False) for kind, chosen in KINDS[name].items()}
    lines = {kind: mean.minus_independent(baseline) for kind, mean in means.items()}
    return lines | {"nie": geometry.anisotropy(*found.of_form("nie"), all_texts=found.texts) - baseline}


lines = {key: {name: adjusted(key, name) for name in ALL} for key in words}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Self-similarity minus anisotropy, by layer: the mean over function words, over content words, and the word *nie*, with 95% intervals; dashed, the same in the untrained model.", "name": "fig-geo-self"}, "image": {"alt": "Panels of lines over layers, one a model: three full lines for the kinds of words, and dashed lines of the untrained models."}}
COLOURS = {"function words": GREEN, "content words": PINK, "nie": YELLOW}
styles = {kind: (colour, "-") for kind, colour in COLOURS.items()} | {f"{kind}, untrained": (colour, "--") for kind, colour in COLOURS.items()}
both = {
    title: lines["trained"][name] | {f"{kind}, untrained": line for kind, line in lines["untrained"][name].items()}
    for name, title in ALL.items()
}
plots.layer_panels({"adjusted cosine": both}, LAYERS, styles, zero=True);

# %% [markdown]
# The three kinds of words go the same way. GPT-2's first block makes any two words nearly as alike as two occurrences of one, and later blocks undo this; in HerBERT words slowly become more themselves.
#
# Two more measures follow. **Intra-sentence similarity** is the mean cosine of the words of a text with their mean. The paper subtracts anisotropy; but a word is part of its mean, and $n$ unrelated vectors
# already score about $1/\sqrt n$. The fitting null keeps the lengths of the texts and deals the words anew, and {numref}`fig-geo-intra` subtracts that. **MEV**, the maximum explainable
# variance, is the share of a word's occurrences, uncentred, that one direction carries, minus that of as many random words.

# %%
dealt = np.random.default_rng(0).permutation(trained["herbert"].texts)  # the same words in both models, so the same deal
sentence = each(lambda found: geometry.intra_sentence_similarity(found.states, found.texts).mean(adjusted=False), TITLES)
shuffled = each(lambda found: geometry.intra_sentence_similarity(found.states, dealt).mean(adjusted=False), TITLES)
beyond = {key: {name: sentence[key][name] - shuffled[key][name] for name in TITLES} for key in words}
variance = {key: {name: measure.mean() for name, measure in group.items()} for key, group in explainable.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Intra-sentence similarity minus that of texts dealt anew (above, 95% intervals over texts) and MEV minus that of random words (below, intervals over words), by layer.", "name": "fig-geo-intra"}, "image": {"alt": "Four panels of lines over layers, GPT-2 left, HerBERT right, the trained model in colour and the untrained in grey."}}
plots.layer_panels({"intra-sentence": beside(beyond), "MEV": beside(variance)}, LAYERS, STYLES, zero=True);

# %% tags=["hide-input"]
after = {name: found.last_block for name, found in trained.items()}
parts = {"intra-sentence similarity": sentence, "words dealt anew": shuffled, "anisotropy": anisotropy}
rows = [[part["trained"][name].at(after[name]) for part in parts.values()] for name in TITLES]
report.table(pd.DataFrame(rows, columns=list(parts), index=list(TITLES.values())), "After the last block; intervals over texts", index=True)

# %% [markdown]
# The table shows why the null matters: words dealt at random to texts of the same lengths already make up most of the score, and anisotropy explains only a part of that. The next tables say what rises
# with depth and what falls. An interval that holds 0 means that no change is established.

# %%
def changes(name):
    """Change of each measure from the embedding to the first block, and from there to the last block."""
    layers, columns = trained[name].layers, {}
    for key, title in (("trained", TITLES[name]), ("untrained", "untrained")):
        rows = {"anisotropy": anisotropy[key][name], "IsoScore": isotropy[key][name]}
        rows |= {f"self-similarity, {kind}": profile for kind, profile in lines[key][name].items()}
        rows |= {"intra-sentence": beyond[key][name], "MEV": variance[key][name]}
        for first, last in ((0, 1), (1, after[name])):
            label = f"{title}, {layers[first]} to {layers[last]}"
            columns[label] = {row: profile.change(first, last) for row, profile in rows.items()}
    return pd.DataFrame(columns)


for name, title in TITLES.items():
    display(report.table(changes(name), f"{title}: change of each measure between layers", index=True))

# %% [markdown]
# ## Senses
#
# *Zamek* is a castle or a lock, *pilot* a flyer or a remote control. Each of the lemmas below has sentences for two senses, with the word marked. If a layer separates senses, two
# occurrences in one sense are more alike than two in different senses, so that the **gap** of their mean cosines is positive. And the **nearest neighbour** of an occurrence, among the other
# occurrences of its lemma, is in the same sense more often than chance has it.
#
# Inflection is the main confound. *Zamkiem* is spelled alike whether it means a castle or a lock, and two occurrences of one form are close for that reason alone. The texts spread the forms of a lemma over its
# senses, so that a neighbour drawn among others of the same form has the same sense in {glue:text}`geo-form` of cases, where chance within a lemma is {glue:text}`geo-chance`. A test that permutes senses freely would
# therefore be biased, here against the models. **Senses are permuted within each form of a lemma** instead, which keeps in the null whatever forms tell. P-values are corrected by Holm over
# the layers of all trained models, and over those of all untrained ones.

# %%
LEMMAS, LABELS, FORMS = (SENSES[column].str.lower().to_numpy(dtype=str) for column in ("lemma", "sense", "form"))
MARKED = {"lemmas": LEMMAS, "senses": LABELS, "strata": FORMS, "n_permutations": 5000}
FIRST = len(texts.sentences())  # the sentences that show senses follow the plain ones
PLACES = word_senses.locate(trained["herbert"].table, FIRST + np.arange(len(SENSES)), SENSES["start"])

gap = each(lambda found: word_senses.cosine_gap(found.states[:, PLACES], **MARKED))
nearest = each(lambda found: word_senses.neighbour_accuracy(found.states[:, PLACES], **MARKED))
by_form = each(lambda found: word_senses.cosine_gap(found.states[:, PLACES], LEMMAS, FORMS, n_permutations=500))
gap_p, nearest_p = ({key: word_senses.holm_over_all(tests) for key, tests in both.items()} for both in (gap, nearest))

# %% mystnb={"figure": {"caption": "How often the nearest neighbour of an occurrence, among the others of its lemma, is in the same sense, by layer, with 95% intervals over lemmas. Permuted: senses permuted within each form (the middle 95% of permutations). Untrained: the same architecture with fresh weights. Filled points pass Holm's correction at 0.05.", "name": "fig-geo-senses"}, "image": {"alt": "One panel a model, lines over layers: the trained model stays near the permuted senses in GPT-2 and HerBERT and rises far above them in e5; the untrained models stay near them."}}
DRAWN = {"trained": (BLUE, "-"), "permuted": (plots.MODEL_COLOURS["permuted"], "--"), "untrained": (plots.MODEL_COLOURS["untrained"], ":")}
shares = {title: {key: nearest[key][name].profile for key in words} | {"permuted": nearest["trained"][name].chance} for name, title in ALL.items()}
found_out = {title: {key: nearest_p[key][name] < 0.05 for key in words} | {"permuted": np.zeros(len(LAYERS[title]), bool)} for name, title in ALL.items()}
plots.layer_panels({"same sense, share": shares}, LAYERS, DRAWN, found_out);

# %% [markdown]
# {numref}`fig-geo-senses` shows the first model of this book that clearly tells senses apart. In e5's embedding a neighbour is in the same sense no more often than forms alone explain; block by block it comes
# to be, up to the last one. GPT-2 rises above the permuted senses by a little in its last state, HerBERT and the untrained models nowhere. Why e5 does cannot be told here: it is larger, has read more, and was trained to compare texts.
#
# {numref}`fig-geo-gap` asks the same of all pairs of occurrences at once.

# %% mystnb={"figure": {"caption": "The gap, same sense minus different senses, beyond what permuting senses within forms gives, with 95% intervals over lemmas. Filled points pass Holm's correction at 0.05.", "name": "fig-geo-gap"}, "image": {"alt": "Panels of lines over layers, one a model: the gap of the trained model in colour, of the untrained in grey near or below zero; filled points mark layers that pass the correction."}}
beyond_chance = {key: {name: test.measure.mean() for name, test in tests.items()} for key, tests in gap.items()}
passing = {title: {title: gap_p["trained"][name] < 0.05, "untrained": gap_p["untrained"][name] < 0.05} for name, title in ALL.items()}
plots.layer_panels({"gap beyond chance": beside(beyond_chance)}, LAYERS, STYLES, passing, zero=True);

# %% [markdown]
# How many neighbours could be in the same sense? A reader finds the sense in the sentence, so the test is also run on the **rest of the sentence**: the mean state of
# its other words. At the embedding that is a bag of words which knows nothing of the marked one; in later layers the other words have attended to it. An untrained model's bag is its null, because sentences
# that share words have similar bags whatever was learned ({numref}`fig-geo-neighbours`).

# %%
rest = each(lambda found: word_senses.neighbour_accuracy(word_senses.rest_of_text(found, PLACES), **MARKED))
rest_p = {key: word_senses.holm_over_all(tests) for key, tests in rest.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How often the nearest neighbour is in the same sense: by the state of the word (95% intervals over lemmas), beside chance with forms held (the middle 95% of permutations); and by the mean state of the rest of the sentence, beside an untrained model's. Filled points pass Holm's correction at 0.05.", "name": "fig-geo-neighbours"}, "image": {"alt": "Panels of lines over layers, one a model: the word's state and the band of its permutations, the rest of the sentence trained and untrained."}}
styles = {"word": (BLUE, "-"), "word, permuted": (plots.MODEL_COLOURS["permuted"], "--"), "rest of sentence": (GREEN, "-")}
styles["rest, untrained"] = STYLES["untrained"]
accuracy, filled = {}, {}
for name, title in ALL.items():
    tests = {"word": nearest["trained"][name], "rest of sentence": rest["trained"][name], "rest, untrained": rest["untrained"][name]}
    corrected = (nearest_p["trained"][name], rest_p["trained"][name], rest_p["untrained"][name])
    accuracy[title] = {label: test.profile for label, test in tests.items()} | {"word, permuted": tests["word"].chance}
    filled[title] = {label: p < 0.05 for label, p in zip(tests, corrected, strict=True)} | {"word, permuted": np.zeros(len(LAYERS[title]), bool)}
plots.layer_panels({"same sense, share": accuracy}, LAYERS, styles, filled);

# %% tags=["hide-input"]
rows = [
    (title, what, *((found[key][name].profile.at(-1), found[key][name].chance.estimate[-1], p[key][name][-1]) for key in words))
    for what, found, p in (("word", nearest, nearest_p), ("rest of sentence", rest, rest_p))
    for name, title in ALL.items()
]
columns = ["model", "state", "trained", "permuted", "p", "untrained", "untrained, permuted", "untrained, p"]
last = pd.DataFrame([(title, what, *one, *null) for title, what, one, null in rows], columns=columns)
bare = partial(report.p_value, bare=True)
caption = "Nearest neighbour in the same sense, last layer; intervals over lemmas, p-values corrected over layers and models"
report.table(last, caption, formats={"p": bare, "untrained, p": bare})

# %% [markdown]
# In GPT-2, training adds {glue:text}`geo-polish-gpt2-rest-learned` to the accuracy of the rest of the sentence; in HerBERT it adds {glue:text}`geo-herbert-rest-learned`. Which words are told apart? The table lists the thirty lemmas. A
# lemma has some eighteen sentences, so that single lemmas show little by themselves.

# %%
senses = SENSES.groupby("lemma")["sense"].unique().str.join(" / ")
by_lemma = pd.DataFrame({title: pd.Series(nearest["trained"][name].measure.raw[-1], nearest["trained"][name].measure.units) for name, title in ALL.items()})
by_lemma = by_lemma.assign(senses=senses)[["senses", *ALL.values()]].sort_values(list(ALL.values())[-1], ascending=False)
report.table(by_lemma.rename_axis("lemma").reset_index(), "Share of nearest neighbours in the same sense, by lemma, last layer")

# %% [markdown]
# Three ways to ask the same of the last block are compared below: neighbours of any form; neighbours of **another form** only, which form cannot help; and states from which the mean
# of all words is taken, since a shared direction can hide what differs. Each stands beside its own permutations within forms, and the p-values of the table are corrected together.

# %%
checks = {}
for name, title in ALL.items():
    states = trained[name].states[[trained[name].last_block]]
    for kind, mean in (("raw", 0), ("centred", states.mean(axis=1, keepdims=True))):
        for form, apart in (("any", None), ("another", FORMS)):
            checks[title, kind, form] = word_senses.neighbour_accuracy((states - mean)[:, PLACES], **MARKED, apart=apart)

# %%
corrected = word_senses.holm_over_all(checks)
rows = [(*key, test.profile.at(0), test.chance.at(0), corrected[key][0]) for key, test in checks.items()]
variants = pd.DataFrame(rows, columns=["model", "states", "neighbour's form", "same sense", "permuted", "p"])
report.table(variants, "Nearest neighbours after the last block; p-values corrected over the rows", formats={"p": bare})

# %% tags=["remove-cell"]
def findings(name):
    """What the text of the page quotes of one model."""
    found, last = trained[name], after[name]
    chosen = np.isin(found.texts, np.unique(found.texts)[::2])  # the layer of the peak is chosen on every other text, measured on the rest
    peak = int(geometry.anisotropy(found.states[:, chosen], found.texts[chosen], n_resamples=1).estimate.argmax())
    high, null = (geometry.anisotropy(w.states[:, ~chosen], w.texts[~chosen]).at(peak) for w in (found, words["untrained"][name]))
    return {
        "peak": f"{report.interval(*high)} (layer {found.layers[peak]})",
        "peak-untrained": null,
        "rogue": rogue["trained"][name].shares[2].at(last),
        "gap": f"{report.interval(*beyond_chance['trained'][name].at(-1), digits=3)}, {report.p_value(gap_p['trained'][name][-1])}",
        "forms": by_form["trained"][name].measure.mean().at(-1),
        "rest-learned": (rest["trained"][name].profile - rest["untrained"][name].profile).at(-1),
    }


report.glue_frame(pd.DataFrame({name: findings(name) for name in TITLES}).T, "geo")
own_form, chance = (np.mean(list(word_senses.form_accuracy(LEMMAS, LABELS, forms).values())) for forms in (FORMS, np.arange(len(FORMS))))
width = trained["herbert"].states.shape[2]
e5_last = {"senses": nearest["trained"]["e5"].profile, "permuted": nearest["trained"]["e5"].chance, "untrained": nearest["untrained"]["e5"].profile} if "e5" in ALL else {}
for key in ("senses", "permuted", "untrained"):
    report.glue(f"geo-e5-{key}", report.interval(*e5_last[key].at(-1), scale=100, unit="%", digits=0) if e5_last else "(e5 is not installed)")
report.glue_frame(pd.Series({"form": report.number(own_form), "chance": report.number(chance), "width": width, "three-alike": report.number(3 / width, 3)}), "geo")

# %% [markdown]
# ## The original procedure beside this one
#
# The notebook that this chapter began with ran on published models and another data set, so its values cannot agree with these. Its *procedure* can be run on these models and texts, and each step below shows one
# artefact of it.
#
# **Self-pairs.** It drew two tokens at random with replacement, so that with probability $1/n$ a token met itself and gave 1. For $n$ tokens with a true mean cosine $s$ the expectation is
# $s + (1 - s)/n$: the shorter the text and the smaller the mean cosine, the more is added ({numref}`fig-geo-pairs`). Models that cut a text into different numbers of tokens get different biases.

# %% mystnb={"figure": {"caption": "What self-pairs add to the mean cosine of one text, in the last layer, by the number of its tokens; a point is a text. Both axes are logarithmic.", "name": "fig-geo-pairs"}, "image": {"alt": "Two falling clouds of points, GPT-2's above HerBERT's: single sentences of ten to forty tokens on the left, paragraphs of more than a hundred on the right."}}
within = {name: geometry.within_texts(run.states, run.tokens["text"].to_numpy()) for name, run in runs.items()}
added = {title: (within[name].counts, self_pair_bias(within[name])[-1]) for name, title in TITLES.items()}
plots.pair_bias(added, {title: STYLES[title][0] for title in TITLES.values()}, "tokens in the text", "added to the mean cosine");

# %% [markdown]
# **A single text.** It measured anisotropy within one text. Words of one text share its topic and stand in one another's context, so their mean cosine is no sample of the language's, and every text gives another one. It also took
# all tokens, with punctuation, the first position and special tokens. {numref}`fig-geo-single` takes the two apart.

# %% mystnb={"figure": {"caption": "Mean cosine by layer: words of different texts (95% interval over texts), words within one text, and all tokens within one text (lines: medians over texts; bands: the middle 95% of texts, what one text may give).", "name": "fig-geo-single"}, "image": {"alt": "Two panels of lines over layers, one a model: wide bands for single texts, of words and of tokens, and a thin line for words of different texts."}}
single = {
    title: {
        "words, different texts": anisotropy["trained"][name],
        "words, one text": geometry.within_texts(trained[name].states, trained[name].texts).spread(),
        "tokens, one text": within[name].spread(),
    }
    for name, title in TITLES.items()
}
styles = {"words, different texts": (BLUE, "-"), "words, one text": (GREEN, "--"), "tokens, one text": (PINK, ":")}
plots.layer_panels({"mean cosine": single}, LAYERS, styles);

# %% [markdown]
# **The wrong token.** It looked up the id of the string `nie`, which in neither tokenizer is the word: in HerBERT it is the piece that *begins* longer words (the word is `nie</w>`), in GPT-2 the one that
# *continues* them (the word is `Ġnie`). It also averaged all occurrences in a text before it compared texts, which makes them more alike, and it subtracted no baseline; in {numref}`fig-geo-token` no line does.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Raw self-similarity by layer of the word *nie*, of its averages over each text, and of averages of the token that the original looked up, with 95% intervals over texts.", "name": "fig-geo-token"}, "image": {"alt": "Two panels of lines over layers, one a model: the curve of the piece lies apart from those of the word."}}
pieces, nie = {}, {}
for name, title in TITLES.items():
    tokens, found = runs[name].tokens, trained[name]
    pieces[name] = (tokens["token_id"] == loaded[name].tokenizer.convert_tokens_to_ids("nie")).to_numpy()
    nie[title] = {
        "the word": geometry.anisotropy(*found.of_form("nie"), all_texts=found.texts),
        "the word, averaged": similarity_of_averages(*found.of_form("nie"), all_texts=found.texts),
        "the piece, averaged": similarity_of_averages(runs[name].states[:, pieces[name]], tokens["text"].to_numpy()[pieces[name]]),
    }
styles = {"the word": (BLUE, "-"), "the word, averaged": (GREEN, ":"), "the piece, averaged": (PINK, "--")}
plots.layer_panels({"mean cosine": nie}, LAYERS, styles);

# %% [markdown]
# **The missing last layer.** There are as many hidden states as layers and one more, the embedding. The original's loop over as many indices as layers drew the embedding as layer 0 and never the output of the last block, while its printed
# values came from the last state alone.
#
# **Passes.** It ran a model anew for every layer and every text. The table counts the passes that its loops would make on this chapter's texts, and those of this chapter, where one pass a batch serves all layers and measures.

# %% tags=["hide-input"]
def original(name):
    """What the original's steps do on this chapter's texts."""
    words_hit = (runs[name].tokens.loc[pieces[name], "word_form"] == "nie").sum()
    averaged = (nie[TITLES[name]]["the word, averaged"] - nie[TITLES[name]]["the word"]).at(-1)
    passes = [(1 + after[name]) * (1 + len(TEXTS)), runs[name].passes]
    return [pieces[name].sum(), words_hit, averaged, *passes]


columns = ["uses of the id looked up", "of these, the word nie", "averaging adds to the cosine", "passes, original", "passes, here"]
steps = pd.DataFrame([original(name) for name in TITLES], columns=columns, index=list(TITLES.values()))
report.table(steps, "The original's steps on this chapter's texts; interval over texts, last layer", index=True)

# %% [markdown]
# **What was recorded.** The four values that the original printed stand beside the same procedure on this chapter's models and texts, and beside this chapter's own measure at the same layer. Models and texts differ, so a row is no
# replication. The two models were moreover compared on different texts: HerBERT's context holds 512 tokens, a longer text raised an error, and the loop swallowed the error, so that long texts served GPT-2 alone.

# %% tags=["hide-input"]
printed = recorded.figures("001")
rows = {}
for short, name in (("herbert", "herbert"), ("gpt2", "polish-gpt2")):
    one_text = statistics.bootstrap_interval(within[name].raw[-1] + self_pair_bias(within[name])[-1])
    piece, word = nie[TITLES[name]]["the piece, averaged"].at(-1), lines["trained"][name]["nie"].at(-1)
    for quantity, same, here in (("anisotropy", one_text, anisotropy["trained"][name].at(-1)), ("context-specificity", piece, word)):
        rows[f"{quantity}, {TITLES[name]}"] = (printed.loc[f"{quantity}-{short}", "value"], same, here)
compared = pd.DataFrame.from_dict(rows, orient="index", columns=["recorded", "same procedure here", "this chapter"])
report.table(compared, "Last layer. Anisotropy: within texts and between texts. Context-specificity: the piece, and the word minus anisotropy", index=True)

# %% [markdown]
# ## Limits
#
# - The two models of this book are small and read little text, so their anisotropy says nothing of larger ones. That e5 separates senses is a finding on one model, in 4 bits. Set `ANALYSIS_MODELS=hub` to put the same questions to the published models.
# - A word is the mean over its tokens, so that a rare word is also an average of pieces. Forms as written are words: *Nie* at the head of a sentence is not *nie*.
# - Sentences were written for this book, those of the senses with the sense in mind, and nobody else has labelled them. How well a sense can be told from the sentence at all is not known,
#   and sentences of one sense may share words by their topic.
# - GPT-2 sees what stands before a word. Where the sense only becomes clear afterwards its state cannot know it; HerBERT sees both sides.
# - Intervals over texts, words or lemmas do not cover the choice of texts, nor the one seed of each untrained model. Where words are compared with texts, the two are treated as independent samples.
# - A cosine is one geometry among others. That it separates senses weakly does not say that a linear probe could not.
