"""Which models stand behind the study names: what the environment variable `ANALYSIS_MODELS` says.

- `embedded`, or nothing: the checkpoints of this package;
- `hub`: the published models of the book's pair, `polish-gpt2` and `herbert`, from the Hugging Face hub;
- `polish-gpt2=FOLDER_OR_ID,herbert=FOLDER_OR_ID`: a reader's own, one or both.

What is not named, and every study that has no published model, is always the embedded checkpoint.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "ANALYSIS_MODELS"
# The studies that can be replaced, with the architecture that the book's chapters expect there.
PAIR = {"polish-gpt2": "gpt2", "herbert": "bert"}
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(@[\w./-]+)?")
_FORMS = "expected 'embedded', 'hub' or 'polish-gpt2=FOLDER_OR_ID,herbert=FOLDER_OR_ID'"


def chosen(published: Mapping[str, str]) -> dict[str, str]:
    """What takes the place of embedded checkpoints.

    Parameters
    ----------
    published : mapping
        Study name to hub repository, for `hub`.

    Returns
    -------
    dict
        Study name to a folder or a hub id; empty where every study is the embedded one.

    Raises
    ------
    ValueError
        A value of another form, a study that cannot be replaced, a study named twice, or what is neither a folder nor a hub id. Whether the
        folder or the repository can be read is not known before it is read.
    """
    value = os.environ.get(VARIABLE, "").strip()
    if value in ("", "embedded"):
        return {}
    if value == "hub":
        return {name: published[name] for name in PAIR}
    places: dict[str, str] = {}
    for part in value.split(","):
        name, equals, place = (text.strip() for text in part.partition("="))
        if not equals or not place:
            raise ValueError(f"environment variable {VARIABLE}: {_FORMS}, found {part.strip()!r}")
        if name not in PAIR:
            raise ValueError(f"environment variable {VARIABLE}: expected one of {', '.join(PAIR)} before '=', found {name!r}")
        if name in places:
            raise ValueError(f"environment variable {VARIABLE}: expected each study once, found {name!r} twice")
        if not folder_at(place).is_dir() and not HUB_ID.fullmatch(place):
            raise ValueError(f"environment variable {VARIABLE}: expected a folder or a hub id (owner/name) for {name!r}, found {place!r}")
        places[name] = place
    return places


def folder_at(place: str) -> Path:
    """A path whose `~` is a home; that of an unknown user stays as it is, where `Path.expanduser` would raise a RuntimeError."""
    return Path(os.path.expanduser(place))
