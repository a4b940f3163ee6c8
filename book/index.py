# %% [markdown]
# # Polish transformers, taken apart
#
# % How this page shows numbers of other chapters. A chapter glues a Python float, `glue("models-heldout-loss", float(loss), display=False)`
# % (a numpy scalar would arrive as the text "np.float64(…)"), and this page writes {glue:text}`models.ipynb::models-heldout-loss:.2f`,
# % with the path relative to this page. A figure comes the same way, from {glue:any}`models.ipynb::models-figure`, but without caption
# % and without alt text, so write captions and figures in their own chapters and link to them with {numref}. A missing key is a warning,
# % so a failed build. tools/build_book.py renders this page anew in every build, for Sphinx does not know that it depends on others.
#
# The findings of the chapters, with links, come here.
