"""Every figure style of the book, in one place: `plots.name` for all chapters; a file here is one chapter's figures."""

from analysis_lib.plots.attention_terms import TERM_COLOURS, offset_profiles, part_maps, readings_by_row, term_maps, terms_by_head
from analysis_lib.plots.cost import search_ratios
from analysis_lib.plots.feed_forward import counts_against_chance, overlaps_by_layer, percent_maps, survival
from analysis_lib.plots.geometry import layer_panels, pair_bias, word_planes
from analysis_lib.plots.heads import against_control, points_by_layer, share_strips, shares_by_layer, weights_against_text, word_patterns
from analysis_lib.plots.incontext import (
    attention_grid,
    curve_panels,
    curves,
    forest,
    layer_lines,
    penalty_profiles,
    weights_by_odds,
)
from analysis_lib.plots.induction import (
    composition_maps,
    draw_induction,
    emergence,
    intervals,
    labelled_points,
    losses_by_place,
    patterns_with_targets,
    score_maps,
)
from analysis_lib.plots.models import block_steps, error_strips, guess_shares, loss_by_position, norm_histograms, training_curves
from analysis_lib.plots.neuron_cards import NeuronCard, NeuronCards
from analysis_lib.plots.norms import (
    change_by_distance,
    coefficient_steps,
    coefficients_against_nulls,
    coefficients_by_choice,
    explained_by_layer,
    norm_distributions,
    position_trends,
    regression_beside_effect,
    sources_and_coefficients,
)
from analysis_lib.plots.null_board import null_board
from analysis_lib.plots.style import CYCLE, FAINT, INK, MODEL_COLOURS, STYLE, use_style

__all__ = [
    "CYCLE",
    "FAINT",
    "INK",
    "MODEL_COLOURS",
    "STYLE",
    "TERM_COLOURS",
    "NeuronCard",
    "NeuronCards",
    "against_control",
    "attention_grid",
    "block_steps",
    "change_by_distance",
    "coefficient_steps",
    "coefficients_against_nulls",
    "coefficients_by_choice",
    "composition_maps",
    "counts_against_chance",
    "curve_panels",
    "curves",
    "draw_induction",
    "emergence",
    "error_strips",
    "explained_by_layer",
    "forest",
    "guess_shares",
    "intervals",
    "labelled_points",
    "layer_lines",
    "layer_panels",
    "loss_by_position",
    "losses_by_place",
    "norm_distributions",
    "null_board",
    "norm_histograms",
    "offset_profiles",
    "overlaps_by_layer",
    "pair_bias",
    "part_maps",
    "patterns_with_targets",
    "penalty_profiles",
    "percent_maps",
    "points_by_layer",
    "position_trends",
    "readings_by_row",
    "regression_beside_effect",
    "score_maps",
    "share_strips",
    "shares_by_layer",
    "search_ratios",
    "sources_and_coefficients",
    "survival",
    "term_maps",
    "terms_by_head",
    "training_curves",
    "use_style",
    "weights_against_text",
    "weights_by_odds",
    "word_patterns",
    "word_planes",
]
