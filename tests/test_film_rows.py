"""Animations of every kind, into every format: the rows of docs/formats.md."""

import io
import struct

import film_rows
import numpy as np
import pytest
from naive import lzw_decode
from PIL import Image

import fastkq


def without_hidden(pixels):
    """Pixels without the color of what cannot be seen."""
    return np.where(pixels[..., 3:] == 0, 0, pixels)


def by_pillow(data):
    """The frames of a file, their times in ms, and how often they are played."""
    frames, times = [], []
    with Image.open(io.BytesIO(data)) as image:
        loop = image.info.get("loop", 1)
        if image.format == "GIF" and loop:
            loop += "loop" in image.info  # it says how often it is repeated
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            frames.append(without_hidden(np.asarray(image.convert("RGBA"))))
            times.append(image.info.get("duration", 0))
    return np.stack(frames), times, loop


def by_hand(data):
    """The same of a GIF, by the specification alone."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    shared = table_at(data, 13, flags)
    position, loop, control = 13 + 3 * len(shared), 1, (0, 0, 0)
    patches, times = [], []
    while data[position : position + 1] != b";":
        if data[position : position + 1] == b"!":
            label, start = data[position + 1], position + 2
            position, body = blocks_at(data, start)
            if label == 0xF9:
                control = struct.unpack("<BHB", body)
            elif body.startswith(b"NETSCAPE2.0"):
                (repeats,) = struct.unpack("<H", body[12:14])
                loop = repeats + 1 if repeats else 0
            continue
        x, y, w, h, own = struct.unpack_from("<HHHHB", data, position + 1)
        table = table_at(data, position + 10, own)
        position += 10 + 3 * len(table)
        labels = np.array(lzw_decode(data[position:])[: w * h]).reshape(h, w)
        position, _ = blocks_at(data, position + 1)
        colors = table if len(table) else shared
        pixels = np.dstack([colors[labels], np.full(labels.shape, 255, np.uint8)])
        if control[0] & 1:
            pixels[labels == control[2]] = 0
        disposal = {2: film_rows.CLEAR, 3: film_rows.BACK}.get(control[0] >> 2, film_rows.KEEP)
        patches.append(film_rows.Patch(x, y, pixels, disposal=disposal))
        times.append(10 * control[1])
    return without_hidden(film_rows.seen(patches, (height, width))), times, loop


def table_at(data, position, flags):
    """The colors (K, 3) of a table, or none."""
    size = 2 << (flags & 7) if flags & 0x80 else 0
    return np.frombuffer(data, np.uint8, 3 * size, position).reshape(-1, 3)


def blocks_at(data, position):
    """Where a chain of blocks ends, and what is in it."""
    body = b""
    while data[position]:
        body += data[position + 1 : position + 1 + data[position]]
        position += 1 + data[position]
    return position + 1, body


@pytest.mark.parametrize("row", film_rows.ALL, ids=lambda row: f"{row.section}: {row.name}")
@pytest.mark.parametrize("format", film_rows.FORMATS)
def test_each_row_in_each_format(row, format):
    options = {"lossy": 0, "color_space": "srgb", "masking": False, **row.options}
    if format in row.errors:
        with pytest.raises(ValueError, match=row.errors[format].replace(".", r"\.")) as caught:
            fastkq.compress(row.make(), format=format, **options)
        assert "\n" not in str(caught.value)
        return
    # All colors are kept, so that what is seen is exact.
    data = fastkq.compress(row.make(), format=format, verify=True, **options)
    frames, times, loop = (by_hand if format == "gif" else by_pillow)(data)
    assert frames.shape == np.shape(row.frames)
    difference = np.abs(frames.astype(int) - without_hidden(row.frames))
    assert difference.max() <= row.near
    if format == "gif":  # for Pillow, what is free stays opaque where the first frame has no mark
        assert np.array_equal(by_pillow(data)[0], frames)
    if len(row.times) > 1:
        assert loop == row.loop
        wanted = row.times_in(format)
        if format == "webp":
            assert np.abs(np.cumsum(times) - np.cumsum(wanted)).max() <= 0.5
        else:
            assert np.allclose(times, wanted, rtol=0, atol=1e-9)


def test_the_rows_are_read_by_pillow_as_they_are_meant():
    """What is put together by hand are valid files, whose frames Pillow sees as well."""
    n_read = 0
    for row in film_rows.ALL:
        if row.errors or row.options or row.section == "GIF" or "EXIF" in row.name:
            continue
        # Pillow does not take back a rectangle of a PNG as the specification has it.
        is_known = "taken back" not in row.name and "equal" not in row.name
        if row.section == "PNG" and row.name.startswith("translucent, over a picture"):
            continue  # Pillow mixes its alpha as well
        if len(row.times) > 1 and is_known:
            frames, times, loop = by_pillow(row.make())
            if row.name == "a picture for readers of stills":
                frames, times = frames[-len(row.times) :], times[-len(row.times) :]
            difference = np.abs(frames.astype(int) - without_hidden(row.frames))
            assert difference.max() <= row.near, row.name
            assert np.allclose(times, row.times), row.name
            assert loop == row.loop
            n_read += 1
    assert n_read > 15
