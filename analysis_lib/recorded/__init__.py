"""Recorded figures: those of the original notebooks, as printed there, and what recipes measured on models that are not kept.

Figures of notebooks can be quoted; each says what it can be compared with. There is one file for each notebook, `notebook_<number>.json`:

`notebook`
    Its number, as in the file's name.
`figures`
    List of objects, each with

    - `key`: short name, unique in the notebook;
    - `value`: number as printed;
    - `quantity`: what the number is, in words;
    - `model`: hub repository, or null;
    - `data`: what it was computed on;
    - `procedure`: how, as far as the notebook's code says;
    - `comparable`: what it can be compared to, and what not.

`head_lists_001.json` holds the lists of token pairs that the notebook on GPT-2 printed for eleven heads, `neuron_lists_001.json` the
lists of tokens that it printed for ten neurons. Tables of recipes are CSV files
(`table`); the module in `training/` that writes one says what its columns are.
"""

import json
from pathlib import Path

import pandas as pd

FIELDS = ("key", "value", "quantity", "model", "data", "procedure", "comparable")

_HERE = Path(__file__).parent


def notebooks() -> list[str]:
    """Numbers of the notebooks with recorded figures."""
    return sorted(path.stem.removeprefix("notebook_") for path in _HERE.glob("notebook_*.json"))


def figures(notebook: str) -> pd.DataFrame:
    """Figures recorded in one notebook.

    Parameters
    ----------
    notebook : str
        Its number, e.g. "001".

    Returns
    -------
    DataFrame
        Indexed by `key`, with the other fields of the module's schema as columns.

    Raises
    ------
    ValueError
        If the notebook has no recorded figures.
    """
    if notebook not in notebooks():
        raise ValueError(f"notebook is {notebook!r}; expected one of {', '.join(notebooks())}")
    content = json.loads(_HERE.joinpath(f"notebook_{notebook}.json").read_text(encoding="utf-8"))
    return pd.DataFrame(content["figures"], columns=list(FIELDS)).set_index("key")


def head_lists() -> pd.DataFrame:
    """Pairs of tokens that the notebook 001 printed for heads of `sdadas/polish-gpt2-medium`.

    Each list was cut off by the notebook's own filter: tokens of ASCII letters only, about fifty pairs before it, and of a head's
    printed pairs only those that the output still shows.

    Returns
    -------
    DataFrame
        One row a pair, in the order printed: `matrix` ("VO" or "QK"), `layer`, `head`, `left`, `right`. A token that begins a word
        begins with a space. In VO the left token is what the head attends to and the right one what it then raises; in QK the left token
        is the query.
    """
    content = json.loads(_HERE.joinpath("head_lists_001.json").read_text(encoding="utf-8"))
    rows = [(x["matrix"], x["layer"], x["head"], *pair) for x in content["lists"] for pair in x["pairs"]]
    return pd.DataFrame(rows, columns=["matrix", "layer", "head", "left", "right"])


def neuron_lists() -> pd.DataFrame:
    """Tokens that the notebook 001 printed for neurons of `sdadas/polish-gpt2-medium`.

    Each list had thirty tokens, ASCII ones only, of which the output still shows some twenty.

    Returns
    -------
    DataFrame
        One row a token, in the order printed: `layer`, `neuron`, `side` ("K", "V", "-K" or "-V": what the key and the value point at, and
        what they point away from), `token`. A token that begins a word begins with a space.
    """
    content = json.loads(_HERE.joinpath("neuron_lists_001.json").read_text(encoding="utf-8"))
    rows = [(x["layer"], x["neuron"], side, token) for x in content["lists"] for side in ("K", "V", "-K", "-V") for token in x[side]]
    return pd.DataFrame(rows, columns=["layer", "neuron", "side", "token"])


def tables() -> list[str]:
    """Names of the tables that recipes recorded."""
    return sorted(path.stem for path in _HERE.glob("*.csv"))


def table(name: str) -> pd.DataFrame:
    """What a recipe measured on the models that it trained.

    Parameters
    ----------
    name : str
        `task_diversity` is written by `training/diversity.py`, `induction_clamps` by `training/clamps.py`.

    Raises
    ------
    ValueError
        An unknown name.
    """
    if name not in tables():
        raise ValueError(f"name is {name!r}; expected one of {', '.join(tables())}")
    return pd.read_csv(_HERE / f"{name}.csv")
