# %% [markdown]
# # What attention terms look for
#
# **Question.** The scores of a head are a sum of four terms, and {doc}`attention_terms` shows which of them two small models need: both models need position-position in the first layer, and one of them, the *toy*, needs token-token in the second. What does each of these terms look for?
# Does position-position favour the previous position, does token-token favour the same token, and which heads wrote what a head of the second layer reads?

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, circuits, models, plots, report, statistics, weights
from analysis_lib.circuits import induction, term_contrasts
from analysis_lib.circuits import terms as attention_terms
from analysis_lib.texts import paragraphs

plots.use_style()
loaded = {"toy": models.load("minigpt"), "Polish": models.load("minigpt-polish")}
trained = {name: weights.extract(model) for name, model in loaded.items()}
fresh = [{name: weights.extract(models.untrained_like(model, seed=seed)) for name, model in loaded.items()} for seed in range(5)]
untrained = fresh[0]  # where one is enough
print(*(model.label for model in loaded.values()), sep="\n")

# %% tags=["hide-cell"]
def draw(seed):
    """Sequences of 64 symbols, the first a beginning sign, in which a block of 20 comes twice."""
    return circuits.repeated_random_tokens(range(1, 32), 48, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=seed)


openings = torch.tensor([p[:40] for p in (loaded["Polish"].tokenizer(text)["input_ids"] for text in paragraphs()["text"]) if len(p) >= 40])
choosing, probe = draw(seed=1), draw(seed=2)
ids = {"toy": torch.as_tensor(probe.ids), "Polish": openings[:16]}  # what is measured; heads are chosen on other sequences


def all_terms(given):
    """Terms of both layers of both models, {(model, layer): [term, sequence, head, query, key]}."""
    return {(name, i): attention_terms.score_terms(w, ids[name], i) for name, w in given.items() for i in (0, 1)}


terms, fresh_terms = all_terms(trained), [all_terms(given) for given in fresh]
circuit = induction.find_circuit(induction.probe_scores(induction.probe_patterns(loaded["toy"], choosing), choosing))
elsewhere = activations.run_ids(loaded["Polish"], openings[16:32], outputs=["patterns"]).patterns
previous = {"toy": circuit.previous[1], "Polish": int(circuits.previous_token_scores(elsewhere)[0].argmax())}
strongest = circuit.strongest[1]

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The position-position term of the layer-0 heads by distance from query to key (0: the query itself), each row's mean removed. The head with the highest previous-token score of each model, chosen on other sequences, is drawn thick and named. Dashed: the heads of an untrained model.", "name": "fig-terms-profiles"}, "image": {"alt": "Two panels of lines from distance 0 to 12. The thick line of the toy and another of its heads have high peaks at distance 1, a third head has one at distance 2. The thick line of the Polish model falls slowly from distance 1; one of its heads has a high peak at 0. The dashed lines of untrained models lie close to zero."}}
def by_distance(given, name):
    """The term of each layer-0 head by distance, {head: [distance]}."""
    lines = term_contrasts.mean_by_distance(attention_terms.row_centred(given[name, 0][3, 0])).numpy()
    return {report.head_name(0, head): line for head, line in enumerate(lines)}


profiles = {name: by_distance(terms, name) for name in ids}
marked = {name: report.head_name(0, previous[name]) for name in ids}
fresh_profiles = {name: by_distance(fresh_terms[0], name) for name in ids}
plots.offset_profiles(profiles, marked, dict.fromkeys(ids, plots.CYCLE[1]), "position-position [nats]", untrained=fresh_profiles);

# %% [markdown]
# **What was found**
#
# - **Heads learn to favour near places, and some to look one place back.** Position-position favours the previous position in {glue:text}`terms-toy-favour` of the toy's eight layer-0 heads and in {glue:text}`terms-Polish-favour` of the Polish model's eight,
#   against {glue:text}`terms-untrained-favour` of sixteen in one untrained model of each kind. Half of the Polish model's heads favour another distance more.
# - **Some heads seek earlier places of the same token, and others avoid them.** In layer 1 of the toy {glue:text}`terms-same-favour` heads score such places above the other keys, and {glue:text}`terms-same-avoid` score them below, each by more than any head of five untrained models. The induction heads, which look for the place right after each such place, are among the heads that avoid them.
# - **The induction head reads what a first-layer head wrote.** The toy's strongest induction head looks for the keys after an earlier occurrence of the query's token. What raises these keys most is the match of {glue:text}`terms-first-pair`.
#
# Square brackets hold 95% intervals over sequences. L0H3 is head 3 of the first layer; layers and heads count from 0. The models, the sequences and the four terms are those of {doc}`attention_terms`:
# a *toy* trained on repeated blocks of symbols, and a model of the same build trained on Polish text. *Untrained* models have the same configurations and fresh weights.
#
# ## The previous position, in position-position
#
# {numref}`fig-terms-profiles` shows the position-position term of every layer-0 head by distance from query to key, averaged over rows after each row's mean is removed. The term depends on positions alone, so no sampling is involved.
# ({doc}`replication` has what one of the original notebooks read off pictures of this term and of token-token.)
#
# The contrast is the term at the previous position less its mean at the other positions of the row (a difference of log odds), averaged over rows. The null keeps the head and all position embeddings
# and puts the positions in random order, 999 times. The p-values have Holm's correction over all heads of both models {cite}`holm1979`.

# %%
def shifts(given):
    """The test for every head of both models, with p-values corrected over all of them: a table of heads."""
    found = {name: term_contrasts.previous_position_test(w, ids[name].shape[1]) for name, w in given.items()}
    table = pd.concat([
        pd.DataFrame({"model": name, "layer": np.repeat((0, 1), 8), "contrast": x.contrast.ravel(), "p": x.p.ravel(), "peak": x.peak.ravel()})
        for name, x in found.items()
    ])
    passed = statistics.holm(table["p"]) < 0.05
    return table.assign(passed=passed, peak=passed & table["peak"])


# %%
counts = [shifts(given).groupby(["model", "layer"], sort=False) for given in (trained, untrained)]
summary = pd.DataFrame({
    "favour it": counts[0]["passed"].sum(), "favour it most": counts[0]["peak"].sum(), "favour it, untrained": counts[1]["passed"].sum(),
    "largest contrast [nats]": counts[0]["contrast"].max(), "largest, untrained": counts[1]["contrast"].max(),
})
report.table(summary.reset_index(), "Heads of 8 whose position-position term favours the previous position (p < 0.05, Holm), and favours it most of all distances up to 12", digits=1)

# %% [markdown]
# A head that favours near positions of any kind passes this test too, and in the Polish model half of the heads that pass favour another distance most. The head on which the Polish model's loss depends most ({numref}`fig-terms-losses` in {doc}`attention_terms`) is among these: it favours the query's own place. So position-position singles out the previous position in some heads, but not in all.
#
# ## The same token, in token-token
#
# A token-token term may favour the query's *own place*, or it may favour the *same token*, and then earlier occurrences must stand out as well. In layer 0 the two cannot be told apart, since a token has the same state
# wherever it stands; in layer 1 they can. (Whether a head *copies* is a matter of values, not of scores: see {doc}`induction <induction>`.)
#
# In layer 0 the term is a table over the vocabulary, and the unit is the token type, that is, each different token that occurs in the sequences. Each row's mean is removed, and the mean of the table's diagonal is compared with that of 999 tables whose columns are in random order (two-sided p-values with Holm's correction over the heads of both models).
# {numref}`fig-terms-same` shows the contrast on the sequences themselves, for both layers. Frequent tokens might be favoured whatever the query is. For earlier occurrences the figure therefore subtracts the average contrast that results if each query looks for a random token of the sequence (now and then its own, which makes the contrast a little too small).
# Intervals are t intervals, so wide that the probability that any of the figure's 64 misses its true value is at most 5%.

# %%
LEVEL = 1 - 0.05 / 64
COLUMNS = ["model", "layer", "head", "term"]


def sameness(given):
    """Contrasts of the token-token term of every head with simultaneous intervals."""
    samples = {
        (*where, head, key): values[~values.isnan().any(1)][:, head].numpy()
        for where, t in given.items()
        for key, values in term_contrasts.same_token_contrasts(t[0], ids[where[0]]).items()
        for head in range(8)
    }
    return statistics.interval_table(samples, COLUMNS, lambda values: statistics.t_interval(values, LEVEL))


same = sameness(terms)
same_before = pd.concat([sameness(given).assign(seed=seed) for seed, given in enumerate(fresh_terms)])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Token-token scores of the query's own place and of earlier places of the same token, less those of the row's other keys; for earlier places, also less a null in which queries look for random tokens. Bars: t intervals over sequences that hold for all points together with 95%. Dotted: mean over the heads of five untrained models.", "name": "fig-terms-same"}, "image": {"alt": "Four panels of points, two layers by two models, eight heads each with one point for the own place and one for earlier places of the same token."}}
null_same = same_before.groupby(["model", "layer", "term"], as_index=False)["estimate"].mean()
plots.terms_by_head(same, null_same, "score above other keys [nats]", colours=dict(zip(same["term"].unique(), plots.CYCLE[2:4], strict=True)));

# %% tags=["hide-input"]
tests = {state: {name: term_contrasts.same_token_test(w, ids[name].cpu()) for name, w in given.items()} for state, given in (("trained", trained), ("untrained", untrained))}
passed = {state: statistics.holm(np.stack([x.p for x in found.values()])) < 0.05 for state, found in tests.items()}
rows = [
    (name, "layer 0, over token types", int((passed["trained"][at] & (x.contrast.numpy() > 0)).sum()), int((passed["trained"][at] & (x.contrast.numpy() < 0)).sum()), int(passed["untrained"][at].sum()))
    for at, (name, x) in enumerate(tests["trained"].items())
]
for (name, key), here in same[same["layer"] == 1].groupby(["model", "term"], sort=False):
    past = same_before.query("model == @name and layer == 1 and term == @key")
    bar = past["estimate"].abs().max()  # an untrained head has accidental preferences of its own, which more sequences would not average away
    bars = past["seed"].map({seed: past.loc[past["seed"] != seed, "estimate"].abs().max() for seed in past["seed"].unique()})  # of the four other models
    beyond = (past["low"] > bars) | (past["high"] < -bars)
    rows.append((name, f"layer 1, {key}", int((here["low"] > bar).sum()), int((here["high"] < -bar).sum()), int(beyond.sum())))
preferences = pd.DataFrame(rows, columns=["model", "contrast", "favour", "avoid", "untrained"])
of_five = preferences["contrast"].str.startswith("layer 1")
preferences["untrained"] = preferences["untrained"].astype(str) + np.where(of_five, " of 40", " of 8")
report.table(
    preferences.sort_values("model", ascending=False, kind="stable"),
    "Heads of 8 that favour or avoid the same token: in layer 0 beyond tables in random order; in layer 1 beyond the largest contrast of the heads of five untrained models, or, for these themselves, of the other four",
)

# %% [markdown]
# Here too, what the term favours is a matter of single heads. In layer 1 a head of a trained model counts only if its whole interval lies beyond the largest contrast of any head of five untrained models, and in both models some heads favour the same token by that measure while others avoid it. A mean over heads would hide this.
#
# ## Layer 1: which head wrote what is read
#
# In layer 1 the token side is itself a sum: the embedding, and what each of the eight layer-0 heads wrote. `circuits.terms.part_scores` splits the scores of a head on both
# sides: ten parts of what the query reads (the position is one of them) by ten of what the key reads. {numref}`fig-terms-parts` sums the shares of variance over what the query reads, and shows which part of the *key* makes a head's scores vary. In the toy's induction heads this is above all what previous-token heads wrote, and position; in most heads of the Polish model it is what a single layer-0 head wrote.

# %%
def part_shares(name, head):
    """Shares of one layer-1 head's variance by what wrote the key's part [part]."""
    labels, scores = attention_terms.part_scores(trained[name], ids[name][:16], 1, head)
    shares = attention_terms.row_variances(scores.flatten(0, 1)).share.mean(1)
    return pd.Series(shares.unflatten(0, scores.shape[:2]).sum(0).numpy(), labels, name=report.head_name(1, head))


# %% tags=["hide-input"] mystnb={"figure": {"caption": "Layer 1: share of each head's variance within rows by what the key reads (embedding, output of a layer-0 head, position), summed over what the query reads; 16 sequences. Shares of a row add up to 1; those under a twentieth of the largest are not written.", "name": "fig-terms-parts"}, "image": {"alt": "Two heat maps of eight layer-1 heads by ten parts, one for each model."}}
plots.part_maps({f"{name} model": pd.DataFrame([part_shares(name, head) for head in range(8)]) for name in ids}, "share of variance within rows");

# %% [markdown]
# Variance does not say what a part is good for. An induction head attends to the key after an earlier occurrence of the query's token. What raises these keys? The contrast of scores between
# induction targets and the row's other keys is linear in the scores, so it splits exactly over pairs of parts ({numref}`fig-terms-contrast`).

# %%
def induction_contrast(w, draw):
    """How much each pair of parts raises induction targets in the toy's strongest induction head: labels, [sequence, query part, key part]."""
    targets = np.stack([circuits.induction_targets(tokens) for tokens in draw.ids]) & draw.predictable[:, :, None]
    labels, scores = attention_terms.part_scores(w, torch.as_tensor(draw.ids), 1, strongest)
    return labels, attention_terms.row_contrasts(scores, torch.as_tensor(targets)).movedim(-1, 0).numpy()


labels, contrast = induction_contrast(trained["toy"], probe)
largest = statistics.choose_several(induction_contrast(trained["toy"], choosing)[1], contrast, 3)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "The toy's induction head: how much each pair of parts raises the scores of induction targets above the row's other keys, mean over sequences. The cells add up to the contrast of the whole score.", "name": "fig-terms-contrast"}, "image": {"alt": "Heat map of ten query parts by ten key parts; two cells stand out, both where the query reads the embedding: a dark one where the key reads what L0H2 wrote, and a paler one for L0H5. All others are near zero."}}
plots.part_maps({"what the query reads": pd.DataFrame(contrast.mean(0), labels, labels)}, "score above other keys [nats]");

# %%
profile = term_contrasts.mean_by_distance(terms["toy", 0].sum(0).softmax(-1)).mean(0)  # attention [head, distance]
carries = {report.head_name(0, head): f"{report.head_name(0, head)} ({report.percent(line.max())} of its attention {int(line.argmax())} back)" for head, line in enumerate(profile)}
rows = [(carries.get(labels[q], labels[q]), carries.get(labels[k], labels[k]), interval) for (q, k), interval in largest]
report.table(
    pd.DataFrame(rows, columns=["the query reads", "the key reads", "contrast [nats]"]),
    "The three pairs of parts that raise induction targets most, chosen on other sequences, with 95% intervals",
    digits=1,
)

# %% [markdown]
# All pairs together raise the targets by {glue:text}`terms-pair-total` nats; in the same head of an untrained model no pair exceeds {glue:text}`terms-pair-fresh`.
#
# The token $d$ places before an induction target is the same as
# the token $d - 1$ places before the query, so two parts that carry these tokens can be matched: the query's own token with what a key's previous-token head wrote, and the token before the query with what a head that looks two places back
# wrote. Matches of the first kind make up most of the contrast. Finding a key by what an earlier head wrote into it is called K-composition {cite}`elhage2021`; here it is seen in the scores themselves.
#
# ## Limits
#
# These are two models, one of them trained for minutes on sequences made so as to need an induction circuit; other seeds and sizes may divide the work otherwise. A contrast of scores says what raises attention and not what the attention is good for;
# {doc}`attention_terms` measures that by leaving terms out. The split of scores into tokens and positions is a {ref}`choice <terms-centring>`. The Polish paragraphs are few and were written for this book.
#
# ## Exercises
#
# 1. Which place does the position-position term of each of the toy's layer-0 heads favour most? Count the rows in which it is the place before. ({ref}`Solution <sol-targets-1>`)
# 2. Split the scores of the toy's layer-1 heads into parts on two other draws of sequences. Do the shares of the parts that the key reads agree? ({ref}`Solution <sol-targets-2>`)

# %% tags=["remove-cell"]
favour = summary["favour it"]
seek = preferences.set_index(["model", "contrast"]).loc["toy", "layer 1, earlier same token"]
(first_query, first_key), first = largest[0]
findings = {
    **{f"{name}-favour": int(favour.loc[name, 0]) for name in ids},
    "untrained-favour": int(summary["favour it, untrained"].xs(0, level="layer").sum()),
    "same-favour": int(seek["favour"]), "same-avoid": int(seek["avoid"]),
    "first-pair": f"the {labels[first_query]} of the query with what {labels[first_key]} wrote into the key",
    "pair-total": report.number(contrast.mean(0).sum(), 1),
    "pair-fresh": report.number(float(np.abs(induction_contrast(untrained["toy"], probe)[1].mean(0)).max())),
}
report.glue_frame(pd.Series(findings, dtype=object), "terms")
