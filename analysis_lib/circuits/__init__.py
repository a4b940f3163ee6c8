"""What do attention heads do, and how do they work together?

Heads are scored by what they attend to (`scoreboard`), by their weights (`composition`), by what is lost without them (`ablation`), and by
the paths that logits (`paths`) and attention scores (`terms`) are sums of. `repeats` draws the sequences that an induction circuit is
trained on.
"""

from analysis_lib.circuits.ablation import ablated_losses, ablation_effects, token_losses
from analysis_lib.circuits.composition import composition_scores, composition_z, copying_scores
from analysis_lib.circuits.paths import virtual_heads, virtual_patterns
from analysis_lib.circuits.scoreboard import head_scores, induction_scores, induction_targets, previous_token_scores, repeated_random_tokens

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
