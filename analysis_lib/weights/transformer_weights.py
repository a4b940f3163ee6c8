r"""The notation that the whole book shares: one dataclass of weights, per head, for every architecture.

Names and shapes are TransformerLens's. Row vectors multiply from the left, $x W$. `extraction.extract`
fills the dataclass from a model; `fold` moves a pre-norm model's layer norms into it.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; TransformerLens.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class TransformerWeights:
    """Weights of one model, float32 and detached.

    Single matrices are views of the model's own parameters (do not write into them); tensors stacked over
    layers are copies, since a model keeps its layers apart.

    Attributes
    ----------
    W_E, W_pos : Tensor [vocab, d_model], [position, d_model]
        Token and position embeddings.
    W_U, b_U : Tensor [d_model, vocab], [vocab]
        Unembedding. A model without a head is read through its own embedding, as Dar et al. do.
    W_Q, W_K, W_V : Tensor [layer, head, d_model, d_head]
    W_O : Tensor [layer, head, d_head, d_model]
    b_Q, b_K, b_V : Tensor [layer, head, d_head]
    b_O : Tensor [layer, d_model]
    W_in, b_in : Tensor [layer, d_model, d_mlp], [layer, d_mlp], or None
        Feed-forward keys are the columns of W_in. None in a model of attention alone (MiniGPT).
    W_out, b_out : Tensor [layer, d_mlp, d_model], [layer, d_model], or None
        Feed-forward values are the rows of W_out.
    ln1_w, ln1_b, ln2_w, ln2_b : Tensor [layer, d_model] or None
        Gains and biases. GPT-2: *before* attention and feed-forward. BERT: *after* each, on the sum with the
        residual stream. MiniGPT has none.
    ln_final_w, ln_final_b : Tensor [d_model] or None
        GPT-2's last layer norm.
    ln_embed_w, ln_embed_b : Tensor [d_model] or None
        BERT's embedding layer norm, which its first layer reads through.
    W_type : Tensor [type, d_model] or None
        BERT's token-type embeddings; a single text has type 0 throughout.
    W_head, b_head, ln_head_w, ln_head_b : Tensor or None
        BERT's masked-language head before W_U: [d_model, d_model] and three of [d_model].
    attention_scale : Tensor [layer]
        What scores are multiplied by: $1/\\sqrt{d_{head}}$, unless the configuration says otherwise.
    architecture : str
        `gpt2`, `bert` or `minigpt`.
    n_layers, n_heads, d_model, d_head, d_mlp, d_vocab : int
    activation : str or None
        The feed-forward nonlinearity's name in transformers.
    layer_norm_epsilon : float or None
    causal : bool
        Whether a token attends to earlier tokens and itself only.
    positions : str
        Where W_pos is added: `residual`, to the embedding; or `queries_keys`, in every layer to what queries and
        keys read, and nowhere else (MiniGPT).
    folded : bool
        Whether layer norms were folded into the weights that read through them.
    """

    W_E: Tensor
    W_pos: Tensor
    W_U: Tensor
    b_U: Tensor
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor
    b_Q: Tensor
    b_K: Tensor
    b_V: Tensor
    b_O: Tensor
    W_in: Tensor | None
    b_in: Tensor | None
    W_out: Tensor | None
    b_out: Tensor | None
    ln1_w: Tensor | None
    ln1_b: Tensor | None
    ln2_w: Tensor | None
    ln2_b: Tensor | None
    attention_scale: Tensor
    architecture: str
    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    activation: str | None
    layer_norm_epsilon: float | None
    causal: bool
    positions: str = "residual"
    folded: bool = False
    ln_final_w: Tensor | None = None
    ln_final_b: Tensor | None = None
    ln_embed_w: Tensor | None = None
    ln_embed_b: Tensor | None = None
    W_type: Tensor | None = None
    W_head: Tensor | None = None
    b_head: Tensor | None = None
    ln_head_w: Tensor | None = None
    ln_head_b: Tensor | None = None

    def __repr__(self) -> str:
        shape = f"{self.n_layers} layers x {self.n_heads} heads, d_model {self.d_model}, d_head {self.d_head}"
        fold = ", layer norms folded" if self.folded else ""
        return f"TransformerWeights({self.architecture}: {shape}, d_mlp {self.d_mlp}, vocab {self.d_vocab}{fold})"

    def named(self) -> dict[str, Tensor]:
        """The same tensors under TransformerLens's keys (HookedTransformer's for GPT-2, HookedEncoder's for BERT).

        Returns
        -------
        dict
            `embed.W_E`, `blocks.0.attn.W_Q` [head, d_model, d_head], `blocks.0.ln1.w`, `unembed.W_U` ...; views.
        """
        names = _NAMES_ONCE[self.architecture]
        once = {key: getattr(self, name) for key, name in names.items() if getattr(self, name) is not None}
        layers = {
            f"blocks.{layer}.{key}": getattr(self, name)[layer]
            for layer in range(self.n_layers)
            for key, name in _NAMES_PER_LAYER.items()
            if getattr(self, name) is not None
        }
        return once | layers


_NAMES_PER_LAYER = (
    {f"attn.{name}": name for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
    | {f"mlp.{name}": name for name in ("W_in", "b_in", "W_out", "b_out")}
    | {f"{norm}.{part}": f"{norm}_{part}" for norm in ("ln1", "ln2") for part in ("w", "b")}
)
_UNEMBED = {"unembed.W_U": "W_U", "unembed.b_U": "b_U"}
_NAMES_ONCE = {
    "gpt2": {"embed.W_E": "W_E", "pos_embed.W_pos": "W_pos", "ln_final.w": "ln_final_w", "ln_final.b": "ln_final_b"} | _UNEMBED,
    "bert": {
        "embed.embed.W_E": "W_E",
        "embed.pos_embed.W_pos": "W_pos",
        "embed.token_type_embed.W_token_type": "W_type",
        "embed.ln.w": "ln_embed_w",
        "embed.ln.b": "ln_embed_b",
        "mlm_head.W": "W_head",
        "mlm_head.b": "b_head",
        "mlm_head.ln.w": "ln_head_w",
        "mlm_head.ln.b": "ln_head_b",
    }
    | _UNEMBED,
    "minigpt": {"embed.W_E": "W_E", "pos_embed.W_pos": "W_pos"} | _UNEMBED,
}


def fold(weights: TransformerWeights) -> TransformerWeights:
    r"""Fold gains, biases and centring of a pre-norm model into the weights that read through them.

    With $\hat x$ the normalised input, $(\gamma \odot \hat x + \beta) W + b = \hat x\, W' + b'$ for
    $W' = (I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,W$ and $b' = b + \beta W$
    (TransformerLens `fold_ln`).

    Parameters
    ----------
    weights : TransformerWeights
        Of a GPT-2, not folded yet; left as it is.

    Returns
    -------
    TransformerWeights
        W_Q W_K W_V W_in W_U and their biases changed, all gains 1 and biases 0.

    Raises
    ------
    ValueError
        The weights are of a post-norm model or of one without layer norm, or folded already.
    """
    if weights.ln1_w is None:
        raise ValueError(f"weights: expected a model with layer norms to fold, found {weights!r}, which has none")
    if weights.architecture != "gpt2" or weights.folded:
        raise ValueError(f"weights: expected raw weights of a pre-norm model (GPT-2), found {weights!r}")
    gain, shift = weights.ln1_w[:, None, :, None], weights.ln1_b[:, None, None, :]
    changed = {}
    for name in "QKV":
        raw = getattr(weights, f"W_{name}")
        changed[f"W_{name}"] = _centred(gain * raw)
        changed[f"b_{name}"] = getattr(weights, f"b_{name}") + (shift @ raw).squeeze(2)
    return replace(
        weights,
        **changed,
        W_in=_centred(weights.ln2_w[:, :, None] * weights.W_in),
        b_in=weights.b_in + (weights.ln2_b[:, None, :] @ weights.W_in).squeeze(1),
        W_U=_centred(weights.ln_final_w[:, None] * weights.W_U),
        b_U=weights.b_U + weights.ln_final_b @ weights.W_U,
        **{f"{norm}_w": torch.ones_like(getattr(weights, f"{norm}_w")) for norm in ("ln1", "ln2", "ln_final")},
        **{f"{norm}_b": torch.zeros_like(getattr(weights, f"{norm}_b")) for norm in ("ln1", "ln2", "ln_final")},
        folded=True,
    )


def _centred(weight: Tensor) -> Tensor:
    """A reading weight [..., d_model, out] that ignores the mean of what it reads."""
    return weight - weight.mean(dim=-2, keepdim=True)
