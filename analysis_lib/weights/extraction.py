r"""Every architecture's weights in one notation, per head.

Row vectors multiply from the left, $x W$, and names and shapes are TransformerLens's:

$$\mathrm{pattern} = \mathrm{softmax}\bigl((x W_Q + b_Q)(x W_K + b_K)^\top / \sqrt{d_{head}}\bigr), \qquad
\mathrm{output} = \sum_{head} \mathrm{pattern}\,(x W_V + b_V)\, W_O + b_O .$$

`reconstruction.rebuild_attention` computes just this from the extracted tensors, and `reconstruction.attention_errors` compares it with
what the model itself computed. That comparison tells a correct reading of a weight from a wrong one: HerBERT's output matrix split along
the wrong axis, as a notebook once did it, passes every check of shapes and fails this one.

Only this module and `activations.sites` know how GPT-2, BERT and the two architectures of this book are built. A function of this
module takes a model and gives its `TransformerWeights`; `models.register` adds further ones.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Dar et al. 2022 (arXiv 2209.02535); TransformerLens for
names and for folding.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from analysis_lib.models import LoadedModel, is_causal
from analysis_lib.models.architectures import architecture_of
from analysis_lib.models.minigpt import MiniGPT
from analysis_lib.models.regressor import Regressor
from analysis_lib.weights.layer_norms import LayerNorm, LayerNorms
from analysis_lib.weights.transformer_weights import MaskedHead, TransformerWeights, fold


def extract(loaded: LoadedModel, fold_layer_norm: bool = False) -> TransformerWeights:
    """Read a model's weights into one notation.

    Parameters
    ----------
    loaded : LoadedModel
        With or without its language-model head. Left as it is.
    fold_layer_norm : bool
        As in `weights_of`.

    Returns
    -------
    TransformerWeights
        Raw by default, as in Dar et al. 2022.

    Raises
    ------
    TypeError
        Something other than a LoadedModel; `weights_of` reads a bare model.
    ValueError
        As in `weights_of`.
    """
    if not isinstance(loaded, LoadedModel):
        found = type(loaded).__name__
        raise TypeError(f"loaded: expected a LoadedModel, as load and wrap give it, found {found}; weights_of reads a bare model")
    return weights_of(loaded.model, fold_layer_norm)


def weights_of(model: PreTrainedModel, fold_layer_norm: bool = False) -> TransformerWeights:
    """Read the weights of a bare model, one that is no `LoadedModel`, into one notation.

    Parameters
    ----------
    model : PreTrainedModel
        Of a registered architecture, with or without its language-model head. Left as it is.
    fold_layer_norm : bool
        Fold each layer norm's gain, bias and centring into the weights that read through it (pre-norm models only); the
        layer norms that remain have gain 1 and bias 0, and the model's logits are the same.

    Returns
    -------
    TransformerWeights
        Raw by default, as in Dar et al. 2022.

    Raises
    ------
    TypeError
        Something that is no model.
    ValueError
        An unknown architecture (the message lists the known ones); `fold_layer_norm` asked of a post-norm model (BERT) or one without
        layer norm (MiniGPT); or a variant whose attention is not the one above.
    """
    architecture = architecture_of(model)
    if getattr(model.config, "add_cross_attention", False):
        raise ValueError("model: expected self-attention only, found add_cross_attention=True in its configuration")
    if fold_layer_norm and architecture.norm == "post":
        raise ValueError(
            f"fold_layer_norm: {type(model).__name__} is a post-norm model. Its layer norms stand on the residual stream, after each"
            " sum, so that what they do reaches every later layer and cannot be folded into the weights of one."
            " Expected a pre-norm model (GPT-2); use raw weights, or embedding='layer_norm' in projections."
        )
    weights = architecture.resolve("extract")(model)
    weights = replace(weights, architecture=model.config.model_type, norm=architecture.norm, causal=is_causal(model))
    return fold(weights) if fold_layer_norm else weights


def gpt2(model: PreTrainedModel) -> TransformerWeights:
    """GPT-2: Conv1D weights are [in, out] already; queries, keys and values are fused in c_attn."""
    body = model.base_model
    blocks, n_heads = body.h, body.config.n_head

    def stack(read: Callable[[Any], Tensor]) -> Tensor:
        return torch.stack([_plain(read(block)) for block in blocks])

    fused = stack(lambda block: block.attn.c_attn.weight)  # [layer, d_model, 3 * d_model]
    w_q, w_k, w_v = (_heads_of_columns(part, n_heads) for part in fused.chunk(3, dim=-1))
    biases = stack(lambda block: block.attn.c_attn.bias).chunk(3, dim=-1)
    b_q, b_k, b_v = (part.unflatten(-1, (n_heads, -1)) for part in biases)
    w_e, unembedding = _plain(body.wte.weight), model.get_output_embeddings()
    return TransformerWeights(
        W_E=w_e,
        W_pos=_plain(body.wpe.weight),
        W_U=(w_e if unembedding is None else _plain(unembedding.weight)).T,
        b_U=w_e.new_zeros(len(w_e)),
        W_Q=w_q,
        W_K=w_k,
        W_V=w_v,
        W_O=stack(lambda block: block.attn.c_proj.weight).unflatten(1, (n_heads, -1)),
        b_Q=b_q,
        b_K=b_k,
        b_V=b_v,
        b_O=stack(lambda block: block.attn.c_proj.bias),
        attention_scale=w_e.new_tensor([block.attn.scaling for block in blocks]),
        W_in=stack(lambda block: block.mlp.c_fc.weight),
        b_in=stack(lambda block: block.mlp.c_fc.bias),
        W_out=stack(lambda block: block.mlp.c_proj.weight),
        b_out=stack(lambda block: block.mlp.c_proj.bias),
        layer_norms=LayerNorms(_norms([block.ln_1 for block in blocks]), _norms([block.ln_2 for block in blocks]), final=_norm(body.ln_f)),
        activation=body.config.activation_function,
    )


def regressor(model: Regressor) -> TransformerWeights:
    """GPT-2's backbone with the read-in [token width, d_model] for W_E and the read-out [d_model, 1] for W_U.

    A token is a vector t and not an id: the residual stream begins as t W_E + W_pos. The read-in's bias, which every
    token adds, is in W_pos. The backbone's own token embedding is read by nothing and left out.
    """
    body = gpt2(model.backbone)
    return replace(
        body,
        W_E=_plain(model.read_in.weight).T,
        W_pos=body.W_pos + _plain(model.read_in.bias),
        W_U=_plain(model.read_out.weight).T,
        b_U=_plain(model.read_out.bias),
    )


def bert(model: PreTrainedModel) -> TransformerWeights:
    """BERT: Linear weights are [out, in] and are transposed; heads share the *input* axis of the output matrix."""
    body = model.base_model
    layers, embeddings, n_heads = body.encoder.layer, body.embeddings, body.config.num_attention_heads

    def stack(read: Callable[[Any], Tensor]) -> Tensor:
        return torch.stack([_plain(read(layer)) for layer in layers])

    def reading(name: str) -> tuple[Tensor, Tensor]:
        weight = stack(lambda layer: getattr(layer.attention.self, name).weight.T)
        bias = stack(lambda layer: getattr(layer.attention.self, name).bias)
        return _heads_of_columns(weight, n_heads), bias.unflatten(-1, (n_heads, -1))

    (w_q, b_q), (w_k, b_k), (w_v, b_v) = (reading(name) for name in ("query", "key", "value"))
    w_e = _plain(embeddings.word_embeddings.weight)
    return TransformerWeights(
        W_E=w_e,
        W_pos=_plain(embeddings.position_embeddings.weight),
        W_type=_plain(embeddings.token_type_embeddings.weight),
        W_Q=w_q,
        W_K=w_k,
        W_V=w_v,
        W_O=stack(lambda layer: layer.attention.output.dense.weight.T).unflatten(1, (n_heads, -1)),
        b_Q=b_q,
        b_K=b_k,
        b_V=b_v,
        b_O=stack(lambda layer: layer.attention.output.dense.bias),
        attention_scale=w_e.new_full((len(layers),), w_q.shape[-1] ** -0.5),
        W_in=stack(lambda layer: layer.intermediate.dense.weight.T),
        b_in=stack(lambda layer: layer.intermediate.dense.bias),
        W_out=stack(lambda layer: layer.output.dense.weight.T),
        b_out=stack(lambda layer: layer.output.dense.bias),
        layer_norms=LayerNorms(
            _norms([layer.attention.output.LayerNorm for layer in layers]),
            _norms([layer.output.LayerNorm for layer in layers]),
            embedding=_norm(embeddings.LayerNorm),
        ),
        activation=body.config.hidden_act,
        **_bert_head(model, w_e),
    )


def minigpt(model: MiniGPT) -> TransformerWeights:
    """MiniGPT: Linear weights are [out, in]; no layer norm, no feed-forward layer, biases of zero."""
    config, layers = model.config, [block.attn for block in model.blocks]
    n_layers, n_heads, d_model = len(layers), config.n_heads, config.d_model

    def stack(name: str) -> Tensor:
        return torch.stack([_plain(getattr(layer, name).weight).T for layer in layers])

    w_e = _plain(model.embed.weight)
    zeros = w_e.new_zeros(n_layers, n_heads, d_model // n_heads)
    return TransformerWeights(
        W_E=w_e,
        W_pos=_plain(model.positions.weight),
        W_U=_plain(model.unembed.weight).T,
        b_U=w_e.new_zeros(config.vocab_size),
        W_Q=_heads_of_columns(stack("query"), n_heads),
        W_K=_heads_of_columns(stack("key"), n_heads),
        W_V=_heads_of_columns(stack("value"), n_heads),
        W_O=stack("output").unflatten(1, (n_heads, -1)),
        b_Q=zeros,
        b_K=zeros,
        b_V=zeros,
        b_O=w_e.new_zeros(n_layers, d_model),
        attention_scale=w_e.new_tensor([layer.scaling for layer in layers]),
        positions="queries_keys",
    )


def _bert_head(model: PreTrainedModel, w_e: Tensor) -> dict:
    """BERT's unembedding and the transform before it; for a model without such a head, its embedding transposed."""
    head = getattr(getattr(model, "cls", None), "predictions", None)
    if head is None:
        return {"W_U": w_e.T, "b_U": w_e.new_zeros(len(w_e))}
    transform = head.transform
    masked = MaskedHead(_plain(transform.dense.weight).T, _plain(transform.dense.bias), _norm(transform.LayerNorm))
    return {"W_U": _plain(head.decoder.weight).T, "b_U": _plain(head.decoder.bias), "mlm_head": masked}


def _norm(module: nn.LayerNorm) -> LayerNorm:
    return LayerNorm(_plain(module.weight), _plain(module.bias), module.eps)


def _norms(modules: Sequence[nn.LayerNorm]) -> LayerNorm:
    """The norms of one place in all layers."""
    weight, bias = (torch.stack([_plain(getattr(module, name)) for module in modules]) for name in ("weight", "bias"))
    return LayerNorm(weight, bias, modules[0].eps)


def _plain(parameter: Tensor) -> Tensor:
    """A parameter without its gradient, on the CPU and in float32: a view where it is both already."""
    return parameter.detach().float().cpu()


def _heads_of_columns(weight: Tensor, n_heads: int) -> Tensor:
    """[layer, d_model, head * d_head] to [layer, head, d_model, d_head]: a view."""
    return weight.unflatten(-1, (n_heads, -1)).transpose(1, 2)
