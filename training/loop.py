"""What both language-model recipes share: schedule, resumable state, log, chunked loss.

A run is a function of its seed and its settings: the batch of step ``n`` depends on
nothing but (seed, n), so a run killed and started again sees the same batches.
"""

import csv
import json
import os
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

LOG_FIELDS = ["step", "tokens", "train_loss", "heldout_loss", "lr_share", "seconds"]


def load_ids(path):
    """Token ids of a split, memory mapped, [token]."""
    return np.memmap(path, dtype=np.uint16, mode="r")


def unigram_entropy(ids, vocab_size):
    """Entropy of the unigram distribution of ``ids``, in nats a token."""
    p = np.bincount(ids, minlength=vocab_size) / len(ids)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def schedule(tokens, total, warmup, decay_from=0.4):
    """Share of the peak learning rate: linear warm-up, constant, linear to zero."""
    if tokens < warmup:
        return (tokens + 1) / warmup
    return min(1.0, max(0.0, (total - tokens) / ((1 - decay_from) * total)))


def autocast(device):
    """bf16 autocast where the device computes it natively, else nothing."""
    kind = torch.device(device).type
    native = kind != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(kind, dtype=torch.bfloat16) if native else nullcontext()


def softmax_gradient(logits, targets, n):
    """Summed cross entropy of logits [row, vocab] and its gradient over ``n``, in bf16."""
    logits = logits.float()
    logs = logits.logsumexp(1, keepdim=True)
    loss = (logs - logits.gather(1, targets)).sum()
    right = torch.arange(logits.shape[1], device=logits.device) == targets
    return loss, (((logits - logs).exp() - right.float()) / n).to(torch.bfloat16)


fused_softmax_gradient = torch.compile(softmax_gradient)


class ChunkedCrossEntropy(torch.autograd.Function):
    """Mean cross entropy of ``hidden @ weight.T + bias`` against targets, ``chunk`` rows at a time.

    The logits [row, vocab] never exist as a whole, and gradients are made on the way
    forward, so memory traffic is that of one chunk. ``bias`` may be None; ``fused``
    compiles the elementwise part, which is worth it for chunks of one shape.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, chunk, fused=False):
        low, n = weight.to(torch.bfloat16), len(targets)
        d_hidden, d_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        d_bias = None if bias is None else torch.zeros_like(bias)
        total = hidden.new_zeros((), dtype=torch.float32)
        gradient = fused_softmax_gradient if fused else softmax_gradient
        for i in range(0, n, chunk):
            rows = hidden[i : i + chunk].to(torch.bfloat16)
            logits = rows @ low.T
            loss, p = gradient(logits if bias is None else logits + bias, targets[i : i + chunk, None], n)
            total += loss
            if bias is not None:
                d_bias += p.sum(0, dtype=torch.float32)
            d_hidden[i : i + chunk] = (p @ low).to(hidden.dtype)
            d_weight += p.T @ rows
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        return total / n

    @staticmethod
    def backward(ctx, grad):
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        return grad * d_hidden, grad * d_weight, None if d_bias is None else grad * d_bias, None, None, None


def cap_norms(weight, largest):
    """Scale rows of an embedding that are longer than ``largest`` back to it, in place.

    Without a bound, word beginnings that determine their continuation grow four
    times as long as other tokens and fill every list of largest entries.
    """
    with torch.no_grad():
        weight.mul_((largest / weight.norm(dim=1, keepdim=True).clamp_min(1e-8)).clamp_max(1))


def save_state(folder, model, optimizers, progress):
    """Write everything a resumed run needs, whole or not at all; tensors in safetensors."""
    tensors = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    for i, optimizer in enumerate(optimizers):
        for j, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{j}.{k}": torch.as_tensor(v).clone() for k, v in slots.items()}
    scratch = folder / "state.part"
    seen = {}
    unique = {k: v for k, v in tensors.items() if seen.setdefault(v.data_ptr(), k) == k or v.numel() < 2}
    save_file(unique, scratch, metadata={"progress": json.dumps(progress)})
    os.replace(scratch, folder / "state.safetensors")


def load_weights(model, tensors, path):
    """Load weights of which tied ones were saved under one name; any other difference in names is an error."""
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    own = model.state_dict()
    loaded = {own[k].data_ptr() for k in tensors if k in own}
    missing = [k for k in missing if own[k].data_ptr() not in loaded]
    if missing or unexpected:
        raise ValueError(f"{path} was saved by another configuration: it lacks {missing}, holds besides {unexpected}")


def load_state(folder, model, optimizers):
    """Restore what ``save_state`` wrote; returns the progress, or None when there is no state."""
    path = folder / "state.safetensors"
    if not path.exists():
        return None
    tensors = load_file(path)
    load_weights(model, {k[6:]: v for k, v in tensors.items() if k.startswith("model.")}, path)
    for i, optimizer in enumerate(optimizers):
        state = {}
        for key, value in tensors.items():
            head = f"optimizer.{i}."
            if key.startswith(head):
                j, slot = key[len(head):].split(".", 1)
                state.setdefault(int(j), {})[slot] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()["progress"])


def append_log(path, row):
    """Append one row to the training log."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, LOG_FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def trim_log(path, tokens):
    """Drop rows logged after the state that a run resumes from: their steps are run again."""
    if path.exists():
        with open(path, newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["tokens"]) <= tokens]
        scratch = path.with_suffix(".part")
        scratch.unlink(missing_ok=True)
        for row in rows:
            append_log(scratch, row)
        if rows:
            os.replace(scratch, path)
        else:
            path.unlink()


def train(folder, model, optimizers, batch_loss, heldout_loss, *, total, warmup, after_step, device, save_every=180):
    """Run or resume a recipe until ``total`` tokens were seen.

    Parameters
    ----------
    batch_loss : callable
        (step, tokens seen) -> (loss, tokens in the batch).
    heldout_loss : callable
        () -> float, nats a token.
    after_step : callable
        Called after every update, for constraints on the weights.
    save_every : float
        Seconds between two checkpoints.

    Returns
    -------
    dict
        ``step``, ``tokens``, ``seconds``: the progress at the end.
    """
    folder = Path(folder)
    progress = load_state(folder, model, optimizers) or {"step": 0, "tokens": 0, "seconds": 0.0}
    trim_log(folder / "log.csv", progress["tokens"])
    peaks = [[g["lr"] for g in o.param_groups] for o in optimizers]
    running, last_save, last_log, clock = [], time.time(), progress["tokens"], time.time()
    while progress["tokens"] < total:
        share = schedule(progress["tokens"], total, warmup)
        for optimizer, lrs in zip(optimizers, peaks, strict=True):
            for group, lr in zip(optimizer.param_groups, lrs, strict=True):
                group["lr"] = lr * share
        with autocast(device):
            loss, n = batch_loss(progress["step"], progress["tokens"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        after_step()
        running.append(float(loss.detach()))
        now = time.time()
        progress = {"step": progress["step"] + 1, "tokens": progress["tokens"] + n, "seconds": progress["seconds"] + now - clock}
        clock = now
        if progress["tokens"] - last_log >= 250_000 or progress["tokens"] >= total:
            losses = {"train_loss": round(float(np.mean(running)), 4), "heldout_loss": round(heldout_loss(), 4)}
            append_log(folder / "log.csv", {**progress, **losses, "lr_share": round(share, 4), "seconds": round(progress["seconds"], 1)})
            running, last_log = [], progress["tokens"]
        if time.time() - last_save > save_every or progress["tokens"] >= total:
            save_state(folder, model, optimizers, progress)
            last_save = time.time()
    return progress
