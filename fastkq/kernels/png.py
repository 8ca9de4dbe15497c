"""Kernels that make the rows of an indexed PNG easier to deflate: neighbours, and row filters."""

import numpy as np

from fastkq.kernels.compile import kernel

LEAST_ROWS = 8  # that a thread is asked for
N_FILTERS = 5  # none, sub, up, average, Paeth


@kernel(pieces="partials")
def count_neighbours(
    begin,  # of the parts ...
    end,  # ... and the end of these
    labels,  # (H, W) uint8, IN
    step,  # int, IN: one row in so many is looked at
    partials,  # (n_parts, K, K) int64, OUT
):
    """Count how often each entry stands right of each other one."""
    n_parts = partials.shape[0]
    n_rows = (labels.shape[0] + step - 1) // step
    for part in range(begin, end):
        counts = partials[part]
        counts[:] = 0
        for i in range(n_rows * part // n_parts, n_rows * (part + 1) // n_parts):
            row = labels[i * step]
            for x in range(1, row.shape[0]):
                counts[row[x - 1], row[x]] += 1


@kernel(inline=True)
def predict(left, above, corner):
    """Return Paeth's choice among three neighbours."""
    to_left = abs(above - corner)
    to_above = abs(left - corner)
    to_corner = abs(left + above - 2 * corner)
    if to_left <= to_above and to_left <= to_corner:
        return left
    if to_above <= to_corner:
        return above
    return corner


@kernel(pieces="rows", least=LEAST_ROWS)
def filter_rows(
    begin,  # of the rows ...
    end,  # ... and the end of these
    rows,  # (H, B) uint8, IN: packed indices
    logs,  # (B + 1,) float64, IN: n * log2(n)
    filtered,  # (H, 1 + B) uint8, OUT: behind the number of its filter
):
    """Filter each row so that its bytes have the least entropy; of equals, the first."""
    n_bytes = rows.shape[1]
    for y in range(begin, end):
        row, result = rows[y], filtered[y]
        tried = np.empty((N_FILTERS, n_bytes), np.uint8)
        counts = np.zeros((N_FILTERS, 256), np.int64)
        left, corner = np.int64(0), np.int64(0)
        for x in range(n_bytes):
            value = np.int64(row[x])
            above = np.int64(rows[y - 1, x]) if y > 0 else np.int64(0)
            tried[0, x] = value
            tried[1, x] = (value - left) & 255
            tried[2, x] = (value - above) & 255
            tried[3, x] = (value - (left + above) // 2) & 255
            tried[4, x] = (value - predict(left, above, corner)) & 255
            for i in range(N_FILTERS):
                counts[i, tried[i, x]] += 1
            left, corner = value, above
        best, most = 0, -1.0
        for i in range(N_FILTERS):
            # Entropy: n log n - sum of c log c, so that the most of the sum is the least entropy.
            total = 0.0
            for level in range(256):
                total += logs[counts[i, level]]
            if total > most:
                best, most = i, total
        result[0] = best
        result[1:] = tried[best]
