"""Do neurons do what their lists say? Where they fire in a text, and what adding a value does to the next prediction.

A list says what a key or a value points at in vocabulary space. Two questions test it on text. *Firing*: at the places where a neuron
fires most, does the word have what the key's list has in common, more often than at the places of the layer's other neurons? *Steering*:
does adding the value to the residual stream raise the tokens of its list, by more than a random vector of the same length does?
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from analysis_lib.activations import edited, recording, run, tokens_of
from analysis_lib.activations.interventions import resumed
from analysis_lib.activations.text_windows import listed
from analysis_lib.models import LoadedModel
from analysis_lib.models.generation import token_logits
from analysis_lib.projections.shared_features import TokenKind, token_kinds
from analysis_lib.sweeps.progress import shown
from analysis_lib.vocabulary import Lexicon

HELD = 1 << 30
"""Bytes of activations held at once; the book's small models need about that for all its texts."""

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of one layer: places, the input of the neuron there, and its activation; each [place, d_mlp]."""


@dataclass(frozen=True, eq=False)
class Firing:
    """Where every neuron of a model fires most.

    Attributes
    ----------
    texts : tuple of str
    tokens : DataFrame [token]
        Of `activations.run`.
    places : int array [n_layers, d_mlp, n]
        Rows of `tokens`, at most one in a text, those first where the neuron's input is largest. Not its activation: GELU falls and
        rises again below zero, so by that a neuron that never fires would come first where it is farthest from firing.
    strength : float array [n_layers, d_mlp, n]
        The neuron's activation there, after the nonlinearity.
    """

    texts: tuple[str, ...]
    tokens: pd.DataFrame
    places: np.ndarray
    strength: np.ndarray

    @classmethod
    def of(cls, loaded: LoadedModel, texts: Sequence[str], n: int = 12, stride: int = 64) -> "Firing":
        """Run a model on texts and keep, for every neuron, the places where it fires most.

        Parameters
        ----------
        loaded : LoadedModel
        texts : sequence of str
            At least `n`. Only tokens of words count; the first position and special tokens do not.
        n : int
            Places of a neuron.
        stride : int
            For texts that are longer than the context, as in `activations.run`.

        Raises
        ------
        ValueError
            `n` below 1, or fewer than `n` texts with a word.
        """
        texts = listed(texts)
        if not 1 <= n <= len(texts):
            raise ValueError(f"n: expected 1 to {len(texts)}, the number of texts, found {n}")
        tables: list[pd.DataFrame] = []
        held: list[Found] = []
        n_texts = n_tokens = n_groups = 0
        for part in _parts(loaded, texts):
            ran = run(loaded, part, outputs=("mlp_pre", "mlp_hidden"), states=False, stride=stride)
            rows = _rows_of_texts(ran.tokens)
            if rows:
                layers = zip(ran.output("mlp_pre"), ran.output("mlp_hidden"), strict=True)
                found = [_strongest_in_each(inputs, hidden, rows, n_tokens) for inputs, hidden in layers]
                held = [_merged(n, *pair) for pair in zip(held, found, strict=True)] if held else [_merged(n, one) for one in found]
            tables.append(ran.tokens.assign(text=ran.tokens["text"] + n_texts))
            n_texts, n_tokens, n_groups = n_texts + len(part), n_tokens + len(ran.tokens), n_groups + len(rows)
        if n_groups < n:
            raise ValueError(f"texts: expected at least {n} with a word after their first, found {n_groups}")
        places, strength = (np.stack([layer[side].T for layer in held]) for side in (0, 2))
        return cls(tuple(texts), pd.concat(tables, ignore_index=True), places, strength)

    def forms(self, ahead: int = 0) -> np.ndarray:
        """The word at each place, or so many words after it in the same text: str [n_layers, d_mlp, n], empty where there is none."""
        words = self.tokens[self.tokens["word"] >= 0].drop_duplicates(["text", "word"]).set_index(["text", "word"])["word_form"]
        distinct, row = np.unique(self.places, return_inverse=True)
        at = self.tokens.iloc[distinct]
        found = words.reindex(pd.MultiIndex.from_arrays([at["text"], at["word"] + ahead])).fillna("").to_numpy(dtype=str)
        return found[row].reshape(self.places.shape)

    def contexts(self, layer: int, neuron: int, letters: int = 40) -> pd.DataFrame:
        """The places of one neuron with the text around them.

        Returns
        -------
        DataFrame
            `before word after strength`; at most so many letters on each side, cut between words.
        """
        rows = []
        for place, strength in zip(self.places[layer, neuron], self.strength[layer, neuron], strict=True):
            token = self.tokens.iloc[place]
            own = self.tokens[(self.tokens["text"] == token["text"]) & (self.tokens["word"] == token["word"])]
            text, start, end = self.texts[token["text"]], int(own["start"].min()), int(own["end"].max())
            rows.append((_shortened(text[:start], -letters), text[start:end], _shortened(text[end:], letters), float(strength)))
        return pd.DataFrame(rows, columns=["before", "word", "after", "strength"])


def passing_lists(judged: pd.DataFrame, numbers: np.ndarray, d_mlp: int, level: float = 0.05, instead: int = 0) -> pd.DataFrame:
    """The lists of keys and of values that pass, each with the feature that chance explains least.

    Parameters
    ----------
    judged : DataFrame
        Of `shared_features.alike_lists`, for the lists of all keys and then those of all values.
    numbers : int array [n]
        Which neurons the lists belong to, numbered through the model; the same for keys and values.
    d_mlp : int
    level : float
    instead : int
        Of a side of which no list passes, so many that come nearest.

    Returns
    -------
    DataFrame
        `side number layer neuron kind feature`, the least probable first. `side` is K or V, and `number` a place in `numbers`.
    """
    ordered = judged.sort_values("p", kind="stable").drop_duplicates("list")
    passes = chosen = ordered["p_holm"] < level
    for side in (ordered["list"] < len(numbers), ordered["list"] >= len(numbers)):
        if not (passes & side).any():
            chosen = chosen | (side & (side.cumsum() <= instead))
    best = ordered[chosen]
    is_value, number = np.divmod(best["list"].to_numpy(), len(numbers))
    layer, neuron = np.divmod(numbers[number], d_mlp)
    where = {"side": np.where(is_value, "V", "K"), "number": number, "layer": layer, "neuron": neuron}
    return best[["kind", "feature"]].assign(**where)[[*where, "kind", "feature"]].reset_index(drop=True)


def shares_of_places(firing: Firing, lists: pd.DataFrame, ahead: int = 0) -> np.ndarray:
    """At what share of its places every neuron of a list's layer has what the list has in common: float [len(lists), d_mlp].

    Parameters
    ----------
    firing : Firing
    lists : DataFrame
        `layer kind feature`, a row a list, such as "ending" and "-go".
    ahead : int
        0 asks the word at the place itself, 1 the word after it.
    """
    forms = firing.forms(ahead)
    distinct, row = np.unique(forms, return_inverse=True)
    lexicon = Lexicon.from_forms([*distinct, *distinct])  # each twice, since a kind has the features of two forms or more
    kinds = {kind.name: kind for kind in token_kinds(lexicon, np.ones(len(lexicon), bool))}
    row = row.reshape(forms.shape)
    asked = zip(*(lists[name] for name in ("layer", "kind", "feature")), strict=True)
    shares = [_having(kinds, kind, feature, len(lexicon))[row[layer]].mean(axis=1) for layer, kind, feature in asked]
    return np.array(shares).reshape(len(lists), forms.shape[1])


def matching_shares(shares: np.ndarray, lists: pd.DataFrame) -> pd.DataFrame:
    """How many of a neuron's places have what its list has in common.

    Parameters
    ----------
    shares : float array [n, d_mlp]
        Of `shares_of_places`.
    lists : DataFrame [n]
        With a column `neuron`.

    Returns
    -------
    DataFrame
        `own`, the share of the neuron's places where the word has the feature; `others`, the mean of that share over the layer's other
        neurons; `p`, the share of the layer's neurons, itself among them, that reach its share. Index of `lists`.
    """
    own = np.take_along_axis(shares, lists["neuron"].to_numpy()[:, None], axis=1)
    others = (shares.sum(axis=1) - own[:, 0]) / (shares.shape[1] - 1)
    return pd.DataFrame({"own": own[:, 0], "others": others, "p": (shares >= own).mean(axis=1)}, index=lists.index)


def exchanged(shares: np.ndarray, lists: pd.DataFrame, n_permutations: int = 1000, seed: int = 0) -> np.ndarray:
    """The mean of `matching_shares`'s `own` where the neurons of each layer exchange their lists: float [n_permutations].

    What lists and places of a layer have in common without belonging to the same neuron stays; parameters as in `matching_shares`, with a
    column `layer`.
    """
    rng, neurons, layers = np.random.default_rng(seed), lists["neuron"].to_numpy(), lists["layer"].to_numpy()
    total = np.zeros(n_permutations)
    for layer in np.unique(layers):
        own = np.flatnonzero(layers == layer)
        orders = rng.permuted(np.tile(neurons[own], (n_permutations, 1)), axis=1)
        total += shares[own, orders].sum(axis=1)
    return total / len(lists)


@torch.no_grad()
def steering(loaded: LoadedModel, texts: Sequence[str], layer: int, vectors: Tensor, tokens: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """By how much adding a vector raises a list's tokens in the model's predictions.

    Parameters
    ----------
    loaded : LoadedModel
        That predicts tokens.
    texts : sequence of str
        No longer than the context. The vector is added at every place of them.
    layer : int
        To whose feed-forward layer's output the vector is added.
    vectors : Tensor [m, d_model]
        At the length with which they are added.
    tokens : int array [m, k]
        The list of each vector.
    keep : bool array [vocab]
        The tokens that lists are made of.

    Returns
    -------
    float array [m]
        Mean rise of the logits of the list less that of all kept tokens [nats], over all places but special tokens.

    Raises
    ------
    ValueError
        A model that predicts no tokens.
    """
    if not loaded.predicts:
        raise ValueError(f"loaded: expected a model that predicts tokens, found the bare encoder {loaded.name}")
    table = tokens_of(loaded, texts)
    place = (table["text"].to_numpy(copy=True), table["position"].to_numpy(copy=True))
    ids = torch.zeros(table["text"].max() + 1, table["position"].max() + 1, dtype=torch.long)
    mask = torch.zeros_like(ids)
    ids[place], mask[place] = torch.tensor(table["token_id"].to_numpy(copy=True)), 1
    counted = torch.zeros(ids.shape, dtype=torch.bool)
    counted[place] = torch.tensor(~table["special"].to_numpy(dtype=bool))
    device = loaded.model.device
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}

    def means() -> Tensor:
        return token_logits(loaded.model(**inputs))[counted.to(device)].mean(dim=0).cpu()

    with recording(loaded.model, layers=[layer]) as record:
        before, kept = means(), torch.as_tensor(np.flatnonzero(keep))

    def rise_of(vector: Tensor, own: np.ndarray) -> float:
        with resumed(loaded.model, layer, record["states", layer]), edited(loaded.model, {("mlp", layer): vector.to(device).add}):
            rise = means() - before
        return float(rise[torch.as_tensor(own)].mean() - rise[kept].mean())

    rises = (rise_of(*pair) for pair in zip(vectors, tokens, strict=True))
    return np.array(list(shown(rises, len(vectors), f"{loaded.name}, vectors added")))


def random_directions(vector: Tensor, n: int, seed: int = 0) -> Tensor:
    """Vectors of the same length in random directions, [n, d_model]."""
    drawn = torch.randn(n, len(vector), dtype=torch.float32, generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm(dim=1, keepdim=True) * vector.norm()


def _parts(loaded: LoadedModel, texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in parts whose activations fit into `HELD` bytes, as far as single texts do."""
    size = 32 * loaded.model.config.num_hidden_layers * loaded.model.config.hidden_size  # float32 twice, four neurons for each of the width
    part: list[str] = []
    tokens = 0
    for text in texts:
        length = len(loaded.reader(text, verbose=False)["input_ids"])
        if part and size * (tokens + length) > HELD:
            yield part
            part, tokens = [], 0
        part.append(text)
        tokens += length
    if part:
        yield part


def _rows_of_texts(tokens: pd.DataFrame) -> list[np.ndarray]:
    """For each text that has a word after its first token, the rows of such words' tokens."""
    usable = ~tokens["special"].to_numpy() & ~tokens["first"].to_numpy() & (tokens["word"].to_numpy() >= 0)
    groups = np.split(np.arange(len(usable)), np.flatnonzero(np.diff(tokens["text"])) + 1)
    return [group[usable[group]] for group in groups if usable[group].any()]


def _strongest_in_each(inputs: np.ndarray, hidden: np.ndarray, rows: list[np.ndarray], n_before: int) -> Found:
    """For each text and neuron, the row with the largest input, counted after those of earlier texts."""
    best = np.stack([group[inputs[group].argmax(axis=0)] for group in rows])
    return best + n_before, np.take_along_axis(inputs, best, axis=0), np.take_along_axis(hidden, best, axis=0)


def _merged(n: int, *found: Found) -> Found:
    """The n strongest places of each neuron among several sets of them, earlier ones first where they are equal."""
    best, inputs, strength = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(-inputs, axis=0, kind="stable")[:n]
    best, inputs, strength = (np.take_along_axis(part, order, axis=0) for part in (best, inputs, strength))
    return best, inputs, strength


def _having(kinds: Mapping[str, TokenKind], kind: str, feature: str, size: int) -> np.ndarray:
    """Which forms have a feature, bool [size]; none where no form does."""
    if kind not in kinds or feature not in kinds[kind].labels:
        return np.zeros(size, bool)
    return kinds[kind].table[:, [kinds[kind].labels.index(feature)]].toarray()[:, 0] > 0


def _shortened(text: str, letters: int) -> str:
    """The first letters of a text, or the last where the number is negative, cut between words."""
    text = " ".join(text.split("\n"))
    if len(text) <= abs(letters):
        return text
    if letters < 0:
        return "… " + text[letters:].split(" ", 1)[-1]
    return text[:letters].rsplit(" ", 1)[0] + " …"
