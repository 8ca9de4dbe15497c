"""Mixtures of a palette's entries for ordered dithering, one for each small cube of colors."""

import numpy as np

from fastkq.kernels.compile import kernel
from fastkq.kernels.steps import OPAQUE

# The cubes have four levels a side: two gave 0.2 SSIMULACRA2 more, for several times as many.
CUBE_SHIFT, GREEN_SHIFT, RED_SHIFT = np.int32(2), np.int32(6), np.int32(12)
N_CUBES = 1 << 18
N_NEAR = 32  # entries are mixed of these neighbours; with 16, it was 0.2 to 0.4 SSIMULACRA2 less
N_MIXED = 4
LEAST_ROWS = 16  # that a thread is asked for
LEAST_CUBES = 64
ROUNDS = 16  # with 8, it was 0.2 SSIMULACRA2 less
# What the noise of a mixture counts, beside the error of its mean, where its entries are chosen ...
NOISE = 0.35
# ... and where their shares are. It leaves out the few dots that a color very near to an entry
# would get, which cost the most bytes and are seen first, and moves the mean of a mixture of two by
# a twenty-fifth of the way between them at most.
SHARED_NOISE = 0.08
LEAST_SHARE = 0.01  # of an entry that is mixed
FLAT = 0.01  # a way so much outside of what others span, squared, adds no direction to them
LEAST_GAIN = 0.01  # of a squared error in steps, that another round is worth


@kernel(inline=True)
def cube_of(
    red,  # uint8
    green,
    blue,
):
    """Return the number of the cube that a color lies in."""
    high = (np.int32(red) >> CUBE_SHIFT) << RED_SHIFT
    middle = (np.int32(green) >> CUBE_SHIFT) << GREEN_SHIFT
    return high | middle | (np.int32(blue) >> CUBE_SHIFT)


@kernel(pieces="pixels", least=LEAST_ROWS)
def mark_cubes(
    begin,  # of the rows ...
    end,  # ... and the end of these
    pixels,  # (n_rows, W * C) uint8, IN: of C = 1, 3 or 4 channels
    n_channels,
    is_used,  # (N_CUBES,) uint8, INOUT: becomes 1 for cubes of opaque pixels
):
    """Mark the cubes that colors of an image lie in; what several threads write is the same."""
    green, blue = (1, 2) if n_channels > 1 else (0, 0)
    for row in range(begin, end):
        own = pixels[row]
        for start in range(0, own.shape[0], n_channels):
            if n_channels != 4 or own[start + 3] == OPAQUE:
                is_used[cube_of(own[start], own[start + green], own[start + blue])] = 1


@kernel()
def find_shares(
    ways,  # (3, N) float64, IN: from the color to each entry; the first is the nearest
    lengths,  # (N,) float64, IN: squared, of these
    shares,  # (N,) float64, OUT: of each entry; they add up to 1
):
    """Find the mixture of least squared error of its mean + `NOISE` * squared noise.

    Method: pairwise Frank and Wolfe, as `kernels.mixture.mix_entries`. The noise is the variance of
    the entries: the mean of their squared lengths less that of the mean.
    """
    shares[:] = 0.0
    shares[0] = 1.0
    m0, m1, m2 = ways[0, 0], ways[1, 0], ways[2, 0]
    for _ in range(ROUNDS):
        worst, best, highest, lowest = 0, 0, -np.inf, np.inf
        for i in range(shares.shape[0]):
            along = m0 * ways[0, i] + m1 * ways[1, i] + m2 * ways[2, i]
            slope = 2.0 * (1.0 - NOISE) * along + NOISE * lengths[i]
            if slope < lowest:
                best, lowest = i, slope
            if shares[i] > 0.0 and slope > highest:
                worst, highest = i, slope
        if highest - lowest < LEAST_GAIN:
            break
        d0 = ways[0, best] - ways[0, worst]
        d1 = ways[1, best] - ways[1, worst]
        d2 = ways[2, best] - ways[2, worst]
        length = d0 * d0 + d1 * d1 + d2 * d2
        if length == 0.0:
            break
        part = min((highest - lowest) / (2.0 * (1.0 - NOISE) * length), shares[worst])
        shares[worst] -= part
        shares[best] += part
        m0, m1, m2 = m0 + part * d0, m1 + part * d1, m2 + part * d2


@kernel()
def find_second(
    ways,  # (3, N) float64, IN: from the color to each entry; the first is the nearest
):
    """Return the entry that a color near to the first one mixes best with, or 0."""
    best, least = 0, 0.0
    for i in range(1, ways.shape[1]):
        length = along = 0.0
        for channel in range(3):
            step = ways[channel, i] - ways[channel, 0]
            length += step * step
            along -= ways[channel, 0] * step
        if along > 0.0:
            part = min(along / length, 1.0)
            cost = part * (part * length - 2.0 * along) + NOISE * part * (1.0 - part) * length
            if cost < least:
                best, least = i, cost
    return best


@kernel()
def choose_mixed(
    ways,  # (3, N) float64, IN: from the color to each entry
    shares,  # (N,) float64, INOUT: those of the chosen become 0
    mixed,  # (N_MIXED,) int64, OUT
    axes,  # (3, 3) float64, OUT: directions of the ways from the first chosen to others
):
    """Choose the entries of the largest shares that span a point, a line, a triangle or more.

    Returns
    -------
    How many they are.
    """
    n_mixed = 0
    for _ in range(2 * N_MIXED):
        entry = 0
        for i in range(shares.shape[0]):
            if shares[i] > shares[entry]:
                entry = i
        if shares[entry] < LEAST_SHARE or n_mixed == N_MIXED:
            break
        shares[entry] = 0.0
        if n_mixed > 0:
            d0 = ways[0, entry] - ways[0, mixed[0]]
            d1 = ways[1, entry] - ways[1, mixed[0]]
            d2 = ways[2, entry] - ways[2, mixed[0]]
            length = d0 * d0 + d1 * d1 + d2 * d2
            for i in range(n_mixed - 1):
                along = d0 * axes[i, 0] + d1 * axes[i, 1] + d2 * axes[i, 2]
                d0, d1 = d0 - along * axes[i, 0], d1 - along * axes[i, 1]
                d2 -= along * axes[i, 2]
            rest = d0 * d0 + d1 * d1 + d2 * d2
            if rest <= FLAT * length:
                continue
            scale = 1.0 / np.sqrt(rest)
            axes[n_mixed - 1, 0], axes[n_mixed - 1, 1] = scale * d0, scale * d1
            axes[n_mixed - 1, 2] = scale * d2
        mixed[n_mixed] = entry
        n_mixed += 1
    return n_mixed


@kernel()
def solve_shares(
    points,  # (3, K) float64, IN
    numbers,  # (N_MIXED,) uint8, IN: of the entries, the first again where there are fewer
    n_mixed,
    planes,  # (N_MIXED, 4) float64, OUT: each entry's share of a color, by 1 and its coordinates
):
    """Find the shares of entries for any color: linear, where error and noise are least.

    With the ways d from the first entry, that is d'd shares = d'(color - first) - noise / 2 * d^2,
    all over 1 - noise.
    """
    steps, gram = np.zeros((3, 3)), np.zeros((3, 3))
    first = numbers[0]
    for i in range(3):
        for channel in range(3):
            steps[i, channel] = points[channel, numbers[i + 1]] - points[channel, first]
    for i in range(3):
        for j in range(3):
            for channel in range(3):
                gram[i, j] += steps[i, channel] * steps[j, channel]
        if i >= n_mixed - 1:
            gram[i, i] = 1.0
    planes[:] = 0.0
    planes[0, 0] = 1.0
    inverse = np.empty((3, 3))
    for i in range(3):
        a, b = (i + 1) % 3, (i + 2) % 3
        for j in range(3):
            c, d = (j + 1) % 3, (j + 2) % 3
            inverse[j, i] = gram[a, c] * gram[b, d] - gram[a, d] * gram[b, c]
    volume = 0.0
    for i in range(3):
        volume += gram[0, i] * inverse[i, 0]
    scale = 1.0 / (volume * (1.0 - SHARED_NOISE))
    for i in range(n_mixed - 1):
        for j in range(n_mixed - 1):
            part = scale * inverse[i, j]
            planes[i + 1, 0] -= 0.5 * SHARED_NOISE * part * gram[j, j]
            for channel in range(3):
                planes[i + 1, 1 + channel] += part * steps[j, channel]
                planes[i + 1, 0] -= part * steps[j, channel] * points[channel, first]
        for k in range(4):
            planes[0, k] -= planes[i + 1, k]


@kernel(pieces="numbers", least=LEAST_CUBES)
def find_mixtures(
    begin,  # of the cubes ...
    end,  # ... and the end of these
    colors,  # (3, n) float64, IN: the middles of cubes
    points,  # (3, K) float64, IN: the entries that may be mixed
    near,  # (K, N) uint8, IN: the neighbours of each entry, itself first
    numbers,  # (n, N_MIXED) uint8, OUT: the entries of each mixture, dark ones first
    planes,  # (n, N_MIXED - 1, 4) float32, OUT: sums of shares up to each, by 1 and coordinates
):
    """Find for each cube the entries that its colors are mixed of, and their shares."""
    n_near = near.shape[1]
    ways, lengths, shares = np.empty((3, n_near)), np.empty(n_near), np.empty(n_near)
    mixed, axes = np.zeros(N_MIXED, np.int64), np.empty((3, 3))
    parts, own = np.empty((N_MIXED, 4)), np.empty(N_MIXED, np.uint8)
    for cube in range(begin, end):
        nearest, least = 0, np.inf
        for entry in range(points.shape[1]):
            d0, d1 = points[0, entry] - colors[0, cube], points[1, entry] - colors[1, cube]
            d2 = points[2, entry] - colors[2, cube]
            distance = d0 * d0 + d1 * d1 + d2 * d2
            if distance < least:
                nearest, least = entry, distance
        for i in range(n_near):
            lengths[i] = 0.0
            for channel in range(3):
                ways[channel, i] = points[channel, near[nearest, i]] - colors[channel, cube]
                lengths[i] += ways[channel, i] * ways[channel, i]
        find_shares(ways, lengths, shares)
        if shares[0] == 1.0:
            second = find_second(ways)
            shares[second] = 1.0 if second == 0 else 0.5
        n_mixed = choose_mixed(ways, shares, mixed, axes)
        for i in range(N_MIXED):
            own[i] = near[nearest, mixed[i if i < n_mixed else 0]]
        solve_shares(points, own, n_mixed, parts)
        for i in range(1, N_MIXED):  # dark ones first
            for j in range(i, 0, -1):
                if points[0, own[j]] >= points[0, own[j - 1]]:
                    break
                own[j], own[j - 1] = own[j - 1], own[j]
                for k in range(4):
                    parts[j, k], parts[j - 1, k] = parts[j - 1, k], parts[j, k]
        for i in range(N_MIXED):
            numbers[cube, i] = own[i]
        for k in range(4):
            total = 0.0
            for i in range(N_MIXED - 1):
                total += parts[i, k]
                planes[cube, i, k] = total
