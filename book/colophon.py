# %% [markdown]
# # Colophon
#
# Every number and figure of this book was computed by the cells of its chapters when it was built; nothing was typed in. Built twice from
# the same checkout on one machine, it holds the same numbers. On another machine the last digits may differ: sums of floating-point numbers
# depend on the order in which a processor takes them.
#
# ## Models
#
# The checkpoints behind the study names, with the beginning of the SHA-256 of their weights. Their cards say what they were trained on.

# %% tags=["hide-input"]
import hashlib
from pathlib import Path

import pandas as pd

import analysis_lib

checkpoints = Path(analysis_lib.__file__).parent / "checkpoints"
rows = [
    (path.parent.name, f"{path.stat().st_size / 1e6:.1f}", hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    for path in sorted(checkpoints.glob("*/model.safetensors"))
]
pd.DataFrame(rows, columns=["checkpoint", "MB", "sha256"]).style.hide(axis="index")

# %% [markdown]
# ## Versions
#
# The exact versions of everything are in `requirements.lock`; these are the ones that compute, as they were when this page was built.

# %% tags=["hide-input"]
import platform
from importlib.metadata import version

computing = ["torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "statsmodels", "pandas", "morfeusz2"]
drawing = ["matplotlib", "jupyter-book", "myst-nb"]
versions = {"Python": platform.python_version()} | {name: version(name) for name in computing + drawing}
pd.DataFrame(versions.items(), columns=["package", "version"]).style.hide(axis="index")

# %% [markdown]
# ## Run times
#
# How long the chapters took to execute; a chapter that did not change is not executed again, and keeps its time.
#
# ```{nb-exec-table}
# ```
