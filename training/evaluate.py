"""Held-out losses of the two language models, beside a unigram and an untrained model.

Losses are in nats a token, a word and a character, so that vocabularies of other
sizes can be compared; intervals are bootstraps over held-out windows.
"""

import json

import numpy as np
import torch

from training.herbert import CONTEXT as HERBERT_CONTEXT
from training.herbert import mask_words, windows, word_ends
from training.loop import load_ids, unigram_entropy
from training.polish_gpt2 import CONTEXT as GPT2_CONTEXT

MASK_RATE = 0.15


def heldout_sources(folder):
    """Held-out ids by source: ``old`` (the novels and textbooks that all checkpoints were measured on) and the newer sources.

    Parameters
    ----------
    folder : Path
        A model's folder of ``training.tokens``.

    Returns
    -------
    dict of str to ndarray
    """
    new = load_ids(folder / "heldout_new.bin")
    spans = json.loads((folder / "heldout_new.json").read_text(encoding="utf-8"))
    return {"old": load_ids(folder / "heldout.bin")} | {source: new[first:end] for source, (first, end) in spans.items()}


def bootstrap_ratio(numerators, denominators, seed=0, draws=2000):
    """Mean and 95% interval of a ratio of sums over windows resampled with replacement."""
    a, b = np.asarray(numerators, float), np.asarray(denominators, float)
    rows = np.random.default_rng(seed).integers(len(a), size=(draws, len(a)))
    low, high = np.quantile(a[rows].sum(1) / b[rows].sum(1), [0.025, 0.975])
    return {"mean": float(a.sum() / b.sum()), "low": float(low), "high": float(high)}


def unigram(train_ids, heldout_ids, vocab_size):
    """Unigram entropy of the training text, and the cross entropy of held-out text under it (add one half)."""
    counts = np.bincount(train_ids, minlength=vocab_size) + 0.5
    logs = np.log(counts / counts.sum())
    heldout = np.bincount(heldout_ids, minlength=vocab_size) / len(heldout_ids)
    return {
        "entropy": unigram_entropy(train_ids, vocab_size),
        "heldout_cross_entropy": float(-(heldout * logs).sum()),
        "most_frequent": np.argsort(-counts, kind="stable")[:10],
    }


@torch.inference_mode()
def next_token_losses(model, ids, batch=8):
    """Next-token losses of consecutive windows of held-out ids, nats, [window, GPT2_CONTEXT]."""
    n = (len(ids) - 1) // GPT2_CONTEXT
    losses = []
    for first in range(0, n, batch):
        rows = [ids[i * GPT2_CONTEXT : (i + 1) * GPT2_CONTEXT + 1] for i in range(first, min(n, first + batch))]
        tokens = torch.from_numpy(np.stack(rows).astype("int64"))
        logits = model(tokens[:, :-1]).logits
        losses.append(torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none"))
    return torch.cat(losses).numpy()


@torch.inference_mode()
def masked_ranks(model, tokenizer, ids, seed=0, batch=32):
    """Loss and rank of every hidden token when whole words are masked.

    Returns
    -------
    dict of ndarray
        ``loss`` (nats), ``rank`` (0 is the model's first guess), ``token``, ``window``, and
        ``whole`` (the word is one token), each [hidden token].
    """
    ends, content = word_ends(tokenizer), HERBERT_CONTEXT - 2
    generator = torch.Generator().manual_seed(seed)
    n, rows = len(ids) // content, []
    for first in range(0, n, batch):
        held = range(first, min(n, first + batch))
        tokens = windows(ids, [i * content for i in held], HERBERT_CONTEXT)
        hidden, chosen = mask_words(tokens, ends, MASK_RATE, generator, corrupt=False)
        states = model.cls.predictions.transform(model.bert(hidden).last_hidden_state[chosen])
        logits = model.cls.predictions.decoder(states)
        aims = tokens[chosen]
        own = logits.gather(1, aims[:, None])
        starts = torch.nn.functional.pad(ends[tokens], (1, 0), value=True)[:, :-1]
        rows.append(
            {
                "loss": (logits.logsumexp(1, keepdim=True) - own)[:, 0].numpy(),
                "rank": (logits > own).sum(1).numpy(),
                "token": aims.numpy(),
                "window": first + chosen.nonzero()[:, 0].numpy(),
                "whole": (starts & ends[tokens])[chosen].numpy(),
            }
        )
    return {k: np.concatenate([r[k] for r in rows]) for k in rows[0]}


def heldout_losses(name, model, tokenizer, ids_by_source):
    """Held-out loss of each source, nats a (masked) token: (source, loss) pairs."""
    for source, ids in ids_by_source.items():
        if name == "polish-gpt2-mini":
            yield source, float(next_token_losses(model, ids).mean())
        else:
            yield source, float(masked_ranks(model, tokenizer, ids)["loss"].mean())


def evaluate_gpt2(model, untrained, train_ids, heldout_ids, text):
    """Figures of the card of a causal model; ``text`` is the held-out text, for words and characters."""
    losses = next_token_losses(model, heldout_ids)
    fresh = next_token_losses(untrained, heldout_ids[: 40 * GPT2_CONTEXT + 1])
    base = unigram(train_ids, heldout_ids, model.config.vocab_size)
    loss = bootstrap_ratio(losses.sum(1), np.full(len(losses), GPT2_CONTEXT))
    return {
        "heldout_loss": loss,
        "heldout_loss_by_position": [float(x) for x in losses.mean(0)],
        "context_gain": context_gain(losses),
        **per_word_and_character(loss["mean"], len(heldout_ids), text),
        "unigram_entropy": base["entropy"],
        "unigram_heldout_loss": base["heldout_cross_entropy"],
        "untrained_heldout_loss": float(fresh.mean()),
        "under_unigram_loss": base["heldout_cross_entropy"] - loss["mean"],
        "heldout_tokens": int(losses.size),
    }


def context_gain(losses, first=8):
    """Mean loss in the second half of a window minus that of its first tokens, with its interval over windows."""
    gains = losses[:, losses.shape[1] // 2 :].mean(1) - losses[:, :first].mean(1)
    return bootstrap_ratio(gains, np.ones(len(gains)))


def per_word_and_character(loss, n_tokens, text):
    """A loss a token as nats a word and nats a character of the text that the tokens spell."""
    return {
        "nats_per_word": loss * n_tokens / len(text.split()),
        "nats_per_character": loss * n_tokens / len(text),
        "tokens_per_word": n_tokens / len(text.split()),
    }


def over_windows(found, values, keep=None):
    """Mean of one value a hidden token, with its interval over windows: hidden tokens of one window are not independent."""
    keep = np.ones(len(values), bool) if keep is None else keep
    n_windows = int(found["window"].max()) + 1
    sums = np.bincount(found["window"][keep], np.asarray(values)[keep].astype(float), n_windows)
    return bootstrap_ratio(sums, np.bincount(found["window"][keep], minlength=n_windows))


def summarise_ranks(found):
    """Loss and accuracies of ``masked_ranks`` with intervals over windows."""
    return {
        "heldout_loss": over_windows(found, found["loss"]),
        "top1": over_windows(found, found["rank"] < 1),
        "top10": over_windows(found, found["rank"] < 10),
        "top10_whole_words": over_windows(found, found["rank"] < 10, found["whole"]),
        "masked_tokens": len(found["rank"]),
    }


def summarise_frequency(found, most_frequent):
    """How often the one token, or one of the ten, that is most frequent in the training text is the hidden one, over windows."""
    return {
        "unigram_top1": over_windows(found, found["token"] == most_frequent[0]),
        "unigram_top10": over_windows(found, np.isin(found["token"], most_frequent[:10])),
    }


def evaluate_herbert(model, untrained, tokenizer, train_ids, heldout_ids, text):
    """Figures of the card of a masked model."""
    found = masked_ranks(model, tokenizer, heldout_ids)
    fresh = summarise_ranks(masked_ranks(untrained, tokenizer, heldout_ids[: 60 * HERBERT_CONTEXT]))
    base = unigram(train_ids, heldout_ids, model.config.vocab_size)
    figures = summarise_ranks(found)
    loss = figures["heldout_loss"]["mean"]
    return {
        **figures,
        **per_word_and_character(loss, len(heldout_ids), text),
        "unigram_entropy": base["entropy"],
        "unigram_heldout_loss": base["heldout_cross_entropy"],
        **summarise_frequency(found, base["most_frequent"]),
        "untrained_heldout_loss": fresh["heldout_loss"]["mean"],
        "untrained_top10": fresh["top10"]["mean"],
        "under_unigram_loss": base["heldout_cross_entropy"] - loss,
        "mask_rate": MASK_RATE,
    }
