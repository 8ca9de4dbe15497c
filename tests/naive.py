"""Slow, obvious NumPy twins of the fast functions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def histogram(pixels):
    """Distinct colors (U, 3) in lexicographic order and their counts (U,)."""
    return np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)


def morton_code(color):
    """The bits of R, G and B interleaved, from the highest: r7 g7 b7 r6 ... b0."""
    bits = "".join(format(int(value), "08b")[i] for i in range(8) for value in color)
    return int(bits, 2)


def distances(points, centers):
    """Squared distances (N, K), channels added in order, in the dtype of the points."""
    result = np.zeros((len(points), len(centers)), points.dtype)
    for channel in range(points.shape[1]):
        result += (points[:, channel, None] - centers[None, :, channel].astype(points.dtype)) ** 2
    return result


def assign(points, centers):
    """Labels of the nearest centers (argmin takes the lowest index of equals)."""
    return distances(points, centers).argmin(axis=1)


def accumulate(points, weights, labels, n_clusters):
    """Each cluster's sum of weight and of weight * point, (K, 1 + C)."""
    sums = np.zeros((n_clusters, 1 + points.shape[1]))
    for point, weight, label in zip(points.astype(float), weights, labels, strict=True):
        sums[label, 0] += weight
        sums[label, 1:] += weight * point
    return sums


def lloyd(points, weights, centers, max_iter, tol, relaxation):
    """K-means without empty clusters; centers keep their dtype."""
    mean = np.average(points.astype(float), axis=0, weights=weights)
    variance = np.average((points.astype(float) - mean) ** 2, axis=0, weights=weights).mean()
    n_iter = 0
    while True:
        n_iter += 1
        sums = accumulate(points, weights, assign(points, centers), len(centers))
        assert sums[:, 0].min() > 0, "a twin for clusters that stay occupied"
        means = (sums[:, 1:] / sums[:, :1]).astype(centers.dtype)
        shift = ((means.astype(float) - centers) ** 2).sum()
        if n_iter == max_iter or shift <= tol * variance:
            return means, n_iter
        centers = centers + relaxation * (means - centers)


def filter_candidates(box, centers):
    """The centers that can be nearest somewhere in a box of points (N, 3), in float32."""
    low, high = box.min(axis=0), box.max(axis=0)
    middle = (low + high) * np.float32(0.5)
    # The lowest 8 bits of a distance give way to the center's number.
    bits = squared_lengths(centers - middle).view(np.int32) & ~255 | np.arange(len(centers))
    best = centers[np.argmin(bits)]
    corners = np.where(centers > best, high, low)
    own, rival = squared_lengths(centers - corners), squared_lengths(best - corners)
    slack = np.float32(4e-6) * (own + squared_lengths(high - low))
    return centers[own - rival - slack <= 0]


def squared_lengths(vectors):
    """Of float32 vectors (..., 3), one channel added after the other."""
    squares = vectors * vectors
    return squares[..., 0] + squares[..., 1] + squares[..., 2]


def count_comparisons(codes, points, centers):
    """How many centers are tested for boxes and kept for cells, and distances of their points.

    Codes are Morton's; boxes enclose the points of cubes of side 64, 32 and 16.
    """
    tested = kept = distances = 0
    lists = {(0, 0): centers}
    for level, bits in enumerate([18, 15, 12], start=1):
        for cube in np.unique(codes >> bits):
            parent = lists[level - 1, 0 if level == 1 else cube >> 3]
            inside = points[codes >> bits == cube]
            lists[level, cube] = filter_candidates(inside, parent)
            tested += len(parent)
            if bits == 12:
                n_candidates = len(lists[level, cube])
                kept += n_candidates
                distances += n_candidates * len(inside) if n_candidates > 1 else 0
    return [tested, kept, distances]


def wu_boxes(cells, totals, n_clusters):
    """Wu's cut by brute force over lists of cells; the means of the boxes (K, 3)."""

    def explained(rows):
        return (totals[rows, 1:4].sum(axis=0) ** 2).sum() / totals[rows, 0].sum()

    def cut(rows):
        """The best cut of a box: gain, low half, high half; None for a single cell."""
        best = None
        for axis in range(3):
            for position in range(cells[rows, axis].min(), cells[rows, axis].max()):
                low = [row for row in rows if cells[row, axis] <= position]
                high = [row for row in rows if cells[row, axis] > position]
                gain = explained(low) + explained(high)
                if best is None or gain > best[0]:
                    best = gain, low, high
        return best

    boxes = [list(range(len(cells)))]
    while len(boxes) < n_clusters:
        variances = [totals[rows, 4].sum() - explained(rows) if cut(rows) else -1 for rows in boxes]
        widest = int(np.argmax(variances))
        if variances[widest] < 0:
            break
        _, boxes[widest], high = cut(boxes[widest])
        boxes.append(high)
    return np.array([totals[rows, 1:4].sum(axis=0) / totals[rows, 0].sum() for rows in boxes])


def pack_rows(labels, bits):
    """PNG rows: a zero byte, then the indices as bits, the last byte padded with zeros."""
    rows = []
    for row in labels:
        text = "".join(format(int(index), f"0{bits}b") for index in row)
        text += "0" * (-len(text) % 8)
        rows.append([0] + [int(text[i : i + 8], 2) for i in range(0, len(text), 8)])
    return np.array(rows, np.uint8)


def diffuse(points, entries, strength):
    """Floyd and Steinberg, every other row from the right; labels (H, W).

    In the steps of Oklab that the kernel converts the image (H, W, 3) and the palette (K, 3) to,
    float32; an error larger than the distance of its entry to the fourth neighbour is damped.
    """
    height, width = points.shape[:2]
    single = np.float32
    low, high = single([0, 81, 2]), single([1020, 602, 523])
    rounded = np.rint(entries).astype(np.int64)
    distances_of = np.sort(((entries[:, None] - entries) ** 2).sum(axis=2), axis=1)
    limits = distances_of[:, min(4, len(entries) - 1)]
    above, before = single(single(strength) * single(1 / 16)), single(strength) * single(7 / 16)
    labels = np.zeros((height, width), np.uint8)
    errors = np.zeros((width + 2, 3), single)
    for y in range(height):
        step = 1 if y % 2 == 0 else -1
        values = points[y].copy()
        for x in range(width):  # the row above went the other way
            later, earlier = errors[x + 1 - step], errors[x + 1 + step]
            values[x] += above * (3 * later + (5 * errors[x + 1] + earlier))
        errors = np.zeros((width + 2, 3), single)
        last = np.zeros(3, single)
        for x in range(width)[::step]:
            value = np.clip(values[x] + before * last, low, high)
            squares = (((value + single(0.5)).astype(np.int64) - rounded) ** 2).sum(axis=1)
            label = labels[y, x] = squares.argmin()
            share = single(0.75 if squares[label] > limits[label] else 1)
            last = (value - entries[label]) * share
            errors[x + 1] = last
    return labels


def mix_entries(color, label, entries, allowed, near=0.01):
    """A mixture of allowed entries, begun with a label, near to a color: its shares (K,) and mean.

    Pairwise Frank and Wolfe in float32, the sums in the kernel's order.
    """
    shares = np.zeros(len(entries), np.float32)
    shares[label] = 1
    mean = entries[label].copy()
    for turn in range(16):
        r = color - mean
        residual = ((r[0] ** 2 + r[1] ** 2) + r[2] ** 2) + r[3] ** 2
        if turn == 0:
            near = max(np.float32(near), np.float32(1e-5) * residual)
        if residual <= near:
            break
        products = r * entries
        along = (products[:, 0] + products[:, 1]) + (products[:, 2] + products[:, 3])
        own = [entry for entry in allowed if shares[entry] > 0]
        worst = own[int(np.argmin(along[own]))]
        ways = entries[allowed] - entries[worst]
        products, squares = r * ways, ways**2
        along = ((products[:, 0] + products[:, 1]) + products[:, 2]) + products[:, 3]
        lengths = ((squares[:, 0] + squares[:, 1]) + squares[:, 2]) + squares[:, 3]
        with np.errstate(divide="ignore", invalid="ignore"):
            parts = np.minimum(along / lengths, shares[worst])
            gains = parts * (2 * along - parts * lengths)
            scores = np.where(along > 0, gains * gains / lengths, np.float32(0))
        best = int(np.argmax(scores))
        if scores[best] <= 0 or gains[best] <= near:
            break
        shares[worst] -= parts[best]
        shares[allowed[best]] += parts[best]
        mean += parts[best] * (entries[allowed[best]] - entries[worst])
    return shares, mean


def nearest_entry(value, entries, allowed):
    """The nearest of the allowed entries, and its squared distance to 16 bits."""
    squares = (value - entries[allowed]) ** 2
    sums = (squares[:, 0] + squares[:, 1]) + (squares[:, 2] + squares[:, 3])
    keys = (sums.view(np.int32) & ~np.int32(255)) | np.asarray(allowed, np.int32)
    key = keys.min()
    return int(key & 255), (key & ~np.int32(255)).view(np.float32)


def settled_errors(points, nearest, entries, allowed):
    """The errors (W, 4) that a row of these points (W, 4) is taken to follow, few colors."""
    errors = np.zeros(points.shape, np.float32)
    for x, point in enumerate(points):
        shares, mean = mix_entries(point, nearest[x], entries, allowed[x])
        used = [entry for entry in allowed[x] if shares[entry] > 0]
        rest = max(np.float32(1) - shares.max(), np.float32(0))
        noise = np.float32((x * 2654435769 % (1 << 32)) >> 8) * np.float32(2.0**-24)
        passed = max(np.float32(0.92) - np.float32(0.8) * np.sqrt(rest), np.float32(0.5))
        passed += np.float32(0.3) * (noise + noise - np.float32(1))
        middle = np.zeros(4, np.float32)
        for entry in used:
            middle += entries[entry]
        errors[x] = passed * (middle / np.float32(len(used)) - mean)
    return errors


def pick_entry(value, entries, allowed, *, in_whole_steps):
    """The nearest allowed entry, and its squared distance: in whole steps, or to 16 bits."""
    if not in_whole_steps:
        return nearest_entry(value, entries, allowed)
    part = np.sort(allowed)
    rounded = np.rint(entries[part, :3]).astype(np.int64)
    squares = (((value[:3] + np.float32(0.5)).astype(np.int64) - rounded) ** 2).sum(axis=1)
    return part[squares.argmin()], squares.min()


def error_limits(entries, allowed):
    """The squared distance of each allowed entry to its fourth neighbour among them, (K,)."""
    limits, own = np.zeros(len(entries), np.float32), entries[np.sort(allowed)]
    order = np.sort(((own[:, None] - own) ** 2).sum(axis=2), axis=1)
    limits[np.sort(allowed)] = order[:, min(4, len(own) - 1)]
    return limits


def reach_row(points, alphas, entries, sets, *, is_first):
    """A row's points moved to where mixtures reach, and the errors that it is taken to follow."""
    starts = [nearest_entry(p, entries, some)[0] for p, some in zip(points, sets, strict=True)]
    errors = np.zeros((len(points) + 2, 4), np.float32)
    errors[1:-1] = settled_errors(points, starts, entries, sets)
    errors[1:-1][alphas == 0] = 0
    for x in np.flatnonzero(alphas):
        near = 0.01 if is_first else 16
        mean = mix_entries(points[x], starts[x], entries, sets[x], near)[1]
        r = (points[x] - mean) ** 2
        if ((r[0] + r[1]) + r[2]) + r[3] > 16:
            points[x] = mean
    return errors


def diffuse_any(points, alphas, entries, entry_alphas, strength, *, is_coarse):
    """Floyd and Steinberg with alpha or few colors; labels (H, W).

    Points (H, W, 4) and entries (K, 4) are in float32, in Oklab or light; as in `diffuse`, an error
    larger than that of the fourth neighbour is damped. One strip.
    """
    height, width = alphas.shape
    single = np.float32
    box = ([-1020] * 3 + [-510], [2040] * 3 + [1020]) if is_coarse else None
    low, high = (single(side) for side in box or ([0, 81, 2, -510], [1020, 602, 523, 1020]))
    every = np.argsort(entries[:, 0], kind="stable")  # dark ones first
    own = every[entry_alphas[every] == 255]
    is_opaque = (alphas == 255) & (len(own) > 0)
    limits = [error_limits(entries, every)]
    limits.append(error_limits(entries[:, :3], own) if len(own) else limits[0])
    above, before = single(single(strength) * single(1 / 16)), single(strength) * single(7 / 16)
    labels = np.full((height, width), np.argmin(entry_alphas), np.uint8)
    errors = np.zeros((width + 2, 4), single)
    for y in range(height):
        step = 1 if y % 2 == 0 else -1
        values = points[y].copy()
        sets = [own if opaque else every for opaque in is_opaque[y]]
        if is_coarse:
            guessed = reach_row(values, alphas[y], entries, sets, is_first=y == 0)
            errors = guessed if y == 0 else errors
        for x in range(width):
            later, earlier = errors[x + 1 - step], errors[x + 1 + step]
            values[x] += above * (3 * later + (5 * errors[x + 1] + earlier))
        errors = np.zeros((width + 2, 4), single)
        for x in range(width)[::step]:
            if alphas[y, x] == 0:
                continue
            # The error of the pixel before, which is 0 outside of the image.
            last = errors[x + 1 - step]
            value = np.clip(values[x] + before * last, low, high)
            opaque = is_opaque[y, x]
            value[3] *= not opaque
            whole = opaque and not is_coarse
            label, distance = pick_entry(value, entries, sets[x], in_whole_steps=whole)
            labels[y, x] = label
            share = single(0.75 if distance > limits[int(opaque)][label] else 1)
            errors[x + 1] = (value - entries[label]) * share
        if is_coarse:
            end, start = (width + 1, 0) if step > 0 else (0, width + 1)
            errors[end] = single(8 / 3) * errors[end - step]
            errors[start] = 3 * errors[start + step]
    return labels


def blend(points, alphas, entries, entry_alphas, labels, ranks, strength):
    """Ordered dithering with few colors: the entry of each pixel's mixture, by its rank."""
    labels = labels.copy()
    every = np.argsort(entries[:, 0], kind="stable")
    own = every[entry_alphas[every] == 255]
    scale, rest = np.float32(strength), np.float32(1) - np.float32(strength)
    for y, x in np.ndindex(labels.shape):
        if alphas[y, x] == 0:
            labels[y, x] = np.argmin(entry_alphas)
            continue
        allowed = own if alphas[y, x] == 255 and len(own) else every
        first = labels[y, x]
        shares, _ = mix_entries(points[y, x], first, entries, allowed)
        threshold = (np.float32(ranks[y % 64, x % 64]) + np.float32(0.5)) / np.float32(4096)
        total = np.float32(0)
        for entry in allowed:
            share = scale * shares[entry] + (rest if entry == first else np.float32(0))
            if share > 0:
                labels[y, x] = entry
                total += share
                if threshold < total:
                    break
    return labels


def map_alpha_strengths(image, table):
    """Strengths (H, W) as in `map_strengths`, of an image with alpha over middle gray."""
    color, alpha = image[..., :3].astype(int), image[..., 3].astype(int)
    light = ((color * [1, 2, 1]).sum(axis=2) * alpha + 510 * (255 - alpha)) // 1020
    result = np.zeros(alpha.shape, np.uint8)
    for y, x in np.ndindex(alpha.shape):
        part = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        seen = light[part][alpha[part] > 0]
        if alpha[y, x] == 255:
            result[y, x] = table[seen.max() - seen.min()]
        elif alpha[y, x] > 0:
            result[y, x] = 255
    return result


def map_strengths(image, table):
    """The table's strength for the range of light in each pixel's 3x3 surroundings, (H, W)."""
    light = (image.astype(int) * [1, 2, 1]).sum(axis=2) // 4
    height, width = light.shape
    result = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            part = light[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            result[y, x] = table[part.max() - part.min()]
    return result


def composite(image, background):
    """An image (..., 4) over a background color, in floats (..., 3)."""
    share = image[..., 3:].astype(float) / 255
    return share * image[..., :3] + (1 - share) * np.asarray(background, float)


def alpha_distance(one, other):
    """The squared difference of two colors (4,) over black and over white, halved."""
    over = [np.sum((composite(one, level) - composite(other, level)) ** 2) for level in (0, 255)]
    return np.mean(over)


def alpha_histogram(image):
    """Counts of the opaque and of the translucent colors, and of the transparent pixels."""
    colors, counts = np.unique(image.reshape(-1, 4), axis=0, return_counts=True)
    opaque, translucent, n_transparent = {}, {}, 0
    for color, count in zip(colors.tolist(), counts, strict=True):
        if color[3] == 0:
            n_transparent += count
        elif color[3] == 255:
            opaque[tuple(color[:3])] = count
        else:
            translucent[tuple(color)] = count
    return opaque, translucent, n_transparent


def assign_alpha(image, palette):
    """Nearest entries (H, W) of a palette (K, 4), opaque ones for opaque pixels; the inertia."""
    pixels = image.reshape(-1, 4)
    distances = np.mean(
        [
            np.sum((composite(pixels, b)[:, None] - composite(palette, b)) ** 2, axis=2)
            for b in (0, 255)
        ],
        axis=0,
    )
    if np.any(palette[:, 3] == 255):
        distances[np.ix_(pixels[:, 3] == 255, palette[:, 3] < 255)] = np.inf
    labels = distances.argmin(axis=1)
    inertia = distances[np.arange(len(pixels)), labels].sum()
    return labels.reshape(image.shape[:2]), inertia


def filter_rows(rows):
    """The rows of a PNG (H, B), each by the filter whose bytes have the least entropy."""
    result = []
    above = np.zeros(rows.shape[1], int)
    lengths = np.arange(rows.shape[1] + 1, dtype=float)
    logs = lengths * np.log2(np.maximum(lengths, 1))
    for row in rows.astype(int):
        left, corner = np.concatenate([[0], row[:-1]]), np.concatenate([[0], above[:-1]])
        guess = left + above - corner
        away = np.abs(np.stack([guess - left, guess - above, guess - corner]))
        nearest = np.choose(away.argmin(axis=0), [left, above, corner])
        predictions = [0 * row, left, above, (left + above) // 2, nearest]
        tried = [((row - prediction) % 256).astype(np.uint8) for prediction in predictions]
        counts = [np.bincount(each, minlength=256) for each in tried]
        sums = [sum(logs[c].tolist()) for c in counts]
        best = int(np.argmax(sums))
        result.append([best, *tried[best]])
        above = row
    return np.array(result, np.uint8)


def count_neighbours(labels, n_colors):
    """How often two entries are side by side, in either order."""
    counts = np.zeros((n_colors, n_colors), int)
    for row in labels:
        for one, other in pairwise(row):
            counts[one, other] += 1
            counts[other, one] += 1
    return counts


def translucent_cells(pixels, level, weights=None):
    """Of translucent colors (level -1) or cells, the weight and sums of places in the cell.

    By keys: the bytes of a color, or of a cell's place in each coordinate, as one number.
    """
    if weights is None:
        weights = np.ones(len(pixels), int)
    alphas = pixels[:, 3].astype(int)
    chosen = (alphas > 0) & (alphas < 255) & (weights > 0)
    pixels, weights, alphas = pixels[chosen].astype(int), weights[chosen], alphas[chosen]
    if level < 0:
        coordinates, side = pixels, 1
    else:
        seen = composite(pixels, 127.5)
        coordinates = np.column_stack([np.floor(seen + 0.5 + 1e-9), 255 - alphas]).astype(int)
        side = 2**level
    keys = (coordinates // side) @ [1, 1 << 8, 1 << 16, 1 << 24]
    unique, inverse = np.unique(keys, return_inverse=True)
    sums = np.zeros((len(unique), 5), int)
    np.add.at(sums[:, 0], inverse, weights)
    for axis in range(4):
        np.add.at(sums[:, 1 + axis], inverse, weights * (coordinates[:, axis] % side))
    return {key: tuple(row) for key, row in zip(unique.tolist(), sums.tolist(), strict=True)}


def order_cost(counts, order):
    """The cost of an order: counts of neighbours times the differences of their places."""
    return sum(
        counts[one, other] * (j - i)
        for i, one in enumerate(order)
        for j, other in enumerate(order)
        if i < j
    )


def insertion_order(counts):
    """Entries by their neighbours among those placed, each tried at every place."""
    counts = counts - np.diag(np.diag(counts))
    order = [int(counts.sum(axis=1).argmax())]
    while len(order) < len(counts):
        left = [entry for entry in range(len(counts)) if entry not in order]
        entry = max(left, key=lambda entry: counts[entry, order].sum())
        tried = [[*order[:place], entry, *order[place:]] for place in range(len(order) + 1)]
        order = min(tried, key=lambda order: order_cost(counts, order))
    return np.array(order)


def mask_colors(image, colors):
    """Counts of colors (U, 3) as `masking` weighs them: by contrast, and by how common they are."""
    weights = np.rint(255 / np.sqrt(1 + np.arange(256) / 3)).astype(np.uint8)
    by_contrast = map_strengths(image, weights).ravel()
    pixels = image.reshape(-1, 3)
    own = [np.all(pixels == color, axis=1) for color in colors]
    n_pixels = np.array([np.sum(each) for each in own])
    cubes = colors // 8
    common = np.array([np.sum(n_pixels[np.all(cubes == cube, axis=1)]) for cube in cubes], float)
    factors = common**-0.3
    factors *= n_pixels.sum() / np.sum(n_pixels * factors)
    sums = np.array([np.sum(by_contrast[each].astype(int)) for each in own])
    return np.maximum(np.rint(sums * factors), 1)


def lzw_decode(data):
    """The labels that the LZW codes of a GIF's frame stand for."""
    code_bits, position, codes = data[0], 1, bytearray()
    while data[position]:
        codes += data[position + 1 : position + 1 + data[position]]
        position += 1 + data[position]
    codes += b"\0\0"
    clear, end = 1 << code_bits, (1 << code_bits) + 1
    labels, at, width, strings, last = [], 0, code_bits + 1, [], None
    while True:
        three = int.from_bytes(codes[at // 8 : at // 8 + 3], "little")
        code = three >> at % 8 & ((1 << width) - 1)
        at += width
        if code == end:
            return np.array(labels, np.uint8)
        if code == clear:
            strings = [[i] for i in range(clear)] + [None, None]
            width, last = code_bits + 1, None
            continue
        known = code < len(strings)
        string = strings[code] if known else [*last, last[0]]
        if last is not None and len(strings) < 4096:
            strings.append([*last, string[0]])
        labels += string
        last = string
        if len(strings) == 1 << width and width < 12:
            width += 1
