r"""Circuits of attention heads, read from weights alone.

Source: Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"
(transformer-circuits.pub/2021/framework).
"""

import numpy as np
import torch

from analysis_lib.weights import TransformerWeights


def copying_scores(weights: TransformerWeights, centre: bool = False) -> np.ndarray:
    r"""How far each head's output circuit raises the tokens it attends to.

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
        1: all eigenvalues positive. 0: balanced, as random weights are about; also a head of zero weights.

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
        circuits = weights.W_O.double() @ tokens @ weights.W_V.double()  # [layer, head, d_head, d_head]
        eigenvalues = torch.linalg.eigvals(circuits).cpu().numpy()
    sizes = np.abs(eigenvalues).sum(axis=-1)
    return np.divide(eigenvalues.real.sum(axis=-1), sizes, out=np.zeros_like(sizes), where=sizes > 0)
