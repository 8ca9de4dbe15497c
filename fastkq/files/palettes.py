"""Palettes as files: of GIMP (.gpl), of Photoshop (.act), .hex and .json lists, or images.

Their order is kept, and colors that come twice. Lists and images may have alpha. Those that are
only written are in `palette_exports`.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastkq.colors.pixels import OPAQUE, has_alpha
from fastkq.files.decode import open_file
from fastkq.files.palette_exports import ASE, EXPORTS
from fastkq.files.read import is_image, read_image, read_indexed_palette
from fastkq.files.reading import SRGB, ReadOptions
from fastkq.files.write import write_file
from fastkq.types import MAX_COLORS, Array, UInt8Array

GPL, ACT, HEX, JSON = SUFFIXES = (".gpl", ".act", ".hex", ".json")
WRITTEN = (*SUFFIXES, *EXPORTS)
WITHOUT_ALPHA = (GPL, ACT, ASE)
ALLOWED_SUFFIXES = ".gpl, .act, .hex or .json file"
ALLOWED_EXPORTS = ".gpl, .act, .ase, .hex, .json, .csv, .css, .svg or .png file"
FIRST_LINE = "GIMP Palette"
# Adobe's color table: 256 colors, then perhaps how many of them count and which is transparent.
ACT_COLORS_BYTES = 3 * MAX_COLORS
ACT_TRAILER = struct.Struct(">HH")
ACT_OPAQUE = 0xFFFF


def read_palette(path: str | os.PathLike[str]) -> UInt8Array:
    """Return the palette (K, 3) uint8 of a file, in its order; (K, 4) if not all are opaque.

    Parameters
    ----------
    path : path of a palette of 1 to 256 colors
        .gpl: GIMP's. .act: Adobe's color table of 768 bytes, or 772 with the number of colors and
        perhaps a transparent one. .hex: a color a line, as rrggbb or rrggbbaa. .json: a list, or
        the "colors" of an object, each [r, g, b], [r, g, b, a], "#rrggbb" or "#rrggbbaa". An image:
        the palette of an indexed one; of others the distinct colors, in the order in which they
        come, row by row, and (0, 0, 0, 0) for all that are fully transparent; their colors are
        converted to sRGB.

    Raises
    ------
    OSError, ValueError
        There is no such file; it is no such palette.
    """
    path = Path(path)
    colors = _read_file(path) if path.suffix.lower() in SUFFIXES else _read_image(path)
    if not 1 <= len(colors) <= MAX_COLORS:
        raise ValueError(f"{path}: has {len(colors)} colors; 1 to {MAX_COLORS} are allowed")
    return _drop_opaque_alpha(np.array(colors, np.uint8))


def write_palette(
    path: str | os.PathLike[str], palette: UInt8Array, shares: Array | None = None
) -> None:
    """Write a palette (K, 3) or (K, 4) uint8 as a file of the path's suffix, in one step.

    Parameters
    ----------
    path : path ending in .gpl, .act, .ase, .hex, .json, .csv, .css, .svg or .png
    palette : (K, 3) or (K, 4) uint8
    shares : (K,) float, optional
        Of the pixels, that each color has; .json, .csv and .svg files tell them.

    Raises
    ------
    ValueError, OSError
        It is not opaque and the format has no alpha; the path has another suffix or cannot be
        written.
    """
    path = check_palette_path(path)
    palette = _drop_opaque_alpha(palette)
    suffix = path.suffix.lower()
    if palette.shape[1] == 4 and suffix in WITHOUT_ALPHA:
        n_others = np.count_nonzero(palette[:, 3] != OPAQUE)
        raise ValueError(
            f"{path}: {n_others} of the {len(palette)} colors are not opaque, and {suffix} files "
            "have no alpha; .hex and .json files have it"
        )
    encode = {GPL: _encode_gpl, ACT: _encode_act, HEX: _encode_hex, JSON: _encode_json} | EXPORTS
    write_file(path, encode[suffix](path, palette, shares))


def _drop_opaque_alpha(palette: UInt8Array) -> UInt8Array:
    return palette if palette.shape[1] == 4 and (palette[:, 3] != OPAQUE).any() else palette[:, :3]


def check_palette_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a palette to write, if it can be one."""
    path = Path(path)
    if path.suffix.lower() not in WRITTEN:
        raise ValueError(f"{path}: a palette must be a {ALLOWED_EXPORTS}")
    return path


def parse_hex(text: str, *, alpha: bool = False) -> list[int] | None:
    """Return the three levels of a color "rrggbb" or "#rrggbb"; None for what is no such text.

    With `alpha`, four, which "rrggbbaa" may give as well.
    """
    match = re.fullmatch(r"#?([0-9a-fA-F]{6})([0-9a-fA-F]{2})?", text.strip())
    if match is None or (match[2] is not None and not alpha):
        return None
    return list(bytes.fromhex(match[1] + (match[2] or "ff" if alpha else "")))


def hex_text(color: Iterable[int]) -> str:
    """Return a color as rrggbb or rrggbbaa."""
    return bytes(color).hex()


def _read_file(path: Path) -> UInt8Array | list[list[int]]:
    with open_file(str(path), "a palette file") as file:
        data = file.read()
    if path.suffix.lower() == ACT:
        return _read_act(path, data)
    read = {GPL: _read_gpl, HEX: _read_hex, JSON: _read_json}
    return read[path.suffix.lower()](path, data)


def _text_lines(data: bytes) -> list[str]:
    return data.decode("utf-8-sig", errors="replace").splitlines()


def _read_gpl(path: Path, data: bytes) -> list[list[int]]:
    lines = _text_lines(data)
    if not lines or lines[0].strip() != FIRST_LINE:
        raise ValueError(f"{path}: is no GIMP palette, whose first line is {FIRST_LINE!r}")
    colors = []
    for number, line in enumerate(lines[1:], 2):
        if not line.strip() or line.startswith("#") or re.match(r"(Name|Columns):", line):
            continue
        match = re.match(r"\s*(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})(\s|$)", line)
        levels = [int(text) for text in match.groups()[:3]] if match else []
        if not match or max(levels) > 255:
            raise ValueError(
                f"{path}: line {number} is {line[:40]!r}; three levels from 0 to 255 and a name "
                "are allowed"
            )
        colors.append(levels)
    return colors


def _encode_gpl(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    lines = [FIRST_LINE, f"Name: {path.stem}", "Columns: 16", "#"]
    lines += [f"{r:3} {g:3} {b:3}\t#{hex_text((r, g, b))}" for r, g, b in palette.tolist()]
    return "".join(f"{line}\n" for line in lines).encode()


def _read_act(path: Path, data: bytes) -> UInt8Array:
    sizes = (ACT_COLORS_BYTES, ACT_COLORS_BYTES + ACT_TRAILER.size)
    if len(data) not in sizes:
        raise ValueError(
            f"{path}: has {len(data)} bytes; a color table of {sizes[0]} or {sizes[1]} is allowed"
        )
    colors = np.frombuffer(data[:ACT_COLORS_BYTES], np.uint8).reshape(-1, 3)
    if len(data) == ACT_COLORS_BYTES:
        return colors
    n_colors, transparent = ACT_TRAILER.unpack(data[ACT_COLORS_BYTES:])
    if n_colors > MAX_COLORS:  # not cut to what there is: the caller tells of a wrong number
        return np.empty((n_colors, 3), np.uint8)
    if transparent >= n_colors:
        return colors[:n_colors]
    alphas = np.where(np.arange(n_colors) == transparent, 0, OPAQUE).astype(np.uint8)
    return np.column_stack([colors[:n_colors], alphas])


def _encode_act(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    return palette.tobytes().ljust(ACT_COLORS_BYTES, b"\0") + ACT_TRAILER.pack(
        len(palette), ACT_OPAQUE
    )


def _read_hex(path: Path, data: bytes) -> list[list[int]]:
    lines = enumerate(_text_lines(data), 1)
    return [_parse_color(path, line, f"line {number}") for number, line in lines if line.strip()]


def _encode_hex(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    return "".join(f"{hex_text(color)}\n" for color in palette.tolist()).encode()


def _read_json(path: Path, data: bytes) -> list[list[int]]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path}: is no palette: its lists are nested too deeply") from error
    colors = content.get("colors") if isinstance(content, dict) else content
    if not isinstance(colors, list):
        raise ValueError(
            f"{path}: has no list of colors; a list, or an object with one as its 'colors', is "
            "allowed"
        )
    return [_parse_color(path, color, f"color {number}") for number, color in enumerate(colors, 1)]


def _encode_json(path: Path, palette: UInt8Array, shares: Array | None) -> bytes:
    colors = [f"#{hex_text(color)}" for color in palette.tolist()]
    content: dict[str, Any] = {"name": path.stem, "colors": colors}
    if shares is not None:
        content["shares"] = [round(share, 6) for share in shares.tolist()]
    return f"{json.dumps(content, indent=1)}\n".encode()


def _parse_color(path: Path, color: Any, name: str) -> list[int]:
    """Return the four levels of a color that a file gives as a text, or as a list."""
    if isinstance(color, str):
        levels = parse_hex(color, alpha=True)
        if levels is not None:
            return levels
    elif isinstance(color, list) and len(color) in (3, 4) and all(map(_is_level, color)):
        return color if len(color) == 4 else [*color, OPAQUE]
    allowed = "rrggbb or rrggbbaa"
    if path.suffix.lower() != HEX:
        allowed = "[r, g, b] or [r, g, b, a], 0 to 255, '#rrggbb' or '#rrggbbaa'"
    raise ValueError(f"{path}: {name} is {str(color)[:40]!r}; {allowed} is allowed")


def _is_level(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255  # True is no level


def _read_image(path: Path) -> UInt8Array:
    if path.is_file() and not is_image(path):
        raise ValueError(f"{path}: is no palette; a {ALLOWED_SUFFIXES} or an image is allowed")
    palette = read_indexed_palette(path)
    if palette is not None:
        return palette
    array = read_image(path, ReadOptions(icc=SRGB)).array
    pixels = array.reshape(array.shape[0] * array.shape[1], -1)
    rgba = np.full((len(pixels), 4), OPAQUE, np.uint8)
    if has_alpha(array):
        rgba[:, 3] = pixels[:, -1]
        pixels = pixels[:, :-1]
    rgba[:, :3] = pixels
    rgba[rgba[:, 3] == 0] = 0  # what has no color that could be seen is one entry
    _, firsts = np.unique(rgba.view(np.uint32), return_index=True)
    return rgba[np.sort(firsts)]


def check_palette(palette: ArrayLike | str | os.PathLike[str]) -> UInt8Array:
    """Return a palette (K, 3) or (K, 4) uint8, if it, or the file of that path, is one."""
    if isinstance(palette, (str, os.PathLike)):
        return read_palette(palette)
    given = np.asarray(palette)
    if given.dtype.kind not in "iu":
        raise TypeError(f"palette has dtype {given.dtype}; integers from 0 to 255 are allowed")
    if given.ndim != 2 or given.shape[1] not in (3, 4) or not 1 <= len(given) <= MAX_COLORS:
        raise ValueError(
            f"palette has shape {given.shape}; (K, 3) and (K, 4) are allowed, K from 1 to "
            f"{MAX_COLORS}"
        )
    if given.min() < 0 or given.max() > 255:
        raise ValueError("palette has values outside 0 to 255")
    return given.astype(np.uint8)
