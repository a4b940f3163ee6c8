# %% [markdown]
# # Induction heads
#
# **Question.** A model that has seen *Jan Nowak* once can guess *Nowak* when *Jan* comes again, whatever the two words mean. Two attention heads in
# two layers suffice for that {cite}`elhage2021`, and such pairs have been held responsible for much of what language models learn from context
# {cite}`olsson2022`. Does a two-layer model trained for this book, the *toy*, have the circuit, by measures that would fail if it had not? And do the
# Polish models have it?

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
from myst_nb import glue
from scipy.stats import wilcoxon

from analysis_lib import activations, circuits, models, plots, statistics, weights
from analysis_lib.circuits import repeats, scoreboard
from analysis_lib.models import training_history
from analysis_lib.texts import paragraphs
from analysis_lib.vocabulary import Vocabulary

plots.use_style()
BLUE, ORANGE, GREY = plots.CYCLE[0], plots.CYCLE[1], plots.MODEL_COLOURS["untrained"]

# %% [markdown]
# **What was found**, computed by the cells below, with 95 % intervals over sequences:
#
# - The toy has the circuit. {glue:text}`ind-previous-head` attends to the previous token with a score of {glue:text}`ind-previous-score` (best untrained head {glue:text}`ind-previous-untrained:.2f`), {glue:text}`ind-induction-head` to what came after an
#   earlier occurrence with {glue:text}`ind-induction-score` (untrained {glue:text}`ind-induction-untrained:.2f`). A head of fixed distance, which scores 1 if the distance between occurrences is fixed, scores {glue:text}`ind-control-offset-random` on this probe.
# - Its loss falls by {glue:text}`ind-toy-gain` nats where random symbols come again (untrained {glue:text}`ind-untrained-gain`).
# - It works by heads of layer 0 that look one or two places back ({glue:text}`ind-shifting-heads`). Without them the loss rises by {glue:text}`ind-set-shift` nats; without *all other* heads of layer 0 by {glue:text}`ind-set-other0`. With patterns frozen their
#   removal costs {glue:text}`ind-set-shift-frozen`: they act through the patterns of layer 1.
# - From weights alone: of the {glue:text}`ind-k-in-circuit:d` pairs of such a head with an induction head, {glue:text}`ind-k-in-top:d` are among the {glue:text}`ind-k-in-circuit:d` of all {glue:text}`ind-k-pairs:d` pairs that compose most through keys, by z-score against random orientation.
# - All virtual heads together hold {glue:text}`ind-paths-toy-virtual` of the variance of the logits.
# - All {glue:text}`ind-seeds-n:d` seeds have it: induction scores from {glue:text}`ind-seeds-induction-min:.2f` to {glue:text}`ind-seeds-induction-max:.2f`.
# - The embedded Polish models: {glue:text}`ind-gpt2-count:d` of GPT-2's heads and {glue:text}`ind-mini-count:d` of minigpt-polish's are induction heads by the same rule; the order of repeated words is worth
#   {glue:text}`ind-gpt2-order` and {glue:text}`ind-mini-order` nats to them, {glue:text}`ind-toy-order` to the toy.
#
# Heads are called as in the literature: L0H3 is head 3 of the first layer, counted from 0.
#
# ## What an induction head is
#
# {numref}`fig-induction-idea` shows the mechanism. A head of layer 0 attends from every token to the one before and writes down which it was: a
# *previous-token head*. A head of layer 1 asks with its query "where does it say *comes after my token*?", finds the place after the earlier
# occurrence, and raises the token that stands there: an *induction head*. The second head reads through its *keys* what the first has written
# (K-composition). Nothing in it is about particular words, so it works on random tokens, which nobody can have memorised: that makes the probe.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "An induction circuit. Arrows go from the query to the key that it attends to.", "name": "fig-induction-idea"}, "image": {"alt": "A row of the words wczoraj, Jan, Nowak, spał, a, dziś, Jan. An arc of layer 0 leads from Nowak back to the first Jan, an arc of layer 1 from the second Jan to Nowak, and an arrow from the second Jan down to the guess Nowak."}}
plots.draw_induction(["wczoraj", "Jan", "Nowak", "spał,", "a dziś", "Jan"], earlier=1, now=5);

# %% [markdown]
# ## Model, probe, units
#
# The toy has two layers of eight heads, no feed-forward layers, no layer norm, and positions that only queries and keys see. It was trained on sequences of
# 63 symbols out of 31, all of them from a Markov chain; over every second one a block of random symbols was written again and again, at random distances.

# %%
toy = models.load("minigpt")
fresh = models.untrained_like(toy, seed=0)
print(toy.label)

# %% [markdown]
# The probe draws new sequences: random symbols, and among them one block of {glue:text}`ind-block:d` that comes twice, after a gap of random length. The sequence is the
# unit: every interval is a 95 % bootstrap over {glue:text}`ind-sequences:d` sequences {cite}`efron1993`. Heads are *chosen* on one draw of the probe and *measured* on
# another, so that picking the best of sixteen cannot flatter it.

# %%
BLOCK, LENGTH = 15, repeats.LENGTH
SYMBOLS = range(1, repeats.VOCABULARY)


def draw(seed, n_sequences=64, gap=(0, 24)):
    """A probe of the toy's symbols."""
    return circuits.repeated_random_tokens(
        SYMBOLS, n_sequences, BLOCK, gap, start=repeats.BEGIN, length=LENGTH, distinct=False, seed=seed
    )


choosing, probe = draw(seed=1), draw(seed=2)

# %% tags=["remove-cell"]
glue("ind-block", BLOCK, display=False)
glue("ind-sequences", len(probe.ids), display=False)


# %%
def look(loaded, probe):
    """Patterns of a probe, and scores [sequence, layer, head] by name."""
    patterns = activations.run_ids(loaded, probe.ids, outputs=["patterns"]).patterns
    scores = circuits.head_scores(patterns, probe.ids, per_sequence=True)
    scores |= circuits.head_scores(patterns, probe.ids, True, probe.predictable, names=("duplicate token", "induction"))
    return patterns, scores | {"two back": scoreboard.offset_scores(patterns, 2, per_sequence=True)}


def losses_of(loaded, probe):
    """Losses in the block's first and second occurrence, each [sequence, place]."""
    losses = circuits.token_losses(loaded, probe.ids)
    return [losses[places[:, :-1]].reshape(len(losses), -1) for places in (probe.unpredictable, probe.predictable)]


# %%
def choose(loaded):
    """The previous-token head, the strongest induction head, all shift heads and all induction heads, on the choosing draw."""
    found = {name: score.mean(axis=0) for name, score in look(loaded, choosing)[1].items()}
    best = (0, int(found["previous token"][0].argmax())), (1, int(found["induction"][1].argmax()))
    back = np.maximum(found["previous token"][0], found["two back"][0])
    shifting, inductive = np.flatnonzero(back >= 0.5), np.flatnonzero(found["induction"][1] >= 0.5)
    return *best, [(0, int(h)) for h in shifting] or [best[0]], [(1, int(h)) for h in inductive] or [best[1]]


previous, strongest, shifting, inductive = choose(toy)

# %% tags=["hide-input"]
(patterns, scores), losses = look(toy, probe), losses_of(toy, probe)
(_, fresh_scores), fresh_losses = look(fresh, probe), losses_of(fresh, probe)


def name_of(head):
    """L0H3 for (0, 3)."""
    return f"L{head[0]}H{head[1]}"


def glue_interval(key, interval, form=".2f"):
    """An interval as text: estimate (low to high)."""
    glue(f"ind-{key}", f"{interval.estimate:{form}} ({interval.low:{form}} to {interval.high:{form}})", display=False)


# %% [markdown]
# ## The scoreboard
#
# A score is the attention that a kind of key gets, averaged over the rows that have such a key at all (`circuits.head_scores`), so a perfect head scores exactly 1:
# *previous token*; *two back*, the token before that; *duplicate token*, earlier occurrences of the query's token; *induction*, what came after them; *first position*, where heads often rest. Duplicate and induction scores are taken where the block comes again.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Scores of all heads on the probe, in per cent of attention; the toy beside an untrained model of the same shape.", "name": "fig-induction-scores"}, "image": {"alt": "Five pairs of heat maps, layer by head, with the percentages written in."}}
def means(found):
    """Scores [layer, head] over sequences."""
    order = ("previous token", "two back", "duplicate token", "induction", "first position")
    return {name: found[name].mean(axis=0) for name in order}


plots.score_maps({"toy": means(scores), "untrained": means(fresh_scores)});

# %% tags=["remove-cell"]
for key, name, head in (("previous", "previous token", previous), ("induction", "induction", strongest)):
    glue(f"ind-{key}-head", name_of(head), display=False)
    glue_interval(f"{key}-score", statistics.bootstrap_interval(scores[name][:, *head]))
    glue(f"ind-{key}-untrained", float(means(fresh_scores)[name].max()), display=False)
glue("ind-induction-heads", ", ".join(map(name_of, inductive)), display=False)
shift_scores = {head: {back: means(scores)[name][head] for back, name in ((1, "previous token"), (2, "two back"))} for head in shifting}
told = [f"{name_of(head)} ({back} back, {score:.2f})" for head, by in shift_scores.items() for back, score in [max(by.items(), key=lambda x: x[1])]]
glue("ind-shifting-heads", ", ".join(told), display=False)

# %% [markdown]
# The previous-token head is {glue:text}`ind-previous-head` with a score of {glue:text}`ind-previous-score`; the strongest induction head
# {glue:text}`ind-induction-head` with {glue:text}`ind-induction-score`. The best head of the untrained model scores
# {glue:text}`ind-previous-untrained:.2f` and {glue:text}`ind-induction-untrained:.2f`. By one rule (a score of at least 0.5 in the choosing draw, or the strongest if none has it) the *induction heads* of layer 1 are
# {glue:text}`ind-induction-heads`, and the *shift heads* of layer 0, which look a fixed one or two places back, {glue:text}`ind-shifting-heads`.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Patterns of the two heads on a short sequence of the same kind; outlined, the keys that a perfect head would attend to.", "name": "fig-induction-patterns"}, "image": {"alt": "Two lower triangles. The previous-token head is a line just below the diagonal, the induction head a shorter line far below it, both inside the outlines, besides attention in the first column."}}
short = circuits.repeated_random_tokens(SYMBOLS, 1, 10, (6, 6), start=repeats.BEGIN, length=34, seed=4)
seen = look(toy, short)[0][0]
targets = circuits.induction_targets(short.ids[0]) & short.predictable[0][:, None]
plots.patterns_with_targets({
    f"{name_of(previous)}: previous token": (seen[previous], np.eye(len(targets), k=-1, dtype=bool)),
    f"{name_of(strongest)}: induction": (seen[strongest], targets),
});

# %% [markdown]
# ## A control: heads of fixed distance
#
# If every block came back after the same number of tokens, a head that always looks that far back would pass for an induction head. So the probe has gaps of random length. The
# control shows that it matters: a hand-made head that attends 24 places back, and the toy's strongest, on two draws, one with a gap of 10 everywhere ({glue:text}`ind-block:d` + 10 − 1 = 24) and
# one with random gaps.

# %%
fixed = draw(seed=3, gap=10)
OFFSET = BLOCK + 10 - 1
lines = np.eye(LENGTH, k=-OFFSET)[None, None]  # one layer, one head
lines[0, 0, :OFFSET, 0] = 1


def scored(loaded, draw):
    """Induction scores of each sequence: the toy's strongest head, and the head of fixed distance."""
    own = look(loaded, draw)[1]["induction"][:, *strongest]
    return own, circuits.induction_scores([lines] * len(draw.ids), draw.ids, True, draw.predictable)[:, 0, 0]


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Induction scores under a fixed period and under random gaps. The head of fixed distance passes the first probe and not the second.", "name": "fig-induction-control"}, "image": {"alt": "Two rows of points from 0 to 1: the toy's head scores about the same in both probes; the head of fixed distance scores 1 under the fixed period and little under random gaps."}}
rows = []
for series, draw_ in (("fixed period", fixed), ("random gaps", probe)):
    for label, values in zip((f"toy, {name_of(strongest)}", f"always {OFFSET} back"), scored(toy, draw_), strict=True):
        rows.append((label, series, *statistics.bootstrap_interval(values)))
control = pd.DataFrame(rows, columns=["label", "series", "estimate", "low", "high"])
plots.intervals(control, "induction score, 0 to 1", {"fixed period": GREY, "random gaps": BLUE});

# %% tags=["remove-cell"]
for row in control.itertuples():
    key = ("offset" if "back" in row.label else "own") + "-" + row.series.split()[0]
    glue_interval(f"control-{key}", statistics.Interval(row.estimate, row.low, row.high))

# %% [markdown]
# The head of fixed distance scores {glue:text}`ind-control-offset-fixed` under the fixed period and {glue:text}`ind-control-offset-random` under random gaps; the toy's head
# {glue:text}`ind-control-own-fixed` and {glue:text}`ind-control-own-random`.
#
# ## Does it help?
#
# What counts is the loss. In the first occurrence of the block nothing can be foretold: symbols are uniform, and no model does better on average than
# $\ln 31$. In the second, everything can but its first symbol.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss along the block in its first and second occurrence; the symbol at place 0 is foretold by none and left out. Bands are 95 % intervals over sequences.", "name": "fig-induction-loss"}, "image": {"alt": "Loss against the place in the block: the first occurrence stays high, the second falls in the toy; both lines of the untrained model stay high."}}
SERIES = {"toy, first": ORANGE, "toy, second": BLUE, "untrained, first": "#b07aa8", "untrained, second": GREY}
curves = pd.DataFrame(
    [
        (series, place + 1, *statistics.bootstrap_interval(values[:, place]))
        for series, values in zip(SERIES, (*losses, *fresh_losses), strict=True)
        for place in range(BLOCK - 1)
    ],
    columns=["series", "place", "estimate", "low", "high"],
)
plots.losses_by_place(curves, SERIES, (float(np.log(len(SYMBOLS))), "ln 31"), "place in the block");

# %% tags=["remove-cell"]
before, again = losses
glue_interval("toy-first", statistics.bootstrap_interval(before.mean(axis=1)))
glue_interval("toy-second", statistics.bootstrap_interval(again.mean(axis=1)))
glue_interval("toy-late", statistics.bootstrap_interval(again[:, 2:].mean(axis=1)))
for place in (0, 1):
    glue_interval(f"toy-place{place + 1}", statistics.bootstrap_interval(again[:, place]))
for model, (before, again) in (("toy", losses), ("untrained", fresh_losses)):
    glue_interval(f"{model}-gain", statistics.difference_interval(before.mean(axis=1), again.mean(axis=1), paired=True))

# %% [markdown]
# The toy's loss is {glue:text}`ind-toy-first` nats in the first occurrence and {glue:text}`ind-toy-second` in the second ({glue:text}`ind-toy-late` from the fourth symbol on): a gain of
# {glue:text}`ind-toy-gain`. The untrained model gains {glue:text}`ind-untrained-gain`. The toy's loss in the first occurrence exceeds $\ln 31$ because it has also learned the Markov
# chain, which does not hold there.
#
# ## Composition
#
# If the story is right, the previous-token head writes what the induction head reads with its keys. From weights alone: with $W_{OV} = W_V W_O$ of the earlier head and
# $W_{QK} = W_Q W_K^\top$ of the later one,
#
# $$\mathrm{K\ composition} = \frac{\|W_{OV} W_{QK}^\top\|_F}{\|W_{OV}\|_F \|W_{QK}\|_F},$$
#
# and with $W_{QK}$ for queries (Q) or the later head's $W_{OV}$ for values (V). `circuits.composition_scores` never forms a $d_{model} \times d_{model}$ matrix. For chance we keep both heads
# as they are and turn one against the other at random: the squared score is then $1/d_{model}$ on average, and the spread follows from the heads' singular values, which gives
# every pair a z-score (`circuits.composition_z`).

# %%
trained, untrained = weights.extract(toy), weights.extract(fresh)
composed = {kind: circuits.composition_z(trained, kind) for kind in "KQV"}
composed_fresh = {kind: circuits.composition_z(untrained, kind) for kind in "KQV"}
pairs = [(early, late) for _, early in shifting for _, late in inductive]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Composition of every head of layer 0 with every head of layer 1 in the toy; white is what chance gives. Outlined: shift heads with induction heads.", "name": "fig-induction-composition"}, "image": {"alt": "Three eight by eight heat maps for keys, queries and values. Under keys the outlined cells are among the darkest."}}
plots.composition_maps(
    {kind: found.scores[0, :, 1] for kind, found in composed.items()},
    float(composed["K"].expected[0, :, 1].mean()),
    dict.fromkeys("KQV", pairs),
);

# %% tags=["hide-input"]
def summary(found, found_fresh):
    """The circuit's pairs against all other pairs of the model and against the untrained model."""
    scores_, z = found.scores[0, :, 1], found.z[0, :, 1]
    own = np.zeros(scores_.shape, dtype=bool)
    own[tuple(zip(*pairs, strict=True))] = True
    return {
        "circuit's pairs": scores_[own].mean(),
        "other pairs": scores_[~own].mean(),
        "chance": found.expected[0, :, 1].mean(),
        "untrained": found_fresh.scores[0, :, 1].mean(),
        "circuit's z": z[own].mean(),
        "largest other z": z[~own].max(),
        "largest untrained z": found_fresh.z[0, :, 1].max(),
    }


table = pd.DataFrame({kind: summary(composed[kind], composed_fresh[kind]) for kind in "KQV"}).T
caption = "Composition: shift heads with induction heads (mean), all other pairs, random orientation, untrained"
table.style.format({c: "{:+.1f}" if c.endswith("z") else "{:.3f}" for c in table}).set_caption(caption)

# %% tags=["remove-cell"]
z_of_k = composed["K"].z[0, :, 1]
best = max(pairs, key=lambda pair: z_of_k[pair])
in_circuit = np.zeros(z_of_k.shape, dtype=bool)
in_circuit[tuple(zip(*pairs, strict=True))] = True
top = np.argsort(-z_of_k, axis=None)[: len(pairs)]
glue("ind-k-in-top", int(in_circuit.ravel()[top].sum()), display=False)
glue("ind-k-in-circuit", len(pairs), display=False)
k_scores = composed["K"].scores[0, :, 1]
outside = np.unravel_index(np.where(in_circuit, 0, k_scores).argmax(), k_scores.shape)
glue("ind-k-outside", f"L0H{outside[0]} with L1H{outside[1]}", display=False)
glue("ind-k-outside-score", float(k_scores[outside]), display=False)
glue("ind-k-outside-z", float(z_of_k[outside]), display=False)
glue("ind-k-pairs", z_of_k.size, display=False)
glue("ind-k-best", f"{name_of((0, best[0]))} with {name_of((1, best[1]))}", display=False)
glue("ind-k-score", float(composed["K"].scores[0, best[0], 1, best[1]]), display=False)
glue("ind-k-z", float(z_of_k[best]), display=False)
glue("ind-k-others", float(table.loc["K", "other pairs"]), display=False)
glue("ind-k-chance", float(table.loc["K", "chance"]), display=False)
glue("ind-k-other-z", float(table.loc["K", "largest other z"]), display=False)
glue("ind-k-untrained-z", float(table.loc["K", "largest untrained z"]), display=False)

# %% [markdown]
# The strongest of the circuit's pairs, {glue:text}`ind-k-best`, has a K-composition of {glue:text}`ind-k-score:.3f` (z {glue:text}`ind-k-z:.1f`). Of the {glue:text}`ind-k-in-circuit:d` pairs of the circuit,
# {glue:text}`ind-k-in-top:d` are among the {glue:text}`ind-k-in-circuit:d` largest z-scores of all {glue:text}`ind-k-pairs:d` pairs; the pairs outside average {glue:text}`ind-k-others:.3f`, chance gives {glue:text}`ind-k-chance:.3f`. The largest score outside is that of {glue:text}`ind-k-outside`,
# {glue:text}`ind-k-outside-score:.3f` (z {glue:text}`ind-k-outside-z:.1f`): heads with few large singular values stray far by chance, and a z-score knows it. It says how unlike a random orientation a pair is, not how much it matters:
# trained heads share what they read, and pairs outside the circuit reach {glue:text}`ind-k-other-z:.1f` (untrained {glue:text}`ind-k-untrained-z:.1f`). Hence the next section.
#
# ## Removing heads
#
# Weights suggest; an ablation asks. Each head in turn is replaced by its mean over positions and sequences, which takes away all that varies, and the loss in the second occurrence compared with the whole model's. The layer above may
# react in two ways: its patterns are computed anew, or they are frozen to those of the whole model, so that only values feel the loss. A head that works *through another head's pattern*, as
# the previous-token head should, does damage in the first way and none in the second.

# %%
places = probe.predictable[:, :-1]
effects = {
    label: circuits.ablation_effects(toy, probe.ids, kind="mean", frozen=frozen)[..., places]
    for label, frozen in (("patterns recomputed", False), ("patterns frozen", True))
}
effects = {label: e.reshape(*e.shape[:2], len(probe.ids), -1).mean(axis=-1) for label, e in effects.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "What ablating each head adds to the loss where the block comes again, with 95 % intervals over sequences. Above 0 the head helps.", "name": "fig-induction-ablation"}, "image": {"alt": "Sixteen rows of points, one row a head, in two colours. The previous-token head adds much when patterns are recomputed and nothing when they are frozen; most other heads lie around zero."}}
rows = [
    (name_of(head), series, *statistics.bootstrap_interval(effect[head]))
    for series, effect in effects.items()
    for head in np.ndindex(effect.shape[:2])
]
ablated = pd.DataFrame(rows, columns=["label", "series", "estimate", "low", "high"])
colours = dict(zip(effects, (BLUE, ORANGE), strict=True))
plots.intervals(ablated, "added loss [nats a token]", colours);

# %% tags=["remove-cell"]
of_head = ablated.set_index(["series", "label"])
for key, series in (("free", "patterns recomputed"), ("frozen", "patterns frozen")):
    glue_interval(f"ablate-previous-{key}", statistics.Interval(*of_head.loc[series, name_of(previous)]))
glue_interval("ablate-induction-free", statistics.Interval(*of_head.loc["patterns recomputed", name_of(strongest)]))
circuit = {name_of(head) for head in (*shifting, *inductive)}
others = of_head.loc["patterns recomputed", "estimate"].drop(list(circuit))
glue("ind-ablate-other", others.idxmax(), display=False)
glue("ind-ablate-other-max", float(others.max()), display=False)
glue("ind-ablate-other-median", round(float(others.median()), 2) + 0.0, display=False)  # no minus before a zero
glue("ind-ablate-other-n", len(others), display=False)
by_head = of_head.loc["patterns recomputed", "estimate"]
glue("ind-ablate-each", ", ".join(f"{name_of(head)} {by_head[name_of(head)]:+.2f}" for head in (*shifting, *inductive)), display=False)

# %% [markdown]
# Without {glue:text}`ind-previous-head` alone the loss rises by {glue:text}`ind-ablate-previous-free` nats, with patterns frozen by {glue:text}`ind-ablate-previous-frozen`. Without {glue:text}`ind-induction-head` alone it rises by {glue:text}`ind-ablate-induction-free` (each head of the circuit: {glue:text}`ind-ablate-each`). Of the {glue:text}`ind-ablate-other-n:d` heads outside the circuit
# the median adds {glue:text}`ind-ablate-other-median:.2f` and the largest, {glue:text}`ind-ablate-other`, {glue:text}`ind-ablate-other-max:.2f`.
#
# Heads of one kind can stand in for each other, so the last question is put to whole sets, the heads of the circuit against *all* others of the same layer:

# %%
def of_set(loaded, heads, frozen=False):
    """Added loss of each sequence with the means of these heads in their place, patterns recomputed or frozen."""
    added = circuits.ablated_losses(loaded, probe.ids, heads, "mean", frozen) - circuits.token_losses(loaded, probe.ids)
    return statistics.bootstrap_interval(added[places].reshape(len(probe.ids), -1).mean(axis=1))


def others_than(heads):
    """All other heads of the same layer."""
    return [(heads[0][0], head) for head in range(toy.model.config.n_heads) if (heads[0][0], head) not in heads]


# %% tags=["hide-input"]
sets = {"shift heads": shifting, "all others of layer 0": others_than(shifting),
        "induction heads": inductive, "all others of layer 1": others_than(inductive)}
together = {name: {"heads": len(heads), "patterns recomputed": of_set(toy, heads), "patterns frozen": of_set(toy, heads, True)} for name, heads in sets.items()}


def spoken_interval(x):
    """Estimate (low to high)."""
    return f"{x.estimate:+.2f} ({x.low:+.2f} to {x.high:+.2f})"


pd.DataFrame(together).T.style.format(spoken_interval, subset=["patterns recomputed", "patterns frozen"]).set_caption(
    "Added loss [nats a token] where the block comes again, with 95 % intervals over sequences"
)

# %% tags=["remove-cell"]
for key, name in (("shift", "shift heads"), ("other0", "all others of layer 0"), ("inductive", "induction heads"), ("other1", "all others of layer 1")):
    glue_interval(f"set-{key}", together[name]["patterns recomputed"])
glue_interval("set-shift-frozen", together["shift heads"]["patterns frozen"])

# %% [markdown]
# Without its shift heads the toy loses {glue:text}`ind-set-shift` nats, without all other heads of layer 0 {glue:text}`ind-set-other0`; without the induction heads {glue:text}`ind-set-inductive`, without all others of layer 1
# {glue:text}`ind-set-other1`. With patterns frozen the shift heads cost {glue:text}`ind-set-shift-frozen`: whatever they contribute they contribute to where layer 1 looks.
#
# Why would a head look two places back? Over 31 symbols one match is weak evidence, since every symbol recurs by chance. A key that holds the two symbols before it can be matched with the query's own two; and the loss of the second occurrence is
# {glue:text}`ind-toy-place1` after one known symbol and {glue:text}`ind-toy-place2` after two.
#
# ## Virtual heads
#
# Between its patterns the toy is linear, so its logits are a sum over paths: directly from the embedding; through one head; and through a head of either layer, $h_2 \circ h_1$, with pattern
# $A^{h_2} A^{h_1}$ and output circuit $W_{OV}^{h_1} W_{OV}^{h_2}$: a *virtual head*. The original notebook computed one and left the direct term of the later head in it. Here every path stands by itself
# (`circuits.virtual_heads`), where the block comes again: its share of the logits' variance over the vocabulary (shares sum to one) and what it gives to the right symbol.

# %%
paths = circuits.virtual_heads(toy, probe.ids, places)
paths_fresh = circuits.virtual_heads(fresh, probe.ids, places)
shares = {name: p.groupby(["kind", "sequence"])[["share", "target"]].sum() for name, p in (("toy", paths), ("untrained", paths_fresh))}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the logits' variance by kind of path, where the block comes again, with 95 % intervals over sequences.", "name": "fig-induction-paths"}, "image": {"alt": "Rows for direct path, heads of layer 0, heads of layer 1 and virtual heads, a point for the toy and one for the untrained model in each."}}
KIND = {"direct": "embedding alone", "layer 0": "heads of layer 0", "layer 1": "heads of layer 1", "virtual": "virtual heads"}
rows = [
    (KIND[kind], model, *statistics.bootstrap_interval(found.loc[kind, "share"])) for model, found in shares.items() for kind in KIND
]
plots.intervals(pd.DataFrame(rows, columns=["label", "series", "estimate", "low", "high"]), "share of the logits' variance", {"toy": BLUE, "untrained": GREY});

# %% tags=["remove-cell"]
for model, found in shares.items():
    glue_interval(f"paths-{model}-virtual", statistics.bootstrap_interval(found.loc["virtual", "share"]))
for kind in ("layer 1", "virtual"):
    glue_interval(f"target-{kind.replace(' ', '')}", statistics.bootstrap_interval(shares["toy"].loc[kind, "target"]))
size = paths.groupby(["kind", "sequence"])["norm"].sum().unstack(0)
glue_interval("norm-toy", statistics.bootstrap_interval(size["virtual"] / size.sum(axis=1)))
pair = paths.query("first == @previous[1] and second == @strongest[1]")
glue_interval("pair-target", statistics.bootstrap_interval(pair["target"]))
direct = paths.query("kind == 'layer 1' and second == @strongest[1]")
glue_interval("strongest-target", statistics.bootstrap_interval(direct["target"]))
glue_interval("pair-size", statistics.bootstrap_interval(pair["norm"].to_numpy() / direct["norm"].to_numpy()))
virtual = [circuits.virtual_patterns(p)[None, previous[1], [strongest[1]]] for p in patterns]
glue_interval("pair-duplicate", statistics.bootstrap_interval(scoreboard.duplicate_token_scores(virtual, probe.ids, True, probe.predictable)[:, 0, 0]))

# %% [markdown]
# All {glue:text}`ind-k-pairs:d` virtual heads together hold {glue:text}`ind-paths-toy-virtual` of the variance (untrained {glue:text}`ind-paths-untrained-virtual`) and {glue:text}`ind-norm-toy` of the summed norms
# of all paths. They give the right symbol {glue:text}`ind-target-virtual` of logit, the heads of layer 1 by themselves {glue:text}`ind-target-layer1`. The virtual head of the circuit's own pair gives it
# {glue:text}`ind-pair-target`, its later head's direct term {glue:text}`ind-strongest-target`; its logits are {glue:text}`ind-pair-size` times as large as that term's, and add next to nothing to the right one. That is as the mechanism has it: from the second occurrence the induction head goes to the place after the first, and the
# previous-token head from there one back, to the *same* token. Their virtual head is a head of duplicate tokens (score {glue:text}`ind-pair-duplicate`), which is of no use for the next symbol: the circuit works by
# composing *patterns*, not values.
#
# ## Copying
#
# An induction head must raise what it attends to. The copying score $\sum_i \mathrm{Re}\,\lambda_i / \sum_i |\lambda_i|$ over the eigenvalues of $W_E W_{OV} W_U$ is 1 where every eigenvalue is positive, and about 0 for
# random weights. The means over the vocabulary are removed first.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Copying score, from weights, against induction score, from patterns; a point a head.", "name": "fig-induction-copying"}, "image": {"alt": "Points of both layers: heads with a high induction score have a copying score near one; crosses of the untrained model lie around zero in both."}}
def heads_of(matrices, found, trained_):
    """Copying and induction score of every head."""
    copying = circuits.copying_scores(matrices, centre=True)
    return pd.DataFrame(
        [(*head, trained_, copying[head], found["induction"][:, *head].mean()) for head in np.ndindex(copying.shape)],
        columns=["layer", "head", "trained", "copying", "induction"],
    )


copies = pd.concat([heads_of(trained, scores, True), heads_of(untrained, fresh_scores, False)])
plots.labelled_points(copies, "copying", "induction", "copying score, −1 to 1", "induction score, 0 to 1");

# %% tags=["remove-cell"]
own = copies[copies["trained"]].set_index(["layer", "head"])["copying"]
glue("ind-copy-induction", float(np.mean([own[head] for head in inductive])), display=False)
glue("ind-copy-others", float(own.drop(inductive).mean()), display=False)
glue("ind-copy-untrained", float(copies.loc[~copies["trained"], "copying"].abs().max()), display=False)

# %% [markdown]
# The induction heads average {glue:text}`ind-copy-induction:.2f`, the other heads {glue:text}`ind-copy-others:.2f`; the untrained model's lie within ±{glue:text}`ind-copy-untrained:.2f`.
#
# ## How it forms
#
# The checkpoint's folder holds {glue:text}`ind-snapshots:d` snapshots of the weights along the {glue:text}`ind-steps:,` training steps (`models.training_history.snapshots`). Heads are those of the finished model; dotted lines are the best
# heads of the other seeds, as measured while they were trained.

# %%
def milestones(loaded):
    """What the figure draws, at one step."""
    (_, found), (before, again) = look(loaded, probe), losses_of(loaded, probe)
    k, found = circuits.composition_scores(weights.extract(loaded), "K")[0, :, 1], means(found)
    heads = {"previous": found["previous token"][previous], "two back": found["two back"][0].max(), "induction": found["induction"][strongest]}
    return heads | {"first": before.mean(), "second": again.mean(), "pair": k[best], "others": np.median(k)}


along = training_history.snapshots()
history = pd.DataFrame({step: milestones(model) for step, model in along.items()}).T
course = training_history.course().set_index("step")

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy along training: loss on the probe, head scores (dotted: other seeds), and the K-composition of the circuit's strongest pair beside the median of all pairs and chance.", "name": "fig-induction-emergence"}, "image": {"alt": "Three panels over training steps on a logarithmic axis: losses of both occurrences part, the previous-token score and then the induction score rise, and the composition of the pair leaves that of the other pairs."}}
faint = {
    f"_{key}{seed}": (run[key], colour + "66", ":")
    for seed, run in course[course["seed"] != training_history.shipped_seed()].groupby("seed")
    for key, colour in (("previous_token", ORANGE), ("induction", BLUE))
}
plots.emergence(
    {
        "loss [nats]": {"first occurrence": (history["first"], ORANGE, "-"), "second occurrence": (history["second"], BLUE, "-")},
        "head score": {f"{name_of(previous)}, previous": (history["previous"], ORANGE, "-"),
                       "two back, best": (history["two back"], plots.CYCLE[4], "-"),
                       f"{name_of(strongest)}, induction": (history["induction"], BLUE, "-")} | faint,
        "K-composition": {f"L0H{best[0]} with L1H{best[1]}": (history["pair"], BLUE, "-"), "median of all pairs": (history["others"], GREY, "-"),
                          "chance": (0 * history["pair"] + trained.d_model**-0.5, plots.INK, "--")},
    },
    "training step",
);

# %% [markdown]
# ## Five seeds
#
# One model is an anecdote. The recipe was run from five seeds, and the shipped one is the median by induction score, a rule settled before they were trained. Everything above that can be put into a number is
# measured here on all of them with the same rules, and on five untrained models.

# %%
def portrait(loaded):
    """One row of the table: each model has its own heads, chosen on the choosing draw."""
    head, strong, shift, induct = choose(loaded)
    (_, found), (before, again) = look(loaded, probe), losses_of(loaded, probe)
    z = circuits.composition_z(weights.extract(loaded), "K", n_draws=500).z[0, :, 1]
    own = np.zeros(z.shape, dtype=bool)
    own[np.ix_([h for _, h in shift], [h for _, h in induct])] = True
    return {
        "previous token": means(found)["previous token"][head], "two back": means(found)["two back"][0].max(), "induction": means(found)["induction"][strong],
        "first": before.mean(), "again": again[:, 2:].mean(), "shift heads": of_set(loaded, shift).estimate, "others of layer 0": of_set(loaded, others_than(shift)).estimate,
        "circuit": z[own].mean(), "other pairs": z[~own].mean(),
    }


seeds = {f"seed {seed}": portrait(loaded) for seed, loaded in training_history.seed_models().items()}
nulls = {f"untrained {seed}": portrait(models.untrained_like(toy, seed)) for seed in range(5)}

# %% tags=["hide-input"]
everything = pd.DataFrame(seeds | nulls).T
groups = ["score"] * 3 + ["loss [nats]"] * 2 + ["added loss without"] * 2 + ["mean z of K-composition"] * 2
shown = everything.set_axis(pd.MultiIndex.from_arrays([groups, everything.columns]), axis=1)
shown.style.format("{:.2f}").format("{:.1f}", subset=["mean z of K-composition"]).set_caption(
    "All seeds on the probe; \"again\" is the loss from the third foretold symbol on"
)

# %% tags=["remove-cell"]
glue("ind-snapshots", len(along), display=False)
glue("ind-steps", max(along), display=False)
for key, column in (("previous", "previous token"), ("induction", "induction"), ("again", "again"), ("shift", "shift heads"), ("other", "others of layer 0"),
                    ("z", "circuit"), ("z-other", "other pairs")):
    for end in ("min", "max"):
        glue(f"ind-seeds-{key}-{end}", float(getattr(pd.DataFrame(seeds).T[column], end)()), display=False)
glue("ind-nulls-induction", float(pd.DataFrame(nulls).T["induction"].max()), display=False)


shipped = next(record["trained"] for record in training_history.records() if record["seed"] == training_history.shipped_seed())
for key in ("background", "new", "repeated_known_2"):
    glue(f"ind-record-{key}", float(shipped[key]), display=False)
glue("ind-entropy", float(repeats.background().entropies()["both"]), display=False)


def reached(run, key):
    """First measured step of a run with a best score above one half."""
    return run.index[run[key] > 0.5].min()


when = {seed: (reached(run, "previous_token"), reached(run, "induction")) for seed, run in course.groupby("seed")}
glue("ind-seeds-order", int(sum(early < late for early, late in when.values())), display=False)
glue("ind-seeds-n", len(when), display=False)
glue("ind-seeds-when", ", ".join(f"{early:,.0f} and {late:,.0f}" for early, late in when.values()), display=False)

# %% [markdown]
# Over the {glue:text}`ind-seeds-n:d` seeds the previous-token score lies between {glue:text}`ind-seeds-previous-min:.2f` and {glue:text}`ind-seeds-previous-max:.2f`, the induction score between
# {glue:text}`ind-seeds-induction-min:.2f` and {glue:text}`ind-seeds-induction-max:.2f` (untrained at most {glue:text}`ind-nulls-induction:.2f`), the loss from the third foretold symbol on between {glue:text}`ind-seeds-again-min:.2f` and
# {glue:text}`ind-seeds-again-max:.2f` nats. Without their shift heads the models lose {glue:text}`ind-seeds-shift-min:.2f` to {glue:text}`ind-seeds-shift-max:.2f` nats, without all *other* heads of layer 0
# {glue:text}`ind-seeds-other-min:.2f` to {glue:text}`ind-seeds-other-max:.2f`. The circuit's pairs have mean z-scores of K-composition from {glue:text}`ind-seeds-z-min:.1f` to {glue:text}`ind-seeds-z-max:.1f`, the other pairs from
# {glue:text}`ind-seeds-z-other-min:.1f` to {glue:text}`ind-seeds-z-other-max:.1f`. The best previous-token score passes one half before the best induction score does in {glue:text}`ind-seeds-order:d` of {glue:text}`ind-seeds-n:d` runs (steps
# {glue:text}`ind-seeds-when`).
#
# The probe is not what the toy was trained on: there the blocks are written over the Markov chain. On fresh sequences of that kind the shipped model's loss is {glue:text}`ind-record-new:.2f` nats in a block's first occurrence,
# {glue:text}`ind-record-repeated_known_2:.3f` in later ones after two known symbols, and {glue:text}`ind-record-background:.2f` on the chain alone, whose entropy rate is {glue:text}`ind-entropy:.2f`.
#
# ## The Polish models
#
# Now the same probe in words, on the embedded GPT-2 and on a model of the toy's kind in notebook 002's own size, trained on the same Polish text. Random sequences of frequent whole words, a block of
# {glue:text}`ind-word-block:d` twice at a random distance, an end-of-text token first.

# %%
polish = {"GPT-2": models.load("polish-gpt2"), "minigpt-polish": models.load("minigpt-polish")}
untrained_polish = {name: models.untrained_like(loaded, seed=0) for name, loaded in polish.items()}
vocabulary = Vocabulary.from_tokenizer(polish["GPT-2"].tokenizer, polish["GPT-2"].model.config.vocab_size)
words = np.flatnonzero(vocabulary.keep(words=True, whole_words=True, min_length=3))[:2000]  # byte-pair ids are in order of merging
END = polish["GPT-2"].tokenizer.eos_token_id
word_probe = circuits.repeated_random_tokens(words, 48, 16, (0, 24), start=END, seed=2)
print(*(loaded.label for loaded in polish.values()), sep="\n")

# %%
spoken = {name: look(loaded, word_probe) for name, loaded in polish.items()}
spoken_fresh = {name: look(loaded, word_probe) for name, loaded in untrained_polish.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Scores of all heads of the embedded GPT-2 on repeated random words, in per cent of attention, beside an untrained model.", "name": "fig-induction-gpt2"}, "image": {"alt": "Five pairs of heat maps of four layers by six heads with the percentages written in."}}
plots.score_maps({"polish-gpt2": means(spoken["GPT-2"][1]), "untrained": means(spoken_fresh["GPT-2"][1])});

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The same for minigpt-polish.", "name": "fig-induction-minigpt-polish"}, "image": {"alt": "Five pairs of heat maps of two layers by eight heads with the percentages written in."}}
plots.score_maps({"minigpt-polish": means(spoken["minigpt-polish"][1]), "untrained": means(spoken_fresh["minigpt-polish"][1])});

# %% [markdown]
# ### Does order help?
#
# The loss may fall in the second occurrence because the *words* are there again, in whatever order: a model can raise all words that it has seen. So the control is the same sequence with the second occurrence shuffled. What
# the words alone bring is the fall from the first occurrence to the shuffled one; what their order brings, and induction is needed for, the fall from the shuffled to the faithful one.

# %%
def gains(loaded, draw):
    """What seeing the words again brings, and what seeing them in order brings on top [sequence]."""
    before, again = (values.mean(axis=1) for values in losses_of(loaded, draw))
    shuffled = losses_of(loaded, draw.shuffled())[1].mean(axis=1)
    return {"words": before - shuffled, "order": shuffled - again}


gained = {name: gains(loaded, word_probe) for name, loaded in polish.items()}
gained |= {f"{name}, untrained": gains(loaded, word_probe) for name, loaded in untrained_polish.items()}
toy_gains = gains(toy, probe)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How much lower the loss is where a block comes again, with 95 % intervals over sequences: because its words are there again (second occurrence shuffled), and on top because of their order.", "name": "fig-induction-order"}, "image": {"alt": "Rows of two points for GPT-2 and minigpt-polish, each trained and untrained, with intervals around zero."}}
rows = [(label, kind, *statistics.bootstrap_interval(values)) for label, found in gained.items() for kind, values in found.items()]
ordered = pd.DataFrame(rows, columns=["label", "series", "estimate", "low", "high"])
plots.intervals(ordered, "fall of the loss [nats a token]", {"words": GREY, "order": BLUE});

# %% [markdown]
# ### Which heads
#
# A head spreads some attention over everything, so a small score says nothing. Held against it is the attention that *keys within four places of a target* get, per key: the **excess** is what a head gives to the
# token after an earlier occurrence because it stands there (`circuits.scoreboard.induction_excess`). And natural text: {glue:text}`ind-paragraphs:d` paragraphs written for this book, in the rows of words of three letters or more
# that have been there before. For each head a one-sided Wilcoxon signed-rank test over sequences or paragraphs, corrected by Holm over the heads of a model {cite}`holm1979`.

# %%
texts = paragraphs()["text"].tolist()


def natural(loaded):
    """Patterns, ids and rows of repeated words of the paragraphs."""
    run = activations.run(loaded, texts, outputs=["patterns"])
    ids = [part["token_id"].to_numpy() for _, part in run.tokens.groupby("text")]
    is_word = vocabulary.keep(words=True, whole_words=True, min_length=3)
    return run.patterns, ids, [is_word[x] for x in ids]


# %%
def excesses(loaded, patterns):
    """Induction excess [unit, layer, head] on random words and on the paragraphs."""
    random_ = scoreboard.induction_excess(patterns, word_probe.ids, True, word_probe.predictable)
    read_patterns, ids, rows = natural(loaded)
    found = scoreboard.induction_excess(read_patterns, ids, True, rows)
    return {"random words": random_, "paragraphs": found[~np.isnan(found[:, 0, 0])]}


excess = {(name, "trained"): excesses(polish[name], spoken[name][0]) for name in polish}
excess |= {(name, "untrained"): excesses(untrained_polish[name], spoken_fresh[name][0]) for name in polish}
toy_excess = scoreboard.induction_excess(patterns, probe.ids, True, probe.predictable)[:, *strongest]


# %% tags=["hide-input"]
def verdict(values):
    """The head with the largest mean excess, and how many heads pass the corrected test."""
    p = wilcoxon(values, axis=0, alternative="greater").pvalue
    head = tuple(int(i) for i in np.unravel_index(values.mean(axis=0).argmax(), p.shape))
    mean, low, high = statistics.bootstrap_interval(values[:, *head])
    return {"best head": name_of(head), "excess": mean, "low": low, "high": high, "heads, p < 0.05": int((statistics.holm(p) < 0.05).sum()), "of": p.size}


verdicts = pd.DataFrame({(*key, kind): verdict(v) for key, found in excess.items() for kind, v in found.items()}).T
verdicts.style.format("{:.4f}", subset=["excess", "low", "high"]).set_caption(
    "Attention to the token after an earlier occurrence, less that to keys around it: best head with its 95 % interval, and heads that pass the corrected test"
)

# %% tags=["remove-cell"]
glue("ind-word-block", word_probe.first.shape[1], display=False)
glue("ind-paragraphs", len(texts), display=False)
glue_interval("toy-excess", statistics.bootstrap_interval(toy_excess))
glue_interval("toy-order", statistics.bootstrap_interval(toy_gains["order"]))
for name, key in (("GPT-2", "gpt2"), ("minigpt-polish", "mini")):
    for kind in ("words", "order"):
        glue_interval(f"{key}-{kind}", statistics.bootstrap_interval(gained[name][kind]))
    glue_interval(f"{key}-order-untrained", statistics.bootstrap_interval(gained[f"{name}, untrained"]["order"]))
    glue(f"ind-{key}-count", int((means(spoken[name][1])["induction"] >= 0.5).sum()), display=False)
    glue(f"ind-{key}-best-score", float(means(spoken[name][1])["induction"].max()), display=False)
    glue(f"ind-{key}-best-previous", float(means(spoken[name][1])["previous token"].max()), display=False)
    for kind, short_ in (("random words", "random"), ("paragraphs", "natural")):
        for state in ("trained", "untrained"):
            row = verdicts.loc[name, state, kind]
            glue_interval(f"{key}-{short_}-{state}", statistics.Interval(row["excess"], row["low"], row["high"]), ".4f")
            glue(f"ind-{key}-{short_}-{state}-n", int(row["heads, p < 0.05"]), display=False)
        glue(f"ind-{key}-{short_}-head", verdicts.loc[name, "trained", kind]["best head"], display=False)

# %% [markdown]
# - **GPT-2** has {glue:text}`ind-gpt2-count:d` induction heads by the toy's rule (a score of at least 0.5 on the probe): its best score is {glue:text}`ind-gpt2-best-score:.3f`, its best previous-token score
#   {glue:text}`ind-gpt2-best-previous:.2f`. Words again lower its loss by {glue:text}`ind-gpt2-words` nats, order by {glue:text}`ind-gpt2-order` (untrained {glue:text}`ind-gpt2-order-untrained`). The largest excess of attention is
#   {glue:text}`ind-gpt2-random-trained` on random words ({glue:text}`ind-gpt2-random-head`; {glue:text}`ind-gpt2-random-trained-n:d` heads pass the test) and {glue:text}`ind-gpt2-natural-trained` on the paragraphs
#   ({glue:text}`ind-gpt2-natural-head`; {glue:text}`ind-gpt2-natural-trained-n:d` pass); untrained
#   {glue:text}`ind-gpt2-random-untrained` and {glue:text}`ind-gpt2-natural-untrained` ({glue:text}`ind-gpt2-random-untrained-n:d` and {glue:text}`ind-gpt2-natural-untrained-n:d` pass).
# - **minigpt-polish** has {glue:text}`ind-mini-count:d`: best score {glue:text}`ind-mini-best-score:.3f`, best previous-token score {glue:text}`ind-mini-best-previous:.2f`. Words again lower its loss by
#   {glue:text}`ind-mini-words` nats, order by {glue:text}`ind-mini-order` (untrained {glue:text}`ind-mini-order-untrained`). The largest excess is {glue:text}`ind-mini-random-trained` on random words
#   ({glue:text}`ind-mini-random-head`; {glue:text}`ind-mini-random-trained-n:d` pass) and {glue:text}`ind-mini-natural-trained` on the paragraphs ({glue:text}`ind-mini-natural-head`; {glue:text}`ind-mini-natural-trained-n:d` pass); untrained
#   {glue:text}`ind-mini-random-untrained` and {glue:text}`ind-mini-natural-untrained` ({glue:text}`ind-mini-random-untrained-n:d` and {glue:text}`ind-mini-natural-untrained-n:d` pass).
#
# For scale: the toy's {glue:text}`ind-induction-head`, measured in the same way, has an excess of {glue:text}`ind-toy-excess`, and order is worth {glue:text}`ind-toy-order` nats to it. A test can find an excess that the loss does not notice.
# And a neighbour of a target may differ from it in kind (what follows a preposition is a noun), so on text an excess need not be induction.
#
# ## What the original notebook did, and where this differs
#
# Notebook 002 looked for induction in pictures of one natural sentence with fixed wording, in a model whose weights are not to be had.
#
# - One sentence cannot tell an induction head from a head of fixed distance, nor from one that knows the words. Here: random symbols, random gaps, the control, all heads, an untrained model.
# - Its `virtual_head` applied the later head to the embedding *plus* the earlier head's output, so it held the direct term, which dominates. Here the product stands apart, with its share.
# - Its patterns left out $1/\sqrt{d_{head}}$ and masked with zeros ({doc}`attention terms <attention_terms>`); here they are the model's own.
#
# ## Limits
#
# The toy's data reward this circuit and little else; that it forms there says that it can, not that it must elsewhere. Ablations put a model where it never was in training, zeros more so than means. Composition and copying are properties of weights and leave
# positions, softmax and the embedding's own spread aside. The Polish models are small and briefly trained: what they lack, larger ones may have; `ANALYSIS_MODELS=hub` asks the published GPT-2. The probe of random words is far from their training text.
