"""Labels of pixels from the labels of colors, and files of plain labels."""

import numpy as np

from fastkq.colors.pixels import as_rows
from fastkq.engine.model import Fit
from fastkq.paint.dither import Dithering
from fastkq.paint.labels import Labeler

# What `compress` is told in order to write what `quantize` gives.
PLAIN = {"color_space": "srgb", "lossy": 0}
PLAIN_FLAGS = ["--color-space", "srgb", "--lossy", "0"]
BLACK = np.zeros((1, 3), np.uint8)


def apply_labels(array, codes, labels):
    """Label pixels by the labels of the colors of these codes; None: of cubes of colors."""
    fit = Fit(BLACK, labels, codes, inertia=0.0, opaque_inertia=0.0, n_iter=0)
    n_channels = 1 if array.ndim == 2 else array.shape[2]
    return Labeler(fit, Dithering(), n_channels).label(as_rows(array))[0]
