"""Palettes for other programs, which fastkq writes and does not read: .ase, .css, .csv, .svg.

And .png, the palette of an indexed image of swatches, which it reads as it reads any image.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from fastkq.files import formats
from fastkq.types import Array, UInt8Array

ASE, CSS, CSV, SVG, PNG = SUFFIXES = (".ase", ".css", ".csv", ".svg", ".png")
# Adobe's swatch exchange: signature, version 1.0, number of blocks; then blocks of a type, a
# length, a name in UTF-16 with its length, a color space, its values and how a swatch is used.
ASE_HEADER = struct.Struct(">4sHHI")
ASE_BLOCK = struct.Struct(">HI")
ASE_RGB = struct.Struct(">4sfffH")
ASE_COLOR, ASE_NORMAL = 1, 2
SWATCH, COLUMNS = 32, 16


def encode_ase(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    """Return Adobe's swatch exchange, of opaque colors, each named by its hex."""
    data = ASE_HEADER.pack(b"ASEF", 1, 0, len(palette))
    for color in palette.tolist():
        name = f"#{bytes(color).hex()}\0"
        levels = [level / 255 for level in color]
        block = struct.pack(">H", len(name)) + name.encode("utf-16-be")
        block += ASE_RGB.pack(b"RGB ", *levels, ASE_NORMAL)
        data += ASE_BLOCK.pack(ASE_COLOR, len(block)) + block
    return data


def encode_css(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    """Return custom properties, `--color-1` and so on."""
    lines = [f"  --color-{i}: #{bytes(color).hex()};" for i, color in _numbered(palette)]
    return "\n".join([":root {", *lines, "}", ""]).encode()


def encode_csv(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    """Return a table: hex, the levels, and the share of the pixels where it is known."""
    levels = ["red", "green", "blue", "alpha"][: palette.shape[1]]
    lines = [["hex", *levels, *([] if shares is None else ["share"])]]
    for i, color in _numbered(palette):
        share = [] if shares is None else [f"{shares[i - 1]:.6f}"]
        lines.append([f"#{bytes(color).hex()}", *map(str, color), *share])
    return "".join(",".join(line) + "\n" for line in lines).encode()


def encode_svg(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    """Return a picture of squares, each with its hex, and share, as its title."""
    n_rows = -(-len(palette) // COLUMNS)
    width, height = SWATCH * min(COLUMNS, len(palette)), SWATCH * n_rows
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">'
    ]
    for i, color in _numbered(palette):
        row, column = divmod(i - 1, COLUMNS)
        name = f"#{bytes(color).hex()}"
        title = name if shares is None else f"{name}, {shares[i - 1]:.1%}"
        lines.append(
            f'<rect x="{column * SWATCH}" y="{row * SWATCH}" width="{SWATCH}" height="{SWATCH}" '
            f'fill="{name}"><title>{title}</title></rect>'
        )
    return "\n".join([*lines, "</svg>", ""]).encode()


def encode_png(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    """Return an indexed image of squares, whose palette has the colors in their order."""
    columns = min(COLUMNS, len(palette))
    n_rows = -(-len(palette) // columns)
    places = np.minimum(np.arange(n_rows * columns), len(palette) - 1).astype(np.uint8)
    squares = places.reshape(n_rows, columns).repeat(SWATCH, axis=0).repeat(SWATCH, axis=1)
    return formats.encode(np.ascontiguousarray(squares), palette)


def _numbered(palette: UInt8Array) -> list[tuple[int, list[int]]]:
    return list(enumerate(palette.tolist(), 1))


EXPORTS = {ASE: encode_ase, CSS: encode_css, CSV: encode_csv, SVG: encode_svg, PNG: encode_png}
