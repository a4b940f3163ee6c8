# %% [markdown]
# # Colophon
#
# Everything on these pages was computed by the cells of the chapters when the book was built.
#
# ## Versions

# %% tags=["hide-input"]
import platform
from importlib.metadata import version

import pandas as pd

PACKAGES = ["torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "statsmodels", "pandas", "matplotlib", "morfeusz2", "jupyter-book"]
versions = {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}
pd.DataFrame(versions.items(), columns=["package", "version"]).style.hide(axis="index")
