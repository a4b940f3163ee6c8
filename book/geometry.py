# %% [markdown]
# # Geometry of contextual words
#
# **Question.** A language model turns every word into a vector, and changes it layer by layer according to the sentence around it. What do the vectors of all words have in common? A cosine between two of them can be read only when
# this is known {cite}`ethayarajh2019`. And how much of a word's vector does its context change, and how long does the vector keep the place where the word stands?

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd

from analysis_lib import activations, geometry, models, plots, report, statistics, texts
from analysis_lib.circuits.ablation import token_losses
from analysis_lib.geometry import causes, word_senses

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
ALL = TITLES | ({"e5": "e5"} if models.available()["e5"]["embedded"] else {})  # the package has no wheel for some machines
STYLES = {title: (plots.MODEL_COLOURS[name], "-") for name, title in ALL.items()}
STYLES["untrained"] = (plots.MODEL_COLOURS["untrained"], "--")
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


def beside(profiles):
    """Trained and untrained models as lines of one panel."""
    return {ALL[name]: {ALL[name]: line, "untrained": profiles["untrained"][name]} for name, line in profiles["trained"].items()}


# %% tags=["hide-input"]
anisotropy = each(lambda found: geometry.anisotropy(found.states, found.texts))
isotropy = each(lambda found: geometry.isotropy(found.states, found.texts, n_blocks=20))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mean cosine of words of different texts (above) and IsoScore (below) by layer, with 95% intervals over texts. A high cosine and a low IsoScore are both called anisotropic, and are different things.", "name": "fig-geo-anisotropy"}, "image": {"alt": "Two rows of panels, one column a model. Above, GPT-2's mean cosine jumps to more than 0.7 after its second block and falls to 0.2 at the end, HerBERT's rises from less than 0.4 to between 0.4 and 0.5 after its first four blocks, close to its untrained twin, a little below it after the first and the third and a little above it after the fourth, falls to less than 0.3 after the fifth and ends at a little more than 0.3, e5's rises slowly and jumps to 0.7 in the last block. Untrained GPT-2 rises slowly to more than 0.2; untrained HerBERT and e5 stay near 0.45 to 0.5. Below, GPT-2's IsoScore starts below 0.1, rises above its untrained twin, near 0.2, and falls below it in the end; HerBERT's starts a little above 0.15, comes close to its untrained twin after the first three blocks, falls below it after the fourth, rises above it after the fifth and jumps to more than 0.3 after the last; e5's lies between 0.12 and 0.21, above the untrained one in most layers."}}
plots.layer_panels({"mean cosine": beside(anisotropy), "IsoScore": beside(isotropy)}, LAYERS, STYLES);

# %% [markdown]
# **What was found**
#
# - **After GPT-2's last block three coordinates make unrelated words look alike.** They carry {glue:text}`geo-polish-gpt2-rogue` of the mean cosine there. Setting them to zero makes the model far worse at predicting the next token. No change is shown in the share of ambiguous words whose nearest neighbour is in the same sense ({glue:text}`geo-polish-gpt2-kept` percentage points), but GPT-2 hardly tells senses apart to begin with.
# - **HerBERT keeps the places of its tokens through four blocks, and the fifth removes them.** Up to the fourth block a linear map reads positions better than in an untrained model; after the fifth it reads hardly anything. So layers 0 to 4 can look for a neighbour by its place, and layer 5 hardly can. In GPT-2 and e5 places fade too, but not in one step. In untrained models most of what can be read stays to the end ({numref}`fig-geo-positions`).
# - **In GPT-2, training makes states simpler.** Around a word they vary in about {glue:text}`geo-polish-gpt2-dimension` directions after the last block, far fewer than without training. In the encoders the two estimators disagree after the last block, so no difference is established there.
#
# Square brackets hold 95% intervals over words, texts or lemmas, as each section says.
#
# ## Texts and states
#
# The texts are those of {doc}`senses`: forty plain sentences, and 540 that each show one sense of an ambiguous word. The models are the Polish **GPT-2** and the **HerBERT**-like encoder of this book, and **e5**, the published encoder
# multilingual-e5-small {cite}`wang2024`, where it is installed. The **state** of a word is the mean over its tokens. `embed` is what the first block reads, 1 to L are the outputs of the blocks, and L+ln_f is the output of GPT-2's final
# layer norm. GPT-2 has nothing to read before the first word of a text, so that word is left out in every model. **Untrained** models have the same configuration and tokenizer and fresh weights; the untrained e5 reads a little more than half of the texts.
#
# ## Words that have nothing to do with each other
#
# How large is a cosine when two words have nothing in common? **Anisotropy** is the expected cosine of a word of one text and a word of another. With $m_t$ the mean of the unit vectors of text $t$, and $T$ texts,
#
# $$\mathrm{anisotropy} = \frac{\bigl\|\sum_t m_t\bigr\|^2 - \sum_t \|m_t\|^2}{T^2 - T}.$$
#
# **IsoScore** {cite}`rudman2022` asks how evenly the variance fills the dimensions: 1 means evenly, 0 a single dimension. It does not see a mean that all words share.

# %% [markdown]
# {numref}`fig-geo-anisotropy` shows that the null is not zero: states of untrained models share a direction too. Training makes this direction much stronger in GPT-2, above all in the second block, and later blocks take most of it back. In HerBERT it is about as strong as without training after the first three blocks, a little stronger after the fourth, and weaker in the embedding and after the last two. In e5 it is weaker than without training until the last block. The two measures rank layers differently, since a direction that all words
# share raises the cosine and leaves IsoScore alone.
#
# ## A few dimensions carry it
#
# A mean cosine is a sum over dimensions, and a few **rogue dimensions** may carry most of it {cite}`timkey2021`. The three with the largest shares are chosen on one half of the texts and measured on the other.
# What happens when they are set to zero? {numref}`fig-geo-rogue` shows the cosine without them, and whether telling senses apart ({doc}`senses`) suffers.

# %%
rogue = each(lambda found: geometry.rogue_dimensions(found.states, found.texts))
without = {name: found.without_dimensions(rogue["trained"][name].dimensions) for name, found in trained.items()}
measured = {name: np.isin(found.texts, rogue["trained"][name].measured_on) for name, found in trained.items()}
less_alike, as_alike = (
    {name: geometry.anisotropy(states[name][:, own], trained[name].texts[own]) for name, own in measured.items()}
    for states in (without, {name: found.states for name, found in trained.items()})
)


def same_sense(states):
    """Share of nearest neighbours in the same sense, over the ambiguous words that a model read."""
    read = states.shape[1] > PLACES
    labels = (SENSES[column].str.lower().to_numpy(dtype=str)[read] for column in ("lemma", "sense"))
    return word_senses.neighbour_accuracy(states[:, PLACES[read]], *labels, n_permutations=1).profile


PLACES = word_senses.locate(trained["herbert"].table, len(TEXTS) - len(SENSES) + np.arange(len(SENSES)), SENSES["start"])
accuracy = each(lambda found: same_sense(found.states))
senses_left = {name: same_sense(states) for name, states in without.items()}
del without

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What three rogue dimensions do: mean cosine of words of different texts (above) and share of nearest neighbours in the same sense (below), with all dimensions and without the three; 95% intervals over texts and over lemmas.", "name": "fig-geo-rogue"}, "image": {"alt": "Two rows of panels, one column a model. Above, the line without the three dimensions lies far below the other in GPT-2's last layers and in most of e5's blocks; in the first layers of GPT-2 and e5 it lies a little below, in HerBERT the two lie close together, and after e5's last block they nearly coincide. Below, the two lines nearly coincide in every model."}}
styles = {"all dimensions": (BLUE, "-"), "without three": (ORANGE, "-"), "untrained": STYLES["untrained"]}


def three_lines(whole, part):
    """All dimensions, without three of them, and the untrained model, for each panel."""
    return {title: {"all dimensions": whole["trained"][name], "without three": part[name], "untrained": whole["untrained"][name]} for name, title in ALL.items()}


cosines, separations = three_lines(anisotropy | {"trained": as_alike}, less_alike), three_lines(accuracy, senses_left)
plots.layer_panels({"mean cosine": cosines, "same sense, share": separations}, LAYERS, styles);

# %% [markdown]
# In GPT-2's last layers and in e5 up to the last block but one, the three coordinates carry a good part of the cosine. That they say nothing about senses is best seen in e5, since the small models hardly tell senses apart: after its last block but one, the share of neighbours in the same sense changes by {glue:text}`geo-e5-kept` percentage points without them. In HerBERT they carry little of the cosine. The high cosines after GPT-2's second and third block, after HerBERT's first four blocks and after e5's last block are of another kind: most of the cosine is left without the three coordinates. Does the small GPT-2 need its three? They are replaced after its last
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
next_three = geometry.rogue_dimensions(trained["polish-gpt2"].states[[last]], trained["polish-gpt2"].texts, k=6, n_resamples=1).dimensions[0, 3:].tolist()
losses = {
    "three rogue dimensions at zero": added_loss(three, [0.0] * 3),
    "three rogue dimensions at their mean": added_loss(three, means[three].tolist()),
    "the next three in the mean cosine, at zero": added_loss(next_three, [0.0] * 3),
    "three other dimensions at zero (three draws)": np.mean(other_losses, axis=0),
}

# %%
cost = pd.DataFrame({"what": list(losses), "loss added [nats]": [statistics.bootstrap_interval(loss) for loss in losses.values()]})
report.table(cost, f"GPT-2 (loss {report.number(whole.mean())} nats), states after the last block changed; intervals over {len(ids)} paragraphs", digits=3)

# %% [markdown]
# What determines these coordinates? Two causes have been proposed: the **position** of a word {cite}`kovaleva2021` and its **frequency** {cite}`puccetti2022`. A regression on indicators of the position, or on the log frequency of the form and its
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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the variance of single coordinates that a word's position (above) or frequency (below) explains in other texts: the three rogue dimensions of each layer, the mean over all dimensions, and the three rogue dimensions of an untrained model; 95% intervals over texts.", "name": "fig-geo-causes"}, "image": {"alt": "Two rows of panels, one column a model. Position explains about a tenth of the rogue coordinates in GPT-2's embedding and after HerBERT's fourth block, and less than a twentieth in every other trained layer; of all of HerBERT's coordinates it explains 7 to 8 per cent on average up to the fourth block, and 1 to 2 per cent after it. Frequency explains more than a quarter of the rogue coordinates after GPT-2's first block and less after each of the next, less than a tenth in HerBERT, and about a tenth to a third in e5. After GPT-2's blocks and in all of e5 the means over all dimensions and the untrained models lie lower."}}
styles = {"three rogue": (ORANGE, "-"), "mean over all": (BLUE, "-"), "three rogue, untrained": STYLES["untrained"]}
plots.layer_panels(lines, LAYERS, styles, zero=True);

# %% [markdown]
# Frequency explains a part of the rogue dimensions of e5 and of GPT-2's first blocks, and little of HerBERT's. In sentences of some ten words position explains little. On average over all coordinates it explains most in HerBERT, 7 to 8% up to the fourth block and 1 to 2% after it, and the next section follows this. The dimensions that matter most here are the three coordinates after GPT-2's last block, where they carry most of the cosine.
# Most of what varies in them is explained neither by position nor by frequency. The model uses what varies in them: the loss also rises when only this variation is removed (the row *at their mean* of the table above).
#
# ## Where a token stands
#
# Attention is blind to order, except that GPT-2 cannot look ahead: a model knows where a token stands mainly because a vector of its position is added to its embedding. How long does it keep this? A linear map, fitted on half of the paragraphs, reads sines and cosines of a token's position (with periods of 8, 32 and 128 tokens) from its
# state, and {numref}`fig-geo-positions` shows how much of them it explains in the other half.

# %%
def states_of(model):
    """What a model computes on forty paragraphs."""
    return activations.run(model, texts.paragraphs()["text"][:40], stride=64)


def readable(run, layers=slice(None)):
    """How well positions can be read from the states of a model, by layer."""
    first = run.tokens[(run.tokens["window"] == 0) & ~run.tokens["special"]]  # later windows count positions anew
    return causes.readable_positions(run.states[layers][:, first.index], first["position"], first["text"], n_resamples=300)


standing = {
    ALL[name]: {ALL[name]: readable(states_of(model)), "untrained": readable(states_of(models.untrained_like(model, seed=0)))}
    for name, model in loaded.items()
}

# %% mystnb={"figure": {"caption": "How much of a token's position a linear map reads from its state, by layer: share of the variance of sines and cosines that it explains in other paragraphs (1: exactly known; 0: not at all), with 95% intervals over paragraphs.", "name": "fig-geo-positions"}, "image": {"alt": "Three panels, trained models beside untrained ones. HerBERT's line falls slowly from nearly 0.8 in the embedding to a little above 0.7 after the fourth block, above its untrained twin at 0.6, then drops to less than 0.1 after the fifth and ends near zero. GPT-2's starts at 0.3, falls to little more than 0.1 after the first block and to nearly zero at the end; its untrained twin falls from nearly 0.6 to a little above 0.45. e5's stays near 0.4 for five blocks and then falls block by block, to nearly zero after the last; its untrained twin stays near 0.7."}}
plots.layer_panels({"position read (R²)": standing}, LAYERS, STYLES, zero=True);

# %% [markdown]
# HerBERT keeps the places of its tokens through four blocks: they are read better than from its untrained twin. Its fifth block removes nearly all that can be read. This block was the first while the model had only two, and the four below it were added later ({doc}`models`). A head can look for a neighbour by its place only if the states that it reads tell the places. Layers count from 0, so layers 0 to 4 read states that do, and layer 5, which reads the output of the fifth block, hardly can look for a neighbour.
#
# GPT-2's layer norms stand on the branches, and HerBERT's and e5's on the residual stream itself ({doc}`models`). GPT-2 loses more than half of what can be read in its first block, and hardly anything is left after its last. Its head for the token before ({doc}`induction_polish`) is a head of layer 0, which reads the embedding, where places are read best. e5 keeps what its embedding tells for about five blocks and then loses it block by block; hardly anything is left after the last.
#
# All three models thus end without the places that they started with. Their untrained twins keep most of them, so training is what removes them. In GPT-2 and e5 the trained states tell less about places than the untrained ones in every layer, even in the embedding. Two models with norms on the stream lose places in two ways, so where the norms stand does not decide how it happens. Nor does a low value exclude that a head reads what it needs: it is a mean over three periods, and the map is linear.
#
# ## How many directions a word can move in
#
# Vectors of hundreds of coordinates may still lie near a curved surface of few dimensions. The **intrinsic dimension** is the number of directions in which points vary around a point, estimated from the distances to its neighbours. **TwoNN** {cite}`facco2017`
# uses the fact that in $d$ dimensions the ratio $\mu$ of the second to the first nearest distance has the distribution function $1 - \mu^{-d}$; **maximum likelihood** {cite}`levina2004` takes the inverse of the mean of $\log(r_k / r_j)$ over the neighbours $j < k$, with $k = 20$ and $r_j$ the distance to the $j$-th. Both
# get 1,200 words here, because estimates grow with the number of words. The words are the same in every model except the untrained e5, which reads fewer texts.

# %%
dimension = each(lambda found: geometry.intrinsic_dimension(found.states, found.texts, max_points=1200))
by_method = {
    method: beside({key: {name: found[method] for name, found in group.items()} for key, group in dimension.items()})
    for method in ("TwoNN", "maximum likelihood")
}

# %% mystnb={"figure": {"caption": "Intrinsic dimension of the states of 1,200 words by layer, with two estimators; 95% intervals over texts.", "name": "fig-geo-dimension"}, "image": {"alt": "Two rows of panels, one column a model. Trained GPT-2 falls a little after the embedding and then rises, between 6 and 12 by TwoNN and between 9 and 14 by maximum likelihood; untrained GPT-2 lies near 20 after the embedding. HerBERT falls a little after the embedding and then rises, from 9 to 19 by TwoNN and from 12 to 20 by maximum likelihood; after the embedding its untrained twin lies at 16 to 17 by TwoNN and at 10 to 12 by maximum likelihood. e5 rises from 4 to 11 and falls to 8 by TwoNN, and rises from 8 to 15 by maximum likelihood; untrained e5 lies at 12 to 15 after the embedding. All untrained models start far higher in the embedding."}}
plots.layer_panels(by_method, LAYERS, STYLES);

# %% [markdown]
# In GPT-2 both estimators agree: after the last block an untrained model has {glue:text}`geo-polish-gpt2-dimension-untrained` directions by TwoNN, about twice as many as the trained one. After each of HerBERT's blocks maximum likelihood finds more directions than in the untrained twin; TwoNN finds fewer after the first two blocks and shows no difference after the last. After e5's last block TwoNN finds far fewer directions than in the untrained twin, and maximum likelihood as many; in most of the earlier blocks both find fewer. So after the last block no difference is established in either encoder. In the embedding all three models agree: trained embeddings are much simpler than random ones. In GPT-2's middle blocks, in HerBERT from the second block to the last, and in e5 over most of its blocks, the dimension then rises, perhaps because context adds to what the spelling says.
#
# ## One word, one sentence
#
# **Self-similarity** is the expected cosine of two occurrences of a word in different texts; high values mean that context changes the word *little*. Its baseline is anisotropy. **Intra-sentence
# similarity** is the mean cosine of the words of a text with their mean. A word is part of that mean, so the matching baseline keeps the lengths of the texts and deals their words anew. For self-similarity, words in at least five texts count.

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

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Self-similarity of words (above) and intra-sentence similarity (below) by layer, each minus its baseline; 95% intervals over words and over texts.", "name": "fig-geo-self"}, "image": {"alt": "Two rows of panels, one column a model. Self-similarity starts high: GPT-2's falls from above 0.6 to 0.2 after the second block and recovers to 0.5, HerBERT's falls from nearly 0.5 to little more than 0.25 after the fourth block and recovers to a little less than 0.4, e5's falls from above 0.8 to 0.15. Intra-sentence similarity rises to 0.1 or more in GPT-2, trained or not, and after e5's last block but one, and to about 0.07 after the last blocks of HerBERT and e5; it is just below zero in the untrained encoders."}}
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
# GPT-2's second block brings unrelated words so close together that two occurrences of one word stand out less, and later blocks undo most of this. In HerBERT something similar happens step by step: its first block brings unrelated words closer together, two occurrences of one word stand out less after every block up to the fourth, and the fifth undoes a part of this. In e5 context takes over block by block, and after the last block two occurrences of a word are little more alike than two different words: for content words their cosines differ by {glue:text}`geo-e5-self`, in GPT-2 by {glue:text}`geo-polish-gpt2-self`. Part of the fall in the last block comes from the baseline: the cosine of unrelated words jumps there and leaves less room. In the table, frequent function words and content words differ little; in HerBERT and e5 content words stand out a little more, and in GPT-2 no difference is shown. Function words are the twenty that occur in most texts among those that the dictionary Morfeusz {cite}`kieras2017` knows as preposition, conjunction, particle or
# pronoun; content words are nouns, verbs, adjectives or adverbs that are none of these. **MEV**, the maximum explainable variance, is the share of the squared lengths of a word's states that one direction carries, minus the same share for as many random words. It is larger than without training in the two models of this book, and smaller in e5. Words of one sentence are hardly more alike than words dealt at random, except in GPT-2's last layers, trained or not, and after the last two blocks of HerBERT and e5.

# %% tags=["remove-cell"]
last = trained["polish-gpt2"].last_block
report.glue("geo-polish-gpt2-rogue", report.interval(*rogue["trained"]["polish-gpt2"].shares[2].at(last), scale=100, unit="%", digits=0))
for name, layer in (("polish-gpt2", -1), ("e5", -2)):
    if name in ALL:
        kept = (senses_left[name] - accuracy["trained"][name]).at(trained[name].last_block + 1 + layer)
    report.glue(f"geo-{name}-kept", report.interval(*kept, scale=100, digits=0, signed=True) if name in ALL else "(e5 is not installed)")
for key, label in (("trained", "dimension"), ("untrained", "dimension-untrained")):
    report.glue(f"geo-polish-gpt2-{label}", report.number(dimension[key]["polish-gpt2"]["TwoNN"].estimate[last], 0))
for name in ("polish-gpt2", "e5"):
    report.glue(f"geo-{name}-self", report.interval(*kinds[ALL[name]]["content words"]) if name in ALL else "(e5 is not installed)")

# %% [markdown]
# ## Limits
#
# - The two models of this book are small and were trained on little text, so their anisotropy says nothing about larger ones. e5 is one model, in 4 bits.
# - A word is the mean over its tokens, so a rare word is also an average of pieces. Capitals count: *Nie* (not) at the beginning of a sentence is taken for another word than *nie*.
# - The other dimensions in the table of losses, drawn at random or next in line, have smaller values than the rogue ones. Part of the loss at zero comes from removing a large mean, as the row with the mean shows.
# - All texts but the paragraphs of {numref}`fig-geo-positions` and of the table of losses are single sentences.
# - Intervals over texts, words or lemmas do not cover the choice of texts, nor the one seed of each untrained model. An interval of the intrinsic dimension takes each word's neighbours as given.
#
# ## Exercises
#
# 1. Remove ten rogue dimensions of each layer instead of three (`geometry.rogue_dimensions(states, texts, k=10)`). How much of the mean cosine is left, and do the senses suffer now? ({ref}`Solution <sol-geo-2>` for the cosine)
# 2. Set `ANALYSIS_MODELS=hub` and put the same questions to the published GPT-2 and HerBERT. Which of the findings at the top of this page hold?
#
# The notebook that this chapter began with measured two of these quantities in another way: {doc}`replication` has its procedure beside this one.

# %% tags=["remove-cell"]
page = {"model": "polish-gpt2", "section": "geometry.html#fig-geo-dimension"}

def untrained_dimension(seed):
    """Intrinsic dimension after the last block of another untrained GPT-2, since untrained models differ among themselves."""
    fresh = geometry.read_words(loaded["polish-gpt2"], TEXTS, seed=seed, last=2)
    return geometry.intrinsic_dimension(fresh.states[[fresh.last_block]], fresh.texts, max_points=1200, n_resamples=1)["TwoNN"].estimate[0]


several = np.array([dimension["untrained"]["polish-gpt2"]["TwoNN"].estimate[last], *map(untrained_dimension, range(1, 4))])
simple, nulls = dimension["trained"]["polish-gpt2"]["TwoNN"].at(last), {"untrained": several}
report.finding("geo-gpt2-dimension", "Training lowers the intrinsic dimension of GPT-2's states", simple, nulls, expected="less", unit="dimensions", **page)
following = statistics.bootstrap_interval(losses["the next three in the mean cosine, at zero"])
nulls = {"three other dimensions": [loss.mean() for loss in other_losses], "the next three": following}
found = statistics.bootstrap_interval(losses["three rogue dimensions at zero"])
report.finding("geo-gpt2-rogue", "GPT-2 needs its rogue dimensions", found, nulls, unit="nats", **page | {"section": "geometry.html#fig-geo-anisotropy"})

# %% tags=["remove-cell"]
for name, title in TITLES.items():  # of e5, which takes longer, one untrained model was read
    kept = standing[title][title].at(-1)
    several = [readable(states_of(models.untrained_like(loaded[name], seed=seed)), slice(-1, None)).at(0).estimate for seed in range(1, 4)]
    nulls = {"untrained": np.array([standing[title]["untrained"].at(-1).estimate, *several])}
    page = {"model": name, "section": "geometry.html#fig-geo-positions", "unit": "R²", "expected": "less"}
    report.finding(f"geo-{name}-places", f"Training removes the places of tokens from {title}'s last states", kept, nulls, **page)
