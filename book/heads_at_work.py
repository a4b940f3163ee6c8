# %% [markdown]
# # Heads at work
#
# **Question.** The tables of {doc}`attention_heads` come from weights alone. So does a head's *copying score*, which says whether attending to a token makes that token more likely. When
# GPT-2 and HerBERT read a text, do their heads do what the weights say?

# %% tags=["hide-input"]
from functools import partial

import numpy as np
import pandas as pd
import scipy.stats

from analysis_lib import circuits, models, plots, projections, report, statistics
from analysis_lib.circuits.copying import copying_on_text
from analysis_lib.projections import recall
from analysis_lib.texts import paragraphs, sentences
from analysis_lib.weights import extract

plots.use_style()
TITLES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
COLOURS = {title: plots.MODEL_COLOURS[name] for name, title in TITLES.items()}
loaded = {title: models.load(name) for name, title in TITLES.items()}
fresh = {title: models.untrained_like(model, seed=0) for title, model in loaded.items()}
print(*(model.label for model in loaded.values()), sep="\n")

# %% tags=["hide-input"]
def copying(model, title):
    """Copying scores of every head, with the means over the vocabulary removed."""
    scores = circuits.copying_scores(extract(model), centre=True)
    layer, head = np.indices(scores.shape)
    return pd.DataFrame({"model": title, "layer": layer.ravel(), "head": head.ravel(), "score": scores.ravel()})


copies, copies_fresh = (pd.concat([copying(model, title) for title, model in given.items()]) for given in (loaded, fresh))

# %% tags=["hide-input"]
gpt2 = loaded["GPT-2"]
shape = extract(gpt2).n_layers, extract(gpt2).n_heads
asked = statistics.drawn_heads(*shape, most=24)  # all of a model that has no more
ids = [gpt2.vocabulary.tokenizer(text)["input_ids"] for text in paragraphs()["text"]]
ids = np.array([found[:96] for found in ids if len(found) >= 96][: 24 if len(asked) == np.prod(shape) else 12])
on_text, fresh_on_text = (copying_on_text(model, ids, asked) for model in (gpt2, fresh["GPT-2"]))
scored, scored_fresh = (
    table.query("model == 'GPT-2'").assign(trained=trained, text=found["ablation"].mean(axis=0).ravel()).dropna(subset="text")
    for table, trained, found in ((copies, True, on_text), (copies_fresh, False, fresh_on_text))
)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "GPT-2's heads, 24 drawn evenly from its layers: copying score from weights against copying on text (mean over paragraphs); the five with the largest effect on text, up or down, are named. If the score told what heads do, points would lie along a rising line.", "name": "fig-heads-copying-text"}, "image": {"alt": "Twenty-four points. Most lie near zero on text, at scores on both sides of zero; the crosses of the untrained model lie at zero. L0H3, with a high score, is highest, and L0H1, with nearly the same score, lies far below all others."}}
plots.labelled_points(pd.concat([scored, scored_fresh]), "score", "text", "copying score, from weights", "copying on text [logits]", named=5);

# %% [markdown]
# **What was found**
#
# - **The copying score is no safe guide to the heads that copy.** By their scores, most heads of GPT-2 make the tokens that they attend to less likely. Of the heads that were measured on text, {glue:text}`heads-copying-raise` make these tokens more likely and {glue:text}`heads-copying-lower` less.
#   Scores and effects on text have a rank correlation of {glue:text}`heads-copying-agree`. So no agreement is shown, though with so few heads a moderate one cannot be excluded.
# - **Tables say what many heads of HerBERT write at a place; in GPT-2 they do so only in the first layer.** A row of a head's table predicts 50 tokens. In most heads of GPT-2's first layer, and in about a third of the heads of HerBERT's layers 0 to 4, the tokens that the head raises most at a place include far more of the 50 predicted for this place than of the 50 predicted for another place of the sentence.
#   In the best heads of both models they include more than half of the 50 for this place. In GPT-2's later layers, and in HerBERT's last layer, the difference is small.
# - **Lists of neurons say something about the place, though not much.** The list of a neuron has the tokens that it raises. In every layer of both models, the list of the neuron that is most active at a place holds clearly more of the tokens that the state favours there than the list of the neuron that is most active at another place of the sentence.
#   Yet it holds few of these tokens: about a tenth in GPT-2's first layer, and fewer in all other layers.
#
# Square brackets hold 95% intervals. Layers and heads count from 0.
#
# ## Copying
#
# A head copies when attending to a token promotes that token. The copying score of {cite:t}`elhage2021` is
#
# $$\frac{\sum_i \mathrm{Re}\,\lambda_i}{\sum_i |\lambda_i|}$$
#
# where $\lambda_i$ are the eigenvalues of VO. Computing it takes only a $d_\mathrm{head} \times d_\mathrm{head}$ matrix.

# %%
scores = circuits.copying_scores(extract(gpt2), centre=True)
report.table(pd.DataFrame(scores).rename_axis("layer").rename(columns="head {}".format).head(6).reset_index(), "GPT-2: copying scores, by layer and head")

# %% [markdown]
# Positive eigenvalues do not prove copying, and an untrained model shows how far the score strays from zero by chance. Trained embeddings have a mean in common, and one eigenvalue along this mean can outweigh all others. Removing the mean over the
# vocabulary from the unembedding (`centre=True`) changes no probability, since softmax ignores a constant that is added to all logits.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Copying score by eigenvalues, means over the vocabulary removed: one point for each head above its layer; crosses are untrained models of the same shape. In GPT-2 most heads lie below every untrained one, but most of the first layer lie above. In HerBERT most heads of layers 0, 4 and 5 lie above zero, and most heads of layers 1 to 3 below every untrained one.", "name": "fig-heads-copying"}, "image": {"alt": "Points between minus one and one for each layer of GPT-2 and HerBERT, crosses of untrained models around zero. In GPT-2 most points of layer 0 lie above zero, most of the later layers far below it. In HerBERT most points of layers 0, 4 and 5 lie above zero, and most points of layers 1 to 3 far below it."}}
plots.points_by_layer(copies, copies_fresh, "score", "copying score", COLOURS);

# %% [markdown]
# By this score most heads of GPT-2 *lower* the logit of what they attend to. Do they do so on text? {numref}`fig-heads-copying-text` has 24 heads, drawn evenly from the layers. It shows
# how much more a head raises the tokens that it attends to than the tokens of the context in general, on average over the places of 12 paragraphs. How much it raises a token is measured by the fall of the token's logit when the head's output is replaced by its mean, which is how {cite:t}`mcdougall2023` tested copy
# suppression. The direct effect of the head on the logits leaves out what later layers make of its output, and gives another answer (correlation over heads {glue:text}`heads-copying-direct`).

# %%
by_head = {kind: np.stack([values[:, layer, head] for layer, head in asked]) for kind, values in on_text.items()}  # [head, paragraph]
level = 1 - 0.05 / len(asked)  # for all heads at once
effects = pd.DataFrame({kind: [statistics.t_interval(row, level=level) for row in rows] for kind, rows in by_head.items()})
effects.insert(0, "head", [report.head_name(*head) for head in asked])
effects.insert(1, "score", scored["score"].to_numpy())
raising, lowering = sum(found.low > 0 for found in effects["ablation"]), sum(found.high < 0 for found in effects["ablation"])
ranks = [scipy.stats.rankdata(scored[name]) for name in ("score", "text")]
agreement = scipy.stats.pearsonr(*ranks)

# %% tags=["remove-cell"]
shuffled = np.array([np.corrcoef(ranks[0], np.random.default_rng(seed).permutation(ranks[1]))[0, 1] for seed in range(400)])
report.finding("heads-copying-text", "GPT-2's copying scores tell what its heads do on text", statistics.Interval(agreement.statistic, *agreement.confidence_interval()), {"permuted heads": shuffled},
               unit="rank correlation", model="polish-gpt2", section="heads_at_work.html#fig-heads-copying-text")
report.glue("heads-copying-raise", raising)
report.glue("heads-copying-lower", lowering)
report.glue("heads-copying-agree", report.interval(agreement.statistic, *agreement.confidence_interval()))
below = effects[effects["score"] < copies_fresh.query("model == 'GPT-2'")["score"].min()]
report.glue("heads-copying-below", len(below))
for kind, key in (("ablation", "below"), ("direct", "below-direct")):
    report.glue(f"heads-copying-{key}-raise", sum(found.low > 0 for found in below[kind]))
    report.glue(f"heads-copying-{key}-lower", sum(found.high < 0 for found in below[kind]))
report.glue("heads-copying-direct", report.number(np.corrcoef(*(by_head[kind].mean(axis=1) for kind in ("direct", "ablation")))[0, 1]))

# %% [markdown]
# On text, {glue:text}`heads-copying-lower` heads do lower the logit of what they attend to, and {glue:text}`heads-copying-raise` raise it (the intervals behind these counts hold for all heads at once). The score is not shown to tell the two groups apart: of two heads of the first layer with similar high scores, one raises what it attends to more than any other head does, and the other lowers it most.
# The eigenvalues weigh all directions of the embedding alike, while on text a head meets only the tokens that its own attention picks out. {doc}`grammar` asks what becomes of another score from weights when a later layer's table is read after the
# mean update of earlier layers.
#
# ### A score below zero
#
# A score below that of every untrained head is no reliable sign that a head works against what it attends to. Of the heads measured on text, {glue:text}`heads-copying-below` have such a score. Removing them one by one shows that {glue:text}`heads-copying-below-lower` of them lower the tokens that they attend to and {glue:text}`heads-copying-below-raise` raise them. By the direct effect alone,
# {glue:text}`heads-copying-below-direct-lower` lower them and {glue:text}`heads-copying-below-direct-raise` raise them. For the rest neither is shown. The table has every head that was measured.

# %% tags=["hide-output"]
shown = effects.rename(columns={"score": "copying score", "direct": "direct effect [logits]", "ablation": "by removing the head [logits]"})
report.table(shown.sort_values("copying score"), "GPT-2: copying score from weights, and copying on text by its two effects; intervals hold for all heads at once")

# %% [markdown]
# ## Do the tables predict what heads write?
#
# At every place of {glue:text}`heads-recall-sentences` sentences written for this book, take the token that a head attends to most; its row of VO predicts 50 tokens. The *recall* is the share of them that are among the 50 tokens that the head's actual output
# raises most. Two controls give each place the prediction of another place, so lists that always hold the same tokens gain nothing. In the first control the other place is anywhere, in the second it is in the same sentence. Only the second also keeps the sentence's
# topic, and the *excess* is the recall less this control. The unembedding is raw here, since the model itself projects a head's output with it.

# %%
texts = sentences()
layer_normed = partial(projections.vo_factors, embedding="layer_norm")
recalled = []
for title, model in loaded.items():
    some = statistics.drawn_heads(extract(model).n_layers, extract(model).n_heads, most=96)  # of a small model all
    recalled.append(recall.head_recall(model, texts, layer_normed, heads=some).assign(model=title))
recalled = pd.concat(recalled)

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Recall of a head's predicted tokens among those its output raises most, against two permuted controls: one point for each head, bars are 95% bootstrap intervals over sentences. On the line, the table says nothing about the place; a head high on the line raises the same tokens at every place.", "name": "fig-heads-recall"}, "image": {"alt": "Two scatter plots of recall against control for the heads of GPT-2 and HerBERT, with the diagonal. Left: places permuted within sentences. Right: places permuted across all sentences. In both, seven heads of GPT-2's first layer and about fifteen heads of HerBERT lie far above the diagonal, and more heads of HerBERT less far; the other heads of GPT-2 lie near it, some of them high up."}}
controls = {"control": "recall, places permuted\nwithin sentences", "control_anywhere": "recall, places permuted\nacross sentences"}
plots.against_control(recalled, COLOURS, controls, "recall (share of 50)");

# %%
tests = recalled.dropna(subset="recall")
measured, chosen = [], {}
for title, model in loaded.items():  # the best heads are chosen on every second sentence and measured on the others
    some = list(tests.loc[tests["model"] == title, ["layer", "head"]].itertuples(index=False, name=None))
    on_half = recall.head_recall(model, texts[::2], layer_normed, heads=some).nlargest(2, "excess")
    chosen[title] = list(on_half[["layer", "head"]].itertuples(index=False, name=None))
    measured.append(recall.head_recall(model, texts[1::2], layer_normed, heads=chosen[title]).assign(model=title))
best = pd.concat(measured)
best = best.assign(head="L" + best["layer"].astype(str) + "H" + best["head"].astype(str), difference=[statistics.Interval(*row) for row in best[["excess", "excess_low", "excess_high"]].to_numpy()])
best = best[["model", "head", "recall", "control", "difference"]].rename(columns={"control": "within sentences"})
report.table(best, "The two heads of each model that exceed their control most in every second sentence, measured in the others; intervals over sentences")

# %% tags=["remove-cell"]
few = {title: statistics.drawn_heads(extract(model).n_layers, extract(model).n_heads, most=12) for title, model in loaded.items()}


def mean_excess(found):
    """Mean over heads or layers, with an interval as if all of them erred together, which makes it too wide rather than too narrow."""
    return tuple(found[["excess", "excess_low", "excess_high"]].mean())


def beside_untrained(model, measure):
    """A mean excess in the model, and in four untrained ones on the same sentences."""
    return mean_excess(measure(model)), np.array([mean_excess(measure(models.untrained_like(model, seed)))[0] for seed in range(4)])


for name, title in TITLES.items():
    value, null = beside_untrained(loaded[title], lambda model, title=title: recall.head_recall(model, texts[::4], layer_normed, heads=few[title]))
    report.finding(f"heads-{name}-recall", f"{title}: training makes tables of heads tell what the heads write", value, {"untrained": null},
                   unit="recall beyond other places", model=name, section="heads_at_work.html#fig-heads-recall")
    report.glue(f"heads-{name}-recall-untrained", report.number(null.max(), 3))

# %% tags=["remove-cell"]
report.glue("heads-recall-sentences", len(texts))
for name, title in TITLES.items():
    own = tests.loc[tests["model"] == title, "excess"]
    report.glue(f"heads-{name}-recall-excess", report.interval(*statistics.t_interval(own), digits=3))

# %% [markdown]
# On average over heads, recall exceeds the control by {glue:text}`heads-polish-gpt2-recall-excess` in GPT-2 and by {glue:text}`heads-herbert-recall-excess` in HerBERT. The average is over all heads that can be tested (in a larger model 96, drawn evenly from its layers), and places whose most attended token is special, as HerBERT's `<s>` and `</s>` are, are left out.
# In untrained models it is at most {glue:text}`heads-polish-gpt2-recall-untrained` for GPT-2's shape and {glue:text}`heads-herbert-recall-untrained` for HerBERT's; these are four models of each shape, with twelve heads each, on every fourth sentence.
# The intervals are over heads, and do not say how other sentences would do. The differences in the table have intervals over sentences, and all four lie far above zero.
#
# The interval over HerBERT's heads may be too narrow, since these heads are not independent. Its heads of one number in layers 0 to 4 began training with the same queries and keys and still look at similar places. In each of these layers heads 4 and 6 exceed their control most.
#
# Nearly all of GPT-2's excess comes from its first layer, where a head reads no more than embeddings of tokens and places. HerBERT's excess comes from many heads of its layers 0 to 4; the two that exceed their control most are of its first layer, and its last layer has little.
# A row of a table knows the attended *token*, whereas a head reads the attended *state*, in which other things have been added to the token. Depth alone does not decide how much that matters: two heads of HerBERT's layer 4 exceed their control by more than any head of its layers 2 and 3.
#
# ### What the best heads do
#
# The four heads of the table show three ways of looking. The next table has the shares of places at which the token that a head attends to most is the one before, the one at the place itself, and the one after. GPT-2's L0H5 and HerBERT's L0H4 look at the token before, HerBERT's L0H6 at the token after, and GPT-2's L0H3 at the token itself or, less often, at the one before.

# %%
at_work = {(title, head): recall.head_places(loaded[title], texts[1::2], layer_normed, head) for title in chosen for head in chosen[title]}
looks = {(title, report.head_name(*head)): [(places["offset"] == offset).mean() for offset in (-1, 0, 1)] for (title, head), places in at_work.items()}
looks = pd.DataFrame.from_dict(looks, orient="index", columns=["the one before", "the same", "the one after"])
looks.insert(0, "head", [" ".join(key) for key in looks.index])
looks = looks.reset_index(drop=True)
report.table(looks, "Which token a head attends to most: shares of places in the sentences that the heads were not chosen on", formats=dict.fromkeys(looks.columns[1:], ".0%"))

# %% [markdown]
# The table below shows each of these heads at three places, again by rule: those where its recall is highest, in the middle, and lowest. The token of the place stands in brackets. The last column says how many of the 50 tokens that the row predicts are among the 50 that the head raises most.

# %%
def in_brackets(text, start, end, around=22):
    """A token in brackets, with some of the text on both sides."""
    before, after = text[:start], text[end:]
    before = before if len(before) <= around else "… " + before[-around:].split(" ", 1)[-1]
    after = after if len(after) <= around else after[:around].rsplit(" ", 1)[0] + " …"
    return f"{before}[{text[start:end].strip()}]{after}"


rows = []
for (title, head), places in at_work.items():
    words, ordered = loaded[title].vocabulary.labels, places.sort_values("recall", ascending=False, kind="stable")
    for row in ordered.iloc[sorted({0, len(ordered) // 2, len(ordered) - 1}) if len(ordered) else []].itertuples():
        lists = [", ".join(words(found[:5])) for found in (row.predicted, row.written)]
        place = in_brackets(texts[1::2][row.text], row.start, row.end)
        rows.append((f"{title} {report.head_name(*head)}", place, words([row.attended_id])[0], *lists, round(50 * row.recall)))
columns = ["head", "place", "attends to", "its row predicts", "the head raises", "in both"]
report.table(pd.DataFrame(rows, columns=columns), "Three places of each of the two best heads", polish=columns[2:5])

# %% [markdown]
# In GPT-2 the best places are easy to read. After a comma L0H5 raises *zaś* (whereas) and forms of *który* (which), words that often follow one. At *pytanie* (question) L0H3 looks at this word and raises *o* (about) and *dotyczące* (concerning), which often come next. At its worst place, a comma, L0H3 writes hardly anything of what the row of the comma predicts.
# HerBERT's lists are harder to read: the row of *kę* (the end of *gospodarkę*, economy) predicts mostly nouns, among them the accusatives *metodę* (method) and *siłę* (force), and most other rows predict a mixture. That a table predicts what a head writes does not mean that this can be understood.
#
# ## The same question for neurons
#
# {cite:t}`dar2022` ask the same of feed-forward values, the vectors that neurons add to the state: does the list of the most active value at a place hold the tokens that the hidden state after its block favours?

# %%
values = pd.concat([recall.value_recall(model, texts).assign(model=title) for title, model in loaded.items()])
values["difference"] = [statistics.Interval(*row) for row in values[["excess", "excess_low", "excess_high"]].to_numpy()]
shown = values.rename(columns={"control": "within sentences", "control_anywhere": "anywhere", "n_places": "places"})
columns = ["model", "layer", "recall", "within sentences", "difference", "anywhere", "places"]
report.table(shown[columns], "Recall of the most active value among the hidden state's top 50 tokens, beside permuted places: the difference to places within sentences has an interval over sentences", digits=3)

# %% tags=["remove-cell"]
for name, title in TITLES.items():
    value, null = beside_untrained(loaded[title], lambda model: recall.value_recall(model, texts[::4]))
    report.finding(f"heads-{name}-value-recall", f"{title}: training makes lists of active neurons tell what the state favours", value, {"untrained": null},
                   unit="recall beyond other places", model=name, section="heads_at_work.html#the-same-question-for-neurons")
    report.glue(f"heads-{name}-value-untrained", report.number(null.max(), 3))

# %% [markdown]
# The list holds more of these tokens than another place's list in every layer of both models: each interval of the difference lies above zero. The difference is smallest in HerBERT's last layer. In three layers of GPT-2, the first among them, another place's list of the same sentence reaches about half of this recall, so some tokens are in many lists there. In GPT-2's other layers and in all of HerBERT's it reaches a fifth to two fifths. In untrained models, four of each shape on every fourth sentence, the difference averaged over layers is at most {glue:text}`heads-polish-gpt2-value-untrained` for GPT-2's shape and {glue:text}`heads-herbert-value-untrained` for HerBERT's. {doc}`neurons_at_work` looks at single neurons, and not just the
# most active one.
#
# ## Limits
#
# - Copying on text needs a model that predicts the next token, so only GPT-2 was tested. The paragraphs were written for this book.
# - A later layer may take back what a head writes. The removal of a head includes that, and cannot tell it from what the head does by itself.
# - The most attended token is one of many that a head mixes, and the most active value is one of many that a layer adds. Recall can therefore be low even where the prediction is right for that one token or value.
# - Heads are compared with their own output, neurons with the whole state after their block, which contains the value in question. For neurons some agreement is therefore built in, and the two recalls are not on one scale.
# - Biases and positions are left out of the tables.
#
# ## Exercises
#
# 1. Compute GPT-2's copying scores without removing the means. How many heads change their sign? ({ref}`Solution <sol-copying-1>`)
# 2. On the first twelve of 24 paragraphs, find the head that most raises what it attends to. By how much does it do so on the other twelve? ({ref}`Solution <sol-copying-2>`)
