"""Where each architecture computes what is read: its modules by what they give.

With `weights.extraction`, the only place that knows how GPT-2, BERT and the two architectures of this book are built.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel


@dataclass(frozen=True)
class Sites:
    """Modules of one model by what they compute.

    Attributes
    ----------
    blocks : sequence of Module
        Each reads and gives the residual stream.
    attention_weights : list of Module
        Their outputs are (values, patterns).
    attention, mlp : list of Module
        Their outputs are what is added to the residual stream; `mlp` is empty for attention-only models.
    mlp_hidden : list of Module
        Their outputs are neuron activations after the nonlinearity.
    final_norm : Module or None
        What the residual stream goes through after the last block.
    """

    blocks: Sequence[torch.nn.Module]
    attention_weights: list[torch.nn.Module]
    attention: list[torch.nn.Module]
    mlp: list[torch.nn.Module]
    mlp_hidden: list[torch.nn.Module]
    final_norm: torch.nn.Module | None

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.blocks)

    @property
    def layers(self) -> list[str]:
        """Labels of the recorded states: "embed", "1" ... "L", and "L+ln_f" where there is a final layer norm."""
        final = [f"{self.n_layers}+ln_f"] if self.final_norm is not None else []
        return ["embed", *(str(i + 1) for i in range(self.n_layers)), *final]


def _gpt2_sites(base) -> Sites:
    blocks = base.h
    attention = [block.attn for block in blocks]
    return Sites(blocks, attention, attention, [block.mlp for block in blocks], [block.mlp.act for block in blocks], base.ln_f)


def _bert_sites(base) -> Sites:
    blocks = base.encoder.layer
    return Sites(
        blocks,
        [block.attention.self for block in blocks],
        [block.attention.output.dense for block in blocks],
        [block.output.dense for block in blocks],
        [block.intermediate for block in blocks],
        None,
    )


def _minigpt_sites(base) -> Sites:
    attention = [block.attn for block in base.blocks]
    return Sites(base.blocks, attention, attention, [], [], None)


_ARCHITECTURES = {"gpt2": _gpt2_sites, "bert": _bert_sites, "minigpt": _minigpt_sites, "regressor": _gpt2_sites}


def sites_of(model: PreTrainedModel) -> Sites:
    """The modules of a model that are read.

    Raises
    ------
    ValueError
        An architecture that is not known; the message lists those that are.
    """
    kind = model.config.model_type
    if kind not in _ARCHITECTURES:
        raise ValueError(f"model is of type {kind!r}; expected one of {', '.join(sorted(_ARCHITECTURES))}")
    return _ARCHITECTURES[kind](model.base_model)
