"""The one module that puts hooks on a model, and the recording that is made with them.

`attached` calls a function at each of some sites; `recording` keeps what it finds there, and `interventions` put something else in its
place. When the block ends, however it ends, no hook is left on the model. Blocks can be nested: at one site the outer block's function
comes first, so that a recording made inside an intervention sees what the intervention left there, and an intervention inside another
works on what that one left.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from analysis_lib.activations.sites import Site, Sites, sites_of

OUTPUTS = ("patterns", "attention", "mlp", "mlp_pre", "mlp_hidden")  # what `running` lays out by token


class _Complete(Exception):
    """All that was asked for is recorded; raised by the last hook, caught by `recording`."""


@contextmanager
def attached(functions: Iterable[tuple[Site, Callable[[Tensor | None], Tensor | None]]]) -> Iterator[None]:
    """Call functions on what a model computes in the passes made inside the block.

    Parameters
    ----------
    functions : iterable of (Site, callable)
        Each is called with its site's value (None where the module gives none) in every pass; what it returns, unless that is None,
        takes the value's place. It must not write into what it is given.
    """
    handles: list[RemovableHandle] = []
    try:
        for site, function in functions:
            handles.append(_register(site, function))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recording(
    model: nn.Module, outputs: Sequence[str] = (), states: bool = True, layers: Sequence[int] | None = None
) -> Iterator[dict[tuple[str, int], Tensor]]:
    """Record what a model computes in the passes made inside the block.

    Parameters
    ----------
    model : PreTrainedModel, or any module of a registered architecture
    outputs : sequence of str
        Names of `Sites`: "patterns", "attention", "mlp", "mlp_pre", "mlp_hidden", "heads", "values" and others.
    states : bool
        Record the states of all layers. Without them the block ends, like its one pass, when the last output asked for is recorded: what
        the model would compute after that is not computed.
    layers : sequence of int, optional
        Only these indices of each output, and of the states.

    Yields
    ------
    dict of (name, index) to Tensor
        Of the last pass, as the modules gave them (with gradients, unless the caller says no_grad): ("states", 0) is what the first
        block reads, ("states", i) what block i gives, ("states", L + 1) what a final norm makes of the last; the others,
        such as ("patterns", layer) [batch, head, query, key] and ("attention", layer) [batch, token, d_model], count layers from 0.

    Raises
    ------
    ValueError
        Unknown output or architecture, an output that the architecture does not have, patterns of a model whose attention
        implementation returns none (when the block ends), neither states nor outputs.
    """
    outputs = (outputs,) if isinstance(outputs, str) else tuple(dict.fromkeys(outputs))
    if not (states or outputs):
        raise ValueError("outputs: expected one or more where states=False, found none")
    places = sites_of(model)
    wanted = _wanted(model, places, ("states", *outputs) if states else outputs)
    wanted = wanted if layers is None else {key: site for key, site in wanted.items() if key[1] in layers}
    enough = None if states else len(wanted)
    record: dict = {}
    complete = _Complete()  # of this block: that of a block around it must pass through

    def keep(name: str, index: int) -> Callable[[Tensor | None], None]:
        def function(value: Tensor | None) -> None:
            record[name, index] = value
            if len(record) == enough:
                raise complete

        return function

    try:
        with attached((site, keep(name, index)) for (name, index), site in wanted.items()):
            yield record
    except _Complete as error:
        if error is not complete:
            raise
        complete.__traceback__ = None  # its frames hold the model and all that it was computing, and one of them holds `complete`
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


def _wanted(model: nn.Module, places: Sites, names: Sequence[str]) -> dict[tuple[str, int], Site]:
    """The sites to record, by name and index."""
    found: dict[tuple[str, int], Site] = {}
    for name in names:
        try:
            sites = places.of(name)
        except ValueError as error:
            raise ValueError(f"outputs holds {name!r}; {error} (model_type {model.config.model_type!r})") from None
        found |= {(name, index): site for index, site in enumerate(sites)}
    return found


def _register(site: Site, function: Callable[[Tensor | None], Tensor | None]) -> RemovableHandle:
    """Put one function on one site, for passes of the thread that asks for it: others may be running the same model."""
    owner = get_ident()

    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple | None:
        if get_ident() != owner:
            return None
        value = args[0] if args else kwargs["hidden_states"]
        new = _new_value(site, value, function)
        if new is None:
            return None
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    def after(module: nn.Module, args: tuple, output: Any) -> Any:
        if get_ident() != owner:
            return None
        parts = output if isinstance(output, tuple) else (output,)
        new = _new_value(site, parts[site.item] if site.item < len(parts) else None, function)
        if new is None:
            return None
        return (*parts[: site.item], new, *parts[site.item + 1 :]) if isinstance(output, tuple) else new

    if site.side == "input":
        return site.module.register_forward_pre_hook(before, with_kwargs=True)
    return site.module.register_forward_hook(after)


def _new_value(site: Site, whole: Tensor | None, function: Callable[[Tensor | None], Tensor | None]) -> Tensor | None:
    """What stands at a site after its function has seen it, or None if that changed nothing."""
    if whole is None:
        function(None)
        return None
    part = whole if site.columns is None else whole[..., site.columns]
    new = function(part if site.n_heads is None else part.unflatten(-1, (site.n_heads, -1)))
    if new is None:
        return None
    new = new if site.n_heads is None else new.flatten(-2)
    if site.columns is None:
        return new
    changed = whole.clone()
    changed[..., site.columns] = new
    return changed
