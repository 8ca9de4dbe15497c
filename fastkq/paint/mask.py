"""The masks of ordered dithering: which places of a pattern of dots come first."""

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
    return _read("blue_noise.npy")


@functools.cache
def fine_noise() -> Array:
    """Return a mask (64, 64) as thresholds, float32, 0 to 1: of the finest grid, then blue noise.

    Beside blue noise alone, it scored 2 to 4 SSIMULACRA2 more in as many bytes.
    """
    thresholds: Array = (_read("fine_noise.npy").astype(np.float32) + np.float32(0.5)) / 4096
    return thresholds


def _read(name: str) -> Array:
    with resources.files("fastkq.paint").joinpath(name).open("rb") as file:
        ranks: Array = np.load(file, allow_pickle=False)
    return ranks
