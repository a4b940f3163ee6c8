# %% [markdown]
# # Polish transformers, taken apart
#
# % Numbers of other chapters are written {glue:text}`models.ipynb::key:s`, path relative to this page; without a format, here s for words, MyST-NB looks for the key on this page. A missing key fails the build.
#
# What do the numbers inside a transformer mean, and which answers survive a comparison with an untrained, a shuffled or a random model? This book asks that of two small Polish language models,
# a published encoder and some toys, for readers who know roughly what a transformer is; no Polish is needed.

# %% tags=["remove-input"] mystnb={"figure": {"caption": "What survives: a point for every claim of the book, a row for each chapter. The further right of the grey band a point lies, the less chance explains it; points to the left of the band speak against their claims, and hollow points do not survive the correction for all claims. {doc}`null_board` has every claim by name, beside its nulls.", "name": "fig-index-board"}, "image": {"alt": "Rows of points, one row for each chapter. Some points lie far to the right of a grey band around zero, which shows what chance gives; others, hollow, lie in it, near it or to its left."}}
import re
from pathlib import Path

from IPython.display import Markdown, display

from analysis_lib import models, plots, report

plots.use_style()
if not report.recorded_with("findings.json", models.prepare()):
    display(Markdown("**The chapters of this build read other models than the board below.** `make findings` records their claims."))
CARD = r"grid-item-card\} (.+)\n# :link: (\w+)\n# :link-type: doc\n# :img-bottom:"
titles = {name: title for title, name in re.findall(CARD, Path("index.py").read_text(encoding="utf-8"))}  # of the chapters in pictures
plots.null_board_by_chapter(report.board(report.read_findings("findings.json")), titles);

# %% [markdown]
# Of {glue:text}`null_board.ipynb::board-rows:d` claims, {glue:text}`null_board.ipynb::board-survive:d` survive their null models ({numref}`fig-index-board`).
#
# ## Three findings
#
# 1. **A published encoder tells the senses of a word apart, block by block.** After the last block of multilingual-e5-small the nearest neighbour of an ambiguous word such as *zamek* (castle, or lock) has
#    the same sense in {glue:text}`senses.ipynb::geo-e5-senses:s` of cases; spelling alone gives {glue:text}`senses.ipynb::geo-e5-permuted:s`. ({doc}`senses`)
# 2. **A small Polish GPT-2 has formed a circuit of heads that repeats what the model has seen once.** A head of its first layer attends to the word before, and later heads use this to find what followed a word the last time. When random words are repeated in the same order, the model's loss falls by
#    {glue:text}`induction_polish.ipynb::indpl-gpt2-order:s` nats a token more than when they are repeated in shuffled order. Without the head of the first layer most of the gain is gone. ({doc}`induction_polish`)
# 3. **Given two predictors that differ, a transformer combines them and chooses neither.** Its answers are {glue:text}`model_selection.ipynb::ctx-few-to-mean:s` from the best possible answer, the posterior mean, and
#    {glue:text}`model_selection.ipynb::ctx-few-to-hard:s` from the answers that a choice between the predictors would give. Distances are squared, and 1 is the distance between the answers of the two predictors. Where the predictors say nearly the same, no strategy is shown to be nearest. ({doc}`model_selection`)
#
# Square brackets hold 95% intervals throughout the book. In tables, a Polish word with a dotted underline shows its meaning when it is pointed at or tapped.
#
# ## Three doors
#
# ::::{grid} 1 1 3 3
# :gutter: 3
#
# :::{grid-item-card} Read
# :link: senses
# :link-type: doc
#
# Begin with the senses of words, or with any picture below. Each chapter can be read by itself.
# :::
#
# :::{grid-item-card} Run it on your model
# :link: your_model
# :link-type: doc
#
# `make book` computes everything again, and with the variable `ANALYSIS_MODELS` it does so for a pair of models of your own.
# :::
#
# :::{grid-item-card} Use the library
# :link: api
# :link-type: doc
#
# `import analysis_lib as al` gives exact searches, head scores and nulls for any GPT-2 or BERT in memory.
# :::
# ::::
#
# ## The chapters in pictures
#
# ::::{grid} 1 2 2 2
# :gutter: 3
#
# :::{grid-item-card} Two Polish models
# :link: models
# :link-type: doc
# :img-bottom: _static/gallery/models.png
# :img-alt: Loss by position in the window, falling, and everywhere below the line of frequencies.
#
# What the models are, how good they are, and a proof that their weights are read correctly.
# :::
#
# :::{grid-item-card} How words are cut
# :link: tokens
# :link-type: doc
# :img-bottom: _static/gallery/tokens.png
# :img-alt: Polish sentences as rows of boxes, which hold the pieces that three tokenizers cut them into.
#
# Where three tokenizers cut Polish words, and how to find a word among the pieces.
# :::
#
# :::{grid-item-card} Neurons
# :link: feed_forward
# :link-type: doc
# :img-bottom: _static/gallery/feed_forward.png
# :img-alt: How many words of a list share a case, an ending, a lemma or a person, beside chance and random vectors, for three models.
#
# Some neurons of a feed-forward layer collect words of one kind: an ending, a case, forms of one word.
# :::
#
# :::{grid-item-card} Neurons at work
# :link: neurons_at_work
# :link-type: doc
# :img-bottom: _static/gallery/neurons_at_work.png
# :img-alt: Share of the places where neurons fire that fit their lists, by layer, for two models, above other neurons in every layer.
#
# Whether neurons fire at the words of their lists, and whether what they write makes such words likelier.
# :::
#
# :::{grid-item-card} Attention heads
# :link: attention_heads
# :link-type: doc
# :img-bottom: _static/gallery/attention_heads.png
# :img-alt: How often the pairs of each head are two forms of a word, beside random heads.
#
# Which words a head relates, by its weights and in sentences, and how much of that comes from the embedding.
# :::
#
# :::{grid-item-card} Heads at work
# :link: heads_at_work
# :link-type: doc
# :img-bottom: _static/gallery/heads_at_work.png
# :img-alt: A score from weights against what heads do on text, one point for each head; the points lie along no line.
#
# Whether heads copy on text when their weights say so, and write what their tables predict.
# :::
#
# :::{grid-item-card} Grammar by head
# :link: grammar
# :link-type: doc
# :img-bottom: _static/gallery/grammar.png
# :img-alt: Share of minimal pairs in which the right form is preferred, by rule, for two models and for untrained ones.
#
# Whether the weights of heads lead to the form that grammar asks for, and whether the models need those heads.
# :::
#
# :::{grid-item-card} Senses of a word
# :link: senses
# :link-type: doc
# :img-bottom: _static/gallery/senses.png
# :img-alt: Share of nearest neighbours in the same sense by layer, for three models.
#
# Whether the vector of an ambiguous word comes to say which sense is meant.
# :::
#
# :::{grid-item-card} Geometry
# :link: geometry
# :link-type: doc
# :img-bottom: _static/gallery/geometry.png
# :img-alt: Mean cosine of unrelated words and evenness of variance by layer, for three models and untrained ones.
#
# What the states of all words have in common, and how much context changes a state.
# :::
#
# :::{grid-item-card} What a model would say early
# :link: lenses
# :link-type: doc
# :img-bottom: _static/gallery/lenses.png
# :img-alt: How near three lenses come to the last layer's prediction, by layer, for both Polish models.
#
# What the two Polish models would predict if they stopped after a layer, and how much of the final prediction is there by then.
# :::
#
# :::{grid-item-card} Induction
# :link: induction
# :link-type: doc
# :img-bottom: _static/gallery/induction.png
# :img-alt: Heat maps of head scores of a trained and an untrained model.
#
# Two layers of attention together continue a pattern that they have seen once.
# :::
#
# :::{grid-item-card} How induction forms
# :link: induction_forming
# :link-type: doc
# :img-bottom: _static/gallery/induction_forming.png
# :img-alt: Losses, head scores and composition along the training of the toy.
#
# Induction needs two kinds of heads. Which comes first, what does one need of the other, and does every run get there?
# :::
#
# :::{grid-item-card} Induction in Polish models
# :link: induction_polish
# :link-type: doc
# :img-bottom: _static/gallery/induction_polish.png
# :img-alt: How far a surname that was given before is preferred to another, in two models and in untrained ones: clearly above zero in the trained GPT-2 alone.
#
# A small Polish GPT-2 learned to continue a pattern of words that it has seen once, with the two kinds of heads of the toy.
# :::
#
# :::{grid-item-card} Terms of attention
# :link: attention_terms
# :link-type: doc
# :img-bottom: _static/gallery/attention_terms.png
# :img-alt: Rise of the loss when one of four terms is left out.
#
# A head attends by what a token is or by where it stands; the score is an exact sum of terms of both kinds.
# :::
#
# :::{grid-item-card} What terms look for
# :link: term_targets
# :link-type: doc
# :img-bottom: _static/gallery/term_targets.png
# :img-alt: A term of attention by distance: some heads peak one place back, untrained heads do not.
#
# Which positions, which tokens and which earlier head a head's scores depend on.
# :::
#
# :::{grid-item-card} Regression in context
# :link: incontext_regression
# :link-type: doc
# :img-bottom: _static/gallery/incontext_regression.png
# :img-alt: Error against the number of examples, for the model and for textbook methods.
#
# A small GPT-2 fits a linear function to the points in its prompt.
# :::
#
# :::{grid-item-card} Layers and algorithms
# :link: incontext_algorithms
# :link-type: doc
# :img-bottom: _static/gallery/incontext_algorithms.png
# :img-alt: Errors of two algorithms by step, beside what is left after each layer.
#
# Does the model of the regression in context improve its answer layer by layer, as an algorithm does step by step?
# :::
#
# :::{grid-item-card} Choosing a model
# :link: model_selection
# :link-type: doc
# :img-bottom: _static/gallery/model_selection.png
# :img-alt: Distance of the transformer's answers from those of each strategy.
#
# A transformer that could choose between two predictors combines them instead.
# :::
#
# :::{grid-item-card} Two models to play with
# :link: live
# :link-type: doc
# :img-bottom: _static/live/induction.png
# :img-alt: The induction toy in the browser: symbols in which a block returns, and a bar for the surprise at each.
#
# Type symbols or drag points: the induction toy and the regressor run in your browser.
# :::
#
# :::{grid-item-card} Norms of updates
# :link: attention_norms
# :link-type: doc
# :img-bottom: _static/gallery/attention_norms.png
# :img-alt: Coefficients of the regression beside the effects of interventions.
#
# A large attention update predicts a large next one in its own layer, but does not make the next one large.
# :::
#
# :::{grid-item-card} Controls for a regression
# :link: norms_controls
# :link-type: doc
# :img-bottom: _static/gallery/norms_controls.png
# :img-alt: Coefficients of two models as controls enter one by one, and of an untrained model.
#
# How often a regression on the past reports a dependence that is not there, and what its controls change.
# :::
#
# :::{grid-item-card} Where an update comes from
# :link: mixing
# :link-type: doc
# :img-bottom: _static/gallery/mixing.png
# :img-alt: Rank correlation of two computed shares with a measured effect, by layer, for trained and untrained models.
#
# Which tokens mattered for an update? Attention weights say so less well than the lengths of what they carry.
# :::
# ::::
#
# The {doc}`atlas` holds every head and every neuron of every model, to search, sort and download. The book began with notebooks that asked the same questions of larger published models ({doc}`replication`). {doc}`colophon` lists versions and checkpoints, and {doc}`references` the literature.
# The numbers of the library agree with {doc}`those of other programs <oracles>`, and {doc}`mistakes in its input <bad_input>` end in an error message that says what is wrong.
#
# ## Po polsku
#
# Co znaczą liczby wewnątrz transformera i które odpowiedzi wytrzymują porównanie z modelem niewytrenowanym, przetasowanym lub losowym? Książka pyta o to dwa małe polskie modele językowe i kilka modeli
# zabawkowych, wytrenowanych na jej potrzeby, oraz jeden opublikowany enkoder. Ten enkoder warstwa po warstwie rozdziela znaczenia wyrazów takich jak *zamek*; tabele głowic uwagi mówią więcej o osadzeniach niż o głowicach;
# mały polski GPT-2 nauczył się powtarzać ciąg słów, który raz przeczytał;
# a transformer, który mógłby wybrać jeden z dwóch predyktorów, zamiast tego je łączy. Liczby są obliczane w rozdziałach, które je podają, albo pochodzą z zapisanych przebiegów; wszystko działa bez sieci na zwykłym laptopie.
