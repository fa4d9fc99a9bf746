"""Figures, drawn from numbers: curves, confusion matrices, errors, gradients, regions, images, searches.

Nothing here computes what it shows, and nothing opens a window: each function returns a figure, which `save_figure`
writes. It imports `common` and `nn`, and `training` for its types.
"""

from __future__ import annotations

from xpmlp.plots._common import save_figure
from xpmlp.plots._compare import MAX_COMPARED, comparison_figure
from xpmlp.plots._confusion import confusion_figure
from xpmlp.plots._curves import curves_figure
from xpmlp.plots._evaluation import importance_figure, probabilities_figure, residuals_figure
from xpmlp.plots._gradients import gradient_figure
from xpmlp.plots._images import images_figure, weights_figure
from xpmlp.plots._parallel import ParallelAxis, parallel_figure
from xpmlp.plots._regions import MAX_REGIONS, Regions, plane_grid, regions_figure

__all__ = [
    "MAX_COMPARED",
    "MAX_REGIONS",
    "ParallelAxis",
    "Regions",
    "comparison_figure",
    "confusion_figure",
    "curves_figure",
    "gradient_figure",
    "images_figure",
    "importance_figure",
    "parallel_figure",
    "plane_grid",
    "probabilities_figure",
    "regions_figure",
    "residuals_figure",
    "save_figure",
    "weights_figure",
]
