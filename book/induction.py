# %% [markdown]
# # Induction heads
#
# **Question.** A model that has seen *Jan Nowak* once can guess *Nowak* when *Jan* comes again, whatever the two words mean. Two attention heads in two layers are enough for that
# {cite}`elhage2021`, and such heads have been held responsible for much of what language models learn from context {cite}`olsson2022`. Has a small model that was trained for
# this book, the *toy*, learned such a circuit, and do two small Polish language models have one? ({doc}`induction_forming` asks how it comes about.)

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
import torch

from analysis_lib import circuits, models, plots, report, statistics, weights
from analysis_lib.circuits import induction, placements, repeats, scoreboard, scrubbing
from analysis_lib.circuits.standard_probe import standard_probe
from analysis_lib.models import training_history

plots.use_style()
BLUE, ORANGE, GREY = plots.CYCLE[0], plots.CYCLE[1], plots.MODEL_COLOURS["untrained"]
BLOCK, SYMBOLS = 15, range(1, repeats.VOCABULARY)
trained = {name: models.load(study) for name, study in (("toy", "minigpt"), ("GPT-2", "polish-gpt2"), ("minigpt-polish", "minigpt-polish"))}
untrained = {name: models.untrained_like(model, seed=0) for name, model in trained.items()}
toy, fresh = trained["toy"], untrained["toy"]
print(*(model.label for model in trained.values()), sep="\n")

# %% tags=["hide-cell"]
def symbol_probe(seed, gap=(0, 24)):
    """Sequences of the toy's symbols in which a random block comes twice."""
    return circuits.repeated_random_tokens(
        SYMBOLS, 64, BLOCK, gap, start=repeats.BEGIN, length=repeats.LENGTH, distinct=False, seed=seed
    )


draws = {"toy": [symbol_probe(seed) for seed in (1, 2)]}
draws |= {name: [standard_probe(trained[name], seed=seed) for seed in (1, 2)] for name in ("GPT-2", "minigpt-polish")}  # frequent Polish words
probe = draws["toy"][1]

# %% tags=["hide-input"]
patterns = {
    (name, state): [induction.probe_patterns(given[name], draw) for draw in draws[name]]
    for state, given in (("trained", trained), ("untrained", untrained))
    for name in given
}
scores = {key: [induction.probe_scores(p, draw) for p, draw in zip(found, draws[key[0]], strict=True)] for key, found in patterns.items()}
best = {key: induction.best_heads(*found) for key, found in scores.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Scores of the best previous-token head and of the best induction head of each model, on sequences in which a random block comes twice. A perfect head scores 1. Heads are chosen on one draw of sequences and measured on another; 95% intervals over sequences, most of them smaller than the points.", "name": "fig-induction-key"}, "image": {"alt": "Six rows of two points. The toy's two heads score near one. The best previous-token head of GPT-2 scores near one too, its best induction head a little above one half. The best previous-token head of minigpt-polish scores less than one half, and its best induction head almost zero, as the heads of untrained models do."}}
KINDS = {"previous token": ORANGE, "induction": BLUE}
rows = [
    (name if state == "trained" else f"{name}, untrained", kind, *best[name, state][kind].interval)
    for name in trained for state in ("trained", "untrained") for kind in KINDS
]
best_scores = pd.DataFrame(rows, columns=["label", "series", *statistics.Interval._fields])
plots.intervals(best_scores, "score of the best head, 0 to 1", KINDS);

# %% [markdown]
# **What was found**
#
# - **The toy has the circuit.** One head of its first layer attends to the previous token with a score of {glue:text}`ind-previous-score`, and one head of its second layer attends to what followed an
#   earlier occurrence of the present token with a score of {glue:text}`ind-induction-score`; no head of the untrained toy exceeds {glue:text}`ind-untrained`.
# - **The first layer works through the second layer's attention.** Without the heads of layer 0 that look one or two places back, the loss rises by {glue:text}`ind-set-shift` nats; with
#   attention patterns held fixed, their removal costs {glue:text}`ind-set-shift-frozen`. If everything but the circuit and what it copies is taken from other sequences, {glue:text}`ind-scrubbed` of what the heads save in loss is kept, in each of five seeds.
# - **Of the two Polish models, GPT-2 has an induction head, and minigpt-polish has none.** A head counts if it gives at least half of its attention to what followed an earlier occurrence. The number of such heads is {glue:text}`ind-gpt2-count` in GPT-2 and {glue:text}`ind-mini-count` in minigpt-polish. GPT-2's best head scores less than the toy's,
#   and the rule looks at attention alone. {doc}`induction_polish` asks whether what these models predict shows induction too.
#
# Square brackets hold 95% intervals over sequences. L0H3 is head 3 of the first layer; layers and heads count from 0. On the page {doc}`live` the toy runs in your browser: type symbols, watch
# these heads, and switch them off.
#
# ## What an induction head is
#
# {numref}`fig-induction-idea` shows the mechanism on "Yesterday Jan Nowak slept, and today Jan". A head of layer 0 attends from every token to the one before and writes down which token that was: a
# *previous-token head*. A head of layer 1 then searches for a place that says "I come after the token that you are reading", finds it after the earlier
# occurrence, and raises the logit of the token that stands there: an *induction head*. What the first head writes, the second reads through its *keys*
# (K-composition). Nothing in this depends on particular words, so it works on random tokens, which no model can have memorised. That makes random tokens the test.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "An induction circuit. Arrows go from the query to the key that it attends to.", "name": "fig-induction-idea"}, "image": {"alt": "A row of the words wczoraj, Jan, Nowak, spał, a, dziś, Jan. An arc of layer 0 leads from Nowak back to the first Jan, an arc of layer 1 from the second Jan to Nowak, and an arrow from the second Jan down to the guess Nowak."}}
plots.draw_induction(["wczoraj", "Jan", "Nowak", "spał,", "a dziś", "Jan"], earlier=1, now=5);

# %% [markdown]
# ## Models, probe, units
#
# The toy has two layers of eight heads, no feed-forward layers, no layer norm, and positions that only queries and keys see. It was trained on sequences of
# 63 symbols, from an alphabet of 31. In a first stage these came from a Markov chain, and in every second sequence a block of random symbols was written over them again and again. In a second stage most
# sequences walked through a hidden cycle of 3 to 30 symbols that the model had to infer, and blocks of 4 to 30 symbols came with noise and at any place ({numref}`fig-induction-placements`). In a short third stage repetition was nearly certain, and weight decay kept the heads' values small.
# *minigpt-polish* is built in the same way and was trained on Polish text; *GPT-2* is the book's Polish GPT-2 of six layers ({doc}`models <models>`). Untrained models have the same
# shape and fresh weights.
#
# The probe consists of new sequences: random symbols, or random frequent Polish words, among which one block comes twice, with a gap of random length between. The sequence is the
# unit of all intervals {cite}`efron1993`. On the sequences on which it was chosen, the best of many heads looks better than it is, so heads are *chosen* on one draw of the probe and *measured* on another.

# %%
circuit = induction.find_circuit(scores["toy", "trained"][0])
circuit

# %% [markdown]
# A score is the attention that a head gives to a kind of key, averaged over the rows that have such a key at all (`circuits.head_scores`), so a perfect head scores exactly 1.
# The kinds of key are the *previous token*; the token *two back*; *duplicate tokens*, which are earlier occurrences of the query's token; *induction*, what came after them; and the *first position*, where heads often rest.
# Duplicate and induction scores are measured where the block comes again. By one rule for both, a score of at least 0.5 on the choosing draw, the toy's *induction heads* are
# {glue:text}`ind-induction-heads` and its *shift heads*, which look one or two places back, {glue:text}`ind-shifting-heads`.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Scores of all heads on the probe, in per cent of attention; the toy beside an untrained model of the same shape.", "name": "fig-induction-scores"}, "image": {"alt": "Five pairs of heat maps, layer by head, with the percentages written in."}}
means = {state: {kind: score.mean(axis=0) for kind, score in scores["toy", state][1].items()} for state in ("trained", "untrained")}
plots.score_maps({"toy": means["trained"], "untrained": means["untrained"]});

# %% mystnb={"figure": {"caption": "Patterns of the two heads on a short sequence of the same kind; outlined, the keys that a perfect head would attend to.", "name": "fig-induction-patterns"}, "image": {"alt": "Two lower triangles. The previous-token head is a line just below the diagonal, the induction head a shorter line far below it, both inside the outlines, besides attention in the first column."}}
short = circuits.repeated_random_tokens(SYMBOLS, 1, 10, (6, 6), start=repeats.BEGIN, length=34, seed=4)
seen = induction.probe_patterns(toy, short)[0]
targets = circuits.induction_targets(short.ids[0]) & short.predictable[0][:, None]
plots.patterns_with_targets({
    f"{report.head_name(*circuit.previous)}: previous token": (seen[circuit.previous], np.eye(len(targets), k=-1, dtype=bool)),
    f"{report.head_name(*circuit.strongest)}: induction": (seen[circuit.strongest], targets),
});

# %% [markdown]
# ### One sequence, symbol by symbol
#
# This is the sequence of {numref}`fig-induction-patterns`, with letters for symbols. The table follows the block's second occurrence: which place the induction head looks at most, which symbol the previous-token
# head had noted there, and what the toy guesses.

# %%
letters = np.array(["begin", *"ABCDEFGHIJKLMNOPQRSTUVWXYZÅÆÐÑØ"])
symbols, rows = letters[short.ids[0]], np.flatnonzero(short.predictable[0])
with torch.no_grad():
    chances = toy.model(torch.as_tensor(short.ids)).logits[0].softmax(-1).numpy()
looked, attention = seen[circuit.strongest][rows].argmax(axis=1), seen[circuit.strongest][rows].max(axis=1)
noted = seen[circuit.previous][looked].argmax(axis=1)
example = {"place": rows, "symbol": symbols[rows], "looks at place": looked, "attention": attention, "where it was noted": symbols[noted],
           "and stands": symbols[looked], "guess": letters[chances[rows].argmax(axis=1)], "its probability": chances[rows].max(axis=1),
           "comes": symbols[rows + 1]}
report.table(pd.DataFrame(example), "The second occurrence of the block, symbol by symbol", digits=2)

# %% [markdown]
# ### Wherever a block stands
#
# A score on one probe says nothing about other probes. {numref}`fig-induction-placements` puts blocks of 4 to 30 symbols at many places and at many distances. After the first stage the best head of layer 1 scored well on
# long blocks that stand apart and badly on short ones; after the last stage most means lie above 0.85. Single placements can lie well below it, in every seed; the table has the lowest. (The toy is the seed {glue:text}`ind-shipped-seed`.)
#
# The same rules were tried on forty hand-built models with and without such heads: a test asks for at least 39 right verdicts (`circuits.verdicts`). TransformerLens's `detect_head` recognises the induction, duplicate-token and previous-token heads among them; it has no pattern for heads of a fixed offset, and does not ask through which side (queries, keys or values) two heads compose.

# %%
PLACES = {"block": (4, 6, 10, 15, 20, 30), "gap": (0, 6, 24), "begin": (1, 8, 24)}
stages = {f"seed {seed}": model for seed, model in training_history.seed_models().items()}
stages |= {"first stage": training_history.snapshots()[4000], "untrained": fresh}
placed = placements.of_head({name: placements.placement_scores(model, *PLACES.values(), n_sequences=8) for name, model in stages.items()}, layer=1)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Induction score of each model's best head of layer 1 among random symbols, by the length of the block, and for blocks of 4 and 6 symbols by the gap and by the place where the block begins. Lines are the five seeds, the shipped model after its first stage, and the untrained model; means over the other two quantities.", "name": "fig-induction-placements"}, "image": {"alt": "Three panels. The lines of the five seeds are high and almost flat in all; the first stage's line climbs from below one half for short blocks, and the untrained model stays near zero."}}
placed = placed.rename(columns={"model": "run"})
placed["series"] = placed["run"].where(~placed["run"].str.startswith("seed"), "five seeds")
short_blocks = placed[placed["block"] <= 6]
panels = {
    label: part.groupby(["series", "run", name], as_index=False)["score"].mean().rename(columns={name: "x"})
    for label, name, part in (("block length", "block", placed), ("gap", "gap", short_blocks), ("first place", "begin", short_blocks))
}
plots.score_curves(panels, "induction score", {"five seeds": BLUE, "first stage": ORANGE, "untrained": GREY}, (0.85, "0.85"));

# %%
of_runs = placed.groupby("run", sort=False)["score"]
lowest = pd.DataFrame({"mean score": of_runs.mean(), "lowest score": of_runs.min(), "placements below 0.85": of_runs.agg(lambda scores: (scores < 0.85).sum()), "placements": of_runs.size()})
report.table(lowest.reset_index(), "The best head of layer 1 over all placements; each placement is a mean over eight sequences")

# %% [markdown]
# ### A control: heads of fixed distance
#
# If every block came back after the same number of tokens, a head that always looks that far back would pass for an induction head. {numref}`fig-induction-control` shows that the random gap
# matters. It compares the toy's strongest head with a hand-made head that attends 24 places back, on two draws: one with a gap of 10 tokens in all sequences (15 + 10 − 1 = 24), and the probe with its random gaps.

# %%
OFFSET = BLOCK + 10 - 1
fixed_head = np.eye(repeats.LENGTH, k=-OFFSET)[None, None]  # one layer, one head
fixed_head[0, 0, :OFFSET, 0] = 1


def induction_of(patterns, draw, head):
    """Induction score of one head in each sequence."""
    return circuits.induction_scores(patterns, draw.ids, per_sequence=True, rows=draw.predictable)[:, *head]


# %% mystnb={"figure": {"caption": "Induction scores under a fixed period and under random gaps. The head of fixed distance passes the first probe and not the second.", "name": "fig-induction-control"}, "image": {"alt": "Two rows of points from 0 to 1: the toy's head scores about the same in both probes; the head of fixed distance scores 1 under the fixed period and little under random gaps."}}
samples = {}
for series, draw in (("fixed period", symbol_probe(3, gap=10)), ("random gaps", probe)):
    samples[f"toy, {report.head_name(*circuit.strongest)}", series] = induction_of(induction.probe_patterns(toy, draw), draw, circuit.strongest)
    samples[f"always {OFFSET} back", series] = induction_of([fixed_head] * len(draw.ids), draw, (0, 0))
control = statistics.interval_table(samples, ["label", "series"])
plots.intervals(control, "induction score, 0 to 1", {"fixed period": GREY, "random gaps": BLUE});

# %% [markdown]
# ## Does it help?
#
# In the first occurrence of the block nothing can be predicted: symbols are uniform, and no model has a lower loss on average than
# $\ln 31$. In the second occurrence everything but the first symbol can be predicted.

# %% mystnb={"figure": {"caption": "Loss along the block in its first and second occurrence; the symbol at place 0 cannot be predicted and is left out. Bands are 95% intervals over sequences.", "name": "fig-induction-loss"}, "image": {"alt": "Loss against the place in the block: the first occurrence stays high, the second falls in the toy; both lines of the untrained model stay high."}}
losses = {"toy": induction.block_losses(toy, probe), "untrained": induction.block_losses(fresh, probe)}
SERIES = {"toy, first": ORANGE, "toy, second": BLUE, "untrained, first": "#b07aa8", "untrained, second": GREY}
by_place = {
    (f"{name}, {occurrence}", place + 1): values[:, place]
    for name, found in losses.items()
    for occurrence, values in found._asdict().items()
    for place in range(BLOCK - 1)
}
curves = statistics.interval_table(by_place, ["series", "place"])
plots.losses_by_place(curves, SERIES, (float(np.log(len(SYMBOLS))), "ln 31"), "place in the block");

# %% [markdown]
# The toy's loss falls by {glue:text}`ind-toy-gain` nats from the first occurrence to the second, the untrained model's by {glue:text}`ind-untrained-gain`. In the first occurrence the toy's loss
# exceeds $\ln 31$ because the toy expects repetitions and the Markov chain of its training, and neither occurs there. In the second occurrence the symbol after the first is harder to predict than the later ones: among 31 symbols a single match is weak evidence,
# since every symbol recurs by chance. That makes a head that looks two places back useful: a key that holds the two symbols before it can be matched with the query's symbol and the one before that. The loss was lower before the later stages of the training, in which the heads have to go by a single symbol and weight decay keeps their values small ({doc}`induction_forming`).
#
# ## The circuit in the weights
#
# If the story is right, the shift heads write what the induction heads read with their keys. The weights alone can show this. With $W_{OV} = W_V W_O$ of the earlier head and
# $W_{QK} = W_Q W_K^\top$ of the later one,
#
# $$\mathrm{K\ composition} = \frac{\|W_{OV} W_{QK}^\top\|_F}{\|W_{OV}\|_F \|W_{QK}\|_F},$$
#
# and the same with $W_{QK}$ in the place of $W_{QK}^\top$ for queries (Q), or with the later head's $W_{OV}$ for values (V). The null keeps both heads
# as they are and turns one against the other at random. The squared score is then $1/d_{model}$ on average, and its spread follows from the heads' singular values, which gives
# every pair a z-score.

# %%
composed = {kind: circuits.composition_z(weights.extract(toy), kind) for kind in "KQV"}
composed_fresh = {kind: circuits.composition_z(weights.extract(fresh), kind) for kind in "KQV"}
compared = pd.DataFrame({kind: induction.compare_pairs(composed[kind], circuit.pairs, composed_fresh[kind]) for kind in "KQV"}).T

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Composition of every head of layer 0 with every head of layer 1 in the toy; white is what chance gives. Outlined: shift heads with induction heads. The scale ends at the highest of these; higher values have its darkest colour.", "name": "fig-induction-composition"}, "image": {"alt": "Three eight by eight heat maps for keys, queries and values. Under keys most of the outlined cells are among the darkest; under queries and values most of them are pale. Under values four other cells are the darkest."}}
plots.composition_maps(
    {kind: found.scores[0, :, 1] for kind, found in composed.items()},
    float(composed["K"].expected[0, :, 1].mean()),
    dict.fromkeys("KQV", circuit.pairs),
);

# %%
columns = ["circuit's pairs", "other pairs", "chance", "untrained", "circuit's z", "largest other z", "largest untrained z"]
report.table(
    compared[columns].rename_axis("through").reset_index(),
    "Composition of shift heads with induction heads (mean), of all other pairs, by chance and in the untrained model; z against random orientation",
    digits=3,
    formats={column: 1 for column in columns if column.endswith("z")},
)

# %% [markdown]
# The circuit has {glue:text}`ind-k-in-circuit` of the model's 64 pairs, and {glue:text}`ind-k-in-top` of them are among the {glue:text}`ind-k-in-circuit` pairs with the highest z-scores of K-composition. The z-score says how unlike a random
# orientation a pair is, not how much the pair matters: trained heads share what they read, and some pairs outside the circuit have large z-scores too. What matters is shown by removing heads.
#
# An induction head must also raise the logit of what it attends to. The copying score $\sum_i \mathrm{Re}\,\lambda_i / \sum_i |\lambda_i|$ over the eigenvalues of $W_E W_{OV} W_U$ is 1 if every eigenvalue is positive, and about 0 for
# random weights. The means over the vocabulary are removed first.

# %% mystnb={"figure": {"caption": "Copying score, from weights, against induction score, from patterns; a point a head.", "name": "fig-induction-copying"}, "image": {"alt": "Points of both layers: heads with a high induction score have a copying score near one; crosses of the untrained model lie around zero in both."}}
copies = pd.concat([
    pd.DataFrame({"layer": layer.ravel(), "head": head.ravel(), "trained": state == "trained",
                  "copying": circuits.copying_scores(weights.extract(model), centre=True).ravel(), "induction": means[state]["induction"].ravel()})
    for state, model in (("trained", toy), ("untrained", fresh))
    for layer, head in [np.indices(means[state]["induction"].shape)]
])
plots.labelled_points(copies, "copying", "induction", "copying score, −1 to 1", "induction score, 0 to 1");

# %% [markdown]
# All induction heads have a copying score near one. The scores of the other heads lie on both sides of zero.
#
# ## Removing heads
#
# Weights suggest a mechanism; ablation tests it. The output of each head in turn is replaced by its mean over positions and sequences, which removes all that varies, and the loss in the second occurrence is compared with the whole model's. The layer above may
# react in two ways: its patterns are computed anew, or they are frozen to those of the whole model, so that only its values change. A head that works *through another head's pattern*, as
# the previous-token head should, does damage in the first case and none in the second.

# %% mystnb={"figure": {"caption": "What ablating each head adds to the loss where the block comes again, with 95% intervals over sequences. Above 0 the head helps.", "name": "fig-induction-ablation"}, "image": {"alt": "Sixteen rows of points, one row a head, in two colours. The previous-token head adds much when patterns are recomputed and nothing when they are frozen; two other heads of layer 0 do so to a lesser degree, one of layer 0 and the four induction heads add the same both ways, and the rest lie near zero."}}
WAYS = {"patterns recomputed": BLUE, "patterns frozen": ORANGE}
effects = {way: induction.loss_without_each(toy, probe, frozen=way == "patterns frozen") for way in WAYS}
by_head = {(report.head_name(*head), way): effect[head] for way, effect in effects.items() for head in np.ndindex(effect.shape[:2])}
plots.intervals(statistics.interval_table(by_head, ["label", "series"]), "added loss [nats a token]", WAYS);

# %% [markdown]
# Heads of one kind can stand in for each other, so whole sets are removed as well: the heads of the circuit, and *all* other heads of the same layer.

# %%
n_heads = toy.model.config.n_heads
sets = {"shift heads": circuit.shifting, "all others of layer 0": circuit.others(0, n_heads),
        "induction heads": circuit.inductive, "all others of layer 1": circuit.others(1, n_heads)}
without = {way: {name: induction.loss_without(toy, probe, heads, frozen=way == "patterns frozen") for name, heads in sets.items()} for way in WAYS}
removed = pd.DataFrame({way: {name: statistics.bootstrap_interval(added) for name, added in found.items()} for way, found in without.items()})
removed.insert(0, "heads", [len(heads) for heads in sets.values()])
report.table(removed.rename_axis("without").reset_index(), "Added loss [nats a token] where the block comes again, with 95% intervals over sequences")

# %% [markdown]
# Without the shift heads the loss rises about as much as without the induction heads, but only if the patterns of layer 1 may react: the shift heads decide where layer 1 looks. The other heads of layer 0 matter much less, and the other heads of layer 1 do not matter at all.
#
# ## Scrubbing the hypothesis
#
# Removing a head shows that it matters, not what it does. *Causal scrubbing* tests a hypothesis as a whole: everything that it does not name is replaced by what the model computes on *another* sequence, path by path. What is measured is the share of the
# loss gap that the hypothesis keeps,
#
# $$\mathrm{kept} = \frac{L_\mathrm{nothing} - L_\mathrm{hypothesis}}{L_\mathrm{nothing} - L_\mathrm{model}},$$
#
# where under "nothing" all heads are resampled. The induction hypothesis says that the shift heads alone reach the queries and keys of the induction heads, that the induction heads copy what stands at the place they attend to, and that other heads matter only through the values that are copied. There are also three
# wrong hypotheses: one leaves that composition out, one allows it in the queries alone, and one names all the other heads instead. As first stated, the induction hypothesis let values read the embedding alone, and it kept less than nine tenths of the gap in most seeds. It was
# widened after that had been seen: values now read all that layer 0 writes, in the wrong hypotheses too.

# %%
claims = {}
for name, model in stages.items():
    if name.startswith("seed"):
        own = induction.find_circuit(induction.probe_scores(induction.probe_patterns(model, draws["toy"][0]), draws["toy"][0]))
        for claim, hypothesis in scrubbing.induction_hypotheses(own, n_heads).items():
            claims[name, claim] = statistics.ratio_interval(*scrubbing.gap_kept(model, probe, hypothesis, n_draws=1))

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the loss gap that each hypothesis keeps where the block comes again, in each of the five seeds; 95% intervals over sequences.", "name": "fig-induction-scrubbing"}, "image": {"alt": "Five rows of four points: the induction hypothesis near one in every seed, the three others far below."}}
kept = pd.DataFrame([(*key, *found) for key, found in claims.items()], columns=["label", "series", *statistics.Interval._fields])
plots.intervals(kept, "share of the loss gap kept", dict(zip(kept["series"].unique(), (BLUE, ORANGE, GREY, "#b07aa8"), strict=True)));

# %% [markdown]
# The induction hypothesis keeps nearly the whole gap in every seed, and the wrong ones keep little of it. What the shift heads write is needed, and it is needed through the keys.
#
# ## Virtual heads
#
# Once its patterns are given, the toy is linear, so its logits are a sum over paths: directly from the embedding; through one head; and through a head of each layer, $h_2 \circ h_1$, with pattern
# $A^{h_2} A^{h_1}$ and output circuit $W_{OV}^{h_1} W_{OV}^{h_2}$, which is called a *virtual head*. For every path `circuits.virtual_heads` gives its share of the logits' variance over the vocabulary (shares sum to one) and what it
# adds to the logit of the right symbol, where the block comes again.

# %%
paths = {name: circuits.virtual_heads(model, probe.ids, probe.predictable[:, :-1]) for name, model in (("toy", toy), ("untrained", fresh))}
sums = {name: table.groupby(["kind", "sequence"])[["share", "target"]].sum() for name, table in paths.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Share of the logits' variance by kind of path, where the block comes again, with 95% intervals over sequences.", "name": "fig-induction-paths"}, "image": {"alt": "Rows for direct path, heads of layer 0, heads of layer 1 and virtual heads, a point for the toy and one for the untrained model in each."}}
KIND = {"direct": "embedding alone", "layer 0": "heads of layer 0", "layer 1": "heads of layer 1", "virtual": "virtual heads"}
share = {(label, name): found.loc[kind, "share"] for kind, label in KIND.items() for name, found in sums.items()}
plots.intervals(statistics.interval_table(share, ["label", "series"]), "share of the logits' variance", {"toy": BLUE, "untrained": GREY});

# %%
first, second = circuit.previous[1], circuit.strongest[1]
given = {label: sums["toy"].loc[kind, "target"] for kind, label in KIND.items()}
given[f"{report.head_name(1, second)} reading the embedding"] = paths["toy"].query("kind == 'layer 1' and second == @second")["target"]
given[f"{report.head_name(1, second)} reading {report.head_name(0, first)}"] = paths["toy"].query("first == @first and second == @second")["target"]
report.table(
    pd.DataFrame({"logit of the right symbol": {label: statistics.bootstrap_interval(values) for label, values in given.items()}}).rename_axis("path").reset_index(),
    "What paths of the toy add to the centred logit of the right symbol, with 95% intervals over sequences; last row: the circuit's own virtual head",
)

# %% [markdown]
# The virtual head of the circuit's own pair adds nothing to the logit of the right symbol, and the mechanism explains why. From the second occurrence the induction head looks at the place after the first, and the
# previous-token head looks from there one place back, to the *same* token. Their virtual head is a head of duplicate tokens (score {glue:text}`ind-pair-duplicate`), which does not help to predict the next symbol: the circuit composes *patterns*, not values.
#
# ## Limits
#
# The toy's data reward this circuit and little else. That it forms there shows that it can form, not that it must elsewhere. Ablation puts a model in states that it never met in training, and zeros do so more than means. Composition and copying
# are properties of weights and leave positions, softmax and the embedding's own spread aside. {doc}`replication` describes notebook 002, one of the notebooks that this book began with, which looked for induction in pictures of one sentence.
#
# ## Exercises
#
# 1. Choose the head of GPT-2 with the highest induction score on one draw of the probe and score it on another. By how much does the score fall, and by how much does that of the toy's best head? ({ref}`Solution <sol-ind-1>`)
# 2. Which pair of heads of the toy composes most, through keys, beyond random orientations? ({ref}`Solution <sol-ind-2>`)
# 3. How high is the best induction score of an untrained GPT-2? ({ref}`Solution <sol-ind-3>`)

# %% tags=["remove-cell"]
def heads_by_rule(name):
    """Number of heads with an induction score of at least 0.5 on the choosing draw."""
    return int((scores[name, "trained"][0]["induction"].mean(axis=0) >= induction.LEAST_SCORE).sum())


changes = {name: statistics.difference_interval(*(x.mean(axis=1) for x in found), paired=True) for name, found in losses.items()}
findings = {
    "previous-score": best["toy", "trained"]["previous token"].interval,
    "induction-score": statistics.bootstrap_interval(scores["toy", "trained"][1]["induction"][:, *circuit.strongest]),
    "untrained": report.number(max(float(means["untrained"][kind].max()) for kind in KINDS)),
    "set-shift": removed.loc["shift heads", "patterns recomputed"],
    "set-shift-frozen": removed.loc["shift heads", "patterns frozen"],
    "gpt2-count": heads_by_rule("GPT-2"), "mini-count": heads_by_rule("minigpt-polish"),
    "toy-gain": changes["toy"], "untrained-gain": changes["untrained"],
    "shipped-seed": training_history.shipped_seed(),
    "scrubbed": report.span([found.estimate for (_, claim), found in claims.items() if claim == "induction"], digits=0, scale=100, unit="%"),
}
report.glue_frame(pd.Series(findings, dtype=object), "ind")

# %% tags=["remove-cell"]
virtual = [circuits.virtual_patterns(p)[None, first, [second]] for p in patterns["toy", "trained"][1]]
duplicate = scoreboard.duplicate_token_scores(virtual, probe.ids, per_sequence=True, rows=probe.predictable)
words = {
    "induction-head": report.head_name(*circuit.strongest),
    "induction-heads": report.listed(report.head_name(*head) for head in circuit.inductive),
    "shifting-heads": report.listed(report.head_name(*head) for head in circuit.shifting),
    "k-in-circuit": len(circuit.pairs), "k-in-top": int(compared.loc["K", "in top"]),
    "pair-duplicate": statistics.bootstrap_interval(duplicate[:, 0, 0]),
}
report.glue_frame(pd.Series(words, dtype=object), "ind")
by_attention = {name: statistics.bootstrap_interval(without["patterns recomputed"][name] - without["patterns frozen"][name]) for name in sets}
report.finding("ind-minigpt-through", "The toy's shift heads work through the attention of its second layer", by_attention["shift heads"], {"all others of layer 0": by_attention["all others of layer 0"]}, model="minigpt", unit="nats", section="induction.html#removing-heads")
of_seeds = {claim: np.array([found.estimate for (_, own), found in claims.items() if own == claim]) for _, claim in claims}
report.finding("ind-minigpt-scrubbed", "The circuit of the toy keeps more of what heads save than wrong hypotheses do", statistics.t_interval(of_seeds.pop("induction")), of_seeds, model="minigpt", unit="share of the loss gap", section="induction.html#fig-induction-scrubbing")

# %% tags=["remove-cell"]
def best_of_untrained(name, seed):
    """The best heads of another untrained model, chosen and measured as those of the trained one."""
    model = models.untrained_like(trained[name], seed=seed)
    return induction.best_heads(*(induction.probe_scores(induction.probe_patterns(model, draw), draw) for draw in draws[name]))

for name, study in (("toy", "minigpt"), ("GPT-2", "polish-gpt2"), ("minigpt-polish", "minigpt-polish")):
    several = [best[name, "untrained"], *(best_of_untrained(name, seed) for seed in range(1, 4))]  # untrained models differ among themselves
    for kind in KINDS:
        value, null = best[name, "trained"][kind].interval, np.array([found[kind].interval.estimate for found in several])
        key, claim = f"ind-{study}-{kind.replace(' ', '-')}", f"{'The toy' if name == 'toy' else name} has a head for {'the ' + kind if kind != 'induction' else kind}"
        report.finding(key, claim, value, {"untrained": null}, model=study, unit="score", section="induction.html#fig-induction-key")
