"""The errors that SSIMULACRA 2 counts, by tiles, and the pyramid of light below it.

Of two planes a and b the metric blurs a, b, a^2, b^2 and ab. Here these are the sum s = a + b, the
difference d = a - b and their squares, four blurs instead of five: a^2 + b^2 = (s^2 + d^2) / 2 and
ab = (s^2 - d^2) / 4. Nor is the error then what rounding leaves of two large numbers: equal
pictures have none at all, and scores are those of float64 to a thousandth.
"""

import numpy as np

from fastkq.kernels.compile import kernel

# A tile's nine rows of twelve planes lie in the second cache. Neither depends on the threads.
TILE, STRIP = 512, 128
RADIUS = 4
N_TAPS = 2 * RADIUS + 1
LEAST_ROWS = 8  # that a thread is asked for
# The Gaussian of sigma 1.5 as a sum of three cosines that end at 5 (Charalampidis 2016), which is
# what the reference's recursive filter computes.
TAPS = np.array(
    [
        0.00941436780965374,
        0.0360111146583644,
        0.1093353727774603,
        0.2129285920104222,
        0.2646211054881985,
        0.2129285920104222,
        0.1093353727774603,
        0.0360111146583644,
        0.00941436780965374,
    ]
)
T0, T1, T2, T3, T4 = TAPS[: RADIUS + 1].astype(np.float32)

# From light to the responses of the cones, whose cube roots XYB is made of (JPEG XL).
L_R, L_G, L_B = np.float32(0.30), np.float32(0.622), np.float32(0.078)
M_R, M_G, M_B = np.float32(0.23), np.float32(0.692), np.float32(0.078)
S_R, S_G, S_B = np.array([0.24342268924547819, 0.20476744424496821, 0.5518098665095536], np.float32)
BIAS = np.float32(0.0037930732552754493)
BIAS_ROOT = np.float32(np.cbrt(0.0037930732552754493))
# X is moved into 0 to 1 by 14 X + 0.42, and so on; the roots' bias is in these.
X_SCALE, X_SHIFT = np.float32(7), np.float32(0.42)
Y_SHIFT = np.float32(0.01 - np.cbrt(0.0037930732552754493))
B_SHIFT = np.float32(0.55)

THIRD, CUBE_ROOT_BITS = np.int32(3), np.int32(709921077)
TWO, HALF, QUARTER = np.float32(2), np.float32(0.5), np.float32(0.25)
ONE, THREE, ZERO = np.float32(1), np.float32(3), np.float32(0)
C2 = np.float32(0.0009)
N_NORMS = 6  # of three maps, the sum and that of the fourth powers


@kernel(inline=True)
def cube_root(
    x,  # float32: above 0
):
    """Return the cube root: a guess by the exponent, a step of Halley's and one of Newton's."""
    guess = np.int32(np.float32(x).view(np.int32) // THIRD + CUBE_ROOT_BITS).view(np.float32)
    cube = guess * guess * guess
    root = guess * ((cube + TWO * x) / (TWO * cube + x))
    square = root * root
    return root - (square * root - x) / (THREE * square)


@kernel(pieces="levels", least=LEAST_ROWS)
def fill_light(
    begin,  # of the rows ...
    end,  # ... and the end of these
    levels,  # (h, W * C) uint8, IN
    table,  # (1 or 3, 256 or 65536) float32, IN: light by level, or by 256 * alpha + level
    light,  # (3, h, W) float32, OUT
):
    """Look up the light of pixels; of one channel, a table of three rows has all three colors."""
    width = light.shape[2]
    n_channels = levels.shape[1] // width
    has_alpha = n_channels % 2 == 0
    for y in range(begin, end):
        row = levels[y]
        for c in range(3):
            shares, line = table[c % table.shape[0]], light[c, y]
            colors = row[c if n_channels > 2 else 0 :]
            if has_alpha:
                alphas = row[n_channels - 1 :]
                for x in range(width):
                    place = np.uint32(x * n_channels)
                    line[x] = shares[(np.uint32(alphas[place]) << np.uint32(8)) + colors[place]]
            elif n_channels == 1:
                for x in range(width):
                    line[x] = shares[colors[x]]
            else:
                for x in range(width):
                    line[x] = shares[colors[3 * x]]


@kernel(pieces="n_rows", least=LEAST_ROWS)
def halve(
    begin,  # of the rows to fill ...
    end,  # ... and the end of these
    light,  # (3, h, W) float32, IN: some rows of an image
    top,  # the first row to average ...
    bottom,  # ... and the one behind the last
    smaller,  # (3, ., (W + 1) // 2) float32, OUT: of the whole image
    at,  # its first row to fill
    n_rows,  # to fill
):
    """Average the light of 2x2 pixels; a last row or column that is alone is taken twice."""
    width, n_columns = light.shape[2], smaller.shape[2]
    for i in range(begin, end):
        y = top + 2 * i
        for c in range(3):
            above, below = light[c, y], light[c, min(y + 1, bottom - 1)]
            line = smaller[c, at + i]
            for x in range(width // 2):
                left, right = 2 * x, 2 * x + 1
                line[x] = QUARTER * (above[left] + above[right] + below[left] + below[right])
            if width % 2:
                line[n_columns - 1] = HALF * (above[width - 1] + below[width - 1])


@kernel()
def fill_xyb(
    red,  # (n,) float32, IN: light
    green,  # (n,) float32, IN
    blue,  # (n,) float32, IN
    xyb,  # (3, n) float32, OUT
):
    """Convert light to XYB, each moved into 0 to 1."""
    first, second, third = xyb[0], xyb[1], xyb[2]
    for x in range(red.shape[0]):
        r, g, b = red[x], green[x], blue[x]
        long = cube_root(L_R * r + L_G * g + L_B * b + BIAS)
        middle = cube_root(M_R * r + M_G * g + M_B * b + BIAS)
        short = cube_root(S_R * r + S_G * g + S_B * b + BIAS)
        luma = HALF * (long + middle)
        first[x] = X_SCALE * (long - middle) + X_SHIFT
        second[x] = luma + Y_SHIFT
        third[x] = short - luma + B_SHIFT


@kernel()
def mix(
    first,  # (n,) float32, IN
    second,  # (n,) float32, IN
    total,  # (n,) float32, OUT
    difference,  # (n,) float32, OUT
    square,  # (n,) float32, OUT: of the total
    distance,  # (n,) float32, OUT: the square of the difference
):
    """Fill what is blurred of a row of a component."""
    for x in range(first.shape[0]):
        s, d = first[x] + second[x], first[x] - second[x]
        total[x], difference[x], square[x], distance[x] = s, d, s * s, d * d


@kernel()
def blur_down(
    r0,  # nine rows (n,) float32, IN
    r1,
    r2,
    r3,
    r4,
    r5,
    r6,
    r7,
    r8,
    blurred,  # (n,) float32, OUT
):
    """Blur a row by those around it."""
    for x in range(blurred.shape[0]):
        near = T4 * r4[x] + T3 * (r3[x] + r5[x]) + T2 * (r2[x] + r6[x])
        blurred[x] = near + T1 * (r1[x] + r7[x]) + T0 * (r0[x] + r8[x])


@kernel()
def blur_across(
    row,  # (n + 8,) float32, IN
    blurred,  # (>= n,) float32, OUT
):
    """Blur a row along itself."""
    for x in range(row.shape[0] - 2 * RADIUS):
        near = T4 * row[x + 4] + T3 * (row[x + 3] + row[x + 5]) + T2 * (row[x + 2] + row[x + 6])
        blurred[x] = near + T1 * (row[x + 1] + row[x + 7]) + T0 * (row[x] + row[x + 8])


@kernel()
def add_errors(
    blurred,  # (4, >= n) float32, IN: total, difference and their squares
    total,  # (n,) float32, IN
    difference,  # (n,) float32, IN
    norms,  # (6, n) float32, INOUT: by column
):
    """Add the errors of a row of a component, and their fourth powers, to those above.

    One loop with the blur in it would not become vectors: 7 us for 512 pixels instead of 1.
    """
    means, shifts, squares, distances = blurred[0], blurred[1], blurred[2], blurred[3]
    n0, n1, n2, n3, n4, n5 = norms[0], norms[1], norms[2], norms[3], norms[4], norms[5]
    for x in range(total.shape[0]):
        mean, shift = means[x], shifts[x]
        contrast = squares[x] - mean * mean
        unlike = distances[x] - shift * shift
        # 1 - (1 - shift^2) num / den, where den - num is `unlike`.
        covariance = HALF * (contrast - unlike) + C2
        error = (unlike + shift * shift * covariance) / (HALF * (contrast + unlike) + C2)
        error = max(error, ZERO)
        s, d = total[x] - mean, difference[x] - shift
        edge, shown = HALF * abs(s + d), HALF * abs(s - d)
        ratio = (shown - edge) / (ONE + edge)
        artifact, lost = max(ratio, ZERO), max(-ratio, ZERO)
        n0[x] += error
        n2[x] += artifact
        n4[x] += lost
        error, artifact, lost = error * error, artifact * artifact, lost * lost
        n1[x] += error * error
        n3[x] += artifact * artifact
        n5[x] += lost * lost


@kernel(each="sums")
def sum_errors(
    tile,  # row by row of these
    first,  # (3, h, W) float32, IN: the light of some rows of the original ...
    second,  # (3, h, W) float32, IN: ... and of the distorted image
    top,  # the first row to count; those before and behind are for the blur, 0 beyond the image
    bottom,  # the row behind the last to count
    sums,  # (n_strips * n_tiles, 3, 6) float64, OUT
):
    """Sum the errors of rows, by tiles."""
    _, height, width = first.shape
    n_tiles = -(-width // TILE)
    row, left = top + tile // n_tiles * STRIP, tile % n_tiles * TILE
    end, n = min(row + STRIP, bottom), min(TILE, width - left)
    wide = n + 2 * RADIUS
    start, stop = max(left - RADIUS, 0), min(left + n + RADIUS, width)
    low = start - left + RADIUS
    high = low + stop - start
    ring = np.zeros((N_TAPS, 12, wide), np.float32)
    flat = ring.reshape((N_TAPS, 12 * wide))
    down, blurred = np.empty(12 * wide, np.float32), np.empty((12, wide), np.float32)
    across = blurred.reshape(12 * wide)
    a, b = np.empty((3, stop - start), np.float32), np.empty((3, stop - start), np.float32)
    norms = np.zeros((3, N_NORMS, n), np.float32)
    for y in range(row - RADIUS, end + RADIUS):
        step = y - row + RADIUS
        planes = ring[step % N_TAPS]
        if 0 <= y < height:
            fill_xyb(first[0, y, start:stop], first[1, y, start:stop], first[2, y, start:stop], a)
            fill_xyb(
                second[0, y, start:stop], second[1, y, start:stop], second[2, y, start:stop], b
            )
            for c in range(3):
                mix(
                    a[c],
                    b[c],
                    planes[4 * c, low:high],
                    planes[4 * c + 1, low:high],
                    planes[4 * c + 2, low:high],
                    planes[4 * c + 3, low:high],
                )
        else:
            line = flat[step % N_TAPS]
            for x in range(12 * wide):
                line[x] = ZERO
        if step < N_TAPS - 1:
            continue
        blur_down(
            flat[(step + 1) % N_TAPS],
            flat[(step + 2) % N_TAPS],
            flat[(step + 3) % N_TAPS],
            flat[(step + 4) % N_TAPS],
            flat[(step + 5) % N_TAPS],
            flat[(step + 6) % N_TAPS],
            flat[(step + 7) % N_TAPS],
            flat[(step + 8) % N_TAPS],
            flat[step % N_TAPS],
            down,
        )
        blur_across(down, across)  # all planes at once; the last 8 columns of each mean nothing
        middle = ring[(step + 5) % N_TAPS]
        for c in range(3):
            add_errors(
                blurred[4 * c : 4 * c + 4],
                middle[4 * c, RADIUS : RADIUS + n],
                middle[4 * c + 1, RADIUS : RADIUS + n],
                norms[c],
            )
    for c in range(3):
        for k in range(N_NORMS):
            total = 0.0
            for x in range(n):
                total += norms[c, k, x]
            sums[tile, c, k] = total
