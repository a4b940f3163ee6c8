# %% [markdown]
# # Polish transformers, taken apart
#
# % Numbers of other chapters: {glue:text}`models.ipynb::key:.2f`, path relative to this page, glued there as Python floats or strings.
# % Figures are linked with {numref}: glued from another page they would lose caption and alt text. A missing key is a warning, so a
# % failed build. tools/build_book.py renders this page anew in every build, for Sphinx does not know that it depends on others.
#
# **The question.** A transformer's weights and activations are numbers. Read in the space that words live in, along its layers, head by head or point by point, what do they
# say, and does what they say survive a null model?
#
# Small models were trained for this book. Two read Polish, a language in which a noun has up to fourteen forms and grammar shows in word endings: a good place to ask what
# attention heads relate. The others are smaller still and know one thing each, so that it can be taken apart: two layers of attention that repeat what they have seen, and
# a GPT-2 that does regression on the points of its prompt. Every number below was computed by the chapter it links to when this site was built.
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
# * - How alike words of different texts are in the layer where they are most alike (mean cosine), beside the untrained model there
#   - GPT-2 {glue:text}`geometry.ipynb::geo-polish-gpt2-peak:s`, untrained {glue:text}`geometry.ipynb::geo-polish-gpt2-peak-untrained:s`; HerBERT {glue:text}`geometry.ipynb::geo-herbert-peak:s`, untrained {glue:text}`geometry.ipynb::geo-herbert-peak-untrained:s`
#   - {doc}`geometry`
# * - Senses of an ambiguous word stand apart in the last layer, beyond chance and beyond the word's form: gap of cosines
#   - GPT-2 {glue:text}`geometry.ipynb::geo-polish-gpt2-gap:s`, HerBERT {glue:text}`geometry.ipynb::geo-herbert-gap:s`; untrained {glue:text}`geometry.ipynb::geo-polish-gpt2-gap-untrained:s` and {glue:text}`geometry.ipynb::geo-herbert-gap-untrained:s`
#   - {doc}`geometry`
# * - What costs a two-layer model of attention alone its skill at repeated tokens: leaving out position-position scores in its first layer, token-token scores in its second
#   - loss rises by {glue:text}`attention_terms.ipynb::terms-toy-L0-pp-rise:s` and {glue:text}`attention_terms.ipynb::terms-toy-L1-tt-rise:s` nats
#   - {doc}`attention_terms`
# * - That model has an induction circuit: scores of its previous-token head and of its induction head (a perfect head has 1)
#   - {glue:text}`induction.ipynb::ind-previous-score:s` and {glue:text}`induction.ipynb::ind-induction-score:s`; best untrained heads {glue:text}`induction.ipynb::ind-previous-untrained:.2f` and {glue:text}`induction.ipynb::ind-induction-untrained:.2f`
#   - {doc}`induction`
# * - The small Polish models have few or none: heads that are induction heads by the same rule
#   - GPT-2 {glue:text}`induction.ipynb::ind-gpt2-count:d`, attention-only model {glue:text}`induction.ipynb::ind-mini-count:d`
#   - {doc}`induction`
# * - A GPT-2 that reads points does regression: at the last point the zero predictor errs so many times as much
#   - {glue:text}`incontext_regression.ipynb::ctx-ratio:s`
#   - {doc}`incontext_regression`
# * - Clusters of its attention rows that say more than the position of the row
#   - {glue:text}`incontext_regression.ipynb::ctx-cluster-gains:d` of {glue:text}`incontext_regression.ipynb::ctx-cluster-tests:d` sets of rows
#   - {doc}`incontext_regression`
# * - Sizes of attention updates predicted by those of neighbouring tokens: coefficients that survive every control and exceed untrained models', and those of them that need the order of the tokens
#   - GPT-2 {glue:text}`attention_norms.ipynb::norms-polish-gpt2-starred:d` and {glue:text}`attention_norms.ipynb::norms-polish-gpt2-ordered:d` of {glue:text}`attention_norms.ipynb::norms-polish-gpt2-tested:d`; HerBERT {glue:text}`attention_norms.ipynb::norms-herbert-starred:d` and {glue:text}`attention_norms.ipynb::norms-herbert-ordered:d` of {glue:text}`attention_norms.ipynb::norms-herbert-tested:d`
#   - {doc}`attention_norms`
# * - Do sizes act on sizes? Change of the next token's log norm, one layer on, when an update is made larger by one log unit; beside the regression's coefficients
#   - GPT-2 {glue:text}`attention_norms.ipynb::norms-polish-gpt2-acts:s` by layer, beside {glue:text}`attention_norms.ipynb::norms-polish-gpt2-beside:s`; HerBERT {glue:text}`attention_norms.ipynb::norms-herbert-acts:s`, beside {glue:text}`attention_norms.ipynb::norms-herbert-beside:s`
#   - {doc}`attention_norms`
# ::::
#
# ## How to read
#
# Part I: {doc}`models` says what the two Polish models are and proves that their weights are read rightly; {doc}`feed_forward` and {doc}`attention_heads` read the weights in vocabulary
# space, {doc}`geometry` the hidden states layer by layer. Part II takes small transformers apart: {doc}`attention_terms` and {doc}`induction` two layers of attention, {doc}`incontext_regression`
# a model of points. Part III, {doc}`attention_norms`, asks what a regression of norms can show. Each claim stands beside what permuted or untrained models
# give. Polish words are glossed where the prose discusses them; code is folded where it only draws.
# The book starts from notebooks that asked the same questions of larger published models by eye; each chapter ends with where it differs from them, and why.
#
# To execute a chapter, press the rocket at its top, or clone the repository and type `make book`. `ANALYSIS_MODELS=hub make book` asks the published models instead.
# {doc}`colophon` lists versions and checkpoints, {doc}`api` the library.
