# %% [markdown]
# # Two Polish models
#
# What the two models are.

# %%
from myst_nb import glue

glue("models-toy-share", 0.51234, display=False)

# %% mystnb={"figure": {"caption": "A toy figure.", "name": "fig-models-toy"}, "image": {"alt": "Two lines that cross"}}
import matplotlib.pyplot as plt

from analysis_lib import plots

plots.use_style()
figure, axes = plt.subplots()
for name, colour in plots.MODEL_COLOURS.items():
    axes.plot([0, 1], [len(name), 5], color=colour, label=name)
axes.set(xlabel="layer", ylabel="share")
axes.legend();

# %% [markdown]
# {numref}`fig-models-toy` shows lines; the share is {glue:text}`models-toy-share:.2f` {cite}`dar2022`. $W_Q$ is a matrix.

# %%
import pandas as pd

pd.DataFrame({f"column {i}": ["żółw"] * 3 for i in range(14)})

# %% tags=["hide-input"]
import itables

itables.init_notebook_mode(connected=False)
itables.show(pd.DataFrame({"a": range(30), "b": range(30)}))
