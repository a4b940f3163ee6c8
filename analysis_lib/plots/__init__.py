"""Every figure style of the book, in one place: `plots.name` for all chapters; a file here is one chapter's figures."""

from analysis_lib.plots.attention_terms import TERM_COLOURS, offset_profiles, part_maps, readings_by_row, term_maps, terms_by_head
from analysis_lib.plots.feed_forward import overlaps_by_layer, percent_maps, survival
from analysis_lib.plots.geometry import layer_panels, pair_bias
from analysis_lib.plots.heads import against_control, depth_profiles, head_maps, points_by_layer, strips
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
from analysis_lib.plots.models import draw_strips, draw_training
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
from analysis_lib.plots.style import CYCLE, FAINT, INK, MODEL_COLOURS, STYLE, use_style

__all__ = [
    "CYCLE",
    "FAINT",
    "INK",
    "MODEL_COLOURS",
    "STYLE",
    "TERM_COLOURS",
    "against_control",
    "attention_grid",
    "change_by_distance",
    "coefficient_steps",
    "coefficients_against_nulls",
    "coefficients_by_choice",
    "composition_maps",
    "curve_panels",
    "curves",
    "depth_profiles",
    "draw_induction",
    "draw_strips",
    "draw_training",
    "emergence",
    "explained_by_layer",
    "forest",
    "head_maps",
    "intervals",
    "labelled_points",
    "layer_lines",
    "layer_panels",
    "losses_by_place",
    "norm_distributions",
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
    "sources_and_coefficients",
    "strips",
    "survival",
    "term_maps",
    "terms_by_head",
    "use_style",
    "weights_by_odds",
]
