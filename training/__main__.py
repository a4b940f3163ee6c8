"""All recipes on Polish text in turn: corpus, tokenizers, the models, what two of them measure along the way, checkpoints.

    python -m training --archives FOLDER

The same command resumes: text and token ids that lie in ``--work`` are not made
again, and a model goes on from its last saved state. A fresh start is another folder.
"""

import argparse
import platform
from pathlib import Path

import torch

from training import corpus, development, export, herbert, minigpt_polish, polish_gpt2, tokens


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__.split("\n")[0])
    parser.add_argument("--archives", required=True, type=Path, help="folder of the archives of text")
    parser.add_argument("--work", default=Path("training/runs"), type=Path)
    parser.add_argument("--tokens", default=100e6, type=float, help="tokens that each of the two large models sees")
    parser.add_argument("--vocab", default=16384, type=int)
    parser.add_argument("--layers", default=6, type=int)
    parser.add_argument("--width", default=256, type=int)
    parser.add_argument("--heads", default=8, type=int)
    parser.add_argument("--seed", default=0, type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", default=0, type=int, help="0: torch's own choice")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args(arguments)
    work = ["--work", str(options.work)]
    if not (options.work / "manifest.json").exists():  # what a step writes last
        corpus.main(["--archives", str(options.archives), "--out", str(options.work)])
    for name in tokens.MODELS:
        if not (options.work / name / "heldout.bin").exists():
            tokens.main([*work, "--vocab", str(options.vocab), "--model", name])
    heads = ["--heads", str(options.heads)]
    machine = ["--seed", str(options.seed), "--device", options.device, "--threads", str(options.threads), *["--compile"] * options.compile]
    run = [*work, "--tokens", str(options.tokens), "--layers", str(options.layers), *heads, "--width", str(options.width), *machine]
    polish_gpt2.main(run)
    herbert.main(run)
    minigpt_polish.main([*work, "--tokens", str(min(options.tokens, minigpt_polish.TOKENS)), *machine])
    device = f"CPU, {platform.machine()}, {torch.get_num_threads()} threads"
    if options.device.startswith("cuda"):
        device = torch.cuda.get_device_name(options.device)
    for name in tokens.MODELS:
        development.main([*work, "--model", name, *heads])
        export.main([*work, "--model", name, *heads, "--seed", str(options.seed), "--device-name", device])
    minigpt_polish.main([*work, "--seed", str(options.seed), "--device-name", device, "--export"])


if __name__ == "__main__":
    main()
