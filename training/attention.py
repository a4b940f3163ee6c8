"""Attention as plain products, for training on a processor.

The flash kernel behind ``sdpa`` takes twice as long on contexts of 256 as these products once they are compiled (.096 against
.044 s a layer, 2,048 tokens, one thread, both directions). On a GPU the kernel wins and is used.
"""

import torch
from transformers import AttentionInterface, AttentionMaskInterface

NAME = "plain"


def _softmax_rows(query, keys, values, scaling, mask=None):
    """Attention of some rows to some keys, softmax in float32."""
    scores = (query @ keys.mT).float() * scaling
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    return scores.softmax(-1).to(values.dtype) @ values


def plain_attention(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **_):
    """Attention [batch, token, head, d_head] of unpadded texts; the signature is transformers'.

    A causal module's first half of rows is not multiplied with the second half of keys.
    """
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    n = query.shape[2]
    if module.is_causal:
        later = torch.ones(n, n, dtype=torch.bool, device=query.device).triu(1)
        half = n // 2
        early = _softmax_rows(query[:, :, :half], key[:, :, :half], value[:, :, :half], scaling, later[:half, :half])
        out = torch.cat([early, _softmax_rows(query[:, :, half:], key, value, scaling, later[half:])], dim=2)
    else:
        out = _softmax_rows(query, key, value, scaling)
    return out.transpose(1, 2).contiguous(), None


def use_plain_attention(model):
    """Let a model on a processor attend by `plain_attention`; returns the model."""
    AttentionInterface.register(NAME, plain_attention)
    AttentionMaskInterface.register(NAME, lambda *_, **__: None)  # texts are not padded
    model.set_attn_implementation(NAME)
    return model
