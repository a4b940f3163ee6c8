"""Tokenizers and models small enough to build in a test, of the kinds that the library reads."""

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    GPT2Config,
    GPT2LMHeadModel,
    HerbertTokenizer,
    PreTrainedTokenizerFast,
)

from analysis_lib.models.regressor import Regressor, RegressorConfig

SENTENCES = (
    "Nie wiem, czy jeśli żeby który nie.",
    "Zażółć gęślą jaźń, a potem nie idź do lasu.",
    "Mały źrebak pił wodę ze źródła; ćma siadła na śniegu.",
    "ZAŻÓŁĆ GĘŚLĄ JAŹŃ. Ósma rano, Łódź. Ćwiczenia są już.",
    "W 1863 roku było inaczej – a może nie?",
    "Pięć kobiet i pięciu mężczyzn szło drogą do Żar.",
)
POLISH_LETTERS = "ąćęłńóśźżĄĆĘŁŃÓŚŹŻ"


def byte_level_tokenizer(vocab_size: int = 400, repeats: int = 20) -> PreTrainedTokenizerFast:
    """A byte-level BPE such as GPT-2's, trained on `SENTENCES`; 256 bytes, one special token, merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(SENTENCES) * repeats, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", model_max_length=64)


def herbert_tokenizer(vocab_size: int = 250, repeats: int = 20) -> HerbertTokenizer:
    """A char BPE with `</w>` such as HerBERT's, trained on `SENTENCES`."""
    import json

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(list(SENTENCES) * repeats, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return HerbertTokenizer(vocab=model["vocab"], merges=[tuple(m) for m in model["merges"]], model_max_length=64)


def gpt2(vocab: int = 400, layers: int = 2, heads: int = 2, width: int = 16, seed: int = 0, **options) -> GPT2LMHeadModel:
    """A random GPT-2 whose layer norms and biases are not the trivial ones of a fresh model."""
    config = GPT2Config(
        vocab_size=vocab,
        n_layer=layers,
        n_head=heads,
        n_embd=width,
        n_positions=64,
        activation_function="gelu_fast",
        bos_token_id=0,
        eos_token_id=0,
        **options,
    )
    config._attn_implementation = "eager"
    return _rough(GPT2LMHeadModel, config, seed)


def bert(vocab: int = 250, layers: int = 2, heads: int = 2, width: int = 16, seed: int = 0, **options) -> BertForMaskedLM:
    """A random BERT whose layer norms and biases are not the trivial ones of a fresh model."""
    config = BertConfig(
        vocab_size=vocab,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=width,
        intermediate_size=3 * width,
        max_position_embeddings=64,
        pad_token_id=1,
        **options,
    )
    config._attn_implementation = "eager"
    return _rough(BertForMaskedLM, config, seed)


def pretraining(model: BertForMaskedLM) -> BertForPreTraining:
    """The same model with a head for next sentences beside the masked one, as BERT was published."""
    with torch.random.fork_rng():
        both = BertForPreTraining(model.config).eval()
    both.load_state_dict(model.state_dict(), strict=False)
    return both


def _rough(model_class, config, seed: int):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1:
                    parameter.mul_(5)
                elif "weight" in name:
                    parameter.copy_(torch.exp(0.5 * torch.randn_like(parameter)))
                else:
                    parameter.copy_(0.3 * torch.randn_like(parameter))
    return model.eval()


def save(folder, model, tokenizer) -> None:
    """Write a checkpoint as the recipes do: float16 safetensors, configuration, tokenizer."""
    import copy

    copy.deepcopy(model).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def regressor(n_dims: int = 2, n_points: int = 5, n_embd: int = 12, n_layer: int = 2, n_head: int = 3, loud: bool = False) -> Regressor:
    """A random regressor with eager attention; `loud` makes attention scores large, so that heads say something."""
    config = RegressorConfig(n_dims=n_dims, n_points=n_points, n_embd=n_embd, n_layer=n_layer, n_head=n_head)
    config._attn_implementation = "eager"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Regressor(config).eval()
        if loud:
            with torch.no_grad():
                for block in model.backbone.h:
                    block.attn.c_attn.weight.normal_()
        return model
