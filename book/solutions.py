# %% [markdown]
# # Solutions to the exercises
#
# Each exercise stands in its chapter and once more here, with a solution: a few lines of code that this page runs, folded away with their result, and what follows from it. Other solutions are as good.

# %% tags=["hide-input"]
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, circuits, geometry, incontext, models, norms, report, statistics, texts, weights
from analysis_lib.circuits import repeated_names
from analysis_lib.circuits.standard_probe import model_head_scores
from analysis_lib.circuits.terms import LeaveOut, next_token_losses, score_terms
from analysis_lib.geometry import word_senses
from analysis_lib.incontext import algorithms, behaviour, estimators, heads, strategies
from analysis_lib.norms.bias import small_sample_bias
from analysis_lib.projections import (
    grammar,
    head_lists,
    lens_scores,
    lenses,
    neuron_activity,
    neurons,
    preferences,
    random_heads,
    rank_scores,
    shared_features,
    top_pairs,
    top_tokens,
    vo_factors,
)
from analysis_lib.projections.places import Places
from analysis_lib.projections.readers import Reader
from analysis_lib.projections.relations import permuted_null

gpt2, herbert, toy, regressor, noisy = (models.load(name) for name in ("polish-gpt2", "herbert", "minigpt", "regressor", "regressor-noisy"))
untrained = models.untrained_like(gpt2, seed=0)
print(*(loaded.label for loaded in (gpt2, herbert, toy, regressor, noisy)), sep="\n")

# %% [markdown]
# ## Two Polish models
#
# (sol-models-1)=
# ### Twice the queries, half the keys
#
# *Multiply $W_Q$ of a head by 2 and divide its $W_K$ by 2. What changes in the head's attention?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
w = weights.extract(gpt2)
before = w.W_Q[0, 3] @ w.W_K[0, 3].T
after = (2 * w.W_Q[0, 3]) @ (w.W_K[0, 3] / 2).T
print(f"largest change of W_Q W_K^T: {float((after - before).abs().max()):.1e}")

# %% [markdown]
# Nothing changes, since scores depend on the product alone. That is why this book reads heads as products, and never $W_Q$ or $W_K$ by itself.
#
# (sol-models-2)=
# ### A long word
#
# *Into how many pieces do the two tokenizers cut* najpiękniejszego *(of the most beautiful one), and how many of them are words?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rows = {}
for loaded in (gpt2, herbert):
    ids = loaded.tokenizer(" najpiękniejszego", add_special_tokens=False)["input_ids"]
    rows[loaded.name] = {"pieces": len(ids), "as text": " + ".join(loaded.vocabulary.text[i] for i in ids)}
report.table(pd.DataFrame(rows).T.rename_axis("model").reset_index(), "Pieces of najpiękniejszego")

# %% [markdown]
# Both cut the word, and neither cuts it where a grammar would: *naj-* (most), *piękn-* (beautiful), *-iejsz-* (more), *-ego* (of the one).
#
# (sol-models-3)=
# ### Words in another order
#
# *By how much does GPT-2's loss on a sentence rise when its words stand in another order?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rises, rng = [], np.random.default_rng(0)
for sentence in texts.sentences()[:20]:
    words = sentence.split()
    losses = []
    for text in (sentence, " ".join(rng.permutation(words))):
        ids = torch.tensor([gpt2.tokenizer(text)["input_ids"]])
        logits = gpt2.model(input_ids=ids).logits[0, :-1].detach()
        losses.append(float(torch.nn.functional.cross_entropy(logits, ids[0, 1:])))
    rises.append(losses[1] - losses[0])
print(f"{report.interval(*statistics.bootstrap_interval(rises), signed=True)} nats")

# %% [markdown]
# Order is much of what the model has learned, since the words are the same.
#
# ## Feed-forward layers
#
# (sol-ff-1)=
# ### Who writes *matka*?
#
# *Which neuron of GPT-2 has the value that points most at* matka *(mother), and what else does it point at?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
_, values = neurons.all_keys_values(w)
scores = values @ w.W_U[:, gpt2.vocabulary.word_id("matka")]
best = int(scores.argmax())
ids = top_tokens(values[[best]], w.W_U, 10, gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)).ids[0]
print(neurons.neuron_name(best, w.d_mlp), *gpt2.vocabulary.text[ids])

# %% [markdown]
# Compare the neuron's row in the {doc}`atlas`: a value that points most at one word need not point at others like it.
#
# (sol-ff-2)=
# ### Keys against values
#
# *At what share of neurons do key and value point away from each other, layer by layer? What does an untrained model have?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
shares = {}
for name, model in {"trained": w, "untrained": weights.extract(untrained)}.items():
    cosines = neurons.key_value_cosines(model).reshape(model.n_layers, -1)
    shares[name] = (cosines < 0).mean(axis=1)
report.table(pd.DataFrame(shares).rename_axis("layer").reset_index(), "GPT-2: share of neurons whose key and value have a negative cosine")

# %% [markdown]
# Half is what chance gives, and the untrained model has it. In the trained model the share falls with depth: most neurons of later layers write more of what they match.
#
# (sol-ff-3)=
# ### One word first
#
# *How many different words stand first in the lists of GPT-2's values, and which do so most often?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
kept = gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)
first = top_tokens(values, w.W_U, 1, kept).ids[:, 0]
ids, times = np.unique(first, return_counts=True)
order = np.argsort(-times, kind="stable")[:8]
print(f"{len(ids)} words for {len(first)} values; most often", *(f"{gpt2.vocabulary.text[ids[i]]} ({times[i]})" for i in order))

# %% [markdown]
# No word owns the lists, though a few stand first dozens of times.
#
# ## Neurons at work
#
# (sol-work-1)=
# ### Taken away
#
# *Subtract the value instead of adding it. Does its list fall as far as it rose?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
keep = gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)
rows = {}
for layer, neuron in ((0, 203), (2, 721), (3, 288)):
    value = w.W_out[layer, neuron]
    ids = top_tokens(value[None], w.W_U, 20, keep).ids
    both = neuron_activity.steering(gpt2, texts.sentences()[:8], layer, torch.stack([value, -value]), np.repeat(ids, 2, axis=0), keep)
    rows[f"L{layer}N{neuron}"] = dict(zip(["added", "subtracted"], both, strict=True))
report.table(pd.DataFrame(rows).T.rename_axis("value of").reset_index(), "GPT-2: rise of the value's twenty tokens beyond all words, nats")

# %% [markdown]
# Nearly. The effect is close to linear at this strength, so the direction of a value can be turned around.
#
# (sol-work-2)=
# ### Words in *-go*
#
# *Read the places where GPT-2's L0N57 fires, whose key lists words in* -go*. What do the words have in common that the rule does not count?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
firing = neuron_activity.Firing.of(gpt2, texts.sentences(), n=12)
report.table(firing.contexts(0, 57), "GPT-2, L0N57: where it fires most in the sentences")

# %% [markdown]
# Most of them announce a noun in the genitive: adjectives and pronouns do, and so do the prepositions *bez* (without) and *do* (to), which end otherwise. The ending is only what most of them share in a list.
#
# (sol-work-3)=
# ### The strongest place
#
# *Let the neurons of GPT-2's first layer be asked for their single strongest place. Does the list fit it better than it fits the twelve?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
reader = Reader.of(gpt2, numbers=True)
keys, values = (top_tokens(side, w.W_U, 20, reader.keep).ids for side in neurons.all_keys_values(w))
kinds = shared_features.token_kinds(reader.lexicon, reader.keep)
judged = shared_features.alike_lists(np.concatenate([keys, values]), kinds, reader.keep, gpt2.vocabulary.form_groups)
lists = neuron_activity.passing_lists(judged, np.arange(len(keys)), w.d_mlp).query("side == 'K' and layer == 0")
for n in (1, 3, 12):
    few = replace(firing, places=firing.places[..., :n], strength=firing.strength[..., :n])
    told = neuron_activity.foretold(neuron_activity.shares_of_places(few, lists), lists)
    print(f"{n:2d} strongest places: own {told['own'].mean():.2f}, other neurons {told['others'].mean():.2f}")

# %% [markdown]
# The stronger the place, the better the list fits.
#
# ## Attention heads
#
# (sol-heads-1)=
# ### Raw weights
#
# *How many of the 200 best pairs in the VO of GPT-2's L0H3 remain if the weights are read raw, without layer norm and with unembeddings of any length?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
reader = Reader.of(gpt2)
lists = {how: head_lists.head_pairs(reader, "VO", how, heads=[(0, 3)])[0, 3] for how in ("unit", "raw")}
pairs = {how: set(zip(found.left_ids.tolist(), found.right_ids.tolist(), strict=True)) for how, found in lists.items()}
print(f"{len(pairs['unit'] & pairs['raw'])} of {len(pairs['unit'])} pairs remain")
pd.DataFrame({how: head_lists.shown_pairs(found, reader.vocabulary, 5) for how, found in lists.items()})

# %% [markdown]
# The reading decides what a list shows, so a list without its reading says little.
#
# (sol-heads-2)=
# ### Chance
#
# *Take the same list and permute its right column. How often do two words then agree in case or number, and how often in the list itself?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
found = lists["unit"]
null = permuted_null(
    found.left_ids, found.right_ids, reader.lexicon, reader.vocabulary.form_groups, names=("same_case", "same_number", "same_lemma"), max_draws=500
)
report.table(null[["share", "null_mean", "p"]].reset_index(), "GPT-2, VO of L0H3: shares of pairs, and their mean when the right column is permuted")

# %% [markdown]
# Polish forms are ambiguous: out of context, most pairs of words share a case by accident. A share without its null looks like a finding.
#
# (sol-heads-3)=
# ### A head that learned nothing
#
# *Put random projections in the place of all heads (`random_heads.symmetric`). In what share of a head's 200 best pairs are the two words forms of one word, before and after?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
drawn, kept, groups = random_heads.symmetric(w, seed=0), reader.keep, gpt2.vocabulary.form_groups
shares = {"trained": [], "random projections": []}
for found, of in zip(shares.values(), (w, drawn), strict=True):
    for layer, head in np.ndindex(w.n_layers, w.n_heads):
        left, right = vo_factors(of, layer, head, embedding="layer_norm", unembedding="unit")
        pairs = top_pairs(left, right, k=200, keep_left=kept, keep_right=kept, groups=groups)
        table = permuted_null(pairs.left_ids, pairs.right_ids, reader.lexicon, groups, names=("same_lemma",), max_draws=20)
        found.append(table.loc["same_lemma", "share"])
for name, found in shares.items():
    print(f"{name}: {report.percent(np.mean(found))} on average, {report.percent(max(found))} in the best head")

# %% [markdown]
# The embedding alone pairs forms of a word. A head has to be held against that.
#
# ## Grammar by head
#
# (sol-gram-1)=
# ### A rule more
#
# *Add a rule, such as the second person of verbs, to* `grammar.RULES` *and its name to* `grammar.RELATIONS`*, lower* `min_pairs`*, and see which relations appear.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
words = set(gpt2.vocabulary.text[gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)])
before = grammar.relation_pairs(words, max_pairs=40)
rule = {"he does to you do": (("fin:sg:ter:*", "fin:sg:sec:*"),)}
with patch.dict(grammar.RULES, rule), patch.object(grammar, "RELATIONS", (*grammar.RELATIONS, *rule)):
    after = grammar.relation_pairs(words, min_pairs=8, max_pairs=40)
rows = [(name, len(own), ", ".join(f"{a} → {b}" for a, b in own[:3])) for name, own in after.items() if name not in before]
report.table(pd.DataFrame(rows, columns=["relation", "pairs", "the first three"]), "GPT-2: relations that a lower limit adds")

# %% [markdown]
# Forms of address are rare in the texts that this model read: the new relation has just enough pairs. With so few, a head has to lead to nearly all of them before it stands out.
#
# (sol-gram-2)=
# ### The genitive of negation
#
# *Put* nie *(not) before the verb: its object is then in the genitive. Does GPT-2 know?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
verbs = [word for word in ("widział", "znał", "kochał", "pamiętał", "rozumiał", "czytał", "widziała", "znała", "kochała") if word in words]
nouns = [("matkę", "matki"), ("wodę", "wody"), ("prawdę", "prawdy"), ("książkę", "książki"), ("drogę", "drogi"), ("siostrę", "siostry")]
nouns = [forms for forms in nouns if words >= set(forms)]
rows = [(f"On {no} {verb}", verb, *forms[:: -1 if no == "nie" else 1]) for verb in verbs for forms in nouns for no in ("nie", "już")]
pairs = pd.DataFrame(rows, columns=["prefix", "cue", "right", "wrong"])
margins = preferences.PairScorer(gpt2, pairs).margins().reshape(-1, 2)  # with nie (not), with już (already)
for name, values in {"with nie": margins[:, 0], "with już": margins[:, 1], "both together": margins.mean(axis=1)}.items():
    print(f"{name}: right form preferred in {report.percent((values > 0).mean())} of {len(values)} cases")

# %% [markdown]
# It does: after *nie* it always prefers the genitive. After *już* it prefers the accusative only about as often as not, so it likes these genitives anyhow; the mean of both margins, in which that cancels out, is above zero in most cases.
#
# (sol-gram-3)=
# ### Unembeddings of length one
#
# *Use columns of the unembedding of length one in place of the raw ones. Which relations profit?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rng = np.random.default_rng(0)
kept = gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)
tokens = grammar.pair_ids(before, gpt2.vocabulary.text, kept)
rivals = rng.choice(np.flatnonzero(kept), 1000, replace=False)
left, right = rank_scores.head_factors(w, 0, 3)
scores = {
    "raw": rank_scores.rank_scores(left, right, tokens, rivals),
    "length one": rank_scores.rank_scores(left, right / w.W_U.norm(dim=0)[:, None], tokens, rivals),
}
excess = pd.DataFrame({name: table.set_index("relation")["excess"] for name, table in scores.items()})
excess["gain"] = excess["length one"] - excess["raw"]
ends = pd.concat([excess.nlargest(3, "gain"), excess.nsmallest(3, "gain")])
print(f"{(excess['gain'] > 0).sum()} of {len(excess)} relations profit; mean gain {excess['gain'].mean():+.3f}")
report.table(ends.reset_index(), "GPT-2, L0H3: excess of the rank score; the three largest and the three smallest gains", digits=3)

# %% [markdown]
# Most relations profit, and little. Lengths of unembeddings are not what keeps a head's table from leading further.
#
# ## Geometry
#
# (sol-geo-1)=
# ### A pilot
#
# *A* pilot *is a flyer or a remote control. Find an occurrence whose nearest neighbour changes sense between the embedding and the last layer. In which block does it happen?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
encoder = models.load("e5", "embedded") if models.available()["e5"]["embedded"] else herbert  # without e5, the small encoder
cases = texts.senses().query("lemma == 'pilot'").reset_index(drop=True)
words = geometry.WordStates.of(activations.run(encoder, cases["sentence"]))
states = words.states[:, word_senses.locate(words.table, cases.index, cases["start"])]
nearest = np.array([[word_senses.nearest_occurrences(layer, place)[0][0] for place in range(len(cases))] for layer in states])
right = cases["sense"].to_numpy()[nearest] == cases["sense"].to_numpy()  # [layer, occurrence]
changed = np.flatnonzero(~right[0] & right[-1])
for place in changed[:3]:
    print(cases["sentence"][place], "| from layer", words.layers[int(np.flatnonzero(~right[:, place])[-1]) + 1], "on")
print(f"{len(changed)} of {len(cases)} occurrences change to their own sense; same sense by layer:", right.mean(axis=1).round(2))

# %% [markdown]
# There is no one block where words change sense; each occurrence has its own.
#
# (sol-geo-2)=
# ### Ten rogue dimensions
#
# *Remove ten rogue dimensions of each layer instead of three. How much of GPT-2's mean cosine is left after the last block?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
read = geometry.WordStates.of(activations.run(gpt2, texts.sentences()))
last = read.layers.index("4") if "4" in list(read.layers) else -1
cosine = {}
for k in (0, 3, 10):
    kept = read.states if k == 0 else read.without_dimensions(geometry.rogue_dimensions(read.states, read.texts, k=k).dimensions)
    cosine[f"without {k}"] = geometry.anisotropy(kept[[last]], read.texts).at(0).estimate
report.table(pd.Series(cosine, name="mean cosine").rename_axis("dimensions").reset_index(), "GPT-2 after its last block: mean cosine of words of different texts")

# %% [markdown]
# Three of 192 dimensions do most of it; seven more add little.
#
# ## What a model would say early
#
# (sol-lens-1)=
# ### The logit lens on a sentence
#
# *Read one sentence of GPT-2 with the logit lens. In which column do the guesses become words that go on?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
found = Places.of(gpt2, ["Po długiej chwili milczenia ojciec położył mu rękę na ramieniu."])
lens = lenses.logit_lens(*found.states[:, 0].shape)
seen = lens_scores.compare(w, found.states[-1], lens(found.states))
said = pd.DataFrame(gpt2.vocabulary.text[seen.top].T, columns=[f"layer {layer}" for layer in found.layers])
said.insert(0, "after", gpt2.vocabulary.text[found.table["token_id"]])
report.table(said, "What the logit lens says after each layer")

# %% [markdown]
# After the embedding the lens mostly names the token that was read, since reading and writing share one matrix. Then it says commas and the commonest words; words that go on come after the last block but one.
#
# (sol-lens-2)=
# ### More hidden words
#
# *Hide every second word instead of every fifth. How much of HerBERT's prediction is there after the first block then?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
sentences = texts.senses()["sentence"].tolist()[:240]
reads, rows = weights.extract(herbert), {}
for every in (5, 2):
    found = Places.of(herbert, sentences, every=every)
    text = found.table["text"].to_numpy()
    fit, rest = np.flatnonzero(text % 2 == 0), np.flatnonzero(text % 2)[:500]
    lens = lenses.affine_lens(found.states[:2, fit], found.states[-1, fit], text[fit], penalties=[0.01])
    seen = lens_scores.compare(reads, found.states[-1, rest], lens(found.states[:2, rest]))
    rows[f"one word in {every}"] = {"same token": seen.agrees[1].mean(), "divergence [nats]": seen.kl[1].mean()}
report.table(pd.DataFrame(rows).T.rename_axis("hidden").reset_index(), "HerBERT after one block: the affine lens beside the whole model")

# %% [markdown]
# No less than before. With fewer words to read the whole model knows less, too, and one block finds what there is to find.
#
# (sol-lens-3)=
# ### Unsure, or sure and wrong?
#
# *Compute the entropy of each lens's prediction. Are early predictions unsure, or sure and wrong?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
found = Places.of(gpt2, texts.sentences())
text = found.table["text"].to_numpy()
fit, rest = np.flatnonzero(text % 2 == 0), np.flatnonzero(text % 2)[:300]
read_by = {"logit lens": lenses.logit_lens(*found.states[:, 0].shape)}
read_by["affine lens"] = lenses.affine_lens(found.states[:, fit], found.states[-1, fit], text[fit], penalties=[0.1])
entropy = {}
for name, lens in read_by.items():
    logits = [w.logits(torch.from_numpy(layer)) for layer in lens(found.states[:, rest]).astype(np.float32)]
    entropy[name] = [float(torch.distributions.Categorical(logits=layer).entropy().mean()) for layer in logits]
report.table(pd.DataFrame(entropy, index=found.layers).rename_axis("layer").reset_index(), "GPT-2: entropy of what a lens predicts [nats]")

# %% [markdown]
# The logit lens is sure and wrong: before the last block it is surer than the model itself. The affine lens is about as unsure as the model from the first block on.
#
# ## Induction
#
# (sol-ind-1)=
# ### Luck
#
# *Choose the head of GPT-2 with the highest induction score on one draw of the probe and score it on another. By how much does the score fall, and by how much does that of the toy's best head?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rows = {}
for loaded in (gpt2, toy):
    chosen, again = (model_head_scores(loaded, "induction", n_sequences=24, seed=seed) for seed in (3, 4))
    layer, head = np.unravel_index(chosen.argmax(), chosen.shape)
    rows[f"{loaded.name} L{layer}H{head}"] = {"chosen on": chosen[layer, head], "measured on another": again[layer, head]}
report.table(pd.DataFrame(rows).T.rename_axis("head").reset_index(), "Induction score of the best head", digits=3)

# %% [markdown]
# The largest of many small scores is partly luck. A head that does something keeps its score.
#
# (sol-ind-2)=
# ### Who writes for whom?
#
# *Which pair of heads of the toy composes most, through keys, beyond random orientations?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
z = circuits.composition_z(weights.extract(toy), "K", n_draws=200).z
early, first, late, second = np.unravel_index(z.argmax(), z.shape)
back, induction = (model_head_scores(toy, kind, n_sequences=16) for kind in ("previous token", "induction"))
print(f"L{early}H{first} writes what L{late}H{second} reads with its keys: z = {z.max():.0f}")
print(f"previous-token score of the first {back[early, first]:.2f}, induction score of the second {induction[late, second]:.2f}")

# %% [markdown]
# The weights alone name a pair of the circuit.
#
# (sol-ind-3)=
# ### Heads without training
#
# *How high is the best induction score of an untrained GPT-2?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
scored = {name: model_head_scores(loaded, "induction", n_sequences=24, seed=3).max() for name, loaded in {"GPT-2": gpt2, "untrained": untrained}.items()}
print(*(f"{name}: {value:.3f}" for name, value in scored.items()), sep=", ")

# %% [markdown]
# Hardly lower than the trained model's. The best of many heads is above zero without any training, so a score needs this comparison.
#
# ## Induction in Polish models
#
# (sol-indpl-1)=
# ### Scene by scene
#
# *Does GPT-2 recall names better in one of the three scenes?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
people = repeated_names.named_people(gpt2.vocabulary, 120, seed=5)
preferences = repeated_names.name_preferences(gpt2, people)
scenes = {scene.format(*["…"] * 4): statistics.bootstrap_interval(preferences[at :: len(repeated_names.SCENES)]) for at, scene in enumerate(repeated_names.SCENES)}
report.table(pd.DataFrame({"preference": scenes}).rename_axis("scene").reset_index(), "Preference for the right surname by scene, nats")

# %% [markdown]
# None of the three intervals lies clear of zero.
#
# ## Terms of attention
#
# (sol-terms-1)=
# ### An exact sum
#
# *Check on random symbols that the four terms add up to what the toy's layer 0 attends by.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
drawn = torch.randint(1, 32, (2, 12), generator=torch.Generator().manual_seed(0))
total = score_terms(weights.extract(toy), drawn, layer=0).sum(dim=0)  # [sequence, head, query, key]
hidden = torch.ones(12, 12, dtype=torch.bool).triu(1)
rebuilt = total.masked_fill(hidden, -torch.inf).softmax(dim=-1)
patterns = activations.run_ids(toy, drawn.numpy(), outputs=["patterns"]).output("patterns")
error = max(np.abs(rebuilt[i].numpy() - patterns[i][0]).max() for i in range(2))
print(f"largest difference of an attention weight: {error:.1e}")

# %% [markdown]
# (sol-terms-2)=
# ### Where nothing repeats
#
# *Leave token-token out of the toy's layer 1. How much does its loss rise where a block comes again, and how much at its first occurrence?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
probe = circuits.repeated_random_tokens(range(1, 32), 24, block=20, gap=(0, 10), start=0, length=64, distinct=False, seed=5)
ids, again = torch.as_tensor(probe.ids), torch.as_tensor(probe.predictable[:, :-1])
taken = weights.extract(toy)
rise = next_token_losses(taken, ids, LeaveOut("token-token", 1)) - next_token_losses(taken, ids)
print(f"where the block comes again {float(rise[again].mean()):+.2f} nats, elsewhere {float(rise[~again].mean()):+.2f} nats")

# %% [markdown]
# Where nothing repeats the loss even falls: there the term only misleads.
#
# (sol-terms-3)=
# ### Positions below
#
# *Leave position-position out of the toy's layer 0. How much does its loss rise where a block comes again?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rise = next_token_losses(taken, ids, LeaveOut("position-position", 0)) - next_token_losses(taken, ids)
print(f"where the block comes again {float(rise[again].mean()):+.2f} nats, elsewhere {float(rise[~again].mean()):+.2f} nats")

# %% [markdown]
# Layer 1 can continue a block only if layer 0 has said which symbol stood before, and layer 0 finds that one by its position.
#
# ## Regression in context
#
# (sol-ctx-1)=
# ### Noise
#
# *Which points does the model trained with noise use? Compare its `answer_influence` with `linear_influence` of the Bayes-optimal ridge.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(256, 10, 3, seed=51, noise=0.5)
ridge = partial(estimators.bayes_ridge, noise=0.5)
sizes = {
    "trained with noise": np.abs(incontext.answer_influence(noisy.model, prompts.xs, prompts.ys)).mean(axis=0),
    "Bayes-optimal ridge": np.abs(behaviour.linear_influence(ridge, prompts.xs)).mean(axis=0),
}
report.table(pd.DataFrame(sizes, index=range(1, 10)).rename_axis("shown point").reset_index(), "How much each shown answer moves the last prediction: mean size of the gradient")

# %% [markdown]
# Ridge regression uses all points alike. The model hardly looks at its last points.
#
# (sol-ctx-2)=
# ### Far from what it learned
#
# *Ablate each head on x three times as long. Does the error still depend on the same heads?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
plain = incontext.linear_prompts(256, 10, 3, seed=52)
far = incontext.Prompts(3 * plain.xs, 3 * plain.ys, 3 * plain.xs, 3 * plain.ys, plain.w)
errors = {}
for name, drawn in {"as trained": plain, "three times as long": far}.items():
    whole = behaviour.squared_errors(incontext.predict(regressor.model, drawn.xs, drawn.ys), drawn.ys, 3)[:, 6:].mean()
    rises = heads.ablation_errors(regressor.model, drawn, slice(6, None)).mean(axis=0) - whole
    errors[name] = {f"L{layer}H{head}": rises[layer, head] for layer, head in np.ndindex(*rises.shape)}
report.table(pd.DataFrame(errors).rename_axis("head").reset_index(), "Rise of the squared error / d from six examples on, without one head")

# %% [markdown]
# Errors grow with the square of the inputs, and the head that matters most stays the same.
#
# ## Layers and algorithms
#
# (sol-alg-1)=
# ### With noise
#
# *Which step of gradient descent are the errors of the model trained with noise most like, and are they still more like those of the best ridge regression?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(400, 10, 3, seed=53, noise=0.5)
answers = incontext.predict(noisy.model, prompts.xs, prompts.ys)
families = {
    "gradient descent": algorithms.gradient_descent(prompts.xs, prompts.ys, 24),
    "Bayes-optimal ridge": incontext.bayes_ridge(prompts.xs, prompts.ys, 0.5)[None],
    "least squares": incontext.least_squares(prompts.xs, prompts.ys)[None],
}
alike = {name: [algorithms.error_similarity(answers, other, prompts.ys).mean() for other in found] for name, found in families.items()}
report.table(pd.DataFrame({"most similar step": [int(np.argmax(found)) for found in alike.values()], "similarity": [max(found) for found in alike.values()]}, index=list(alike)).rename_axis("answerer").reset_index(), "Whose errors the model trained with noise makes")

# %% [markdown]
# The errors are nearly those of the ridge regression. Gradient descent that is stopped early is a kind of ridge regression too, and least squares, which trusts every point, is further away. Most of each error is the noise in y itself, which all share.

# %% [markdown]
# (sol-alg-2)=
# ### The best constant step
#
# *Give gradient descent its best constant step size,* $2 / (\lambda_{\min} + \lambda_{\max})$ *for each prompt. Are its errors still less like the model's than those of Newton's iteration?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
prompts = incontext.linear_prompts(400, 10, 3, seed=54)
xs, ys = (np.asarray(part, dtype=np.float64) for part in (prompts.xs, prompts.ys))
parts = (xs[..., :, None] * xs[..., None, :], xs * ys[..., None])
gram, target = (np.cumsum(part, axis=1) - part for part in parts)  # of the points before each
values = np.linalg.eigvalsh(gram)
smallest = np.where(values > 1e-9, values, np.inf).min(axis=-1)  # in directions that the points have
step, weight, best_step = 2 / (smallest + values[..., -1]), np.zeros_like(target), []
for _ in range(60):
    weight = weight + step[..., None] * (target - np.einsum("bpde,bpe->bpd", gram, weight))
    best_step.append(np.einsum("bpd,bpd->bp", weight, xs))
answers = incontext.predict(regressor.model, prompts.xs, prompts.ys)
families = {"gradient descent, best constant step": best_step}
families |= {"gradient descent": algorithms.gradient_descent(xs, ys, 60)[1:], "Newton's iteration": algorithms.newton(xs, ys, 12)[1:]}
alike = {name: [algorithms.error_similarity(answers, one, ys).mean() for one in steps] for name, steps in families.items()}
rows = [(name, 1 + int(np.argmax(found)), max(found)) for name, found in alike.items()]
report.table(pd.DataFrame(rows, columns=["algorithm", "most similar step", "similarity"]), "Whose errors the regressor makes", digits=3)

# %% [markdown]
# It makes them less alike. All are most alike after the last step, which is nearly least squares itself: the errors do not show steps.
#
# ## Choosing a model
#
# (sol-sel-1)=
# ### More points
#
# *Fit the regressions to 12 points and let the model that was trained with 6 answer. Is the hard choice still worse?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
few = models.load("model-selector-few")
squared = {n: strategies.compare(few.model, strategies.learn(n, 1500, seed=61), n_prompts=160, seed=62).squared_errors() for n in (6, 12)}
means = {f"{n} points": {name: values[:, 1:].mean() for name, values in found.items()} for n, found in squared.items()}
print(few.label)
report.table(pd.DataFrame(means).rename_axis("answers by").reset_index(), "Mean squared error after the first point", digits=3)

# %% [markdown]
# It is, although this model never saw regressions that were fitted to 12 points. All errors are smaller, since both regressions are closer to the truth.
#
# (sol-sel-2)=
# ### How different are they?
#
# *By how much do the predictions of the two regressions differ when they were fitted to 6, 12 or 21 points?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
apart = {}
for n in (6, 12, 21):
    xs = incontext.selector_prompts(2000, seed=63, n_fitted=n).xs
    apart[n] = float((xs[..., 0] - xs[..., 1]).square().mean())
report.table(pd.Series(apart, name="mean squared difference").rename_axis("points fitted").reset_index(), "Distance of the two regressions", digits=4)

# %% [markdown]
# ## Norms of updates
#
# (sol-norms-1)=
# ### One number
#
# *How strongly do the log norms of neighbouring tokens correlate in each layer of GPT-2, and how strongly in an untrained one?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rows = {}
for name, loaded in {"trained": gpt2, "untrained": untrained}.items():
    measured = norms.update_norms(loaded, texts.sentences())
    logs, text = np.log(measured.attention), measured.tokens["text"].to_numpy()
    neighbours = text[1:] == text[:-1]
    rows[name] = [np.corrcoef(layer[1:][neighbours], layer[:-1][neighbours])[0, 1] for layer in logs]
report.table(pd.DataFrame(rows).rename_axis("layer").reset_index(), "GPT-2: correlation of the log norm of an update with that of the token before")

# %% [markdown]
# Correlation is there before any training, so it cannot be read as something that the model learned.
#
# (sol-norms-2)=
# ### Short texts
#
# *A regression with a level for each text is biased in short texts. How large is the bias of a true coefficient of 0.5 in texts of 20, 50 and 200 tokens?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
for n in (20, 50, 200):
    print(f"{n} tokens: {report.number(small_sample_bias(0.5, n, n_texts=40), 3, signed=True)}")

# %% [markdown]
# (sol-norms-3)=
# ### Another order
#
# *Shuffle the tokens of each text. How much of the correlation between neighbours is left in GPT-2?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
measured, rng = norms.update_norms(gpt2, texts.sentences()), np.random.default_rng(0)
logs, text = np.log(measured.attention), measured.tokens["text"].to_numpy()
order = np.lexsort([rng.random(len(text)), text])  # texts stay where they are
neighbours, rows = text[1:] == text[:-1], {}
for name, values in {"in order": logs, "shuffled": logs[:, order]}.items():
    rows[name] = [np.corrcoef(layer[1:][neighbours], layer[:-1][neighbours])[0, 1] for layer in values]
report.table(pd.DataFrame(rows).rename_axis("layer").reset_index(), "GPT-2: correlation of the log norms of neighbours")

# %% [markdown]
# What is left is due to texts that differ. Most of the correlation needs the order of the tokens; whether one update acts on the next is another question, which interventions answer.
