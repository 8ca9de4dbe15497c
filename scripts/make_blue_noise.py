"""Make the mask of ordered dithering, fastkq/paint/blue_noise.npy.

    python scripts/make_blue_noise.py [TARGET]

Method: void and cluster (Ulichney 1993, doi:10.1117/12.152707). Dots are ranked by how they would
be taken from the tightest cluster, or added in the largest void. Crowding is measured in integers,
so that the mask is the same everywhere. It takes 0.1 s, which is why it is a file: each process
used to make its own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SIDE = 64
SIGMA = 1.5
SPARSE = 10  # one in so many places has a dot in the pattern that the mask starts from
TARGET = Path(__file__).parents[1] / "fastkq" / "paint" / "blue_noise.npy"


def make_ranks() -> np.ndarray:
    """Return the ranks (SIDE, SIDE) uint16 of places: the first so many are a pattern of dots."""
    n_places = SIDE**2
    away = np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE))
    bell = np.exp(-np.add.outer(away**2, away**2) / (2 * SIGMA**2))
    around = np.tile(np.rint(2.0**30 * bell).astype(np.int64), (2, 2))
    n_dots = n_places // SPARSE
    dots = np.zeros(n_places, bool)
    dots[np.random.default_rng(0).permutation(n_places)[:n_dots]] = True
    crowding = np.zeros(n_places, np.int64)

    def change(place: int, sign: int) -> None:
        y, x = divmod(place, SIDE)
        part = around[SIDE - y : 2 * SIDE - y, SIDE - x : 2 * SIDE - x]
        np.add(crowding, sign * part.ravel(), out=crowding)
        dots[place] = sign > 0

    def cluster() -> int:
        return int(np.argmax(np.where(dots, crowding, -1)))

    def void() -> int:
        return int(np.argmin(np.where(dots, np.iinfo(np.int64).max, crowding)))

    for place in np.flatnonzero(dots).tolist():
        change(place, 1)
    for _ in range(n_places):  # spread the dots; it ends when the same place is taken and given
        taken = cluster()
        change(taken, -1)
        given = void()
        change(given, 1)
        if taken == given:
            break
    ranks = np.empty(n_places, np.uint16)
    start, start_crowding = dots.copy(), crowding.copy()
    for rank in range(n_dots - 1, -1, -1):
        place = cluster()
        change(place, -1)
        ranks[place] = rank
    dots[:], crowding[:] = start, start_crowding
    for rank in range(n_dots, n_places):
        place = void()
        change(place, 1)
        ranks[place] = rank
    return ranks.reshape(SIDE, SIDE)


if __name__ == "__main__":
    np.save(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET, make_ranks())
