"""Cards of neurons: what the lists say, where the neuron fires, what its value does. Plain HTML, which needs no script."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class NeuronCard:
    """One neuron.

    Attributes
    ----------
    title : str
    lists : mapping of str to iterable of str
        What the list is to its words.
    contexts : DataFrame
        `before word after strength`, the strongest first.
    verdict : str
        What the places and the steering say, in a sentence or two.
    """

    title: str
    lists: Mapping[str, Iterable[str]]
    contexts: pd.DataFrame
    verdict: str

    def html(self, is_open: bool = False) -> str:
        """The card as a box that opens."""
        lists = "".join(
            f'<p style="margin:.3em 0">{html.escape(label)}: <span lang="pl"><em>{html.escape(", ".join(words))}</em></span></p>'
            for label, words in self.lists.items()
        )
        rows = "".join(
            f'<tr lang="pl"><td style="text-align:right">{html.escape(row.before)}</td><td><strong>{html.escape(row.word)}</strong></td>'
            f'<td style="text-align:left">{html.escape(row.after)}</td><td>{row.strength:.2f}</td></tr>'
            for row in self.contexts.itertuples()
        )
        heads = "".join(f'<th scope="col">{name}</th>' for name in ("text before", "fires at", "text after", "activation"))
        return (
            f'<details class="neuron-card"{" open" if is_open else ""} style="border:1px solid #7a7a7a;border-radius:.4em;padding:.5em;'
            f'margin:.5em 0"><summary><strong>{html.escape(self.title)}</strong></summary>{lists}<p style="margin:.3em 0">'
            f'{html.escape(self.verdict)}</p><div style="overflow-x:auto" tabindex="0" role="region" aria-label="Places in text">'
            f'<table style="font-size:.85em"><thead><tr>{heads}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div></details>"
        )

    def __str__(self) -> str:
        lists = [f"{label}: {', '.join(words)}" for label, words in self.lists.items()]
        rows = [f"{row.before}[{row.word}]{row.after}" for row in self.contexts.itertuples()]
        return "\n".join([self.title, *lists, self.verdict, *rows])


class NeuronCards:
    """Cards one below the other, the first of them open; shown as HTML in a notebook and as text elsewhere."""

    def __init__(self, cards: Iterable[NeuronCard]) -> None:
        self.cards = tuple(cards)

    def __repr__(self) -> str:
        return "\n\n".join(map(str, self.cards))

    def _repr_html_(self) -> str:
        return "".join(card.html(is_open=place == 0) for place, card in enumerate(self.cards))
