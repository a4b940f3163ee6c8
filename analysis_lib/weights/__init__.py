"""The weights of every architecture in one notation, and the proof that they are read rightly.

`extract` gives `TransformerWeights` with TransformerLens's names and shapes; `attention_errors` compares attention rebuilt from them
with what the model itself computed.
"""

from analysis_lib.weights.extraction import extract
from analysis_lib.weights.reconstruction import attention_errors, rebuild_attention, split_outputs_wrongly
from analysis_lib.weights.transformer_weights import TransformerWeights, fold

__all__ = [
    "TransformerWeights",
    "attention_errors",
    "extract",
    "fold",
    "rebuild_attention",
    "split_outputs_wrongly",
]
