"""What a figure shows in words."""

import matplotlib.pyplot as plt


def texts_of(figure: plt.Figure) -> str:
    """All labels, titles and legends of a drawn figure."""
    figure.canvas.draw()
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))
