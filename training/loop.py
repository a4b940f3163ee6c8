"""What both language-model recipes share: schedule, resumable state, log, chunked loss.

A run is a function of its seed and its settings: the batch of step ``n`` depends on
nothing but (seed, n), so a run killed and started again sees the same batches.
"""

import csv
import json
import math
import os
import re
import shutil
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from analysis_lib.models.checkpoint_files import weight_files

LOG_FIELDS = ["step", "tokens", "train_loss", "heldout_loss", "lr_share", "seconds"]


def load_ids(path):
    """Token ids of a split, memory mapped, [token]."""
    return np.memmap(path, dtype=np.uint16, mode="r")


def even_starts(n_tokens, count, context):
    """Starts of ``count`` windows of ``context`` tokens, spread evenly over a text."""
    return np.linspace(0, n_tokens - context, count).astype(int).tolist()


def unigram_entropy(ids, vocab_size):
    """Entropy of the unigram distribution of ``ids``, in nats a token."""
    p = np.bincount(ids, minlength=vocab_size) / len(ids)
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def schedule(tokens, total, warmup, decay_from, started=0):
    """Share of the peak learning rate: linear warm-up from ``started``, constant, linear to zero at ``total``."""
    return max(0.0, min(1.0, (tokens - started + 1) / warmup, (total - tokens) / ((1 - decay_from) * total)))


def compute_type(device):
    """bfloat16 where the device multiplies it natively, else float32, which is then many times faster."""
    native = torch.device(device).type != "cpu" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def autocast(device):
    """bf16 autocast where the device computes it natively, else nothing."""
    kind = compute_type(device)
    return nullcontext() if kind == torch.float32 else torch.autocast(torch.device(device).type, dtype=kind)


def softmax_gradient(logits, bias, targets, n):
    """Summed cross entropy of logits [row, column] and its gradient over ``n``, in the type of the logits.

    ``bias`` [column] is added to every logit but that of a row's target, see `sampled_columns`; it may be None.
    """
    kind, logits = logits.dtype, logits.float()
    right = torch.arange(logits.shape[1], device=logits.device) == targets
    if bias is not None:
        logits = torch.where(right, logits, logits + bias)
    logs = logits.logsumexp(1, keepdim=True)
    loss = (logs - logits.gather(1, targets)).sum()
    return loss, (((logits - logs).exp() - right.float()) / n).to(kind)


fused_softmax_gradient = torch.compile(softmax_gradient)


def sampled_columns(order, targets, n_columns, generator):
    """Tokens whose logits stand for all: the frequent ones, a sample of the rest, and every target.

    The sum over the vocabulary in a softmax is estimated without bias: a frequent token counts once; a sampled one counts for
    as many tokens of the rest as it stands for; a target that was not sampled counts in its own rows only.

    Parameters
    ----------
    order : LongTensor [vocab]
        Tokens by falling frequency.
    targets : LongTensor [row]
    n_columns : int
        Half of them go to the most frequent tokens.
    generator : torch.Generator

    Returns
    -------
    columns : LongTensor [n_columns]
    bias : Tensor [n_columns]
        What to add to the logits of a column in the rows whose target it is not.
    places : LongTensor [row]
        The column of each target.

    Raises
    ------
    ValueError
        When the targets leave no room for a sample.
    """
    n_frequent = min(n_columns // 2, len(order) - 1)
    rest = order[n_frequent:]
    wanted = torch.zeros(len(order), dtype=torch.bool)
    wanted[targets] = True
    only_targets = rest[wanted[rest]]
    n_sampled = n_columns - n_frequent - len(only_targets)
    if n_sampled < 1:
        raise ValueError(f"n_columns is {n_columns}, expected more for {len(only_targets)} rare targets in one batch")
    n_sampled = min(n_sampled, len(rest))
    drawn = rest[torch.randperm(len(rest), generator=generator)[:n_sampled]]
    own = only_targets[~torch.isin(only_targets, drawn)]
    spare = n_columns - n_frequent - n_sampled - len(own)  # targets that were drawn too leave columns empty
    columns = torch.cat([order[:n_frequent], drawn, own, order[:1].expand(spare)])
    bias = torch.zeros(n_columns)
    bias[n_frequent : n_frequent + n_sampled] = math.log(len(rest) / n_sampled)
    bias[n_frequent + n_sampled :] = -torch.inf
    place = torch.empty(len(order), dtype=torch.long)
    used = n_columns - spare
    place[columns[:used]] = torch.arange(used)
    return columns, bias, place[targets]


class ChunkedCrossEntropy(torch.autograd.Function):
    """Mean cross entropy of ``hidden @ weight.T + bias`` against targets, ``chunk`` rows at a time.

    The logits [row, vocab] never exist as a whole, and gradients are made on the way
    forward, so memory traffic is that of one chunk. ``bias`` may be None; ``fused``
    compiles the elementwise part, which is worth it for chunks of one shape. ``others``
    is a constant bias of the columns in all rows but those whose target they are.
    """

    @staticmethod
    def forward(ctx, hidden, weight, bias, targets, chunk, fused=False, others=None):
        kind = compute_type(weight.device)
        low, n = weight.to(kind), len(targets)
        d_hidden, d_weight = torch.empty_like(hidden), torch.zeros_like(weight)
        d_bias = None if bias is None else torch.zeros_like(bias)
        total = hidden.new_zeros((), dtype=torch.float32)
        gradient = fused_softmax_gradient if fused else softmax_gradient
        for i in range(0, n, chunk):
            rows = hidden[i : i + chunk].to(kind)
            logits = rows @ low.T
            loss, p = gradient(logits if bias is None else logits + bias, others, targets[i : i + chunk, None], n)
            total += loss
            if bias is not None:
                d_bias += p.sum(0, dtype=torch.float32)
            p = p.to(kind)
            d_hidden[i : i + chunk] = (p @ low).to(hidden.dtype)
            d_weight += p.T @ rows
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        return total / n

    @staticmethod
    def backward(ctx, grad):
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        return grad * d_hidden, grad * d_weight, None if d_bias is None else grad * d_bias, None, None, None, None


def token_loss(hidden, table, bias, targets, chunk, fused=False, columns=None):
    """Mean cross entropy of the tokens that follow from ``hidden`` [row, d_model], in nats.

    ``table`` [vocab, d_model] and ``bias`` [vocab], which may be None, make the logits. ``columns`` (targets -> what
    `sampled_columns` gives) makes it an estimate from these columns.
    """
    if columns is None:
        return ChunkedCrossEntropy.apply(hidden, table, bias, targets, chunk, fused)
    kept, others, places = (x.to(targets.device) for x in columns(targets.cpu()))
    bias = None if bias is None else bias.index_select(0, kept)
    return ChunkedCrossEntropy.apply(hidden, table.index_select(0, kept), bias, places, chunk, fused, others)


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
    seen: dict[int, str] = {}
    unique = {k: v for k, v in tensors.items() if seen.setdefault(v.data_ptr(), k) == k or v.numel() < 2}
    save_file(unique, scratch, metadata={"progress": json.dumps(progress), "heads": str(heads_of(model))})
    os.replace(scratch, folder / "state.safetensors")


def layers_of(tensors):
    """How many blocks a model has, by the names of its weights."""
    return 1 + max(int(found[1]) for found in (re.search(r"\.(?:layer|h)\.(\d+)\.", name) for name in tensors) if found)


def heads_of(model):
    """Attention heads a layer, which no shape of a weight tells; None where the model has no configuration."""
    return getattr(getattr(model, "config", None), "num_attention_heads", None)


def check_heads(model, heads, path):
    """Refuse weights that were trained with another number of heads; ``heads`` is None where that is not known."""
    if heads is not None and str(heads) != str(heads_of(model)):
        raise ValueError(f"{path} was saved by another configuration: it has {heads} heads a layer, expected {heads_of(model)}")


def load_weights(model, tensors, path):
    """Load weights of which tied ones were saved under one name; any other difference in names is an error."""
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    own = model.state_dict()
    loaded = {own[k].data_ptr() for k in tensors if k in own}
    missing = [k for k in missing if own[k].data_ptr() not in loaded]
    if missing or unexpected:
        raise ValueError(f"{path} was saved by another configuration: it lacks {missing}, holds besides {unexpected}")


def read_state(path):
    """What ``save_state`` wrote. The file is opened once: a run that goes on replaces it.

    Returns
    -------
    weights : dict of str to Tensor
    slots : dict of str to Tensor
        Of the optimizers, ``optimizer.I.J.NAME``.
    progress : dict
    heads : str
        Attention heads a layer; None where an older state does not say.
    """
    with safe_open(path, "pt") as file:
        slots = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    weights = {k.removeprefix("model."): slots.pop(k) for k in list(slots) if k.startswith("model.")}
    return weights, slots, json.loads(metadata["progress"]), metadata.get("heads")


def load_state(folder, model, optimizers):
    """Restore what ``save_state`` wrote; returns the progress, or None when there is no state."""
    path = folder / "state.safetensors"
    if not path.exists():
        return None
    weights, slots, progress, heads = read_state(path)
    check_heads(model, heads, path)
    load_weights(model, weights, path)
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in slots.items():
            head = f"optimizer.{i}."
            if key.startswith(head):
                j, slot = key[len(head) :].split(".", 1)
                state.setdefault(int(j), {})[slot] = value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def append_log(path, row):
    """Append one row to the training log."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, LOG_FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def trim_log(path, tokens):
    """Drop rows of a table that were written after the state that a run resumes from, or is exported from."""
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if int(row["tokens"]) <= tokens]
        if not rows or reader.fieldnames is None:  # a file without a header has no rows
            path.unlink()
            return
        scratch = path.with_suffix(".part")
        with open(scratch, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, reader.fieldnames, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(scratch, path)


SNAPSHOTS = [round(1e5 * 10 ** (i / 8)) for i in range(25)]  # tokens, from 100,000 to 100 million


def save_snapshot(folder, model, tokens):
    """Weights in float16 for `training.development`, whole or not at all; tied ones once."""
    folder.mkdir(exist_ok=True)
    tensors, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen:
            seen.add(tensor.data_ptr())
            tensors[name] = tensor.half().contiguous()
    scratch = folder / "snapshot.part"
    save_file(tensors, scratch, metadata={"tokens": str(tokens), "heads": str(heads_of(model))})
    os.replace(scratch, folder / f"{tokens}.safetensors")


def load_exported(exported, folder, model):
    """Start from an exported checkpoint: its weights, its progress, its seed and its log; the optimizer begins anew.

    Raises
    ------
    ValueError
        When the checkpoint is of another configuration.
    """
    config = json.loads((exported / "config.json").read_text(encoding="utf-8"))
    check_heads(model, config.get("num_attention_heads", config.get("n_head")), exported)
    tensors = {k: v.float() for file in weight_files(exported) for k, v in load_file(file).items()}
    load_weights(model, tensors, exported)
    run = json.loads((exported / "evaluation.json").read_text(encoding="utf-8"))["run"]
    shutil.copy(exported / "training_log.csv", folder / "log.csv")
    if (exported / "development.csv").exists() and not (folder / "development.csv").exists():  # its snapshots may be lost with the state
        shutil.copy(exported / "development.csv", folder / "development.csv")
    seed = {"seed": run["seed"]} if "seed" in run else {}
    return {"step": run["step"], "tokens": run["tokens"], "seconds": run["seconds"], "started": run["tokens"]} | seed


def train(
    folder,
    model,
    optimizers,
    batch_loss,
    heldout_loss,
    *,
    total,
    warmup,
    decay_from,
    after_step,
    device,
    settings,
    save_every=180,
    continue_from=None,
    until=math.inf,
):
    """Run or resume a recipe until ``total`` tokens were seen, or ``until`` if that comes first.

    Parameters
    ----------
    batch_loss : callable
        (step, tokens seen) -> (loss, tokens in the batch).
    heldout_loss : callable
        () -> float, nats a token.
    decay_from : float
        Share of ``total`` from which the learning rate falls.
    after_step : callable
        Called after every update, for constraints on the weights.
    settings : dict
        What a run may not change on its way, such as its seed; saved with the progress. An older state takes what it lacks from here.
    save_every : float
        Seconds between two checkpoints.
    continue_from : path, optional
        An exported checkpoint to start from where the run has no state of its own.

    Returns
    -------
    dict
        ``step``, ``tokens``, ``seconds``, ``started`` (tokens at which the optimizer was new) and the settings: the progress at the end.

    Raises
    ------
    ValueError
        When the run began with other settings.
    FloatingPointError
        When a loss or a gradient is not finite.
    """
    folder = Path(folder)
    progress = load_state(folder, model, optimizers)
    if progress is None and continue_from is not None:
        progress = load_exported(Path(continue_from), folder, model)
    progress = {"started": 0} | (progress or {"step": 0, "tokens": 0, "seconds": 0.0})
    for key, value in settings.items():
        if progress.setdefault(key, value) != value:
            raise ValueError(f"{key}: expected {progress[key]}, with which the run in {folder} began, found {value}")
    trim_log(folder / "log.csv", progress["tokens"])
    peaks = [[g["lr"] for g in o.param_groups] for o in optimizers]
    end = min(total, until)
    running, last_save, last_log, clock = [], time.time(), progress["tokens"], time.time()
    while progress["tokens"] < end:
        share = schedule(progress["tokens"], total, warmup, decay_from, progress["started"])
        for optimizer, lrs in zip(optimizers, peaks, strict=True):
            for group, lr in zip(optimizer.param_groups, lrs, strict=True):
                group["lr"] = lr * share
        with autocast(device):
            loss, n = batch_loss(progress["step"], progress["tokens"])
        loss.backward()
        norm, value = float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)), float(loss.detach())
        if not math.isfinite(norm + value):  # before the weights are touched: the last saved state stays good
            raise FloatingPointError(f"step {progress['step']}: loss {value:g}, gradient of norm {norm:g}; the last saved state is kept")
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        after_step()
        running.append(value)
        now, before = time.time(), progress["tokens"]
        progress |= {"step": progress["step"] + 1, "tokens": before + n, "seconds": progress["seconds"] + now - clock}
        clock = now
        if any(before < at <= progress["tokens"] for at in SNAPSHOTS):
            save_snapshot(folder / "snapshots", model, progress["tokens"])
        if progress["tokens"] - last_log >= 250_000 or progress["tokens"] >= end:
            row = {k: progress[k] for k in ("step", "tokens")} | {"seconds": round(progress["seconds"], 1), "lr_share": round(share, 4)}
            append_log(
                folder / "log.csv", {**row, "train_loss": round(float(np.mean(running)), 4), "heldout_loss": round(heldout_loss(), 4)}
            )
            running, last_log = [], progress["tokens"]
        if time.time() - last_save > save_every or progress["tokens"] >= end:
            save_state(folder, model, optimizers, progress)
            last_save = time.time()
    return progress
