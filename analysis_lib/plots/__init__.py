"""Every figure style of the book, in one place: `plots.name` for all chapters; a file here is one chapter's figures."""

from analysis_lib.plots.attention_terms import offset_profiles, part_maps, readings_by_row, term_maps, terms_by_head
from analysis_lib.plots.feed_forward import overlaps_by_layer, percent_maps, survival
from analysis_lib.plots.heads import against_control, depth_profiles, head_maps, points_by_layer, strips
from analysis_lib.plots.models import draw_strips, draw_training
from analysis_lib.plots.style import CYCLE, FAINT, INK, MODEL_COLOURS, STYLE, use_style

__all__ = [
    "CYCLE",
    "FAINT",
    "INK",
    "MODEL_COLOURS",
    "STYLE",
    "against_control",
    "depth_profiles",
    "draw_strips",
    "draw_training",
    "head_maps",
    "offset_profiles",
    "overlaps_by_layer",
    "part_maps",
    "percent_maps",
    "points_by_layer",
    "readings_by_row",
    "strips",
    "survival",
    "term_maps",
    "terms_by_head",
    "use_style",
]
