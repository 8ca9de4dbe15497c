"""Palettes as GIMP files (.gpl): a header, then a line of three levels and a name a color."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fastkq.image_io import write_file
from fastkq.remap import MAX_COLORS, check_palette
from fastkq.types import UInt8Array

FIRST_LINE = "GIMP Palette"
SUFFIX = ".gpl"


def read_palette(path: str | os.PathLike[str]) -> UInt8Array:
    """Return the palette (K, 3) uint8 of a .gpl file, in its order.

    Raises
    ------
    OSError, ValueError
        There is no such file; it is no GIMP palette of 1 to 256 colors.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
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
    if not 1 <= len(colors) <= MAX_COLORS:
        raise ValueError(f"{path}: has {len(colors)} colors; 1 to {MAX_COLORS} are allowed")
    return np.array(colors, np.uint8)


def write_palette(path: str | os.PathLike[str], palette: ArrayLike) -> None:
    """Write a palette (K, 3) as a .gpl file, in one step.

    Raises
    ------
    ValueError, TypeError, OSError
        It is no palette; the path has another suffix or cannot be written.
    """
    check_palette_path(path)
    checked = check_palette(palette)
    if checked.shape[1] != 3:
        raise ValueError(
            f"palette has shape {checked.shape}; GIMP palettes have no alpha, so (K, 3)"
        )
    colors = checked.tolist()
    lines = [FIRST_LINE, f"Name: {Path(path).stem}", "Columns: 16", "#"]
    lines += [f"{r:3} {g:3} {b:3}\t#{r:02x}{g:02x}{b:02x}" for r, g, b in colors]
    write_file(path, "".join(f"{line}\n" for line in lines).encode())


def check_palette_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a palette to write, if it can be one."""
    path = Path(path)
    if path.suffix.lower() != SUFFIX:
        raise ValueError(f"{path}: a palette must be a {SUFFIX} file")
    return path
