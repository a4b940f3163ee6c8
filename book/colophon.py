# %% [markdown]
# # Colophon
# The numbers and figures of the chapters were computed by their cells, except those that are said to be recorded. Two builds from
# the same checkout on one machine give the same numbers. On another machine the last digits may differ, because sums of floating-point numbers
# depend on the order in which a processor adds them.
#
# ## Models
# These are the embedded checkpoints, with the beginning of the SHA-256 of their weights; where these lie in several files, of all of them one after the other. The variants `regressor-noisy` and `model-selector-few` lie in folders inside two of them, and e5 comes from a package. The model cards say what each was trained on.

# %% tags=["hide-input"]
import hashlib
from pathlib import Path

import pandas as pd

import analysis_lib
from analysis_lib import report

checkpoints = Path(analysis_lib.__file__).parent / "checkpoints"
rows = []
for folder in sorted({path.parent for path in checkpoints.glob("*/model*.safetensors")}):
    parts = sorted(folder.glob("model*.safetensors"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in parts)).hexdigest()
    rows.append((folder.name, sum(path.stat().st_size for path in parts) / 1e6, digest[:16]))
report.table(pd.DataFrame(rows, columns=["checkpoint", "MB", "sha256"]), "Embedded checkpoints", formats={"MB": 1})

# %% [markdown]
# ## Versions
#
# The exact versions of all packages are in `requirements.lock`. These are the ones that compute and draw, as they were when this page was built.

# %% tags=["hide-input"]
import platform
from importlib.metadata import version

computing = ["torch", "transformers", "tokenizers", "numpy", "scipy", "scikit-learn", "statsmodels", "pandas", "morfeusz2"]
drawing = ["matplotlib", "jupyter-book", "myst-nb"]
versions = {"Python": platform.python_version()} | {name: version(name) for name in computing + drawing}
report.table(pd.DataFrame(versions.items(), columns=["package", "version"]), "Versions")

# %% [markdown]
# ## Run times
#
# This is how long the chapters took to execute, several of them at the same time. A chapter that did not change is not executed again, and keeps its time.
#
# ```{nb-exec-table}
# ```
