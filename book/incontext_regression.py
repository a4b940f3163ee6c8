# %% [markdown]
# # Regression in context
#
# **Question.** A small GPT-2 reads points of a linear function that it has never seen, and predicts the next one. How well does it regress, which points does it
# use, and what do its heads contribute? {doc}`incontext_algorithms` asks by which steps it gets there.
#
# {numref}`fig-ctx-errors` compares its errors with those of the textbook methods and of an untrained model.
#
# **What was found**
#
# - **The model does regression.** After nine examples the error of always answering zero is {glue:text}`ctx-ratio` times as large as the model's. The model does not quite reach least squares, which makes no error at all.
# - **It uses eight of the nine points that it sees.** The last one has next to no influence on its answer: no head of the first layer brings that point's question and answer together. How many points are used differs from seed to seed.
# - **The cluster of an attention row can be guessed from its position, as it can where attention is random.** A row is the attention that one token pays to those it sees. Knowing the inputs as well is shown to improve the guess in {glue:text}`ctx-cluster-gains` of {glue:text}`ctx-cluster-tests` sets of rows.
#
# A second model, which reads the predictions of two regressions where this one reads x, is the subject of {doc}`model_selection`. Square brackets hold 95% intervals, over prompts unless
# the text says otherwise. Layers and heads are counted from 0, so that L0H1 is the second head of the first layer. On the page {doc}`live` the model runs in your browser: move points,
# and see its answers beside those of least squares.

# %% tags=["hide-cell"]
from functools import partial

import numpy as np
import pandas as pd

from analysis_lib import incontext, models, plots, report, statistics
from analysis_lib.incontext import answers, behaviour, clusters, estimators, heads, prompts
from analysis_lib.models import training_history

plots.use_style()

D, N = 3, 10  # dimensions of an x, points of a prompt
LATE = slice(2 * D, None)  # the points after six examples or more
NOISE = 0.5
PENALTIES = np.geomspace(1e-3, 3, 15)
CLUSTERED = 40  # prompts whose attention rows are clustered

# %% [markdown]
# ## Models and prompts
#
# A prompt is a row of points with $x_i \sim N(0, I_d)$, $w \sim N(0, I_d)$ and $y_i = w \cdot x_i$, plus noise where stated {cite}`garg2022`; here $d = 3$ and a prompt has ten points. A point is two
# tokens: a *question*, which holds $x_i$, and an *answer*, which holds $y_i$. The model is a GPT-2 with three layers of two heads. A linear read-in takes tokens to its width, and a linear
# read-out turns the state at question $i$ into the prediction of $y_i$, made from $x_i$ and the points before it. Errors are $(\hat y - y)^2 / d$, so that always answering zero errs by 1 on average. All prompts of this page
# come from seeds that no training used.

# %%
regressor, noisy = (models.load(name, source="embedded") for name in ("regressor", "regressor-noisy"))
untrained = models.untrained_like(regressor, seed=0)
print(regressor.label, noisy.label, sep="\n")

fresh = incontext.linear_prompts(1280, N, D, seed=1)
transformer = partial(incontext.predict, regressor)

# %% [markdown]
# ## Error against the number of examples
#
# The model is compared with estimators that see the same points. *Least squares* takes the solution of least norm where there are fewer points than dimensions. *Ridge* is
# $\hat w = (X^\top X + \lambda I)^{-1} X^\top y$, the posterior mean of $w$ if $\lambda$ is the variance of the noise divided by that of the weights {cite}`akyurek2023`. *Averaging* is $\hat w = \frac1k \sum x_i y_i$; *neighbours* answers with the mean y of the nearest x.
# The *lasso* penalises the sum of the absolute weights; it is slow, so it was run on only 128 prompts.

# %%
ESTIMATORS = {
    "transformer": transformer,
    "least squares": incontext.least_squares,
    "ridge(0.1)": partial(incontext.ridge, penalty=0.1),
    "3 neighbours": estimators.nearest_neighbours,
    "averaging": estimators.averaging,
    "zero": estimators.zero,
    "untrained": partial(incontext.predict, untrained),
}
errors = {name: incontext.query_errors(estimator, fresh) for name, estimator in ESTIMATORS.items()}
slow = incontext.linear_prompts(128, N, D, seed=2)
errors["lasso(0.01)"] = incontext.query_errors(partial(estimators.lasso, penalty=0.01), slow)

# %% tags=["key-figure", "hide-input"] mystnb={"figure": {"caption": "Squared error divided by d against the number of examples (lower is better), with 95% bootstrap bands over prompts. Least squares is exact from three examples on and leaves the figure.", "name": "fig-ctx-errors"}, "image": {"alt": "Lines falling from one: least squares drops out at three examples; the transformer follows it until two examples and goes down to some thousandths, where ridge continues below; three neighbours, averaging and the untrained model stay high."}}
plots.curves(incontext.error_curves(errors), "squared error / d", floor=1e-3, ceiling=8);

# %% [markdown]
# With fewer examples than dimensions the model errs about as little as least squares of least norm, which is the best one can do there. The gap is largest with three examples, where least squares
# becomes exact and the model does not. From six examples on, where least squares is exact, the model's error is {glue:text}`ctx-late`.
#
# ## One prompt
#
# One prompt shows what the model does, point by point. In each row y is predicted from the x of that row and from the rows above.

# %%
shown = incontext.linear_prompts(400, N, D, seed=11)
example = shown.first(1)
columns = {"y": example.ys.numpy()} | {
    name: ESTIMATORS[name](example.xs, example.ys) for name in ("transformer", "least squares", "ridge(0.1)")
}
points = pd.DataFrame(example.xs[0].numpy(), columns=["x₁", "x₂", "x₃"]).assign(**{name: values[0] for name, values in columns.items()})
report.table(points.rename_axis("points before"), "One prompt: its points, and what is predicted for each y from the points before", index=True)

# %% [markdown]
# ## In distribution and out of it
#
# The same model reads other prompts {cite}`garg2022`: x shorter and longer; a covariance that falls as $1/i^2$ along random axes; points in one quadrant and questions in the opposite one; questions that are
# orthogonal to all points, where zero is the best answer; noise in y. Each error is divided by the mean error of answering zero in the same setting. With noise, the best estimator is ridge regression with
# $\lambda = 0.25$, and a second model that was trained on such prompts joins the comparison.

# %%
SETTINGS = {
    "in distribution": fresh,
    "x half as long": incontext.linear_prompts(640, N, D, seed=3, scale=0.5),
    "x three times as long": incontext.linear_prompts(640, N, D, seed=4, scale=3.0),
    "skewed covariance": incontext.linear_prompts(640, N, D, seed=5, transform=prompts.skewed_transform(D, seed=6)),
    "opposite quadrant": prompts.opposite_quadrants(640, N, D, seed=7),
    "orthogonal questions": prompts.orthogonal_queries(640, D, D, seed=8),
    "noise 0.5": incontext.linear_prompts(1280, N, D, seed=17, noise=NOISE),
}
WITH_NOISE = {
    "transformer trained with noise": partial(incontext.predict, noisy),
    "Bayes-optimal ridge": partial(incontext.bayes_ridge, noise=NOISE),
}

# %%
outside = {}
for setting, drawn in SETTINGS.items():
    answerers = {name: ESTIMATORS[name] for name in ("transformer", "least squares", "zero")} | (WITH_NOISE if drawn.noise else {})
    found = {name: incontext.query_errors(estimator, drawn) for name, estimator in answerers.items()}
    outside[setting] = {name: values / found["zero"].mean() for name, values in found.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Squared error relative to that of answering zero, out of distribution; 95% bootstrap bands over prompts. Where least squares is exact its line leaves the panel; with noise it explodes at three examples.", "name": "fig-ctx-ood"}, "image": {"alt": "Four panels of error against examples. The transformer falls to about a hundredth for skewed covariance and opposite quadrants and stays higher for longer x; with noise it falls only to about a quarter, while the model trained with noise ends between the other model and the Bayes-optimal ridge."}}
PANELS = ("x three times as long", "skewed covariance", "opposite quadrant", "noise 0.5")
curves = {setting: incontext.error_curves(outside[setting]) for setting in PANELS}
plots.curve_panels(curves, "squared error relative to zero", floor=5e-3, ceiling=5);

# %% tags=["hide-input"]
last = {
    setting: {name: statistics.bootstrap_interval(values[:, -1]) for name, values in found.items() if name != "zero"}
    for setting, found in outside.items()
}
report.table(pd.DataFrame(last).T, "Error after the most examples, relative to that of answering zero", digits=3, index=True)

# %% [markdown]
# Without noise, least squares copes with any geometry of a prompt, so its column shows what a model that had *learned least squares* would do. This model learned it only for x of the lengths that it saw: longer x hurt most,
# and other directions raise the error too, though far less. For orthogonal questions zero is the best answer, and the model and least squares both stay near it.
#
# With noise least squares explodes at three examples. The model that was trained with noise does not, but it does not reach the best estimator either: from six examples on its error stays above that of the
# Bayes-optimal ridge, and at the last point even least squares errs less.
#
# ## The weights it behaves as if it had
#
# An estimator that is linear in the question has weights. What a model has in their place is the gradient of its prediction with respect to the x asked about, which `implied_weights` takes by automatic differentiation:
#
# $$\hat w_k = \frac{\partial \hat y_{k+1}}{\partial x_{k+1}}.$$
#
# Which ridge regression are these weights nearest to ({numref}`fig-ctx-penalties`)? For a model that had learned noiseless least squares it would be the one with the smallest penalty; for the model trained with noise the best penalty is
# `bayes_penalty(0.5)`, which is 0.25.

# %%
part, noisy_part = incontext.linear_prompts(320, N, D, seed=10), SETTINGS["noise 0.5"].first(320)
implied = incontext.implied_weights(regressor, part.xs, part.ys)
noisy_implied = incontext.implied_weights(noisy, noisy_part.xs, noisy_part.ys)
profiles = {
    "without noise": behaviour.penalty_profile(implied, part, PENALTIES, examples=(1, 2, 3, 5, 9)),
    "with noise": behaviour.penalty_profile(noisy_implied, noisy_part, PENALTIES, examples=(1, 2, 3, 5, 9)),
}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Squared distance / d of the implied weights from those of ridge regressions, by penalty, for the models trained without and with noise; a dot at the nearest. Without noise the smallest penalty would be best.", "name": "fig-ctx-penalties"}, "image": {"alt": "Two panels with a line for each of one, two, three, five and nine examples over penalties from a thousandth to three, each with a dot at its minimum: below a tenth without noise; with noise near the dashed line at a quarter, and for nine examples at about twice that."}}
plots.penalty_profiles(profiles, "squared distance / d", {"with noise": estimators.bayes_penalty(NOISE)});

# %% [markdown]
# The model trained with noise is nearest to ridge regressions near the best penalty (somewhat above it with nine examples), and the one trained without noise to those with penalties of some hundredths or less. With three examples least squares divides by singular values that may be near zero, and the model does not follow it all the way.
#
# ## Which points it uses
#
# Least squares uses every point shown. Does the model? The gradient of the last prediction with respect to a shown $y_i$ says how much that answer counts. For an estimator that is linear in the answers, it equals the prediction when $y_i$ is 1 and the other answers are 0.

# %%
influence = {
    "transformer": incontext.answer_influence(regressor, part.xs, part.ys),
    "least squares": behaviour.linear_influence(incontext.least_squares, part.xs),
    "untrained": incontext.answer_influence(untrained, part.xs, part.ys),
}
sizes = {name: np.abs(gradient) for name, gradient in influence.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How much each of the nine shown answers moves the last prediction: mean size of the gradient, with 95% bootstrap bands over prompts.", "name": "fig-ctx-influence"}, "image": {"alt": "Size of the gradient against the place of the shown point: flat for least squares, near zero for the untrained model, and for the transformer highest at the first of eight points and about level over the rest, clearly above that of least squares, and near zero at the ninth."}}
by_point = {name: curve.assign(examples=curve["examples"] + 1) for name, curve in incontext.error_curves(sizes).items()}
plots.curves(by_point, "size of the gradient", "shown point", log=False, floor=0);

# %% [markdown]
# The model weighs the first eight points about evenly and leaves out the ninth. (The first has the highest mean, but its band overlaps with those of other points.) The last three have {glue:text}`ctx-influence-transformer` of the influence on its answer, and {glue:text}`ctx-influence-least-squares` of the influence on the answer of least squares. A point that is not used cannot help: in {numref}`fig-ctx-errors`
# the model's error does not fall at the last step.
#
# ## Taking heads out
#
# How large does the error become without a head, from six examples on? The head's output is replaced by zero, or by its mean over prompts at each token, which removes only what depends on the prompt.

# %%
without = {how: heads.ablation_errors(regressor, fresh, LATE, how) for how in answers.ABLATIONS}
choosing = incontext.linear_prompts(640, N, D, seed=18)  # the head to speak of is chosen here and measured on the prompts above
key_head = statistics.choose_and_measure(heads.ablation_errors(regressor, choosing, LATE), without["mean"])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Squared error / d from six examples on without one head (further right is worse); 95% t intervals over prompts.", "name": "fig-ctx-heads"}, "image": {"alt": "Six rows, one for each head, with circles and squares on a logarithmic axis, all to the right of the error of the whole model. L0H1 lies furthest to the right: at the error of the zero predictor with the mean in its place, and beyond it with zero."}}
ablations = pd.concat([heads.by_head(values).assign(group=f"{how} in its place") for how, values in without.items()])
whole = float(errors["transformer"][:, LATE].mean())
plots.forest(ablations, "squared error / d", {"whole model": whole, "zero predictor": 1.0}, log=True);

# %% [markdown]
# Ablating {glue:text}`ctx-head-worst` destroys the regression: with the mean in its place the error is about as large as that of always answering zero. Its attention on the prompt of the table above shows why
# ({numref}`fig-ctx-grid`), and {numref}`fig-ctx-grid-later` shows a head of the next layer. Queries run from top to bottom and keys from left to right, questions (x) and answers (y) apart.

# %%
patterns = {name: heads.attention_patterns(loaded, shown) for name, loaded in (("trained", regressor), ("untrained", untrained))}


def grid(layer, head):
    """The picture that the original notebook meant to draw, of one head on the prompt of the table."""
    pattern = patterns["trained"][layer, 0, head]
    labels = [clusters.cluster_rows(rows).labels for rows in clusters.split_rows(pattern)]
    return plots.attention_grid(pattern, shown.xs[0], shown.ys[0], *labels)


# %% tags=["hide-input"] mystnb={"figure": {"caption": "The head that the model can least do without: attention of x and y queries to x and y keys on one prompt. Margins: inputs (x has three rows or columns), and the clusters of the rows of this prompt.", "name": "fig-ctx-grid"}, "image": {"alt": "Four triangular maps of attention with coloured margins; the first eight answers attend along the diagonal of the x keys, and questions after the first attend mainly to earlier answers, spread over the first eight."}}
grid(*key_head.index);

# %% tags=["hide-input"] mystnb={"figure": {"caption": "L1H0 on the same prompt.", "name": "fig-ctx-grid-later"}, "image": {"alt": "Four triangular maps of attention with coloured margins; attention is spread over many keys, unevenly."}}
grid(1, 0);

# %% [markdown]
# The prompt keeps $x_i$ and $y_i$ in separate tokens, so some head has to bring them together before a later layer can use the pair. The head of {numref}`fig-ctx-grid` does: at the first eight points an answer pays {glue:text}`ctx-bind-early` of its
# attention in this head to its own question, and at the last two {glue:text}`ctx-bind-late`. An answer that no head binds to its question cannot be used: {numref}`fig-ctx-influence` shows the same boundary in the model's predictions.
#
# ## Are there kinds of rows?
#
# The rows of 40 prompts are clustered together, separately for each head and for questions and answers, by k-means, with the number of clusters (2 to 9) chosen by silhouette {cite}`rousseeuw1987`. How well do clusters agree with positions
# (adjusted mutual information, 0 by chance {cite}`vinh2010`)? How often does a linear support vector machine guess a row's cluster from its position, on prompts that it was not fitted to? And what does the machine gain from knowing the inputs as well: the x of the point and its
# squares and, for answers, y and its square? The nulls are an untrained model, and random attention: a softmax of independent normal scores over the keys that a row may see.

# %%
random = clusters.random_attention(patterns["trained"][1:2, :CLUSTERED, :1], seed=0)
sources = {name: by_layer[:, :CLUSTERED] for name, by_layer in patterns.items()} | {"random": random}
N_SETS = 2 * patterns["trained"].shape[0] * patterns["trained"].shape[2]  # questions and answers of every head
described = {
    source: clusters.describe_heads(by_layer, shown.xs[:CLUSTERED], shown.ys[:CLUSTERED], level=1 - 0.05 / N_SETS)
    for source, by_layer in sources.items()
}

# %%
cuts = {
    "trained": np.mean([clusters.prompt_cuts(clusters.split_rows(sources["trained"][at, :, h])[0]) for at in (1, 2) for h in (0, 1)], axis=0),
    "random": clusters.prompt_cuts(clusters.split_rows(clusters.random_attention(random, seed=1)[0, :, 0])[0]),
}

# %% tags=["hide-input"]
COLUMNS = {"position_agreement": "agreement with position", "majority": "always the largest", "position": "guessed from position", "content": "variance within position"}
summary = {
    source: {"sets of rows": len(found), "clusters": report.span(found["count"].astype(float), 0)}
    | {title: found[name].mean() for name, title in COLUMNS.items()}
    | {"sets where inputs add": sum(gain.low > 0 for gain in found["gain"])}
    | ({"one prompt, early or late": cuts[source].mean()} if source in cuts else {})
    for source, found in described.items()
}
report.table(pd.DataFrame(summary).T, f"Clusters of attention rows, means over sets of rows; inputs add where the interval of the gain, at level 1 - 0.05/{N_SETS}, lies above 0; last, how well a cut between early and late queries tells two clusters of one prompt's rows apart", index=True)

# %% [markdown]
# From position alone nearly every row's cluster is guessed correctly. For random attention this is so as well, though there one cluster is so large that always guessing it is not far behind. The last column but one counts the sets in which the inputs are found to add something. The notebook that this chapter goes back to was
# meant to cluster one prompt at a time. When the rows of one prompt are split into two clusters, a cut between early and late queries tells them apart as well for random rows as for rows of the trained layers 1 and 2 (last column). Clusters that are not compared with position may show no more than the causal mask.
#
# ## What rows follow
#
# Rows that do not fall into kinds may still depend on the inputs. On average, position leaves a part of the variance of the trained model's rows unexplained (the table's *variance within position*), while it explains nearly all of the untrained model's. What does the unexplained part follow? If the model regresses by attention, a question should look at a point
# according to $x_i \cdot x$. {numref}`fig-ctx-follows` shows the slope: how much more attention the last question pays to a point (its two tokens together) for each unit of this product, beyond the mean at that place. Attention is given in units of even attention, which is its mean over points.

# %%
slopes = {name: heads.product_slopes(by_layer, shown.xs) for name, by_layer in patterns.items()}
follows = pd.concat([heads.by_head(values, level=1 - 0.05 / 6).assign(group=name) for name, values in slopes.items()])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Slope of the attention from the last question in the product of the asked x and each shown x, in units of even attention, mean over prompts; t intervals over prompts at level 1 - 0.05/6 for six heads.", "name": "fig-ctx-follows"}, "image": {"alt": "Six rows of points: the trained model away from zero on both sides in layers 1 and 2 and around zero in layer 0, the untrained model close to zero."}}
plots.forest(follows, "slope [even attention per unit of product]", {"nothing": 0.0});

# %% [markdown]
# In {glue:text}`ctx-following` of 6 heads the interval lies beyond anything in the untrained model. Their attention follows the similarity of x by degrees, and with either sign: some heads look towards points on the same side, others towards those on the opposite side, whose
# answers have to count with the opposite sign. Clusters could not show this.
#
# ## Other seeds
#
# One model is an anecdote. Both recipes, without noise and with it, were run with several seeds. The models of this page are those with the lowest validation loss. The first table gives the errors of all seeds on 10,000 prompts.

# %%
rows = []
for name in ("regressor", "regressor-noisy"):
    for seed, found in training_history.seed_figures(name).items():
        own, best = (statistics.Interval(*found[key].values()) for key in ("last_error", "last_error_best"))
        rows.append({"model": name, "seed": seed, "error": own, "best estimator": best})
report.table(pd.DataFrame(rows), "Error at the last point of every trained seed", digits=3)

# %% [markdown]
# Do the findings on attention hold in the other seeds of the model trained without noise? The second table gives the slopes of all heads; how many of them follow the products, by intervals that hold for all heads of all seeds at once and lie beyond anything in the untrained model; and three summaries of what this page measures.

# %%
untrained_bar = follows.loc[follows["group"] == "untrained", ["low", "high"]].abs().to_numpy().max()
rows, seeds = {}, training_history.seed_models("regressor")
for seed, loaded in seeds.items():
    by_layer = heads.attention_patterns(loaded, shown)
    size = np.abs(incontext.answer_influence(loaded, part.xs, part.ys))
    slope = heads.by_head(heads.product_slopes(by_layer, shown.xs), level=1 - 0.05 / (6 * len(seeds)))
    rows[f"seed {seed}"] = dict(slope[["name", "estimate"]].to_numpy()) | {
        "heads that follow": ((slope["low"] > untrained_bar) | (slope["high"] < -untrained_bar)).sum(),
        "variance within position": np.mean([clusters.content_share(by_layer[layer, :, head]) for layer, head in np.ndindex(3, 2)]),
        "influence of the last three points": size[:, 6:].sum() / size.sum(),
        "points bound in layer 0": int((heads.binding(by_layer).mean(axis=0)[0].max(axis=0) > 0.5).sum()),
    }

# %%
by_seed = pd.DataFrame.from_dict(rows, orient="index")
report.table(by_seed, "By seed: slope of attention in products of x for each head, how many heads follow the products, and three summaries", index=True)

# %% [markdown]
# In each seed {glue:text}`ctx-seeds-following` heads follow the products of x, though a head of the same index need not do the same in another seed. How much influence the last three points have differs much between seeds. Depending on the seed, heads of the first layer
# bind {glue:text}`ctx-seeds-bound` of the ten answers to their questions, with more than half of an answer's attention. Position embeddings are learned, so the model has to learn place by place where the neighbouring token is, and training may end before the last place is reached.
# The tenth answer is never needed, since no question follows it. Models that were trained for as long with Adam and an even weight for every point bound six points and erred five times as much (`training/README.md`).
#
# ## Limits
#
# These are models of three layers, trained for half an hour on one kind of prompt. That they err where least squares does not may be due to their size and training, and not to the architecture. Implied weights describe the model at the x asked about and say nothing of its curvature. Ablating one head leaves later layers with a residual stream unlike any that they saw in training, so the rise of the error mixes what the head does with what its absence breaks. The slope in products of x is
# observed, not intervened on. The untrained control is the initialisation of the library `transformers`. In the figures and tables of this page it is one model; the comparison of errors in {doc}`null_board` has twenty.
#
# The original notebook never got to its clusters: {doc}`replication` says where it stops.
#
# ## Exercises
#
# 1. Which points does the model trained with noise use? Compute its `answer_influence` on prompts with noise, and compare it with `linear_influence` of the Bayes-optimal ridge. ({ref}`Solution <sol-ctx-1>`)
# 2. The recipe was run from three seeds (`training_history.seed_models`). Do their errors go on falling from six examples to nine? ({ref}`Solution <sol-ctx-2>`)
# 3. Heads follow the products of x with either sign. Ablate each of them on x three times as long: does the error still depend on the same heads? ({ref}`Solution <sol-ctx-3>`)

# %% tags=["remove-cell"]
late = {name: errors[name][:, LATE].mean(axis=1) for name in ("transformer", "least squares")}
report.glue("ctx-ratio", report.interval(*statistics.ratio_interval(errors["zero"][:, -1], errors["transformer"][:, -1]), digits=0))
report.glue("ctx-late", report.interval(*statistics.difference_interval(late["transformer"], late["least squares"], paired=True), digits=3))
for name in ("transformer", "least squares"):
    share = statistics.ratio_interval(sizes[name][:, 6:].sum(axis=1), sizes[name].sum(axis=1))
    report.glue(f"ctx-influence-{name.replace(' ', '-')}", report.interval(*share, digits=1, scale=100, unit="%"))

# %% tags=["remove-cell"]
bound = heads.binding(patterns["trained"])[:, *key_head.index]
beyond = follows.query("group == 'trained' and (low > @untrained_bar or high < -@untrained_bar)")
report.glue("ctx-head-worst", report.head_name(*key_head.index))
for key, places in {"bind-early": slice(8), "bind-late": slice(8, None)}.items():
    report.glue(f"ctx-{key}", report.interval(*statistics.bootstrap_interval(bound[:, places].mean(axis=1))))
report.glue("ctx-cluster-gains", summary["trained"]["sets where inputs add"])
report.glue("ctx-cluster-tests", N_SETS)
report.glue("ctx-following", len(beyond))
report.glue("ctx-seeds-following", report.span(by_seed["heads that follow"], 0))
report.glue("ctx-seeds-bound", report.span(by_seed["points bound in layer 0"], 0))

# %% tags=["remove-cell"]
def late_error(name):
    """Error over the points after six examples, with its interval over prompts."""
    return statistics.bootstrap_interval(errors[name][:, LATE].mean(axis=1))


page = {"model": "regressor", "section": "incontext_regression.html#fig-ctx-errors"}
others = (models.untrained_like(regressor, seed=seed) for seed in range(1, 20))  # untrained models differ among themselves
blank = [errors["untrained"], *(incontext.query_errors(partial(incontext.predict, other), fresh) for other in others)]
nulls = {name: late_error(name) for name in ("zero", "3 neighbours", "averaging")} | {"untrained": np.array([found[:, LATE].mean() for found in blank])}
report.finding("ctx-error", "The regressor's error is below that of simple rules", late_error("transformer"), nulls, expected="less", unit="squared error", **page)
shares = {name: statistics.ratio_interval(sizes[name][:, 6:].sum(axis=1), sizes[name].sum(axis=1)) for name in ("transformer", "least squares")}
report.finding("ctx-influence", "The regressor gives the last three points less than their share", shares["transformer"], {"least squares": shares["least squares"]}, expected="less", unit="share of influence", **page | {"section": "incontext_regression.html#fig-ctx-influence"})
report.finding("ctx-clusters", "Clusters of attention rows follow position more than those of random rows", statistics.bootstrap_interval(cuts["trained"]), {"random": statistics.bootstrap_interval(cuts["random"])}, unit="share of rows", **page | {"section": "incontext_regression.html#are-there-kinds-of-rows"})
