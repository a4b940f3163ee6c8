"""What a language model writes: seeded continuations of a prompt, and guesses for a masked word.

Samples show a reader what the losses mean. They prove nothing by themselves: show several, chosen by a stated rule, and
compare what you say about them with an untrained model.
"""

import copy
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from analysis_lib.models.loading import LoadedModel, seeded
from analysis_lib.vocabulary import Lexicon

WORD = re.compile(r"[^\W\d_]+")


def continue_text(
    loaded: LoadedModel,
    prompt: str,
    n_samples: int = 1,
    new_tokens: int = 40,
    temperature: float = 0.8,
    top_k: int = 40,
    seed: int = 0,
) -> list[str]:
    """Sample continuations of a prompt from a causal model.

    Parameters
    ----------
    loaded : LoadedModel
        A GPT-2.
    prompt : str
    n_samples, new_tokens : int
        How many continuations, and how many tokens each may have; generation stops early at the end-of-text token.
    temperature, top_k : float, int
        Logits are divided by `temperature`, and only the `top_k` most likely tokens are drawn from.
    seed : int
        The same seed gives the same text on one machine. Torch's global random state is left as it was.

    Returns
    -------
    list of str
        Continuations without the prompt.

    Raises
    ------
    ValueError
        A model that does not generate; a prompt that is empty or leaves no room for `new_tokens`.
    """
    if not getattr(loaded.model, "can_generate", lambda: False)():
        raise ValueError(f"loaded: expected a causal language model, found {type(loaded.model).__name__}")
    ids = loaded.reader(prompt, return_tensors="pt", verbose=False)["input_ids"].to(loaded.model.device)
    room = loaded.model.config.max_position_embeddings - new_tokens
    if not 1 <= ids.shape[1] <= room:
        raise ValueError(f"prompt: expected 1 to {room} tokens, found {ids.shape[1]}")
    writer = copy.copy(loaded.model)  # the same weights, without what a checkpoint's own settings say of drawing
    writer.generation_config = GenerationConfig(eos_token_id=loaded.model.generation_config.eos_token_id)
    with seeded(seed), torch.inference_mode():
        written = writer.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=True,
            temperature=temperature,
            top_k=top_k,
            num_return_sequences=n_samples,
            max_new_tokens=new_tokens,
            pad_token_id=loaded.reader.eos_token_id,
        )
    texts = loaded.reader.batch_decode(written[:, ids.shape[1] :], skip_special_tokens=True)
    return [text.replace("\N{REPLACEMENT CHARACTER}", "") for text in texts]


def fill_in(loaded: LoadedModel, text: str, k: int = 5) -> list[tuple[str, float]]:
    """A masked model's most likely tokens for the one masked place of a text.

    Parameters
    ----------
    loaded : LoadedModel
        A BERT.
    text : str
        Contains the tokenizer's mask token (HerBERT: `<mask>`) exactly once.
    k : int
        How many tokens to return.

    Returns
    -------
    list of (str, float)
        Labels (see `Vocabulary.labels`: `nie`, or `nie-` for a piece after which the word goes on) and
        probabilities, most likely first.

    Raises
    ------
    ValueError
        A text without exactly one mask.
    """
    if not loaded.predicts:
        raise ValueError(f"loaded: expected a model that predicts tokens, found the bare encoder {loaded.name}")
    mask = loaded.reader.mask_token
    if mask is None or text.count(mask) != 1:
        raise ValueError(f"text: expected {mask or 'a mask token'} once, found {text!r}")
    encoded = loaded.reader(text, return_tensors="pt", verbose=False).to(loaded.model.device)
    longest = loaded.model.config.max_position_embeddings
    if encoded["input_ids"].shape[1] > longest:
        raise ValueError(f"text: expected at most {longest} tokens, found {encoded['input_ids'].shape[1]}")
    place = (encoded["input_ids"][0] == loaded.reader.mask_token_id).nonzero().item()
    with torch.inference_mode():
        logits = token_logits(loaded.model(**{key: encoded[key] for key in ("input_ids", "attention_mask")}))[0, place]
    best = logits.softmax(dim=-1).topk(k)
    labels = loaded.vocabulary.labels(best.indices.tolist())
    return list(zip(labels, best.values.tolist(), strict=True))


def token_logits(output: Any) -> Tensor:
    """The logits of tokens in what a model returns; one that was also trained to tell next sentences has them under another name."""
    return output.logits if "logits" in output else output.prediction_logits


def known_share(texts: Iterable[str]) -> np.ndarray:
    """Which share of each text's words the Morfeusz dictionary knows; the first and the last word are left out.

    Parameters
    ----------
    texts : iterable of str
        Continuations: their first word may be the rest of a prompt's, and their last may be cut off.

    Returns
    -------
    numpy.ndarray [text]
        From 0 to 1, nan for a text with no word left.
    """
    words = [WORD.findall(text)[1:-1] for text in texts]
    # A capital letter at the beginning of a sentence says nothing about the word.
    flat = [form for text in words for word in text for form in (word, word.lower())]
    known = (any(cases) for cases in np.reshape(Lexicon.from_forms(flat).known, (-1, 2))) if flat else iter(())
    return np.array([np.mean([next(known) for _ in text]) if text else np.nan for text in words])
