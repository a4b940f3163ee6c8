r"""Every architecture's weights in one notation, per head.

Row vectors multiply from the left, $x W$, and names and shapes are TransformerLens's:

$$\mathrm{pattern} = \mathrm{softmax}\bigl((x W_Q + b_Q)(x W_K + b_K)^\top / \sqrt{d_{head}}\bigr), \qquad
\mathrm{output} = \sum_{head} \mathrm{pattern}\,(x W_V + b_V)\, W_O + b_O .$$

`reconstruction.rebuild_attention` computes just this from the extracted tensors, and
`reconstruction.attention_errors` compares it with what the model itself computed. That comparison tells a right
reading of a weight from a wrong one: HerBERT's output matrix split along the wrong axis, as a notebook once
did, passes every check of shapes and fails this one.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Dar et al. 2022
(arXiv 2209.02535); TransformerLens for names and for folding.
"""

from dataclasses import replace

import torch
from torch import Tensor
from transformers import BertForMaskedLM, BertModel, GPT2LMHeadModel, GPT2Model, PreTrainedModel

from analysis_lib.models import LoadedModel
from analysis_lib.models.architectures import architecture_of
from analysis_lib.models.minigpt import MiniGPT
from analysis_lib.models.regressor import Regressor
from analysis_lib.weights.transformer_weights import TransformerWeights, fold

__all__ = ["KNOWN", "TransformerWeights", "extract", "fold"]

KNOWN = (GPT2LMHeadModel, GPT2Model, BertForMaskedLM, BertModel, MiniGPT, Regressor)


def extract(model: PreTrainedModel | LoadedModel, fold_layer_norm: bool = False) -> TransformerWeights:
    """Read a model's weights into one notation.

    Parameters
    ----------
    model : LoadedModel, GPT2LMHeadModel, GPT2Model, BertForMaskedLM, BertModel, MiniGPT or Regressor
        Left as it is.
    fold_layer_norm : bool
        Fold each layer norm's gain, bias and centring into the weights that read through it (GPT-2 only); the
        layer norms that remain have gain 1 and bias 0, and the model's logits are the same.

    Returns
    -------
    TransformerWeights
        Raw by default, as in Dar et al. 2022.

    Raises
    ------
    TypeError
        An unknown architecture; the message lists the known ones.
    ValueError
        `fold_layer_norm` asked of a post-norm model (BERT) or one without layer norm (MiniGPT), or a variant whose
        attention is not the one above.
    """
    model = model.model if isinstance(model, LoadedModel) else model
    if not isinstance(model, KNOWN):
        known = ", ".join(kind.__name__ for kind in KNOWN)
        raise TypeError(f"model: unknown architecture; expected one of {known}, found {type(model).__name__}")
    if getattr(model.config, "add_cross_attention", False):
        raise ValueError("model: expected self-attention only, found add_cross_attention=True in its configuration")
    if isinstance(model, BertForMaskedLM | BertModel):
        if fold_layer_norm:
            raise ValueError(
                "fold_layer_norm: BERT is a post-norm model. Its layer norms stand on the residual stream, after each"
                " sum, so that what they do reaches every later layer and cannot be folded into the weights of one."
                " Expected a pre-norm model (GPT-2); use raw weights, or embedding='layer_norm' in projections."
            )
        return bert(model)
    weights = architecture_of(model).resolve("extract")(model)
    return fold(weights) if fold_layer_norm else weights


def gpt2(model: GPT2LMHeadModel | GPT2Model) -> TransformerWeights:
    """GPT-2: Conv1D weights are [in, out] already; queries, keys and values are fused in c_attn."""
    body = model.transformer if isinstance(model, GPT2LMHeadModel) else model
    config = body.config
    n_heads, d_model = config.n_head, config.n_embd
    d_head = d_model // n_heads

    def stack(read) -> Tensor:
        return torch.stack([_plain(read(block)) for block in body.h])

    fused = stack(lambda block: block.attn.c_attn.weight)  # [layer, d_model, 3 * d_model]
    w_q, w_k, w_v = (_heads_of_columns(part, n_heads) for part in fused.split(d_model, dim=-1))
    biases = stack(lambda block: block.attn.c_attn.bias).split(d_model, dim=-1)
    b_q, b_k, b_v = (part.unflatten(-1, (n_heads, d_head)) for part in biases)
    w_e = _plain(body.wte.weight)
    w_in = stack(lambda block: block.mlp.c_fc.weight)
    return TransformerWeights(
        W_E=w_e,
        W_pos=_plain(body.wpe.weight),
        W_U=(_plain(model.lm_head.weight) if isinstance(model, GPT2LMHeadModel) else w_e).T,
        b_U=torch.zeros(w_e.shape[0], device=w_e.device),
        W_Q=w_q,
        W_K=w_k,
        W_V=w_v,
        W_O=stack(lambda block: block.attn.c_proj.weight).unflatten(1, (n_heads, d_head)),
        b_Q=b_q,
        b_K=b_k,
        b_V=b_v,
        b_O=stack(lambda block: block.attn.c_proj.bias),
        W_in=w_in,
        b_in=stack(lambda block: block.mlp.c_fc.bias),
        W_out=stack(lambda block: block.mlp.c_proj.weight),
        b_out=stack(lambda block: block.mlp.c_proj.bias),
        ln1_w=stack(lambda block: block.ln_1.weight),
        ln1_b=stack(lambda block: block.ln_1.bias),
        ln2_w=stack(lambda block: block.ln_2.weight),
        ln2_b=stack(lambda block: block.ln_2.bias),
        ln_final_w=_plain(body.ln_f.weight),
        ln_final_b=_plain(body.ln_f.bias),
        attention_scale=torch.tensor([block.attn.scaling for block in body.h], device=w_e.device),
        architecture="gpt2",
        n_layers=len(body.h),
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_head,
        d_mlp=w_in.shape[-1],
        d_vocab=w_e.shape[0],
        activation=config.activation_function,
        layer_norm_epsilon=config.layer_norm_epsilon,
        causal=True,
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
        d_vocab=model.config.token_width,
    )


def bert(model: BertForMaskedLM | BertModel) -> TransformerWeights:
    """BERT: Linear weights are [out, in] and are turned round; heads share the *input* axis of the output matrix."""
    body = model.bert if isinstance(model, BertForMaskedLM) else model
    config, layers, embeddings = body.config, body.encoder.layer, body.embeddings
    n_heads, d_model = config.num_attention_heads, config.hidden_size
    d_head = d_model // n_heads

    def stack(read) -> Tensor:
        return torch.stack([_plain(read(layer)) for layer in layers])

    def reading(name: str) -> tuple[Tensor, Tensor]:
        weight = stack(lambda layer: getattr(layer.attention.self, name).weight.T)
        bias = stack(lambda layer: getattr(layer.attention.self, name).bias)
        return _heads_of_columns(weight, n_heads), bias.unflatten(-1, (n_heads, d_head))

    (w_q, b_q), (w_k, b_k), (w_v, b_v) = (reading(name) for name in ("query", "key", "value"))
    w_e = _plain(embeddings.word_embeddings.weight)
    w_in = stack(lambda layer: layer.intermediate.dense.weight.T)
    return TransformerWeights(
        W_E=w_e,
        W_pos=_plain(embeddings.position_embeddings.weight),
        W_type=_plain(embeddings.token_type_embeddings.weight),
        ln_embed_w=_plain(embeddings.LayerNorm.weight),
        ln_embed_b=_plain(embeddings.LayerNorm.bias),
        W_Q=w_q,
        W_K=w_k,
        W_V=w_v,
        W_O=stack(lambda layer: layer.attention.output.dense.weight.T).unflatten(1, (n_heads, d_head)),
        b_Q=b_q,
        b_K=b_k,
        b_V=b_v,
        b_O=stack(lambda layer: layer.attention.output.dense.bias),
        W_in=w_in,
        b_in=stack(lambda layer: layer.intermediate.dense.bias),
        W_out=stack(lambda layer: layer.output.dense.weight.T),
        b_out=stack(lambda layer: layer.output.dense.bias),
        ln1_w=stack(lambda layer: layer.attention.output.LayerNorm.weight),
        ln1_b=stack(lambda layer: layer.attention.output.LayerNorm.bias),
        ln2_w=stack(lambda layer: layer.output.LayerNorm.weight),
        ln2_b=stack(lambda layer: layer.output.LayerNorm.bias),
        attention_scale=torch.full((len(layers),), d_head**-0.5, device=w_e.device),
        architecture="bert",
        n_layers=len(layers),
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_head,
        d_mlp=w_in.shape[-1],
        d_vocab=w_e.shape[0],
        activation=config.hidden_act,
        layer_norm_epsilon=config.layer_norm_eps,
        causal=bool(config.is_decoder),
        **_bert_head(model, w_e),
    )


def minigpt(model: MiniGPT) -> TransformerWeights:
    """MiniGPT: Linear weights are [out, in]; no layer norm, no feed-forward layer, biases of zero."""
    config, layers = model.config, [block.attn for block in model.blocks]
    n_layers, n_heads, d_model = len(layers), config.n_heads, config.d_model
    d_head = d_model // n_heads

    def stack(name: str) -> Tensor:
        return torch.stack([_plain(getattr(layer, name).weight).T for layer in layers])

    w_e = _plain(model.embed.weight)
    zeros = w_e.new_zeros(n_layers, n_heads, d_head)
    feed_forward = ("W_in", "b_in", "W_out", "b_out")
    layer_norms = ("ln1_w", "ln1_b", "ln2_w", "ln2_b")
    return TransformerWeights(
        W_E=w_e,
        W_pos=_plain(model.positions.weight),
        W_U=_plain(model.unembed.weight).T,
        b_U=w_e.new_zeros(config.vocab_size),
        W_Q=_heads_of_columns(stack("query"), n_heads),
        W_K=_heads_of_columns(stack("key"), n_heads),
        W_V=_heads_of_columns(stack("value"), n_heads),
        W_O=stack("output").unflatten(1, (n_heads, d_head)),
        b_Q=zeros,
        b_K=zeros,
        b_V=zeros,
        b_O=w_e.new_zeros(n_layers, d_model),
        **dict.fromkeys((*feed_forward, *layer_norms, "activation", "layer_norm_epsilon")),
        attention_scale=torch.tensor([layer.scaling for layer in layers], device=w_e.device),
        architecture="minigpt",
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=d_model,
        d_head=d_head,
        d_mlp=0,
        d_vocab=config.vocab_size,
        causal=True,
        positions="queries_keys",
    )


def _bert_head(model: BertForMaskedLM | BertModel, w_e: Tensor) -> dict[str, Tensor | None]:
    """BERT's unembedding and the transform before it; for a model without a head, its embedding turned round."""
    if not isinstance(model, BertForMaskedLM):
        return {"W_U": w_e.T, "b_U": torch.zeros(w_e.shape[0], device=w_e.device)}
    head = model.cls.predictions
    return {
        "W_U": _plain(head.decoder.weight).T,
        "b_U": _plain(head.decoder.bias),
        "W_head": _plain(head.transform.dense.weight).T,
        "b_head": _plain(head.transform.dense.bias),
        "ln_head_w": _plain(head.transform.LayerNorm.weight),
        "ln_head_b": _plain(head.transform.LayerNorm.bias),
    }


def _plain(parameter: Tensor) -> Tensor:
    """A parameter without its gradient, in float32: a view where it is float32 already."""
    return parameter.detach().float()


def _heads_of_columns(weight: Tensor, n_heads: int) -> Tensor:
    """[layer, d_model, head * d_head] to [layer, head, d_model, d_head]: a view."""
    return weight.unflatten(-1, (n_heads, -1)).transpose(1, 2)
