"""Make the masks of ordered dithering, fastkq/paint/blue_noise.npy and fine_noise.npy.

    python scripts/make_blue_noise.py [DIRECTORY]

Method: void and cluster (Ulichney 1993, doi:10.1117/12.152707). Dots are ranked by how they would
be taken from the tightest cluster, or added in the largest void. Crowding is measured in integers,
so that the mask is the same everywhere. It takes 0.1 s, which is why it is a file: each process
used to make its own.

The fine mask fills the four places of each square of 2x2 pixels in turn: a quarter of the places
first, then those aslant to them, then the rest. Its dots have the finest grid that there is, which
files and SSIMULACRA2 prefer, and which is too fine to be seen in a picture of many colors; dots of
a quarter of the places, or their gaps, are blue noise on it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

SIDE = 64
SIGMA = 1.5
SPARSE = 10  # one in so many places has a dot in the pattern that the mask starts from
TARGET = Path(__file__).parents[1] / "fastkq" / "paint"
TURNS = {"blue_noise": np.zeros((2, 2), int), "fine_noise": np.array([[0, 2], [3, 1]])}


def make_ranks(turns: np.ndarray) -> np.ndarray:
    """Return the ranks (SIDE, SIDE) uint16 of places: the first so many are a pattern of dots.

    Places whose turn, (2, 2) and repeated, is earlier come first.
    """
    turn_of = np.tile(turns, (SIDE // 2, SIDE // 2)).ravel()
    n_places = SIDE**2
    away = np.minimum(np.arange(SIDE), SIDE - np.arange(SIDE))
    bell = np.exp(-np.add.outer(away**2, away**2) / (2 * SIGMA**2))
    around = np.tile(np.rint(2.0**30 * bell).astype(np.int64), (2, 2))
    starting = np.flatnonzero(turn_of == 0)
    n_dots = len(starting) // SPARSE
    dots = np.zeros(n_places, bool)
    dots[np.random.default_rng(0).permutation(starting)[:n_dots]] = True
    crowding = np.zeros(n_places, np.int64)

    def change(place: int, sign: int) -> None:
        y, x = divmod(place, SIDE)
        part = around[SIDE - y : 2 * SIDE - y, SIDE - x : 2 * SIDE - x]
        np.add(crowding, sign * part.ravel(), out=crowding)
        dots[place] = sign > 0

    def cluster() -> int:
        return int(np.argmax(np.where(dots, crowding, -1)))

    def void() -> int:
        is_open = ~dots & (turn_of == turn_of[~dots].min())
        return int(np.argmin(np.where(is_open, crowding, np.iinfo(np.int64).max)))

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
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    for name, turns in TURNS.items():
        np.save(directory / f"{name}.npy", make_ranks(turns))
