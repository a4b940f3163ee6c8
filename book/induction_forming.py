# %% [markdown]
# # How induction forms
#
# **Question.** The toy of {doc}`induction` ends its training with a circuit of two kinds of head. When does each kind appear, what does one need of the other, and does every run get there?

# %% tags=["hide-cell"]
import pandas as pd

from analysis_lib import circuits, models, plots, recorded, report
from analysis_lib.circuits import induction, repeats
from analysis_lib.models import training_history

plots.use_style()
BLUE, ORANGE, GREY = plots.CYCLE[0], plots.CYCLE[1], plots.MODEL_COLOURS["untrained"]
toy = models.load("minigpt")
print(toy.label)

# %% [markdown]
# **What was found**
#
# - **The previous-token head comes first.** In {glue:text}`ind-seeds-order` runs its score passes one half before that of the best induction head does.
# - **Most of the time goes into the pattern of the induction head.** If the first layer has its finished attention from the start, previous-token head and all, the loss on repeated symbols still takes {glue:text}`ind-clamp-previous` steps to fall below two nats, instead of {glue:text}`ind-clamp-none`. If the second layer has its finished attention, the loss takes {glue:text}`ind-clamp-induction` steps.
# - **Every run gets there.** The training was run from five seeds, and all five models have the circuit.
#
# L0H3 is head 3 of the first layer; layers and heads count from 0.
#
# ## Along the training
#
# The checkpoint's folder holds snapshots of the weights along the training (`models.training_history.snapshots`), and most of them are measured on the probe of the chapter before. The solid lines of {numref}`fig-induction-emergence` follow heads of the finished model. The dotted lines
# are the best heads of the four other seeds, as measured during their training.

# %%
def symbol_probe(seed):
    """Sequences of the toy's symbols in which a random block of 15 comes twice, as in the chapter before."""
    return circuits.repeated_random_tokens(
        range(1, repeats.VOCABULARY), 64, 15, (0, 24), start=repeats.BEGIN, length=repeats.LENGTH, distinct=False, seed=seed
    )


choosing, probe = symbol_probe(1), symbol_probe(2)

# %%
scores = induction.probe_scores(induction.probe_patterns(toy, choosing), choosing)
circuit, two_back = induction.find_circuit(scores), induction.best_two_back(scores)
snapshots = training_history.snapshots()
milestones = {step: induction.milestone(snapshots[step], probe, circuit, two_back) for step in snapshots if step % 100 == 0 or step < 400}
history = pd.DataFrame(milestones).T
course = training_history.course().set_index("step")

# %% tags=["key-figure", "hide-input"] mystnb={"figure": {"caption": "The toy along training: loss on the probe, head scores (dotted: other seeds), and the mean K-composition of the circuit's pairs beside that of all other pairs and chance. The axis is logarithmic up to step 4,000, where the later stages begin, and linear beyond.", "name": "fig-induction-emergence"}, "image": {"alt": "Three panels over training steps: losses of both occurrences part, the previous-token score and then the induction score rise, and the composition of the circuit's pairs leaves that of the other pairs. After step 4,000 the loss of the second occurrence jumps up, and induction score and composition rise again."}}
faint = {
    f"_{key}{seed}": (run[key], colour + "66", ":")
    for seed, run in course[course["seed"] != training_history.shipped_seed()].groupby("seed")
    for key, colour in (("previous_token", ORANGE), ("induction", BLUE))
}
shown = {"previous": (circuit.previous, "previous token", ORANGE), "two back": (two_back, "two back", plots.CYCLE[4]), "induction": (circuit.strongest, "induction", BLUE)}
heads = {f"{report.head_name(*head)}, {label}": (history[key], colour, "-") for label, (head, key, colour) in shown.items()}
losses = {"first occurrence": (history["first"], ORANGE, "-"), "second occurrence": (history["second"], BLUE, "-")}
chance = 0 * history["first"] + toy.model.config.d_model**-0.5
composition = {"circuit's pairs": (history["circuit's pairs"], BLUE, "-"), "other pairs": (history["other pairs"], GREY, "-"), "chance": (chance, plots.INK, "--")}
plots.emergence({"loss [nats]": losses, "head score": heads | faint | {"other seeds": (pd.Series(dtype=float), GREY, ":")}, "K-composition": composition}, "training step", later=4000);

# %%
columns = ["previous token", "induction", "first", "second"]
report.table(history.loc[[0, 100, 200, 300, 400], columns].rename_axis("step").reset_index(), "Scores of the two heads, and losses in the first and the second occurrence of the block [nats]", formats={"step": 0})

# %% [markdown]
# After three hundred steps most of the task is learned: the second occurrence of a block is far less surprising than the first. The later stages of the training begin at steps 4,000 and 4,600. In them the induction score rises again, the
# K-composition of the circuit's pairs moves further from that of the others, and the loss on the probe rises. The data of these stages ask the heads to go by a single symbol instead of two. A single symbol works for shorter blocks and is weaker evidence; whether this is why the loss rises was not tested.
#
# ## Which part waits for which?
#
# The first 400 steps were run again with the attention of one layer **clamped** {cite}`singh2024`: from the first step on, its heads attend either as those of the finished model of the same seed do (final) or as those of the untrained
# one do (initial). All else is trained as before.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Loss on repeated symbols (after two of them) along the beginning of the training, with the attention of one layer clamped or of none; a line for each of two seeds.", "name": "fig-induction-clamps"}, "image": {"alt": "Lines over 400 steps. Unclamped, the loss falls from 3.5 nats at about step 275; with the first layer final at about 200, with the second layer final within 50 steps. With either layer initial it stays above three."}}
clamped = recorded.table("induction_clamps")
plots.clamped_runs(clamped, "repeated_known_2", "loss [nats]");

# %%
halved = clamped[clamped["repeated_known_2"] < 2].groupby(["clamp", "seed"])["step"].min()
report.table(halved.unstack("seed").rename(columns="seed {}".format).reset_index(), "The first step at which the loss is below two nats; clamps that are missing never get there", digits=0)

# %% [markdown]
# With the finished pattern of layer 0 the loss falls below two nats after {glue:text}`ind-clamp-previous` steps, and with the finished pattern of layer 1 after {glue:text}`ind-clamp-induction`: the pattern of the induction head takes most of the time, and
# waits for the previous-token head. Where the pattern of the induction head is given, the previous-token head forms later and less fully: after 400 steps its score is {glue:text}`ind-clamp-idle`, and only one of the two seeds is past one half. Nothing needs the head there, but that cannot be the whole reason: nothing needs it either when layer 1 attends as it did before training, and then it forms at the usual time. If either layer goes on attending as it did before training, no circuit forms within these steps.
#
# ## Five seeds
#
# One model proves little, so the recipe was run from five seeds. The toy is the model with the median induction score after the first stage, a rule that was settled before the training. In the
# tables all seeds and five untrained models are measured by the same rules, each with its own heads.

# %%
runs = {f"seed {seed}": model for seed, model in training_history.seed_models().items()}
runs |= {f"untrained {seed}": models.untrained_like(toy, seed) for seed in range(5)}
everything = pd.DataFrame({name: induction.portrait(model, choosing, probe) for name, model in runs.items()}).T.rename_axis("model")
HEADS = ["previous token", "two back", "induction", "circuit's z", "other pairs' z"]
report.table(
    everything[HEADS].reset_index(),
    "All seeds on the probe: scores of the best heads, and mean z of K-composition of the circuit's pairs and of the others",
    formats={"circuit's z": 1, "other pairs' z": 1},
)

# %%
report.table(
    everything.drop(columns=HEADS).reset_index(),
    "The same models: losses in the first and (from the fourth symbol on) in the second occurrence, and loss added without the shift heads and "
    "without all other heads of layer 0 [nats]",
)

# %% [markdown]
# ## Limits
#
# The toy's data reward this circuit and little else, and one recipe was tried. The clamps were run from two seeds. A clamped model never meets the half-formed patterns that it would have learned from, so the clamps show what is
# enough for the circuit to form, not how it forms without them.
#
# ## Exercises
#
# 1. In each seed, how many steps after the previous-token score does the induction score exceed one half? ({ref}`Solution <sol-form-1>`)
# 2. The figure follows the heads of the finished model. Does the best induction head of each snapshot, whichever it is, score higher early on? ({ref}`Solution <sol-form-2>`)

# %% tags=["remove-cell"]
reached = {seed: [run.index[run[key] > 0.5].min() for key in ("previous_token", "induction")] for seed, run in course.groupby("seed")}
words = {f"clamp-{key}": report.span(halved[clamp], digits=0) for key, clamp in {"none": "none", "previous": "layer 0 final", "induction": "layer 1 final"}.items()}
words["clamp-idle"] = report.span(clamped.query("clamp == 'layer 1 final' and step == step.max()")["previous_token"])
words["seeds-order"] = f"{sum(early < late for early, late in reached.values())} of {len(reached)}"
report.glue_frame(pd.Series(words, dtype=object), "ind")
