"""What do attention heads do, and how do they work together?

Heads are scored by what they attend to (`scoreboard`, on the sequences of `probes`) and by their weights (`composition`), and removed to
see what is lost (`ablation`) and what they do to the tokens that they attend to (`copying`). `induction` puts these together for the
induction circuit, `scrubbing` tests what a hypothesis about heads keeps, `verdicts` says which kind of head a model has, and
`repeated_names` asks for the behaviour in ordinary sentences. Logits are sums over paths (`paths`), attention scores sums of token and
position terms (`terms`, `term_contrasts`; `readings` for how an earlier notebook read them). `repeats` draws the sequences that the toy is
trained on.
"""

from analysis_lib.circuits.ablation import ablated_losses, ablation_effects, token_losses
from analysis_lib.circuits.composition import composition_scores, composition_z, copying_scores
from analysis_lib.circuits.paths import virtual_heads, virtual_patterns
from analysis_lib.circuits.probes import repeated_random_tokens
from analysis_lib.circuits.scoreboard import head_scores, induction_scores, induction_targets, previous_token_scores

__all__ = [
    "ablated_losses",
    "ablation_effects",
    "composition_scores",
    "composition_z",
    "copying_scores",
    "head_scores",
    "induction_scores",
    "induction_targets",
    "previous_token_scores",
    "repeated_random_tokens",
    "token_losses",
    "virtual_heads",
    "virtual_patterns",
]
