# %% [markdown]
# # Layers and algorithms
#
# **Question.** The regressor of {doc}`incontext_regression` predicts almost as least squares does. How does it get there? It might improve its answer from layer to layer, as an iterative algorithm does from step to step {cite}`akyurek2023,vonoswald2023,fu2024`;
# or it might do nothing of use until its last layer. {numref}`fig-alg-steps` compares what can be read after each layer with the steps of two algorithms that converge to least squares.

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd

from analysis_lib import incontext, models, plots, recorded, report, statistics
from analysis_lib.incontext import algorithms, answers, estimators
from analysis_lib.models import cards, training_history

plots.use_style()

D, N = 3, 10  # dimensions of an x, points of a prompt
LATE = slice(2 * D, None)  # the points after six examples or more
STEPS = {"gradient descent": 512, "Newton's iteration": 16}  # by then both err a thousandth of what the model does, or less

# %% tags=["hide-input"]
regressor = models.load("regressor", source="embedded")
untrained = models.untrained_like(regressor, seed=0)
print(regressor.label)
fresh = incontext.linear_prompts(800, N, D, seed=1)
ys = fresh.ys.double().numpy()


def readable(loaded, points=range(1, N)):
    """What can be read of y at every layer, [layer, prompt, point], 0 at other points: out of fold by a probe, and after the last layer by the model."""
    states, _ = answers.token_states(loaded, fresh.xs, fresh.ys)
    found = np.zeros((len(states), *ys.shape))
    for layer, k in np.ndindex(len(states) - 1, N):
        found[layer, :, k] = answers.probe(states[layer][:, k], ys[:, k]) if k in points else 0
    found[-1] = incontext.predict(loaded, fresh.xs, fresh.ys)
    return found


read = {"probe": readable(regressor), "probe, untrained": readable(untrained)}

# %% tags=["hide-input"]
run = {"gradient descent": algorithms.gradient_descent, "Newton's iteration": algorithms.newton}
iterates = {name: algorithm(fresh.xs, fresh.ys, STEPS[name]) for name, algorithm in run.items()}


def late_errors(predictions):
    """Squared error / d of every prompt, mean over the points after six examples or more."""
    return ((predictions - ys)[:, LATE] ** 2).mean(axis=1) / D


steps = pd.DataFrame(
    [(name, step, late_errors(found).mean()) for name, by_step in iterates.items() for step, found in enumerate(by_step)],
    columns=["algorithm", "step", "estimate"],
)
samples = {(reader, str(layer or "embed")): late_errors(found) for reader, by_layer in read.items() for layer, found in enumerate(by_layer)}
layers = statistics.interval_table(samples, ["reader", "layer"])

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Squared error / d after six examples or more: of gradient descent and Newton's iteration, by step, and of what is read after each layer of the trained and of an untrained model, as levels with 95% bands over prompts. The steps are on a logarithmic axis. Both algorithms leave the figure downwards.", "name": "fig-alg-steps"}, "image": {"alt": "Two falling lines on logarithmic axes; Newton's iteration is below gradient descent from about six steps on. Horizontal levels: embed, the first layer and the untrained model near one, the second layer at a fifth, the third near a two-hundredth."}}
plots.steps_and_layers(steps.query("step <= 64"), layers, "squared error / d");

# %% [markdown]
# **What was found**
#
# - **The answer is made in the last two layers.** The first layer only prepares it. After the second a linear probe reads a fair answer, and after the third the model gives a good one. From an untrained model nothing can be read.
# - **Two layers do the work of more than twenty steps of gradient descent.** Gradient descent needs {glue:text}`alg-gd-steps` steps to err as little as the model, and Newton's iteration {glue:text}`alg-newton-steps`.
# - **The model's errors do not say which algorithm it runs.** Newton's iteration and gradient descent, run for long enough, make errors that are almost equally like the model's (that of Newton's iteration less that of gradient descent is {glue:text}`alg-lead`), and a ridge regression, which takes no steps at all, makes such errors too. Where the examples determine the
#   answer, the similarity to any of the three is {glue:text}`alg-determined` at most.
#
# Square brackets hold 95% intervals over prompts. Layers count from 0 in names of heads; states are labelled *embed* (what the first layer reads), 1, 2 and 3 (what each layer leaves).
#
# ## Model, prompts, read-outs
#
# The prompts are those of {doc}`incontext_regression`: ten points of a linear function of three numbers, without noise, drawn from seeds that no training used. The state of the residual stream at a *question* holds what the model knows when it is
# asked about $x_i$. A *probe* {cite}`alain2016` turns a state into a prediction: it is a ridge regression from the
# state to $y_i$, fitted (standardisation included) on four fifths of the prompts and scored on the rest, separately for each layer and each number of examples. After the last layer no probe is needed, since the model's own read-out
# is there. The control is an untrained model, read in the same way. The comparison with untrained models in {doc}`null_board` has twenty of them.
#
# ## Two algorithms
#
# For every point, let $S = X^\top X$ and $b = X^\top y$ be taken over the points before it. *Gradient descent* reduces the squared error from $w_0 = 0$, and *Newton's iteration* approaches the inverse of $S$:
#
# $$w_{t+1} = w_t + \frac{b - S w_t}{\lambda_{\max}(S)},$$
#
# $$M_{t+1} = 2 M_t - M_t S M_t, \quad M_0 = \frac{S}{\lambda_{\max}(S)^2}, \quad w_t = M_t b.$$
#
# Both converge to least squares. Gradient descent shrinks the error by a constant factor in each step, whereas Newton's iteration squares the share of it that is left {cite}`fu2024`. The step sizes are set by the largest eigenvalue of $S$; nothing is tuned to the model.
# Here are both on one question after five points, step by step:

# %%
few = incontext.linear_prompts(1, N, D, seed=2)
for name, algorithm in (("gradient descent", algorithms.gradient_descent), ("Newton's iteration", algorithms.newton)):
    print(name, *(f"{prediction:.2f}" for prediction in algorithm(few.xs, few.ys, 8)[:, 0, 5]), sep="  ")
print(f"least squares {incontext.least_squares(few.xs, few.ys)[0, 5]:.2f}")

# %% [markdown]
# In {numref}`fig-alg-steps` a layer's level crosses an algorithm's line at the step at which both err equally. After the first layer nothing of the answer can be read at a question: this layer brings each $y$ together with its $x$, at the answer tokens ({doc}`incontext_regression`). The second layer is worth two steps of gradient
# descent. The third divides the error by about forty. Gradient descent, slowed down by directions in which the points hardly vary, needs some two dozen more steps for that.
#
# ## Are they the same errors?
#
# Two methods can err by the same amount in different ways. The *similarity of errors* {cite}`fu2024` is the cosine, for each prompt, between the errors that two answerers make along its points: it is 1 if they go wrong at the same
# points, in the same direction and proportion.

# %%
compared = {name: {step: found[step] for step in (0, *2 ** np.arange(10)) if step < len(found)} for name, found in iterates.items()}
tables = {reader: algorithms.similarity_table(by_layer, compared, ys) for reader, by_layer in read.items()}
best = {reader: algorithms.best_steps(table) for reader, table in tables.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Similarity between the errors read after each layer and those of steps 0, 1, 2, 4 and so on of the two algorithms (mean over prompts); the most similar of these steps is outlined.", "name": "fig-alg-similarity"}, "image": {"alt": "Four heat maps, layers by steps. In the trained model the outlined step moves to the right from layer to layer; in the untrained model all layers are most similar to step 0."}}
plots.similarity_maps(tables, best);

# %% [markdown]
# Where the probe can read nothing, the errors are nearly those of step 0 of gradient descent, which answers zero. In the trained model the most similar step moves on after the second and after the third layer, for both algorithms. After the third, both algorithms are most similar when they have nearly converged, and they are then almost equally similar. A comparison that stops gradient descent after two dozen steps would find Newton's iteration ahead, only because it converges in fewer steps. In the untrained model the most similar step is step 0 at every layer.
# The first point is left out, since there all answer alike.
#
# ## Is it Newton's iteration, then?
#
# Two controls test this. First, *ridge regression* takes no steps: if its errors are as similar to the model's, similarity does not point to an iteration, only to something near least squares. Second, before three examples have been shown the answer is not determined, and every method of
# least norm errs in the same way; these errors are the largest. So the similarity is also taken over only the points after three examples or more. Step and penalty are chosen on one half of the prompts and measured on the other. Models of other seeds, which were trained in the
# same way, show how similar two answerers can be.

# %%
others = training_history.seed_models("regressor")
candidates = iterates | {"ridge regression": np.stack([incontext.ridge(fresh.xs, fresh.ys, penalty) for penalty in np.geomspace(1e-3, 1, 13)])}
shipped = cards.figures("regressor")["run"]["seed"]
candidates["another seed"] = np.stack([incontext.predict(loaded, fresh.xs, fresh.ys) for seed, loaded in others.items() if seed != shipped])

# %%
def likest(points):
    """Similarity of the model's errors to those of the most similar candidate of every family."""
    alike = {name: np.stack([algorithms.error_similarity(read["probe"][-1], other, ys, points) for other in found], axis=1) for name, found in candidates.items()}
    return {name: statistics.choose_and_measure(values[::2], values[1::2]).interval for name, values in alike.items()}

# %%
similar = {"all points": likest(slice(1, None)), "after three examples or more": likest(slice(D, None))}
report.table(pd.DataFrame(similar), "Similarity of the trained model's errors to those of the most similar step, penalty or seed", index=True)

# %% [markdown]
# Over all points ridge regression is as similar as Newton's iteration. (The difference in the summary is between the steps of the two algorithms that were chosen here. It is tiny, and in favour of gradient descent.) After three examples or more, no algorithm is much like the model, and another seed of the same model is more similar than all of them. What the models share there is something that none of these algorithms has.
# Similar errors over all points mostly say that both answerers know what can be known from one or two examples.
#
# ## Where the answer and the weights can be read
#
# Does one answer grow from layer to layer, in the form that the model's own read-out reads? And could the model have estimated the function first, to apply it afterwards {cite}`akyurek2023`? {numref}`fig-ctx-depth` shows the *lens* {cite}`nostalgebraist2020`, which applies the model's own final norm and read-out to earlier layers,
# beside the probe, and a probe for the weights of least squares.

# %%
states, answer_states = answers.token_states(regressor, fresh.xs, fresh.ys)
control, _ = answers.token_states(untrained, fresh.xs, fresh.ys)
least = estimators.least_squares_weights(fresh.xs, fresh.ys)
exact = incontext.least_squares(fresh.xs, fresh.ys)


def probes(of_states, k, target):
    """Out-of-fold predictions of a probe at every layer, at point k."""
    return [answers.probe(layer[:, k], target) for layer in of_states]


def readings(k, target):
    return {"probe": probes(states, k, target), "probe, untrained": probes(control, k, target)}

# %%
depth = {
    f"answer,\n{k} examples": answers.depth({"lens": answers.lens(regressor, states[:, :, k])} | readings(k, exact[:, k]), exact[:, k])
    for k in (2, N - 1)
} | {"weights,\n9 examples": answers.depth(readings(N - 1, least[:, -1]), least[:, -1])}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How much of least squares' answer, and of its weights, can be read at the question by layer: share of variance explained out of fold (1 is all; the lens may fall below 0), 95% intervals over prompts.", "name": "fig-ctx-depth"}, "image": {"alt": "Three panels. The answer appears between the first and the last layer for lens and probe and never in the untrained model; the weights stay at zero up to layer 2 and reach a tenth after layer 3."}}
plots.layer_lines(depth, "variance explained ($R^2$)");

# %%
skill = [answers.explained(guess, least[:, -1]) for guess in probes(answer_states, N - 2, least[:, -1]) + probes(states, N - 1, least[:, -1])]
skill = np.stack(skill, axis=1)  # [prompt, site and layer]
best_probe = statistics.choose_and_measure(skill[::2], skill[1::2])

# %% [markdown]
# From the first layer on, lens and probe agree: the answer grows in the form that the read-out reads. The weights can hardly be read. They were probed at all layers, at the question and at the answer token before it, where all nine points are known. The
# best probe explains {glue:text}`alg-weights-best` of their variance (it was chosen on half of the prompts and measured on the others). {cite:t}`akyurek2023` could read weights from larger models. A model need not have
# them: $\hat y = \sum_i \alpha_i (x_i \cdot x)\, y_i$ is a regression too, and attention can weigh answers by products of x without ever forming $w$.
#
# ## Other seeds
#
# The recipe was run with several seeds. The table gives the error that is left after each layer.

# %%
rows = {}
for seed, loaded in others.items():
    left = [statistics.bootstrap_interval(late_errors(found)) for found in readable(loaded, range(*LATE.indices(N)))]
    rows[f"seed {seed}"] = {f"layer {layer}": found for layer, found in enumerate(left) if layer}
report.table(pd.DataFrame.from_dict(rows, orient="index"), "By seed: squared error / d that is left after each layer", digits=3, index=True)

# %% [markdown]
# ## Any function, or one of a few?
#
# Regression is the right answer because each prompt has a function of its own. Where training has only $M$ functions, a model can do better: it can recognise which of them a prompt shows. The best answer is then the **posterior mean over the training tasks** {cite}`raventos2023`,
#
# $$\hat w = \frac{\sum_m w_m \, e^{-r_m / 2\sigma^2}}{\sum_m e^{-r_m / 2\sigma^2}}, \qquad r_m = \sum_{j} (y_j - w_m \cdot x_j)^2,$$
#
# which becomes ridge regression when the tasks are many. Two tasks and three points show it at work. The first point fits both tasks, so the answer at the second point lies between what the two tasks predict. The value measured there fits one of them much better, and that nearly decides the answer at the third point.

# %%
two = np.array([[1.0, 0.0], [0.0, 1.0]])
three_xs = np.array([[[1.0, 1.0], [1.0, 0.0], [1.0, -1.0]]])
three_ys = np.array([[1.1, 0.8, 1.2]])
print("one of two tasks", estimators.bayes_of_tasks(three_xs, three_ys, two, noise=0.3).round(2))
print("any function", incontext.bayes_ridge(three_xs, three_ys, noise=0.3).round(2))

# %% [markdown]
# How do models that were trained on few tasks, or on many, answer? For each of several numbers of tasks, from 4 to {glue:text}`alg-tasks-most`, one model was trained with the recipe of the regressors (functions of four numbers with noise, eight points, 4,000 steps; `training/diversity.py`). The distances of its answers from those of both estimators are on record.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How far models answer from the posterior mean over their training tasks and from ridge regression, and how far these are from each other, by the number of training tasks: mean squared distance over 2,000 prompts and all their points, divided by d. Left: prompts of training tasks; right: prompts of new functions.", "name": "fig-alg-tasks"}, "image": {"alt": "Two panels with logarithmic axes. With four tasks the model lies near the posterior mean and far from ridge regression on training tasks; with 16 to 256 tasks the distance to ridge regression falls and is the smaller one, on training tasks and on new ones; with 1,024 tasks the model is far from both."}}
diversity = recorded.table("task_diversity")
plots.task_diversity(diversity);

# %% [markdown]
# With four tasks the model recognises them: on their prompts it is {glue:text}`alg-tasks-few` from the posterior mean and {glue:text}`alg-tasks-few-ridge` from ridge regression, and on a new function it stays nearer to the posterior mean, which takes the function for one of the four. The model's squared error / d is then {glue:text}`alg-tasks-few-new`, and that of ridge regression
# {glue:text}`alg-tasks-ridge-new`. From {glue:text}`alg-tasks-leave` to 256 tasks the model is nearer to ridge regression, on its own training tasks too, although there the posterior mean would err less. The change is gradual: at the lower end of this range the model still errs less on its training tasks than ridge regression does, so it makes some use of knowing them; with more tasks it no longer does. The model's error on new functions falls to {glue:text}`alg-tasks-best-new`. {cite:t}`raventos2023` found this
# change in larger models, at larger numbers of tasks. With {glue:text}`alg-tasks-most` tasks the model is far from both, with an error of {glue:text}`alg-tasks-many-new` on new functions: it had hardly left the plateau on which every run begins. Runs with more tasks stay there longer.
#
# Only one seed was trained for each number of tasks, so where exactly the lines cross is not known. None of these models became a ridge regression within 4,000 steps. Longer training, or more room in the model, might let it learn more tasks by heart and
# move the crossing to the right. And where tasks are many, the two estimators give nearly the same answers (dashed), so that no model can be much nearer to one of them.
#
# ## What could be wrong
#
# A probe is fitted to the targets and may compute a little itself; that is why the untrained model stands beside it, from which the same probe reads next to nothing. Similar errors do not mean the same mechanism. Newton's iteration is one of several methods that converge faster than gradient descent, and gradient descent with a preconditioner, which
# {cite:t}`vonoswald2023` propose for trained models, was not tried here.
#
# ## Limits
#
# Three layers give three points on a curve, while {cite:t}`fu2024` had twelve. The functions have only three dimensions. Nothing on this page intervenes in the model; {doc}`incontext_regression` removes heads.
#
# The original notebook asked nothing of this kind; it was meant to draw attention maps ({doc}`replication`).
#
# ## Exercises
#
# 1. Do the same with the model that was trained with noise (`regressor-noisy`): which step of gradient descent are its errors most like, and are they even more like those of the best ridge regression? ({ref}`Solution <sol-alg-1>`)
# 2. Give gradient descent its best constant step size, $2 / (\lambda_{\min} + \lambda_{\max})$ for each prompt. Are its errors then more like the model's than those of plain gradient descent? ({ref}`Solution <sol-alg-2>`)

# %% tags=["remove-cell"]
def at_likest(found):
    """Similarity to the step that is likest on one half of the prompts, on the other half."""
    alike = np.stack([algorithms.error_similarity(read["probe"][-1], other, ys) for other in found], axis=1)
    return alike[1::2, alike[::2].mean(axis=0).argmax()]


own = late_errors(read["probe"][-1]).mean()
as_good = {name: steps.query("algorithm == @name and estimate <= @own")["step"].min() for name in iterates}
reached = {name: STEPS[name] if np.isnan(step) else int(step) for name, step in as_good.items()}
determined = max((found for name, found in similar["after three examples or more"].items() if name != "another seed"), key=lambda found: found.estimate)
lead = statistics.difference_interval(at_likest(iterates["Newton's iteration"]), at_likest(iterates["gradient descent"]), paired=True)
report.glue("alg-lead", report.interval(*lead, digits=3))
report.glue("alg-determined", report.interval(*determined))
report.glue("alg-gd-steps", reached["gradient descent"])
report.glue("alg-newton-steps", reached["Newton's iteration"])
report.glue("alg-weights-best", report.interval(*best_probe.interval))
seen, new = (diversity[diversity["prompts"] == kind].groupby("tasks").mean(numeric_only=True) for kind in ("training", "new"))
nearer = seen.index[seen["model_to_ridge"] < seen["model_to_tasks"]]
few = {"few": seen["model_to_tasks"].iloc[0], "few-ridge": seen["model_to_ridge"].iloc[0], "few-new": new["loss_model"].iloc[0]}
many = {"ridge-new": new["loss_ridge"].mean(), "many-new": new["loss_model"].iloc[-1], "best-new": new["loss_model"].min()}
report.glue_frame(pd.Series({name: report.number(value, digits=3) for name, value in (few | many).items()}, dtype=object), "alg-tasks")
report.glue("alg-tasks-leave", report.number(nearer.min(), digits=0))
report.glue("alg-tasks-most", report.number(seen.index.max(), digits=0))

# %% tags=["remove-cell"]
page = {"model": "regressor", "section": "incontext_algorithms.html#fig-alg-steps"}
others = (models.untrained_like(regressor, seed=seed) for seed in range(1, 20))  # untrained models differ among themselves
blank = [read["probe, untrained"], *(readable(other, range(N)[LATE]) for other in others)]
for layer, ordinal in ((1, "first"), (2, "second")):
    value = statistics.bootstrap_interval(late_errors(read["probe"][layer]))
    null = np.array([late_errors(found[layer]).mean() for found in blank])
    report.finding(f"alg-layer-{layer}", f"After the {ordinal} layer of the regressor an answer can be read", value, {"untrained": null}, expected="less", unit="squared error", **page)
value, null = (similar["all points"][name] for name in ("Newton's iteration", "ridge regression"))
report.finding("alg-newton", "The regressor errs like Newton's iteration more than like a ridge regression", value, {"ridge regression": null}, unit="similarity", **page | {"section": "incontext_algorithms.html#fig-alg-similarity"})
