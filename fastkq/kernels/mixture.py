"""Which entries of a palette mix to a color, and how much of each."""

import numpy as np

from fastkq.kernels.compile import kernel

ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)
# After so many rounds, mixtures of seven colors of ink are 0.05 % of the way from black to white away
# from their colors on the mean; after 8, 0.5 %.
ROUNDS = 16
NEAR = np.float32(0.01)  # the squared distance, in steps, that is none
INFINITE = np.float32(np.inf)


@kernel()
def mix_entries(
    color,  # (4,) float32, IN: in steps
    label,  # the entry to begin with
    points,  # (4, K) float32, IN: the palette, in steps
    members,  # (n,) uint8, IN: the entries that may be taken
    mean,  # (4,) float32, OUT: of the mixture
    shares,  # (K,) float32, OUT: of each entry; they add up to 1
):
    """Find a mixture of entries whose mean is near to a color.

    Method: pairwise Frank and Wolfe (Lacoste-Julien and Jaggi 2015, arXiv:1511.05932). A share
    moves from the entry of the mixture that lies farthest on the wrong side to the one that brings
    the mean nearer to the color by the most, for the length of the way: so mixtures are of entries
    close to each other, and gray is one of black and white where these are the only grays.
    """
    for entry in range(shares.shape[0]):
        shares[entry] = ZERO
    shares[label] = ONE
    for channel in range(4):
        mean[channel] = points[channel, label]
    for _ in range(ROUNDS):
        r0, r1 = color[0] - mean[0], color[1] - mean[1]
        r2, r3 = color[2] - mean[2], color[3] - mean[3]
        if r0 * r0 + r1 * r1 + r2 * r2 + r3 * r3 <= NEAR:
            break
        worst, least = 0, INFINITE
        for i in range(members.shape[0]):
            entry = members[i]
            if shares[entry] > ZERO:
                along = r0 * points[0, entry] + r1 * points[1, entry]
                along += r2 * points[2, entry] + r3 * points[3, entry]
                if along < least:
                    worst, least = entry, along
        best, best_part, best_score = -1, ZERO, ZERO
        for i in range(members.shape[0]):
            entry = members[i]
            d0, d1 = points[0, entry] - points[0, worst], points[1, entry] - points[1, worst]
            d2, d3 = points[2, entry] - points[2, worst], points[3, entry] - points[3, worst]
            along = r0 * d0 + r1 * d1 + r2 * d2 + r3 * d3
            if along <= ZERO:
                continue
            length = d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3
            part = min(along / length, shares[worst])
            gain = part * (TWO * along - part * length)
            score = gain * gain / length
            if score > best_score:
                best, best_part, best_score = entry, part, score
        if best < 0:
            break
        shares[worst] -= best_part
        shares[best] += best_part
        for channel in range(4):
            mean[channel] += best_part * (points[channel, best] - points[channel, worst])
