"""The mask of ordered dithering: which places of a pattern of dots come first."""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np

from fastkq.types import Array


@functools.cache
def blue_noise_ranks() -> Array:
    """Return the ranks (64, 64) uint16 of the places of a mask, 0 to 4095.

    The first so many places of any number are spread without low frequencies, and repeat well:
    `scripts/make_blue_noise.py` made the file, in 200 times the time that reading it takes.
    """
    with resources.files("fastkq.paint").joinpath("blue_noise.npy").open("rb") as file:
        ranks: Array = np.load(file, allow_pickle=False)
    return ranks
