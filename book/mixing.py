# %% [markdown]
# # Where an update comes from
#
# **Question.** Attention writes into a token's state a sum of contributions, one from each token that it reads. Which tokens mattered? Many read this off the attention weights. The lengths of the
# contributions themselves are another answer. Which of the two says what happens when a token's contribution is taken away? And how much of a token's new state comes from other tokens at all?
#
# **What was found**
#
# - **The lengths of contributions tell better than attention weights which tokens matter.** In GPT-2 the rank correlation with the effects of taking a token away is {glue:text}`mix-polish-gpt2-lengths` for lengths and
#   {glue:text}`mix-polish-gpt2-weights` for weights. Part of this lead is built in: taking a token away removes the very vector whose length is measured.
# - **In untrained models attention weights are a far poorer guide than in trained ones.** In untrained GPT-2s the rank correlation of weights is {glue:text}`mix-polish-gpt2-weights-untrained` on average; lengths do well there, too.
# - **Training makes some layers mix far more.** The mixing ratio is the share of other tokens, measured by lengths, in what attention and the residual connection make of a token. In GPT-2's layer 0 it is {glue:text}`mix-polish-gpt2-first`, against {glue:text}`mix-polish-gpt2-first-untrained` in untrained models. In the later layers it is {glue:text}`mix-polish-gpt2-later`, highest in layer 1, against {glue:text}`mix-polish-gpt2-later-untrained` without training.
#   HerBERT mixes more than untrained models in every layer, and most in layer 4.
#
# Square brackets hold 95% intervals over sentences. Layers count from 0.

# %% tags=["hide-cell"]
import numpy as np
import pandas as pd

from analysis_lib import activations, models, norms, plots, report, statistics, texts
from analysis_lib.norms import contributions

plots.use_style()
NAMES = {"polish-gpt2": "GPT-2", "herbert": "HerBERT"}
loaded = {name: models.load(name) for name in NAMES}
wide = max(model.model.config.hidden_size for model in loaded.values()) > 512
N_SENTENCES, DRAWS = (3, 2) if wide else (10, 4)  # sentences, and untrained models beside each trained one
SENTENCES = sorted(texts.sentences(), key=len)[:N_SENTENCES]
print(*(model.label for model in loaded.values()), sep="\n")

# %% [markdown]
# ## Three measures
#
# Let $f^h(x) = (x W_V^h + b_V^h)\, W_O^h$ be what head $h$ would write if it attended to state $x$ alone, and $\alpha^h_{ij}$ the weight of token $j$ for token $i$. How much does $j$ matter for the update of $i$?
#
# - **Attention weights**, averaged over heads, give $\alpha_{ij}$.
# - **Norm-based attention** {cite}`kobayashi2020` gives $\lVert \sum_h \alpha^h_{ij} f^h(x_j) \rVert$, the length of the contribution.
# - **Value zeroing** {cite}`mohebbi2023` tries it out: the value of $j$ is set to zero in one layer, and $1 - \cos$ says how far the block's output turns at $i$.
#
# The first two are computed shares, the third is an observed effect. If a share says what matters, it puts the tokens that $i$ sees in the same order as the effect does. {numref}`fig-mix-zeroing` shows Spearman's rank correlation over the *other* tokens that a token
# sees, averaged over the tokens of a sentence. The sentences are the shortest of the forty that were written for this book.

# %%
fresh = {name: [models.untrained_like(model, seed=seed) for seed in range(DRAWS)] for name, model in loaded.items()}


def weights_of(model):
    """Attention weights [layer, query, key] of each sentence, averaged over heads."""
    patterns = activations.run(model, SENTENCES, outputs=("patterns",), states=False).output("patterns")
    return [pattern.mean(axis=1) for pattern in patterns]

# %%
def measured(model):
    """Both shares and the effect, by name: arrays [layer, query, key], one for each sentence."""
    return {
        "lengths": norms.norm_based_attention(model, SENTENCES),
        "weights": weights_of(model),
        "effect": contributions.value_zeroing(model, SENTENCES),
    }


trained = {name: measured(model) for name, model in loaded.items()}
untrained = {name: [measured(model) for model in draws] for name, draws in fresh.items()}

# %%
def agreement(found, kind, cut=slice(None)):
    """Rank correlation of a share with the effect [sentence, layer], of all tokens or of some."""
    effect, share = ([array[:, cut, cut] for array in found[which]] for which in ("effect", kind))
    return contributions.rank_agreement(effect, share)


def profile(values):
    """Mean over sentences by layer."""
    return statistics.Measure(np.arange(len(values)), np.ones(len(values)), values.T, values.T, "text").mean(adjusted=False)

# %%
LAYERS = {title: [str(layer) for layer in range(activations.sites_of(loaded[name].model).n_layers)] for name, title in NAMES.items()}
lines = {}
for name, title in NAMES.items():
    sources = {"": trained[name], ", untrained": untrained[name][0]}
    lines[title] = {kind + source: profile(agreement(found, kind)) for source, found in sources.items() for kind in ("lengths", "weights")}

# %% tags=["key-figure", "hide-input"] mystnb={"figure": {"caption": "How well two computed shares rank the tokens that a token reads: their rank correlation with the effect of taking a token's value away, by layer, in trained models and in untrained ones of the same shape; 95% intervals over sentences. Shares that say nothing would lie at zero.", "name": "fig-mix-zeroing"}, "image": {"alt": "Two panels by layer. Lengths of contributions lie between 0.78 and one in both models, trained and untrained. Attention weights lie near 0.9 in both trained models, below the lengths in every layer; in untrained models they lie far lower."}}
looks = {"lengths": (plots.CYCLE[0], "-"), "weights": (plots.CYCLE[1], "-"), "lengths, untrained": (plots.CYCLE[0], ":"), "weights, untrained": (plots.CYCLE[1], ":")}
plots.layer_panels({"rank correlation": lines}, LAYERS, looks, zero=True);

# %% [markdown]
# ## Why weights mislead
#
# A token that is attended to may have little to give. Lengths take this into account, and weights do not. In both trained models the weights agree less well with the effects than the lengths do, in every layer; only in GPT-2's layer 1 do the two intervals overlap. In an untrained model attention is nearly even, so that its small differences
# rank tokens only somewhat better than chance, while the lengths of what tokens would give differ as their embeddings do.
#
# One sentence shows it: *Nie było w tym domu ani jednego pokoju bez książek* ("There was not a single room without books in this house"). The table shows what the last word, *książek* (books), reads in GPT-2's first layer. Each column is
# scaled to sum to 100% over the other tokens that the word sees.

# %%
one = int(np.argmax([len(sentence.split()) for sentence in SENTENCES]))
ids = loaded["polish-gpt2"].tokenizer(SENTENCES[one])["input_ids"]
asked = len(ids) - 2  # the token before the full stop
shares = {kind: trained["polish-gpt2"][kind][one][0, asked, :asked] for kind in ("weights", "lengths", "effect")}
titles = {"weights": "attention weight [%]", "lengths": "length of contribution [%]", "effect": "effect of taking it away [%]"}
read = pd.DataFrame({titles[kind]: 100 * share / share.sum() for kind, share in shares.items()})
read.insert(0, "token", loaded["polish-gpt2"].vocabulary.labels(ids[:asked]))
report.table(read, f"{SENTENCES[one]} What the token {loaded['polish-gpt2'].vocabulary.labels(ids)[asked]} reads in GPT-2's first layer", digits=0)

# %% [markdown]
# By their weights, *pokoju* (room) matters nearly as much as *bez* (without), and *Nie* (not) less than *domu* (house). By the lengths of what they contribute, *bez* matters more than twice as much as *pokoju*, and *Nie* a little more than *domu*; the effects of taking them away have the same order as the lengths.
# Lengths do not tell everything: taking *bez* away has an effect that is larger still, several times that of *pokoju*.
#
# ## How much comes from others at all
#
# Shares compare other tokens with each other. The **mixing ratio** {cite}`kobayashi2021` compares all of them with the token itself. With $m_i = \sum_{j \ne i} \sum_h \alpha^h_{ij} f^h(x_j)$ for what others bring and $k_i = x_i + \sum_h \alpha^h_{ii} f^h(x_i)$ for what the token keeps through the
# residual connection and its attention to itself, where $x$ is the state before the layer and $f^h$ reads it through the layer norm in GPT-2, the ratio is
#
# $$\frac{\lVert m_i \rVert}{\lVert m_i \rVert + \lVert k_i \rVert} ,$$
#
# in HerBERT with both taken through the layer norm that follows. The call is `contributions.mixing_ratios(model, texts)`. The first token of a text is left out, since in GPT-2 it reads no other token.

# %%
def mixing(model):
    """Mixing ratio [sentence, layer], mean over tokens."""
    return np.array([ratio[:, 1:].mean(axis=1) for ratio in contributions.mixing_ratios(model, SENTENCES)])


drawn = {name: np.array([mixing(draw) for draw in draws]) for name, draws in fresh.items()}  # [model, sentence, layer]
mixed = {name: {"trained": mixing(model), "untrained": drawn[name].mean(axis=0)} for name, model in loaded.items()}

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Mixing ratio by layer: the share of other tokens in what attention and the residual connection make of a token, in trained models and on average over the untrained ones; 95% intervals over sentences.", "name": "fig-mix-ratio"}, "image": {"alt": "Two panels by layer. The trained GPT-2 lies between 0.4 and 0.5 in the first two layers, highest in layer 1, and between 0.15 and 0.2 in the later ones; the untrained one falls slowly from 0.27 to 0.18. The trained HerBERT has 0.48 in layer 4 and between 0.2 and 0.31 in the other layers; the untrained one stays near 0.05."}}
of_layers = {title: {kind: profile(values) for kind, values in mixed[name].items()} for name, title in NAMES.items()}
plots.layer_panels({"mixing ratio": of_layers}, LAYERS, {"trained": (plots.CYCLE[0], "-"), "untrained": (plots.MODEL_COLOURS["untrained"], ":")}, zero=True);

# %% [markdown]
# ## What could be wrong
#
# **Special tokens and first tokens are read in a way of their own.** Heads often attend to them with large weights and take little from them, since their values are short; that would favour lengths. One column of the table below leaves out the first and the last token of HerBERT's sentences and
# the first of GPT-2's; lengths stay ahead without them.
#
# **Lengths have a head start.** Value zeroing takes away the very vector whose length is measured, so the two should agree in any model, and in untrained ones they do. The comparison shows what attention weights leave out, not that a long contribution matters for the model's predictions.
#
# **One untrained model is one draw.** The table has several of each.

# %%
CUT = {"polish-gpt2": slice(1, None), "herbert": slice(1, -1)}
rows = {}
for name, title in NAMES.items():
    for kind in ("lengths", "weights"):
        own, cut = (statistics.t_interval(agreement(trained[name], kind, where).mean(axis=1)) for where in (slice(None), CUT[name]))
        others = [agreement(found, kind).mean() for found in untrained[name]]
        rows[title, kind] = {"trained": own, "without special and first tokens": cut, "untrained models": report.span(others)}
controls = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "share"]).reset_index()
report.table(controls, "Rank correlation with value zeroing, mean over layers; intervals over sentences, and the range over untrained models")

# %% tags=["remove-cell"]
for name, title in NAMES.items():
    page = {"model": name, "unit": "rank correlation", "section": "mixing.html#fig-mix-zeroing"}
    own = {kind: statistics.t_interval(agreement(trained[name], kind).mean(axis=1)) for kind in ("lengths", "weights")}
    draws = np.array([agreement(found, "weights").mean() for found in untrained[name]])
    report.finding(f"mix-{name}-weights", f"{title}: training makes attention weights a better guide to what matters", own["weights"], {"untrained": draws}, **page)
    ratios, most = mixed[name]["trained"], drawn[name].mean(axis=1).max(axis=1)  # of each untrained model, its own layer that mixes most
    highest = statistics.t_interval(ratios[:, ratios.mean(axis=0).argmax()])
    page |= {"unit": "mixing ratio", "section": "mixing.html#fig-mix-ratio"}
    report.finding(f"mix-{name}-ratio", f"{title}: the layer that mixes most mixes more than without training", highest, {"untrained": most}, **page)
    glued = {**{kind: report.interval(*interval) for kind, interval in own.items()}, "weights-untrained": report.number(draws.mean())}
    for suffix, ratios in (("", mixed[name]["trained"]), ("-untrained", mixed[name]["untrained"])):
        glued[f"first{suffix}"] = report.percent(ratios[:, 0].mean())
        glued[f"later{suffix}"] = report.span([100 * share for share in ratios[:, 1:].mean(axis=0)], digits=0, unit="%")
    report.glue_frame(pd.Series(glued, dtype=object), f"mix-{name}")

# %% [markdown]
# ## Limits
#
# - Few and short sentences, and two small models of one training run each.
# - A value is taken away in one layer and the effect is observed at the end of that layer. What later layers would make of the change is not asked.
# - Weights are averaged over heads, as is usual. A single head's weights may say more about that head.
# - The mixing ratio compares lengths. What others bring may point against what the token keeps, or along it.
#
# ## Exercises
#
# 1. Does a token's own contribution matter most? Compare the diagonal of value zeroing with the rest of each row, by layer. ({ref}`Solution <sol-mix-1>`)
# 2. Take the largest weight over heads in place of the mean. Does it rank tokens better? ({ref}`Solution <sol-mix-2>`)
