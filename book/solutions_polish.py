# %% [markdown]
# # Solutions: two Polish language models
# Each exercise is given in its chapter and repeated here, sometimes shortened. Its solution is a few lines of code, which this page runs and folds away with their result, and a remark on what follows. Other solutions may be as good.
# The models are always those of this book, since the answers are about them. The exercises of the other chapters are solved in {doc}`solutions_small`.

# %% tags=["hide-input"]
import re

import numpy as np
import pandas as pd
import torch

from analysis_lib import activations, geometry, models, report, statistics, texts, weights
from analysis_lib.projections.readers import Reader

gpt2, herbert = (models.load(name, source="embedded") for name in ("polish-gpt2", "herbert"))
untrained = models.untrained_like(gpt2, seed=0)
print(gpt2.label, herbert.label, sep="\n")

# %% [markdown]
# ## Two Polish models
#
# (sol-models-1)=
# ### Twice the queries, half the keys
# *Multiply* $W_Q$ *and* $b_Q$ *of a head by 2 and divide its* $W_K$ *and* $b_K$ *by 2. What changes in the head's attention?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
w = weights.extract(gpt2)
read = torch.randn(8, w.d_model, generator=torch.Generator().manual_seed(0))  # what a layer might read, at eight places
scores = {
    factor: ((read @ w.W_Q[0, 3] + w.b_Q[0, 3]) * factor) @ ((read @ w.W_K[0, 3] + w.b_K[0, 3]) / factor).T for factor in (1, 2)
}
print(f"largest change of a score: {float((scores[2] - scores[1]).abs().max()):.1e}")

# %% [markdown]
# Nothing changes, since every query is doubled and every key halved. (With the biases left as they are, the product of the matrices would stay the same but GPT-2's attention would not, since the bias of the queries would meet smaller keys.) That is why this book reads heads as products, and never $W_Q$ or $W_K$ by itself.
#
# (sol-models-2)=
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
# The words are the same, so much of what the model has learned is about their order.
#
# ## How words are cut
#
# (sol-tokens-1)=
# ### A long word
#
# *Into how many pieces do the three tokenizers cut* najpiękniejszego *(of the most beautiful one), and how many of them are words?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
e5 = [models.load("e5", source="embedded")] if models.available()["e5"]["embedded"] is not None else []  # not installed everywhere
rows = {}
for loaded in (gpt2, herbert, *e5):
    ids = loaded.tokenizer(" najpiękniejszego", add_special_tokens=False)["input_ids"]
    rows[loaded.name] = {"pieces": len(ids), "as text": " + ".join(loaded.vocabulary.text[i] for i in ids)}
report.table(pd.DataFrame(rows).T.rename_axis("model").reset_index(), "Pieces of najpiękniejszego")

# %% [markdown]
# Each cuts it into two pieces. Of all these pieces only one is a word, e5's *najpiękniej* (most beautifully). None cuts where a grammar would: *naj-* (most), *piękn-* (beautiful), *-iejsz-* (more), *-ego* (of the one).
#
# (sol-tokens-2)=
# ### An ending by itself
#
# *Some words in the paragraphs end in* -ego *and are cut. How many of them are cut right before this ending?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
words = sorted({word for text in texts.paragraphs()["text"] for word in re.findall(r"\w+ego\b", text)})
for loaded in (gpt2, herbert, *e5):
    cuts = [[loaded.vocabulary.text[i] for i in loaded.tokenizer(f" {word}", add_special_tokens=False)["input_ids"]] for word in words]
    cuts = [cut for cut in cuts if len(cut) > 1]
    print(f"{loaded.name}: {sum(cut[-1].strip() == 'ego' for cut in cuts)} of {len(cuts)}")

# %% [markdown]
# The two small models seldom cut there; e5 does in nearly half of the cases. A tokenizer cuts by counts of pieces and knows no grammar, so an ending that a model has learned may lie inside a piece.
#
# ## Feed-forward layers
#
# (sol-ff-1)=
# ### Who writes *matka*?
#
# *Which neuron of GPT-2 has the value that points most at* matka *(mother), and what else does it point at?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from analysis_lib.projections import neurons, top_tokens

_, values = neurons.all_keys_values(w)
scores = values @ w.W_U[:, gpt2.vocabulary.word_id("matka")]
best = int(scores.argmax())
ids = top_tokens(values[[best]], w.W_U, 10, gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)).ids[0]
print(neurons.neuron_name(best, w.d_mlp), *gpt2.vocabulary.text[ids])

# %% [markdown]
# *matka* itself is not among these ten words, which range from *obecności* (presence) to *synów* (sons). No other value points more at *matka*, and yet this one points more at many other words. See the neuron's row in the {doc}`atlas`.
#
# (sol-ff-2)=
# ### Keys against values
#
# *In what share of neurons do key and value point away from each other, layer by layer? What does an untrained model have?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
shares = {}
for name, model in {"trained": w, "untrained": weights.extract(untrained)}.items():
    cosines = neurons.key_value_cosines(model).reshape(model.n_layers, -1)
    shares[name] = (cosines < 0).mean(axis=1)
report.table(pd.DataFrame(shares).rename_axis("layer").reset_index(), "GPT-2: share of neurons whose key and value have a negative cosine")

# %% [markdown]
# Half is what chance gives, and the untrained model has about that. Training moves the first layer one way and all later layers the other: in the first layer most neurons take away what they match, and in every later layer most write more of it.
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
# No word dominates the lists: even the one that stands first most often does so in less than one list in a hundred. Those that lead most often are mostly small words of grammar, such as *się* (oneself), *i* (and) and *do* (to).
#
# ## Neurons at work
#
# (sol-work-1)=
# ### Taken away
#
# *Subtract the value instead of adding it. Does its list fall as far as it rose?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from dataclasses import replace

from analysis_lib.projections import neuron_activity, shared_features

keep = gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)
in_all_texts, rows = neuron_activity.Firing.of(gpt2, texts.all_texts(), n=12), {}
for layer, neuron in ((2, 118), (5, 528), (5, 106)):  # those of the chapter's cards
    value = w.W_out[layer, neuron] * float(in_all_texts.strength[layer, neuron].mean())
    ids = top_tokens(value[None], w.W_U, 20, keep).ids
    both = neuron_activity.steering(gpt2, texts.sentences()[:8], layer, torch.stack([value, -value]), np.repeat(ids, 2, axis=0), keep)
    rows[f"L{layer}N{neuron}"] = dict(zip(["added", "subtracted"], both, strict=True))
report.table(pd.DataFrame(rows).T.rename_axis("value of").reset_index(), "GPT-2: rise of the value's twenty tokens beyond all words, nats")

# %% [markdown]
# It does: in all three cases rise and fall differ by a few per cent at most, although the value is multiplied by the mean strength of the neuron at its twelve places, as in the chapter. The effect is close to linear.
#
# (sol-work-2)=
# ### Verbs in *-ła*
#
# *Read the places where GPT-2's L5N528 fires, a neuron whose key lists verbs in* -ła, *the past tense of* she. *What do the sentences there have in common?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
report.table(in_all_texts.contexts(5, 528), "GPT-2, L5N528: where it fires most in the texts of the chapter")

# %% [markdown]
# Nearly all of these sentences have a feminine subject at the place or near it, be it a woman (*matka*, mother; *królowa*, queen) or a thing whose noun is feminine (*burza*, storm; *sprężyna*, spring). A verb of such a subject ends in *-ła* in the past tense. A few of the places are verbs in *-ła* themselves. The list names these verbs, and the neuron fires where the sentence asks for them.
#
# (sol-work-3)=
# ### The strongest place
#
# *Take only the single strongest place of each neuron of GPT-2's first layer. Does the key's list fit it better than it fits the twelve?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
firing = neuron_activity.Firing.of(gpt2, texts.sentences(), n=12)
reader = Reader.of(gpt2, numbers=True)
keys, values = (top_tokens(side, w.W_U, 20, reader.keep).ids for side in neurons.all_keys_values(w))
kinds = shared_features.token_kinds(reader.lexicon, reader.keep)
judged = shared_features.alike_lists(np.concatenate([keys, values]), kinds, reader.keep, gpt2.vocabulary.form_groups)
lists = neuron_activity.passing_lists(judged, np.arange(len(keys)), w.d_mlp).query("side == 'K' and layer == 0")
for n in (1, 3, 12):
    few = replace(firing, places=firing.places[..., :n], strength=firing.strength[..., :n])
    matching = neuron_activity.matching_shares(neuron_activity.shares_of_places(few, lists), lists)
    print(f"{n:2d} strongest places: own {matching['own'].mean():.2f}, other neurons {matching['others'].mean():.2f}")

# %% [markdown]
# No. In these forty sentences the single strongest place fits a neuron's list no better than the places of other neurons do, and all twelve fit it only a little better. With one place for each of a few dozen keys, a small difference would not show.
#
# ## Attention heads
#
# (sol-heads-1)=
# ### Raw weights
#
# *How many of the 200 best pairs in the VO of GPT-2's L0H3 remain if the weights are read raw, without layer norm and with unembeddings of any length?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from analysis_lib.projections import head_lists, random_heads, top_pairs, vo_factors
from analysis_lib.projections.relations import permuted_null

reader = Reader.of(gpt2)
lists = {how: head_lists.head_pairs(reader, "VO", how, heads=[(0, 3)])[0, 3] for how in ("unit", "raw")}
pairs = {how: set(zip(found.left_ids.tolist(), found.right_ids.tolist(), strict=True)) for how, found in lists.items()}
print(f"{len(pairs['unit'] & pairs['raw'])} of {len(pairs['unit'])} pairs remain")
pd.DataFrame({how: head_lists.shown_pairs(found, reader.vocabulary, 5) for how, found in lists.items()})

# %% [markdown]
# Only about half of the pairs remain, and the first five have one pair in common, so a list should say how the weights were read. Under both readings the words of a pair often follow each other in text: *zwróć uwagę* (pay attention), *Skarb Państwa* (the Treasury).
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
table = null[["share", "null_mean", "p"]].rename(columns={"null_mean": "mean when permuted"}).reset_index()
cells = {"p": lambda p: report.p_value(p, floor=1 / 501, bare=True)}
report.table(table, "GPT-2, VO of L0H3: shares of pairs, and their mean when the right column is permuted", formats=cells)

# %% [markdown]
# The words of a pair agree in case more often than under permutation, and in number no more often. Polish forms are ambiguous: out of context, about half of the permuted pairs share a case by accident, and three quarters a number. A share without its null looks like a finding, and even the low p-value for case is that of a single list: corrected over all lists of the chapter, it does not pass (see the head's row in the {doc}`atlas`).
#
# (sol-heads-3)=
# ### A head that learned nothing
#
# *Replace all heads with random projections (`random_heads.symmetric`). In what share of a head's 200 best pairs are the two words forms of one word, before and after?*

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
# On average the random projections pair forms of a word more often than the trained heads do, since the embedding alone brings such forms together. A head has to be compared with that.
#
# ## Heads at work
#
# (sol-copying-1)=
# ### The mean of the vocabulary
#
# *Compute GPT-2's copying scores without removing the means. How many heads change their sign?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from analysis_lib.circuits import copying_scores
from analysis_lib.circuits.copying import copying_on_text

centred, as_they_are = (copying_scores(w, centre=centre) for centre in (True, False))
print(f"{(np.sign(centred) != np.sign(as_they_are)).sum()} of {centred.size} heads change their sign")
print(f"above zero: {(centred > 0).sum()} with the means removed, {(as_they_are > 0).sum()} without")

# %% [markdown]
# A direction that all tokens share decides the sign of some scores. No probability depends on this direction, so it should not decide a sign.
#
# (sol-copying-2)=
# ### The best of all heads
#
# *On the first twelve of 24 paragraphs, find the head that most raises what it attends to. By how much does it do so on the other twelve?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
ids = [gpt2.tokenizer(text)["input_ids"] for text in texts.paragraphs()["text"]]
on_text = copying_on_text(gpt2, np.array([found[:96] for found in ids if len(found) >= 96][:24]))["ablation"]
layer, head = np.unravel_index(on_text[:12].mean(axis=0).argmax(), on_text.shape[1:])
for half, paragraphs in {"on the first twelve": on_text[:12], "on the others": on_text[12:]}.items():
    print(f"L{layer}H{head} {half}: {report.interval(*statistics.bootstrap_interval(paragraphs[:, layer, head]))} logits")

# %% [markdown]
# The choice costs little here: on the other twelve the head raises what it attends to nearly as much. Where heads lie close together, the best one looks better than it is on the half that it was chosen on.
#
# ## Grammar by head
#
# (sol-gram-1)=
# ### One more rule
#
# *Add a rule, such as the second person of verbs, to* `grammar.RULES` *and its name to* `grammar.RELATIONS`*, lower* `min_pairs`*, and see which relations appear.*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from unittest.mock import patch

from analysis_lib.projections import grammar, preferences, rank_scores

words = set(gpt2.vocabulary.text[gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)])
before = grammar.relation_pairs(words, max_pairs=40)
rule = {"he does to you do": (("fin:sg:ter:*", "fin:sg:sec:*"),)}
with patch.dict(grammar.RULES, rule), patch.object(grammar, "RELATIONS", (*grammar.RELATIONS, *rule)):
    after = grammar.relation_pairs(words, min_pairs=8, max_pairs=40)
rows = [(name, len(own), ", ".join(f"{a} → {b}" for a, b in own[:3])) for name, own in after.items() if name not in before]
report.table(pd.DataFrame(rows, columns=["relation", "pairs", "the first three"]), "GPT-2: relations that a lower limit adds")

# %% [markdown]
# The lower limit lets in three relations, and the new one is not among them: the model has so few forms of the second person as whole words that they make fewer than eight pairs. Those that appear have fewer pairs than the usual limit of twenty. With so few, only a strong head can stand out.
#
# (sol-gram-2)=
# ### The genitive of negation
# *Put* nie *(not) before a verb: its object is then in the genitive. Does GPT-2 know?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
verbs = [word for word in ("widział", "znał", "kochał", "pamiętał", "rozumiał", "czytał", "widziała", "znała", "kochała") if word in words]
endings = {"list": "listu", "świat": "świata", "język": "języka", "głos": "głosu", "wiersz": "wiersza", "tekst": "tekstu", "pokój": "pokoju", "las": "lasu"}
nouns = [forms for forms in endings.items() if words >= set(forms)]  # of these masculine nouns the second form is never an accusative
rows = [(f"{'Ona' if verb.endswith('a') else 'On'} {no} {verb}", verb, *forms[:: -1 if no == "nie" else 1]) for verb in verbs for forms in nouns for no in ("nie", "już")]
pairs = pd.DataFrame(rows, columns=["prefix", "cue", "right", "wrong"])
margins = preferences.PairScorer(gpt2, pairs).margins().reshape(-1, 2)  # with nie (not), with już (already)
for name, values in {"with nie": margins[:, 0], "with już": margins[:, 1], "both together": margins.mean(axis=1)}.items():
    print(f"{name}: right form preferred in {report.percent((values > 0).mean())} of {len(values)} cases")

# %% [markdown]
# It does: after *nie* it prefers the genitive nearly always, and after *już* (already) the accusative. A general preference for one of the two forms cancels out in the mean of both margins, and this mean is above zero in every case.
#
# (sol-gram-3)=
# ### Unembeddings of length one
#
# *Scale the columns of the unembedding to length one. Which relations gain?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
rng = np.random.default_rng(0)
kept = gpt2.vocabulary.keep(whole_words=True, counts=gpt2.counts)
tokens = grammar.pair_ids(before, gpt2.vocabulary.text, kept)
rivals = rng.choice(np.flatnonzero(kept), 1000, replace=False)
left, right = rank_scores.head_factors(w, 0, 2)  # the head with the highest mean in the chapter
scores = {
    "raw": rank_scores.rank_scores(left, right, tokens, rivals),
    "length one": rank_scores.rank_scores(left, right / w.W_U.norm(dim=0)[:, None], tokens, rivals),
}
excess = pd.DataFrame({name: table.set_index("relation")["excess"] for name, table in scores.items()})
excess["gain"] = excess["length one"] - excess["raw"]
ends = pd.concat([excess.nlargest(3, "gain"), excess.nsmallest(3, "gain")])
print(f"{(excess['gain'] > 0).sum()} of {len(excess)} relations profit; mean gain {excess['gain'].mean():+.3f}")
report.table(ends.reset_index(), "GPT-2, L0H2: excess of the rank score; the three largest and the three smallest gains", digits=3)

# %% [markdown]
# Gains and losses are small beside the excess itself. The lengths of unembeddings are not what limits a head's table.
#
# ## Senses of a word
#
# (sol-geo-1)=
# ### A pilot
#
# *A* pilot *is a flyer or a remote control. Find an occurrence whose nearest neighbour changes sense between the embedding and the last layer. In which block does it happen?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from analysis_lib.geometry import word_senses

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
# The three shown are a flyer who makes for a lake when the engine dies, a remote control that has gone missing, and one that needs batteries. They change in three different blocks. That says little, since *pilot* is one of the words on which e5 does badly: after the last block the nearest neighbour is in the same sense less often than by chance.
#
# ## Geometry
#
# (sol-geo-2)=
# ### Ten rogue dimensions
#
# *Remove ten rogue dimensions of each layer instead of three. How much of GPT-2's mean cosine is left after the last block?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
read = geometry.WordStates.of(activations.run(gpt2, texts.sentences()))
last = read.last_block
cosine = {}
for k in (0, 3, 10):
    kept = read.states if k == 0 else read.without_dimensions(geometry.rogue_dimensions(read.states, read.texts, k=k).dimensions)
    cosine[f"without {k}"] = geometry.anisotropy(kept[[last]], read.texts).at(0).estimate
report.table(pd.Series(cosine, name="mean cosine").rename_axis("dimensions").reset_index(), "GPT-2 after its last block: mean cosine of words of different texts")

# %% [markdown]
# Removing three dimensions takes away most of the cosine; removing seven more can only take away a part of the little that is left.
#
# ## What a model would say early
#
# (sol-lens-1)=
# ### The logit lens on a sentence
# *Read the sentence of the chapter's figure with the logit lens. In which column do GPT-2's guesses begin to continue the sentence?*

# %% tags=["hide-cell"] mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"}
from analysis_lib.projections import lens_scores, lenses
from analysis_lib.projections.places import Places

found = Places.of(gpt2, ["Po długiej chwili milczenia ojciec położył mu rękę na ramieniu."])
lens = lenses.logit_lens(*found.states[:, 0].shape)
seen = lens_scores.compare(w, found.states[-1], lens(found.states))
said = pd.DataFrame(gpt2.vocabulary.text[seen.top].T, columns=[f"layer {layer}" for layer in found.layers])
said.insert(0, "after", gpt2.vocabulary.text[found.table["token_id"]])
report.table(said, "What the logit lens says after each layer")

# %% [markdown]
# (The sentence says: *After a long moment of silence his father laid a hand on his shoulder.*) After the embedding the lens names the token that was read, in every row, since reading and writing share one matrix. Then it says mostly commas and the commonest words. Nearly all words that do continue the sentence come in the last column only, which is the model's own guess; the commonest of them, *na* (on) after *rękę* (hand), comes two blocks earlier.
#
# (sol-lens-2)=
# ### More hidden words
#
# *Hide every second word instead of every fifth. How much of HerBERT's prediction is then there after the first block?*

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
# Not less than before: more than a third of the whole model's first guesses are there after one block in either case. By both measures the lens is somewhat nearer when more is hidden, but the table has no intervals, so this difference may be due to chance. With fewer words to read, the whole model probably knows less, too.
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
# The logit lens is mostly sure and wrong: before the last layer it is surer than the model itself, except after the first block, and the chapter's first figure shows how far off it is. The affine lens is a little less sure than the model in the early layers, and about as sure in the last ones.
