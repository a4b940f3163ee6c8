r"""How large the updates are that a block's modules add for each token.

No regression within a layer can show a cause. A layer computes all its tokens at once from its input, so the update of one token cannot
depend on that of another *in the same layer*; what they have in common is what both read (`shared_sources`). A cause can run from one
layer to a later one: `interventions`.

Source of norm-based attention: Kobayashi, Kuribayashi, Yokoi and Inui 2020, "Attention is Not Only a Weight" (EMNLP), equation 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from analysis_lib import activations
from analysis_lib.models import LoadedModel
from analysis_lib.vocabulary import Vocabulary
from analysis_lib.vocabulary.tokens import REPLACEMENT
from analysis_lib.weights import extract


@dataclass(frozen=True)
class UpdateNorms:
    """Euclidean norms of what each block's modules add to the residual stream.

    Attributes
    ----------
    attention, mlp : float64 [layer, token]
        Norms of the attention output (after c_proj in GPT-2, after output.dense in BERT, before any layer norm) and of the feed-forward
        output.
    tokens : DataFrame [token]
        `text position token_id special`, and what a token is without its context: `word_internal` (it continues a word),
        `no_word` (punctuation), `log_frequency` (log of its count in these texts), `log_rank` (log of 1 + its id: byte-pair tokenizers
        number their merges from frequent to rare, so the id ranks it by its training text). Texts, not ids, also have `form`.
    """

    attention: np.ndarray
    mlp: np.ndarray
    tokens: pd.DataFrame


def update_norms(loaded: LoadedModel, texts: Sequence) -> UpdateNorms:
    """Norms of the updates of every block for every token.

    Parameters
    ----------
    loaded : LoadedModel
        GPT-2 or BERT.
    texts : sequence of str, or of sequences of token ids
        None longer than the context, since the first token of a second window would have no token before it. Ids are run as they are;
        they are not grouped into words, so none of them continues one.

    Returns
    -------
    UpdateNorms

    Raises
    ------
    ValueError
        No texts, a text that is empty or longer than the context (its index is named), an unknown architecture.
    """
    tokens = activations.tokens_of(loaded, texts)
    attention, mlp = norms_of(loaded, sequences_of(tokens), ("attention", "mlp"), batch_size=16 if "word" in tokens else 64)
    return UpdateNorms(attention, mlp, described(loaded, tokens))


def norm_based_attention(
    loaded: LoadedModel, texts: Sequence[str], per_head: bool = False
) -> list[Float[np.ndarray, "layer ... _query _key"]]:
    r"""How much each token contributes to the attention update of another: the norm of the weighted, transformed vector.

    $$\Bigl\lVert \sum_h \alpha^h_{ij} f^h(x_j) \Bigr\rVert, \qquad f^h(x) = (x W_V^h + b_V^h) W_O^h,$$

    so the vectors of a row sum to the attention output minus $b_O$. Attention weights alone count a token that is attended to but
    contributes nothing; this norm does not.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str, or of sequences of token ids
        None longer than the context.
    per_head : bool
        Whether to give the norm of each head's vector instead of the norm of their sum.

    Returns
    -------
    list of float32 [layer, query, key], or [layer, head, query, key]
        One array for each text.
    """
    return _norm_based(loaded, run_texts_or_ids(loaded, texts, ("patterns",)), per_head)


def shared_sources(norm_based: Sequence[np.ndarray], first: int = 8) -> Float[np.ndarray, "text layer"]:
    r"""How much of what a token reads was also read by the token before it: $\sum_j \min(w_{t,j}, w_{t-1,j})$, rows $w$ summing to 1.

    Parameters
    ----------
    norm_based : sequence of array [layer, query, key]
    first : int
        First position t counted, at least 1.

    Returns
    -------
    array [text, layer]
        Means over positions, from 0 (nothing in common) to 1 (the same sources in the same shares).
    """
    if first < 1 or min(pairs.shape[-1] for pairs in norm_based) <= first:
        raise ValueError(f"first: expected at least 1 and less than the tokens of every text, got {first}")
    shares = [pairs / pairs.sum(axis=-1, keepdims=True) for pairs in norm_based]
    return np.array([np.minimum(w[:, first:], w[:, first - 1 : -1]).sum(axis=-1).mean(axis=-1) for w in shares])


def mean_by_position(norms: Float[np.ndarray, "layer token"], tokens: pd.DataFrame, least: int = 20) -> Float[np.ndarray, "layer position"]:
    """Mean log norm at each position over texts, without special tokens.

    Parameters
    ----------
    norms : array [layer, token]
        Positive.
    tokens : DataFrame [token]
        `position` and `special`.
    least : int
        How many texts must reach a position for it to be reported, at least 1.

    Returns
    -------
    array [layer, position]
        From the first position with a token that is not special.

    Raises
    ------
    ValueError
        No position is reached by so many texts.
    """
    rows = np.flatnonzero(~tokens["special"].to_numpy(dtype=bool))
    by_position = pd.DataFrame(np.log(norms[:, rows]).T).groupby(tokens["position"].to_numpy()[rows])
    count = by_position.size()
    if least < 1 or count.max() < least:
        raise ValueError(f"least: expected 1 to {count.max()}, the texts, got {least}")
    return by_position.mean()[count >= least].T.to_numpy()


def position_slopes(means: Float[np.ndarray, "layer position"], first: int = 0) -> Float[np.ndarray, " layer"]:
    """Slope of each layer's mean log norm on the log of 1 + position, [layer]; of an average of independent vectors it would be -0.5.

    Parameters
    ----------
    means : array [layer, position]
        Of `mean_by_position`, without gaps.
    first : int
        The position of the first column: 1 where a special token stands at position 0.
    """
    return np.polyfit(np.log1p(first + np.arange(means.shape[1])), means.T, 1)[0]


def norms_of(
    loaded: LoadedModel, sequences: Sequence[Sequence[int]], outputs: Sequence[str], batch_size: int = 16
) -> list[Float[np.ndarray, "layer _token"]]:
    """Norms of modules' outputs for each token, sequence by sequence; the vectors of one batch alone are in memory.

    Parameters
    ----------
    loaded : LoadedModel
    sequences : sequence of sequences of int
        Token ids, as `activations.run_ids` takes them.
    outputs : sequence of str
        "attention" and "mlp", or one of them.
    batch_size : int
        Sequences in a pass; those of similar length go together.

    Returns
    -------
    list of float64 [layer, token]
        One array for each output.
    """
    starts = np.cumsum([0, *map(len, sequences)])
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    found = [np.empty((activations.sites_of(loaded.model).n_layers, starts[-1])) for _ in outputs]
    for batch in (order[at : at + batch_size] for at in range(0, len(order), batch_size)):
        rows = np.concatenate([np.arange(starts[index], starts[index + 1]) for index in batch])
        ran = activations.run_ids(
            loaded, [sequences[index] for index in batch], batch_size=batch_size, outputs=tuple(outputs), states=False
        )
        for norms, name in zip(found, outputs, strict=True):
            norms[:, rows] = np.linalg.norm(ran.output(name), axis=-1)
    return found


def sequences_of(tokens: pd.DataFrame) -> list[list[int]]:
    """The ids of each text of a table of tokens."""
    return [ids.tolist() for _, ids in tokens.groupby("text", sort=False)["token_id"]]


def run_texts_or_ids(loaded: LoadedModel, texts: Sequence, outputs: Sequence[str], states: bool = True) -> activations.Activations:
    """`activations.run` for texts, `activations.run_ids` for sequences of token ids."""
    texts = list(texts)
    run: Callable[..., activations.Activations] = activations.run if texts and isinstance(texts[0], str) else activations.run_ids
    return run(loaded, texts, outputs=outputs, states=states)


def described(loaded: LoadedModel, tokens: pd.DataFrame) -> pd.DataFrame:
    """The columns of `UpdateNorms.tokens`, for texts and for sequences of ids."""
    ids, text = tokens["token_id"].to_numpy(), tokens["text"].to_numpy()
    special = np.isin(ids, list(set(loaded.reader.all_special_ids) - {loaded.reader.unk_token_id}))
    kept = tokens[["text", "position", "token_id"]].assign(special=tokens.get("special", special))
    if "word" in tokens:
        word = tokens["word"].to_numpy()
        internal = np.r_[False, (word[1:] == word[:-1]) & (text[1:] == text[:-1])] & (word >= 0)
        kept = kept.assign(form=tokens["form"], word_internal=internal, no_word=word < 0)
    else:
        surface = Vocabulary.from_tokenizer(loaded.reader, loaded.model.config.vocab_size).text
        wordless = np.array([not any(c.isalnum() or c == REPLACEMENT for c in surface[i]) for i in ids])
        kept = kept.assign(word_internal=False, no_word=kept["special"] | wordless)
    return kept.assign(log_frequency=np.log(np.bincount(ids)[ids]), log_rank=np.log1p(ids))


@torch.inference_mode()
def _norm_based(loaded: LoadedModel, ran: activations.Activations, per_head: bool) -> list[np.ndarray]:
    weights = extract(loaded)
    found = []
    for pattern, rows in zip(ran.output("patterns"), ran.tokens.groupby("text", sort=False).indices.values(), strict=True):
        layers = []
        for layer in range(weights.n_layers):
            read = weights.read(layer, torch.from_numpy(ran.output("states")[layer][rows]))
            written = (read @ weights.W_V[layer] + weights.b_V[layer][:, None]) @ weights.W_O[layer]  # (head, key, d_model)
            attended = torch.from_numpy(pattern[layer])  # (head, query, key)
            if per_head:
                layers.append(attended * written.norm(dim=-1)[:, None])
            else:  # the norm of the sum, from the heads' inner products at each key
                inner = torch.einsum("hkd,gkd->khg", written, written)
                by_key = attended.permute(2, 1, 0)  # (key, query, head)
                layers.append(((by_key @ inner) * by_key).sum(dim=-1).T.clamp(min=0).sqrt())
        found.append(torch.stack(layers).numpy())
    return found
