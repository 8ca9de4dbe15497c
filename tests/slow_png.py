"""A slow and obvious reader of PNG, to compare with; and a writer of any kind of them."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
N_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
PASSES += [(1, 0, 2, 1)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack(levels, depth):
    """Return rows of levels (H, W, C), each behind the number of no filter."""
    height = len(levels)
    samples = levels.reshape(height, -1).astype(int)
    bits = (samples[..., None] >> np.arange(depth)[::-1]) & 1
    rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in rows)


def write_png(levels, depth, color_type, *, key=None, interlaced=False):
    """Return a PNG of levels (H, W, C), without filters, perhaps with a transparent color."""
    height, width = levels.shape[:2]
    passes = PASSES if interlaced else [(0, 0, 1, 1)]
    parts = [levels[top::y_step, left::x_step] for top, left, y_step, x_step in passes]
    data = b"".join(pack(part, depth) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced))
    chunks = [SIGNATURE, chunk(b"IHDR", header)]
    if key is not None:
        chunks.append(chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)))
    return b"".join([*chunks, chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")])


def chunks_of(data):
    position, found = 8, {}
    while position < len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        body = data[position + 8 : position + 8 + length]
        found[kind] = found.get(kind, b"") + body
        position += 12 + length
    return found


def unfilter(data, n_rows, row_bytes, step):
    rows, above = [], [0] * row_bytes
    for number in range(n_rows):
        start = number * (1 + row_bytes)
        kind, row = data[start], list(data[start + 1 : start + 1 + row_bytes])
        for x in range(row_bytes):
            left = row[x - step] if x >= step else 0
            corner = above[x - step] if x >= step else 0
            up = above[x]
            guess = left + up - corner
            paeth = min(
                (abs(guess - value), place) for place, value in enumerate((left, up, corner))
            )
            predicted = (0, left, up, (left + up) // 2, (left, up, corner)[paeth[1]])[kind]
            row[x] = (row[x] + predicted) % 256
        rows.append(row)
        above = row
    return np.array(rows, np.uint8)


def read_levels(data):
    """Return the levels (H, W, C) of a PNG, with its depth, color type and chunks."""
    found = chunks_of(data)
    width, height, depth, color_type, _, _, interlace = struct.unpack(">IIBBBBB", found[b"IHDR"])
    raw = zlib.decompress(found[b"IDAT"])
    n_channels = N_CHANNELS[color_type]
    levels = np.zeros((height, width, n_channels), int)
    for top, left, y_step, x_step in PASSES if interlace else [(0, 0, 1, 1)]:
        part = levels[top::y_step, left::x_step]
        if not part.size:
            continue
        n_samples = part.shape[1] * n_channels
        row_bytes = -(-n_samples * depth // 8)
        rows = unfilter(raw, part.shape[0], row_bytes, max(1, depth * n_channels // 8))
        raw = raw[part.shape[0] * (1 + row_bytes) :]
        bits = np.unpackbits(rows, axis=1)[:, : n_samples * depth].reshape(len(rows), -1, depth)
        part[...] = (bits @ (1 << np.arange(depth)[::-1].astype(int))).reshape(part.shape)
    return levels, depth, color_type, found


def read_png(data):
    """Return a PNG as (H, W, 1 to 4) of 8 bits, by the text of the specification."""
    levels, depth, color_type, found = read_levels(data)
    key = found.get(b"tRNS")
    if color_type == 3:
        palette = np.frombuffer(found[b"PLTE"], np.uint8).reshape(-1, 3)
        alphas = np.full(len(palette), 255, np.uint8)
        alphas[: len(key or b"")] = list(key or b"")
        return np.dstack([palette[levels[..., 0]], alphas[levels[..., 0]]])
    top = (1 << depth) - 1
    image = (2 * 255 * levels + top) // (2 * top)
    if key is not None:
        wanted = np.frombuffer(key, ">u2") & top
        image = np.dstack([image, 255 - 255 * (levels == wanted).all(axis=2)])
    return image.astype(np.uint8)
