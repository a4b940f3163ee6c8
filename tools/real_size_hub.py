"""A hub on the loopback interface with two random checkpoints of the published models' sizes, for trying the book at real size.

Usage: ``python tools/real_size_hub.py FOLDER --serve``. It writes ``FOLDER/sdadas/polish-gpt2-medium`` and
``FOLDER/allegro/herbert-base-cased``, unless they are there, serves them until it is stopped, and prints the command that builds the
book against them. ``--gpt2 6,1024,16,51200`` changes layers, width, heads and vocabulary.

The weights are drawn, so the book finds nothing in them; what it shows is time, memory, and pages that hold for so many layers and
heads. Embeddings share a mean, as trained ones do, on which the time of a pair search depends. The tokenizers are of the originals'
kinds, byte-level BPE and BPE with ``</w>``, and their merges come from the book's texts and from all forms that Morfeusz knows of the
words of these texts and of the embedded tokenizers.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel, GPT2Tokenizer, HerbertTokenizer, PreTrainedModel

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

from analysis_lib.models import EMBEDDED_FOLDER  # noqa: E402
from tests.support import hub_server  # noqa: E402

IDS = {"gpt2": "sdadas/polish-gpt2-medium", "herbert": "allegro/herbert-base-cased"}
SEED = 20_000  # far from those of the book's untrained models, which would have the same weights otherwise
MEAN = 0.6  # length of the embedding's shared mean, where what is left of a token's vector without it has about length 1


class Sizes(NamedTuple):
    """What a checkpoint measures."""

    layers: int
    width: int
    heads: int
    vocabulary: int

    @classmethod
    def parse(cls, text: str) -> Sizes:
        return cls(*(int(part) for part in text.split(",")))


PUBLISHED = {"gpt2": Sizes(24, 1024, 16, 51_200), "herbert": Sizes(12, 768, 12, 50_000)}


def polish_lines() -> list[str]:
    """The book's texts, the words of the embedded tokenizers, and all inflected forms of both; rare words once, others more often."""
    import morfeusz2

    prose = [
        line for path in sorted((ROOT / "analysis_lib" / "texts").glob("*.txt")) for line in path.read_text(encoding="utf-8").splitlines()
    ]
    vocabulary = json.loads((EMBEDDED_FOLDER / "herbert-mini" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    words = [token.removesuffix("</w>") for token in vocabulary if token.endswith("</w>")]
    words = sorted({word for word in [*words, *" ".join(prose).split()] if word.isalpha()})
    dictionary = morfeusz2.Morfeusz()
    lemmas = sorted({reading[2][1].split(":")[0] for word in words for reading in dictionary.analyse(word)})
    forms = sorted({form[0] for lemma in lemmas for form in dictionary.generate(lemma)} - set(words))
    capitals = [word.capitalize() for word in words]
    return (
        prose * 20
        + [" ".join(words)] * 10
        + [" ".join(capitals)] * 3
        + [" " + " ".join(forms[start : start + 100]) for start in range(0, len(forms), 100)]
    )


def byte_level(lines: list[str], size: int) -> GPT2Tokenizer:
    """A byte-level BPE such as GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained = _train(tokenizer, lines, size, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet)
    return GPT2Tokenizer(**trained, bos_token="<|endoftext|>", eos_token="<|endoftext|>", add_prefix_space=True, model_max_length=2048)


def char_level(lines: list[str], size: int) -> HerbertTokenizer:
    """A BPE of characters with ``</w>`` such as HerBERT's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    return HerbertTokenizer(**_train(tokenizer, lines, size, special_tokens=special, end_of_word_suffix="</w>"), model_max_length=512)


def _train(tokenizer: Tokenizer, lines: list[str], size: int, **options) -> dict:
    """Vocabulary and merges; fails where the lines do not hold so many pieces."""
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=size, show_progress=False, **options))
    model = json.loads(tokenizer.to_str())["model"]
    if len(model["vocab"]) != size:
        raise SystemExit(f"the text gives {len(model['vocab'])} tokens, expected {size}")
    return {"vocab": model["vocab"], "merges": [tuple(merge) for merge in model["merges"]]}


def gpt2(sizes: Sizes, positions: int = 2048) -> GPT2LMHeadModel:
    """A random GPT-2 whose embedding has a shared mean."""
    config = GPT2Config(
        vocab_size=sizes.vocabulary,
        n_layer=sizes.layers,
        n_embd=sizes.width,
        n_head=sizes.heads,
        n_positions=positions,
        activation_function="gelu_fast",
        bos_token_id=0,
        eos_token_id=0,
    )
    return _drawn(GPT2LMHeadModel, config)


def herbert(sizes: Sizes, positions: int = 514) -> BertForMaskedLM:
    """A random BERT whose embedding has a shared mean."""
    config = BertConfig(
        vocab_size=sizes.vocabulary,
        num_hidden_layers=sizes.layers,
        hidden_size=sizes.width,
        num_attention_heads=sizes.heads,
        intermediate_size=4 * sizes.width,
        max_position_embeddings=positions,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    return _drawn(BertForMaskedLM, config)


def _drawn(model_class: type[PreTrainedModel], config) -> PreTrainedModel:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(SEED)
        model = model_class(config)
        rows = model.get_input_embeddings().weight
        mean = torch.randn(rows.shape[1])
        rows += MEAN * rows.norm(dim=1).median() * mean / mean.norm()
    return model.half()


def make(root: Path, sizes: dict[str, Sizes]) -> None:
    """Write the repositories that are not there yet; one that was not finished has another name."""
    lines: list[str] = []
    for name, repository in IDS.items():
        folder = root / repository
        if folder.is_dir():
            continue
        lines = lines or polish_lines()
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        {"gpt2": byte_level, "herbert": char_level}[name](lines, sizes[name].vocabulary).save_pretrained(unfinished)
        {"gpt2": gpt2, "herbert": herbert}[name](sizes[name]).save_pretrained(unfinished)
        unfinished.rename(folder)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--serve", action="store_true", help="serve the folder until stopped")
    parser.add_argument("--port", type=int, default=0)
    for name, sizes in PUBLISHED.items():
        shown = ",".join(map(str, sizes))
        parser.add_argument(f"--{name}", type=Sizes.parse, default=sizes, help=f"layers, width, heads, vocabulary (default {shown})")
    chosen = parser.parse_args(arguments)
    make(chosen.folder, {name: getattr(chosen, name) for name in IDS})
    if chosen.serve:
        with hub_server.serve(chosen.folder, chosen.port) as (endpoint, _):
            home = shlex.quote(str(chosen.folder.resolve() / "cache"))
            print(f"HF_ENDPOINT={endpoint} HF_HOME={home} ANALYSIS_MODELS=hub make book", flush=True)
            threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
