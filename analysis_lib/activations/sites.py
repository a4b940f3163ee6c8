"""Where each architecture computes what is read and changed.

Only this module and `weights.extraction` know how GPT-2, BERT and the two architectures of this book are built. A function of
this module takes a model and gives its `Sites`; `models.register` adds further ones.
"""

from dataclasses import dataclass, field, fields

from torch import nn

from analysis_lib.models.architectures import architecture_of


@dataclass(frozen=True)
class Site:
    """One value in a model: what goes into a module, or what comes out of it, or a part of either.

    Attributes
    ----------
    module : Module
    side : {"input", "output"}
        An input is the module's first positional argument, or its keyword argument `hidden_states`.
    item : int
        Which element of an output that is a tuple.
    columns : slice, optional
        Which part of the last axis, where several values lie side by side.
    n_heads : int, optional
        The last axis is split into this many heads: [batch, token, head, d_head].
    """

    module: nn.Module
    side: str = "output"
    item: int = 0
    columns: slice | None = None
    n_heads: int | None = None


@dataclass(frozen=True)
class Sites:
    """The sites of a model, by what is computed there; each a list over layers.

    An empty list says that the architecture has no such value.

    Attributes
    ----------
    states : list of Site
        The residual stream: what the first block reads, what each block gives, and, if there is a final norm, what comes out of that.
        Blocks hold their own residual connection, so that nothing passes them by.
    read : list of Site
        What attention reads: the residual stream, through the layer norm if the layer has one before attention.
    queries, keys, values : list of Site
        [batch, token, head, d_head].
    patterns : list of Site
        [batch, head, query, key]. They can be read; to change what they do, see `interventions.frozen_patterns`.
    heads : list of Site
        Results of the heads before the output matrix, their patterns times their values: [batch, token, head, d_head].
    attention, mlp : list of Site
        What the modules add to the residual stream.
    middle : list of Site
        The residual stream between attention and the feed-forward layer.
    mlp_pre, mlp_hidden : list of Site
        Neurons before and after the nonlinearity.
    final_norm : bool
        Whether the last of `states` is what a final norm makes of the last block's output.
    plain_blocks : bool
        Whether a block gives its state and nothing else, so that a pass can leave blocks out (`interventions.resumed`).
    """

    states: list[Site]
    patterns: list[Site]
    read: list[Site] = field(default_factory=list)
    queries: list[Site] = field(default_factory=list)
    keys: list[Site] = field(default_factory=list)
    values: list[Site] = field(default_factory=list)
    heads: list[Site] = field(default_factory=list)
    attention: list[Site] = field(default_factory=list)
    middle: list[Site] = field(default_factory=list)
    mlp_pre: list[Site] = field(default_factory=list)
    mlp_hidden: list[Site] = field(default_factory=list)
    mlp: list[Site] = field(default_factory=list)
    final_norm: bool = False
    plain_blocks: bool = False

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return len(self.patterns)

    @property
    def layers(self) -> list[str]:
        """Labels of `states`: "embed", "1" ... "L", and "L+ln_f" where there is a final norm."""
        final = [f"{self.n_layers}+ln_f"] if self.final_norm else []
        return ["embed", *(str(i + 1) for i in range(self.n_layers)), *final]

    def of(self, name: str) -> list[Site]:
        """The sites of one name, over layers.

        Raises
        ------
        ValueError
            A name that is not known, or that this architecture does not have; the message lists those that it has.
        """
        names = [entry.name for entry in fields(self) if entry.name not in ("final_norm", "plain_blocks")]
        if name not in names:
            raise ValueError(f"unknown site {name!r}; expected any of {', '.join(names)}")
        if not getattr(self, name):
            raise ValueError(f"this architecture has no {name!r}; found {', '.join(n for n in names if getattr(self, n))}")
        return getattr(self, name)

    def at(self, name: str, layer: int) -> Site:
        """One site.

        Raises
        ------
        ValueError
            As `of`; a layer that is not there.
        """
        sites = self.of(name)
        if not 0 <= layer < len(sites):
            raise ValueError(f"layer: expected 0 to {len(sites) - 1} for {name!r}, found {layer}")
        return sites[layer]


def into(module: nn.Module, n_heads: int | None = None) -> Site:
    """The site of what a module reads."""
    return Site(module, "input", n_heads=n_heads)


def out_of(module: nn.Module, item: int = 0, columns: slice | None = None, n_heads: int | None = None) -> Site:
    """The site of what a module gives."""
    return Site(module, "output", item, columns, n_heads)


def gpt2(model: nn.Module) -> Sites:
    """GPT-2, and whatever has one for its base model: queries, keys and values lie side by side in `c_attn`."""
    body, n_heads, width = model.base_model, model.config.num_attention_heads, model.config.hidden_size
    blocks = body.h

    def third(part: int) -> list[Site]:
        columns = slice(part * width, (part + 1) * width)
        return [out_of(block.attn.c_attn, columns=columns, n_heads=n_heads) for block in blocks]

    return Sites(
        states=[into(blocks[0]), *(out_of(block) for block in blocks), out_of(body.ln_f)],
        read=[into(block.attn) for block in blocks],
        queries=third(0),
        keys=third(1),
        values=third(2),
        patterns=[out_of(block.attn, item=1) for block in blocks],
        heads=[into(block.attn.c_proj, n_heads) for block in blocks],
        attention=[out_of(block.attn) for block in blocks],
        middle=[into(block.ln_2) for block in blocks],
        mlp_pre=[out_of(block.mlp.c_fc) for block in blocks],
        mlp_hidden=[out_of(block.mlp.act) for block in blocks],
        mlp=[out_of(block.mlp) for block in blocks],
        final_norm=True,
        plain_blocks=True,
    )


def bert(model: nn.Module) -> Sites:
    """BERT: `attention` and `mlp` are taken before the layer norm that follows each, `middle` is what the first of these gives."""
    blocks, n_heads = model.base_model.encoder.layer, model.config.num_attention_heads
    attention = [block.attention.self for block in blocks]
    return Sites(
        states=[into(blocks[0]), *(out_of(block) for block in blocks)],
        read=[into(module) for module in attention],
        queries=[out_of(module.query, n_heads=n_heads) for module in attention],
        keys=[out_of(module.key, n_heads=n_heads) for module in attention],
        values=[out_of(module.value, n_heads=n_heads) for module in attention],
        patterns=[out_of(module, item=1) for module in attention],
        heads=[into(block.attention.output.dense, n_heads) for block in blocks],
        attention=[out_of(block.attention.output.dense) for block in blocks],
        middle=[into(block.intermediate.dense) for block in blocks],
        mlp_pre=[out_of(block.intermediate.dense) for block in blocks],
        mlp_hidden=[out_of(block.intermediate) for block in blocks],
        mlp=[out_of(block.output.dense) for block in blocks],
        plain_blocks=True,
    )


def minigpt(model: nn.Module) -> Sites:
    """MiniGPT: attention alone, and neither a feed-forward layer nor a final norm."""
    blocks, n_heads = model.blocks, model.config.num_attention_heads
    attention = [block.attn for block in blocks]
    return Sites(
        states=[into(blocks[0]), *(out_of(block) for block in blocks)],
        read=[into(module) for module in attention],
        queries=[out_of(module.query, n_heads=n_heads) for module in attention],
        keys=[out_of(module.key, n_heads=n_heads) for module in attention],
        values=[out_of(module.value, n_heads=n_heads) for module in attention],
        patterns=[out_of(module, item=1) for module in attention],
        heads=[into(module.output, n_heads) for module in attention],
        attention=[out_of(module) for module in attention],
    )


def sites_of(model: nn.Module) -> Sites:
    """The sites of a model.

    Parameters
    ----------
    model : PreTrainedModel, or any module whose `config` has a `model_type`

    Returns
    -------
    Sites

    Raises
    ------
    ValueError
        An architecture that is not registered; the message lists those that are.
    """
    return architecture_of(model).resolve("sites")(model)
