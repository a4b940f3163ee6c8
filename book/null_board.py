# %% [markdown]
# # The null board
#
# Which claims of this book survive comparison with a model that has not learned, a table that was shuffled, or a head drawn at random? This page puts every claim that a chapter has recorded with its null in one picture. A claim inside the grey band is no stronger than chance alone would make it.
#
# - **{glue:text}`board-survive` of {glue:text}`board-rows` claims survive** the correction over the whole board.
# - **Most claims are about the two Polish models, and so are most of those that do not survive.** Among the claims that survive are that GPT-2 has an induction head, which finds its place by what an earlier head gives its keys; that GPT-2 gains from the order of repeated words; and that training makes the tables of both models' heads tell what the heads write. Among those that do not are the claims that GPT-2 recalls a name, that GPT-2 and HerBERT keep the senses of a word apart, that HerBERT's values collect words of one kind, that tables of GPT-2's heads know the right form of a word, and that attention updates act on one another.
# - **Where nothing was learned, the tests find next to nothing.** With untrained models in the place of GPT-2 and HerBERT, the p-value of {glue:text}`board-placebo` claims is below 0.05: {glue:text}`board-placebo-share`, where at most 5% are expected. The other p-values are spread as they should be where no claim is true ({numref}`fig-board-placebo`). Of these claims, the correction leaves {glue:text}`board-placebo-survive`; the table near the end of the page gives a reason for every p-value below 0.05. Tests that gave false alarms have been mended.

# %% tags=["hide-cell"]
from html import escape
from pathlib import Path

import pandas as pd
from IPython.display import HTML, Markdown
from scipy.stats import binomtest

from analysis_lib import models, plots, report

plots.use_style()

# %%
findings = report.read_findings("findings.json")
board = report.board(findings)

# %% tags=["key-figure"] mystnb={"figure": {"caption": "All recorded claims of the book, a row for each, with a point and its 95% interval for each model that the claim is made of. Zero is the mean of the null that the claim exceeds by least. The unit is the standard deviation of their difference, so that differences by chance lie in the grey band 95% of the time. Thick grey bars beside a point: where 95% of the values of each of its nulls are expected. Filled points survive Holm's correction over the board at 0.05; in rows below the dotted line none does. The axis is linear from −3 to 3 and logarithmic beyond.", "name": "fig-null-board"}, "image": {"alt": "Rows of points with intervals, a row for each claim, coloured by model. At the top filled points lie far to the right of a grey band around zero; most hollow ones lie in it or to its left; one of e5 lies to its right, and two of GPT-2 and one of HerBERT lie at its right edge. Thick grey bars, some as wide as the band, show the nulls."}}
plots.null_board(board);

# %% tags=["remove-input"]
recorded = report.recorded_models("findings.json")
whose = "; ".join(f"`{name}`: {line}" for name, line in recorded.items()) or "those that come with the book"
elsewhere = "" if report.recorded_with("findings.json", models.prepare()) else " **The chapters of this build read other models, so this board does not describe them.** `make findings` records theirs."
Markdown(f"The models of this board are {whose}.{elsewhere}")

# %% tags=["key-figure", "remove-input"]
report.figure_data(board.drop(columns="nulls"), "fig-null-board")

# %% [markdown]
# ## How to read a row
#
# A chapter records a claim when it computes it: the value of the trained model with its interval, and for each null the mean and the spread of the values that the null gives. The **hardest** null of a row is
# the one that the value exceeds by least. The p-value is the chapter's own where it has a test by permutation or by random draws. Otherwise the value is compared with one more draw of each null, and the largest p-value is kept: the difference is taken to be normal, with
# the variances of value and null added, or to have Student's distribution where the spread of the null is known from few draws only {cite}`welch1947`. Where a chapter picked the best of many heads, its own p-value allows for the choice, so a point to the right of the band can still be hollow. Holm's correction {cite}`holm1979` runs over all rows of the board, whether they turned out well or not.
#
# The next cell prints one row as it was recorded: the claim, its value, the mean and spread of each null, the hardest null, and the p-value.

# %%
one = next(found for found in findings if found.key == "models-herbert-guesses")
print(one.claim, report.interval(one.estimate, one.low, one.high), one.nulls, one.hardest, report.p_value(one.p), sep="\n")

# %% [markdown]
# ## All claims
#
# Each line below names a chapter and opens to show its claims, with their values in their own units and the means of their nulls, the hardest first.

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
chapters = board["section"].str.split(".").str[0]
folded = []
for name in dict.fromkeys(chapters):
    title = Path(f"{name}.py").read_text(encoding="utf-8").split("\n")[1].removeprefix("# # ")
    part, survive = shown[chapters == name], int(board.loc[chapters == name, "survives"].sum())
    table = part.to_html(escape=False, index=False, border=0, classes="board")
    folded.append(f'<details class="board"><summary>{escape(title)}: {survive} of {len(part)} survive</summary>{table}</details>')
HTML("".join(folded))

# %% [markdown]
# ## The same board without learning
#
# A sound test seldom finds anything where there is nothing to find. So the chapters were run once more, as they stand, with **untrained twins** in the place of the trained GPT-2 and HerBERT: they have the same shape, tokenizer and counts of tokens, and fresh weights from a seed that no
# chapter uses (`tools/placebo_board.py`). The claims about these two models that a chapter computes are tested again in this way, but for those named at the end of the page. {numref}`fig-board-placebo` shows the p-values beside those to be expected where no claim is true.

# %%
twins = report.read_findings("placebo.json")
tried = report.board(twins)
low_p = tried[tried["p"] < 0.05]
share = binomtest(len(low_p), len(tried)).proportion_ci(method="exact")

# %% mystnb={"figure": {"caption": "P-values of all claims about untrained twins, in order, and those of the same claims about the trained models. Dashed: the expectation where nothing is true. Below the dotted line p is under 0.05. Axis logarithmic; p below 0.000001 is drawn there.", "name": "fig-board-placebo"}, "image": {"alt": "Two rows of rising points. Those of untrained twins follow the dashed line of the expectation from the second on; the first alone lies far below it. Those of the trained models lie far below for more than half of the claims."}}
own = {found.key: found.p for found in findings}
plots.ordered_pvalues({"trained": [own[key] for key in tried["key"] if key in own], "untrained twins": tried["p"]});

# %% tags=["hide-input"]
WHY = {
    "grammar-predicted-polish-gpt2": "True of the twin, and no false alarm: where blocks add little, removing a head does what its table says. That tables predict effects is a fact about heads and says nothing about training.",
}
CHANCE = "Not below 0.05 once corrected: of tests of nothing, one in twenty is expected to look like this."
report.table(
    pd.DataFrame({"claim": low_p["claim"], "p": low_p["p"], "p, Holm": low_p["p_holm"], "why": [WHY.get(key, CHANCE) for key in low_p["key"]]}),
    "Claims about untrained twins with a p below 0.05",
    formats=dict.fromkeys(("p", "p, Holm"), lambda p: report.p_value(p, bare=True)),
)

# %% [markdown]
# Earlier runs had four false claims in this table, two of them from {doc}`lenses`. Their tests were mended.
#
# - *After one block a model leans to the token that it will name.* An untrained GPT-2 passed this test better than the trained one, because blocks that add little leave the answer where it is. Untrained models with lenses of their own are now among the nulls, and the claim does not survive.
# - *Training moves the prediction out of the embedding.* This had been compared with one untrained model on other texts, with an interval that did not say how untrained models differ among themselves. It is now compared with four of them at the same places in the texts.
# - *HerBERT: enlarging an update enlarges the next one.* In untrained models the effect is a ten-thousandth or less, and differs more between two of them than an interval over texts of one of them says. The claim of {doc}`attention_norms` is now compared with four untrained models, by a test that allows for how little four of them say about their spread.
# - *The best head's table leads to related words.* The head had been chosen and measured on the same relations, and compared with random heads of which none had been chosen. It is now chosen on one half of the relations and measured on the other, and its p-value in {doc}`grammar` counts all heads that it was chosen from.
#
# The p-values of all claims that are compared with a few models were mended, too. They had taken the spread of four untrained models for known, and now allow for the doubt about it.

# %% tags=["remove-cell"]
report.glue("board-survive", int(board["survives"].sum()))
report.glue("board-rows", len(board))
report.glue("board-placebo", f"{len(low_p)} of {len(tried)}")
report.glue("board-placebo-share", report.interval(len(low_p) / len(tried), share.low, share.high, scale=100, unit="%", digits=0))
report.glue("board-placebo-survive", int(tried["survives"].sum()))

# %% [markdown]
# ## Limits
#
# - The board holds the claims that the chapters make. Measures that a chapter looked at without making a claim of them are corrected for in the chapter, not here.
# - A distance in standard deviations is no measure of importance: a tiny effect that is known exactly lies far to the right. The table has the values in their own units.
# - Four tests were mended with these twins in view. Twins from another seed, drawn after the tests of {doc}`lenses` had been mended, have p above 0.05 in all tests of that chapter.
# - One twin of each model was drawn, so claims of one chapter about one twin are not independent, and the interval of their share is too narrow.
# - A finding at the head of a chapter has no row where it only describes, as how many steps of gradient descent two layers are worth; where it says that nothing was found; where it rests on simulated or recorded data, as in {doc}`norms_controls`, {doc}`replication` and {doc}`induction_forming`; or where untrained models show the same, as the lead of lengths over attention weights in {doc}`mixing`. Chapters correct such findings by themselves.
# - Claims about the toys and about e5 have no twin here. Neither have the claims of {doc}`neurons_at_work`: that chapter tests only neurons whose lists pass a test, and no list of an untrained model passes. A claim that rests on figures recorded at the end of a training has no twin either.
# - Where the null is one untrained model, its bar shows how this model varies over texts, and not how untrained models differ among themselves. That concerns only the untrained e5 of {doc}`senses`. Elsewhere the null is several untrained models: four or five, or twenty of the small ones that regress.
# - Nulls of few draws, such as four untrained models, have a spread that is itself uncertain. The p-values allow for that (they take the trained value for one more draw of the null and use Student's distribution), but the distances in the figure do not. A claim can therefore lie far outside the band and still not survive.
# - That values and draws of nulls are normal is an assumption wherever the chapter has no test of its own.
