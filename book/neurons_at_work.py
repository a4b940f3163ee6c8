# %% [markdown]
# # Neurons at work
#
# **Question.** The chapter {doc}`feed_forward` finds neurons whose key or value points at words of one kind, such as a case or an ending. A list says where a vector points, and no more. Does a neuron fire
# at words like those of its key's list? And does its value make the model expect the words of the value's list?

# %% tags=["hide-input"]
import numpy as np
import pandas as pd
import torch

from analysis_lib import models, plots, report, statistics, texts
from analysis_lib.projections import neuron_activity, neurons, shared_features, top_tokens
from analysis_lib.projections.readers import Reader

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in TITLES.items()}
MOST = 1024  # neurons of a layer that are looked at, drawn by lot; the book's own models have no more, so that all are looked at
PLACES = 12  # where a neuron fires most, at most one in a text
VALUES, OTHERS = 3, 4  # values of a layer that are tried out, and vectors of each null
LAYERS = 6  # in which values are tried out, spread evenly; of the small models all
INSTEAD = 24  # keys, and values, that are asked where none passes
TEXTS, SENTENCES = texts.all_texts(), texts.sentences()[:8]

# %% tags=["hide-input"]
readers = {title: Reader.of(models.load(name), numbers=True) for name, title in TITLES.items()}
numbers, top, lists = {}, {}, {}
for title, reader in readers.items():
    w = reader.weights
    numbers[title] = neurons.sample_neurons(w.n_layers, w.d_mlp, MOST, seed=0)
    for side, vectors in zip("KV", neurons.all_keys_values(w), strict=True):
        top[title, side] = top_tokens(vectors[numbers[title]], w.W_U, 20, reader.keep).ids
    kinds = shared_features.token_kinds(reader.lexicon, reader.keep)
    both = np.concatenate([top[title, "K"], top[title, "V"]])
    judged = shared_features.alike_lists(both, kinds, reader.keep, reader.vocabulary.form_groups)
    lists[title] = neuron_activity.passing_lists(judged, numbers[title], w.d_mlp, instead=INSTEAD)
    if not (judged["p_holm"] < 0.05).any():
        print(f"No list of {title} passes. The {INSTEAD} keys and {INSTEAD} values whose lists come nearest are asked in their place, and say nothing of lists that pass.")

# %% tags=["hide-input"]
firing = {title: neuron_activity.Firing.of(reader.loaded, TEXTS, n=PLACES) for title, reader in readers.items()}
keys = {title: found[found["side"] == "K"].reset_index(drop=True) for title, found in lists.items()}
shares, matching = {}, {}
for title in TITLES.values():
    for word, ahead in {"here": 0, "next": 1}.items():
        shares[title, word] = neuron_activity.shares_of_places(firing[title], keys[title], ahead)
        matching[title, word] = neuron_activity.matching_shares(shares[title, word], keys[title])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Keys whose lists hold words of one kind: at what share of the twelve places where the neuron fires most the word is of that kind (points, with 95% bootstrap intervals over keys), and at what share of the places of the layer's other neurons it is (crosses).", "name": "fig-work-key"}, "image": {"alt": "Two panels. GPT-2's points lie low in all layers, from under a fifth to about a quarter, and yet each above its cross. HerBERT's points lie higher, each far above its cross; they fall from about a half in the first layer to about a third in the last."}}
rows = []
for title, found in keys.items():
    for layer, part in matching[title, "here"].groupby(found["layer"]):
        own = statistics.bootstrap_interval(part["own"], n_resamples=1000) if len(part) > 1 else (part["own"].iloc[0],) * 3
        rows.append((title, layer, *own, part["others"].mean()))
by_layer = pd.DataFrame(rows, columns=["model", "layer", "own", "low", "high", "others"])
plots.firing_by_layer(by_layer, COLOURS);

# %% [markdown]
# **What was found**
#
# - **Neurons whose key's list holds words of one kind fire at such words more often than if the neurons of a layer exchanged their lists,** in both models over all layers together, and in {glue:text}`work-layers` layers taken by themselves ({numref}`fig-work-key`). In every layer of both models such words are at least twice as frequent at a neuron's own places as at those of the layer's other neurons, and in HerBERT's layers 0 to 3 more than three times as frequent. Most lists do not hold words of one kind.
# - **Yet on average such words stand at less than half of a neuron's strongest places.** In GPT-2's first layer they stand at {glue:text}`work-polish-gpt2-first` of these places, and in none of its layers at more than a quarter. In HerBERT they stand at about half of these places in the first layer, and at about a third in the last. At the other places the list does not show what makes the neuron fire.
# - **Nearly all of the values that were tried write what their lists say.** In {glue:text}`work-steered` cases, adding a value raises its list more than any random direction and any other value of the layer that was tried, though sometimes only by little. The two exceptions are values of HerBERT's layer 3 and of its last layer, whose lists hold mostly capitalised words. They raise their lists more than any random direction does, but not more than every other value that was tried.
#
# ## Setting
#
# A feed-forward layer adds up its neurons: neuron $i$ fires with the strength $f(x \cdot k_i + b_i)$ and then writes $v_i$ ({doc}`feed_forward` has the notation and says how lists are made). The list of a
# key or a value has twenty words. It *passes* where more of them share a lemma, an ending, a part of speech, a case, a person and so on than chance explains, after a correction for everything that was
# looked at. This chapter looks only at neurons whose lists pass, and in each list only at the feature that chance explains least.

# %% tags=["hide-input"]
rows = {
    title: {
        "model": reader.loaded.label,
        "keys that pass": len(keys[title]),
        "values that pass": len(lists[title]) - len(keys[title]),
        "neurons looked at": len(numbers[title]),
        "texts": len(TEXTS),
        "words in them": int((firing[title].tokens.drop_duplicates(["text", "word"])["word"] >= 0).sum()),
    }
    for title, reader in readers.items()
}
report.table(pd.DataFrame(rows, dtype=object), "The models, the neurons that are asked, and the texts, which no model was trained on", index=True)

# %% [markdown]
# ## Do keys fire where their lists say?
#
# Let $P_i$ be the twelve places in all texts where neuron $i$ fires most, at most one in a text. The list of $k_i$ shares a feature, say the instrumental case. Then
#
# $$s_{ij} = \frac{1}{12} \sum_{p \in P_j} [\text{the word at } p \text{ has the feature of list } i]$$
#
# says how well list $i$ fits the places of neuron $j$ of the same layer. If lists say what neurons fire at, $s_{ii}$ is larger than $s_{ij}$. In GPT-2 later layers prepare the next word, so the word *after* each
# place is looked at as well.
#
# ```python
# firing = Firing.of(model, texts, n=12)     # where every neuron fires most
# shares = shares_of_places(firing, lists)   # s, lists by neurons
# matching_shares(shares, lists)             # own share, mean of others, rank
# ```

# %%
def beyond_others(part):
    """How far the own share exceeds the others', with an interval over keys where there are several."""
    beyond = part["own"] - part["others"]
    if len(beyond) == 1:
        return report.number(beyond.iloc[0])
    return report.interval(*statistics.bootstrap_interval(beyond, n_resamples=1000), digits=2, signed=True)


# %%
rows = []
for title, found in keys.items():
    here, after = matching[title, "here"], matching[title, "next"]
    for layer, part in here.groupby(found["layer"]):
        means = dict(part[["own", "others"]].mean())
        means |= after.loc[part.index, ["own", "others"]].mean().add_suffix(", next word")
        rows.append({"model": title, "layer": int(layer), "keys": len(part), **means, "own less others": beyond_others(part)})
firing_table = pd.DataFrame(rows)


def exchanged_in_layer(title, layer):
    """P-value of a layer's mean share against lists that its neurons exchange; 1 where there is nothing to exchange."""
    at = np.flatnonzero(keys[title]["layer"] == layer)
    null = neuron_activity.exchanged(shares[title, "here"][at], keys[title].iloc[at], n_permutations=1000)
    return statistics.permutation_pvalue(matching[title, "here"]["own"].iloc[at].mean(), null)


firing_table["p, lists exchanged"] = statistics.holm([exchanged_in_layer(row.model, row.layer) for row in firing_table.itertuples()])
report.table(
    firing_table,
    "Share of places where the word, or the next word, is of the kind of the key's list; means over keys that pass. P-values of the layer's share against lists that its neurons exchange, corrected over the rows",
    formats={"p, lists exchanged": lambda p: report.p_value(p, bare=True)},
)

# %% [markdown]
# In GPT-2's last three layers, and in its second, the next word fits the list about as often as the word itself does. In GPT-2's first layer, and in all layers of HerBERT, the next word fits the list about as often as it does at the places of other neurons. Some keys of GPT-2 seem to point at the word that comes next, not at the word that makes the neuron fire.
#
# ## Do values write what their lists say?
#
# We add the value to the output of the feed-forward layer at every place of eight sentences, multiplied by the mean strength with which the neuron fires at its twelve places. The *rise* of a list is how far the logits of its
# twenty tokens rise beyond the mean rise of all words. Two nulls are added in its place, at the same length: random directions, and values of other neurons of the layer. HerBERT reads the sentences unmasked.


# %%
def rises(title, number, ids):
    """How far a value raises a list of tokens, then how far random directions do, then other values of its layer."""
    reader, (layer, neuron) = readers[title], divmod(int(numbers[title][number]), readers[title].weights.d_mlp)
    values = reader.weights.W_out[layer]
    value = values[neuron] * float(firing[title].strength[layer, neuron].mean())
    others = np.random.default_rng(number).choice(np.delete(np.arange(len(values)), neuron), OTHERS, replace=False)
    alike = torch.nn.functional.normalize(values[others], dim=1) * value.norm()
    tried = torch.cat([value[None], neuron_activity.random_directions(value, OTHERS), alike])
    found = neuron_activity.steering(reader.loaded, SENTENCES, layer, tried, np.tile(ids, (len(tried), 1)), reader.keep)
    return found[0], found[1 : OTHERS + 1], found[OTHERS + 1 :]

# %%
rows = []
for title, found in lists.items():
    values = found[found["side"] == "V"]
    layers = np.unique(values["layer"])
    layers = layers[np.linspace(0, len(layers) - 1, min(LAYERS, len(layers))).round().astype(int)]
    for row in values[values["layer"].isin(layers)].groupby("layer").head(VALUES).sort_values("layer", kind="stable").itertuples():
        own, *nulls = rises(title, row.number, top[title, "V"][row.number])
        rows.append((title, f"L{row.layer}N{row.neuron}", row.feature, own, *nulls))

# %%
steered = pd.DataFrame(rows, columns=["model", "value of", "list", "own value", "random directions", "other values"])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How far adding a value raises the tokens of its list beyond all words (points), and the range of what four random directions and four other values of the layer do to the same list (bars). The three values of each layer whose lists are most alike, with what their words share.", "name": "fig-work-values"}, "image": {"alt": "Two panels with a row for each value. In every row of GPT-2 the point lies to the right of two bars near zero, in most rows far. In HerBERT it does so in all rows but two, in several of them only just. In these two, L3N855 and L5N353, it lies to the right of the bar of random directions but within that of other values. Most of HerBERT's points lie closer to zero than most of GPT-2's, and the farthest of them, one in layer 3 and one in layer 4, lie about three quarters as far out as GPT-2's farthest, one in the last layer."}}
ends = {null: [(draws.min(), draws.max()) for draws in steered[null]] for null in ("random directions", "other values")}
plots.rises_by_value(steered.assign(**ends), COLOURS);

# %% tags=["remove-input"]
report.figure_data(steered.assign(**{null: [report.span(draws) for draws in steered[null]] for null in ends}), "fig-work-values")

# %% tags=["remove-cell"]
first = by_layer[by_layer["layer"] == 0].set_index("model")["own"]
report.glue("work-polish-gpt2-first", report.percent(first["GPT-2"]) if "GPT-2" in first else "(no key there passes)")
beyond = [row["own value"] > max(row["random directions"].max(), row["other values"].max()) for _, row in steered.iterrows()]
report.glue("work-steered", f"{sum(beyond)} of {len(beyond)}")

# %% [markdown]
# ## Worked examples
#
# Three cards of each model are shown, chosen by rule: those of the key and of the value whose lists are most alike in an ending, a case, a person or a lemma, and one drawn at random, as a sample of the rest. In HerBERT this key and this value belong to one neuron.
# Each card has the first words of both lists, the twelve places, and what adding the value does. Click a card to open it.


# %%
def fit_of_key(title, number):
    """How well a key's list fits the neuron's places, in words; nothing for a key whose list does not pass."""
    passing = keys[title].index[keys[title]["number"] == number]
    if not len(passing):
        return ""
    row, shared = matching[title, "here"].loc[passing[0]], keys[title].loc[passing[0]]
    fits = f"{report.percent(row['own'])} of its places and {report.percent(row['others'])} of other neurons' places"
    return f"What most words of the key's list have in common ({shared['kind']}: {shared['feature']}) is found at {fits}. "


# %%
def card(title, rule, number):
    """One neuron's lists, places and effect."""
    reader, (layer, neuron) = readers[title], divmod(int(numbers[title][number]), readers[title].weights.d_mlp)
    words = {f"The {what} points at": reader.vocabulary.text[top[title, side][number, :10]] for side, what in (("K", "key"), ("V", "value"))}
    own, random, others = rises(title, number, top[title, "V"][number])
    verdict = f"Adding the value raises its list by {report.number(own)} nats, random directions by {report.span(random)}, and other values by {report.span(others)}."
    verdict = f"{fit_of_key(title, number)}{verdict}"
    return plots.NeuronCard(f"{title} L{layer}N{neuron}, {rule}", words, firing[title].contexts(layer, neuron), verdict)

# %%
cards = []
for title, found in lists.items():
    grammar = found[found["kind"].isin(["ending", "case", "person", "lemma"])]
    most = {what: grammar.loc[grammar["side"] == side, "number"] for side, what in (("K", "key"), ("V", "value"))}
    chosen = {f"most alike {what}": one.iloc[0] for what, one in most.items() if len(one)}
    chosen |= neurons.choose_neurons({"any": np.zeros(len(numbers[title]))}, seed=0)
    cards += [card(title, rule, number) for rule, number in chosen.items() if rule != "any"]
plots.NeuronCards(cards)

# %% [markdown]
# A neuron may fire at words like those on its key's list, or at others. The cards show both:
#
# - **HerBERT's L0N93 fires *at* words like those that its key lists,** which are mostly locative plurals in *-ach*. All twelve words at its places end in *-ach*, and eleven of them are nouns in the locative plural (*w górach*, in the mountains; *po kilku dniach*, after a few days). Nearly all Polish nouns end so in this case. The twelfth word, at which the neuron fires most, is *piach* (sand), an accusative singular that only happens to end so. So the neuron seems to respond to the ending and not just to the case, as far as a single word can tell.
# - **GPT-2's L2N118 fires at other words than those that its key and value list,** which are adjectives in *-ej*. None of the twelve words at its places ends in *-ej*, and all are feminine nouns in the genitive or the locative (*babki*, of a grandmother or a cake; *aptece*, a pharmacy; *wody*, of water). Feminine adjectives end in *-ej* in these two cases, and such an adjective often follows its noun in Polish (*opinii publicznej*, of public opinion). The neuron's value raises these adjectives. So the lists say what the neuron writes, and only by way of grammar what it fires at.
# - **The places of HerBERT's L5N106 have something in common, although the list of its key does not pass.** At eight of the twelve the word is a noun in the accusative singular, the object of a verb (*zmienił kurs*, he changed course; *zdjął czapkę*, he took off his cap). Most of the ten words of the key that the card shows can be accusative singulars too (*wypłatę*, payment; *fundusz*, fund). But objects are frequent, and the neuron is only one, drawn at random.
# - **By the dictionary alone, a share of places that fit can be too high.** Ten of the twelve words at the places of L5N106 have a form that can be accusative, but only eight of them stand in this case in their sentences. The other two are a genitive (*talerz zupy*, a plate of soup) and a subject (*myszy*, mice), which look like plural accusatives.
#
# The {doc}`atlas` has the lists of all neurons.
#
# ## What could be wrong
#
# **The words of some kinds are frequent.** A neuron that fires at nouns fits every list of nouns. The crosses of {numref}`fig-work-key` already show how often places fit a list that is not the neuron's own. A harder null keeps the lists that pass and the neurons that
# have them, and lets the neurons of each layer exchange their lists, a thousand times.

# %%
rows, drawn, p = [], {}, {}
for title in TITLES.values():
    own = statistics.bootstrap_interval(matching[title, "here"]["own"], n_resamples=1000)
    drawn[title] = neuron_activity.exchanged(shares[title, "here"], keys[title], n_permutations=1000)
    p[title] = statistics.permutation_pvalue(own.estimate, drawn[title])
    exchanged = report.span(np.quantile(drawn[title], [0.025, 0.975]))
    rows.append({"model": title, "own lists": report.interval(*own), "lists exchanged": exchanged, "p": report.p_value(p[title], bare=True)})
report.table(pd.DataFrame(rows), "Share of places that fit, all layers: with a neuron's own list, and with another list of its layer (95% of draws)")

# %% tags=["remove-cell"]
report.glue("work-layers", f"{(firing_table['p, lists exchanged'] < 0.05).sum()} of {len(firing_table)}")
for name, title in TITLES.items():
    own, others = (statistics.bootstrap_interval(matching[title, "here"][column], n_resamples=1000) for column in ("own", "others"))
    page = {"model": name, "section": "neurons_at_work.html#do-keys-fire-where-their-lists-say"}
    nulls = {"lists exchanged": drawn[title], "other neurons": others}
    report.finding(f"work-{name}-keys", f"{title}: keys fire at words like those of their lists", own, nulls, unit="share of places", p=p[title], **page)
    part = steered[steered["model"] == title]
    nulls = {null: np.stack(part[null]).mean(axis=0) for null in ("random directions", "other values")}
    page["section"] = "neurons_at_work.html#do-values-write-what-their-lists-say"
    report.finding(f"work-{name}-values", f"{title}: adding a value raises the words of its list", statistics.bootstrap_interval(part["own value"]), nulls, unit="nats", **page)

# %% [markdown]
# **In the last layer the second question nearly answers itself.** In GPT-2 only a layer norm and the unembedding come after it, and the lists were made with that unembedding, so that values of the last layer can hardly fail.
# HerBERT has a dense layer in between, and values of earlier layers pass through all later blocks; these cases are the real test. That is why {numref}`fig-work-values` has values of every layer. The values of earlier layers all pass it but one, HerBERT's L3N855. In HerBERT's last layer two of the three values raise their lists more than the nulls do. The third raises its list too, but less than at least one other value of the layer does. The cards of neurons drawn at random show that a value raises its list even where the words have little in common. Where a list rises, the test confirms that the value is read correctly, not that words of one kind are special.
#
# **The lists were chosen on weights and measured on text,** so the choice cannot have favoured the result. An untrained model cannot be a null here, because none of its lists passes.
#
# ## Limits
#
# - Except for the cards drawn at random, only neurons whose lists pass are looked at, fewer than a fifth of each model's keys and about a tenth of its values. The others may do something that no list of words shows.
# - The texts are short and few. A neuron's twelve strongest places among them need not show what it is for. A neuron that fires nowhere in them would be counted like any other.
# - The word at a place is read out of context, with all its dictionary readings.
# - Adding a value everywhere, at its full strength, is more than the neuron ever does by itself. HerBERT is trained to predict masked words and reads none here.
# - e5 predicts no tokens, so its values cannot be tried out.
#
# ## Exercises
#
# 1. Subtract the value instead of adding it. Does its list fall as far as it rose? ({ref}`Solution <sol-work-1>`)
# 2. Read the places where GPT-2's L5N528 fires, a neuron whose key lists verbs in *-ła*, the past tense of *she*. What do the sentences there have in common? ({ref}`Solution <sol-work-2>`)
# 3. Take only the single strongest place of each neuron of GPT-2's first layer. Does the key's list fit it better than it fits the twelve? ({ref}`Solution <sol-work-3>`)
#
# ## References
#
# Key-value memories, and where keys fire: {cite:t}`geva2021`. Values as lists of tokens: {cite:t}`dar2022`. Bootstrap: {cite:t}`efron1993`.
