"""Animations of every kind, with the frames, times and loop that each must give.

Files are put together here by hand, of rectangles that are drawn upon each other, and what is seen
is computed in the obvious way. `tests/test_film_rows.py` checks each row in each format that is
written, and `scripts/render_formats.py` writes the table of `docs/formats.md` from them.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slow_png
from format_rows import COLUMNS, HEIGHT, RGB, ROWS, WIDTH
from PIL import Image

from fastkq.files.gif_codes import encode_labels

KEEP, CLEAR, BACK = "left", "cleared", "taken back"
SOURCE, OVER = "replaces", "lies over"
FORMATS = ("gif", "png", "webp")
TIMES = [40, 50, 60, 70]
PNG_HEAD = 33
ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Patch:
    """A rectangle (h, w, 4) at x, y, for how many ms, what becomes of it, and how it is drawn."""

    x: int
    y: int
    pixels: Any
    ms: float = 50
    disposal: str = KEEP
    blend: str = OVER


@dataclass(frozen=True, eq=False)
class FilmRow:
    """An animation that comes in.

    `frames` (T, H, W, 4) must be seen, for `times` (ms), `loop` times, in each format but those
    whose error has the words of `errors`. `in_gif` are the times that a GIF has, where they differ;
    `near` is by how many levels colors may differ that are mixed.
    """

    section: str
    name: str
    happens: str
    make: Callable[[], bytes]
    frames: Any = None
    times: Any = ()
    loop: int = 1
    in_gif: Any = None
    near: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def times_in(self, format: str) -> list[float]:
        """The times that a format has."""
        return list(self.in_gif if format == "gif" and self.in_gif is not None else self.times)


ALL: list[FilmRow] = []


def seen(patches, size=(HEIGHT, WIDTH)):
    """The frames (T, H, W, 4) that are seen, pixel by pixel."""
    canvas = np.zeros((*size, 4), np.uint8)
    frames = []
    for patch in patches:
        before = canvas.copy()
        place = np.zeros(size, bool)
        for y, x in np.ndindex(patch.pixels.shape[:2]):
            row, column = patch.y + y, patch.x + x
            if row < size[0] and column < size[1]:
                place[row, column] = True
                pixel = patch.pixels[y, x]
                is_first = canvas[row, column, 3] == 0 < pixel[3]
                if patch.blend == SOURCE or pixel[3] == 255 or is_first:
                    canvas[row, column] = pixel
                elif pixel[3]:  # over what is opaque
                    share = pixel[3].astype(int)
                    below = canvas[row, column, :3].astype(int)
                    mixed = pixel[:3] * share + below * (255 - share)
                    canvas[row, column, :3] = np.round(mixed / 255)
        frames.append(canvas.copy())
        if patch.disposal == CLEAR:
            canvas[place] = 0
        elif patch.disposal == BACK:
            canvas = before
    return np.stack(frames)


def gif_of(patches, loop, *, ending=b";"):
    """A GIF: each frame with a table of its own, so that what is transparent is its last entry."""
    parts = [b"GIF89a", struct.pack("<HHBBB", WIDTH, HEIGHT, 0, 0, 0)]
    if loop != 1:
        parts.append(b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<H", max(0, loop - 1)) + b"\0")
    for patch in patches:
        pixels = np.where(patch.pixels[..., 3:] == 0, 0, patch.pixels).reshape(-1, 4)
        table, labels = np.unique(pixels, axis=0, return_inverse=True)
        labels = labels.reshape(patch.pixels.shape[:2]).astype(np.uint8)
        is_clear = np.flatnonzero(table[:, 3] == 0)
        flags = {KEEP: 1, CLEAR: 2, BACK: 3}[patch.disposal] << 2 | len(is_clear)
        index = int(is_clear[0]) if len(is_clear) else 0
        control = struct.pack("<BHB", flags, round(patch.ms / 10), index)
        parts.append(b"!\xf9\x04" + control + b"\0")
        height, width = labels.shape
        bits = max(1, (len(table) - 1).bit_length())
        parts.append(b"," + struct.pack("<HHHHB", patch.x, patch.y, width, height, 0x7F + bits))
        parts.append(table[:, :3].tobytes().ljust(3 << bits, b"\0"))
        parts.append(encode_labels(labels, np.zeros_like(labels), None))
    return b"".join([*parts, ending])


def png_of(patches, loop, *, n_said=None, hidden=None, before=()):
    """An animated PNG; `hidden` (H, W, 4) is a picture for readers that know no animations."""
    head = slow_png.write_png(np.zeros((HEIGHT, WIDTH, 4), int), 8, 6)[:PNG_HEAD]
    parts = [head, *(slow_png.chunk(*chunk) for chunk in before)]
    control = struct.pack(">II", n_said or len(patches), loop)
    parts.append(slow_png.chunk(b"acTL", control))
    if hidden is not None:
        parts.append(slow_png.chunk(b"IDAT", rows_of(hidden)))
    number = 0
    for patch in patches:
        height, width = patch.pixels.shape[:2]
        numerator, denominator = time_of(patch.ms)
        fields = (number, width, height, patch.x, patch.y, numerator, denominator)
        kinds = ([KEEP, CLEAR, BACK].index(patch.disposal), [SOURCE, OVER].index(patch.blend))
        parts.append(slow_png.chunk(b"fcTL", struct.pack(">IIIIIHHBB", *fields, *kinds)))
        number += 1
        body = rows_of(patch.pixels)
        if number == 1 and hidden is None:
            parts.append(slow_png.chunk(b"IDAT", body))
        else:
            parts.append(slow_png.chunk(b"fdAT", struct.pack(">I", number) + body))
            number += 1
    return b"".join([*parts, slow_png.chunk(b"IEND", b"")])


def time_of(ms):
    """Milliseconds as a fraction of a second, of 1/60 s where they are that."""
    return (1, 60) if ms == 1000 / 60 else (round(ms), 1000)


def rows_of(pixels):
    """The deflated rows of RGBA."""
    still, position = slow_png.write_png(pixels.astype(int), 8, 6), 8
    while True:
        length, kind = struct.unpack_from(">I4s", still, position)
        if kind == b"IDAT":
            return still[position + 8 : position + 8 + length]
        position += 12 + length


def riff(kind, body):
    """A chunk of a WebP."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp_of(patches, loop, *, exif=b""):
    """An animated WebP, whose frames Pillow encodes as stills; places are even."""
    sides = b"".join((side - 1).to_bytes(3, "little") for side in (WIDTH, HEIGHT))
    parts = [riff(b"VP8X", bytes([0x12 | (8 if exif else 0), 0, 0, 0]) + sides)]
    parts.append(riff(b"ANIM", bytes(4) + struct.pack("<H", loop)))
    for patch in patches:
        buffer = io.BytesIO()
        Image.fromarray(patch.pixels).save(buffer, "WEBP", lossless=True, exact=True)
        still = buffer.getvalue()
        pixels = still[still.index(b"VP8L") :]
        height, width = patch.pixels.shape[:2]
        fields = (patch.x // 2, patch.y // 2, width - 1, height - 1, round(patch.ms))
        head = b"".join(number.to_bytes(3, "little") for number in fields)
        flags = (patch.blend == SOURCE) << 1 | (patch.disposal == CLEAR)
        parts.append(riff(b"ANMF", head + bytes([flags]) + pixels))
    if exif:
        parts.append(riff(b"EXIF", exif))
    return riff(b"RIFF", b"WEBP" + b"".join(parts))


MAKERS = {"GIF": gif_of, "PNG": png_of, "WebP": webp_of}


def opaque(pixels):
    """RGB with an alpha of 255."""
    return np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])


PICTURE = opaque(RGB)
DISC = np.zeros((8, 8, 4), np.uint8)
DISC[(ROWS[:8, :8] - 3.5) ** 2 + (COLUMNS[:8, :8] - 3.5) ** 2 < 14] = (250, 240, 0, 255)
BAR = opaque(np.full((4, 6, 3), (0, 200, 90), np.uint8))


def films(times=TIMES):
    """Each kind of drawing: its name, what happens and its patches."""
    pictures = [np.roll(PICTURE, 3 * i, axis=1) for i in range(4)]
    whole = [Patch(0, 0, pixels, ms) for pixels, ms in zip(pictures, times, strict=True)]
    yield "whole frames", "every frame, its time and the loop", whole
    for disposal in (KEEP, CLEAR, BACK):
        moving = [Patch(4 * i, 2 * i, DISC, times[i], disposal) for i in range(1, 4)]
        start = Patch(0, 0, PICTURE, times[0])
        yield (
            f"rectangles, each {disposal}",
            "put together, and cut anew to what changes",
            [start, *moving],
        )
    sprite = [Patch(4 * i, 2 * i, DISC, times[i], CLEAR) for i in range(4)]
    yield "a sprite with nothing behind it", "what is transparent stays so", sprite


def add(section, name, happens, patches, loop=1, *, writer=None, **options):
    """Add a row of patches."""
    make = MAKERS[section]
    keys = ("ending", "n_said", "hidden", "before", "exif")
    own = {key: options.pop(key) for key in keys if key in options}
    options.setdefault("frames", seen(patches))
    options.setdefault("times", [patch.ms for patch in patches])
    ALL.append(
        FilmRow(section, name, happens, lambda: make(patches, loop, **own), loop=loop, **options)
    )


def _add_drawings():
    for section in MAKERS:
        for name, happens, patches in films():
            if section == "WebP" and BACK in name:
                continue  # it knows no such thing
            add(section, name, happens, patches, 3)


def _add_times():
    still = Patch(0, 0, PICTURE, 500)
    bars = [Patch(2 * i, 6, BAR) for i in range(4)]

    def at(times):
        return [still, *(Patch(p.x, p.y, p.pixels, ms) for p, ms in zip(bars, times, strict=True))]

    for section in MAKERS:
        add(section, "played for ever", "so is what comes out", at(TIMES), 0)
        add(section, "played once", "so is what comes out", at(TIMES), 1)
        happens = "they stay: players show such frames for 100 ms"
        add(section, "frames of 0 and 10 ms", happens, at([0, 10, 0, 10]), 2)
        equal = [still, Patch(0, 0, PICTURE, 80), *bars[:2], Patch(2, 6, BAR, 90)]
        joined = seen([equal[0], *equal[2:4]])
        add(section, "equal frames", "become one", equal, frames=joined, times=[580, 50, 140])
        short = [Patch(0, 0, PICTURE, 0), Patch(0, 0, PICTURE, 0), bars[0]]
        add(section, "equal frames of 0 ms", "stay, since players show each for 100 ms", short)
        add(section, "one frame only", "is a picture", [still], 0, times=[])
    happens = "rounded in a GIF, so that the errors do not add up"
    add("WebP", "frames of 33 ms", happens, at([33] * 4), in_gif=[500, 30, 40, 30, 30])
    sixtieth = [Patch(p.x, p.y, p.pixels, 1000 / 60) for p in bars]
    add(
        "PNG",
        "60 frames a second",
        "rounded in a GIF and a WebP, so that the errors do not add up",
        [still, *sixtieth],
        in_gif=[500, 20, 20, 20, 20],
    )


def _add_special():
    soft = np.where(DISC[..., 3:] > 0, [[[200, 0, 60, 102]]], 0).astype(np.uint8)
    on_picture = [Patch(0, 0, PICTURE, 60), Patch(4, 4, soft, 70)]
    translucent = [Patch(0, 0, soft, 60, CLEAR), Patch(8, 6, soft, 70, CLEAR)]
    for section in ("PNG", "WebP"):
        happens = "mixed with what is below"
        add(section, "translucent, over a picture", happens, on_picture, 0, near=1)
        happens = "kept, but in a GIF"
        errors = {"gif": "the palette has translucent colors; png and webp are allowed, not gif"}
        add(section, "translucent, over nothing", happens, translucent, 0, errors=errors)
        replaced = [on_picture[0], Patch(4, 4, DISC, 70, blend=SOURCE)]
        add(section, "a rectangle that replaces what was there", "transparent again", replaced, 0)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = [Patch(0, 0, PICTURE, 60), Patch(4, 4, DISC, 70)]
    upright = np.rot90(seen(turned), -1, axes=(1, 2))
    happens = "each frame is turned upright"
    raw = exif.tobytes()[6:]
    for section, own in (("PNG", {"before": [(b"eXIf", raw)]}), ("WebP", {"exif": raw})):
        add(section, "EXIF orientation", happens, turned, frames=upright, **own)
    add(
        "PNG",
        "a picture for readers of stills",
        "left out, since it is no frame",
        turned,
        hidden=PICTURE[::-1],
    )
    beyond = [Patch(0, 0, PICTURE, 60), Patch(WIDTH - 4, HEIGHT - 3, DISC, 70)]
    add("GIF", "a frame that reaches beyond the picture", "that part is not seen", beyond)
    refused = "cannot be decoded: "
    outside = refused + f"a frame of 8 x 8 pixels at {WIDTH - 4}, {HEIGHT - 3} is not inside"
    add(
        "PNG",
        "a frame that reaches beyond the picture",
        "refused",
        beyond,
        errors=dict.fromkeys(FORMATS, outside),
    )
    missing = refused + "the file has 2 frames; its header says 3"
    errors = dict.fromkeys(FORMATS, missing)
    add("PNG", "fewer frames than its header says", "refused", turned, n_said=3, errors=errors)
    ends = refused + "the file ends before its trailer, so that frames may be missing"
    errors = dict.fromkeys(FORMATS, ends)
    add(
        "GIF",
        "no end mark",
        "refused, since frames may be missing",
        turned,
        ending=b"",
        errors=errors,
    )
    add(
        "GIF",
        "no end mark, `--allow-truncated`",
        "the frames that are there",
        turned,
        ending=b"",
        options={"allow_truncated": True},
    )
    for section in MAKERS:
        add(
            section,
            "three frames, `--frame 1`",
            "the second one, as a picture",
            [*turned, Patch(0, 0, BAR)],
            frames=seen(turned)[1:],
            times=[],
            options={"frame": 1},
        )


for _add in (_add_drawings, _add_times, _add_special):
    _add()
