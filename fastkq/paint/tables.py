"""What the kernels of dithering need to know of a palette."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from fastkq import kernels
from fastkq.colors.pixels import OPAQUE
from fastkq.colors.spaces import linear_levels
from fastkq.engine.cells import pad_centers
from fastkq.types import Array, UInt8Array

# An error may be as large as the distance to an entry's fourth neighbour: colors between entries
# have smaller ones. Those of colors beyond all entries are damped, so that they do not smear.
LIMIT_NEIGHBOURS = 4
# Colors whose nearest others are farther than a sixth of the way from black to white, on the mean,
# are few: their mixtures are seen as the mean of their light. Palettes fitted to photos of Kodak's
# have 60 to 90 of 1020 steps with 16 colors, and 90 to 170 with 6 or 8, where SSIMULACRA2 prefers
# Oklab by 5. The 16 colors of a terminal have 190, where it prefers light by 25; seven inks, 291.
COARSE_STEPS = 1020 / 6
# Balls around so many entries, as large as that, find no room in the box of all colors: its volume
# would hold 163 of them at the density of the closest packing.
MOST_SPARSE = 192
# The box that colors and the errors that they are given are kept in: in Oklab, that of all colors,
# which the table of the nearest entries is made for. Alpha and light may go as far beyond as the
# errors of any mixture do.
OKLAB_BOX = ((0, 81, 2, -510), (1020, 602, 523, 1020))
LIGHT_BOX = ((-1020, -1020, -1020, -510), (2040, 2040, 2040, 1020))
# In place of the table of opaque entries, where there are none or all entries are compared.
NO_TABLE = np.zeros(1, np.int32), np.zeros(1, np.int64), np.zeros((1, 4, 16), np.int16)


@dataclass(frozen=True, eq=False)
class PaletteTables:
    """The entries of a palette in the coordinates that dithering compares; see `kernels.general`.

    Attributes
    ----------
    colors : (K, 4) uint8
    is_coarse : bool
        Whether the entries are so far apart that errors are those of light.
    own : (n,) uint8
        The opaque entries, which opaque pixels are restricted to; all where there are none.
    has_opaque : bool
    points : (4, K) float32
    limits : (2, K) float32
        Of the squared error that each entry passes on, for opaque pixels and for others.
    """

    colors: UInt8Array
    is_coarse: bool
    own: UInt8Array
    has_opaque: bool
    points: Array
    limits: Array

    @property
    def packed(self) -> Array:
        """The colors (K,) int32, 8 bits a channel, without alpha."""
        packed: Array = self.colors[:, :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
        return packed.astype(np.int32)

    @property
    def transparent(self) -> int:
        """The entry of fully transparent pixels."""
        return int(np.argmin(self.colors[:, 3]))

    @property
    def members(self) -> tuple[UInt8Array, Array]:
        """The entries (2, K) for opaque pixels and for others, dark ones first; how many (2,)."""
        order = np.argsort(self.points[0], kind="stable").astype(np.uint8)
        members = np.stack([order, order])
        is_own = np.isin(order, self.own)
        members[0, : len(self.own)] = order[is_own]
        return members, np.array([len(self.own), len(order)])

    @property
    def groups(self) -> tuple[Array, Array, int]:
        """The entries (n, 4, LANES) and their numbers (n, LANES), and how many are opaque ones'."""
        lanes = int(kernels.nearest.LANES)
        numbers, n_own = [], 0
        for some in (self.own, np.arange(len(self.colors))):
            n_missing = -len(some) % lanes
            filled = np.concatenate([some, np.repeat(some[:1], n_missing)])
            numbers.append(filled.astype(np.int32).reshape(-1, lanes))
            n_own = n_own or len(numbers[0])
        every = np.concatenate(numbers)
        return np.ascontiguousarray(self.points[:, every].transpose(1, 0, 2)), every, n_own

    def nearest_table(self) -> tuple[Array, Array, Array]:
        """Return the tables of the nearest opaque entries, see the function of this name."""
        cells, further, groups = nearest_table(np.ascontiguousarray(self.points[:3, self.own]))
        if len(self.own) < len(self.colors):
            groups[:, 3] = self.own[groups[:, 3]]
        return cells, further, groups


def make_tables(palette: UInt8Array) -> PaletteTables:
    """Return what the kernels need to know of a palette (K, 3 or 4)."""
    alphas = np.full((len(palette), 4 - palette.shape[1]), OPAQUE, np.uint8)
    colors = np.ascontiguousarray(np.concatenate([palette, alphas], axis=1))
    own = np.flatnonzero(colors[:, 3] == OPAQUE)
    has_opaque = len(own) > 0
    points = to_steps(colors, is_coarse=False)
    # Most entries tell. Of a photo that fades away three of 256 may be opaque, and far apart: to
    # mix as light what all of them reach took 8 microseconds a pixel.
    is_coarse = is_sparse(points[:, own]) and (2 * len(own) >= len(colors) or is_sparse(points))
    if is_coarse:
        points = to_steps(colors, is_coarse=True)
    if not has_opaque:
        own = np.arange(len(colors))
    limits = np.zeros((2, len(colors)), np.float32)
    for kind, some in enumerate((own, np.arange(len(colors)))):
        if kind and len(own) == len(colors) and has_opaque:
            limits[1] = limits[0]
            break
        distances = squared_distances(points[: 3 + kind, some])
        neighbour = min(LIMIT_NEIGHBOURS, len(some) - 1)
        limits[kind, some] = np.partition(distances, neighbour, axis=1)[:, neighbour]
    return PaletteTables(colors, is_coarse, own.astype(np.uint8), has_opaque, points, limits)


def to_steps(colors: UInt8Array, *, is_coarse: bool) -> Array:
    """Return the coordinates (4, K) of colors (K, 4), in steps, as the kernels compute them."""
    points = np.zeros((4, len(colors)), np.float32)
    light = linear_levels().astype(np.float32)
    # Most palettes are opaque, and their kernels are compiled in half of the time.
    is_plain = not is_coarse and (colors[:, 3] == OPAQUE).all()
    row = np.ascontiguousarray(colors[:, :3] if is_plain else colors).reshape(-1).view()
    row.flags.writeable = False
    if is_plain:
        kernels.steps.convert_row(row, light, points[:3])
    else:
        kernels.steps.convert_any_row(row, colors[:, 3].copy(), light, is_coarse, points)
    return points


def squared_distances(points: Array) -> Array:
    """Return the squared distances (K, K) of points (C, K)."""
    distances = np.zeros((points.shape[1],) * 2, points.dtype)
    for row in points:  # a third of the time of one sum over all
        differences = row[:, None] - row
        distances += differences * differences
    return distances


def is_sparse(points: Array) -> bool:
    """Return whether points (4, K) in Oklab are so far apart that light is what mixes."""
    distinct = np.unique(points, axis=1)
    if not 2 <= distinct.shape[1] <= MOST_SPARSE:
        return False
    distances = squared_distances(distinct.astype(np.float64))
    np.fill_diagonal(distances, np.inf)
    return bool(np.mean(np.sqrt(distances.min(axis=1))) > COARSE_STEPS)


def nearest_table(palette: Array) -> tuple[Array, Array, Array]:
    """Return the tables by which kernels find the palette entry nearest to any color.

    Parameters
    ----------
    palette : (3, K) float32
        In Oklab, in steps.

    Returns
    -------
    cells, further, groups
        See `kernels.dither.diffuse`.
    """
    nearest = kernels.nearest
    points = np.rint(palette)
    n_colors, n_cells = palette.shape[1], int(nearest.N_CELLS)
    if n_colors <= nearest.LANES:  # one group, for all cells, and no kernel to compile
        places = np.arange(nearest.LANES)
        numbers = np.where(places < n_colors, places, 0)
        group = np.ascontiguousarray([*points[:, numbers], numbers], np.int16)
        return np.zeros(n_cells, np.int32), np.zeros(2, np.int64), group[None]
    centers, numbers = pad_centers(points.T)
    entries = np.ascontiguousarray([*points, numbers[:n_colors]], np.int16)

    def list_candidates(corners: Array, side: int, room: int) -> tuple[Array, Array]:
        lists = np.empty((len(corners), nearest.N_PARTS, room), np.uint8)
        lengths = np.empty(lists.shape[:2], np.int64)
        nearest.list_candidates(
            corners, np.float32(side), centers, numbers, np.uint64(n_colors), lists, lengths
        )
        return lists.reshape(-1, room), lengths.ravel()

    # Cells are box by box until the end. Of those with more candidates, small cells are listed.
    order, cell_corners = _cells_by_box()
    boxes = np.ascontiguousarray(cell_corners[:: nearest.N_PARTS])
    lists, lengths = list_candidates(boxes, nearest.BOX_STEPS, nearest.LANES)
    is_crowded = lengths > nearest.LANES
    n_longest = int(lengths[is_crowded].max(initial=1))
    small_lists, small_lengths = list_candidates(
        cell_corners[is_crowded], nearest.CELL_STEPS, n_longest
    )

    n_groups = np.where(is_crowded, nearest.N_PARTS, 1)
    firsts = np.cumsum(n_groups) - n_groups
    small_firsts = firsts[is_crowded][:, None] + np.arange(nearest.N_PARTS)
    n_further = np.zeros(n_groups.sum(), np.int64)
    n_further[small_firsts.ravel()] = -(-small_lengths // nearest.LANES) - 1
    further = len(n_further) + np.concatenate([[0], np.cumsum(n_further)])
    groups = np.empty((further[-1], 4, nearest.LANES), np.int16)
    # What is written for a crowded cell is overwritten for the first of its small ones.
    lengths = np.minimum(lengths, nearest.LANES)
    nearest.fill_groups(entries, lists, lengths, firsts, further, groups)
    nearest.fill_groups(entries, small_lists, small_lengths, small_firsts.ravel(), further, groups)
    cells = np.empty(n_cells, np.int32)
    cells[order] = firsts << int(nearest.SPLIT_SHIFT) | np.where(is_crowded, nearest.SPLIT, 0)
    return cells, further, groups


@functools.cache
def _cells_by_box() -> tuple[Array, Array]:
    """Return the numbers of cells (n,), those of a box together, and low corners (n, 3) float32."""
    nearest = kernels.nearest
    sides = nearest.LIGHT_CELLS, nearest.CHROMA_CELLS, nearest.CHROMA_CELLS
    in_boxes = [number for side in sides for number in (side // 4, 4)]
    numbers = np.arange(nearest.N_CELLS).reshape(in_boxes)
    order = numbers.transpose(0, 2, 4, 1, 3, 5).ravel()
    corners = np.stack(np.unravel_index(order, sides), axis=1) * nearest.CELL_STEPS
    return order, corners.astype(np.float32)
