"""herbert-mini: a HerBERT-like masked language model on the Polish corpus.

    python -m training.herbert --work training/runs --tokens 100e6

Whole words are masked: a fifth of them, three tenths in contexts of 128. A post-norm model learns nothing but unigram
frequencies until some head looks at neighbours, so it starts on short contexts (8, then 16, 32, 64, 128 tokens), with
sinusoidal positions of the word embedding's scale and the output bias at the unigram log-frequencies. A short context
stands anywhere among the positions, so that all of them are learned from the start.

Heads that have nothing to do yet learn to look at one kind of token, whatever asks, and stay there. The first block that
attends to neighbours also wipes positions out of the states, so that no later head can. So the model has two layers
while contexts are short, and the others then come below these two. Special tokens, which are the easiest to look at, stand
around every fourth batch of the longest context only. Muon on the blocks' matrices, at a lower rate once the model has
grown, AdamW on the rest. The same command resumes; ``--continue-from`` starts from an exported checkpoint.
"""

import math
import re
from functools import partial

import numpy as np
import torch
from safetensors import safe_open
from transformers import BertConfig, BertForMaskedLM, HerbertTokenizer

from training.attention import use_plain_attention
from training.command import add_shape, options_of, parsed, train_shaped
from training.loop import autocast, cap_norms, compute_type, even_starts, layers_of, load_ids, sampled_columns, save_state, token_loss
from training.muon import Muon, remaining_groups
from training.tokens import read_lengths

CONTEXT = 128
STAGES = [(3e5, 8), (1.5e6, 16), (3e6, 32), (6e6, 64), (math.inf, 128)]  # (up to how many tokens, context)
BATCHES = [(4e6, 2048), (8e6, 4096), (math.inf, 8192)]  # (up to how many tokens, tokens a batch)
FRAME_EVERY = 4  # batches of the longest context, of which one has special tokens
MASK_RATES = (0.2, 0.3)  # of words in short contexts and in the longest
SMALL, GROW_AT = 2, 6e6  # layers at first, and up to how many tokens
RATES = {"small": (0.01, 0.01), "grown": (0.003, 0.005)}  # Muon's: for queries and keys, for the other matrices
DECAY_FROM = 0.5
NORM_CAP = 1.6
CLS, SEP, MASK = 0, 2, 4


def configuration(vocab_size, layers=6, width=256, heads=8):
    """The model's configuration; dropout off, since every text is seen a few times only."""
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        max_position_embeddings=CONTEXT,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=1,
        bos_token_id=CLS,
        eos_token_id=SEP,
    )


def sinusoids(n_positions, width):
    """Sinusoidal positions [position, width] with unit root mean square."""
    angle = torch.arange(n_positions)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table = torch.zeros(n_positions, width)
    table[:, 0::2], table[:, 1::2] = angle.sin(), angle.cos()
    return table * math.sqrt(2)


def build(config, seed, counts):
    """A fresh model with sinusoidal positions and unigram log-frequencies as output bias.

    Parameters
    ----------
    counts : ndarray [vocab]
        Frequencies of the tokens in the training text.
    """
    torch.manual_seed(seed)
    model = BertForMaskedLM(config)
    with torch.no_grad():
        words = model.bert.embeddings.word_embeddings.weight
        positions = model.bert.embeddings.position_embeddings.weight
        positions.copy_(sinusoids(*positions.shape) * words.std())
        smoothed = torch.from_numpy(np.log((counts + 0.5) / (counts + 0.5).sum()))
        model.cls.predictions.bias.copy_(smoothed)
        model.cls.predictions.decoder.bias.copy_(smoothed)
    return model


def grow(model, layers, seed=0):
    """A model of ``layers`` blocks that answers like ``model``: new blocks come first and write nothing yet.

    A new block has the queries and keys of the first block, so its heads attend to neighbours. Its outputs are zero, and its layer
    norms keep the mean and the spread of the embeddings. All else is fresh: what its heads carry and what its neurons match.
    """
    torch.manual_seed(seed)
    new = layers - model.config.num_hidden_layers
    grown = BertForMaskedLM(BertConfig.from_dict(model.config.to_dict() | {"num_hidden_layers": layers}))
    gain, bias = model.bert.embeddings.LayerNorm.parameters()
    level, spread = bias.mean(), (gain.square().mean() + bias.var(correction=0)).sqrt()
    tensors, first = {}, model.bert.encoder.layer[0].attention.self
    for name, tensor in model.state_dict().items():
        found = re.fullmatch(r"(.+\.layer\.)(\d+)(\..+)", name)
        tensors[f"{found[1]}{int(found[2]) + new}{found[3]}" if found else name] = tensor
    grown.load_state_dict(tensors, strict=False)  # the new blocks are not there
    with torch.no_grad():
        for block in grown.bert.encoder.layer[:new]:
            block.attention.self.query.load_state_dict(first.query.state_dict())
            block.attention.self.key.load_state_dict(first.key.state_dict())
            for out in (block.attention.output, block.output):
                out.dense.weight.zero_()
                out.dense.bias.zero_()
                out.LayerNorm.weight.fill_(spread)
                out.LayerNorm.bias.fill_(level)
    return grown


def optimizers_for(model, size="grown"):
    """Muon for the blocks' matrices, AdamW for embeddings, the head, gains and biases.

    A rare token's gradient is small where the token does not occur. With a short memory AdamW makes full steps of it, which
    lower the token's probability between two occurrences; hence a long one, and BERT's epsilon.
    """
    blocks = {name: p for name, p in model.bert.encoder.named_parameters() if p.ndim == 2}
    looking, acting = ([p for name, p in blocks.items() if bool(re.search(r"\.(query|key)\.", name)) == looks] for looks in (True, False))
    return [
        Muon(
            [{"params": p, "lr": rate} for p, rate in zip((looking, acting), RATES[size], strict=True)],
            dtype=compute_type(looking[0].device),
        ),
        torch.optim.AdamW(remaining_groups(model, blocks.values(), 0.01), lr=5e-4, betas=(0.9, 0.999), eps=1e-6, fused=True),
    ]


def word_ends(tokenizer):
    """Which tokens end a word (``</w>``) or stand outside words, bool [vocab]."""
    names = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    special = set(tokenizer.all_special_ids)
    return torch.tensor([n.endswith("</w>") or i in special for i, n in enumerate(names)])


def windows(ids, starts, context, framed=True):
    """``<s>`` + tokens + ``</s>`` at the given starts, [batch, context]; tokens alone where not ``framed``."""
    rows = torch.from_numpy(np.stack([ids[s : s + context - 2 * framed] for s in starts]).astype("int64"))
    if not framed:
        return rows
    ends = rows.new_tensor([CLS, SEP]).expand(len(rows), 2)
    return torch.cat([ends[:, :1], rows, ends[:, 1:]], dim=1)


def mask_words(batch, ends, rate, generator, corrupt=True):
    """Choose whole words at ``rate`` and hide them.

    Parameters
    ----------
    batch : LongTensor [text, token]
    ends : BoolTensor [vocab]
        Tokens that end a word.
    corrupt : bool
        80 % of hidden tokens become ``<mask>``, 10 % a random token, 10 % stay; else all ``<mask>``.

    Returns
    -------
    (LongTensor, BoolTensor)
        The batch with words hidden, and which tokens are to be predicted.
    """
    after_end = torch.nn.functional.pad(ends[batch], (1, 0), value=True)[:, :-1]
    word = after_end.cumsum(1)
    draw = torch.rand(batch.shape, generator=generator)
    chosen = (draw < rate).gather(1, word.clamp_max(batch.shape[1] - 1)) & (batch > MASK)
    fate = torch.rand(batch.shape, generator=generator) if corrupt else torch.zeros(batch.shape)
    other = torch.randint(MASK + 1, len(ends), batch.shape, generator=generator)
    hidden = torch.where(chosen & (fate < 0.8), MASK, batch)
    return torch.where(chosen & (fate >= 0.9), other, hidden), chosen


def positions(n_texts, context, generator):
    """Positions [text, token] of short contexts that begin anywhere among those of the model."""
    return torch.randint(CONTEXT - context + 1, (n_texts, 1), generator=generator) + torch.arange(context)


def loss_of(model, hidden, chosen, batch, chunk, fused=False, at=None, columns=None):
    """Mean loss over the chosen tokens, in nats; ``at`` are their positions, by default from 0; ``columns`` as in `token_loss`."""
    states = model.bert(hidden, position_ids=at).last_hidden_state[chosen]
    states = model.cls.predictions.transform(states).float()
    decoder = model.cls.predictions.decoder
    return token_loss(states, decoder.weight, decoder.bias, batch[chosen], chunk, fused, columns)


def parse_weights(pairs):
    """``["eltec=3", …]`` as {source: factor}."""
    try:
        return {source: float(factor) for source, factor in (pair.split("=") for pair in pairs)}
    except ValueError:
        raise ValueError(f"--weights is {' '.join(pairs)}, expected SOURCE=FACTOR …") from None


def even_odds(count, last, generator):
    """Positions [count] before ``last``, each as likely as any other."""
    return torch.randint(last, (count,), generator=generator)


def weighted_starts(documents, weights):
    """A draw of windows that begin more often in some sources than in others.

    Parameters
    ----------
    documents : sequence of (str, int)
        Source and tokens of each document, in the order of the text.
    weights : dict of str to float
        How much more often a token of a source begins a window than one of a source that is not named.

    Returns
    -------
    callable
        (count, last, generator) -> LongTensor [count], positions of the text up to ``last``.

    Raises
    ------
    ValueError
        When a source of ``weights`` has no document, or a factor is not positive.
    """
    lengths = torch.tensor([n for _, n in documents])
    known = {source for source, _ in documents}
    wrong = {source: factor for source, factor in weights.items() if source not in known or not factor > 0}
    if wrong:
        raise ValueError(f"weights has {wrong}, expected positive factors of {sorted(known)}")
    factors = torch.tensor([weights.get(source, 1.0) for source, _ in documents], dtype=torch.float64)
    spans = factors * lengths
    begins, ends = lengths.cumsum(0) - lengths, spans.cumsum(0)

    def draw(count, last, generator):
        at = ends[-1] * torch.rand(count, dtype=torch.float64, generator=generator)
        document = torch.searchsorted(ends, at, right=True).clamp_max(len(ends) - 1)
        within = (at - ends[document] + spans[document]) / factors[document]
        return (begins[document] + within.long()).clamp_max(last)

    return draw


def layers_saved(folder):
    """Layers of the model in a run's state; None where there is none."""
    path = folder / "state.safetensors"
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        return layers_of(file.keys())


def at_tokens(table, tokens):
    """The entry of ``STAGES`` or ``BATCHES`` that holds after ``tokens``."""
    return next(value for end, value in table if tokens < end)


def main(arguments=None):
    parser = options_of(__doc__, tokens=100e6, compiled="the encoder: faster on a CPU")
    add_shape(parser)
    parser.add_argument("--columns", default=5120, type=int, help="of the estimated softmax; 0: always exact")
    parser.add_argument("--weights", default=[], nargs="+", metavar="SOURCE=FACTOR", help="sources read more often than the others")
    options = parsed(parser, arguments)
    folder = options.work / "herbert-mini"
    ids, heldout = load_ids(folder / "train.bin"), load_ids(folder / "heldout.bin")
    tokenizer = HerbertTokenizer.from_pretrained(folder / "tokenizer")
    ends, counts = word_ends(tokenizer), np.bincount(ids, minlength=len(tokenizer))
    check = windows(heldout, even_starts(len(heldout), 128, CONTEXT - 2), CONTEXT)
    check_hidden, check_chosen = mask_words(check, ends, 0.15, torch.Generator().manual_seed(0), corrupt=False)
    chunk = 256 if options.device == "cpu" else 8192
    order = torch.from_numpy(np.argsort(-counts, kind="stable"))
    weights = parse_weights(options.weights)
    draw = weighted_starts(read_lengths(folder / "train_documents.csv"), weights) if weights else even_odds

    def batch_loss(model, step, tokens):
        generator = torch.Generator().manual_seed(options.seed * 10_000_019 + step)
        context = at_tokens(STAGES, tokens)
        starts = draw(at_tokens(BATCHES, tokens) // context, len(ids) - context, generator).tolist()
        long = context == CONTEXT
        batch = windows(ids, starts, context, framed=long and step % FRAME_EVERY == 0)
        hidden, chosen = mask_words(batch, ends, MASK_RATES[long], generator)
        at = positions(len(batch), context, generator)
        hidden, chosen, batch, at = (t.to(options.device) for t in (hidden, chosen, batch, at))
        columns = None
        if options.columns and tokens < DECAY_FROM * options.tokens:
            columns = partial(sampled_columns, order, n_columns=options.columns, generator=generator)
        return loss_of(model, hidden, chosen, batch, chunk, options.compile, at, columns), batch.numel()

    @torch.no_grad()
    def heldout_loss(model):
        total = 0.0
        with autocast(options.device):
            for part in zip(check_hidden.split(32), check_chosen.split(32), check.split(32), strict=True):
                hidden, chosen, batch = (t.to(options.device) for t in part)
                loss = loss_of(model, hidden, chosen, batch, chunk, options.compile)
                total += float(loss) * int(part[1].sum())
        return total / int(check_chosen.sum())

    def train(model, size, until=math.inf):
        if options.device == "cpu":
            use_plain_attention(model)
        if options.compile:
            model.bert.compile()
        return train_shaped(
            options,
            folder,
            model,
            optimizers_for(model, size),
            partial(batch_loss, model),
            partial(heldout_loss, model),
            decay_from=DECAY_FROM,
            after_step=lambda: cap_norms(model.bert.embeddings.word_embeddings.weight, NORM_CAP),
            until=until,
        )

    def fresh(layers):
        shape = configuration(len(tokenizer), layers, options.width, options.heads)
        return build(shape, options.seed, counts).to(options.device)

    grows = options.layers > SMALL
    if grows and options.continue_from is None and layers_saved(folder) in (None, SMALL):
        small = fresh(SMALL)
        progress = train(small, "small", until=min(GROW_AT, options.tokens / 4))
        model = grow(small, options.layers, options.seed).to(options.device)
        save_state(folder, model, optimizers_for(model), progress | {"started": progress["tokens"]})
    train(fresh(options.layers), "grown" if grows else "small")


if __name__ == "__main__":
    main()
