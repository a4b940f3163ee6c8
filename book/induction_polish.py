# %% [markdown]
# # Induction in Polish models
#
# **Question.** The toy of {doc}`induction` completes whatever it has seen once. Language models are said to learn the same from text {cite}`olsson2022`. Do two of this book's Polish models, GPT-2 and minigpt-polish, do it
# when a sequence of words, or a person's name, comes back?
#
# **What was found**
#
# - **The order of repeated words helps GPT-2.** Where random words come again in the same order, the loss of GPT-2 falls by {glue:text}`indpl-gpt2-order` nats a token more than where they come again shuffled.
#   For the toy, on symbols of its own, this is {glue:text}`indpl-toy-order` nats. The smaller minigpt-polish has no measurable gain.
# - **Whether GPT-2 recalls a name that was given before is not certain.** Having read of *Stanisław Turski*, it expects *Turski* after *Stanisław* a little more than the other person's surname: the log odds move by {glue:text}`indpl-gpt2-names` nats.
#   This does not survive the correction over all claims ({doc}`null_board`), and a model that copied what followed the first name would move them much further. The interval of minigpt-polish contains zero.
# - **GPT-2 has the toy's circuit.** {glue:text}`indpl-strongest` gives more than half of its attention to the token after an earlier occurrence in random words. In Polish paragraphs it favours that token too, but by less. It finds that token through its keys, which need a head of the first layer, {glue:text}`indpl-previous`,
#   that looks at the token before: with keys computed without that head, its score falls from {glue:text}`indpl-whole` to {glue:text}`indpl-keys-without`. Without {glue:text}`indpl-strongest` {glue:text}`indpl-lost-strongest` of the gain from order is gone, and without {glue:text}`indpl-previous` {glue:text}`indpl-lost-previous`. No head of minigpt-polish is found to look at the right place.
#
# Square brackets hold 95% intervals over sequences, surnames or paragraphs. L0H3 is head 3 of the first layer; layers and heads count from 0.

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, circuits, models, plots, report, statistics
from analysis_lib.activations.interventions import edited, mean, patch
from analysis_lib.circuits import induction, repeated_names, repeats, scoreboard
from analysis_lib.circuits.standard_probe import standard_probe
from analysis_lib.models import cards
from analysis_lib.projections.preferences import crossed_interval
from analysis_lib.texts import paragraphs

plots.use_style()
BLUE, GREY = plots.CYCLE[0], plots.MODEL_COLOURS["untrained"]
trained = {name: models.load(study) for name, study in (("GPT-2", "polish-gpt2"), ("minigpt-polish", "minigpt-polish"))}
loaded = {(name, state): model if state == "trained" else models.untrained_like(model, seed=0) for name, model in trained.items() for state in ("trained", "untrained")}
LABELS = {(name, state): name if state == "trained" else f"{name}, untrained" for name, state in loaded}
toy = models.load("minigpt")
print(*(model.label for model in (*trained.values(), toy)), sep="\n")

# %% tags=["hide-input"]
draws = {name: [standard_probe(model, seed=seed) for seed in (1, 2)] for name, model in trained.items()}
symbols = [
    circuits.repeated_random_tokens(range(1, repeats.VOCABULARY), 64, 15, (0, 24), start=repeats.BEGIN, length=repeats.LENGTH, distinct=False, seed=seed)
    for seed in (1, 2)
]

# %% tags=["key-figure"] mystnb={"figure": {"caption": "How much lower the loss is where a block comes again, with 95% intervals over sequences: because its words are there again (second occurrence shuffled, less the words of another sequence in that place), and on top because of their order.", "name": "fig-induction-order"}, "image": {"alt": "Rows of two points for GPT-2 and minigpt-polish, each trained and untrained. For the trained GPT-2 both points lie right of zero, that of order much further than that of words; the intervals of the three other models contain zero."}}
gains = {LABELS[name, state]: induction.repetition_gains(model, draws[name][1]) for (name, state), model in loaded.items()}
samples = {(label, kind): found[kind] for label, found in gains.items() for kind in ("words", "order")}
plots.intervals(statistics.interval_table(samples, ["label", "series"]), "fall of the loss [nats a token]", {"words": GREY, "order": BLUE});

# %% [markdown]
# ## Models and probes
#
# *GPT-2* is the book's Polish GPT-2 of six layers, *minigpt-polish* has the toy's two layers of attention and was trained on Polish text ({doc}`models`). The toy is here for comparison, on symbols of its own. Untrained models
# have the same shape and fresh weights.
#
# A probe consists of new sequences of frequent Polish words, drawn at random. In each sequence one block of sixteen words comes twice, with a gap of random length between. No model can have memorised these sequences. Two probes are drawn for each model: the first is for
# choosing heads, the second for measuring.
#
# ## Does order help?
#
# The loss may fall in the second occurrence because the *words* are there again, in whatever order, or only because a model has by then seen what kind of sequence this is. So the loss is also measured with the second occurrence shuffled, and with the words of another sequence in its place. What
# the words bring is the fall from those other words to the shuffled ones; what their order brings, for which a model needs induction, is the fall from the shuffled ones to the ones in the same order. {numref}`fig-induction-order` has both.
#
# Both help GPT-2. Its loss falls where the words come again shuffled, and it falls much further where they come in the same order. The untrained GPT-2 and minigpt-polish gain measurably from neither.
#
# ## Do they recall a name?
#
# Random words are far from what a language model reads. In ordinary text names pose the same question {cite}`olsson2022`. A sentence names two people, and a second one ends with one of their first names. Which surname does the model expect?
# Every sentence is asked twice, once about each person. With $a$ and $b$ for the surnames and $A$ and $B$ for the first names, the *preference* is
#
# $$\tfrac12\left[\log\frac{p(a \mid A)}{p(b \mid A)} - \log\frac{p(a \mid B)}{p(b \mid B)}\right],$$
#
# so that what the model thinks of the surnames themselves cancels. A model that ignores the first name has a preference of exactly 0. The next cell prints one pair of texts. Both say of two people, with their names, "Yesterday these two went to town. In the evening there came back only", and end with the first name of one of them.

# %%
people = {name: repeated_names.named_people(model.vocabulary, 240, seed=0) for name, model in trained.items()}
preferences = {LABELS[name, state]: repeated_names.name_preferences(model, people[name]) for (name, state), model in loaded.items()}


def over_surnames(values, name):
    """Mean preference, with an interval that resamples the surnames of the first and of the second person: a model knows few of them."""
    return crossed_interval(values, *people[name].surnames.T)


print(*people["GPT-2"].texts[0], sep="\n")

# %% mystnb={"figure": {"caption": "Preference for the surname that was given with the first name, over the other person's, with 95% intervals over surnames (240 sentences). A model that copies what followed the first name would be far to the right.", "name": "fig-induction-names"}, "image": {"alt": "Four rows of one point. The interval of the trained GPT-2 lies to the right of zero; those of the untrained GPT-2 and of minigpt-polish, trained and untrained, contain zero."}}
named = [(LABELS[name, state], "surname", *over_surnames(preferences[LABELS[name, state]], name)) for name, state in loaded]
plots.intervals(pd.DataFrame(named, columns=["label", "series", "estimate", "low", "high"]), "preference for the right surname [nats]", {"surname": BLUE});

# %% [markdown]
# The trained GPT-2 prefers the surname that was given with the first name, so a name that stands one sentence earlier seems to reach its predictions. The effect is small: the odds of the right surname rise by less than half. It is also uncertain, because GPT-2 has few of the surnames as single tokens, and they differ. The preferences of
# minigpt-polish and of the untrained models lie around zero. Names are a harder case than the repeated block: only a single token, the first name, says where to look, and in ordinary text a first name need not be followed by a surname.
#
# ## Which heads look at the right place at all?
#
# Every head spreads some attention over everything, so a little attention at the right place says nothing. The *excess* is what a head gives to the
# token after an earlier occurrence beyond what it gives to a key within four places of that token (`circuits.scoreboard.induction_excess`). It is taken on random words and on natural text,
# the paragraphs that were written for this book, at words of three letters or more that have been there before.

# %%
texts = paragraphs()["text"].tolist()


def excess_on_text(loaded):
    """Induction excess [paragraph, layer, head] at repeated words."""
    run = activations.run(loaded, texts, outputs=["patterns"])
    ids = [part["token_id"].to_numpy() for _, part in run.tokens.groupby("text")]
    is_word = loaded.vocabulary.keep(words=True, whole_words=True, min_length=3)
    found = scoreboard.induction_excess(run.patterns, ids, per_sequence=True, rows=[is_word[x] for x in ids])
    return found[~np.isnan(found).any(axis=(1, 2))]


def excess_on_probe(loaded, probe):
    """Induction excess [sequence, layer, head] where the block comes again."""
    return scoreboard.induction_excess(induction.probe_patterns(loaded, probe), probe.ids, per_sequence=True, rows=probe.predictable)


# %%
halves = {}
for (name, state), model in loaded.items():
    on_text = excess_on_text(model)
    halves[name, state, "random words"] = [excess_on_probe(model, draw) for draw in draws[name]]
    halves[name, state, "paragraphs"] = [on_text[::2], on_text[1::2]]
excess = induction.excess_table(halves, ["model", "weights", "text"])

# %%
excess.insert(3, "chosen head", [report.head_name(*place) for place in zip(excess.pop("layer"), excess.pop("head"), strict=True)])
report.table(
    excess.rename(columns={"significant": "heads, p < 0.05", "heads": "of"}),
    "Attention to the token after an earlier occurrence less that to keys around it. The head with the largest excess in one half of the sequences or paragraphs, its"
    " excess in the other half with a 95% interval, and the number of heads with an excess in both halves together (one-sided Wilcoxon signed-rank tests, Holm's"
    " correction over all heads of all rows)",
    digits=4,
)

# %% [markdown]
# Some heads of GPT-2 look at the right place more than at the keys around it, and the head that is chosen on random words does so strongly, if less than the best head of the toy, which has an excess of {glue:text}`indpl-toy-excess` on its own probe.
# The head that is chosen on paragraphs is the same one, with a smaller excess. A neighbour of a target may also differ from it in kind (what follows a preposition is often a noun), so on text an excess need not be induction. The best heads of minigpt-polish have no clear excess in the half that they were not
# chosen on. The correction for many tests is Holm's {cite}`holm1979`.
#
# ## Which heads bring the gain?
#
# An excess says where a head looks, not that anything follows from it. So each head of GPT-2 is replaced by its mean, as {doc}`induction` does with the toy. {numref}`fig-induction-needed` plots the loss that this adds
# where a block comes again against the excess of the head, on eight new sequences of random words.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Heads of GPT-2: how much more attention a head gives to the token after an earlier occurrence than to the keys around it, and what is added to the loss where the block comes again when the head is replaced by its mean. The heads that matter most are named.", "name": "fig-induction-needed"}, "image": {"alt": "Points in the colour of their layer. Three heads of later layers lie far right and above zero. Of the others, which lie near zero on the horizontal axis, one of the first layer adds most of all, and a few more add something; the crosses of the untrained model lie at zero."}}
few, rows = standard_probe(trained["GPT-2"], n_sequences=8, seed=3), []
for state in ("trained", "untrained"):
    model = loaded["GPT-2", state]
    looks, added = excess_on_probe(model, few).mean(axis=0), induction.loss_without_each(model, few).mean(axis=-1)
    rows += [{"layer": i, "head": j, "trained": state == "trained", "excess": looks[i, j], "added": added[i, j]} for i, j in np.ndindex(looks.shape)]
needed = pd.DataFrame(rows)
plots.labelled_points(needed, "excess", "added", "excess of attention on random words", "added loss [nats a token]", named=5);

# %% [markdown]
# The two heads that look most at the right place are needed: without either of them the loss rises (see the table below). Some heads that look elsewhere are needed too. To see why, each head is removed a second time while the patterns of all later layers are kept as they are in the whole model. A removed head
# can then do harm through what it writes, but no longer by changing where later heads look. The table has the six heads of the largest effect, measured on sixteen other sequences.

# %%
six = needed[needed["trained"]].nlargest(6, "added")[["layer", "head"]].to_numpy().tolist()
others = standard_probe(trained["GPT-2"], n_sequences=16, seed=4)
ways = {"patterns recomputed": False, "patterns frozen": True}
without = {
    way: {report.head_name(*place): statistics.bootstrap_interval(induction.loss_without(trained["GPT-2"], others, [tuple(place)], frozen)) for place in six}
    for way, frozen in ways.items()
}
gain = induction.repetition_gains(trained["GPT-2"], others)["order"]


def share_lost(place):
    """How much of the gain from order is gone without a head: a ratio of means over sequences."""
    lost = [induction.loss_without(trained["GPT-2"], probe, [tuple(place)]) for probe in (others, others.shuffled())]
    return statistics.ratio_interval(lost[0] - lost[1], gain)


kinds = induction.probe_scores(induction.probe_patterns(trained["GPT-2"], others), others)
shares = {kind: [kinds[kind].mean(axis=0)[tuple(place)] for place in six] for kind in ("previous token", "induction")}
report.table(
    pd.DataFrame(without).assign(**{"share of the gain from order lost": [share_lost(place) for place in six]}, **shares).rename_axis("without").reset_index(),
    "GPT-2: added loss [nats a token] where the block comes again, share of the gain from order that is lost (patterns recomputed), both with 95% intervals over sequences; and attention to the token before and after an earlier occurrence",
)

# %% [markdown]
# These heads do what those of the toy's circuit do, in a language model. {glue:text}`indpl-previous` gives nearly all of its attention to the token before. Without it {glue:text}`indpl-lost-previous` of the gain from order is gone, and removing it costs little once the patterns are frozen: it matters through where later heads look. The same holds, with smaller effects, of the two heads of layer 2 in the table, which also look at the token before.
# {glue:text}`indpl-strongest` looks at the token after the earlier occurrence, and what it writes is needed, since most of its effect remains with frozen patterns. A mean in the place of a head takes away whatever else the head does, so not all of an effect need be induction; and other heads may stand in for a removed one, so that its effect looks smaller than it is. The one head in the table that looks at neither place is needed as well: most of the gain from order is gone without it, and yet with frozen patterns the loss falls.
#
# ### How the heads are connected
#
# In the toy the head of the first layer acts through the *keys* of the later one: a key then says what stood before its token, and a query that says what its own token is finds it ({doc}`induction`). Is GPT-2's circuit connected in this way? Path patching {cite}`wang2023` answers this. The keys of {glue:text}`indpl-strongest` are taken from a pass in which one head of the first layer is
# replaced by its mean, and everything else from a pass with all heads in place. The same is done with the queries, and with each head of the first layer in turn. The table shows how much attention {glue:text}`indpl-strongest` then gives to the token after the earlier occurrence.

# %%
def induction_score(late, changes):
    """Induction score of one head [sequence] in a pass with changes."""
    model, ids = trained["GPT-2"].model, torch.as_tensor(others.ids)
    with torch.inference_mode(), edited(model, changes), activations.recording(model, ["patterns"], states=False) as record:
        model(input_ids=ids)
    patterns = torch.stack([record["patterns", layer] for layer in range(model.config.num_hidden_layers)], dim=1).numpy()
    return induction.probe_scores(list(patterns), others)["induction"][(slice(None), *late)]


def one_side_without(early, late, side):
    """The change that gives one head its queries, or keys, as they would be without an earlier head."""
    model, ids = trained["GPT-2"].model, torch.as_tensor(others.ids)
    changes = {("heads", early[0]): mean(heads=[early[1]])}
    with torch.inference_mode(), edited(model, changes), activations.recording(model, [side], states=False) as record:
        model(input_ids=ids)
    return {(side, late[0]): patch(record[side, late[0]], heads=[late[1]])}


# %%
late = tuple(six[int(np.argmax(shares["induction"]))])
whole = statistics.bootstrap_interval(induction_score(late, {}))
first = [(0, head) for head in range(trained["GPT-2"].model.config.num_attention_heads)]
traced = {
    f"{side} without it": [statistics.bootstrap_interval(induction_score(late, one_side_without(early, late, side))) for early in first]
    for side in ("keys", "queries")
}
report.table(
    pd.DataFrame({"head": [report.head_name(*early) for early in first], **traced}),
    f"Induction score of {report.head_name(*late)}, which is {report.interval(*whole)} in the whole model, with its keys or its queries computed without one head of the first layer; 95% intervals over sequences",
)

# %% [markdown]
# The circuit is the toy's: the keys of {glue:text}`indpl-strongest` need {glue:text}`indpl-previous`, the head that looks at the token before. With keys that are computed without it, the score falls from {glue:text}`indpl-whole` to {glue:text}`indpl-keys-without`. Its queries hardly need that head.
# The table also shows something else. The queries, and to a smaller degree the keys, need {glue:text}`indpl-asks`: with queries that are computed without it, the score falls to {glue:text}`indpl-queries-without`. How this head helps a query to say what its token is has not been traced, nor have paths through heads of the layers between. These paths count here as part of the keys and queries.
#
# ## When did the heads form?
#
# Snapshots of the training show the order of events. The figure begins at ten million tokens; the only earlier snapshots are from the very beginning, and no head stands out in them.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Along the training of polish-gpt2-mini: held-out loss on novels and textbooks, and the highest share of attention that any head gives, on random words that come twice, to the token before, to an earlier copy of the token, and to the token after that copy (induction). The learning rate falls from 28 million tokens on.", "name": "fig-induction-development"}, "image": {"alt": "Four panels against the number of tokens seen, from 10 to 40 million. The loss falls throughout. The previous-token score rises from below 0.3 to nearly 1 by 24 million tokens; induction rises later and more slowly, from about 0.1 to above a half."}}
MEASURES = {"heldout_loss": "loss [nats a token]", "previous token": "previous token", "duplicate token": "earlier copy", "induction": "induction"}
development = cards.development("polish-gpt2")
plots.development({"GPT-2": development[development.index > 1e6]}, MEASURES, {"GPT-2": BLUE});

# %% [markdown]
# The previous-token head comes first: it is nearly complete when induction is still well below its last value. The toy forms its circuit in the same order ({doc}`induction_forming`). One run shows one order of events.
#
# ## What could be wrong
#
# An effect may come from the test and not from what the model learned. Untrained models of the same shape (four of each) gain next to nothing from order and have next to no preference on average ({doc}`null_board`), and in the one of each whose heads were searched no head passes the test for an excess.
# Finding nothing, as in minigpt-polish, means little if the test could not have found anything. The toy's excess and its gain from order show that two of the tests find induction where it is, and so do those of GPT-2. A unit test shows how large a preference for names can be. It puts in the model's place a rule that copies what followed
# the last occurrence: this rule gets the full preference in every sentence, and a model that only knows how frequent surnames are gets exactly zero. The surnames are single tokens of the model's vocabulary, which leaves few of them for GPT-2; most come from the novels that the models were trained on,
# where some belong to other first names. The interval resamples surnames and allows for what other surnames would do, but not for other scenes.
#
# ## Limits
#
# The two Polish models differ in depth, feed-forward layers, text and length of training, so this page cannot say which of these made the difference. In other language models induction heads appeared after billions of tokens {cite}`olsson2022`;
# the GPT-2 of this book has read some tens of millions, in part statutes and manuals, which repeat their phrases. Whether that helped was not tested. With `ANALYSIS_MODELS=hub` the page measures the published GPT-2 instead. All sentences with names follow one of three scenes, which are short and alike.
#
# ## Exercises
#
# 1. Does GPT-2 recall names better in one of the three scenes? `repeated_names.SCENES` has them, and the sentences take the scenes in turn. ({ref}`Solution <sol-indpl-1>`)
# 2. Put your own model in with `al.wrap`, and compute its `name_preferences`. How large is the preference of a model that you know to have induction heads?

# %% tags=["remove-cell"]
report.glue_frame(pd.Series({
    "gpt2-order": statistics.bootstrap_interval(gains["GPT-2"]["order"]),
    "toy-order": statistics.bootstrap_interval(induction.repetition_gains(toy, symbols[1])["order"]),
    "gpt2-names": over_surnames(preferences["GPT-2"], "GPT-2"),
    "previous": report.head_name(*six[int(np.argmax(shares["previous token"]))]),
    "strongest": report.head_name(*late),
    "whole": whole,
    "keys-without": min(traced["keys without it"]),
    "queries-without": min(traced["queries without it"]),
    "asks": report.head_name(*first[traced["queries without it"].index(min(traced["queries without it"]))]),
    **{f"lost-{key}": report.interval(*share_lost(six[int(np.argmax(shares[kind]))]), scale=100, unit="%", digits=0) for key, kind in (("previous", "previous token"), ("strongest", "induction"))},
    "toy-excess": statistics.choose_and_measure(*(excess_on_probe(toy, draw) for draw in symbols)).interval,
}, dtype=object), "indpl")
for name, study in (("GPT-2", "polish-gpt2"), ("minigpt-polish", "minigpt-polish")):
    page = {"model": study, "unit": "nats", "section": "induction_polish.html#fig-induction-order"}
    fresh = [models.untrained_like(trained[name], seed=seed) for seed in range(4)]  # how untrained models differ among themselves
    value, null = statistics.bootstrap_interval(gains[name]["order"]), np.array([induction.repetition_gains(model, draws[name][1])["order"].mean() for model in fresh])
    report.finding(f"indpl-{study}-order", f"{name} gains from the order of repeated words", value, {"untrained": null}, **page)
    value, null = over_surnames(preferences[name], name), np.array([repeated_names.name_preferences(model, people[name]).mean() for model in fresh])
    report.finding(f"indpl-{study}-names", f"{name} recalls a name that was given before", value, {"untrained": null}, **page | {"section": "induction_polish.html#fig-induction-names"})
score = induction_score(late, {})
lost = {early: score - induction_score(late, one_side_without(early, late, "keys")) for early in first}
fed = statistics.bootstrap_interval(lost.pop(max(lost, key=lambda early: kinds["previous token"].mean(axis=0)[early])))
claim = "GPT-2's induction head finds its place by what a previous-token head gives its keys"
report.finding("indpl-polish-gpt2-keys", claim, fed, {"other heads": np.array([x.mean() for x in lost.values()])}, model="polish-gpt2", unit="score lost", section="induction_polish.html#how-the-heads-are-connected")
