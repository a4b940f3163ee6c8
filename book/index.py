# %% [markdown]
# # Polish transformers, taken apart
#
# % Numbers of other chapters are written {glue:text}`models.ipynb::key:s`, path relative to this page; without a format, here s for words, MyST-NB looks for the key on this page. A missing key fails the build.
#
# What do the numbers inside a transformer mean, and which answers survive a comparison with an untrained, a shuffled or a random model? This book puts the question to
# small models that were trained for it. Two of them read Polish, a language that shows its grammar in word endings. The others know one thing each, such as repeating what they
# have seen, so that they can be understood to the end.
#
# The book is for readers who know roughly what a transformer is and want to see methods of interpretability at work: each is explained, applied, compared with a null model and tested. Polish
# is not needed, since Polish words are translated where they matter. All numbers and figures are computed by the chapter that shows them, on an ordinary laptop, and the functions behind
# them work on other models too.
#
# ## Five findings
#
# 1. **Neurons collect words of one kind.** Take the twenty tokens closest to what a feed-forward neuron responds to. They share an ending, a part of speech or a grammatical case more
#    often than the tokens closest to a random direction do. The share of neurons for which this holds is larger by {glue:text}`feed_forward.ipynb::ff-polish-gpt2-K-gain:s` percentage points in the Polish GPT-2 and
#    by {glue:text}`feed_forward.ipynb::ff-herbert-K-gain:s` in the HerBERT-like model. ({doc}`feed_forward`)
# 2. **Token tables of attention heads mislead.** {glue:text}`attention_heads.ipynb::heads-polish-gpt2-any:s` of {glue:text}`attention_heads.ipynb::heads-tested:s` tables of the GPT-2 pair words by grammar or meaning more often than
#    chance does, but so do {glue:text}`attention_heads.ipynb::heads-random-gpt2-any:s` tables of random heads placed on the same embedding. What looks like the work of a head is largely the work of the embedding. ({doc}`attention_heads`)
# 3. **Two layers of attention suffice to continue a pattern.** A model trained on repeated blocks has one head that looks one token back and one that looks up what followed last time. The second scores
#    {glue:text}`induction.ipynb::ind-induction-score:s`, where a perfect head has 1. The Polish GPT-2 has {glue:text}`induction.ipynb::ind-gpt2-count:s` heads of this kind. ({doc}`induction`, {doc}`attention_terms`)
# 4. **A GPT-2 can learn to do regression on the points in its prompt.** Always answering zero errs {glue:text}`incontext_regression.ipynb::ctx-ratio:s` times as much as this model does after nine
#    examples. A second model reads what two regressions predict and does not choose between them, although the evidence would allow it. It gives the best combination instead: its answers lie at
#    {glue:text}`model_selection.ipynb::ctx-few-to-mean:s` from the best possible ones and at {glue:text}`model_selection.ipynb::ctx-few-to-hard:s` from those of a choice, where 1 is the squared distance between the two regressions. ({doc}`incontext_regression`, {doc}`model_selection`)
# 5. **Sizes that predict one another need not act on one another.** In the GPT-2 the size of an attention update rises with that of the token before it, with coefficients of {glue:text}`attention_norms.ipynb::norms-polish-gpt2-beside:s`. But
#    when one update is enlarged, the next one changes by {glue:text}`attention_norms.ipynb::norms-polish-gpt2-acts:s` in the same unit. ({doc}`attention_norms`)
#
# A published encoder goes further than these small models in one respect: in multilingual-e5-small the nearest neighbour of an ambiguous word is in the same sense in
# {glue:text}`geometry.ipynb::geo-e5-senses:s` of cases, where chance with word forms held gives {glue:text}`geometry.ipynb::geo-e5-permuted:s`. ({doc}`geometry`)
#
# Square brackets hold 95% intervals throughout the book.
#
# ## The chapters
#
# | Chapter | What it asks |
# |---|---|
# | {doc}`models` | What are the two Polish models, how good are they, and are their weights extracted correctly? |
# | {doc}`feed_forward` | Do the neurons of a layer stand for words of one kind? |
# | {doc}`attention_heads` | Which tokens does a head relate, judged from its weights alone? |
# | {doc}`geometry` | How alike are the states of different words, and do the senses of one word stand apart? |
# | {doc}`induction` | How do two heads together continue a pattern that they have seen once? |
# | {doc}`attention_terms` | Does a head attend by what a token is or by where it stands? |
# | {doc}`incontext_regression` | Which method of regression does a transformer carry out on the points in its prompt? |
# | {doc}`model_selection` | Does a transformer choose between two predictors as the evidence says? |
# | {doc}`attention_norms` | Do sizes of attention updates depend on those of neighbouring tokens? |
#
# The chapters of the first part share their two models, and {doc}`models` introduces them. Otherwise each chapter can be read by itself. Code that only draws is folded.
# The book began with notebooks that asked the same questions of larger published models; each chapter says at its end where it differs from them and why.
#
# ## Run it yourself
#
# The rocket at the top of a chapter opens it as a notebook, and `make book` in a clone of the repository computes the whole book. `ANALYSIS_MODELS=hub make book` puts the same questions to the
# published models. {doc}`api` describes the library, {doc}`colophon` lists versions and checkpoints, and {doc}`references` the literature.
#
# ## Po polsku
#
# Książka pokazuje na małych modelach, co znaczą liczby wewnątrz transformera i które wnioski wytrzymują porównanie z modelem niewytrenowanym, przetasowanym lub losowym. Dwa modele czytają po
# polsku, pozostałe umieją po jednej rzeczy: kontynuować raz widziany wzór albo dopasowywać do punktów funkcję liniową. Każdą liczbę oblicza rozdział, który ją podaje; wszystko działa bez sieci na zwykłym laptopie.
