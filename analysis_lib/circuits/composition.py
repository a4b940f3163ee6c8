r"""Heads measured from weights alone: copying scores and composition of heads.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"
(transformer-circuits.pub/2021/framework). Row vectors throughout, so that $W_{OV} = W_V W_O$ and
$W_{QK} = W_Q W_K^\top$, both [d_model, d_model] and neither ever formed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from analysis_lib.weights import FactoredMatrix, TransformerWeights

ROUNDING = 1e-6  # eigenvalues that are smaller in sum, as a share of the singular values, are rounding errors

KINDS = ("Q", "K", "V")


class Composition(NamedTuple):
    """Composition scores beside chance, each float64 [layer, head, layer, head], zero where the first head is not in an earlier layer.

    Attributes
    ----------
    scores : array
        As `composition_scores` gives them.
    expected, sd : array
        Mean and standard deviation of the score over random orientations of the two heads.
    z : array
        (scores - expected) / sd; 0 where the score is the same whatever the orientation.
    """

    scores: np.ndarray
    expected: np.ndarray
    sd: np.ndarray
    z: np.ndarray


def copying_scores(weights: TransformerWeights, centre: bool = False) -> Float[np.ndarray, "layer head"]:
    r"""How much each head's output circuit raises the tokens that it attends to.

    With $\lambda$ the eigenvalues of $W_E W_V W_O W_U$ [vocab, vocab],

    $$\mathrm{copying} = \frac{\sum_i \mathrm{Re}\,\lambda_i}{\sum_i |\lambda_i|} \in [-1, 1].$$

    Its nonzero eigenvalues are those of the small $W_O W_U W_E W_V$ [d_head, d_head], since $AB$ and $BA$ share
    theirs; that is what is computed, in float64.

    Parameters
    ----------
    weights : TransformerWeights
    centre : bool
        Remove the mean over the vocabulary from W_E and W_U first. For W_U that changes no probability (softmax does
        not see a constant); without it, one eigenvalue along the common mean can outweigh all others.

    Returns
    -------
    numpy.ndarray of float64 [layer, head]
        1 if all eigenvalues are positive; about 0 for random weights; 0 for a head whose eigenvalues are all zero.

    Notes
    -----
    Positive eigenvalues do not prove copying: the paper says so itself. Layer norms and biases are left out.
    """
    with torch.inference_mode():
        embedding, unembedding = weights.W_E.double(), weights.W_U.double()
        if centre:
            embedding = embedding - embedding.mean(dim=0)
            unembedding = unembedding - unembedding.mean(dim=1, keepdim=True)
        tokens = unembedding @ embedding  # [d_model, d_model], over the whole vocabulary
        product = FactoredMatrix(weights.W_V.double(), weights.W_O.double() @ tokens)
        eigenvalues, scale = product.eigenvalues().cpu().numpy(), product.singular_values().sum(dim=-1).cpu().numpy()
    sizes = np.abs(eigenvalues).sum(axis=-1)
    return np.divide(eigenvalues.real.sum(axis=-1), sizes, out=np.zeros_like(sizes), where=sizes > ROUNDING * scale)


def composition_scores(weights: TransformerWeights, kind: str) -> Float[np.ndarray, "layer head layer head"]:
    r"""How much of what an earlier head writes a later head reads, for all pairs of heads.

    $$\mathrm{composition}(1, 2) = \frac{\|W_{OV}^1 R^2\|_F}{\|W_{OV}^1\|_F\,\|R^2\|_F}$$

    where $R^2$ is $W_{QK}^2$, $W_{QK}^{2\top}$ or $W_{OV}^2$, for the later head's queries, keys or values (kinds Q, K, V).

    Parameters
    ----------
    weights : TransformerWeights
        Of a GPT-2 preferably with layer norms folded: that is what its heads read.
    kind : {"Q", "K", "V"}

    Returns
    -------
    numpy.ndarray of float64 [layer, head, layer, head]
        The earlier head first; zero where the first is not in an earlier layer, and for heads of zero weights.

    Raises
    ------
    ValueError
        Another kind.

    Notes
    -----
    With both matrices as thin factors, $W_{OV}^1 = A B$ and $R^2 = C D$, the norm needs only products of d_head:
    $\|A B C D\|_F^2 = \mathrm{tr}(M^\top (A^\top A)\, M\, (D D^\top))$ for $M = B C$.
    """
    reading, after = _reading_factors(weights, kind)
    with torch.inference_mode():
        w_v, w_o = weights.W_V.double(), weights.W_O.double()
        before, after_gram = w_v.mT @ w_v, after @ after.mT  # [layer, head, d_head, d_head]
        writing, read = FactoredMatrix(w_v, w_o).norm(), FactoredMatrix(reading, after).norm()
        scores = torch.zeros(*writing.shape, *writing.shape, dtype=torch.float64, device=writing.device)
        for first in range(weights.n_layers):
            for second in range(first + 1, weights.n_layers):
                middle = torch.einsum("adm,bme->abde", w_o[first], reading[second])  # (head, head, d_head, d_head)
                squared = ((before[first][:, None] @ middle) * (middle @ after_gram[second])).sum(dim=(-1, -2))
                size = writing[first][:, None] * read[second]
                scores[first, :, second] = torch.where(size > 0, squared.clamp(min=0).sqrt() / size, 0)
    return scores.cpu().numpy()


def composition_z(weights: TransformerWeights, kind: str, n_draws: int = 2000, seed: int = 0) -> Composition:
    r"""Composition scores beside those of the same heads turned against each other at random.

    The null turns the space between the two heads, $\|W_{OV}^1 \Omega R^2\|_F$ with $\Omega$ uniform among rotations: each head keeps its
    singular values, and only the orientation of one against the other is random. The mean of the squared score is then
    exactly $1 / d_{model}$, whatever the heads; the spread depends on their singular values (it is larger for a head
    that writes in one direction than for one that writes in sixteen) and is sampled. Only the block of $\Omega$ between the singular
    vectors of the two heads matters, so a draw costs d_head x d_head.

    Parameters
    ----------
    weights : TransformerWeights
    kind : {"Q", "K", "V"}
    n_draws : int
        Two or more; the same draws serve all pairs.
    seed : int

    Returns
    -------
    Composition

    Raises
    ------
    ValueError
        Another kind, too few draws.
    """
    if n_draws < 2:
        raise ValueError(f"n_draws: expected 2 or more, found {n_draws}")
    reading, after = _reading_factors(weights, kind)
    scores = composition_scores(weights, kind)
    written, read = _spectra(weights.W_V.double(), weights.W_O.double()), _spectra(reading, after)
    draws = np.stack([block**2 for block in _rotation_blocks(weights.d_model, weights.d_head, n_draws, seed)])
    expected, sd = np.zeros_like(scores), np.zeros_like(scores)
    for first in range(weights.n_layers):
        through = np.einsum("ad,nde->nae", written[first], draws)
        for second in range(first + 1, weights.n_layers):
            chance = np.sqrt(np.einsum("nae,be->nab", through, read[second]))
            expected[first, :, second], sd[first, :, second] = chance.mean(axis=0), chance.std(axis=0, ddof=1)
    z = np.divide(scores - expected, sd, out=np.zeros_like(sd), where=sd > 1e-9 * expected)  # more than rounding
    return Composition(scores, expected, sd, z)


def _reading_factors(weights: TransformerWeights, kind: str) -> tuple[Tensor, Tensor]:
    """What the later head reads with, as factors [layer, head, d_model, d_head] and [layer, head, d_head, d_model]."""
    if kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(map(repr, KINDS))}, found {kind!r}")
    w_q, w_k = weights.W_Q.double(), weights.W_K.double()
    return {"Q": (w_q, w_k.mT), "K": (w_k, w_q.mT), "V": (weights.W_V.double(), weights.W_O.double())}[kind]


def _spectra(left: Tensor, right: Tensor) -> np.ndarray:
    """Squared singular values of left @ right as shares of their sum, [layer, head, d_head]."""
    with torch.inference_mode():
        squared = FactoredMatrix(left, right).singular_values().square().cpu().numpy()
    total = squared.sum(axis=-1, keepdims=True)
    return np.divide(squared, total, out=np.zeros_like(squared), where=total > 0)


def _rotation_blocks(d_model: int, d_head: int, n_draws: int, seed: int) -> Iterator[np.ndarray]:
    """The first d_head rows and columns of random rotations of d_model dimensions."""
    rng = np.random.default_rng(seed)
    for _ in range(n_draws):
        basis, upper = np.linalg.qr(rng.standard_normal((d_model, d_head)))
        yield (basis * np.sign(np.diag(upper)))[:d_head]
