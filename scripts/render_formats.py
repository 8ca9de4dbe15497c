"""Write the tables of docs/formats.md from the pictures of tests/*_rows.py; or `--check`.

Each row is compressed here, and what comes out is described; that it is right is what
tests/test_every_format.py and tests/test_film_rows.py check.
"""

from __future__ import annotations

import io
import re
import struct
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "formats.md"
sys.path.insert(0, str(ROOT / "tests"))

import film_rows  # noqa: E402 - it lies beside the tests
import format_rows  # noqa: E402

import fastkq  # noqa: E402
from fastkq.files.animations import open_animation  # noqa: E402

COLORS = "Colors"
GRAY, INDEXED = 0, 3
# Chunks that each PNG has, and that tell nothing of the picture.
USUAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tEXt"}
XMP_NAME = {b"iTXt": "XMP"}


def describe_png(data: bytes) -> str:
    """Return what kind of PNG a file is, with the chunks that not every one has."""
    depth, color_type = data[24], data[25]
    kind = {GRAY: "gray", INDEXED: "indexed"}[color_type]
    found, position = [], 8
    while position < len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if name not in USUAL:
            found.append(XMP_NAME.get(name, name.decode()))
        position += 12 + length
    text = f"{kind}, {depth} bit{'s' if depth > 1 else ''}"
    return ", ".join([text, *found])


def describe_webp(data: bytes) -> str:
    """Return which chunks a WebP has beside its pixels."""
    found, position = [], 12
    names = {b"ICCP": "ICC profile", b"XMP ": "XMP"}
    while position < len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name in names:
            found.append(names[name])
        # Each has EXIF, with the mark of fastkq.
        if name == b"EXIF" and length > len(format_rows.PLAIN_EXIF):
            found.append("EXIF")
        position += 8 + length + length % 2
    return ", ".join(found) or "nothing"


def outcome(row: format_rows.Row, format: str = "png") -> str:
    """Return what comes out, or the words of the error."""
    try:
        data = fastkq.compress(row.make(), format=format, **row.options)
    except ValueError as error:
        text = str(error).removeprefix("<bytes>: ").removeprefix("the image ")
        return f"error: {text}"
    if format == "gif":
        stays = np.array_equal(_pixels(data), _pixels(fastkq.compress(row.make(), icc="strip")))
        return "the same values" if stays else "colors of sRGB"
    return describe_png(data) if format == "png" else describe_webp(data)


def _pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA"))


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table of texts."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def formats() -> str:
    """Return the table of what comes in, what happens and what comes out."""
    rows = [
        [row.section, row.name, row.happens, outcome(row)]
        for row in format_rows.ALL
        if row.section != COLORS
    ]
    return table(["format", "what comes in", "what happens", "the PNG that comes out"], rows)


def colors() -> str:
    """Return the table of profiles and metadata, by the format that is written."""
    rows = []
    for row in format_rows.ALL:
        if row.section == COLORS:
            outcomes = [outcome(row, format) for format in ("png", "webp", "gif")]
            rows.append([row.name, row.happens, *outcomes])
    return table(["what comes in", "what happens", "in a PNG", "in a WebP", "in a GIF"], rows)


def describe_film(row: film_rows.FilmRow, format: str) -> str:
    """Return how many frames come out, for how many ms each, and how often; or the error."""
    try:
        data = fastkq.compress(row.make(), format=format, lossy=0, **row.options)
    except ValueError as error:
        return f"error: {str(error).removeprefix('<bytes>: ')}"
    film = open_animation(data)
    if film is None:
        return "a picture"
    times = ", ".join(f"{ms:.4g}" for ms in film.durations)
    loop = {0: "for ever", 1: "once"}.get(film.loop, f"{film.loop} times")
    return f"{len(film)} frames of {times} ms, {loop}"


def films() -> str:
    """Return the table of animations, by the format that is written."""
    rows = []
    for row in film_rows.ALL:
        outcomes = [describe_film(row, format) for format in ("gif", "png", "webp")]
        if len(set(outcomes)) == 1:
            outcomes[1:] = ["the same", "the same"]
        rows.append([row.section, row.name, row.happens, *outcomes])
    header = ["format", "what comes in", "what happens", "as a GIF", "as a PNG", "as a WebP"]
    return table(header, rows)


TABLES = {"formats": formats, "colors": colors, "films": films}


def render(text: str) -> str:
    """Return a document with its tables written anew."""
    for name, make in TABLES.items():
        pattern = rf"(<!-- rows {name} -->\n).*?(<!-- end of rows -->)"
        body = f"\n{make()}\n\n"
        text = re.sub(
            pattern, lambda match, body=body: match[1] + body + match[2], text, flags=re.S
        )
    return text


def main() -> int:
    """Write the document; with `--check`, return 1 where it would change."""
    before = DOCUMENT.read_text(encoding="utf-8")
    after = render(before)
    if "--check" in sys.argv:
        return int(before != after)
    DOCUMENT.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
