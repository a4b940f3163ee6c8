# %% [markdown]
# # Polish transformers, taken apart
#
# % Numbers of other chapters: {glue:text}`models.ipynb::key:.2f`, path relative to this page, glued there as Python floats or strings.
# % Figures are linked with {numref}: glued from another page they would lose caption and alt text. A missing key is a warning, so a
# % failed build. tools/build_book.py renders this page anew in every build, for Sphinx does not know that it depends on others.
#
# **The question.** A transformer's weights are numbers, yet each matrix reads from or writes to the same space that words live in. Written out over the
# vocabulary, do the weights of a Polish GPT-2 and of a HerBERT-like model say anything, and does what they say survive a null model?
#
# Two small models were trained for this book on novels and textbooks in Polish, a language in which a noun has up to fourteen forms and grammar shows in word
# endings: a good place to ask what attention heads relate. Every number below was computed by the chapter it links to when this site was built.
#
# ## What was found
#
# ::::{list-table}
# :header-rows: 1
# :widths: 52 30 18
#
# * - Finding
#   - Measured
#   - Where
# * - The GPT-2 has learned more than word frequency: its held-out loss lies below the unigram entropy by
#   - {glue:text}`models.ipynb::models-gpt2-under-unigram:.2f` nats a token (loss {glue:text}`models.ipynb::models-gpt2-loss:.2f`, 95 % interval {glue:text}`models.ipynb::models-gpt2-loss-low:.2f` to {glue:text}`models.ipynb::models-gpt2-loss-high:.2f`)
#   - {doc}`models`
# * - The HerBERT-like model guesses a hidden token among its first ten
#   - {glue:text}`models.ipynb::models-herbert-top10:.1f` % of the time ({glue:text}`models.ipynb::models-herbert-top10-low:.1f` to {glue:text}`models.ipynb::models-herbert-top10-high:.1f`); by frequency alone {glue:text}`models.ipynb::models-herbert-unigram-top10:.1f` %
#   - {doc}`models`
# * - Attention rebuilt head by head from the extracted weights is the model's own; with HerBERT's $W_O$ split as in an earlier notebook it is not
#   - relative error {glue:text}`models.ipynb::models-identity-error:.0e`; wrong split {glue:text}`models.ipynb::models-wrong-split-error:.2f`
#   - {doc}`models`
# * - Neurons whose twenty top tokens share an ending, a part of speech, a case or the like beyond chance: percentage points above random directions of the same embedding
#   - keys {glue:text}`feed_forward.ipynb::ff-polish-gpt2-K-gain:s` (GPT-2), {glue:text}`feed_forward.ipynb::ff-herbert-K-gain:s` (HerBERT); values {glue:text}`feed_forward.ipynb::ff-polish-gpt2-V-gain:s` and {glue:text}`feed_forward.ipynb::ff-herbert-V-gain:s`
#   - {doc}`feed_forward`
# * - Lists of a head's top pairs whose pairing beats permuted pairs in some grammatical or lexical relation, after correction; random heads say how much of that is the embedding's
#   - GPT-2 {glue:text}`attention_heads.ipynb::heads-polish-gpt2-any:d`, HerBERT {glue:text}`attention_heads.ipynb::heads-herbert-any:d` of {glue:text}`attention_heads.ipynb::heads-tested:d`; random heads on the same embeddings {glue:text}`attention_heads.ipynb::heads-random-gpt2-any:d` and {glue:text}`attention_heads.ipynb::heads-random-herbert-any:d`, untrained {glue:text}`attention_heads.ipynb::heads-untrained-gpt2-any:d` and {glue:text}`attention_heads.ipynb::heads-untrained-herbert-any:d`
#   - {doc}`attention_heads`
# * - Does a head's table predict what the head writes? Recall of its top 50 tokens on text, beside permuted places
#   - GPT-2 {glue:text}`attention_heads.ipynb::heads-polish-gpt2-recall:.3f` against {glue:text}`attention_heads.ipynb::heads-polish-gpt2-control:.3f`; HerBERT {glue:text}`attention_heads.ipynb::heads-herbert-recall:.3f` against {glue:text}`attention_heads.ipynb::heads-herbert-control:.3f`
#   - {doc}`attention_heads`
# ::::
#
# ## How to read
#
# {doc}`models` says what the two models are and proves that their weights are read rightly; {doc}`feed_forward` and {doc}`attention_heads` read the weights in vocabulary
# space, each claim beside what permuted or untrained weights give. Polish words are glossed where the prose discusses them; code is folded where it only draws.
# The book starts from notebooks that asked the same questions of larger published models by eye; each chapter ends with where it differs from them, and why.
#
# To execute a chapter, press the rocket at its top, or clone the repository and type `make book`. `ANALYSIS_MODELS=hub make book` asks the published models instead.
# {doc}`colophon` lists versions and checkpoints, {doc}`api` the library.
