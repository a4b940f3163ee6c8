r"""A transformer of attention alone, small enough to be taken apart completely.

Each block adds what its heads read to the residual stream; there is no layer norm, no feed-forward layer and no
bias. With $x$ the residual stream [token, d_model] and $p$ the learned positions,

$$A = \mathrm{softmax}\Bigl(\frac{((x + p) W_Q)\,((x + p) W_K)^\top}{\sqrt{d_{head}}} + \mathrm{causal\ mask}\Bigr), \qquad
x \leftarrow x + \sum_{head} A\,(x W_V)\, W_O .$$

Positions are added to what queries and keys read and never enter the residual stream, so values carry tokens
alone (the "shortformer"). Between its attention patterns such a model is linear: its logits are a sum over paths
from the embedding to the unembedding.

Sources: Elhage et al. 2021, *A Mathematical Framework for Transformer Circuits*; Press, Smith and Lewis 2021,
*Shortformer* (arXiv 2012.15832). Notebook 002 of the project studies a model of this kind.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class MiniGPTConfig(PretrainedConfig):
    """Sizes of a MiniGPT.

    Parameters
    ----------
    vocab_size, n_positions, d_model, n_heads, n_layers : int
        `n_heads` divides `d_model`.
    tie_word_embeddings : bool
        Whether the unembedding is the transposed embedding.
    embedding_std, position_std : float
        Standard deviations of fresh embeddings. Those of all other matrices are `1 / sqrt(d_model)`.
    """

    model_type = "minigpt"
    attribute_map = {
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "max_position_embeddings": "n_positions",
    }

    def __init__(
        self,
        vocab_size: int = 32,
        n_positions: int = 64,
        d_model: int = 128,
        n_heads: int = 8,
        n_layers: int = 2,
        tie_word_embeddings: bool = False,
        embedding_std: float = 1.0,
        position_std: float = 1.0,
        **options: Any,
    ) -> None:
        if d_model % n_heads:
            raise ValueError(f"n_heads: expected a divisor of d_model {d_model}, found {n_heads}")
        self.vocab_size = vocab_size
        self.n_positions = n_positions
        self.d_model = d_model
        self.n_heads = n_heads
        self.n_layers = n_layers
        self.embedding_std = embedding_std
        self.position_std = position_std
        super().__init__(tie_word_embeddings=tie_word_embeddings, **options)


class ShortformerAttention(nn.Module):
    """Causal self-attention whose queries and keys read positions and whose values do not."""

    def __init__(self, config: MiniGPTConfig) -> None:
        super().__init__()
        self.n_heads = config.n_heads
        self.scaling = (config.d_model // config.n_heads) ** -0.5
        for name in ("query", "key", "value", "output"):
            setattr(self, name, nn.Linear(config.d_model, config.d_model, bias=False))

    def forward(self, hidden: Tensor, positions: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """What attention adds to the residual stream, and its patterns.

        Parameters
        ----------
        hidden : Tensor [batch, token, d_model]
        positions : Tensor [token, d_model]
        allowed : Tensor of bool [batch or 1, 1, query, key]

        Returns
        -------
        Tensor [batch, token, d_model], Tensor [batch, head, query, key]
        """
        placed = hidden + positions
        q, k, v = self.heads(self.query(placed)), self.heads(self.key(placed)), self.heads(self.value(hidden))
        scores = q @ k.transpose(-1, -2) * self.scaling  # (batch, head, query, key)
        pattern = scores.masked_fill(~allowed, float("-inf")).softmax(dim=-1)
        return self.output((pattern @ v).transpose(1, 2).flatten(2)), pattern

    def heads(self, joined: Tensor) -> Tensor:
        """[batch, token, d_model] to [batch, head, token, d_head]."""
        return joined.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)


class MiniGPTBlock(nn.Module):
    """The residual stream with attention added."""

    def __init__(self, config: MiniGPTConfig) -> None:
        super().__init__()
        self.attn = ShortformerAttention(config)

    def forward(self, hidden: Tensor, positions: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        """The states after the block, and its attention patterns."""
        added, pattern = self.attn(hidden, positions, allowed)
        return hidden + added, pattern


class MiniGPT(PreTrainedModel):
    """Attention-only language model with `embed`, `positions`, `blocks[i].attn` and `unembed`."""

    config_class = MiniGPTConfig
    base_model_prefix = ""  # the model has no separate body
    _tied_weights_keys = {"unembed.weight": "embed.weight"}

    def __init__(self, config: MiniGPTConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = nn.Embedding(config.n_positions, config.d_model)
        self.blocks = nn.ModuleList(MiniGPTBlock(config) for _ in range(config.n_layers))
        self.unembed = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if module is self.embed:
            nn.init.normal_(module.weight, std=self.config.embedding_std)
        elif module is self.positions:
            nn.init.normal_(module.weight, std=self.config.position_std)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=self.config.d_model**-0.5)

    def get_input_embeddings(self) -> nn.Embedding:
        """The token embedding."""
        return self.embed

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the token embedding."""
        self.embed = value

    def get_output_embeddings(self) -> nn.Linear:
        """The layer that gives logits."""
        return self.unembed

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the layer that gives logits."""
        self.unembed = value

    def residual_stream(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """Residual stream before, between and after the blocks [layer + 1], and patterns [layer]."""
        if input_ids.ndim != 2 or not 0 < input_ids.shape[1] <= self.config.n_positions:
            raise ValueError(f"input_ids: expected [batch, 1 to {self.config.n_positions} tokens], found {tuple(input_ids.shape)}")
        length = input_ids.shape[1]
        positions = self.positions.weight[:length]
        allowed = torch.ones(length, length, dtype=torch.bool, device=input_ids.device).tril()[None, None]
        if attention_mask is not None:  # a padded query may see itself: a row without any key has no softmax
            own = torch.eye(length, dtype=torch.bool, device=input_ids.device)
            allowed = allowed & (attention_mask.bool()[:, None, None] | own)
        states, patterns = [self.embed(input_ids)], []
        for block in self.blocks:
            state, pattern = block(states[-1], positions, allowed)
            states.append(state)
            patterns.append(pattern)
        return states, patterns

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **ignored: Any,
    ) -> CausalLMOutput:
        """Logits of the next token.

        Parameters
        ----------
        input_ids : Tensor [batch, token]
        attention_mask : Tensor [batch, token], optional
            1 where there is a token, 0 for padding, on the right.
        labels : Tensor [batch, token], optional
            Usually `input_ids` itself: `loss` is then the mean cross entropy of each next label, in nats; -100
            is left out.
        output_attentions, output_hidden_states : bool, optional
            Return `attentions`, per layer [batch, head, query, key], and `hidden_states`, layers + 1 times
            [batch, token, d_model].

        Returns
        -------
        CausalLMOutput
            `logits` [batch, token, vocab] and the requested outputs.
        """
        states, patterns = self.residual_stream(input_ids, attention_mask)
        logits = self.unembed(states[-1])
        loss = None if labels is None else cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=tuple(states) if output_hidden_states else None,
            attentions=tuple(patterns) if output_attentions else None,
        )
