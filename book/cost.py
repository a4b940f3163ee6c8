# %% [markdown]
# # What the exact lists cost
#
# On the weights of every model below, the exact search for a head's best pairs is several times faster than computing the whole table.
#
# The lists of pairs in this book are exact, and yet most of each table is never computed. This page says how, and how much is saved. Its numbers are those of a recorded run of
# `benchmarks/bench_heads.py`; `make bench` measures again on any machine.
#
# ## Two bounds
#
# Let $a$ be a row of a head's left factor and $b$ a row of its right factor, so that $a \cdot b$ is the entry of the pair. By Cauchy and Schwarz
#
# $$a \cdot b \le \lVert a \rVert\, \lVert b \rVert .$$
#
# Once fifty pairs are known, a pair whose bound lies below the fiftieth score needs no computing. Two steps make this bound useful on trained weights.
#
# - **Balance.** For any invertible $M$ the factors $A M$ and $B M^{-\top}$ have the product of $A$ and $B$. We choose $M$ so that both are written in the product's singular vectors, each scaled by
#   the root of its singular value. A direction that is long in one factor and unused by the other, such as the mean of an embedding, then no longer counts.
# - **Split.** With $a = (a_1, a_2)$, where $a_1$ has the first $r$ coordinates,
#
#   $$a \cdot b \le a_1 \cdot b_1 + \lVert a_2 \rVert\, \lVert b_2 \rVert .$$
#
#   This is an inner product in $r + 1$ dimensions. Its maximum over a small box of right-hand tokens costs one more small product, so that all left-hand tokens are held against all boxes first.
#
# The search looks at a sample of pairs and then takes the cheaper of three ways: blocks of tokens ordered by norm, or boxes with $r = 1$ or $r = 2$. Rounding is part of every bound. What rounding could
# have moved is scored again in double precision, so that the list is that of the exact product.
#
# ## What is saved
#
# The picture has one point for each head and reading. Plain blocks compute everything in blocks and keep a running threshold; the search and the plain blocks took
# turns head by head. For `untrained`, plain blocks were timed on a part of the rows and scaled up.

# %% tags=["hide-input"] mystnb={"figure": {"caption": "How many times faster the search is than plain blocks, against the share of the product that it computes. One point for each head and reading; both axes are logarithmic. Where little is computed, preparation takes most of the time and the ratio levels off.", "name": "fig-cost-ratios"}, "image": {"alt": "Scatter plot. Horizontal axis: per cent of the product computed. Vertical axis: how many times faster than plain blocks. One colour for each model. The smaller the share, the higher the ratio, until it levels off."}}
from pathlib import Path

import pandas as pd

from analysis_lib import plots, report

plots.use_style()
heads = pd.read_csv(Path("../benchmarks/heads.csv"))
plots.search_ratios(heads);

# %% [markdown]
# The table has the medians over heads and readings. *Tokens* is the number that may stand on each side. The run used one thread and counted the processor's seconds. `gpt2-mini` and `herbert-mini` are this
# book's own models, with a few heads drawn by lot for each reading. `MiniLM` is the published encoder all-MiniLM-L6-v2, and `e5 Polish` is multilingual-e5-small with the Polish words of its vocabulary. `untrained`
# has random weights of the published GPT-2's size and a mean that all embeddings share.

# %% tags=["hide-input"]
by_model = heads.groupby("model", sort=False)
table = by_model.agg(tokens=("tokens", "first"), heads=("ratio", "size"), ratio=("ratio", "median"), lowest=("ratio", "min"))
table["computed [%]"] = 100 * by_model["computed"].median()
table["most chosen"] = by_model["strategy"].agg(lambda chosen: chosen.mode()[0])
table = table.rename(columns={"ratio": "times faster", "lowest": "lowest"}).reset_index()
report.table(table, "The search beside plain blocks", formats={"times faster": 1, "lowest": 1, "computed [%]": 2})

# %% [markdown]
# Flat spectra are the hard case. Where every direction of the product carries about as much, norms are all that tells pairs apart, and no split helps. If all norms are equal as well, nothing can be ruled
# out, and the search does what plain blocks do.
#
# ## What is closest
#
# - LEMP {cite}`teflioudi2015` sorts vectors into buckets by length and prunes buckets with the same inequality. Our blocks ordered by norm come from there.
# - FEXIPRO {cite}`li2017` turns the items by a singular value decomposition, computes partial products and bounds the remainder by its norm. It does so one query at a time, and its
#   decomposition knows only the items; balancing knows both sides.
# - Trees of balls or cones {cite}`ram2012` bound groups of vectors, as our boxes do, but in all dimensions. In 32 or 64 dimensions a ball around many tokens is large; our boxes have two or three.
# - Norm-explicit quantisation {cite}`dai2020` stores norms and directions apart. It answers approximately, and our lists are exact.
# - Abuzaid and others {cite}`abuzaid2019` show that plain blocked products often beat indexes. This is why everything that survives a bound is computed here in dense blocks.
#
# These methods answer one query after another with its own best items. Here the best pairs of all queries together are wanted, so that one score rules out pairs everywhere.
