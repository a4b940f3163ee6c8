"""Polish written for this book, none of it taken from elsewhere."""

from importlib.resources import files


def sentences() -> list[str]:
    """Forty plain sentences of modern Polish, one a line in `sentences.txt`; text under CC BY 4.0."""
    return files(__package__).joinpath("sentences.txt").read_text(encoding="utf-8").splitlines()


def glossary() -> dict[str, str]:
    """English glosses of frequent Polish forms, lower-cased form to gloss (one sense or two, out of context)."""
    rows = files(__package__).joinpath("glossary.tsv").read_text(encoding="utf-8").splitlines()
    return dict(row.split("\t") for row in rows)
