# %% [markdown]
# # The null board
#
# Which claims of this book survive comparison with a model that has not learned, a table that was shuffled, or a head drawn at random? This page puts all of them in one picture. A claim that lies inside the grey band says
# nothing that chance does not say as well.

# %% tags=["hide-cell"]
from html import escape

import pandas as pd
from IPython.display import HTML

from analysis_lib import plots, report

plots.use_style()

# %%
findings = report.read_findings("findings.json")
board = report.board(findings)

# %% mystnb={"figure": {"caption": "All claims of the book. A point is the value of a trained model with its 95% interval; zero is the mean of the null that the claim exceeds by least, and the unit is the standard deviation of their difference, so that differences by chance lie in the grey band 95% of the time. Short grey bars are all nulls of the row. Filled points pass Holm's correction over the board at 0.05; below the dotted line no claim does. The axis is linear from −3 to 3 and logarithmic beyond.", "name": "fig-null-board"}, "image": {"alt": "Rows of points with intervals, a row a claim, coloured by model, sorted by whether they survive and by distance; grey bars around zero show the nulls."}}
plots.null_board(board);

# %% tags=["remove-input"]
report.figure_data(board.drop(columns="nulls"), "fig-null-board")

# %% [markdown]
# - {glue:text}`board-survive` of {glue:text}`board-rows` claims survive the correction over the whole board.
# - {glue:text}`board-placebo` of the tests that were also run on an untrained model in the place of the trained one give a p below 0.05, where 5% are expected of tests that are right.
#
# ## How to read a row
#
# A chapter records a claim when it computes it: the value of the trained model with its interval, and for each null the mean and the spread of the values that the null gives. The **hardest** null of a row is
# the one that the value exceeds by least. The p-value is the chapter's own where it has a test by permutation or by random draws; otherwise the difference from the hardest null is taken to be normal, with
# the variances of value and null added. Holm's correction {cite}`holm1979` runs over all rows of the board, whether they turned out well or not.

# %%
one = next(found for found in findings if found.key == "models-herbert-guesses")
print(one.claim, report.interval(one.estimate, one.low, one.high), one.nulls, one.hardest, report.p_value(one.p), sep="\n")

# %% [markdown]
# ## All claims

# %% tags=["hide-input"]
def nulls_in_words(key):
    """Means of the nulls of a claim, the hardest first."""
    found = next(found for found in findings if found.key == key)
    ordered = sorted(found.nulls, key=lambda name: name != found.hardest)
    return ", ".join(f"{name} {report.number(found.nulls[name][0])}" for name in ordered)


shown = pd.DataFrame(
    {
        "claim": [f'<a href="{escape(row.section)}">{escape(row.claim)}</a> ({row.model})' for row in board.itertuples()],
        "trained": [report.interval(row.estimate, row.low, row.high) + f" {row.unit}" for row in board.itertuples()],
        "nulls, mean": board["key"].map(nulls_in_words),
        "p, Holm": [report.p_value(p, bare=True) for p in board["p_holm"]],
    }
)
HTML(shown.to_html(escape=False, index=False, border=0, classes="board"))

# %% tags=["remove-cell"]
tried = board["placebo"].dropna()
report.glue("board-survive", int(board["survives"].sum()))
report.glue("board-rows", len(board))
report.glue("board-placebo", f"{(tried < 0.05).sum()} of {len(tried)}")

# %% [markdown]
# ## Limits
#
# - The board holds the claims that the chapters make. Measures that a chapter looked at without making a claim of them are corrected for in the chapter, not here.
# - A distance in standard deviations is no measure of importance: a tiny effect that is known exactly lies far to the right. The table has the values in their own units.
# - Nulls of few draws have a spread that is itself uncertain, and a normal distribution is an assumption wherever the chapter has no test of its own.
