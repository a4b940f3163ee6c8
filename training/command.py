"""What the commands of the language models share: their options, and training with what these say."""

import argparse
import math
from pathlib import Path

import torch

from training.loop import train


def options_of(doc: str, *, tokens: float, compiled: str) -> argparse.ArgumentParser:
    """A parser with the options of every recipe.

    Parameters
    ----------
    doc : str
        The recipe's docstring, whose first line describes the command.
    tokens : float
        That the model sees where ``--tokens`` is not given.
    compiled : str
        What ``--compile`` compiles, and what that brings.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n", maxsplit=1)[0])
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--tokens", default=tokens, type=float)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", default=0, type=int)
    parser.add_argument("--compile", action="store_true", help=f"torch.compile {compiled}, needs a C++ compiler")
    return parser


def add_shape(parser: argparse.ArgumentParser) -> None:
    """The options of the two models of the published shapes: their size, and a checkpoint to start from."""
    parser.add_argument("--layers", default=6, type=int)
    parser.add_argument("--width", default=256, type=int)
    parser.add_argument("--heads", default=8, type=int)
    parser.add_argument("--continue-from", type=Path, help="an exported checkpoint, for a run whose state is lost")


def parsed(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options, with torch's threads set as they say."""
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    return options


def train_shaped(options, folder, model, optimizers, batch_loss, heldout_loss, *, decay_from, after_step, until=math.inf):
    """`loop.train` of a model with the options of `add_shape`: warm-up over 200,000 tokens, or a twentieth of a short run."""
    progress = train(
        folder,
        model,
        optimizers,
        batch_loss,
        heldout_loss,
        total=options.tokens,
        warmup=min(200_000, options.tokens / 20),
        decay_from=decay_from,
        after_step=after_step,
        device=options.device,
        settings={"seed": options.seed, "layers": options.layers},
        continue_from=options.continue_from,
        until=until,
    )
    print(progress)
    return progress
