# %% [markdown]
# # Geometry of contextual words
#
# **Question.** A language model turns every word into a vector, and changes it layer by layer according to the sentence around it. Does the vector of *zamek*, which means a castle or a lock, come to say which of the two is meant?
# And what do the vectors of all words have in common, so that a cosine between two of them can be read at all {cite}`ethayarajh2019`?

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd

from analysis_lib import activations, geometry, models, plots, report, statistics, texts
from analysis_lib.circuits.ablation import token_losses
from analysis_lib.geometry import causes, projection, word_senses

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
ALL = TITLES | ({"e5": "e5"} if models.available()["e5"]["embedded"] else {})  # the package has no wheel for some machines
STYLES = {title: (plots.MODEL_COLOURS[name], "-") for name, title in ALL.items()}
STYLES["untrained"] = (plots.MODEL_COLOURS["untrained"], "--")
BLUE, ORANGE, GREEN = plots.CYCLE[:3]

SENSES = texts.senses()
TEXTS = [*texts.sentences(), *SENSES["sentence"]]
HALF = len(texts.sentences()) + 16 * 18  # the untrained e5 reads the sentences of sixteen words only, to keep the page quick

# %% tags=["hide-input"]
loaded = {name: models.load(name, source="embedded" if name == "e5" else None) for name in ALL}
words = {"trained": {name: geometry.WordStates.of(activations.run(model, TEXTS)) for name, model in loaded.items()}}
words["untrained"] = {  # one model at a time, since large ones take much memory
    name: geometry.WordStates.of(activations.run(models.untrained_like(model, seed=0), TEXTS[:HALF] if name == "e5" else TEXTS))
    for name, model in loaded.items()
}
trained = words["trained"]
LAYERS = {ALL[name]: found.layers for name, found in trained.items()}
print(*(model.label for model in loaded.values()), "" if "e5" in ALL else "e5 is not installed", sep="\n")
print(f"{len(TEXTS)} texts, {len(trained['herbert'].texts):,} words")


def each(measure, names=ALL):
    """A measure of the words of every model."""
    return {key: {name: measure(group[name]) for name in names} for key, group in words.items()}


def beside(profiles):
    """Trained and untrained models as lines of one panel."""
    return {ALL[name]: {ALL[name]: line, "untrained": profiles["untrained"][name]} for name, line in profiles["trained"].items()}


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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How often the nearest neighbour of an ambiguous word, among the other occurrences of this word, is in the same sense, by layer, with 95% intervals over the thirty words. Permuted: senses exchanged among occurrences that are spelled alike (the middle 95% of permutations). Untrained: the same architecture with fresh weights. Filled points are above permuted senses at 0.05, after Holm's correction.", "name": "fig-geo-senses"}, "image": {"alt": "One panel a model, lines over layers. In e5 the trained line starts at the permuted senses and rises, from the third block on, to 0.6. In GPT-2 it lies a little above them in the last layers, in HerBERT nowhere. The untrained lines stay with the permuted ones."}}
drawn = {"trained": (BLUE, "-"), "permuted": (plots.MODEL_COLOURS["permuted"], "--"), "untrained": (plots.MODEL_COLOURS["untrained"], ":")}
shares = {title: {key: nearest[key][name].profile for key in words} | {"permuted": nearest["trained"][name].chance} for name, title in ALL.items()}
above = {title: {key: nearest_p[key][name] < 0.05 for key in words} | {"permuted": np.zeros(len(LAYERS[title]), bool)} for name, title in ALL.items()}
plots.layer_panels({"same sense, share": shares}, LAYERS, drawn, above);

# %% tags=["remove-input"]
rows = [
    {"model": title, "states": key, "layer": layer, "share": profile.at(i)}
    for title, lines in shares.items() for key, profile in lines.items() for i, layer in enumerate(LAYERS[title])
]
report.figure_data(pd.DataFrame(rows), "fig-geo-senses")

# %% [markdown]
# **What was found**
#
# - **A published encoder tells senses apart, and two small models hardly do.** After e5's last block the nearest neighbour of an ambiguous word is in the same sense in {glue:text}`geo-e5-senses` of cases,
#   and in {glue:text}`geo-e5-permuted` if only the spelling counted.
# - **A few coordinates make unrelated words look alike.** Three carry {glue:text}`geo-polish-gpt2-rogue` of the mean cosine after GPT-2's last block; without them, the model loses most of its skill, and senses stay as far apart as they were.
# - **In GPT-2, training makes states simpler.** Around a word they vary in about {glue:text}`geo-polish-gpt2-dimension` directions after the last block, far fewer than without training. The encoders show no such clear difference.
#
# Square brackets hold 95% intervals over words, texts or lemmas, as each section says.
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
# not installed the page has the small models alone.
#
# The **state** of a word is the mean over its tokens. `embed` is what the first block reads, 1 to L are the outputs of the blocks, and L+ln_f is the last after GPT-2's final layer norm. GPT-2 has nothing to read before
# the first word of a text, so that word is left out. **Untrained** models have the same configuration and tokenizer and fresh weights.
#
# ## The nearest neighbour
#
# If a layer keeps senses apart, the nearest neighbour of an occurrence of *zamek*, by the cosine of their states, should be in the same sense. Here are the four nearest of one occurrence, the *lock* of the table above, before the first block
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
# Before the first block the neighbours are spelled alike, whatever they mean. After the last they mean a lock three times of four, in other cases and numbers too. Over its eighteen sentences, *zamek* has a neighbour of the same sense
# {glue:text}`geo-zamek-first` times in the embedding and {glue:text}`geo-zamek-last` times at the end. {numref}`fig-geo-plane` follows another word, *pokój* (room, peace), whose senses come apart so far that a plane shows it.

# %% mystnb={"figure": {"caption": "The eighteen occurrences of pokój in the plane of their first two principal components, in three layers; above e5, below an untrained e5. The titles say which share of the variance the plane keeps; the rest is not seen here.", "name": "fig-geo-plane"}, "image": {"alt": "Six scatter plots of filled and open points. In e5's embedding the points form three clusters, one for each spelling, with both senses in each. After the last block nearly all rooms lie on the left and nearly all peaces on the right. In the untrained model the two senses stay mixed, and nothing changes from layer to layer."}}
pokoj = SENSES[SENSES["lemma"] == "pokój"]
depths = [0, 8, 12] if SHOWN == "e5" else [0, 2, 4]
rows = {}
for key, title in (("trained", ALL[SHOWN]), ("untrained", "untrained")):
    plane = projection.principal_plane(words[key][SHOWN].states[:, PLACES[pokoj.index]])
    rows[title] = [(trained[SHOWN].layers[layer], plane.points[layer], plane.kept[layer]) for layer in depths]
plots.word_planes(rows, pokoj["sense"], {"room": (BLUE, "o"), "peace": (ORANGE, "s")}, pokoj["form"]);

# %% [markdown]
# ### Spelling is the main confound
#
# Two occurrences of *zamkiem* are close because they are spelled alike, and a sense may prefer some endings. The null must keep whatever endings tell, so senses are **permuted among occurrences of one lemma that are spelled
# alike**. P-values are corrected by Holm {cite}`holm1979` over all layers of the trained models, and over those of the untrained ones. The call behind {numref}`fig-geo-senses` is
# `word_senses.neighbour_accuracy(states, lemmas, senses, strata=forms)`. The untrained e5 has the sentences of sixteen of the thirty words.

# %% tags=["hide-output"]
by_lemma = pd.DataFrame({title: pd.Series(nearest["trained"][name].measure.raw[-1], nearest["trained"][name].measure.units) for name, title in ALL.items()})
by_lemma = by_lemma.assign(senses=SENSES.groupby("lemma")["sense"].unique().str.join(" / "))[["senses", *ALL.values()]]
by_lemma = by_lemma.sort_values(list(ALL.values())[-1], ascending=False).rename_axis("lemma").reset_index()
report.table(by_lemma, "The thirty words, their senses, and the share of nearest neighbours in the same sense, last layer")

# %% [markdown]
# A word has some eighteen sentences, so single words show little by themselves. The next table asks in four other ways, after the last block: with neighbours of **another spelling** only, which spelling cannot help; with the mean of all
# words subtracted, since a shared direction can hide what differs; and with the sentence alone. A reader finds the sense in the **rest of the sentence**, so the mean state of its *other* words is asked too. An untrained model's mean of words is
# its null, because sentences that share words are similar whatever was learned.

# %%
checks = {}
for name, title in ALL.items():
    found, last = trained[name], [trained[name].last_block]
    own = found.states[last]
    checks[title, "all spellings"] = word_senses.neighbour_accuracy(**marked(own))
    checks[title, "another spelling"] = word_senses.neighbour_accuracy(**marked(own, apart=FORMS))
    checks[title, "mean subtracted"] = word_senses.neighbour_accuracy(**marked(own - own.mean(axis=1, keepdims=True)))
    for key, group in words.items():
        labels = marked(group[name].states[last])
        labels["states"] = word_senses.rest_of_text(group[name], PLACES[: len(labels["lemmas"])])[last]
        checks[title, "rest of sentence" + (", untrained" if key == "untrained" else "")] = word_senses.neighbour_accuracy(**labels)

# %% tags=["hide-input"]
corrected = word_senses.holm_over_all(checks)
rows = [(*key, test.profile.at(0), test.chance.estimate[0], report.p_value(corrected[key][0], bare=True)) for key, test in checks.items()]
variants = pd.DataFrame(rows, columns=["model", "neighbours by", "same sense", "permuted", "p"])
report.table(variants, "Nearest neighbours after the last block; intervals over lemmas, p-values corrected over the rows")

# %% [markdown]
# In every model the rest of the sentence tells the sense at least as well as the word's own state does. Training adds to that in e5 and somewhat in GPT-2, but not in HerBERT. The evidence is in the sentence; the words of the small
# models have hardly taken it up.
#
# Nearest neighbours look at one pair each. The **gap** looks at all: the mean cosine of two occurrences in one sense minus that of two in different senses. Spelling makes a larger one.

# %%
gap = each(lambda found: word_senses.cosine_gap(**marked(found.states[[-1]])))
by_form = each(lambda found: word_senses.cosine_gap(**marked(found.states[[-1]], senses=FORMS, strata=None), n_permutations=200))
gap_p = {key: word_senses.holm_over_all(tests) for key, tests in gap.items()}
rows = {
    (title, key): (gap[key][name].measure.mean().at(0), report.p_value(gap_p[key][name][0], bare=True), by_form[key][name].measure.mean().at(0))
    for name, title in ALL.items() for key in words
}

# %%
gaps = pd.DataFrame.from_dict(rows, orient="index", columns=["by sense", "p", "by spelling"])
gaps.insert(0, "model", [title if key == "trained" else f"{title}, untrained" for title, key in rows])
report.table(gaps, "Gap of mean cosines beyond permutation, last layer; intervals over lemmas", digits=3)

# %% [markdown]
# ## Words that have nothing to do with each other
#
# How large is a cosine when two words have nothing in common? **Anisotropy** is the expected cosine of a word of one text and a word of another. With $m_t$ the mean of the unit vectors of text $t$, and $T$ texts,
#
# $$\mathrm{anisotropy} = \frac{\bigl\|\sum_t m_t\bigr\|^2 - \sum_t \|m_t\|^2}{T^2 - T}.$$
#
# **IsoScore** {cite}`rudman2022` asks how evenly the variance fills the dimensions: 1 means evenly, 0 a single dimension. It does not see a mean that all words share.

# %%
anisotropy = each(lambda found: geometry.anisotropy(found.states, found.texts))
isotropy = each(lambda found: geometry.isotropy(found.states, found.texts, n_blocks=20))

# %% mystnb={"figure": {"caption": "Mean cosine of words of different texts (above) and IsoScore (below) by layer, with 95% intervals over texts. A high cosine and a low IsoScore are both called anisotropic, and are different things.", "name": "fig-geo-anisotropy"}, "image": {"alt": "Two rows of panels, one column a model. Above, GPT-2's mean cosine jumps to 0.8 after its first block and falls to 0.15 at the end, HerBERT's stays near 0.5, e5's rises slowly and jumps to 0.7 in the last block. Untrained GPT-2 rises slowly to 0.25; untrained HerBERT and e5 stay between 0.4 and 0.5. Below, the IsoScores of GPT-2 and HerBERT start below 0.1 and rise to those of untrained models, near 0.2, or above; e5's lies between 0.12 and 0.21, above the untrained one in most layers."}}
plots.layer_panels({"mean cosine": beside(anisotropy), "IsoScore": beside(isotropy)}, LAYERS, STYLES);

# %% [markdown]
# The null is not zero: states of untrained models share a direction too. Training makes it much stronger in GPT-2's first blocks, and later blocks take it back. The two measures rank layers differently, since a direction that all words
# share raises the cosine and leaves IsoScore alone.
#
# ## A few dimensions carry it
#
# A mean cosine is a sum over dimensions, and a few **rogue dimensions** may carry most of it {cite}`timkey2021`. The three with the largest shares are chosen on one half of the texts and measured on the other.
# What happens when they are set to zero? {numref}`fig-geo-rogue` shows the cosine without them, and whether senses suffer.

# %%
rogue = each(lambda found: geometry.rogue_dimensions(found.states, found.texts))
without = {name: found.without_dimensions(rogue["trained"][name].dimensions) for name, found in trained.items()}
measured = {name: np.isin(found.texts, rogue["trained"][name].measured_on) for name, found in trained.items()}
less_alike = {name: geometry.anisotropy(without[name][:, own], trained[name].texts[own]) for name, own in measured.items()}
senses_left = {name: word_senses.neighbour_accuracy(**marked(states)) for name, states in without.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What three rogue dimensions do: mean cosine of words of different texts (above) and share of nearest neighbours in the same sense (below), with all dimensions and without the three; 95% intervals over texts and over lemmas.", "name": "fig-geo-rogue"}, "image": {"alt": "Two rows of panels, one column a model. Above, the line without the three dimensions lies far below the other in GPT-2's last layers, in HerBERT and in e5 up to the last block but one; in e5's last block both are equal. Below, the two lines coincide in every model."}}
styles = {"all dimensions": (BLUE, "-"), "without three": (ORANGE, "-"), "untrained": STYLES["untrained"]}
accuracy = {key: {name: test.profile for name, test in tests.items()} for key, tests in nearest.items()}


def three_lines(whole, part):
    """All dimensions, without three of them, and the untrained model, for each panel."""
    return {title: {"all dimensions": whole["trained"][name], "without three": part[name], "untrained": whole["untrained"][name]} for name, title in ALL.items()}


cosines, separations = three_lines(anisotropy, less_alike), three_lines(accuracy, {name: test.profile for name, test in senses_left.items()})
plots.layer_panels({"mean cosine": cosines, "same sense, share": separations}, LAYERS, styles);

# %% [markdown]
# The three coordinates hold up the cosine and say nothing of senses. The high cosine of e5's last block is of another kind: no few coordinates carry it. Does the small GPT-2 need its three? They are replaced after its last
# block, before the final layer norm, and the loss is measured on the book's paragraphs.

# %%
gpt2, last = loaded["polish-gpt2"], trained["polish-gpt2"].last_block
rows = [gpt2.tokenizer(text, truncation=True, max_length=64)["input_ids"] for text in texts.paragraphs()["text"]]
ids = np.array([row for row in rows if len(row) == 64][:20])  # the beginnings of paragraphs
whole = token_losses(gpt2, ids).mean(axis=1)


def added_loss(dimensions, value):
    """What the loss of each paragraph gains if some dimensions have one value everywhere."""
    def put(states):
        states = states.clone()
        states[..., dimensions] = states.new_tensor(value)
        return states
    with activations.edited(gpt2.model, {("states", last): put}):
        return token_losses(gpt2, ids).mean(axis=1) - whole


# %%
three = rogue["trained"]["polish-gpt2"].dimensions[last].tolist()
means = trained["polish-gpt2"].states[last].mean(axis=0)
others = [np.random.default_rng(seed).choice(np.delete(np.arange(len(means)), three), 3, replace=False).tolist() for seed in range(3)]
other_losses = [added_loss(drawn, [0.0] * 3) for drawn in others]
losses = {
    "three rogue dimensions at zero": added_loss(three, [0.0] * 3),
    "three rogue dimensions at their mean": added_loss(three, means[three].tolist()),
    "three other dimensions at zero (three draws)": np.mean(other_losses, axis=0),
}

# %%
cost = pd.DataFrame({"what": list(losses), "loss added [nats]": [statistics.bootstrap_interval(loss) for loss in losses.values()]})
report.table(cost, f"GPT-2 (loss {report.number(whole.mean())} nats), states after the last block changed; intervals over {len(ids)} paragraphs", digits=3)

# %% [markdown]
# What sets these coordinates? Two causes have been named: the **position** of a word {cite}`kovaleva2021` and its **frequency** {cite}`puccetti2022`. A regression on indicators of the position, or on the log frequency of the form and its
# square, is fitted on half of the texts, and {numref}`fig-geo-causes` shows what it explains of the coordinates in the other half.

# %%
position = each(lambda found: causes.position_columns(found.table["word"]))
frequency = each(lambda found: causes.frequency_columns(found.forms))


def explained(columns, key, name, dimensions=None):
    """Share that the columns explain in one model."""
    found = words[key][name]
    return causes.explained_share(found.states, columns[key][name], found.texts, dimensions, n_resamples=300)

# %%
lines = {
    label: {
        title: {
            "three rogue": explained(columns, "trained", name, rogue["trained"][name].dimensions),
            "mean over all": explained(columns, "trained", name),
            "three rogue, untrained": explained(columns, "untrained", name, rogue["untrained"][name].dimensions),
        }
        for name, title in ALL.items()
    }
    for label, columns in (("by position", position), ("by frequency", frequency))
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the variance of single coordinates that a word's position (above) or frequency (below) explains in other texts: the three rogue dimensions of each layer, the mean over all dimensions, and the three rogue dimensions of an untrained model; 95% intervals over texts.", "name": "fig-geo-causes"}, "image": {"alt": "Two rows of panels, one column a model. Position explains less than a tenth of the rogue coordinates in every trained layer. Frequency explains half of them in GPT-2's embedding, and a tenth to a third in e5; the means over all dimensions and the untrained models stay lower."}}
styles = {"three rogue": (ORANGE, "-"), "mean over all": (BLUE, "-"), "three rogue, untrained": STYLES["untrained"]}
plots.layer_panels(lines, LAYERS, styles, zero=True);

# %% [markdown]
# Frequency has a share in e5's rogue dimensions and in GPT-2's embedding; position explains next to nothing in sentences of some ten words. Neither explains the dimensions that matter most here: what varies in the three coordinates
# after GPT-2's last block, where they carry most of the cosine, is mostly something else. The loss says that the model uses it.
#
# ## How many directions a word can move in
#
# Vectors of hundreds of coordinates may still lie near a curved surface of few dimensions. The **intrinsic dimension** counts the directions around a point from distances to its neighbours. **TwoNN** {cite}`facco2017`
# uses that in $d$ dimensions the ratio $\mu$ of the second to the first nearest distance has the distribution $1 - \mu^{-d}$; **maximum likelihood** {cite}`levina2004` averages $\log(r_k / r_j)$ over $k = 20$ neighbours. Both
# read 1,200 words here, the same in every model, because estimates grow with their number.

# %%
dimension = each(lambda found: geometry.intrinsic_dimension(found.states, found.texts, max_points=1200))
by_method = {
    method: beside({key: {name: found[method] for name, found in group.items()} for key, group in dimension.items()})
    for method in ("TwoNN", "maximum likelihood")
}

# %% mystnb={"figure": {"caption": "Intrinsic dimension of the states of 1,200 words by layer, with two estimators; 95% intervals over texts.", "name": "fig-geo-dimension"}, "image": {"alt": "Two rows of panels, one column a model. Trained GPT-2 lies between 6 and 10, untrained GPT-2 near 20 after the embedding. HerBERT lies near 15, like its untrained twin by TwoNN and above it by maximum likelihood. e5 rises from 5 to 11, untrained e5 lies near 12. All untrained models start far higher in the embedding."}}
plots.layer_panels(by_method, LAYERS, STYLES);

# %% [markdown]
# In GPT-2 both estimators agree: after the last block an untrained model has {glue:text}`geo-polish-gpt2-dimension-untrained` directions by TwoNN, about twice as many as the trained one. In HerBERT the estimators disagree about the sign of the difference, so none is established,
# and e5 ends close to its untrained twin. What all three share is the embedding: trained embeddings are much simpler than random ones. In GPT-2 and e5 the dimension then rises with depth, as context adds to the spelling.
#
# ## One word, one sentence
#
# **Self-similarity** is the expected cosine of two occurrences of a word in different texts; high values mean that context changes the word *little*. Its baseline is anisotropy. **Intra-sentence
# similarity** is the mean cosine of the words of a text with their mean. A word is part of that mean, so the fitting baseline keeps the lengths of the texts and deals their words anew. Words in at least five texts count.

# %%
similar = each(lambda found: geometry.self_similarity(found.states, found.forms, found.texts))
alike = {key: {name: similar[key][name].mean(adjusted=False).minus_independent(anisotropy[key][name]) for name in ALL} for key in words}

# %%
def beyond_dealt(found):
    """Intra-sentence similarity minus that of texts of the same lengths whose words are dealt anew."""
    dealt = np.random.default_rng(0).permutation(found.texts)
    sentence, null = (geometry.intra_sentence_similarity(found.states, labels).mean(adjusted=False) for labels in (found.texts, dealt))
    return sentence - null


sentence = each(beyond_dealt)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Self-similarity of words (above) and intra-sentence similarity (below) by layer, each minus its baseline; 95% intervals over words and over texts.", "name": "fig-geo-self"}, "image": {"alt": "Two rows of panels, one column a model. Self-similarity starts high in GPT-2 and e5: GPT-2's falls to 0.2 after the first block and recovers to 0.6, e5's falls from 0.8 to 0.15, HerBERT's stays near 0.3. Intra-sentence similarity rises to 0.1 in GPT-2, trained or not, and in e5's last blocks; it is near zero in HerBERT and just below it in the untrained encoders."}}
plots.layer_panels({"self": beside(alike), "intra-sentence": beside(sentence)}, LAYERS, STYLES, zero=True);

# %% tags=["hide-input"]
kinds = {}
for name, title in ALL.items():
    measure, baseline, last = similar["trained"][name], anisotropy["trained"][name], trained[name].last_block
    rows = {f"{kind} words": measure.mean(chosen, adjusted=False) for kind, chosen in geometry.function_and_content(measure).items()}
    kinds[title] = {kind: mean.minus_independent(baseline).at(last) for kind, mean in rows.items()}
    kinds[title]["nie (not)"] = (geometry.anisotropy(*trained[name].of_form("nie"), all_texts=trained[name].texts) - baseline).at(last)
    for key, label in (("trained", "MEV"), ("untrained", "MEV, untrained")):
        found = words[key][name]
        kinds[title][label] = geometry.max_explainable_variance(found.states[[last]], found.forms, found.texts).mean().at(0)
caption = "After the last block: self-similarity minus anisotropy for three kinds of words, and MEV; intervals over words, for nie over texts"
report.table(pd.DataFrame(kinds).T, caption, index=True)

# %% [markdown]
# GPT-2's first block brings unrelated words so close together that two occurrences of one word stand out less, and later blocks undo this. In e5 context takes over block by block: after the last, two occurrences of a word are little more alike than
# two words. The table shows that frequent function words and content words behave alike. Function words are the twenty most widespread that Morfeusz {cite}`kieras2017` knows as preposition, conjunction, particle or
# pronoun; content words are nouns, verbs, adjectives or adverbs only. **MEV**, the maximum explainable variance, is the share of a word's occurrences that one direction carries, minus that of as many random words.

# %% tags=["remove-cell"]
e5_last = {"senses": nearest["trained"]["e5"].profile.at(-1), "permuted": nearest["trained"]["e5"].chance.at(-1)} if "e5" in ALL else {}
for key in ("senses", "permuted"):
    report.glue(f"geo-e5-{key}", report.interval(*e5_last[key], scale=100, unit="%", digits=0) if e5_last else "(e5 is not installed)")
last = trained["polish-gpt2"].last_block
report.glue("geo-polish-gpt2-rogue", report.interval(*rogue["trained"]["polish-gpt2"].shares[2].at(last), scale=100, unit="%", digits=0))
for key, label in (("trained", "dimension"), ("untrained", "dimension-untrained")):
    report.glue(f"geo-polish-gpt2-{label}", report.number(dimension[key]["polish-gpt2"]["TwoNN"].estimate[last], 0))
right = nearest["trained"][SHOWN].measure.raw[:, nearest["trained"][SHOWN].measure.units == "zamek"].ravel() * len(zamek)
for key, layer in (("first", 0), ("last", -1)):
    report.glue(f"geo-zamek-{key}", report.number(right[layer], 0))

# %% [markdown]
# ## Limits
#
# - The two models of this book are small and read little text, so their anisotropy says nothing of larger ones. That e5 separates senses is a finding on one model, in 4 bits. Why it does cannot be told here: it is larger, has
#   read more, and was trained to compare texts.
# - The sentences were written for this book, those of the senses with the sense in mind, and nobody else has labelled them. How well a reader could tell the senses apart is not known.
# - GPT-2 sees what stands before a word. Where the sense only becomes clear afterwards its state cannot know it.
# - A word is the mean over its tokens, so a rare word is also an average of pieces. *Nie* at the head of a sentence is not *nie*.
# - The texts are single sentences. What position does in long texts is not seen here.
# - Intervals over texts, words or lemmas do not cover the choice of texts, nor the one seed of each untrained model. An interval of the intrinsic dimension takes each word's neighbours as given.
# - A cosine is one geometry among others. That it separates senses weakly does not say that a linear probe could not.
#
# ## Exercises
#
# 1. *Pilot* is a flyer or a remote control. Change `"zamek"` to `"pilot"` and find an occurrence whose neighbours change sense between the embedding and the last layer. In which block of e5 does it happen? ({ref}`Solution <sol-geo-1>`)
# 2. Remove ten rogue dimensions of each layer instead of three (`geometry.rogue_dimensions(states, texts, k=10)`). How much of the mean cosine is left, and do the senses suffer now? ({ref}`Solution <sol-geo-2>` for the cosine)
# 3. Set `ANALYSIS_MODELS=hub` and put the same questions to the published GPT-2 and HerBERT. Which of the takeaways hold?
#
# The notebook that this chapter began with measured two of these quantities in another way: {doc}`replication` has its procedure beside this one.

# %% tags=["remove-cell"]
for name, title in ALL.items():
    page = {"model": name, "section": "geometry.html", "unit": "share of neighbours"}
    nulls = {"permuted": nearest["trained"][name].chance.at(-1), "untrained": nearest["untrained"][name].profile.at(-1)}
    report.finding(f"geo-{name}-senses", f"{title} puts occurrences in one sense next to each other", nearest["trained"][name].profile.at(-1), nulls, **page)
page = {"model": "polish-gpt2", "section": "geometry.html"}
simple, nulls = dimension["trained"]["polish-gpt2"]["TwoNN"].at(last), {"untrained": dimension["untrained"]["polish-gpt2"]["TwoNN"].at(last)}
report.finding("geo-gpt2-dimension", "Training lowers the intrinsic dimension of GPT-2's states", simple, nulls, expected="less", unit="dimensions", **page)
nulls = {"three other dimensions": [loss.mean() for loss in other_losses]}
found = statistics.bootstrap_interval(losses["three rogue dimensions at zero"])
report.finding("geo-gpt2-rogue", "GPT-2 needs its rogue dimensions", found, nulls, unit="nats", **page)
