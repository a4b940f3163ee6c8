# %% [markdown]
# # Solutions: small transformers and the residual stream
# Each exercise is given in its chapter and repeated here, sometimes shortened. Its solution is a few lines of code, which this page runs and folds away with their result, and as a rule a remark on what follows. Other solutions may be as good.
# The page always loads the models of this book, since its remarks are about them. The exercises of the other chapters are solved in {doc}`solutions_polish`.

# %% tags=["hide-input"]
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, circuits, incontext, models, norms, report, statistics, texts, weights
from analysis_lib.circuits import repeated_names
from analysis_lib.circuits.standard_probe import model_head_scores
from analysis_lib.circuits.terms import LeaveOut, next_token_losses, part_scores, row_variances, score_terms
from analysis_lib.incontext import algorithms, behaviour, estimators, heads, strategies
from analysis_lib.models import training_history
from analysis_lib.norms import contributions
from analysis_lib.norms.bias import small_sample_bias
from analysis_lib.norms.nulls import null_distribution

gpt2, toy, regressor, noisy = (models.load(name, source="embedded") for name in ("polish-gpt2", "minigpt", "regressor", "regressor-noisy"))
untrained = models.untrained_like(gpt2, seed=0)
print(*(loaded.label for loaded in (gpt2, toy, regressor, noisy)), sep="\n")

# %% [markdown]
# ## Induction
#
# (sol-ind-1)=
# ### Luck
#
# *Choose the head of GPT-2 with the highest induction score on one draw of the probe and score it on another. By how much does the score fall, and by how much does that of the toy's best head?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rows = {}
for loaded in (gpt2, toy):
    chosen, again = (model_head_scores(loaded, "induction", n_sequences=24, seed=seed) for seed in (3, 4))
    layer, head = np.unravel_index(chosen.argmax(), chosen.shape)
    rows[f"{loaded.name} L{layer}H{head}"] = {"chosen on": chosen[layer, head], "measured on another": again[layer, head]}
report.table(pd.DataFrame(rows).T.rename_axis("head").reset_index(), "Induction score of the best head", digits=3)

# %% [markdown]
# Neither loses much: a head that does something keeps its score. Where all scores are small, as in an untrained model, the largest is partly luck and would fall on another draw.
#
# (sol-ind-2)=
# ### Who writes for whom?
#
# *Which pair of heads of the toy composes most, through keys, beyond random orientations?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
z = circuits.composition_z(weights.extract(toy), "K", n_draws=200).z
early, first, late, second = np.unravel_index(z.argmax(), z.shape)
back, induction = (model_head_scores(toy, kind, n_sequences=16) for kind in ("previous token", "induction"))
print(f"L{early}H{first} writes what L{late}H{second} reads with its keys: z = {z.max():.0f}")
print(f"previous-token score of the first {back[early, first]:.2f}, induction score of the second {induction[late, second]:.2f}")

# %% [markdown]
# The weights alone name a previous-token head and an induction head, which are a pair of the circuit.
#
# (sol-ind-3)=
# ### Heads without training
#
# *How high is the best induction score of an untrained GPT-2?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
scored = {name: model_head_scores(loaded, "induction", n_sequences=24, seed=3).max() for name, loaded in {"GPT-2": gpt2, "untrained": untrained}.items()}
print(*(f"{name}: {value:.3f}" for name, value in scored.items()), sep=", ")

# %% [markdown]
# It is a few hundredths, far below the trained model's. The best of many heads is above zero without any training, so a score needs this comparison.
#
# ## How induction forms
#
# (sol-form-1)=
# ### How long one waits for the other
#
# *In each seed, how many steps after the previous-token score does the induction score exceed one half?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
course = training_history.course().set_index("step")
rows = {
    f"seed {seed}": {kind: run.index[run[kind] > 0.5].min() for kind in ("previous_token", "induction")} for seed, run in course.groupby("seed")
}
passed = pd.DataFrame(rows).T.rename(columns=lambda kind: kind.replace("_", " "))
passed["steps between"] = passed["induction"] - passed["previous token"]
report.table(passed.rename_axis("run").reset_index(), "The first measured step at which the best head's score exceeds one half", digits=0)

# %% [markdown]
# The order is the same in every seed, and the time between is nearly the same too. The measurements lie 50 to 100 steps apart, so finer differences cannot be seen.
#
# (sol-form-2)=
# ### Heads that come and go
#
# *The figure follows the heads of the finished model. Does the best induction head of each snapshot, whichever it is, score higher early on?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
scores = model_head_scores(toy, "induction", n_sequences=24, seed=3)
finished, rows = np.unravel_index(scores.argmax(), scores.shape), []
for step, model in training_history.snapshots().items():
    if step in (0, 100, 200, 250, 300, 400, 600, 2400):
        chosen, again = (model_head_scores(model, "induction", n_sequences=24, seed=seed) for seed in (3, 4))
        best = np.unravel_index(chosen.argmax(), chosen.shape)
        rows.append((step, report.head_name(*best), again[best], again[finished]))
report.table(pd.DataFrame(rows, columns=["step", "best head", "its score", "score of the finished model's head"]), "Induction scores on a draw other than the one that the best head was chosen on", digits=3)

# %% [markdown]
# It does. From step 200 on the same head leads in every row of this table. It is not the best head of the finished model, since later stages of the training, which the table does not show, changed the order. The scores of both heads rise at the same time, so the figure would tell the same story with either.
#
# ## Induction in Polish models
#
# (sol-indpl-1)=
# ### Scene by scene
#
# *Does GPT-2 recall names better in one of the three scenes?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
people = repeated_names.named_people(gpt2.vocabulary, 120, seed=5)
preferences = repeated_names.name_preferences(gpt2, people)
scenes = {scene.format(*["…"] * 4): statistics.bootstrap_interval(preferences[at :: len(repeated_names.SCENES)]) for at, scene in enumerate(repeated_names.SCENES)}
report.table(pd.DataFrame({"preference": scenes}).rename_axis("scene").reset_index(), "Preference for the right surname by scene, nats")

# %% [markdown]
# Not clearly: all three intervals lie above zero, and they overlap. (The scenes are: *Yesterday … and … went to town. In the evening only … came back*; *… and … sat down facing each other. The first to speak was …*; *The letter said that … and … were ill. The only one driven home was …*.)
#
# ## Terms of attention
#
# (sol-terms-1)=
# ### An exact sum
#
# *Check on random symbols that the four terms add up to what the toy's layer 0 attends by.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
drawn = torch.randint(1, 32, (2, 12), generator=torch.Generator().manual_seed(0))
total = score_terms(weights.extract(toy), drawn, layer=0).sum(dim=0)  # [sequence, head, query, key]
hidden = torch.ones(12, 12, dtype=torch.bool).triu(1)
rebuilt = total.masked_fill(hidden, -torch.inf).softmax(dim=-1)
patterns = activations.run_ids(toy, drawn.numpy(), outputs=["patterns"]).output("patterns")
error = max(np.abs(rebuilt[i].numpy() - patterns[i][0]).max() for i in range(2))
print(f"largest difference of an attention weight: {error:.1e}")

# %% [markdown]
# (sol-terms-2)=
# ### Where nothing repeats
#
# *Leave token-token out of the toy's layer 1. How much does its loss rise where a block comes again, and how much elsewhere?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
probe = circuits.repeated_random_tokens(range(1, 32), 24, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=5)
ids, again = torch.as_tensor(probe.ids), torch.as_tensor(probe.predictable[:, :-1])
taken = weights.extract(toy)
rise = next_token_losses(taken, ids, LeaveOut("token-token", 1)) - next_token_losses(taken, ids)
print(f"where the block comes again {float(rise[again].mean()):+.2f} nats, elsewhere {float(rise[~again].mean()):+.2f} nats")

# %% [markdown]
# Where nothing repeats the loss even falls: there the term only misleads.
#
# (sol-terms-3)=
# ### Positions below
#
# *Leave position-position out of the toy's layer 0. How much does its loss rise where a block comes again?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rise = next_token_losses(taken, ids, LeaveOut("position-position", 0)) - next_token_losses(taken, ids)
print(f"where the block comes again {float(rise[again].mean()):+.2f} nats, elsewhere {float(rise[~again].mean()):+.2f} nats")

# %% [markdown]
# Layer 1 can continue a block only if layer 0 has said which symbol came before, and layer 0 finds that symbol by its position.
#
# ## What attention terms look for
#
# (sol-targets-1)=
# ### Row by row
#
# *Which place does the position-position term of each of the toy's layer-0 heads favour most? Count the rows in which it is the place before.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
by_position = score_terms(taken, ids[:1], layer=0)[3, 0]  # [head, query, key]; the same for all sequences
best = by_position[:, 1:].argmax(dim=-1)  # of each row but the first, which has one key
distance = torch.arange(1, 64) - best
before = (distance == 1).sum(dim=-1)
print(*(f"{report.head_name(0, head)}: the place before in {int(n)} of 63 rows" for head, n in enumerate(before)), sep="\n")

# %% [markdown]
# L0H2 and L0H5 favour the place before in every row but one, and the six others in one row at most. A head that looks for the place before does so nearly everywhere.
#
# (sol-targets-2)=
# ### Other sequences
#
# *Split the scores of the toy's layer-1 heads into parts on two other draws of sequences. Do the shares of the parts that the key reads agree?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
shares = []
for seed in (8, 9):
    other = circuits.repeated_random_tokens(range(1, 32), 16, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=seed)
    parts = [part_scores(taken, torch.as_tensor(other.ids), 1, head)[1] for head in range(8)]
    shares.append([row_variances(x.flatten(0, 1)).share.mean(1).unflatten(0, x.shape[:2]).sum(0).numpy() for x in parts])
print(f"correlation of {np.size(shares[0])} shares: {np.corrcoef(np.ravel(shares[0]), np.ravel(shares[1]))[0, 1]:.3f}")

# %% [markdown]
# The shares are a property of the weights, and hardly of the draw of sequences that they are measured on.
#
# ## Regression in context
#
# (sol-ctx-1)=
# ### Noise
#
# *Which points does the model trained with noise use? Compare its `answer_influence` with `linear_influence` of the Bayes-optimal ridge.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(256, 10, 3, seed=51, noise=0.5)
ridge = partial(estimators.bayes_ridge, noise=0.5)
sizes = {
    "trained with noise": np.abs(incontext.answer_influence(noisy, prompts.xs, prompts.ys)).mean(axis=0),
    "Bayes-optimal ridge": np.abs(behaviour.linear_influence(ridge, prompts.xs)).mean(axis=0),
}
report.table(pd.DataFrame(sizes, index=range(1, 10)).rename_axis("shown point").reset_index(), "How much each shown answer moves the last prediction: mean size of the gradient")

# %% [markdown]
# Ridge regression uses all points alike. The model uses the first seven about evenly and hardly looks at the last two.
#
# (sol-ctx-2)=
# ### Other seeds
#
# *The recipe was run from three seeds. Do their errors go on falling from six examples to nine?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(1024, 10, 3, seed=53)
errors = {}
for seed, loaded in training_history.seed_models("regressor").items():
    found = behaviour.squared_errors(incontext.predict(loaded, prompts.xs, prompts.ys), prompts.ys, 3)
    errors[f"seed {seed}"] = {f"{n} examples": statistics.bootstrap_interval(found[:, n]) for n in (3, 6, 9)}
report.table(pd.DataFrame(errors).T.rename_axis("model").reset_index(), "Squared error / d by the number of examples, with 95% intervals over prompts", digits=4)

# %% [markdown]
# The means fall in all three, though only in seed 1 are the intervals at six and nine examples apart. In none of them do they fall to zero, which is the error of least squares from three examples on.
#
# (sol-ctx-3)=
# ### Far from what it learned
#
# *Ablate each head on x three times as long. Does the error still depend on the same heads?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
plain = incontext.linear_prompts(256, 10, 3, seed=52)
far = incontext.Prompts(3 * plain.xs, 3 * plain.ys, 3 * plain.xs, 3 * plain.ys, plain.w)
errors = {}
for name, drawn in {"as trained": plain, "three times as long": far}.items():
    whole = behaviour.squared_errors(incontext.predict(regressor, drawn.xs, drawn.ys), drawn.ys, 3)[:, 6:].mean()
    rises = heads.ablation_errors(regressor, drawn, slice(6, None)).mean(axis=0) - whole
    errors[name] = {f"L{layer}H{head}": rises[layer, head] for layer, head in np.ndindex(*rises.shape)}
report.table(pd.DataFrame(errors).rename_axis("head").reset_index(), "Rise of the squared error / d from six examples on, without one head")

# %% [markdown]
# The head that matters most stays the same. If answers and errors simply scaled with x, every rise would be nine times as large. The rise of L0H1 grows by less and the rises of layers 1 and 2 by far more, so on long x the later heads matter more, compared with L0H1, than on x of the usual length.
#
# ## Layers and algorithms
#
# (sol-alg-1)=
# ### With noise
#
# *Which step of gradient descent are the errors of the model trained with noise most like, and are they even more like those of the best ridge regression?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(400, 10, 3, seed=53, noise=0.5)
answers = incontext.predict(noisy, prompts.xs, prompts.ys)
families = {
    "gradient descent": algorithms.gradient_descent(prompts.xs, prompts.ys, 24),
    "Bayes-optimal ridge": incontext.bayes_ridge(prompts.xs, prompts.ys, 0.5)[None],
    "least squares": incontext.least_squares(prompts.xs, prompts.ys)[None],
}
alike = {name: np.stack([algorithms.error_similarity(answers, other, prompts.ys) for other in found]) for name, found in families.items()}
likest = {name: int(found.mean(axis=1).argmax()) for name, found in alike.items()}
best = {name: found[likest[name]] for name, found in alike.items()}
rows = {name: {"most similar step": likest[name] if len(alike[name]) > 1 else "", "similarity": values.mean(), "less than ridge by": ""} for name, values in best.items()}
for name in ("gradient descent", "least squares"):
    rows[name]["less than ridge by"] = report.interval(*statistics.difference_interval(best["Bayes-optimal ridge"], best[name], paired=True), digits=3)
report.table(pd.DataFrame(rows).T.rename_axis("answerer").reset_index(), "Whose errors the model trained with noise makes, with paired differences over prompts", digits=3)

# %% [markdown]
# The errors are nearly those of the ridge regression. Gradient descent that is stopped early acts much like a ridge regression too, and least squares, which trusts every point, is further away. All similarities are high, in part because the methods share two kinds of errors: those that come from the noise in y, and those after one or two points, which are the largest, since no method knows more there. The lead of ridge regression over gradient descent is small, but its interval lies above zero.

# %% [markdown]
# (sol-alg-2)=
# ### The best constant step
#
# *Give gradient descent its best constant step size,* $2 / (\lambda_{\min} + \lambda_{\max})$ *for each prompt. Are its errors then more like the model's than those of plain gradient descent?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(400, 10, 3, seed=54)
xs, ys = (np.asarray(part, dtype=np.float64) for part in (prompts.xs, prompts.ys))
parts = (xs[..., :, None] * xs[..., None, :], xs * ys[..., None])
gram, target = (np.cumsum(part, axis=1) - part for part in parts)  # of the points before each
values = np.linalg.eigvalsh(gram)
smallest = np.where(values > 1e-9, values, np.inf).min(axis=-1)  # in directions that the points have
step, weight, best_step = 2 / (smallest + values[..., -1]), np.zeros_like(target), []
for _ in range(200):
    weight = weight + step[..., None] * (target - np.einsum("bpde,bpe->bpd", gram, weight))
    best_step.append(np.einsum("bpd,bpd->bp", weight, xs))
answers = incontext.predict(regressor, prompts.xs, prompts.ys)
families = {"gradient descent, best constant step": best_step}
families |= {"gradient descent": algorithms.gradient_descent(xs, ys, 200)[1:], "Newton's iteration": algorithms.newton(xs, ys, 16)[1:]}
alike = {name: [algorithms.error_similarity(answers, one, ys).mean() for one in steps] for name, steps in families.items()}
rows = [(name, 1 + int(np.argmax(found)), max(found)) for name, found in alike.items()]
report.table(pd.DataFrame(rows, columns=["algorithm", "most similar step", "similarity"]), "Whose errors the regressor makes", digits=3)

# %% [markdown]
# No: their mean similarity is not higher but a little lower. Plain gradient descent and Newton's iteration are about equally similar. All three are most similar at the end of the run or near it, when they have come closest to least squares, so the errors give no sign of single steps.
#
# ## Choosing a model
#
# (sol-sel-1)=
# ### More points
# *Fit the regressions to 8 or 12 points and let the model that was trained with 6 answer. At which number does the hard choice become as good as the model?* (Here for 12.)

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
few = models.load("model-selector-few")
squared = {n: strategies.compare(few, strategies.learn(n, 1500, seed=61), n_prompts=160, seed=62).squared_errors() for n in (6, 12)}
means = {f"{n} points": {name: values[:, 1:].mean() for name, values in found.items()} for n, found in squared.items()}
print(few.label)
report.table(pd.DataFrame(means).rename_axis("answers by").reset_index(), "Mean squared error after the first point", digits=3)

# %% [markdown]
# Not at 12: on these prompts the mean error of the hard choice is still higher, although this model never saw regressions that were fitted to 12 points. All errors are smaller, since both regressions are closer to the truth.
#
# (sol-sel-2)=
# ### How different are they?
#
# *By how much do the predictions of the two regressions differ when they were fitted to 6, 12 or 21 points?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
apart = {}
for n in (6, 12, 21):
    xs = incontext.selector_prompts(2000, seed=63, n_fitted=n).xs
    apart[n] = float((xs[..., 0] - xs[..., 1]).square().mean())
report.table(pd.Series(apart, name="mean squared difference").rename_axis("points fitted").reset_index(), "Distance of the two regressions", digits=4)

# %% [markdown]
# The more points the regressions see, the more they agree, and the less there is to choose.
#
# (sol-sel-3)=
# ### Little evidence, and much
#
# *Compute the weights of the figure after one point and after twenty. Does the transformer stay close to stacking?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
learned, shown = strategies.learn(6, 1500, seed=61), {}
for n in (1, 20):
    found = strategies.weights_by_odds(few, learned, n_prompts=500, seed=64, n_measured=n)
    for name in ("transformer", "stacking"):
        rows = found[found["answerer"] == name]
        intervals = [statistics.Interval(*row) for row in rows[["estimate", "low", "high"]].to_numpy()]
        shown[f"{name}, {n} measured"] = dict(zip(rows["log_odds"].round().astype(int), intervals, strict=True))
report.table(pd.DataFrame(shown).sort_index().rename_axis("log odds, about").reset_index(), "Weight on ridge(0.8), with 95% intervals over prompts; empty where fewer than 20 prompts have such odds")

# %% [markdown]
# After twenty points the two agree within their intervals. After one point they do not everywhere: near even odds stacking gives ridge(0.8) clearly less weight than the transformer does, and at the lowest odds clearly more. Stacking has only that one point and a prior for its weights; the transformer has seen many prompts in training and may use more of what was likely there.
#
# ## Norms of updates
#
# (sol-norms-1)=
# ### One number
#
# *How strongly do the log norms of neighbouring tokens correlate in each layer of GPT-2, and how strongly in an untrained one?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rows = {}
for name, loaded in {"trained": gpt2, "untrained": untrained}.items():
    measured = norms.update_norms(loaded, texts.sentences())
    logs, text = np.log(measured.attention), measured.tokens["text"].to_numpy()
    neighbours = text[1:] == text[:-1]
    rows[name] = [np.corrcoef(layer[1:][neighbours], layer[:-1][neighbours])[0, 1] for layer in logs]
report.table(pd.DataFrame(rows).rename_axis("layer").reset_index(), "GPT-2: correlation of the log norm of an update with that of the token before")

# %% [markdown]
# The correlation is there before any training, and training lowers it in every layer, so it cannot be read as something that the model learned.
#
# (sol-norms-2)=
# ### Another order
#
# *Shuffle the measured norms within each text. How much of the correlation between neighbours is left in GPT-2?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
measured, rng = norms.update_norms(gpt2, texts.sentences()), np.random.default_rng(0)
logs, text = np.log(measured.attention), measured.tokens["text"].to_numpy()
order = np.lexsort([rng.random(len(text)), text])  # texts stay where they are
neighbours, rows = text[1:] == text[:-1], {}
for name, values in {"in order": logs, "shuffled": logs[:, order]}.items():
    rows[name] = [np.corrcoef(layer[1:][neighbours], layer[:-1][neighbours])[0, 1] for layer in values]
report.table(pd.DataFrame(rows).rename_axis("layer").reset_index(), "GPT-2: correlation of the log norms of neighbours")

# %% [markdown]
# The model reads the texts as they are; only what was measured is shuffled. What is left is due to differences between texts. In one layer this is about half of the correlation; in the others most of the correlation needs the order of the tokens. Whether one update acts on the next is another question, which interventions answer.
#
# ## Controls for a regression on the past
#
# (sol-controls-1)=
# ### Short texts
#
# *A regression with a level for each text is biased in short texts. How large is the bias of a true coefficient of 0.5 in texts of 20, 50 and 200 tokens?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
for n in (20, 50, 200):
    print(f"{n} tokens: {report.number(small_sample_bias(0.5, n, n_texts=40), 3, signed=True)}")

# %% [markdown]
# The bias falls about as one over the number of tokens. A coefficient of 0.5 comes out markedly smaller in texts of 20 tokens.
#
# (sol-controls-2)=
# ### One control
#
# *Add nothing but log position to the original specification. How often does it still report a past in simulated texts that have a trend and no past?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
for covariates in ((), ("log_position",)):
    draws = null_distribution("trend", specification=replace(norms.ORIGINAL, covariates=covariates), n_draws=100, n_texts=1, n_layers=1)
    reported = int((norms.neighbours(draws, 1)["p"] < 0.05).sum())
    print(covariates or "as it was", report.interval(*statistics.wilson_interval(reported, 100)))

# %% [markdown]
# Where the trend is a straight line in the logarithm of the position, one covariate takes it out. A level for each position takes out a trend of any shape, but needs several texts.
#
# ## Where an update comes from
#
# (sol-mix-1)=
# ### The token itself
#
# *Does a token's own contribution matter most? Compare the diagonal of value zeroing with the rest of each row, by layer.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
sentences = sorted(texts.sentences(), key=len)[:5]
effects = contributions.value_zeroing(gpt2, sentences)  # a row sums to 1
own = np.mean([effect.diagonal(axis1=1, axis2=2)[:, 1:].mean(axis=1) for effect in effects], axis=0)
even = np.mean([np.mean(1 / np.arange(2, effect.shape[1] + 1)) for effect in effects])
report.table(pd.DataFrame({"layer": range(len(own)), "own value": own, "if all mattered alike": even}), "GPT-2: share of a token's own value in the effects of all values that it reads")

# %% [markdown]
# In the first layer it does, by far. In the second its share is below that of an even split: there attention fetches what stands around the token. In later layers its share is somewhat above that of an even split, and the residual connection comes on top of that.
#
# (sol-mix-2)=
# ### The largest weight
#
# *Take the largest weight over heads in place of the mean. Does it rank tokens better?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
patterns = activations.run(gpt2, sentences, outputs=("patterns",), states=False).output("patterns")
over_heads = {"mean": [pattern.mean(axis=1) for pattern in patterns], "largest": [pattern.max(axis=1) for pattern in patterns]}
ranks = {name: contributions.rank_agreement(effects, shares).mean(axis=0) for name, shares in over_heads.items()}
report.table(pd.DataFrame(ranks).rename_axis("layer").reset_index(), "GPT-2: rank correlation of two summaries of weights with value zeroing")

# %% [markdown]
# It does so in one layer only, and there by little. The mean hides a head that looks at one token alone. Where most heads look at the same tokens, the mean is the safer guide.
