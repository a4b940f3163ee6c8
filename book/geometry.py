# %% [markdown]
# # Geometry of contextual words
#
# **Question.** How alike are the states of different words, how alike are those of one word in different sentences, and does the geometry of a layer keep the
# senses of an ambiguous word apart? Measured layer by layer in a Polish GPT-2 and a HerBERT-like model, after {cite}`ethayarajh2019`, on texts written for this book.
#
# **What was found**, computed by the cells below (in brackets 95% intervals, over texts, words or lemmas as each section says):
#
# | | GPT-2 | HerBERT |
# |---|---|---|
# | anisotropy where it is highest | {glue:text}`geo-polish-gpt2-peak` | {glue:text}`geo-herbert-peak` |
# | an untrained model there | {glue:text}`geo-polish-gpt2-peak-untrained` | {glue:text}`geo-herbert-peak-untrained` |
# | anisotropy after the last block | {glue:text}`geo-polish-gpt2-last` | {glue:text}`geo-herbert-last` |
# | share of it that three dimensions carry (untrained: {glue:text}`geo-polish-gpt2-rogue-untrained:.2f`, {glue:text}`geo-herbert-rogue-untrained:.2f`) | {glue:text}`geo-polish-gpt2-rogue` | {glue:text}`geo-herbert-rogue` |
# | *nie* is alike to itself, less anisotropy, after the last block | {glue:text}`geo-polish-gpt2-nie` | {glue:text}`geo-herbert-nie` |
# | an untrained model's *nie* there | {glue:text}`geo-polish-gpt2-nie-untrained` | {glue:text}`geo-herbert-nie-untrained` |
# | its change from the first block to there | {glue:text}`geo-polish-gpt2-nie-change` | {glue:text}`geo-herbert-nie-change` |
# | cosine gap of senses beyond chance and form, last layer | {glue:text}`geo-polish-gpt2-gap` | {glue:text}`geo-herbert-gap` |
# | an untrained model's gap there | {glue:text}`geo-polish-gpt2-gap-untrained` | {glue:text}`geo-herbert-gap-untrained` |
# | layers whose gap passes Holm's correction | {glue:text}`geo-polish-gpt2-gap-layers` | {glue:text}`geo-herbert-gap-layers` |
# | the gap of *forms* of a word there, for scale | {glue:text}`geo-polish-gpt2-forms` | {glue:text}`geo-herbert-forms` |
# | nearest neighbour in the same sense, last layer (chance, forms held) | {glue:text}`geo-polish-gpt2-nn` | {glue:text}`geo-herbert-nn` |

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from myst_nb import glue

from analysis_lib import activations, geometry, models, plots, recorded, statistics, texts
from analysis_lib.geometry import word_senses
from analysis_lib.geometry.cosines import group_means
from analysis_lib.statistics import Profile
from analysis_lib.vocabulary import Lexicon

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}


def shown(interval, digits=2):
    """An interval as text."""
    estimate, low, high = (round(value, digits) + 0.0 for value in interval)  # adding 0 turns -0.0 into 0.0
    return f"{estimate:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


# %% [markdown]
# ## Texts, words, states
#
# Three kinds of text, all from `analysis_lib.texts`: plain sentences, sentences for each sense of ambiguous words, and paragraphs. One forward pass a batch gives the states
# of all layers: `embed` is what the first block reads, 1 to L what the blocks give, and `L+ln_f` what GPT-2's final layer norm makes of the last.
# A text longer than the context (HerBERT's, here) is cut into windows that overlap.

# %%
SENSES = texts.senses()
TEXTS = texts.sentences() + SENSES["sentence"].tolist() + texts.paragraphs()["text"].tolist()
STRIDE = 64  # tokens from one window of an over-long text to the next

# %% [markdown]
# A **word** is the mean of the states of its tokens, and is named by its form as written. The first word of each text is left out in both models, so that both are measured on the
# same words; special tokens are no words. Each trained model stands beside an **untrained** one: same configuration and tokenizer, fresh weights.


# %% tags=["hide-input"]
class Reader:
    """States of the words of all texts but the first of each, and what the last section needs of the tokens."""

    def __init__(self, loaded, tokens=True):
        found = activations.run(loaded, TEXTS, stride=STRIDE)
        states, table = found.words()
        kept = (table["word"] > 0) & ~table["first"]
        self.loaded, self.layers, self.passes = loaded, found.layers, found.passes
        self.last = self.layers.index(str(loaded.model.config.num_hidden_layers))
        self.states, self.words = states[:, kept], table[kept].reset_index(drop=True)
        self.firsts = states[:, table["word"] == 0]
        self.texts, self.forms = self.words["text"].to_numpy(), self.words["word_form"].to_numpy(dtype=str)
        if tokens:
            self.keep_tokens(found, loaded.tokenizer.convert_tokens_to_ids("nie"))

    def keep_tokens(self, found, piece):
        """What the original looked at: all tokens of a text, and the tokens with one id."""
        text = found.tokens["text"].to_numpy()
        self.within = geometry.within_texts(found.states, text)
        hits = (found.tokens["token_id"] == piece).to_numpy()
        self.piece_states, self.piece_texts = found.states[:, hits], text[hits]
        self.piece_words = found.tokens.loc[hits, "word_form"].to_numpy()


# %%
trained = {name: Reader(models.load(name)) for name in TITLES}
fresh = {name: Reader(models.untrained_like(reader.loaded, seed=0), tokens=False) for name, reader in trained.items()}


def each(function):
    """What a function says of each reader: {"trained": {name: ...}, "fresh": {name: ...}}."""
    return {key: {name: function(r) for name, r in group.items()} for key, group in (("trained", trained), ("fresh", fresh))}


# %% tags=["remove-cell"]
for name, reader in trained.items():
    glue(f"geo-{name}-label", reader.loaded.label, display=False)
    glue(f"geo-{name}-passes", reader.passes, display=False)
    lengths = np.linalg.norm(reader.firsts[1], axis=1) / np.linalg.norm(reader.states[1], axis=1).mean()
    glue(f"geo-{name}-first-length", shown(statistics.bootstrap_interval(lengths)), display=False)
    for suffix, one in (("", reader), ("-untrained", fresh[name])):
        firsts = geometry.anisotropy(one.firsts, np.arange(one.firsts.shape[1]))
        glue(f"geo-{name}-first-cosine{suffix}", shown(firsts.at(1)), display=False)
some = trained["polish-gpt2"]
glue("geo-texts", len(TEXTS), display=False)
glue("geo-sentences", len(texts.sentences()), display=False)
glue("geo-paragraphs", len(texts.paragraphs()), display=False)
glue("geo-words", f"{len(some.words):,}", display=False)
glue("geo-sense-sentences", len(SENSES), display=False)
glue("geo-lemmas", SENSES["lemma"].nunique(), display=False)
assert all((reader.words[["text", "start"]] == some.words[["text", "start"]]).all(axis=None) for reader in trained.values())

# %% [markdown]
# The figures come from {glue:text}`geo-polish-gpt2-label` and {glue:text}`geo-herbert-label`, and from {glue:text}`geo-words` words of {glue:text}`geo-texts:d` texts:
# {glue:text}`geo-sentences:d` sentences, {glue:text}`geo-sense-sentences:d` sentences with one of {glue:text}`geo-lemmas:d` ambiguous words, and {glue:text}`geo-paragraphs:d` paragraphs.
#
# Why the first word goes: at GPT-2's first position a token can attend to nothing but itself, and a first word is no sample of words in context. After the first block the states of first words are
# {glue:text}`geo-polish-gpt2-first-length` times as long as the mean of the others, and their mean cosine is {glue:text}`geo-polish-gpt2-first-cosine` (untrained: {glue:text}`geo-polish-gpt2-first-cosine-untrained`). In HerBERT, which
# reads `<s>` first, it is {glue:text}`geo-herbert-first-length` times, and {glue:text}`geo-herbert-first-cosine` ({glue:text}`geo-herbert-first-cosine-untrained`). The others' cosines are the next section's.
#
# ## Anisotropy by layer
#
# **Anisotropy** is the expected cosine of a word of one text and a word of another. Ethayarajh drew a thousand such pairs; the expectation has a closed form. With $m_t$ the
# mean of the unit vectors of text $t$, and $T$ texts,
#
# $$\mathrm{anisotropy} = \frac{\bigl\|\sum_t m_t\bigr\|^2 - \sum_t \|m_t\|^2}{T^2 - T},$$
#
# exact, without a pair formed, and cheap enough to be computed again for a thousand bootstrap samples of texts. **IsoScore** {cite}`rudman2022` asks another question: how evenly does
# the variance fill the dimensions (1: all alike, 0: one of them)? It does not see a mean that all words share; a cosine does. {numref}`fig-geo-anisotropy` shows both.

# %%
anisotropy = each(lambda reader: geometry.anisotropy(reader.states, reader.texts))
isotropy = each(lambda reader: geometry.isotropy(reader.states, reader.texts))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean cosine of words of different texts (above) and IsoScore (below) by layer, with 95% intervals over texts. A high cosine and a low IsoScore are both called anisotropic, and are different things.", "name": "fig-geo-anisotropy"}, "image": {"alt": "Four panels of lines over layers, GPT-2 left, HerBERT right: the trained model in colour, an untrained one in grey; the lines of trained and untrained models differ in shape, and the two measures do not mirror each other."}}
LAYERS = {TITLES[name]: reader.layers for name, reader in trained.items()}
STYLES = {TITLES[n]: (plots.MODEL_COLOURS[n], "-") for n in TITLES} | {"untrained": (plots.MODEL_COLOURS["untrained"], "--")}


def beside_untrained(found):
    """{title: {line: profile}} of trained and untrained models."""
    return {t: {t: found["trained"][n], "untrained": found["fresh"][n]} for n, t in TITLES.items()}


plots.layer_panels({"mean cosine": beside_untrained(anisotropy), "IsoScore": beside_untrained(isotropy)}, LAYERS, STYLES);
# %% tags=["remove-cell"]
for name, reader in trained.items():
    found, null = anisotropy["trained"][name], anisotropy["fresh"][name]
    peak = int(found.estimate.argmax())
    glue(f"geo-{name}-peak", f"{shown(found.at(peak))}, layer {reader.layers[peak]}", display=False)
    glue(f"geo-{name}-peak-untrained", shown(null.at(peak)), display=False)
    glue(f"geo-{name}-peak-excess", shown((found - null).at(peak)), display=False)
    glue(f"geo-{name}-last", shown(found.at(reader.last)), display=False)
    glue(f"geo-{name}-embed-pair", f"{shown(found.at(0))} and {shown(isotropy['trained'][name].at(0), 3)}", display=False)
    glue(
        f"geo-{name}-last-pair", f"{shown(found.at(reader.last))} and {shown(isotropy['trained'][name].at(reader.last), 3)}", display=False
    )
    glue(f"geo-{name}-iso-low", reader.layers[int(isotropy["trained"][name].estimate.argmin())], display=False)
    glue(f"geo-{name}-iso-fresh", shown(isotropy["fresh"][name].at(reader.last), 3), display=False)

# %% [markdown]
# Where it is highest, the trained models' anisotropy is above the untrained ones' at the same layer by {glue:text}`geo-polish-gpt2-peak-excess` (GPT-2) and
# {glue:text}`geo-herbert-peak-excess` (HerBERT). The null is not zero: untrained states share a direction too.
#
# The two measures rank layers differently. In GPT-2, cosine and IsoScore are {glue:text}`geo-polish-gpt2-embed-pair` at the embedding and {glue:text}`geo-polish-gpt2-last-pair` after
# the last block; in HerBERT {glue:text}`geo-herbert-embed-pair` and {glue:text}`geo-herbert-last-pair`. IsoScore is lowest at layer {glue:text}`geo-polish-gpt2-iso-low` (GPT-2) and
# {glue:text}`geo-herbert-iso-low` (HerBERT); after the last block of untrained models it is {glue:text}`geo-polish-gpt2-iso-fresh` and {glue:text}`geo-herbert-iso-fresh`.
#
# ### Which dimensions carry it
#
# A mean cosine is a sum over dimensions, so each has its share; a few **rogue dimensions** may carry most of it {cite}`timkey2021`. The dimensions of the largest shares, and what the first
# and the first three carry; beside them the same for the untrained model, whose dimensions have no reason to differ. If all {glue:text}`geo-width:d` dimensions carried alike, three would
# have a share of {glue:text}`geo-three-alike:.3f`.

# %%
rogue = each(lambda reader: geometry.rogue_dimensions(reader.states, reader.texts))


def without(reader, dimensions):
    """Anisotropy and IsoScore by layer when some dimensions [layer, k] are set to zero."""
    states = reader.states.copy()
    np.put_along_axis(states, dimensions[:, None, :], 0, axis=2)
    return geometry.anisotropy(states, reader.texts), geometry.isotropy(states, reader.texts)


left = {name: without(reader, rogue["trained"][name].dimensions) for name, reader in trained.items()}


# %% tags=["hide-input"]
def rogue_table(name):
    """A row a layer: which dimensions, their shares, and what is left without them."""
    reader, found, null = trained[name], rogue["trained"][name], rogue["fresh"][name]
    columns = {"share of one": found.shares[0], "of three": found.shares[2], "of three, untrained": null.shares[2]}
    columns |= dict(zip(("anisotropy without them", "IsoScore without them"), left[name], strict=True))
    table = pd.DataFrame({"dimensions": [", ".join(map(str, row)) for row in found.dimensions]}, index=reader.layers)
    return table.assign(**{label: [shown(profile.at(i)) for i in range(len(reader.layers))] for label, profile in columns.items()})


for name in TITLES:
    display(rogue_table(name).style.set_caption(f"{trained[name].loaded.label}: dimensions that carry the mean cosine"))

# %% tags=["remove-cell"]
for name, reader in trained.items():
    glue(f"geo-{name}-rogue", shown(rogue["trained"][name].shares[2].at(reader.last)), display=False)
    glue(f"geo-{name}-rogue-untrained", float(rogue["fresh"][name].shares[2].estimate[reader.last]), display=False)
    glue(f"geo-{name}-left", f"{shown(left[name][0].at(reader.last))} and {shown(left[name][1].at(reader.last))}", display=False)
    glue(f"geo-{name}-rogue-which", ", ".join(map(str, rogue["trained"][name].dimensions[reader.last])), display=False)
glue("geo-width", some.states.shape[2], display=False)
glue("geo-three-alike", 3 / some.states.shape[2], display=False)

# %% [markdown]
# After the last block the three are {glue:text}`geo-polish-gpt2-rogue-which` in GPT-2, with a share of {glue:text}`geo-polish-gpt2-rogue`, and {glue:text}`geo-herbert-rogue-which` in HerBERT,
# with {glue:text}`geo-herbert-rogue`. Set to zero, they leave a cosine and an IsoScore of {glue:text}`geo-polish-gpt2-left` in GPT-2, {glue:text}`geo-herbert-left` in HerBERT. What a cosine of whole states says can hang on a
# handful of coordinates.
#
# ## One word in many contexts
#
# **Self-similarity** is the expected cosine of two occurrences of a word in different texts: high means *little* specific to context. It is the same call on the word's occurrences
# alone. The baseline, anisotropy, is subtracted in {numref}`fig-geo-self`: what is left is how much more alike two occurrences of a word are than two words. Words in at least five texts count, and the
# intervals are over words; for *nie*, over the texts it stands in. **Function words** are those of which Morfeusz {cite}`kieras2017` knows a reading as preposition, conjunction, particle or
# pronoun, the {glue:text}`geo-function:d` in most texts; **content words** have readings as noun, verb, adjective or adverb only ({glue:text}`geo-content:d` forms).

# %%
similar = each(lambda reader: geometry.self_similarity(reader.states, reader.forms, reader.texts))
explainable = each(lambda reader: geometry.max_explainable_variance(reader.states, reader.forms, reader.texts))

# %% tags=["hide-input"]
counted = similar["trained"]["polish-gpt2"]
lexicon = Lexicon.from_forms(counted.units)
closed = np.any([lexicon.has_pos(pos) for pos in ("preposition", "conjunction", "particle", "pronoun")], axis=0)
frequent = counted.counts >= np.sort(counted.counts[closed])[-20]
WORDS = {
    "function": closed & frequent,
    "content": ~closed & np.any([lexicon.has_pos(p) for p in ("noun", "verb", "adjective", "adverb")], axis=0),
}


def nie(reader):
    """Self-similarity of the word nie, with its interval over texts."""
    own = reader.forms == "nie"
    return geometry.anisotropy(reader.states[:, own], reader.texts[own])


def less_anisotropy(key, name, profile):
    """A raw profile less the baseline, both resampled."""
    return profile - anisotropy[key][name]


# %%
def word_lines(key, name):
    """Adjusted self-similarity of the kinds of words."""
    measure = similar[key][name]
    kinds = {f"{kind} words": measure.mean(chosen, adjusted=False, seed=1) for kind, chosen in WORDS.items()}
    kinds["nie"] = nie((trained if key == "trained" else fresh)[name])
    return {kind: less_anisotropy(key, name, profile) for kind, profile in kinds.items()}


lines = {key: {name: word_lines(key, name) for name in TITLES} for key in ("trained", "fresh")}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Self-similarity less anisotropy, by layer: the mean over function words, over content words, and the word *nie*, with 95% intervals; dashed, the same of the untrained model.", "name": "fig-geo-self"}, "image": {"alt": "Two panels of lines over layers, for GPT-2 and HerBERT: three full lines for the kinds of words, and dashed lines of the untrained models."}}
KINDS = {"function words": plots.CYCLE[2], "content words": plots.CYCLE[3], "nie": plots.CYCLE[4]}
kind_styles = {kind: (colour, "-") for kind, colour in KINDS.items()} | {
    f"{kind}, untrained": (colour, "--") for kind, colour in KINDS.items()
}


def with_untrained(found):
    """{title: {line: profile}}, lines of the untrained model under a name of their own."""
    named = {name: found["trained"][name] | {f"{kind}, untrained": p for kind, p in found["fresh"][name].items()} for name in TITLES}
    return {TITLES[name]: one for name, one in named.items()}


plots.layer_panels({"adjusted cosine": with_untrained(lines)}, LAYERS, kind_styles, zero=True);

# %% [markdown]
# The adjusted self-similarity of *nie* changes by {glue:text}`geo-polish-gpt2-nie-first` from the embedding to the first block of GPT-2, and by {glue:text}`geo-polish-gpt2-nie-change` from there to the last (untrained:
# {glue:text}`geo-polish-gpt2-nie-first-untrained` and {glue:text}`geo-polish-gpt2-nie-change-untrained`); in HerBERT by {glue:text}`geo-herbert-nie-first` and {glue:text}`geo-herbert-nie-change` (untrained:
# {glue:text}`geo-herbert-nie-first-untrained` and {glue:text}`geo-herbert-nie-change-untrained`). A negative change makes the word more specific to its context, a positive one less.
#
# Two more measures. **Intra-sentence similarity** is the mean cosine of the words of a text, here a sentence or a paragraph, with their mean. The paper subtracts anisotropy; but a word is part of its mean, and $n$ unrelated
# vectors already score about $1/\sqrt n$. The fitting null keeps the lengths of the texts and deals the words anew, and {numref}`fig-geo-intra` subtracts that. **MEV**, the maximum explainable
# variance, is the share of a word's occurrences, uncentred, that one direction carries, less that of as many random words.


# %%
def intra(reader):
    """Intra-sentence similarity, and the same with words dealt anew to texts of the same lengths."""
    dealt = np.random.default_rng(0).permutation(reader.texts)
    return [geometry.intra_sentence_similarity(reader.states, labels).mean(adjusted=False) for labels in (reader.texts, dealt)]


sentence = each(intra)
beyond = {key: {n: real - dealt for n, (real, dealt) in group.items()} for key, group in sentence.items()}
variance = {key: {n: measure.mean() for n, measure in group.items()} for key, group in explainable.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Intra-sentence similarity less that of texts dealt anew (above, 95% intervals over texts) and MEV less that of random words (below, intervals over words), by layer.", "name": "fig-geo-intra"}, "image": {"alt": "Four panels of lines over layers, GPT-2 left, HerBERT right, the trained model in colour and the untrained in grey."}}
plots.layer_panels({"intra-sentence": beside_untrained(beyond), "MEV": beside_untrained(variance)}, LAYERS, STYLES, zero=True);

# %% [markdown]
# What rises with depth and what falls: the change from the embedding to the first block, and from the first block to the last, trained and untrained. An interval that holds 0 says that no change is established.


# %% tags=["hide-input"]
def changes(name):
    """Changes from the embedding to the first block and from there to the last, a row a measure."""
    at, columns = trained[name].last, {}
    for key, label in (("trained", TITLES[name]), ("fresh", "untrained")):
        rows = {"anisotropy": anisotropy[key][name], "IsoScore": isotropy[key][name]}
        rows |= {f"self-similarity, {kind}": profile for kind, profile in lines[key][name].items()}
        rows |= {"intra-sentence": beyond[key][name], "MEV": variance[key][name]}
        for first, last in ((0, 1), (1, at)):
            step = f"{trained[name].layers[first]} to {trained[name].layers[last]}"
            columns[label, step] = {row: shown(profile.change(first, last), 3) for row, profile in rows.items()}
    return pd.DataFrame(columns)


for name in TITLES:
    display(changes(name).style.set_caption(f"{trained[name].loaded.label}: change of each measure, 95% interval"))

# %% tags=["remove-cell"]
for name, reader in trained.items():
    glue(f"geo-{name}-nie", shown(lines["trained"][name]["nie"].at(reader.last)), display=False)
    glue(f"geo-{name}-nie-untrained", shown(lines["fresh"][name]["nie"].at(reader.last)), display=False)
    for key, suffix in (("trained", ""), ("fresh", "-untrained")):
        glue(f"geo-{name}-nie-first{suffix}", shown(lines[key][name]["nie"].change(0, 1)), display=False)
        glue(f"geo-{name}-nie-change{suffix}", shown(lines[key][name]["nie"].change(1, reader.last)), display=False)
    real, dealt = sentence["trained"][name]
    glue(f"geo-{name}-intra-dealt", shown(less_anisotropy("trained", name, dealt).at(reader.last)), display=False)
    glue(f"geo-{name}-intra-paper", shown(less_anisotropy("trained", name, real).at(reader.last)), display=False)
glue("geo-function", int(WORDS["function"].sum()), display=False)
glue("geo-content", int(WORDS["content"].sum()), display=False)
glue("geo-nie-texts", int(counted.counts[counted.units == "nie"][0]), display=False)

# %% [markdown]
# The paper's own adjustment would have shown intra-sentence similarities of {glue:text}`geo-polish-gpt2-intra-paper` (GPT-2) and {glue:text}`geo-herbert-intra-paper` (HerBERT) after the last
# block. Words dealt at random to texts of the same lengths score {glue:text}`geo-polish-gpt2-intra-dealt` and {glue:text}`geo-herbert-intra-dealt` by the same reckoning: most of what it
# shows is arithmetic.
#
# ## Senses
#
# The original notebook read a data set made for word senses and never asked about them. Here each of {glue:text}`geo-lemmas:d` lemmas has sentences for two senses or more, with the word marked.
# If a layer separates senses, two occurrences in one sense are more alike than two in different senses: the **gap** of their mean cosines is positive. And the **nearest
# neighbour** of an occurrence, among the other occurrences of its lemma, is in the same sense more often than chance has it.
#
# Inflection is the rival. *Zamkiem* and *zamkiem* are one token sequence whatever they mean, so that form rules these neighbourhoods, and forms are spread over senses by design: a neighbour
# drawn among others of the same form is in the same sense in {glue:text}`geo-form:.2f` of cases, where chance within a lemma is {glue:text}`geo-chance:.2f`. A test that permutes senses freely would thus
# be biased, here against the models. So **senses are permuted within each form of a lemma** ({glue:text}`geo-permutations:,d` times), which keeps all that form tells in the null. P-values are corrected by Holm over
# the layers of both trained models, and over those of both untrained ones.

# %%
N_PERMUTATIONS = 5000
MARKED = {"lemmas": SENSES["lemma"].to_numpy(dtype=str), "senses": SENSES["sense"].to_numpy(dtype=str)}
FORMS = SENSES["form"].str.lower().to_numpy(dtype=str)
FIRST_SENSE = len(texts.sentences())  # the texts of the senses follow the plain sentences


def occurrences(reader):
    """States of the marked words, [layer, occurrence, d_model]."""
    return reader.states[:, word_senses.locate(reader.words, FIRST_SENSE + np.arange(len(SENSES)), SENSES["start"])]


# %%
options = {"strata": FORMS, "n_permutations": N_PERMUTATIONS}
gap = each(lambda reader: word_senses.cosine_gap(occurrences(reader), **MARKED, **options))
nearest = each(lambda reader: word_senses.neighbour_accuracy(occurrences(reader), **MARKED, **options))
by_form = each(lambda reader: word_senses.cosine_gap(occurrences(reader), MARKED["lemmas"], FORMS, n_permutations=500))


# %%
def corrected(tests):
    """Holm-corrected p-values [layer] by model, over all layers of all models given."""
    flat = statistics.holm(np.concatenate([test.pvalues for test in tests.values()]))
    ends = np.cumsum([len(test.pvalues) for test in tests.values()])[:-1]
    return dict(zip(tests, np.split(flat, ends), strict=True))


gap_p = {key: corrected(tests) for key, tests in gap.items()}
nearest_p = {key: corrected(tests) for key, tests in nearest.items()}


# %% [markdown]
# {numref}`fig-geo-cosines` shows both cosines as they are, and {numref}`fig-geo-gap` their gap beyond its null.


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean cosine of two occurrences of a lemma, less anisotropy: in the same sense and in different senses, with 95% intervals over lemmas. Forms are not held here, and are spread over senses; the next figure holds them.", "name": "fig-geo-cosines"}, "image": {"alt": "Two panels of lines over layers, one a model: adjusted cosine for the same sense and for different senses, close together."}}
def cosine_lines(name):
    """Adjusted cosines within and between senses."""
    parts = word_senses.same_and_different(occurrences(trained[name]), **MARKED)
    return {
        label: less_anisotropy("trained", name, part.mean(seed=1))
        for label, part in zip(("same sense", "different senses"), parts, strict=True)
    }


sense_styles = {"same sense": (plots.CYCLE[2], "-"), "different senses": (plots.CYCLE[3], "--")}
plots.layer_panels({"adjusted cosine": {TITLES[name]: cosine_lines(name) for name in TITLES}}, LAYERS, sense_styles, zero=True);


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The gap, same sense less different senses, beyond what permuting senses within forms gives, with 95% intervals over lemmas. Filled points pass Holm's correction at 0.05.", "name": "fig-geo-gap"}, "image": {"alt": "Two panels of lines over layers, one a model: the gap of the trained model in colour, of the untrained in grey near or below zero; filled points mark layers that pass the correction."}}
def beyond_chance(tests):
    """Mean over lemmas less each lemma's permutations."""
    return {key: {name: test.measure.mean() for name, test in group.items()} for key, group in tests.items()}


passing = {t: {t: gap_p["trained"][n] < 0.05, "untrained": gap_p["fresh"][n] < 0.05} for n, t in TITLES.items()}
plots.layer_panels({"gap beyond chance": beside_untrained(beyond_chance(gap))}, LAYERS, STYLES, passing, zero=True);

# %% [markdown]
# For scale: the same gap between occurrences in one *form* and in different forms of the lemma is {glue:text}`geo-polish-gpt2-forms` in the last layer of GPT-2 and {glue:text}`geo-herbert-forms` in that of HerBERT.
#
# Neighbours ask the same in counts. What could be reached? The sentence is where a reader finds the sense, so the test is also run on the **rest of the sentence**: the mean state of the other words, the marked word's
# left out. At the embedding that is a bag of words which knows nothing of the marked one; in later layers the other words have attended to it. An untrained model's bag is the null to hold it against: sentences
# that share words have alike bags, whatever was learned ({numref}`fig-geo-neighbours`).


# %%
def rest_of_sentence(reader):
    """Mean state of the other words of each marked word's sentence, [layer, occurrence, d_model]."""
    in_senses = (reader.texts >= FIRST_SENSE) & (reader.texts < FIRST_SENSE + len(SENSES))
    means, counts = group_means(reader.states[:, in_senses], reader.texts[in_senses])
    return (means * counts[:, None] - occurrences(reader)) / (counts[:, None] - 1)


rest = each(lambda reader: word_senses.neighbour_accuracy(rest_of_sentence(reader), **MARKED, **options))
rest_p = {key: corrected(tests) for key, tests in rest.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How often the nearest neighbour is in the same sense: by the state of the word (95% intervals over lemmas), beside chance with forms held (95% of permutations); and by the mean state of the rest of the sentence, beside an untrained model's. Filled points pass Holm's correction at 0.05.", "name": "fig-geo-neighbours"}, "image": {"alt": "Two panels of lines over layers, one a model: the word's state and the band of its permutations, the rest of the sentence trained and untrained."}}
def neighbour_lines(name):
    """Accuracies of the word and of the rest of its sentence, each beside its null."""
    word, null = nearest["trained"][name].profile, nearest["trained"][name].null
    chance = Profile(null.mean(axis=0), null)
    return {"word": word, "word, permuted": chance, "rest of sentence": rest["trained"][name].profile, "rest, untrained": rest["fresh"][name].profile}


def filled(name):
    """Layers that pass the correction."""
    pvalues = {"word": nearest_p["trained"][name], "rest of sentence": rest_p["trained"][name], "rest, untrained": rest_p["fresh"][name]}
    return {label: p < 0.05 for label, p in pvalues.items()} | {"word, permuted": np.zeros(len(pvalues["word"]), dtype=bool)}


styles = {"word": (plots.CYCLE[0], "-"), "word, permuted": (plots.MODEL_COLOURS["permuted"], "--"), "rest of sentence": (plots.CYCLE[2], "-"), "rest, untrained": (plots.CYCLE[6], "--")}
accuracies = {TITLES[name]: neighbour_lines(name) for name in TITLES}
plots.layer_panels({"same sense, share": accuracies}, LAYERS, styles, {TITLES[name]: filled(name) for name in TITLES});

# %% [markdown]
# Three ways to ask the same of the last layer, in the table below: neighbours of any form; neighbours of **another form** only, which form cannot help; and states from which the mean
# of all words is taken, since a shared direction can hide what differs. Each beside its own permutations within forms; the p-values of the table are corrected together.


# %%
def variants(name):
    """Neighbour accuracy at the last block: raw and centred states, any form and another form."""
    reader = trained[name]
    states = occurrences(reader)[[reader.last]]
    centred = states - reader.states[[reader.last]].mean(axis=1, keepdims=True)
    for kind, x in (("raw", states), ("centred", centred)):
        for which, apart in (("any", None), ("another", FORMS)):
            yield (TITLES[name], kind, which), word_senses.neighbour_accuracy(x, **MARKED, **options, apart=apart)


# %% tags=["hide-input"]
checks = {key: test for name in TITLES for key, test in variants(name)}
table = pd.DataFrame(
    {
        "same sense": [shown(test.profile.at(0)) for test in checks.values()],
        "permuted": [shown(Profile(test.null.mean(axis=0), test.null).at(0)) for test in checks.values()],
        "p, Holm": np.concatenate(list(corrected(checks).values())),
    },
    index=pd.MultiIndex.from_tuples(checks, names=["model", "states", "neighbour's form"]),
)
table.style.format({"p, Holm": "{:.3f}"}).set_caption("Nearest neighbours after the last block")

# %% tags=["remove-cell"]
at = -1  # the last layer there is: after ln_f in GPT-2
for name, reader in trained.items():
    glue(f"geo-{name}-gap", f"{shown(gap['trained'][name].measure.mean().at(at), 3)}, p = {gap_p['trained'][name][at]:.3f}", display=False)
    glue(
        f"geo-{name}-gap-untrained",
        f"{shown(gap['fresh'][name].measure.mean().at(at), 3)}, p = {gap_p['fresh'][name][at]:.3f}",
        display=False,
    )
    layers = [label for label, p in zip(reader.layers, gap_p["trained"][name], strict=True) if p < 0.05]
    glue(f"geo-{name}-gap-layers", ", ".join(layers) or "none", display=False)
    layers = [label for label, p in zip(reader.layers, nearest_p["trained"][name], strict=True) if p < 0.05]
    glue(f"geo-{name}-nn-layers", ", ".join(layers) or "none", display=False)
    chance = nearest["trained"][name].null.mean(axis=0)[at]
    glue(
        f"geo-{name}-nn",
        f"{shown(nearest['trained'][name].profile.at(at))} ({chance:.2f}), p = {nearest_p['trained'][name][at]:.3f}",
        display=False,
    )
    glue(f"geo-{name}-nn-untrained", f"{shown(nearest['fresh'][name].profile.at(at))}, p = {nearest_p['fresh'][name][at]:.3f}", display=False)

# %% tags=["remove-cell"]
for name in trained:
    for key, suffix in (("trained", ""), ("fresh", "-untrained")):
        chance = rest[key][name].null.mean(axis=0)[at]
        glue(f"geo-{name}-rest{suffix}", f"{shown(rest[key][name].profile.at(at))} (chance {chance:.2f}), p = {rest_p[key][name][at]:.3f}", display=False)
    glue(f"geo-{name}-rest-learned", shown((rest["trained"][name].profile - rest["fresh"][name].profile).at(at)), display=False)
    glue(f"geo-{name}-forms", shown(by_form["trained"][name].measure.mean().at(at), 3), display=False)
counts = SENSES.groupby("lemma")["sense"].agg(lambda s: ((s.value_counts() - 1) * s.value_counts()).sum() / (len(s) * (len(s) - 1)))
glue("geo-chance", float(counts.mean()), display=False)
glue("geo-form", float(np.mean(list(word_senses.form_accuracy(**MARKED, forms=FORMS).values()))), display=False)
glue("geo-permutations", N_PERMUTATIONS, display=False)

# %% [markdown]
# The gap passes the correction in layers {glue:text}`geo-polish-gpt2-gap-layers` of GPT-2 and {glue:text}`geo-herbert-gap-layers` of HerBERT; the neighbours in layers
# {glue:text}`geo-polish-gpt2-nn-layers` and {glue:text}`geo-herbert-nn-layers`. In the last layer of the untrained models neighbours share the sense in {glue:text}`geo-polish-gpt2-nn-untrained` and
# {glue:text}`geo-herbert-nn-untrained` of cases. The rest of the sentence finds it in {glue:text}`geo-polish-gpt2-rest` in GPT-2 and {glue:text}`geo-herbert-rest` in HerBERT; untrained,
# in {glue:text}`geo-polish-gpt2-rest-untrained` and {glue:text}`geo-herbert-rest-untrained`. What training adds to the rest of the sentence, over the same lemmas, is {glue:text}`geo-polish-gpt2-rest-learned` and
# {glue:text}`geo-herbert-rest-learned`.
#
# ## The original procedure beside ours
#
# The original ran on published models and another data set, so its values cannot be ours. Its *procedure* can be run on these models and texts, beside the procedure above; each figure
# shows one artefact.
#
# **Self-pairs.** It drew two tokens at random with replacement, so that with probability $1/n$ a token met itself and gave 1. For $n$ tokens with a true mean cosine $s$ the expectation is
# $s + (1 - s)/n$: the shorter the text and the smaller the mean cosine, the more is added ({numref}`fig-geo-pairs`).

# %%
added = {TITLES[name]: (reader.within.counts, (1 - reader.within.raw[-1]) / reader.within.counts) for name, reader in trained.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What self-pairs add to the mean cosine of one text, in the last layer, by the number of its tokens; a point is a text. Both axes are logarithmic.", "name": "fig-geo-pairs"}, "image": {"alt": "Two falling clouds of points, GPT-2's above HerBERT's: single sentences of ten to forty tokens on the left, paragraphs of more than a hundred on the right."}}
colours = {title: plots.MODEL_COLOURS[name] for name, title in TITLES.items()}
plots.pair_bias(added, colours, "tokens in the text", "added to the mean cosine");

# %% tags=["remove-cell"]
for name in TITLES:
    glue(f"geo-{name}-added-most", float(added[TITLES[name]][1].max()), display=False)
    glue(f"geo-{name}-added-least", float(added[TITLES[name]][1].min()), display=False)

# %% [markdown]
# In the last layer it adds {glue:text}`geo-polish-gpt2-added-least:.3f` to {glue:text}`geo-polish-gpt2-added-most:.3f` in GPT-2 and {glue:text}`geo-herbert-added-least:.3f` to {glue:text}`geo-herbert-added-most:.3f` in HerBERT,
# by the text: no sampling error but a bias, and not the same for two models that cut a text into different numbers of tokens.
#
# **A single text.** Words of one text share its topic and stand in one another's context, so their mean cosine is no sample of the language's; and it is another for each text. The original took all tokens besides, with
# punctuation, the first position and special tokens. {numref}`fig-geo-single` takes the two apart.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean cosine by layer: words of different texts (95% interval over texts), words within one text, and all tokens within one text (lines: medians over texts; bands: the middle 95% of texts, what one text may give).", "name": "fig-geo-single"}, "image": {"alt": "Two panels of lines over layers, one a model: wide bands for single texts, of words and of tokens, and a thin line for words of different texts."}}
def single_text(name):
    """Between texts, within single texts, and within single texts with all tokens."""
    of_words = geometry.within_texts(trained[name].states, trained[name].texts)
    parts = {"words, one text": of_words, "tokens, one text": trained[name].within}
    bands = {label: Profile(np.median(part.raw, axis=1), part.raw.T) for label, part in parts.items()}
    return {"words, different texts": anisotropy["trained"][name]} | bands


styles = {"words, different texts": (plots.CYCLE[0], "-"), "words, one text": (plots.CYCLE[2], "--"), "tokens, one text": (plots.CYCLE[3], ":")}
plots.layer_panels({"mean cosine": {TITLES[name]: single_text(name) for name in TITLES}}, LAYERS, styles);

# %% tags=["remove-cell"]
for name, reader in trained.items():
    excess = geometry.within_texts(reader.states, reader.texts).mean(adjusted=False) - anisotropy["trained"][name]
    glue(f"geo-{name}-single", shown(excess.at(reader.last)), display=False)
    low, high = np.quantile(reader.within.raw[-1], [0.025, 0.975])
    glue(f"geo-{name}-single-spread", f"{low:.2f} to {high:.2f}", display=False)

# %% [markdown]
# After the last block words of one text are more alike than words of two by {glue:text}`geo-polish-gpt2-single` (GPT-2) and {glue:text}`geo-herbert-single` (HerBERT). And which text is taken decides: the middle 95% of texts give
# all their tokens, in the last layer, a mean cosine from {glue:text}`geo-polish-gpt2-single-spread` in GPT-2 and {glue:text}`geo-herbert-single-spread` in HerBERT.
#
# **The wrong token.** The id of the string `nie` is, for both tokenizers, not that of the word: in HerBERT it is the piece that *begins* longer words (the word is `nie</w>`), in GPT-2 the one that
# *continues* them (the word is `Ġnie`). In these texts the id occurs {glue:text}`geo-polish-gpt2-piece:d` times in GPT-2 and {glue:text}`geo-herbert-piece:d` times in HerBERT, and
# {glue:text}`geo-polish-gpt2-piece-words:d` and {glue:text}`geo-herbert-piece-words:d` of these are the word *nie*, which stands in {glue:text}`geo-nie-texts:d` texts. The original also averaged all
# occurrences in a text before it compared texts, which for the word adds {glue:text}`geo-polish-gpt2-averaged` (GPT-2) and {glue:text}`geo-herbert-averaged` (HerBERT) to the last layer's cosine, and subtracted no baseline; in {numref}`fig-geo-token` no line does.


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Raw self-similarity by layer of the word *nie*, of its averages over each text, and of averages of the token that the original looked up, with 95% intervals over texts.", "name": "fig-geo-token"}, "image": {"alt": "Two panels of lines over layers, one a model: the curve of the piece lies apart from those of the word."}}
def as_original(states, labels):
    """Mean cosine between the texts' mean vectors, with its interval over texts."""
    means, _ = group_means(states, labels)
    return geometry.anisotropy(means, np.arange(means.shape[1]))


def tokens_of(reader):
    """The word by our procedure, the word and the piece averaged as the original did."""
    own = reader.forms == "nie"
    averaged = {"word": as_original(reader.states[:, own], reader.texts[own]), "piece": as_original(reader.piece_states, reader.piece_texts)}
    return {"the word": nie(reader)} | {f"the {what}, averaged": profile for what, profile in averaged.items()}


styles = {"the word": (plots.CYCLE[0], "-"), "the word, averaged": (plots.CYCLE[2], ":"), "the piece, averaged": (plots.CYCLE[3], "--")}
plots.layer_panels({"mean cosine": {TITLES[name]: tokens_of(reader) for name, reader in trained.items()}}, LAYERS, styles);

# %% [markdown]
# **The missing last layer.** There are as many hidden states as layers and one more, the embedding. The original's loop over as many indices as layers drew the embedding as layer 0 and never the last layer, while its printed
# values came from the last alone, which in GPT-2 is what the final layer norm makes of it ({numref}`fig-geo-missing`).


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Anisotropy by layer: what the original's loop would have drawn, and what it left out.", "name": "fig-geo-missing"}, "image": {"alt": "Two panels of lines over layers, one a model: a full line that ends before the last layers, and a dashed line that goes on to the end."}}
def cut(name):
    """All layers, and those before the last block's output."""
    whole, end = anisotropy["trained"][name], trained[name].last
    return {"all layers": whole, "as drawn by the original": Profile(whole.estimate[:end], whole.draws[:, :end])}


styles = {"all layers": (plots.CYCLE[3], "--"), "as drawn by the original": (plots.CYCLE[0], "-")}
plots.layer_panels({"mean cosine": {TITLES[name]: cut(name) for name in TITLES}}, LAYERS, styles);
# %% [markdown]
# **What was recorded.** The four printed values, the same procedure on this chapter's models and texts, and this chapter's own measure at the same layer. A row is not a replication: models and texts differ.

# %% tags=["hide-input"]
RECORDED = recorded.figures("001")
ROWS = {
    f"{quantity}-{short}": name
    for quantity in ("anisotropy", "context-specificity")
    for short, name in (("herbert", "herbert"), ("gpt2", "polish-gpt2"))
}


def beside(key, name):
    """Recorded value, the same procedure on single texts or on the piece, and our measure, last layer."""
    reader, ours = trained[name], anisotropy["trained"][name].at(-1)
    if key.startswith("anisotropy"):
        one = reader.within.raw[-1]
        same = statistics.bootstrap_interval(one + (1 - one) / reader.within.counts)
    else:
        same, ours = as_original(reader.piece_states, reader.piece_texts).at(-1), lines["trained"][name]["nie"].at(-1)
    return {"recorded": f"{RECORDED.loc[key, 'value']:.3f}", "same procedure here": shown(same), "this chapter": shown(ours)}


# %% tags=["hide-input"]
table = pd.DataFrame({f"{key.rsplit('-', 1)[0]}, {TITLES[name]}": beside(key, name) for key, name in ROWS.items()}).T
display(
    table.style.set_caption(
        "Last layer; anisotropy: mean over texts and between texts; context-specificity: piece, and word less anisotropy"
    )
)
display(
    Markdown(
        "\n".join(
            f"- `{key}` ({RECORDED.loc[key, 'model']}; {RECORDED.loc[key, 'data']}): {RECORDED.loc[key, 'comparable']}" for key in ROWS
        )
    )
)

# %% tags=["remove-cell"]
for name, reader in trained.items():
    glue(f"geo-{name}-piece", len(reader.piece_words), display=False)
    both = tokens_of(reader)
    glue(f"geo-{name}-averaged", shown((both["the word, averaged"] - both["the word"]).at(-1)), display=False)
    glue(f"geo-{name}-piece-words", int((reader.piece_words == "nie").sum()), display=False)
    glue(f"geo-{name}-original-passes", (1 + reader.last) * (1 + len(TEXTS)), display=False)
glue("geo-recorded-passes", int(sum((1 + RECORDED.loc[f"layers-{m}", "value"]) * 101 for m in ("herbert", "gpt2"))), display=False)
glue("geo-longest", int(RECORDED.loc["longest-reported", "value"]), display=False)
glue("geo-texts-recorded", int(RECORDED.loc["texts", "value"]), display=False)

# %% [markdown]
# Its two models were also compared on different texts. HerBERT holds 512 tokens; a text of {glue:text}`geo-longest:,d` raised an error, which the loop swallowed, so that long texts served GPT-2 alone. And of
# {glue:text}`geo-texts-recorded:,d` texts it used 1 and 100.
#
# **Cost.** The original ran a model anew for every layer and every text: a pass for each of one text and, for *nie*, of 100, at every index of its loops and once more for the printed value, {glue:text}`geo-recorded-passes:,d`
# passes in all. On this chapter's texts its loops would make {glue:text}`geo-polish-gpt2-original-passes:,d` passes of GPT-2 and {glue:text}`geo-herbert-original-passes:,d` of HerBERT. Here one pass a batch serves all layers
# and all measures: {glue:text}`geo-polish-gpt2-passes:d` and {glue:text}`geo-herbert-passes:d`.
#
# ## Limits
#
# - The models are small and read little text; their anisotropy says nothing of larger ones. Set `ANALYSIS_MODELS=hub` to put the same questions to the published models.
# - A word is the mean over its tokens, so that a rare word is also an average of pieces. Forms as written are words: *Nie* at the head of a sentence is not *nie*.
# - Sentences were written for this book, those of the senses with the sense in mind; nobody else has labelled them. How well a sense can be told from the sentence at all is not known,
#   and sentences of one sense may share words by their topic.
# - GPT-2 sees what stands before a word. Where the sense only becomes clear afterwards, its state cannot know it; HerBERT sees both sides.
# - Intervals over texts, words or lemmas do not cover the choice of texts, nor the one seed of each untrained model.
# - A cosine is one geometry among others. That it separates senses weakly does not say that a linear probe could not.
