"""Layer norms as parts of the notation: a gain, perhaps a bias, and what they do to states."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """One norm, or the norms of one place in all layers.

    Attributes
    ----------
    gain : Tensor [d_model] or [layer, d_model]
    bias : Tensor of the same shape, or None
    epsilon : float
        Added to the variance.
    rms : bool
        RMSNorm, which divides by the root of the mean square and does not subtract the mean (Zhang and Sennrich 2019,
        arXiv 1910.07467).
    """

    gain: Tensor
    bias: Tensor | None
    epsilon: float
    rms: bool = False

    def __getitem__(self, layer: int) -> "LayerNorm":
        return replace(self, gain=self.gain[layer], bias=None if self.bias is None else self.bias[layer])

    def __call__(self, states: Tensor) -> Float[Tensor, "*batch d_model"]:
        """Normalise states [..., d_model]; of the norms of all layers take one first."""
        if self.gain.ndim != 1:
            raise ValueError(f"expected the norm of one layer, found those of {len(self.gain)}: write norm[layer](states)")
        if self.rms:
            return functional.rms_norm(states, self.gain.shape, self.gain, self.epsilon)
        return functional.layer_norm(states, self.gain.shape, self.gain, self.bias, self.epsilon)

    def folded_into(self, weight: Tensor) -> Float[Tensor, "*layer d_model out"]:
        r"""A reading weight with the gain, and for LayerNorm the centring, of the norm that it reads through.

        $(I - \mathbf{1}\mathbf{1}^\top/d)\,\mathrm{diag}(\gamma)\,W$; for RMSNorm $\mathrm{diag}(\gamma)\,W$.

        Parameters
        ----------
        weight : Tensor [d_model, out], or [layer, ..., d_model, out] for the norms of all layers

        Returns
        -------
        Tensor of the same shape
        """
        between = weight.ndim - self.gain.ndim - 1
        gain = self.gain if self.gain.ndim == 1 else self.gain.unflatten(0, (-1, *[1] * between))
        scaled = gain[..., None] * weight
        return scaled if self.rms else scaled - scaled.mean(dim=-2, keepdim=True)

    def without_gain(self) -> "LayerNorm":
        """The norm that is left when gain and bias are folded into what reads through it."""
        return replace(self, gain=torch.ones_like(self.gain), bias=None if self.bias is None else torch.zeros_like(self.bias))

    def named(self, key: str) -> dict[str, Tensor]:
        """Gain and bias, if there is one, under TransformerLens's keys `key.w` and `key.b`."""
        return {f"{key}.w": self.gain} | ({} if self.bias is None else {f"{key}.b": self.bias})


@dataclass(frozen=True, eq=False)
class LayerNorms:
    """The layer norms of a model.

    In a pre-norm model `attention` and `mlp` stand before the modules, on what they read; in a post-norm model after them, on the residual
    stream to which the module's output has been added.

    Attributes
    ----------
    attention, mlp : LayerNorm
        Of all layers, gains [layer, d_model].
    final : LayerNorm or None
        Before the unembedding.
    embedding : LayerNorm or None
        On the embeddings, before the first layer.
    """

    attention: LayerNorm
    mlp: LayerNorm
    final: LayerNorm | None = None
    embedding: LayerNorm | None = None
