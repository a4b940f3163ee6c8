"""Does a token's attention update change the updates of its neighbours? Replace it and measure.

Within a layer it cannot: all tokens are computed at once. So the update of one token in one layer is replaced by the mean update of
that layer, or made larger, and the norms of the attention updates around it are measured in later layers. Greater distances are the
control: if order mattered in the way a regression on the token before suggests, the next token would be moved more than those further
on.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch

from analysis_lib import activations
from analysis_lib.activations.interventions import edited, put, resumed
from analysis_lib.models import LoadedModel, is_causal
from analysis_lib.statistics import interval_table, t_interval
from analysis_lib.sweeps.progress import shown


def replace_updates(
    loaded: LoadedModel,
    texts: Sequence[str],
    n_places: int = 2,
    reach: int = 12,
    first: int = 8,
    scale: float | None = None,
    seed: int = 0,
    layers: Sequence[int] | None = None,
    later: int | None = None,
) -> pd.DataFrame:
    """Replace one token's attention update by the layer's mean or by a multiple of itself; measure the norms around it in later layers.

    Parameters
    ----------
    loaded : LoadedModel
        GPT-2 or BERT, of two layers or more.
    texts : sequence of str
        None longer than the context; each with a token that has `reach` others after it (and before it, where tokens see what follows).
    n_places : int
        Tokens replaced in each text, one at a time, drawn at random.
    reach : int
        Distances from 1 (the next token) to `reach`; where tokens see what follows, also from -1 to -`reach`.
    first : int
        First position, from 0, that may be replaced or counts in the mean update.
    scale : float, optional
        Multiply the update by this, above 0 and not 1, so that its size changes and its direction does not. Without it, the mean takes
        the update's place.
    seed : int
    layers : sequence of int, optional
        Layers whose updates are replaced, each in passes of its own; all but the last by default.
    later : int, optional
        Measure so many layers after the replaced one, at least 1, and compute none beyond them; all by default.

    Returns
    -------
    DataFrame
        A row for each replaced layer, place, later layer and distance: `layer measured text place distance`, `replaced` (log norm of the
        new update minus that of the old), `change` (log norm of the update at that distance with the replacement, minus without).

    Raises
    ------
    ValueError
        One layer only, counts below 1, a layer that is not there or has none after it, texts too short (the first is named); and as
        `activations.run`.
    """
    n_layers = activations.sites_of(loaded.model).n_layers
    layers = _checked(n_places, reach, scale, layers, later, n_layers)
    both = not is_causal(loaded.model)
    by_text = activations.tokens_of(loaded, texts).groupby("text", sort=False)["special"]
    allowed = {text: _allowed(own.to_numpy(), first, reach, both, text) for text, own in by_text}
    stops = {layer: n_layers if later is None else min(n_layers, layer + 1 + later) for layer in layers}
    batch = _Batch(loaded, texts, stops, first)
    distances = np.r_[-reach:0, 1 : reach + 1] if both else np.arange(1, reach + 1)

    def changes(places: list[int], layer: int) -> pd.DataFrame:
        """Of one place in each text, after a replacement in one layer."""
        at = batch.starts + places
        around = (at[:, None] + distances).ravel()
        text, place = (np.repeat(values, len(distances)) for values in (batch.texts, places))
        update = batch.updates[layer][at]
        new = np.broadcast_to(batch.means[layer], update.shape) if scale is None else update * np.float32(scale)
        after = batch.log_norms_with(layer, places, new, stops[layer])
        replaced = np.repeat(np.log(np.linalg.norm(new, axis=-1)) - batch.before[layer][at], len(distances))
        shared = {"text": text, "place": place, "distance": np.tile(distances, len(places)), "replaced": replaced}
        moved = {measured: norms[around] - batch.before[measured][around] for measured, norms in after.items()}
        return pd.concat([pd.DataFrame({"layer": layer, "measured": m, **shared, "change": change}) for m, change in moved.items()])

    rng = np.random.default_rng(seed)
    drawn = [[int(rng.integers(allowed[text].start, allowed[text].stop)) for text in batch.texts] for _ in range(n_places)]
    tables = (changes(places, layer) for places in drawn for layer in layers)
    return pd.concat(shown(tables, n_places * len(layers), f"{loaded.name}, updates replaced"), ignore_index=True)


def size_by_distance(effects: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Mean size of the change in the next layer at each distance, with an interval over texts.

    Parameters
    ----------
    effects : DataFrame
        Of `replace_updates`.
    level : float
        Of the t intervals.

    Returns
    -------
    DataFrame
        `layer distance estimate low high`: mean absolute change of log norm.
    """
    sizes = _next_layer(effects).groupby(["layer", "distance", "text"])["size"].mean()
    return _over_texts(sizes, level)


def next_and_further(effects: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Whether the next token is moved more than those after it, in the next layer.

    Parameters
    ----------
    effects : DataFrame
        Of `replace_updates`, with a `reach` of 2 or more.
    level : float
        Of the t intervals over texts; 1 - 0.05 / n where n of them should hold simultaneously.

    Returns
    -------
    DataFrame
        `layer next further estimate low high`: means of the absolute change of log norm at distance 1 and at greater ones, and the
        difference of the two with its interval.

    Raises
    ------
    ValueError
        No distances of 2 and more.
    """
    if effects["distance"].max() < 2:
        raise ValueError(f"effects: expected distances of 2 and more, got none above {effects['distance'].max()}")
    after = _next_layer(effects).query("distance > 0")
    kind = np.where(after["distance"] == 1, "next", "further")
    sizes = after.groupby(["layer", "text", kind])["size"].mean().unstack()
    means = sizes.groupby("layer")[["next", "further"]].mean().reset_index()
    return means.merge(_over_texts(sizes["next"] - sizes["further"], level), on="layer")


def elasticity(effects: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Change of the next token's log norm in the next layer for each unit of log norm by which the update was scaled.

    If sizes acted on sizes as a regression on the token before suggests, this would be its coefficient.

    Parameters
    ----------
    effects : DataFrame
        Of `replace_updates` with a `scale`.
    level : float
        As in `next_and_further`.

    Returns
    -------
    DataFrame
        `layer estimate low high`: the mean over texts, log norm a log norm; `layer` is the one whose update was scaled.

    Raises
    ------
    ValueError
        Updates that were not scaled, or not all by the same factor.
    """
    if effects["replaced"].abs().min() < 1e-3 or np.ptp(effects["replaced"]) > 1e-3:
        raise ValueError("effects: expected updates that were all scaled by one factor, got norms that did not change, or not alike")
    after = _next_layer(effects).query("distance == 1")
    ratios = (after["change"] / after["replaced"]).groupby([after["layer"], after["text"]]).mean()
    return _over_texts(ratios, level)


def spread_layers(n_layers: int, most: int) -> list[int]:
    """At most so many layers, evenly spread over those that have another after them."""
    return np.unique(np.linspace(0, n_layers - 2, min(most, n_layers - 1)).round().astype(int)).tolist()


def _over_texts(values: pd.Series, level: float) -> pd.DataFrame:
    """Means over the last level of the index, the texts, with their intervals; a row for each combination of the other levels.

    They are t intervals: the percentiles of a bootstrap over a few dozen texts are too narrow at levels far above 95%.
    """
    names = list(values.index.names[:-1])
    return interval_table(dict(iter(values.groupby(level=names))), names, partial(t_interval, level=level))


def _next_layer(effects: pd.DataFrame) -> pd.DataFrame:
    return effects[effects["measured"] == effects["layer"] + 1].assign(size=lambda table: table["change"].abs())


def _checked(
    n_places: int, reach: int, scale: float | None, layers: Sequence[int] | None, later: int | None, n_layers: int
) -> Sequence[int]:
    """The layers to replace in, once all arguments of `replace_updates` are found to make sense."""
    if n_places < 1 or reach < 1:
        raise ValueError(f"n_places, reach: expected at least 1, got {n_places} and {reach}")
    if scale is not None and (not 0 < scale < np.inf or scale == 1):
        raise ValueError(f"scale: expected a positive number other than 1, or None for the mean, got {scale}")
    if later is not None and later < 1:
        raise ValueError(f"later: expected 1 or more, got {later}")
    if n_layers < 2:
        raise ValueError("loaded: expected two layers or more, since an update acts on later layers only; got 1")
    layers = range(n_layers - 1) if layers is None else layers
    if not len(layers) or not set(layers) <= set(range(n_layers - 1)):
        raise ValueError(f"layers: expected some of 0 to {n_layers - 2}, after which another comes, got {list(layers)}")
    return layers


class _Batch:
    """Texts as one padded batch, the shortest first, with what its tokens have before an update is replaced.

    Parameters
    ----------
    loaded : LoadedModel
    texts : sequence of str
    stops : mapping of int to int
        Layers whose updates are going to be replaced, and for each the first layer that is not measured after it.
    first : int
        First position, from 0, that counts in the mean update.

    Attributes
    ----------
    texts, starts : ndarray [sequence]
        Index of each sequence's text, and the place of its first token among all tokens of the batch.
    before : dict of arrays [token]
        Log norms of the updates of the layers that are replaced or measured.
    updates, means : dict of float32 arrays [token, d_model] and [d_model]
        The updates of the layers that are replaced, and their means.
    """

    def __init__(self, loaded: LoadedModel, texts: Sequence[str], stops: Mapping[int, int], first: int) -> None:
        tokens = activations.tokens_of(loaded, texts)
        rows = [np.asarray(own) for own in tokens.groupby("text", sort=False).indices.values()]
        rows.sort(key=len)
        lengths = [len(own) for own in rows]
        tokens, self.starts = tokens.iloc[np.concatenate(rows)], np.cumsum([0, *lengths[:-1]])
        self.texts = tokens["text"].to_numpy()[self.starts]
        counted = (~tokens["special"] & (tokens["position"] >= first)).to_numpy()
        self.model = loaded.model
        ids = torch.zeros((len(rows), max(lengths)), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(np.split(tokens["token_id"].to_numpy(), self.starts[1:])):
            ids[row, : len(sequence)], mask[row, : len(sequence)] = torch.tensor(sequence), 1
        self.inputs = {"input_ids": ids.to(self.model.device), "attention_mask": mask.to(self.model.device)}
        asked = sorted({number for layer, stop in stops.items() for number in range(layer, stop)})
        states, updates = (
            activations.recording(self.model, layers=list(stops)),
            activations.recording(self.model, ["attention"], states=False, layers=asked),
        )
        with torch.no_grad(), states as before, updates as record:  # one pass, which ends where nothing more is asked for
            self.model.base_model(**self.inputs)
        self.states = {layer: before["states", layer] for layer in stops}
        every = {layer: self._of_tokens(record.pop(("attention", layer))) for layer in asked}
        self.before = {layer: np.log(np.linalg.norm(values, axis=-1)) for layer, values in every.items()}
        self.updates = {layer: every[layer] for layer in stops}
        self.means = {layer: every[layer][counted].mean(axis=0) for layer in stops}

    def _of_tokens(self, value: torch.Tensor) -> np.ndarray:
        """Vectors of the real tokens, sequence by sequence, [token, d_model]."""
        return value[self.inputs["attention_mask"].bool()].cpu().numpy()

    def log_norms_with(self, layer: int, places: list[int], new: np.ndarray, stop: int) -> dict[int, np.ndarray]:
        """Log norms of later layers' updates, [token] in the order of the batch, with new ones in a layer at a place of each sequence."""
        change = {("attention", layer): put(torch.tensor(new), tokens=places)}
        measuring = activations.recording(self.model, ["attention"], states=False, layers=range(layer + 1, stop))
        with torch.no_grad(), resumed(self.model, layer, self.states[layer]), edited(self.model, change), measuring as record:
            self.model.base_model(**self.inputs)
        return {measured: np.log(np.linalg.norm(self._of_tokens(value), axis=-1)) for (_, measured), value in record.items()}


def _allowed(special: np.ndarray, first: int, reach: int, both: bool, text: int) -> range:
    """The places of a text that have the neighbours asked for, none of them special."""
    # Where tokens see what follows, a special token may stand at the beginning: no neighbour on the left is to be it.
    first = max(first, reach + int(special[0]) if both else 0)
    stop = len(special) - reach - int(special[-1])
    if stop <= first:
        raise ValueError(f"texts[{text}] has {len(special)} tokens; expected more than {len(special) - stop + first}")
    return range(first, stop)
