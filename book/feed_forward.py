# %% [markdown]
# # Feed-forward layers in vocabulary space
#
# **Question.** Every neuron of a feed-forward layer has a *key*, which says what makes it active, and a *value*, which says what it then adds to the residual stream. Both are vectors of the model's
# width, so both can be read as lists of tokens {cite}`geva2021,dar2022`. Do these lists mean anything in Polish models?

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch
from IPython.display import display

from analysis_lib import models, plots, report, statistics
from analysis_lib.projections import neuron_lists, neurons, shared_features, shuffled_overlap, top_overlap
from analysis_lib.projections.readers import Reader

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
ALL = TITLES | ({"e5": "e5"} if models.available()["e5"]["embedded"] else {})  # the package has no wheel for some machines
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in ALL.items()}
SAMPLE = {"e5": 128}  # neurons of a layer that are looked at, drawn by lot
MOST = 1024  # of any other model; the book's own have no more, so that all are looked at
ROUNDS = 20  # sets of random vectors, one in the place of each vector looked at; in layers with more neurons than MOST, of so many:
IN_A_SET = 160

# %% tags=["hide-input"]
readers = {title: Reader.of(models.load(name, "embedded" if name == "e5" else None), numbers=True) for name, title in ALL.items()}
small = {title: reader for title, reader in readers.items() if title in TITLES.values()}
kinds = {title: shared_features.token_kinds(reader.lexicon, reader.keep) for title, reader in readers.items()}
pairs, numbers, replaced, vectors = {}, {}, {}, {}  # keys and values of all neurons, which are looked at, which random vectors replace, and those
for title, reader in readers.items():
    w = reader.weights
    pairs[title] = neurons.all_keys_values(w)
    numbers[title] = neurons.sample_neurons(w.n_layers, w.d_mlp, SAMPLE.get(title, MOST), seed=0)
    few = w.d_mlp > MOST and title not in SAMPLE
    replaced[title] = neurons.sample_neurons(w.n_layers, w.d_mlp, IN_A_SET, seed=0) if few else numbers[title]
    vectors[title] = tuple(side[numbers[title]] for side in pairs[title])


def best(title, queries, k=100, weights=None):
    """Top tokens of vectors under a model's unembedding, trained unless other weights are given."""
    return neuron_lists.best_tokens(readers[title], queries, k, weights)


def judge(title, ids):
    """What the lists of keys and then of values have in common, beside chance."""
    return neuron_lists.alike(readers[title], ids, kinds[title])


# %% tags=["hide-input"]
top = {}
for title, (keys, values) in vectors.items():
    k, reader = (100 if title in small else 20), readers[title]
    top[title, "K"] = best(title, keys, k)
    top[title, "V"], top[title, "-V"] = neuron_lists.best_tokens(reader, values, k, both_ends=True)  # what values point at, and what −values do
judged = {(title, "trained"): judge(title, np.concatenate([top[title, side][:, :20] for side in "KV"])) for title in readers}
similar = {}  # lists of random vectors, drawn like the keys and the values of each layer
for title, pair in pairs.items():
    for draw in range(ROUNDS):
        options = {"n_layers": readers[title].weights.n_layers, "rows": replaced[title]}
        drawn = [neurons.similar_vectors(side, seed=10 * draw + place, **options) for place, side in enumerate(pair)]
        similar[title, draw] = best(title, torch.cat(drawn), k=20)
        judged[title, f"similar {draw}"] = judge(title, similar[title, draw])
del pairs, pair, drawn  # of large models a gigabyte
passed = {key: shared_features.passing(table) for key, table in judged.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The most alike list of some kinds in each model: how many of its different forms share the feature (points), how many would by chance (crosses), and the most in any list of random vectors that vary as the layer's own do (bars). Below each feature stand the first words of the list. In Polish *-ła* ends past tenses with a feminine subject (*mówiła*, she said), *-ach* locative plurals of nouns (*w domach*, in houses), and *-ej* comparatives of adverbs and feminine genitives.", "name": "fig-ff-key"}, "image": {"alt": "A panel for each model with up to four lists: an ending, a case, a person and the forms of a word. Points lie between eight and twenty forms, and crosses between zero and four. The bars lie between them, except that the bars of e5's case and person lie on their points."}}
alike = {
    title: neurons.most_alike(
        judged[title, "trained"], np.concatenate([top[title, "K"], top[title, "V"]]), r.weights.d_mlp, r.vocabulary, numbers=numbers[title]
    )
    for title, r in readers.items()
}


def most_by_lot(title, shared):
    """The largest count of a feature in any list of a random vector."""
    lists = np.concatenate([similar[title, draw] for draw in range(ROUNDS)])
    return shared_features.most_in_a_list(lists, kinds[title], readers[title].vocabulary.form_groups, *shared.split(": "))


shown = {}
for title, table in alike.items():
    if table.empty:
        print(f"No list of {title} passes, so the figure has no panel for it.")
        continue
    rows = table[table["shared"].str.match("ending|case|lemma|person")]
    rows = rows[~rows["shared"].str.split(":").str[0].duplicated()].sort_values("shared")
    shown[title] = rows.assign(random=[most_by_lot(title, shared) for shared in rows["shared"]])
shown = {title: rows for title, rows in shown.items() if len(rows)}
if shown:
    plots.counts_against_chance(shown, {title: COLOURS[title] for title in shown})

# %% tags=["remove-input"]
report.figure_data(shown, "fig-ff-key") if shown else None

# %% [markdown]
# **What was found**
#
# - **Some neurons collect words of one kind:** an ending, a case, a person, the forms of one lemma ({numref}`fig-ff-key`). Each list of GPT-2 and of HerBERT in the figure holds more such words than any list of a random vector, and so do two of the four lists of e5. The lead is sometimes small: a random vector, too, can have a list that holds almost nothing but instrumentals.
# - **Keys of all three models, and values of GPT-2 and e5, have such lists more often than random vectors do.** The random vectors are drawn to vary as a layer's own keys or values do, and some of their lists hold words of one kind too. Lists of GPT-2's keys do so more often, by {glue:text}`ff-polish-gpt2-K-gain` percentage points, and lists of its values by {glue:text}`ff-polish-gpt2-V-gain`. Both differences lie mostly in the later layers. Lists of HerBERT's keys do so by {glue:text}`ff-herbert-K-gain`, and this difference lies mostly in its layers 0 to 3. The differences are smaller for lists of e5. These five differences survive the correction over all claims ({doc}`null_board`). The difference for lists of HerBERT's values ({glue:text}`ff-herbert-V-gain`) does not survive it.
#   (Square brackets hold 95% intervals.)
# - **A neuron's key and value rarely point at the same words,** yet more often than the key of one neuron and the value of another do. In GPT-2 they share {glue:text}`ff-shared` of their hundred best tokens
#   on average, and in HerBERT somewhat more. GPT-2's first layer is the exception: there a key overlaps with the *negated* value, so that the neuron takes away words like those it matches. HerBERT has no such layer ({numref}`fig-ff-overlap`).
#
# ## Keys and values
#
# With $x$ the vector that a layer reads, a feed-forward layer is a sum over its neurons $i$,
#
# $$\mathrm{FF}(x) = \sum_i f(x \cdot k_i + b_i)\, v_i + b ,$$
#
# where key $k_i$ is column $i$ of $W_{in}$, value $v_i$ is row $i$ of $W_{out}$, and $f$ is a GELU, which is close to zero where its argument is negative. So $k_i$ is a pattern, and $v_i$ is what is
# written when the pattern matches. In embedding space the neuron's two lists are the tokens with the largest entries of
#
# $$k_i W_U \qquad \text{and} \qquad v_i W_U .$$
#
# The tokens that the key or the value points *away* from are those with the largest entries of $-k_i W_U$ or $-v_i W_U$. (The models tie $W_U = W_E^\top$, so that one matrix serves for reading and writing; e5 has no unembedding, and its embedding serves for both.) A score is an inner
# product and has no unit; scores are compared within a list only. `top_tokens` finds the best tokens of all neurons in one blocked product. Layers and neurons count from 0, so that L2N17 is neuron 17 of
# the third layer.
#
# Most tokens of such a vocabulary are pieces of words. Lists here hold numbers and **words**: tokens that stand as a whole word in most of their occurrences in Polish text and that the dictionary Morfeusz
# {cite}`kieras2017` knows. Neither condition is enough alone: the dictionary knows *sek-* (of *sekunda*, "second") by accident, as the word *sek*, "knot in wood". The filter is applied before the search, so
# every list has its full length.

# %% tags=["hide-input"]
rows = {}
for title, reader in readers.items():
    w, vocabulary = reader.weights, reader.vocabulary
    steps = vocabulary.filter_report(whole_words=True, counts=reader.counts, lexicon=reader.lexicon)
    ascii_step = vocabulary.filter_report(words=True, ascii_only=True)
    rows[title] = {
        "checkpoint and revision": f"{reader.loaded.identifier}, {reader.loaded.revision[:12]}",
        "layers and width": f"{w.n_layers} of {w.d_model}",
        "neurons of a layer, and looked at": f"{w.d_mlp}, {len(numbers[title]) // w.n_layers}",
        "tokens": w.d_vocab,
        "tokens counted in": reader.counts.source,
        **{f"left: {step.name}": step.left for step in steps if step.name != "rows without a token"},
        "kept, with numbers": int(reader.keep.sum()),
        "word tokens that an ASCII filter removes": report.percent(ascii_step[-1].removed / ascii_step[-2].left),
    }
report.table(pd.DataFrame(rows, dtype=object), "The models, their neurons and their tokens", index=True)

# %% [markdown]
# The last row is the share of word tokens that the original notebooks lost, because they kept only tokens that the tokenizer spells in ASCII. GPT-2's tokenizer spells *że* ("that") as `ĠÅ¼e`, so every word with a letter outside ASCII was gone.
# Few of e5's tokens are Polish words, since its vocabulary serves a hundred languages.
#
# ## Which lists are alike, and in what
#
# Every list is judged by a rule. For the twenty top tokens of a key or value we count how many share a lemma (the form under which a dictionary lists a word), an ending of two or three letters, a part of
# speech, a case, a person; how many are numbers, names (words whose every lemma is capitalised), or capitalised. Two spellings of one form (*Dom*, *dom*) count once. Common features must count for less,
# since most words are nouns. So chance means a list in which each token is replaced by a random one of similar frequency. (Similar means within 200 ranks of its id: byte-pair ids are in the order of merging, and e5's ids go from likely to unlikely pieces.) With
# $p_j$ the share of tokens around token $j$ that have the feature, the chance of a count of $c$ or more is the tail of a sum of independent draws,
#
# $$P\Bigl(\sum_{j=1}^{20} B_j \ge c\Bigr), \qquad B_j \sim \mathrm{Bernoulli}(p_j),$$
#
# which `shared_features.alike_lists` computes exactly for every feature of every list. This probability is corrected over the features of a kind (Bonferroni) and over all lists and kinds of the model (Holm
# {cite}`holm1979`); a list *passes* where the result is below 0.05.
#
# Three controls are read in the same way. **Random vectors like the layer's own** are drawn from a normal distribution with the mean and the covariance of each layer's keys, or values: they point where the layer's
# neurons point on the whole. Twenty sets of them are drawn. **Isotropic random vectors** favour no direction and show what the embedding gives by itself. The **untrained** model has fresh weights, embeddings included.

# %%
cosines = {}  # of the key and the value of each neuron
for title, reader in small.items():
    fresh = reader.untrained(seed=0)  # one at a time, since large ones take much memory
    for side, queries in zip("KV", neurons.all_keys_values(fresh), strict=True):
        top[title, f"untrained {side}"] = best(title, queries[numbers[title]], weights=fresh)
    cosines |= {(title, label): neurons.key_value_cosines(w) for label, w in (("trained", reader.weights), ("untrained", fresh))}
    judged[title, "untrained"] = judge(title, np.concatenate([top[title, f"untrained {side}"][:, :20] for side in "KV"]))
    top[title, "random"] = best(title, neurons.random_vectors(len(numbers[title]), fresh.d_model, seed=0), k=20)
    judged[title, "random"] = judge(title, top[title, "random"])
    del fresh, queries
passed = {key: shared_features.passing(table) for key, table in judged.items()}


# %% [markdown]
# The rule does not find things in noise: no list of an untrained model passes. Random vectors are the harder control. A trained embedding already groups words, so that alike words come out together in some random directions too. This happens more often in HerBERT than in GPT-2.

# %%
SIDES = {"K": "keys", "V": "values"}
hits, spread = {}, {}
for title in readers:
    hits |= {(title, side): lists.any(axis=1) for side, lists in neurons.by_side(passed[title, "trained"]).items()}
    draws = [neurons.by_side(passed[title, f"similar {draw}"].any(axis=1)) for draw in range(ROUNDS)]
    for side in SIDES:
        hits[title, f"similar {side}"] = pd.concat([draw[side] for draw in draws])
        spread[title, side] = np.array([draw[side].mean() for draw in draws])
    hits |= {(title, source): passed[title, source].any(axis=1) for source in ("random", "untrained") if (title, source) in passed}


# %%
def wilson(hits):
    """Share of lists that pass, with Wilson's interval."""
    return report.interval(*statistics.wilson_interval(int(hits.sum()), len(hits)), digits=1, scale=100, unit="%")


# %%
rows = {}
for side, label in SIDES.items():
    rows[label] = {title: wilson(hits[title, side]) for title in readers}
    rows[f"random vectors like the {label}"] = {title: wilson(hits[title, f"similar {side}"]) for title in readers}
    rows[f"… of the {label}, smallest to largest of {ROUNDS} draws"] = {title: report.span(spread[title, side], digits=1, scale=100, unit="%") for title in readers}
    worded = {title: report.interval(*neurons.passing_gain(hits[title, side], hits[title, f"similar {side}"]), digits=1, signed=True, scale=100) for title in readers}
    rows[f"{label} less random vectors [percentage points]"] = worded
    report.glue_frame(pd.Series({f"{name}-{side}-gain": worded[title] for name, title in ALL.items()}), "ff")
rows["isotropic random vectors"] = {title: wilson(hits[title, "random"]) for title in small}
rows["keys and values of the untrained model"] = {title: wilson(hits[title, "untrained"]) for title in small}
report.table(pd.DataFrame(rows).T.rename_axis("lists that pass").reset_index(), "Share of lists with alike top tokens, in any kind")

# %% mystnb={"figure": {"caption": "Per cent of lists that pass, by kind (rows) and by layer (columns: keys K and values V of each layer, then random vectors like the layer's own, and for the small models isotropic random vectors and the untrained model). A list can pass in several kinds; the first row counts it once.", "name": "fig-ff-alike"}, "image": {"alt": "A coloured table of percentages for each model. Rows: any kind, lemma, ending, part of speech, case, person, number, name, capital. Columns: keys by layer, values by layer, random vectors, untrained model."}}
maps = {}
for title, reader in readers.items():
    maps[title] = neurons.shares_by_layer(neurons.by_side(passed[title, "trained"]), reader.weights.n_layers)
    maps[title]["like"] = neurons.kind_shares(pd.concat([passed[title, f"similar {draw}"] for draw in range(ROUNDS)]))
    for source, column in (("random", "rand."), ("untrained", "untr.")):
        if (title, source) in passed:
            maps[title][column] = neurons.kind_shares(passed[title, source])
plots.percent_maps(maps);

# %% [markdown]
# Layers differ. In GPT-2 the lists of layers 2 to 5 pass more often than those of random vectors, for keys and for values, and most of all in layers 4 and 5. In HerBERT the keys of layers 0 to 3 do so. For the values of GPT-2's layers 0 and 1 and of HerBERT's layers 1 to 3 the difference is small. Its interval leaves out zero, in some layers only just, and is not corrected for the number of columns. For HerBERT's keys of layer 4 the interval begins at about zero, and for all other columns of these two models no difference is shown. The table says by how many percentage points the lists of each layer pass more often than those of the random vectors like the layer's own.

# %%
columns = {}
for title, reader in small.items():
    for side in "KV":
        gains = neurons.gains_by_layer(hits[title, side], hits[title, f"similar {side}"].to_numpy().reshape(ROUNDS, -1), reader.weights.n_layers)
        words = [report.interval(*row, digits=1, signed=True, scale=100) for row in gains[["estimate", "low", "high"]].to_numpy()]
        columns[f"{title}, {SIDES[side]}"] = pd.Series(words)
report.table(pd.DataFrame(columns).rename_axis("layer").reset_index(), "Beside random vectors like the layer's own [percentage points]")

# %% [markdown]
# ### The most alike lists of each kind
#
# For every kind, the tables have the two lists with the smallest corrected probability among those that pass: what the tokens share, how many of the counted forms (size) have it, and how many would by chance. The tokens are the first of each list.

# %%
CAPTION = "{} ({} and its tokenizer): the most alike lists of each kind"
for title, reader in readers.items():
    if len(alike[title]):
        display(report.table(alike[title].rename(columns={"expected": "by chance"}), CAPTION.format(title, reader.loaded.identifier), digits=1, polish=["tokens"]))

# %% [markdown]
# **A reading aid.** Polish inflects: a noun has seven cases in two numbers, a verb marks person, number and, in the past tense, gender; endings show all of these. Endings that often come up: *-ami* instrumental plural
# ("with, by …s"), *-ach* locative plural ("in, on …s"), *-ym* instrumental or locative singular of adjectives, *-ej* feminine forms of adjectives and comparatives of adverbs, *-ne* neuter or plural adjectives, *-ego* genitive singular of adjectives, *-ych* genitive or locative plural of adjectives, *-ość* nouns like English *-ness*, *-nie* verbal nouns and
# adverbs, *-ł*, *-ła*, *-li* the past tense of he, she and they, *-ąc* "while …ing", *-ć* infinitives. A capital letter marks a name or the beginning of a sentence.
# The lemmas in the tables are *być* (to be) and *który* (which). The part of speech *sign* means digits and Roman numerals. Out of context the dictionary gives a form all its readings: *fale* (waves) is vocative as well as nominative, while forms that are the same in all seven cases, such as *BBC*, count for none.
#
# ## Do a neuron's key and value speak of the same tokens?
#
# Dar et al. {cite}`dar2022` compare paired parameters: for every neuron the Jaccard index of the top 100 tokens of its key and of its value (0: no token in common, 1: the same tokens). The null pairs each key
# with the value of another neuron of the layer, every value used once, and is drawn ten times. A third comparison pairs the key with the negated value: a neuron where these two overlap takes away what it matches.

# %%
PAIRS = {"key, value": ("K", "V"), "key, −value": ("K", "-V"), "untrained": ("untrained K", "untrained V")}
overlaps = {
    (title, pair): shuffled_overlap(top[title, left], top[title, right], n_layers=reader.weights.n_layers, seed=0)
    for title, reader in small.items()
    for pair, (left, right) in PAIRS.items()
}

# %% mystnb={"figure": {"caption": "Mean Jaccard index of the top 100 tokens of paired lists, by layer. Points: a neuron's own pair, with 95% bootstrap intervals over the layer's neurons. Dashes of the same colour: shuffled pairs. A point above its dash is an overlap that belongs to the neuron, and a point below says that a neuron's two lists have less in common than lists of two neurons; the higher dashes of trained models say that all lists of a layer favour some tokens.", "name": "fig-ff-overlap"}, "image": {"alt": "Two panels, GPT-2 and HerBERT. Horizontal axis: layers, first to last. Vertical axis: mean Jaccard index. For each layer three points with intervals, key with value, key with negated value and untrained, each beside a dash for shuffled pairs. Key with negated value lies highest in GPT-2's first layer, and key with value lies highest in all other layers of both models. In every layer of HerBERT, key with negated value lies below its dash."}}
by_layer = pd.concat(
    [overlap.by_layer(small[title].weights.n_layers).assign(model=title, pair=pair) for (title, pair), overlap in overlaps.items()]
)
colours = dict(zip(PAIRS, [plots.CYCLE[0], plots.CYCLE[1], plots.MODEL_COLOURS["untrained"]], strict=True))
plots.overlaps_by_layer(by_layer, colours, {title: title for title in small});

# %%
rows = []
for (title, pair), overlap in overlaps.items():
    excess = statistics.bootstrap_interval(overlap.excess, n_resamples=1000)
    shares = {"own pair": overlap.real.mean(), "shuffled pairs": overlap.shuffled.mean()}
    difference = report.interval(*excess, digits=4, signed=True)
    rows.append({"model": title, "pair": pair, **shares, "difference": difference, "beyond": report.percent(overlap.beyond(0.999), 2)})
report.table(
    pd.DataFrame(rows),
    "Jaccard index over all layers; beyond: share of neurons above the 99.9% point of shuffled pairs, where chance has 0.1%",
    digits=4,
)

# %% [markdown]
# Over all layers, the keys of both models overlap more with the value than with the negated value. In GPT-2's first layer it is the other way round: neurons there tend to take away words like those they match, and neurons of later layers tend to add to such words. In HerBERT the neurons of every layer tend to add to them, and a key and its negated value even share less than shuffled pairs do. The cosine of a neuron's key and value shows the sign without any tokens. Its mean over neurons (next table) is above zero in both models, which agrees with the overlaps but hides GPT-2's first layer (exercise 2 asks for every layer of GPT-2). Is the overlap due to a few neurons or to all of them? {numref}`fig-ff-survival`
# shows the whole distribution; a Jaccard index of 0.1 means that 18 of 100 tokens are shared. In many neurons, key and value share a few tokens more than shuffled pairs do, and in a few neurons they share many. HerBERT's largest overlaps are smaller than GPT-2's.

# %%
rows = {
    title: {
        label: report.interval(*statistics.bootstrap_interval(cosines[title, label], n_resamples=1000), digits=3, signed=True)
        for label in ("trained", "untrained")
    }
    for title in small
}
report.table(pd.DataFrame(rows).T.rename_axis("model").reset_index(), "Mean cosine of a neuron's key and value")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of neurons whose overlap reaches x, on a logarithmic axis. Full lines: a neuron's own pair; dashed: shuffled pairs (ten for every neuron). Where a full line lies above its dashed one, more neurons than shuffled pairs have such an overlap; beyond the end of the dashed line no shuffled pair has it.", "name": "fig-ff-survival"}, "image": {"alt": "Two panels, GPT-2 and HerBERT. Horizontal axis: Jaccard index of top 100 tokens. Vertical axis, logarithmic: share of neurons that reach it. Falling full lines for key with value and key with negated value, and falling dashed lines for their shuffled pairs. In GPT-2 both full lines end far to the right of the dashed ones. In HerBERT the full line of key with value does, and that of key with negated value stays close to the dashed lines."}}
falling = {title: {} for title in small}
for (title, pair), overlap in overlaps.items():
    if pair != "untrained":
        falling[title] |= {pair: (overlap.real, colours[pair], "-"), f"{pair}, shuffled": (overlap.shuffled, colours[pair], "--")}
plots.survival(falling, "Jaccard index", "share of neurons that reach it");

# %% [markdown]
# ### One neuron at a time
#
# Three rules decide which neurons to show, the same for both models: the neuron whose **key and value** overlap most, the one whose **key and negated value** overlap most, and one drawn **at random**
# (seed 0), as a sample of the rest. The columns are those of the original notebook.

# %%
for title, reader in small.items():
    keys, values = vectors[title]
    rules = {f"largest overlap of {pair.replace(', ', ' and ')}": overlaps[title, pair].real for pair in ("key, value", "key, −value")}
    for rule, neuron in neurons.choose_neurons(rules, seed=0).items():
        columns = {"K": keys[neuron], "V": values[neuron], "−K": -keys[neuron], "−V": -values[neuron]}
        table = neurons.token_columns(columns, reader.weights.W_U, reader.vocabulary, reader.keep)
        name = neurons.neuron_name(numbers[title][neuron], reader.weights.d_mlp)
        display(report.table(table, f"{title}, {name}: {rule}. Token and score", name=f"{title}-{name}-{rule[:14]}".replace(" ", "-"), polish=table.columns))

# %% tags=["remove-cell"]
for name, title in ALL.items():
    for side, label in SIDES.items():
        share, null = statistics.wilson_interval(int(hits[title, side].sum()), len(hits[title, side])), {"random vectors": spread[title, side]}
        page = {"model": name, "unit": "share of lists", "section": "feed_forward.html#which-lists-are-alike-and-in-what"}
        report.finding(f"ff-{name}-{side}", f"{title}: {label} collect words of one kind", share, null, **page)
for name, title in TITLES.items():
    own = overlaps[title, "key, value"]
    page = {"model": name, "unit": "Jaccard index", "section": "feed_forward.html#fig-ff-overlap"}
    report.finding(f"ff-{name}-overlap", f"{title}: a neuron's key and value share more words than those of two neurons", statistics.bootstrap_interval(own.real, n_resamples=1000), {"shuffled pairs": own.shuffled.mean(axis=1)}, **page)
real = overlaps["GPT-2", "key, value"].real
report.glue("ff-shared", report.number(float((200 * real / (1 + real)).mean()), 1))

# %% [markdown]
# The lists of all neurons, e5's too, are in the {doc}`atlas`. Whether neurons do on text what their lists say is the question of {doc}`neurons_at_work`.
#
# ## Norms and layer norms
#
# **Do a few tokens own all lists?** An embedding of large norm can have a large inner product with many vectors, and so stand in many lists. The table says how many different tokens the lists of all neurons hold, twenty in each, and what
# share of the places the hundred most frequent of them fill. These hundred do not own the lists, but they fill more places than in an untrained model, in GPT-2 at least twice as many. In the lists of random vectors that vary as the layer's own keys or values do, the hundred most frequent tokens fill about as many places, so the
# favoured tokens do not belong to single neurons. For GPT-2 isotropic vectors show about the same or more, and the embedding is enough to explain it. In HerBERT the hundred fill more places than for isotropic vectors, clearly more for the keys and slightly more for the values: there the directions that a layer prefers seem to matter too.

# %%
rows = []
for title in small:
    like = dict(zip("KV", np.split(similar[title, 0], 2), strict=True))
    sources = {label: top[title, side] for side, label in SIDES.items()} | {f"random vectors like the {label}": like[side] for side, label in SIDES.items()}
    sources |= {"isotropic random vectors": top[title, "random"], "keys of the untrained model": top[title, "untrained K"]}
    rows += [{"model": title, "vectors": label} | neurons.hubs(lists[:, :20]) for label, lists in sources.items()]
report.table(pd.DataFrame(rows), "Tokens that fill the lists", formats={"filled by the top 100": ".1%"})

# %% [markdown]
# **What does leaving out the layer norm do?** GPT-2's keys do not read the residual stream itself but what `ln_2` makes of it. The gain $\gamma$ and the centring of that norm can be folded into the key,
# $k' = (I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,k$, and that is what the neuron responds to. The original notebook read $k$. The table shows how much the lists of $k$ and $k'$ have in common.

# %%
n_layers = small["GPT-2"].weights.n_layers
folded = best("GPT-2", neurons.all_keys_values(small["GPT-2"].weights, "layer_norm")[0][numbers["GPT-2"]])
agreement = top_overlap(top["GPT-2", "K"], folded)
parts = {f"layer {layer}": part for layer, part in enumerate(np.split(agreement, n_layers))} | {"all layers": agreement}
mean = {label: statistics.bootstrap_interval(part, n_resamples=1000) for label, part in parts.items()}
mean = pd.Series(mean, name="mean Jaccard index").rename_axis("neurons").reset_index()
report.table(mean, "GPT-2: top 100 tokens of raw keys and of keys with ln_2 folded in", digits=3)

# %% tags=["remove-cell"]
report.glue("ff-polish-gpt2-folded-shared", round(float((200 * agreement / (1 + agreement)).mean())))
change = top_overlap(folded, top["GPT-2", "-V"]) - overlaps["GPT-2", "key, −value"].real
report.glue("ff-polish-gpt2-folded-kn", report.interval(*statistics.bootstrap_interval(change, n_resamples=1000), digits=4, signed=True))

# %% [markdown]
# On average about {glue:text}`ff-polish-gpt2-folded-shared` of 100 tokens agree, so it matters little which of the two is read: the overlap with the negated value changes by {glue:text}`ff-polish-gpt2-folded-kn`. BERT normalises after each sum; its norms stand on the
# residual stream itself and cannot be folded into keys, so HerBERT is read raw.
#
# ## Limits
#
# - The models are small; a neuron of a larger one may be cleaner. `ANALYSIS_MODELS=hub make book` puts the same questions to the published ones.
# - Reading a vector through $W_U$ leaves out biases, positions and whatever later layers do. HerBERT puts one more dense layer between its last state and the vocabulary, which is left out here as in the
#   literature.
# - Chance draws tokens independently and uses the rank of an id in place of frequency. Tokens are read out of context, with all dictionary readings at once. The filter leaves out words that in text are mostly followed by an ending (*obraz*, picture;
#   *rozum*, reason).
# - Overlap can come from frequency alone: if a key favours rare words and its value points away from rare words, the lists of the key and of the negated value share words. (In L5N911 above, the shared words are frequent ones.) Shuffled pairs control only for what the neurons of
#   a layer have in common.
#
# ## Exercises
#
# 1. Which neuron of GPT-2 has the value that points most at *matka* (mother), and what else does it point at? ({ref}`Solution <sol-ff-1>`)
# 2. In what share of neurons do key and value point away from each other, layer by layer? What does an untrained model have? ({ref}`Solution <sol-ff-2>`)
# 3. How many different words stand first in the lists of GPT-2's values, and which do so most often? ({ref}`Solution <sol-ff-3>`)
#
# The original notebook showed ten neurons picked by eye: {doc}`replication` has their lists.
#
# ## References
#
# Key-value memories: {cite:t}`geva2021`. Embedding space and paired parameters: {cite:t}`dar2022`. Dictionary: {cite:t}`kieras2017`. Bootstrap: {cite:t}`efron1993`. Multiple testing: {cite:t}`holm1979`.
