"""The kernel that labels the whole color cube, a point in every small cube, for large images."""

import numpy as np

from fastkq.kernels.candidates import (
    CELL,
    LANES,
    LEVELS,
    N_LANES,
    N_LEVELS,
    ONE,
    PARENT,
    ROOT,
    filter_candidates,
    find_nearest,
    start_lists,
)
from fastkq.kernels.compile import kernel

ROOT_STRIDE = 37
HALF = np.float32(0.5)


@kernel(pieces="n_roots")
def label_cubes(
    begin,  # of the roots ...
    end,  # ... and the end of these
    centers,  # (3, W) float32, IN: padded with FAR to whole LANES
    center_names,  # (W,) int32, IN: 0, 1, 2, ...
    n_centers,  # uint64: without the padding
    n_roots,  # R
    boxes,  # (R + 8 R + 64 R, 6) float32, IN: of the roots, the eight parents in each, their cells
    offsets,  # (3, n) float32, IN: points in every cell, from its low corner; whole LANES
    is_used,  # (64 R,) bool, IN: whether a cell's points differ; else all have its middle's label
    table,  # (64 R * n,) uint8, OUT
):
    """Label points that lie alike in every cell of the color cube with their nearest center."""
    n_points = offsets.shape[1]
    width = center_names.shape[0] + LANES
    for turn in range(begin, end):
        root = turn * ROOT_STRIDE % n_roots  # neighbours cost alike: spread them over the threads
        scores = np.empty(width, np.float32)
        score_bits = scores.view(np.int32)
        least = np.empty(LANES, np.float32)
        nearest = np.zeros(LANES, np.int32)
        lists = np.empty((N_LEVELS, 3, width), np.float32)
        names = np.zeros((N_LEVELS, width), np.int32)
        lengths = np.empty(N_LEVELS, np.uint64)
        points = np.empty((3, n_points), np.float32)
        unlabeled = np.zeros(n_points, np.uint8)
        start_lists(centers, center_names, n_centers, lists, names, lengths)
        for cell in range(64 * root, 64 * root + 64):
            level = ROOT if cell % 64 == 0 else PARENT if cell % 8 == 0 else CELL
            for lower in range(level, LEVELS):
                box = 9 * n_roots + cell
                if lower == PARENT:
                    box = n_roots + cell // 8
                elif lower == ROOT:
                    box = root
                lengths[lower] = filter_candidates(
                    boxes, box, lower, lengths[lower - ONE], lists, names, scores, score_bits
                )
            labels = table[cell * n_points : (cell + 1) * n_points]
            if lengths[CELL] == 1:
                for i in range(n_points):
                    labels[i] = names[CELL, 0]
                continue
            n_compared = np.uint64(n_points)
            for channel in range(3):
                low = boxes[9 * n_roots + cell, channel]
                for i in range(n_points):
                    points[channel, i] = low + offsets[channel, i]
            if not is_used[cell]:
                n_compared = N_LANES
                for channel in range(3):
                    low = boxes[9 * n_roots + cell, channel]
                    high = boxes[9 * n_roots + cell, 3 + channel]
                    points[channel, 0] = (low + high) * HALF
            for first in range(np.uint64(0), n_compared, N_LANES):
                find_nearest(
                    points,
                    first,
                    np.int32(LANES),
                    lists,
                    names,
                    lengths[CELL],
                    unlabeled,
                    least,
                    nearest,
                )
                for lane in range(N_LANES):
                    labels[first + lane] = nearest[lane]
            if not is_used[cell]:
                for i in range(n_points):
                    labels[i] = nearest[0]
