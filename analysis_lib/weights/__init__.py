"""The weights of every architecture in one notation, and the proof that they are extracted correctly.

`extract` gives `TransformerWeights` with TransformerLens's names and shapes, one head of which is a `Head` with its matrices factored;
`attention_errors` compares attention rebuilt from the weights with what the model itself computed. Both take a `LoadedModel`;
`weights_of` and `attention_errors_on_ids` do the same for a bare model of transformers. `models.architectures` says how to add an
architecture.
"""

from analysis_lib.weights.extraction import extract, weights_of
from analysis_lib.weights.factored import FactoredMatrix
from analysis_lib.weights.layer_norms import LayerNorm, LayerNorms
from analysis_lib.weights.reconstruction import attention_errors, attention_errors_on_ids, rebuild_attention, split_outputs_wrongly
from analysis_lib.weights.transformer_weights import Head, MaskedHead, TransformerWeights, fold

__all__ = [
    "FactoredMatrix",
    "Head",
    "LayerNorm",
    "LayerNorms",
    "MaskedHead",
    "TransformerWeights",
    "attention_errors",
    "attention_errors_on_ids",
    "extract",
    "fold",
    "rebuild_attention",
    "split_outputs_wrongly",
    "weights_of",
]
