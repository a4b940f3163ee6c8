"""Polish written for this book, none of it taken from elsewhere."""

from importlib.resources import files


def sentences() -> list[str]:
    """Forty plain sentences of modern Polish, one a line in `sentences.txt`; text under CC BY 4.0."""
    return files(__package__).joinpath("sentences.txt").read_text(encoding="utf-8").splitlines()
