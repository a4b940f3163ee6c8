r"""The notation that the whole book shares: one dataclass of weights, per head, for every architecture.

Names and shapes are TransformerLens's. Row vectors multiply from the left, $x W$. `extraction.extract` fills the dataclass from a model;
`fold` moves a pre-norm model's layer norms into the weights that read through them.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; TransformerLens.
"""

from dataclasses import dataclass, replace
from operator import index
from typing import Any

from jaxtyping import Float
from torch import Tensor
from transformers.activations import ACT2FN

from analysis_lib.weights.factored import FactoredMatrix
from analysis_lib.weights.layer_norms import LayerNorm, LayerNorms


@dataclass(frozen=True, eq=False)
class MaskedHead:
    """What BERT's states go through before W_U: a matrix, the nonlinearity of the feed-forward layers and a layer norm.

    Attributes
    ----------
    W, b : Tensor [d_model, d_model], [d_model]
    norm : LayerNorm
    """

    W: Tensor
    b: Tensor
    norm: LayerNorm


@dataclass(frozen=True, eq=False, repr=False)
class Head:
    """One attention head.

    Attributes
    ----------
    layer, index : int
        From 0.
    W_Q, W_K, W_V : Tensor [d_model, d_head]
    W_O : Tensor [d_head, d_model]
    """

    layer: int
    index: int
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    W_O: Tensor

    def __repr__(self) -> str:
        return f"Head({self.label}: {self.vo!r})"

    @property
    def label(self) -> str:
        """`L2H3` for head 3 of layer 2."""
        return f"L{self.layer}H{self.index}"

    @property
    def vo(self) -> FactoredMatrix:
        """W_V W_O [d_model, d_model]: what the head writes, by what it attends to."""
        return FactoredMatrix(self.W_V, self.W_O)

    @property
    def qk(self) -> FactoredMatrix:
        """W_Q W_K^T [d_model, d_model]: the score of what a query reads with what a key reads, unscaled and without biases.

        With rotary positions it is the score of a query and a key at the same place only.
        """
        return FactoredMatrix(self.W_Q, self.W_K.T)


@dataclass(frozen=True, eq=False, repr=False)
class TransformerWeights:
    r"""Weights of one model: float32, detached, and on the CPU wherever the model is.

    Single matrices are views of the model's own parameters (do not write into them); tensors stacked over layers are copies, since a
    model keeps its layers apart. A part that the architecture does not have is None.

    Attributes
    ----------
    W_E : Tensor [vocab, d_model]
        Token embedding.
    W_pos : Tensor [position, d_model] or None
        Position embedding; `positions` says what reads it.
    W_type : Tensor [type, d_model] or None
        Token-type embedding; a single text has type 0 throughout.
    W_U, b_U : Tensor [d_model, vocab], [vocab]
        Unembedding. A model without a head is read through its own embedding, as Dar et al. do.
    W_Q, W_K, W_V : Tensor [layer, head, d_model, d_head]
    W_O : Tensor [layer, head, d_head, d_model]
    b_Q, b_K, b_V : Tensor [layer, head, d_head]
    b_O : Tensor [layer, d_model]
    attention_scale : Tensor [layer]
        What scores are multiplied by: $1/\sqrt{d_{head}}$, unless the configuration says otherwise.
    W_in, b_in : Tensor [layer, d_model, d_mlp], [layer, d_mlp], or None
        Feed-forward keys are the columns of W_in.
    W_out, b_out : Tensor [layer, d_mlp, d_model], [layer, d_model], or None
        Feed-forward values are the rows of W_out.
    W_gate : Tensor [layer, d_model, d_mlp] or None
        In a gated feed-forward layer a neuron is $f(x W_{gate})\\,(x W_{in})$, so that no single column is its key.
    layer_norms : LayerNorms or None
    mlm_head : MaskedHead or None
    activation : str or None
        The feed-forward nonlinearity's name in transformers.
    positions : {"residual", "queries_keys", "rotary"}
        W_pos is added to the embedding; or in every layer to what queries and keys read, and nowhere else (MiniGPT); or there is none, and
        queries and keys are turned by an angle that grows with the position (RoPE), so that W_Q and W_K alone do not give scores.
    folded : bool
        Whether layer norms were folded into the weights that read through them.
    architecture : str
        The `model_type` under which the architecture is registered. `extract` fills in this and the next two.
    norm : {"pre", "post"} or None
        Whether layer norms stand before attention and the feed-forward layer or after each; None where there are none.
    causal : bool
        Whether a token attends to earlier tokens and itself only.

    Examples
    --------
    The best pairs of a head in vocabulary space; the [vocab, vocab] matrix is never formed:

    >>> import analysis_lib as al
    >>> model = al.load("polish-gpt2")
    >>> w = al.extract(model)
    >>> vo = w.W_E @ w.head(2, 3).vo @ w.W_U
    >>> pairs = al.top_pairs(vo.left, vo.right.T, k=5).to_frame(model.vocabulary)
    """

    W_E: Tensor
    W_pos: Tensor | None
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
    attention_scale: Tensor
    W_in: Tensor | None = None
    b_in: Tensor | None = None
    W_out: Tensor | None = None
    b_out: Tensor | None = None
    W_gate: Tensor | None = None
    W_type: Tensor | None = None
    layer_norms: LayerNorms | None = None
    mlm_head: MaskedHead | None = None
    activation: str | None = None
    positions: str = "residual"
    folded: bool = False
    architecture: str = ""
    norm: str | None = None
    causal: bool = True

    def __repr__(self) -> str:
        shape = f"{self.n_layers} layers x {self.n_heads} heads, d_model {self.d_model}, d_head {self.d_head}"
        fold = ", layer norms folded" if self.folded else ""
        return f"TransformerWeights({self.architecture}: {shape}, d_mlp {self.d_mlp}, vocab {self.d_vocab}{fold})"

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return self.W_Q.shape[0]

    @property
    def n_heads(self) -> int:
        """Heads of a layer."""
        return self.W_Q.shape[1]

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return self.W_Q.shape[2]

    @property
    def d_head(self) -> int:
        """Width of a head."""
        return self.W_Q.shape[3]

    @property
    def d_mlp(self) -> int:
        """Neurons of a layer; 0 in a model of attention alone."""
        return 0 if self.W_in is None else self.W_in.shape[2]

    @property
    def d_vocab(self) -> int:
        """Rows of W_E."""
        return self.W_E.shape[0]

    def head(self, layer: int, head: int) -> Head:
        """One head; its matrices are views.

        Raises
        ------
        ValueError
            A layer or head that is not there.
        """
        layer, head = checked_index("layer", layer, self.n_layers), checked_index("head", head, self.n_heads)
        return Head(layer, head, *(weight[layer, head] for weight in (self.W_Q, self.W_K, self.W_V, self.W_O)))

    def part(self, name: str) -> Any:
        """A part that not every architecture has, such as `W_pos`; ValueError where this one has none."""
        found = getattr(self, name)
        if found is None:
            raise ValueError(f"weights: expected a model with {name}, found none: {self!r}")
        return found

    def read(self, layer: int, states: Tensor) -> Float[Tensor, "*batch d_model"]:
        """What a layer's attention reads of the residual stream: through the layer norm in a pre-norm model, as it is in others.

        Parameters
        ----------
        layer : int
        states : Tensor [..., d_model]
            The residual stream before the layer.

        Returns
        -------
        Tensor [..., d_model]
            Positions that only queries and keys read are not added.

        Raises
        ------
        ValueError
            A layer that is not there.
        """
        layer = checked_index("layer", layer, self.n_layers)
        return self.part("layer_norms").attention[layer](states) if self.norm == "pre" else states

    def final(self, states: Tensor) -> Float[Tensor, "*batch d_model"]:
        """The residual stream after the last layer [..., d_model] through the final norm, if the model has one."""
        return states if self.layer_norms is None or self.layer_norms.final is None else self.layer_norms.final(states)

    def logits(self, states: Tensor) -> Float[Tensor, "*batch vocab"]:
        """What the model's own read-out makes of states of the last layer [..., d_model]: logits [..., vocab].

        The final norm or the masked-language head, if the model has one, then W_U and b_U.
        """
        return self.unembedded(states) @ self.W_U + self.b_U

    def unembedded(self, states: Tensor) -> Float[Tensor, "*batch d_model"]:
        """What W_U reads: states of the last layer [..., d_model] through the final norm or the masked-language head, if there is one."""
        states = self.final(states)
        if self.mlm_head is None:
            return states
        return self.mlm_head.norm(ACT2FN[str(self.activation)](states @ self.mlm_head.W + self.mlm_head.b))

    def embedded(self) -> Float[Tensor, "vocab d_model"]:
        """The token embeddings [vocab, d_model] through the embedding norm, if the model has one; positions are left out."""
        return self.W_E if self.layer_norms is None or self.layer_norms.embedding is None else self.layer_norms.embedding(self.W_E)

    def without_layers(self) -> "TransformerWeights":
        """Embeddings and read-out alone, as of a model of no layers: all that `embedded` and `logits` need, without a copy of the rest."""
        stacked = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O", "attention_scale", "W_in", "b_in", "W_gate", "W_out", "b_out")
        parts = {name: getattr(self, name) for name in stacked}
        return replace(self, **{name: part[:0].clone() for name, part in parts.items() if part is not None})

    def named(self) -> dict[str, Tensor]:
        """The same tensors under TransformerLens's keys (HookedEncoder's for a post-norm model, HookedTransformer's for others).

        Returns
        -------
        dict
            `embed.W_E`, `blocks.0.attn.W_Q` [head, d_model, d_head], `blocks.0.ln1.w`, `unembed.W_U` ...; views.
        """
        prefix, norms = "embed." if self.norm == "post" else "", self.layer_norms
        once = {f"{prefix}embed.W_E": self.W_E, f"{prefix}pos_embed.W_pos": self.W_pos, "unembed.W_U": self.W_U, "unembed.b_U": self.b_U}
        once["embed.token_type_embed.W_token_type"] = self.W_type
        if self.mlm_head is not None:
            once |= {"mlm_head.W": self.mlm_head.W, "mlm_head.b": self.mlm_head.b} | self.mlm_head.norm.named("mlm_head.ln")
        if norms is not None and norms.final is not None:
            once |= norms.final.named("ln_final")
        if norms is not None and norms.embedding is not None:
            once |= norms.embedding.named("embed.ln")
        blocks = {f"attn.{name}": getattr(self, name) for name in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O")}
        blocks |= {f"mlp.{name}": getattr(self, name) for name in ("W_in", "b_in", "W_gate", "W_out", "b_out")}
        if norms is not None:
            blocks |= norms.attention.named("ln1") | norms.mlp.named("ln2")
        once, blocks = ({key: value for key, value in found.items() if value is not None} for found in (once, blocks))
        return once | {f"blocks.{layer}.{key}": value[layer] for layer in range(self.n_layers) for key, value in blocks.items()}


def checked_index(name: str, value: int, count: int) -> int:
    """The value as an int from 0 to count - 1, or a ValueError that names the argument."""
    try:
        checked = -1 if isinstance(value, bool) else index(value)
    except TypeError:
        checked = -1
    if not 0 <= checked < count:
        raise ValueError(f"{name}: expected a whole number from 0 to {count - 1}, found {value!r}")
    return checked


def fold(weights: TransformerWeights) -> TransformerWeights:
    r"""Fold gains, biases and centring of a pre-norm model into the weights that read through them.

    With $\hat x$ the normalised input, $(\gamma \odot \hat x + \beta) W + b = \hat x\, W' + b'$ for
    $W' = (I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,W$ and $b' = b + \beta W$ (TransformerLens `fold_ln`).

    Parameters
    ----------
    weights : TransformerWeights
        Of a pre-norm model, not folded yet; left as it is.

    Returns
    -------
    TransformerWeights
        W_Q W_K W_V W_in W_gate W_U and their biases changed, all gains 1 and biases 0.

    Raises
    ------
    ValueError
        The weights are of a post-norm model or of one without layer norm, or folded already; a gated feed-forward layer behind a norm
        with a bias.
    """
    norms = weights.layer_norms
    if norms is None:
        raise ValueError(f"weights: expected a model with layer norms to fold, found {weights!r}, which has none")
    if weights.norm != "pre" or weights.folded:
        raise ValueError(f"weights: expected raw weights of a pre-norm model, found {weights!r} with norm {weights.norm!r}")
    changed = {f"W_{name}": norms.attention.folded_into(getattr(weights, f"W_{name}")) for name in "QKV"}
    for name in ("W_in", "W_gate"):
        if getattr(weights, name) is not None:
            changed[name] = norms.mlp.folded_into(getattr(weights, name))
    if norms.final is None:
        raise ValueError(f"weights: expected a final layer norm, as pre-norm models have, found none: {weights!r}")
    changed["W_U"] = norms.final.folded_into(weights.W_U)
    if norms.mlp.bias is not None and weights.W_gate is not None:
        raise ValueError(
            f"weights: expected no bias in the norm before a gated feed-forward layer, whose gate has none to fold it into: {weights!r}"
        )
    if norms.attention.bias is not None:
        shift = norms.attention.bias[:, None, None, :]
        changed |= {f"b_{name}": getattr(weights, f"b_{name}") + (shift @ getattr(weights, f"W_{name}")).squeeze(2) for name in "QKV"}
    if norms.mlp.bias is not None and weights.W_in is not None:
        changed["b_in"] = weights.part("b_in") + (norms.mlp.bias[:, None, :] @ weights.part("W_in")).squeeze(1)
    if norms.final.bias is not None:
        changed["b_U"] = weights.b_U + norms.final.bias @ weights.W_U
    left = LayerNorms(*(norm.without_gain() for norm in (norms.attention, norms.mlp, norms.final)))
    return replace(weights, **changed, layer_norms=left, folded=True)
