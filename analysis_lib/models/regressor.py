r"""A GPT-2 that reads points of real numbers instead of words, and predicts each answer from the points before it.

A prompt is $x_1, y_1, \dots, x_n, y_n$. Every point becomes two tokens, a question that knows $x_i$ and an answer
that knows $y_i$; a linear read-in takes them to the width of the backbone, and a linear read-out takes the
output of the backbone at question $i$ to the prediction of $y_i$. There are two layouts:

- `interleaved` (Garg et al. 2022): the question is $x_i$, the answer $(y_i, 0, \dots, 0)$, 2n tokens in a row.
- `stacked` (notebook 003 of the project): a point is one token $(x_i, y_i)$, and the last $y$ is hidden, $(x_n, 0)$.
  Such a prompt asks about its last point only. Here it asks about every point at once: question $i$, $(x_i, 0)$,
  has the position of answer $i$, $(x_i, y_i)$, and no other token attends to it. Prediction $i$ is
  therefore exactly what the notebook's prompt of the first $i$ points gives.

Sources: Garg, Tsipras, Liang and Valiant 2022, *What Can Transformers Learn In-Context?* (arXiv 2208.01066).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model, PreTrainedModel
from transformers.utils import ModelOutput

LAYOUTS = ("interleaved", "stacked")


class RegressorConfig(GPT2Config):
    """A GPT-2 configuration for prompts of points.

    Parameters
    ----------
    n_dims : int
        Numbers in one x.
    n_points : int
        Points in the longest prompt.
    layout : {"interleaved", "stacked"}
        How a point becomes tokens; see the module.
    n_embd, n_layer, n_head : int
        Of the backbone; whatever else GPT2Config takes may be given too. `n_positions` follows from the layout.

    Raises
    ------
    ValueError
        An unknown layout, a size below one, or a width that the heads do not divide.
    """

    model_type = "regressor"

    n_dims: int = 3
    n_points: int = 10
    layout: str = "interleaved"
    n_embd: int = 64
    n_layer: int = 3
    n_head: int = 2
    vocab_size: int = 1  # the backbone's token embedding, which no prompt reads, as small as it can be
    resid_pdrop: float | int = 0.0
    embd_pdrop: float | int = 0.0
    attn_pdrop: float | int = 0.0
    use_cache: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        for name in ("n_dims", "n_points", "n_embd", "n_layer", "n_head"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout: expected one of {', '.join(LAYOUTS)}, found {self.layout!r}")
        if self.n_embd % self.n_head:
            raise ValueError(f"n_head: expected a divisor of n_embd {self.n_embd}, found {self.n_head}")
        self.n_positions = self.n_points * (2 if self.layout == "interleaved" else 1)
        super().__post_init__(**kwargs)

    @property
    def token_width(self) -> int:
        """Numbers in one token: what the read-in reads."""
        return self.n_dims + (self.layout == "stacked")


@dataclass
class RegressorOutput(ModelOutput):
    """What a Regressor answers.

    Attributes
    ----------
    predictions : Tensor [batch, point]
        Of each y, made from the points before it and its own x.
    hidden_states : tuple of Tensor [batch, 2 * point, n_embd], or None
        As GPT2Model gives them: what the first block reads, then each block's output, the last one through ln_f.
    attentions : tuple of Tensor [batch, head, 2 * point, 2 * point], or None
        Per layer, query by key. Token 2i is question i, token 2i + 1 answer i, counted from 0, in both layouts.
    """

    predictions: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


class Regressor(PreTrainedModel):
    """Read-in, GPT-2 backbone, read-out.

    Parameters
    ----------
    config : RegressorConfig
    """

    config_class = RegressorConfig
    base_model_prefix = "backbone"
    main_input_name = "xs"
    _supports_sdpa = True
    _no_split_modules = ["GPT2Block"]

    def __init__(self, config: RegressorConfig) -> None:
        super().__init__(config)
        self.read_in = nn.Linear(config.token_width, config.n_embd)
        self.backbone = GPT2Model(config)
        self.read_out = nn.Linear(config.n_embd, 1)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Read-in and read-out begin as torch's linear layers do, as in Garg et al.; the backbone begins as GPT-2."""
        if isinstance(module, nn.Linear):
            module.reset_parameters()

    def forward(self, xs: Tensor, ys: Tensor, output_attentions: bool = False, output_hidden_states: bool = False) -> RegressorOutput:
        """Predict every y from the points before it.

        Parameters
        ----------
        xs : Tensor [batch, point, n_dims]
        ys : Tensor [batch, point]
            The last one is never read, and may be any number.
        output_attentions, output_hidden_states : bool
            Patterns need `attn_implementation="eager"`.

        Returns
        -------
        RegressorOutput

        Raises
        ------
        ValueError
            Shapes that do not fit each other or the configuration; more points than `n_points`.
        """
        self._check(xs, ys)
        found = self.backbone(
            inputs_embeds=self.read_in(self.tokens(xs, ys)),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            **self._visibility(xs),
        )
        predictions = self.read_out(found.last_hidden_state[:, ::2])[..., 0]
        return RegressorOutput(predictions, found.hidden_states, found.attentions)

    def tokens(self, xs: Tensor, ys: Tensor) -> Tensor:
        """What the read-in reads: question and answer of each point in turn.

        Parameters
        ----------
        xs : Tensor [batch, point, n_dims]
        ys : Tensor [batch, point]

        Returns
        -------
        Tensor [batch, 2 * point, token_width]
        """
        ys = ys[..., None].to(xs.dtype)
        if self.config.layout == "interleaved":
            questions, answers = xs, nn.functional.pad(ys, (0, self.config.n_dims - 1))
        else:
            questions, answers = torch.cat((xs, torch.zeros_like(ys)), dim=-1), torch.cat((xs, ys), dim=-1)
        return torch.stack((questions, answers), dim=2).flatten(1, 2)

    def read_answer(self, states: Tensor) -> Tensor:
        """The final norm and the read-out on states of any layer: on those of the last block, the model's predictions.

        Parameters
        ----------
        states : Tensor [..., n_embd]

        Returns
        -------
        Tensor [...]
        """
        return self.read_out(self.backbone.ln_f(states))[..., 0]

    def _visibility(self, xs: Tensor) -> dict[str, Tensor]:
        """Positions and attention mask of the stacked layout; the interleaved one has GPT-2's own."""
        if self.config.layout == "interleaved":
            return {}
        places = torch.arange(2 * xs.shape[1], device=xs.device)
        is_answer = places % 2 == 1
        visible = (places[:, None] > places) & is_answer | torch.eye(len(places), dtype=torch.bool, device=xs.device)  # [query, key]
        hidden = torch.zeros(visible.shape, dtype=xs.dtype, device=xs.device).masked_fill(~visible, torch.finfo(xs.dtype).min)
        return {"position_ids": places[None] // 2, "attention_mask": hidden.expand(len(xs), 1, -1, -1)}

    def _check(self, xs: Tensor, ys: Tensor) -> None:
        """Raise where a prompt does not fit the model."""
        n_dims, n_points = self.config.n_dims, self.config.n_points
        if xs.ndim != 3 or xs.shape[-1] != n_dims or not 1 <= xs.shape[1] <= n_points:
            raise ValueError(f"xs: expected [batch, 1 to {n_points} points, {n_dims}] for this model, found {tuple(xs.shape)}")
        if ys.shape != xs.shape[:2]:
            raise ValueError(f"ys: expected {tuple(xs.shape[:2])} as xs has points, found {tuple(ys.shape)}")
