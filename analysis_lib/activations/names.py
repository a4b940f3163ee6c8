"""A GPT-2 backbone's activations under TransformerLens's names, flat and as a tree.

`blocks.0.attn.hook_z` and its like are the names that readers of circuits know. `named` gives them for the language model and for the
regressor, from one forward pass; `nested` turns dots into branches, so that `tree["blocks"]["0"]["attn"]["hook_z"]` is the same tensor.
Every hook is off the model when the pass is over, whether it went well or not.

Source: TransformerLens (names and shapes of HookedTransformer).
"""

from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Model, PreTrainedModel


def named(model: PreTrainedModel, **inputs: Any) -> dict[str, Tensor]:
    """One forward pass, and everything it computed on the way.

    Parameters
    ----------
    model : PreTrainedModel
        One whose base model is a GPT2Model, in evaluation mode.
    **inputs
        What the model is called with: `input_ids=...`, or `xs=..., ys=...` for a regressor.

    Returns
    -------
    dict of str to Tensor
        Detached, in the order in which the modules end. In each block `hook_resid_pre`, `attn.hook_q`, `hook_k`, `hook_v`, `hook_z`
        [batch, position, head, d_head], `attn.hook_pattern` [batch, head, query, key], `hook_attn_out`, `hook_resid_mid`, `mlp.hook_pre`,
        `mlp.hook_post` [batch, position, d_mlp], `hook_mlp_out`, `hook_resid_post` [batch, position, d_model]; then
        `ln_final.hook_normalized`, which here is the norm's output, gain and bias included.

    Raises
    ------
    ValueError
        Another architecture, a model in training mode, or an attention implementation that returns no patterns.
    """
    base = model.base_model
    if not isinstance(base, GPT2Model):
        raise ValueError(f"model: expected a GPT-2 backbone, found a {type(base).__name__}")
    if model.training:
        raise ValueError("model: expected evaluation mode, found training mode, where dropout changes activations")
    record: dict[str, Tensor | None] = {}
    handles: list = []
    try:
        _attach(base, record, handles)
        with torch.no_grad():
            model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    empty = next((name for name, value in record.items() if value is None), None)
    if empty:
        found = model.config._attn_implementation
        raise ValueError(f'{empty}: attention {found!r} returns none; expected a model loaded with attn_implementation="eager"')
    return record


def nested(flat: dict[str, Tensor]) -> dict[str, Any]:
    """The same tensors as a tree, a level for each dot.

    Parameters
    ----------
    flat : dict of str to Tensor

    Returns
    -------
    dict
        Of dicts and, at the leaves, the tensors themselves.

    Raises
    ------
    ValueError
        A name that is a leaf and a branch at once.
    """
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *branches, leaf = name.split(".")
        place = tree
        for branch in branches:
            place = place.setdefault(branch, {})
            if not isinstance(place, dict):
                raise ValueError(f"flat: {name!r} goes through a name that holds a tensor")
        if leaf in place:
            raise ValueError(f"flat: {name!r} is a tensor and a branch")
        place[leaf] = value
    return tree


def _attach(base: GPT2Model, record: dict, handles: list) -> None:
    """Put the hooks on; each handle is in the list as soon as its hook is on the model."""
    n_heads = base.config.n_head

    def by_head(values: Tensor) -> Tensor:
        return values.unflatten(-1, (n_heads, -1))

    def before(module, name, read=lambda value: value):
        def hook(module, args, kwargs):
            record[name] = read(args[0] if args else kwargs["hidden_states"]).detach()

        handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))

    def after(module, name, read=lambda output: output[0] if isinstance(output, tuple) else output):
        def hook(module, args, output):
            found = read(output)
            record[name] = None if found is None else found.detach()

        handles.append(module.register_forward_hook(hook))

    for layer, block in enumerate(base.h):
        at = f"blocks.{layer}"
        before(block, f"{at}.hook_resid_pre")
        for part, letter in enumerate("qkv"):
            after(block.attn.c_attn, f"{at}.attn.hook_{letter}", lambda output, part=part: by_head(output.chunk(3, dim=-1)[part]))
        before(block.attn.c_proj, f"{at}.attn.hook_z", by_head)
        after(block.attn, f"{at}.attn.hook_pattern", lambda output: output[1])
        after(block.attn, f"{at}.hook_attn_out")
        before(block.ln_2, f"{at}.hook_resid_mid")
        after(block.mlp.c_fc, f"{at}.mlp.hook_pre")
        after(block.mlp.act, f"{at}.mlp.hook_post")
        after(block.mlp, f"{at}.hook_mlp_out")
        after(block, f"{at}.hook_resid_post")
    after(base.ln_f, "ln_final.hook_normalized")
