"""One way to run a model and read what it computes: states, attention patterns, module outputs.

`run` takes texts and `run_ids` token ids; `recording` reads any other call of a model; `edited` and `frozen_patterns` change what it
computes (`interventions` says how); `named` gives TransformerLens's names. `sites` says where each architecture computes what is read
and changed, `hooks` puts hooks there, and `text_windows` cuts texts into what a model sees.
"""

from analysis_lib.activations.hooks import recording, stacked
from analysis_lib.activations.interventions import edited, frozen_patterns
from analysis_lib.activations.names import named
from analysis_lib.activations.running import Activations, run, run_ids, tokens_of
from analysis_lib.activations.sites import sites_of

__all__ = [
    "Activations",
    "edited",
    "frozen_patterns",
    "named",
    "recording",
    "run",
    "run_ids",
    "sites_of",
    "stacked",
    "tokens_of",
]
