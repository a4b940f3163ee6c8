"""Hooks that read what a model computes, at the places that `sites` names.

A forward pass made inside `recording` leaves the states of all layers and the outputs asked for behind; when the block ends, however
it ends, no hook is left on the model. `running` runs texts and token ids through it; a model that reads neither (the regressor) is
called by whoever studies it, inside the same block.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor
from transformers import PreTrainedModel

from analysis_lib.activations.sites import Sites, sites_of

OUTPUTS = ("patterns", "attention", "mlp", "mlp_hidden")


class _Complete(Exception):
    """All that was asked for is recorded; raised by the last hook, caught by `recording`."""


@contextmanager
def recording(model: PreTrainedModel, outputs: Sequence[str] = (), states: bool = True) -> Iterator[dict[tuple[str, int], Tensor]]:
    """Record what a model computes in the passes made inside the block.

    Parameters
    ----------
    model : PreTrainedModel
    outputs : sequence of str
        Any of "patterns", "attention", "mlp", "mlp_hidden".
    states : bool
        Record the states of all layers. Without them the block ends, like its one pass, when the last output asked for is recorded: what
        the model would compute after that is not computed.

    Yields
    ------
    dict of (name, index) to Tensor
        Of the last pass, as the modules gave them (with gradients, unless the caller says no_grad): ("states", 0) is what the first
        block reads, ("states", i) what block i gives, ("states", L + 1) what a final layer norm makes of the last; the others
        ("patterns", layer) [batch, head, query, key] and ("attention", layer) [batch, position, d_model] count layers from 0.

    Raises
    ------
    ValueError
        Unknown output or architecture, an output that the architecture does not have, patterns of a model whose attention
        implementation returns none (when the block ends), neither states nor outputs.
    """
    places = sites_of(model)
    outputs = checked_outputs(outputs)
    if not (states or outputs):
        raise ValueError("outputs: expected one or more where states=False, found none")
    missing = next((name for name in outputs if name.startswith("mlp") and not getattr(places, name)), None)
    if missing:
        raise ValueError(f"outputs holds {missing!r}; found an attention-only model ({model.config.model_type}), which has none")
    record: dict = {}
    handles: list = []
    try:
        _attach(places, outputs, states, record, handles)
        with suppress(_Complete):
            yield record
    finally:
        for handle in handles:
            handle.remove()
    if any(value is None for value in record.values()):
        raise ValueError(
            f"the model's attention ({model.config._attn_implementation!r}) returns no patterns; "
            'expected a model loaded with attn_implementation="eager"'
        )


def stacked(record: dict[tuple[str, int], Tensor]) -> dict[str, Tensor]:
    """A record's tensors by name, each [layer, ...] in float32."""
    names = dict.fromkeys(name for name, _ in record)
    return {name: torch.stack([record[key].float() for key in sorted(k for k in record if k[0] == name)]) for name in names}


def checked_outputs(outputs: Sequence[str]) -> tuple[str, ...]:
    """The names as a tuple; raises ValueError for one that is not among `OUTPUTS`."""
    outputs = (outputs,) if isinstance(outputs, str) else tuple(outputs)
    unknown = [name for name in outputs if name not in OUTPUTS]
    if unknown:
        raise ValueError(f"outputs holds {unknown[0]!r}; expected any of {', '.join(OUTPUTS)}")
    return outputs


def _attach(places: Sites, outputs: tuple[str, ...], states: bool, record: dict, handles: list) -> None:
    """Put the hooks on; each handle is in the list as soon as its hook is on the model."""
    enough = None if states else len(set(outputs)) * places.n_layers

    def keep(name, layer, part=None):
        def hook(module, args, output):
            if part is None:
                output = output[0] if isinstance(output, tuple) else output
            else:
                output = output[part] if isinstance(output, tuple) and len(output) > part else None
            record[name, layer] = output
            if len(record) == enough:
                raise _Complete

        return hook

    def keep_input(module, args, kwargs):
        record["states", 0] = args[0] if args else kwargs["hidden_states"]

    if states:
        handles.append(places.blocks[0].register_forward_pre_hook(keep_input, with_kwargs=True))
    for layer, block in enumerate(places.blocks):
        if states:
            handles.append(block.register_forward_hook(keep("states", layer + 1)))
        if "patterns" in outputs:
            handles.append(places.attention_weights[layer].register_forward_hook(keep("patterns", layer, part=1)))
        for name in ("attention", "mlp", "mlp_hidden"):
            if name in outputs:
                handles.append(getattr(places, name)[layer].register_forward_hook(keep(name, layer)))
    if states and places.final_norm is not None:
        handles.append(places.final_norm.register_forward_hook(keep("states", places.n_layers + 1)))
