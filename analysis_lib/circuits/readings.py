"""Attention scores as notebook 002 read them, beside what softmax does with them.

The notebook left out the scaling, set scores of later keys to zero instead of forbidding them, and took the variance of a term over all
entries, with these zeros among them. Each departure is made here by itself, on the scores of any model.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from analysis_lib.circuits.terms import row_variances, total_variations


def notebook_patterns(scores: Tensor, scale: float) -> dict[str, Float[Tensor, "*rows query key"]]:
    """Patterns by reading: the model's, and notebook 002's two departures from it, apart and together.

    Parameters
    ----------
    scores : Tensor [..., query, key]
        Scaled, and -inf where the key comes after the query.
    scale : float
        What they were scaled with, which the notebook left out.

    Returns
    -------
    dict of str to Tensor [..., query, key]
        `model`; `unscaled`; `zeros for mask`, with a score of zero for later keys; `both (notebook)`.
    """
    return {
        "model": scores.softmax(-1),
        "unscaled": (scores / scale).softmax(-1),
        "zeros for mask": scores.tril().softmax(-1),
        "both (notebook)": (scores / scale).tril().softmax(-1),
    }


def compare_patterns(patterns: dict[str, Tensor], reference: str = "model") -> dict[str, dict[str, Tensor]]:
    """How far readings of the same heads are from each other: measures by name and reading, each [sequence].

    Parameters
    ----------
    patterns : dict of str to Tensor [sequence, head, query, key]
    reference : str
        The reading that attention is compared with.

    Returns
    -------
    dict of str to dict of str to Tensor [sequence]
        `entropy of a row [nats]`; `attention on the future`, that is on keys after the query; `attention moved`, the total variation
        to the reference. Means over heads and rows.
    """
    measures = {
        "entropy of a row [nats]": lambda p: torch.special.entr(p).sum(-1),
        "attention on the future": lambda p: p.triu(1).sum(-1),
        "attention moved": lambda p: (p - patterns[reference]).abs().sum(-1) / 2,
    }
    return {name: {key: measure(p).mean((1, 2)) for key, p in patterns.items()} for name, measure in measures.items()}


def term_variances(terms: Tensor) -> dict[str, Float[Tensor, " term"]]:
    """The size of each term three ways, and what the term does: each [term], means over sequences.

    Parameters
    ----------
    terms : Tensor [term, sequence, query, key]
        Of one head, as `terms.score_terms` gives them.

    Returns
    -------
    dict of str to Tensor [term]
        `with zeros (notebook)`: the variance over all entries, with zeros in the place of later keys, as notebook 002 computed it (of
        scaled scores); `causal entries`: without these zeros; `within rows`: the part that softmax can see; `attention moved`:
        `terms.total_variations`.
    """
    causal = torch.ones(terms.shape[-2:]).tril().bool()
    return {
        "with zeros (notebook)": terms.tril().flatten(-2).var(-1, correction=0).mean(1),
        "causal entries": terms[..., causal].var(-1, correction=0).mean(1),
        "within rows": row_variances(terms).variance.mean(1),
        "attention moved": total_variations(terms).mean(1),
    }


def largest_terms(terms: Tensor) -> dict[str, Int[Tensor, " head"]]:
    """Which term is the largest in each head, by the notebook's variance and by the attention that moves without it.

    Parameters
    ----------
    terms : Tensor [term, sequence, head, query, key]
        As `terms.score_terms` gives them.

    Returns
    -------
    dict of str to Tensor of int [head]
        Places among the terms: `by variance` and `by attention moved`.
    """
    found = [term_variances(terms[:, :, head]) for head in range(terms.shape[2])]
    columns = {"by variance": "with zeros (notebook)", "by attention moved": "attention moved"}
    return {name: torch.stack([variances[column].argmax() for variances in found]) for name, column in columns.items()}
