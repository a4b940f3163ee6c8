# %% [markdown]
# # What the exact lists cost
#
# The exact search for a head's best pairs is faster than a search that computes the whole table block by block: nearly twenty times on the models of this book, and two to four times on the hardest weights below.
#
# The lists of pairs in this book are exact, although most of each table is never computed. This page says how this works and how much it saves. Its numbers come from recorded runs of
# the programs in `benchmarks/`; `make bench` measures again on any machine. It also says how the cost grows, and what it would be for a model of 405 billion parameters.
#
# ## Two bounds
#
# A head's table of pairs is the product of two thin factors, each with a row for every token. Let $a$ be a row of the left factor and $b$ a row of the right one, so that $a \cdot b$ is the entry of the pair. By Cauchy and Schwarz
#
# $$a \cdot b \le \lVert a \rVert\, \lVert b \rVert .$$
#
# Once fifty pairs are known, a pair whose bound lies below the fiftieth score need not be computed. Two steps make this bound useful on trained weights.
#
# - **Balance.** For any invertible $M$ the factors $A M$ and $B M^{-\top}$ have the same product as $A$ and $B$. We choose $M$ so that both are written in the product's singular vectors, each scaled by
#   the root of its singular value. A direction that is long in one factor and unused by the other, such as the mean of an embedding, then no longer counts.
# - **Split.** With $a = (a_1, a_2)$, where $a_1$ has the first $r$ coordinates,
#
#   $$a \cdot b \le a_1 \cdot b_1 + \lVert a_2 \rVert\, \lVert b_2 \rVert .$$
#
#   This is an inner product in $r + 1$ dimensions. Its maximum over a small box of right-hand tokens costs one more small product, so every left-hand token is compared with whole boxes before any single pair is computed.
#
# The search looks at a sample of pairs and then takes the cheapest of three ways: blocks of tokens ordered by norm, or boxes with $r = 1$ or $r = 2$. Rounding is part of every bound. Pairs whose place rounding could
# have changed are scored again in double precision, so that the list is that of the exact product. The same holds for the lists of single vectors ({doc}`feed_forward`), whose products are all computed.
#
# Both searches multiply in single precision. A first product in bfloat16, with a bound on its rounding, could be faster on processors that multiply such numbers natively; it was not built.
#
# ## What is saved
#
# The picture has one point for each head and reading (VO or QK, from weights as they are or normalised). Plain blocks compute everything in blocks and keep a running threshold; the search and the plain blocks were timed in
# turn, head by head. For `untrained`, plain blocks were timed on a part of the rows and scaled up.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How many times faster the search is than plain blocks, against the share of the product that it computes. One point for each head and reading; both axes are logarithmic. Within most models the ratio falls with the share, but models differ: MiniLM gains much more than gpt2-mini at a like share. Where little is computed, preparation takes most of the time and the ratio levels off.", "name": "fig-cost-ratios"}, "image": {"alt": "Scatter plot. Horizontal axis: per cent of the product computed. Vertical axis: how many times faster than plain blocks. One colour for each model. Ratios fall as the share rises within gpt2-mini, herbert-mini, MiniLM and the untrained model, but MiniLM is about as fast at 3 to 6 per cent as the first two below 1. The untrained model and e5 Polish, mostly at 10 to 60 per cent, are lowest."}}
from pathlib import Path

import pandas as pd

from analysis_lib import plots, report

plots.use_style()
heads = pd.read_csv(Path("../benchmarks/heads.csv"))
plots.search_ratios(heads);

# %% [markdown]
# The table has the medians over heads and readings; the column *readings of heads* counts each head once for every reading, and *most chosen* is the way to search that was chosen for most of them. *Tokens* is the number of tokens allowed on each side of a pair. The runs used one thread, two of them at a time, and times are processor time. Of `gpt2-mini` and `herbert-mini`, the models of this book, all 48 heads
# were measured in four readings, and of `e5 Polish` and `untrained` six heads drawn at random. The rows of `herbert-mini` were measured before this model was trained further, to its present state. Those of `MiniLM` come from an earlier run on another machine, with three heads. `MiniLM` is the published encoder all-MiniLM-L6-v2, and `e5 Polish` is multilingual-e5-small with the Polish words of its vocabulary. `untrained`
# has random weights of the published GPT-2's size and a mean that all embeddings share.

# %% tags=["hide-input"]
by_model = heads.groupby("model", sort=False)
table = by_model.agg(tokens=("tokens", "first"), heads=("ratio", "size"), ratio=("ratio", "median"), lowest=("ratio", "min"))
table["computed [%]"] = 100 * by_model["computed"].median()
table["most chosen"] = by_model["strategy"].agg(lambda chosen: chosen.mode()[0])
table = table.rename(columns={"heads": "readings of heads", "ratio": "times faster"}).reset_index()
report.table(table, "The search beside plain blocks", formats={"times faster": 1, "lowest": 1, "computed [%]": 2})

# %% [markdown]
# Flat spectra are the hard case. Where all directions of the product carry about the same weight, only norms tell pairs apart, and no split helps. If all norms are equal as well, nothing can be ruled
# out, and the search does what plain blocks do.
#
# ## What is closest
#
# - LEMP {cite}`teflioudi2015` sorts vectors into buckets by length and prunes buckets with the same inequality. Our blocks ordered by norm come from there.
# - FEXIPRO {cite}`li2017` rotates the items by a singular value decomposition, computes partial products and bounds the remainder by its norm. It does so one query at a time, and its
#   decomposition knows only the items; balancing knows both sides.
# - Trees of balls or cones {cite}`ram2012` bound groups of vectors, as our boxes do, but in all dimensions. In 32 or 64 dimensions a ball around many tokens is large; our boxes have two or three dimensions.
# - Norm-explicit quantisation {cite}`dai2020` stores norms and directions apart. It answers approximately, and our lists are exact.
# - Abuzaid and others {cite}`abuzaid2019` show that plain blocked products often beat indexes. This is why everything that survives a bound is computed here in dense blocks.
#
# LEMP can also list all entries above a given threshold. Otherwise these methods find the best items of each query. Here the best pairs of all queries together are wanted, and no threshold is given. Each good pair that is found therefore rules out pairs everywhere.
#
# ## How the cost grows
#
# The next picture varies one size at a time. For the vocabulary, larger and larger samples of the 250,037 tokens of multilingual-e5-small were drawn at random, and the lists of one VO and one QK matrix were searched for. For the width $d_\mathrm{head}$
# of a head, random factors with lognormal norms were drawn for 32,768 tokens. For the number of layers, both lists of all heads of e5's first layers were made over its Polish words. There are so few of these words that preparing the search takes longer than the whole product would. The dashed line is the least time that a method
# that computes everything would need: the operations of the whole product, at the rate that the same processor reached in one block. An exponent is the slope of a line in this picture, fitted by least squares.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "Seconds of one core for the fifty best pairs, against the vocabulary, the width of a head and the number of layers (all heads of these layers), with fitted exponents. Dotted: forming the two factors from weights. Dashed: all products of the row at the processor's own rate, without looking at their entries. On real heads the search grows more slowly with the vocabulary than forming the factors, and much more slowly than the product.", "name": "fig-cost-growth"}, "image": {"alt": "Three panels with logarithmic axes. Top: seconds against tokens from 8 thousand to 250 thousand; the dashed line of the whole product rises fastest and ends about a hundred times or more above the others. Middle: seconds against d_head from 16 to 128. Bottom: seconds against layers from 1 to 12; the line rises little from 1 to 2 and then about as steeply as the dashed one, above it."}}
from analysis_lib.projections import growth

rows = pd.read_csv(Path("../benchmarks/growth.csv"))
plots.search_growth(rows, growth.fitted_exponents(rows));

# %% [markdown]
# ## From one head to a model of 405 billion parameters
#
# With these rates one can say what the lists of all heads would cost on a model that nobody here can load. The table counts three things for both matrices of every head. *Factors* are products such as $W_E W_V$, whose operations can be counted exactly.
# *Search* is a share of the time of the whole product: the share that it took on e5's whole vocabulary or, as the hard case, the share of all pairs that had to be computed on random weights. The first share is optimistic: {numref}`fig-cost-growth` shows that it is larger for smaller vocabularies, and the models of the table have smaller ones than e5. *Shipping* sends the embeddings to every machine and each head's own weights to one of them, with two bytes for each number, from one
# machine with a link of 10 gigabits a second. A machine has 16 cores, each as fast as the one on which the rates were measured.

# %%
rate = rows.loc[rows["d_head"] == 128, "rate"].iloc[0]
e5 = rows[rows["vocab"] == rows["vocab"].max()]
shares = {"like e5": (e5["search"] / e5["product"]).median(), "like random weights": heads.loc[heads["model"] == "untrained", "computed"].median()}
shapes = {"GPT-2 medium, one head": growth.Shape(1, 1, 1, 51_200, 1024, 64), "GPT-2 medium": growth.Shape(24, 16, 16, 51_200, 1024, 64), "405 billion parameters": growth.LARGE}

# %%
tables = [
    growth.whole_model(shape, share, rate, machines=(1, 10, 100) if shape is growth.LARGE else (1,)).assign(model=name, pruned=pruned)
    for name, shape in shapes.items()
    for pruned, share in shares.items()
]
times = ["factors", "search", "shipping"]
columns = ["model", "pruned", "machines", *times, "together", "bottleneck"]
table = pd.concat(tables)[columns]
table[[*times, "together"]] *= growth.HOUR  # in seconds
caption = (
    f"Both lists of every head; {rate:.0f} billion operations a second on a core, 16 cores a machine. "
    "The largest model has 126 layers of 128 heads, 8 of them with keys of their own, and 128,000 tokens"
)
report.table(table, caption, formats=dict.fromkeys([*times, "together"], report.duration))

# %% [markdown]
# For the largest model on one machine, arithmetic takes nearly all the time. With a hundred machines, each still has to receive the embeddings, and the link of the machine that sends them becomes the bottleneck. If machines passed copies on to each other,
# this bottleneck would go. The extrapolation assumes that heads of such a model can be pruned as well as those that were measured, which nobody has shown.
#
# ## The book at the size of the published models
#
# `tools/real_size_hub.py` makes random models with the layers, heads and vocabularies of the published GPT-2 and HerBERT. The table has the time that the parts of seven chapters take on the GPT-2 of that size, measured on a sample of heads, neurons or texts and
# multiplied by how many the chapter has. The rows of `attention_heads` are for {doc}`attention_heads` and {doc}`heads_at_work` together. Some parts of these chapters, such as the regressions themselves, were not measured, so the sums are too low by these parts.
# The Jacobian lens and the neurons at work were measured while other programs kept the cores busy, which made other parts take 1.5 times as long. Their minutes may therefore be too high: the whole chapter on neurons at work took less when it was built (second table).
# In the embedded models the chapters look at all neurons, heads, layers and null models, except where a page says otherwise. In large models they look at samples of the neurons, of the heads that are removed or tested on text, of the layers that are read or replaced, and of the null models, and they state the size of each sample.

# %% tags=["hide-input"]
parts = pd.read_csv(Path("../benchmarks/real_size.csv"))
parts["minutes"] = parts["extrapolated"] / 60
longest = parts.sort_values("minutes").groupby("chapter", sort=False).last()
table = parts.groupby("chapter", sort=False)["minutes"].sum().to_frame()
table = table.assign(**{"longest part": longest["part"], "its minutes": longest["minutes"]}).reset_index()
report.table(table, f"Minutes of one core for a GPT-2 of 24 layers, extrapolated; at most {parts['peak_mib'].max() / 1024:.1f} GiB were in use while measuring", digits=1)

# %% [markdown]
# We also began to build the book on these two random models, which the same machine with two cores served as a hub does. No such build has finished yet: in about an hour and a half, beside other work, fourteen chapters were done. The build was stopped in the middle of a chapter and begun again, and went on with the next.
# The second table has the time and memory of chapters, for both models together. Chapters ran one at a time at first, each on both cores, and then two at a time, each on one core, which fitted into the machine's 23 gigabytes. The last three rows come from an earlier build, before the library stopped keeping models that it is done with, and need less memory now.
# {doc}`attention_norms`, which is not in the table, had not finished after 23 minutes of processor time, in the middle of its interventions. It held 7.8 GiB at most; an earlier build had been ended by the system when this chapter held 17.7. {doc}`senses` had not finished after seven minutes and held 9.3 GiB, and {doc}`heads_at_work` was not begun.

# %% tags=["hide-input"]
built = pd.read_csv(Path("../benchmarks/real_build.csv"))
table = built.rename(columns={"how": "how it ran", "peak_gib": "memory at most [GiB]"})
report.table(table, "Chapters built on random models of the published sizes, beside other work", digits=1)

# %% [markdown]
# ## Threads, processes and clusters
#
# Every computation that is repeated for each head goes through one function, `sweep(function, items, shared)`. It runs on any backend of joblib: on threads or processes of one machine, or on a `dask.distributed` cluster.
# What the calls share, such as weights, reaches each worker once. One test counts the bytes; another kills a worker midway and still gets all results.
#
# ```python
# import joblib
# from analysis_lib.projections import qk_factors, top_pairs
# from analysis_lib.sweeps import sweep
#
# def best_pairs(weights, head):
#     return top_pairs(*qk_factors(weights, *head), k=50)
#
# heads = [(layer, head) for layer in range(weights.n_layers) for head in range(weights.n_heads)]
# with joblib.parallel_config("dask", client=client):  # or ("loky", n_jobs=4) for processes
#     lists = sweep(best_pairs, heads, shared=weights)
# ```
#
# During `make book`, what sweeps have found is kept in `_build/sweeps` under the revision of the model, the arguments and the library's source, so that a build that was stopped continues where it was.
