"""A model's activations under TransformerLens's names.

Readers of papers about circuits know names such as `blocks.0.attn.hook_z`. `named` gives them for any model whose layer norms stand before
attention (or that has none), from one forward pass.

Source: TransformerLens (names and shapes of HookedTransformer).
"""

from typing import Any

import torch
from torch import Tensor, nn

from analysis_lib.activations.hooks import recording
from analysis_lib.activations.sites import sites_of
from analysis_lib.models.architectures import architecture_of

NAMES = {
    "queries": "attn.hook_q",
    "keys": "attn.hook_k",
    "values": "attn.hook_v",
    "patterns": "attn.hook_pattern",
    "heads": "attn.hook_z",
    "attention": "hook_attn_out",
    "middle": "hook_resid_mid",
    "mlp_pre": "mlp.hook_pre",
    "mlp_hidden": "mlp.hook_post",
    "mlp": "hook_mlp_out",
}


def named(model: nn.Module, **inputs: Any) -> dict[str, Tensor]:
    """One forward pass, and everything it computed on the way.

    Parameters
    ----------
    model : PreTrainedModel
        GPT-2, a regressor, MiniGPT or a registered architecture without post-norm layers, in evaluation mode.
    **inputs
        What the model is called with: `input_ids=...`, or `xs=..., ys=...` for a regressor.

    Returns
    -------
    dict of str to Tensor
        Detached, block by block: `hook_resid_pre`, `attn.hook_q`, `hook_k`, `hook_v` [batch, position, head, d_head],
        `attn.hook_pattern` [batch, head, query, key], `attn.hook_z`, `hook_attn_out`, `hook_resid_mid`, `mlp.hook_pre`,
        `mlp.hook_post` [batch, position, d_mlp], `hook_mlp_out`, `hook_resid_post` [batch, position, d_model], as far as the
        architecture has them; then `ln_final.hook_normalized`, which here is the norm's output, gain and bias included.

    Raises
    ------
    ValueError
        An architecture that is not registered or has post-norm layers, a model in training mode, an attention implementation
        that returns no patterns.
    """
    if architecture_of(model).norm == "post":
        raise ValueError(f"model: expected layer norms before attention, or none, found {type(model).__name__}, whose norms come after")
    if model.training:
        raise ValueError("model: expected evaluation mode, found training mode, where dropout changes activations")
    places = sites_of(model)
    names = [name for name in NAMES if getattr(places, name)]
    with recording(model, names) as record, torch.no_grad():
        model(**inputs)
    found: dict[str, Tensor] = {}
    for layer in range(places.n_layers):
        block = {"hook_resid_pre": record["states", layer]} | {NAMES[name]: record[name, layer] for name in names}
        block["hook_resid_post"] = record["states", layer + 1]
        found |= {f"blocks.{layer}.{name}": value for name, value in block.items()}
    if places.final_norm:
        found["ln_final.hook_normalized"] = record["states", places.n_layers + 1]
    return found
