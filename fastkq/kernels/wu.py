"""Wu's variance cut over the cell moments (Xiaolin Wu, Graphics Gems II, 1991, pp. 126-133).

Method: cumulative moments over a grid of cells give the weight, mean and variance of any box by 8
look-ups. The box of largest variance is cut where the summed variance of its halves is least, until
there are K boxes. About 1 ms for K = 256.
"""

import numpy as np

from fastkq.kernels.compile import kernel


@kernel()
def cumulate_moments(
    moments,  # (S, S, S, 5) float64, INOUT: of cells before, of all cells up to each after
):
    """Add up the moments along the three axes, in one pass (three by NumPy take 2 ms)."""
    size = moments.shape[0]
    area = np.empty((size, 5))
    line = np.empty(5)
    for r in range(1, size):
        for b in range(size):
            for m in range(5):
                area[b, m] = 0.0
        for g in range(1, size):
            for m in range(5):
                line[m] = 0.0
            for b in range(1, size):
                for m in range(5):
                    line[m] += moments[r, g, b, m]
                    area[b, m] += line[m]
                    moments[r, g, b, m] = moments[r - 1, g, b, m] + area[b, m]


@kernel()
def box_moments(
    moments,  # (S, S, S, 5) float64, IN: cumulative; the first plane of each axis is zero
    box,  # (6,) int64, IN: low corner (exclusive), high corner (inclusive), in cells
    result,  # (5,) float64, OUT: weight, weighted sum of each channel, of the squared norm
):
    """Sum the moments inside a box."""
    r0, g0, b0, r1, g1, b1 = box
    for m in range(5):
        high = moments[r1, g1, b1, m] - moments[r1, g1, b0, m]
        high -= moments[r1, g0, b1, m] - moments[r1, g0, b0, m]
        low = moments[r0, g1, b1, m] - moments[r0, g1, b0, m]
        low -= moments[r0, g0, b1, m] - moments[r0, g0, b0, m]
        result[m] = high - low


@kernel()
def between(
    m,  # (5,) float64, IN: the moments of a box
):
    """Return the part of a box's squared norm that its mean explains."""
    return (m[1] * m[1] + m[2] * m[2] + m[3] * m[3]) / m[0]


@kernel()
def best_cut(
    moments,  # (S, S, S, 5) float64, IN
    box,  # (6,) int64, IN
):
    """Return the axis and position of the best cut (axis -1: none) and the box's variance."""
    whole, half, rest = np.empty(5), np.empty(5), np.empty(5)
    part = np.empty(6, np.int64)
    box_moments(moments, box, whole)
    best, best_axis, best_position = -1.0, -1, -1
    for axis in range(3):
        for side in range(6):  # not part[:] = box: copying slices takes 4 s more to compile
            part[side] = box[side]
        for position in range(box[axis] + 1, box[axis + 3]):
            part[axis + 3] = position
            box_moments(moments, part, half)
            if half[0] <= 0:
                continue
            if half[0] >= whole[0]:
                break
            for m in range(5):
                rest[m] = whole[m] - half[m]
            explained = between(half) + between(rest)
            if explained > best:
                best, best_axis, best_position = explained, axis, position
    return best_axis, best_position, whole[4] - between(whole)


@kernel()
def cut_boxes(
    moments,  # (S, S, S, 5) float64, IN: cumulative
    centers,  # (K, 3) float64, OUT: the means of the boxes
):
    """Cut the grid into up to K boxes and fill in their means; return how many."""
    n_centers = centers.shape[0]
    boxes = np.empty((n_centers, 6), np.int64)
    for channel in range(3):
        boxes[0, channel] = 0
        boxes[0, 3 + channel] = moments.shape[channel] - 1
    axes = np.empty(n_centers, np.int64)
    positions = np.empty(n_centers, np.int64)
    variances = np.empty(n_centers)
    axes[0], positions[0], variances[0] = best_cut(moments, boxes[0])
    n_boxes = 1
    while n_boxes < n_centers:
        widest = -1
        for k in range(n_boxes):
            if axes[k] >= 0 and (widest < 0 or variances[k] > variances[widest]):
                widest = k
        if widest < 0:  # a box for each occupied cell
            break
        axis = axes[widest]
        for side in range(6):
            boxes[n_boxes, side] = boxes[widest, side]
        boxes[n_boxes, axis] = positions[widest]
        boxes[widest, axis + 3] = positions[widest]
        for k in (widest, n_boxes):
            axes[k], positions[k], variances[k] = best_cut(moments, boxes[k])
        n_boxes += 1
    sums = np.empty(5)
    for k in range(n_boxes):
        box_moments(moments, boxes[k], sums)
        for channel in range(3):
            centers[k, channel] = sums[1 + channel] / sums[0]
    return n_boxes
