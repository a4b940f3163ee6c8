# %% [markdown]
# # Your own model
#
# Most questions of this book can be asked of another model. There are two ways: take a single model apart in a notebook, for which this page is a pattern to copy, or build the whole book on a pair of models of your own.
#
# ## One model in a notebook
#
# Change the name below. It may be `polish-gpt2`, `herbert` or `e5`, the models of this book that have a tokenizer and feed-forward layers, both of which this page needs. It may also be a folder that `save_pretrained` wrote,
# or a repository of the Hugging Face hub (`"owner/name"`, or `"owner/name@revision"`). For a model that is already in memory, use `al.wrap(model, tokenizer)`. GPT-2 and BERT architectures are known.
# Others can be added to the registry; the beginning of `analysis_lib/models/architectures.py` says how.

# %%
import numpy as np
import pandas as pd

import analysis_lib as al
from analysis_lib import plots, report, weights

plots.use_style()
MODEL = "polish-gpt2"
model = al.load(MODEL)
untrained = al.untrained_like(model, seed=0)
print(model.label)

# %% [markdown]
# **Are the weights read correctly?** `al.extract` gives the weights of every architecture in one notation, head by head. The proof is a comparison: attention rebuilt from these weights must equal the model's own. Do this first. If the differences
# are not of the size of rounding, nothing below means anything.

# %%
w = al.extract(model)
errors = weights.attention_errors(model, ["Kot siedzi na oknie.", "Pociąg do Krakowa odjeżdża o ósmej."])
print(f"{w.n_layers} layers of {w.n_heads} heads, {w.d_vocab:,} tokens")
print(f"largest difference in a pattern {errors.pattern.max():.1e}, in an update {(errors.output / errors.output_scale).max():.1e} of its size")

# %% [markdown]
# **What do its heads attend to?** Heads are scored on random words in which a block of words comes twice ({doc}`induction`): the scores say how much of its attention a head gives to the previous token, to what followed the same token earlier, to the
# same token, and to the first position. An untrained model of the same shape stands beside the model, because some scores are high without any training. In the small GPT-2 one head of the first layer gives nearly all of its attention to the
# previous token, and one head of a later layer gives about half of its attention to what followed the same token earlier, as induction heads do. No head of the untrained model does either.

# %% mystnb={"figure": {"caption": "Share of attention, in per cent, that each head gives to four kinds of tokens, in the model and in an untrained one of the same shape. Rows are layers, columns are heads.", "name": "fig-own-scores"}, "image": {"alt": "Four pairs of heat maps. On the left the trained model, which has a few bright cells in every map; on the right the untrained one, whose cells are nearly alike."}}
KINDS = ["previous token", "induction", "duplicate token", "first position"]
scores = {title: {kind: al.head_scores(m, kind) for kind in KINDS} for title, m in {"trained": model, "untrained": untrained}.items()}
plots.score_maps(scores);

# %% [markdown]
# **What does a head write?** Take the head that attends most to the previous token. Its table $W_E W_{VO} W_U$ says which tokens become likelier when it attends to a token ({doc}`attention_heads`), and `al.top_pairs` finds the largest entries of
# that table without forming it. If the model came with token counts of its training text, only tokens that are mostly whole words in that text are kept. Pairs of a word with itself are left out.

# %%
layer, head = np.unravel_index(scores["trained"]["previous token"].argmax(), (w.n_layers, w.n_heads))
words = model.vocabulary.keep(words=True, whole_words=True, min_length=3, counts=model.counts)
vo = w.W_E @ w.head(layer, head).vo @ w.W_U
pairs = al.top_pairs(vo.left, vo.right.T, 8, words, words, model.vocabulary.form_groups)
report.table(pairs.to_frame(model.vocabulary)[["left", "right", "score"]], f"L{layer}H{head}: the largest entries of its VO table", digits=2)

# %% [markdown]
# **What does a neuron write?** The value of a neuron is a direction in the residual stream, and its products with the unembedding say which tokens it promotes ({doc}`feed_forward`).

# %%
W_out = w.W_out[w.n_layers - 1][:3]  # [neuron, d_model]: three neurons of the last layer
best = al.top_tokens(W_out, w.W_U, k=6, keep=words)
rows = [(neuron, ", ".join(model.vocabulary.text[best.ids[neuron]])) for neuron in range(len(W_out))]
report.table(pd.DataFrame(rows, columns=["neuron", "tokens that it promotes"]), f"The first three neurons of layer {w.n_layers - 1}")

# %% [markdown]
# A list alone is no finding. Before you believe one, ask what a random head or a random vector between the same embeddings would have given: `projections.random_heads` draws such heads, and every chapter compares its lists with such a null.
#
# ## The whole book on a pair of models
#
# ```
# ANALYSIS_MODELS=hub make book
# ANALYSIS_MODELS=polish-gpt2=FOLDER_OR_ID,herbert=FOLDER_OR_ID make book
# ```
#
# The first line downloads the published models, `sdadas/polish-gpt2-medium` and `allegro/herbert-base-cased`. The second takes models of your own, for one of the two or for both. A wrong value, or a model that cannot be read, ends the build before anything is computed. Each
# chapter then says which models it read and in which revision.
#
# - **What it replaces.** The chapters on the two Polish models, on norms and on where updates come from read your pair. The small transformers, which were trained for one task each, and e5 stay as they are.
# - **What it needs.** A GPT-2 in the place of `polish-gpt2` and a BERT with a masked-language head in that of `herbert`, each with its tokenizer. They should read Polish: texts, word lists and the dictionary are Polish, and with another language few tokens are kept
#   as words. A model of any other type is refused here.
# - **How long it takes.** The build takes about a quarter of an hour on the models that come with the book. At the size of the published ones, {doc}`cost` has estimates for seven chapters and measurements for most. Two to three hours on two cores are to be expected, though no such build has been run to its end yet. A chapter needs up to eleven gigabytes of memory. In large
#   models the chapters look at samples of heads and neurons, whose sizes they state.
# - **If it is stopped.** Start it again. Chapters that were done are kept, and so is what the others had computed head by head. `make clean` throws everything away.
# - **What the sentences say.** Numbers in the text are those of your models. The sentences around them were written about the models that come with the book and may not hold for yours. {doc}`null_board` is drawn from recorded claims; `make findings` records those of your models.
#
# ## When something is refused
#
# Where the library refuses something, it stops with one sentence that names what it was given and what it expected. {doc}`bad_input` lists these sentences. The usual ones:
#
# - *A repository that asks for permission* needs an access token of the hub in the variable `HF_TOKEN`.
# - *Pickled weights* are converted once, if they are tensors only. A file that holds anything else is refused, and the message names what it holds.
# - *A tokenizer that does not fit*: the model has fewer rows of embeddings than the tokenizer has tokens.
# - *No network*: a model that was downloaded before is used if its files are complete.
