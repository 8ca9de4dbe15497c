"""The values of arguments: text in, checked values out, or one line that says what is allowed."""

from __future__ import annotations

import argparse
import math
import re

from fastkq.engine.search import check_quality
from fastkq.types import MAX_COLORS

MAX_JOBS = 4096
MAX_FRAME = (1 << 31) - 1


def color_count(text: str) -> int:
    """Return a number of colors."""
    return integer(text, 1, MAX_COLORS)


def color(text: str) -> str:
    """Return a color as #rrggbb."""
    digits = text.strip().removeprefix("#")
    if not re.fullmatch("[0-9a-fA-F]{6}", digits):
        raise argparse.ArgumentTypeError(f"{text!r} is not a color such as ffffff")
    return f"#{digits}"


def colors(text: str) -> list[list[int]]:
    """Return colors; where one of them has an alpha, all have."""
    parts = [part.strip().removeprefix("#") for part in text.split(",")]
    if not all(re.fullmatch("[0-9a-fA-F]{6}([0-9a-fA-F]{2})?", part) for part in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of colors such as ff0000,00ff00; rrggbb and rrggbbaa are "
            "allowed"
        )
    has_alpha = any(len(part) > len("rrggbb") for part in parts)
    return [list(bytes.fromhex((part + "ff" * has_alpha)[:8])) for part in parts]


def job_count(text: str) -> int:
    """Return a number of worker processes."""
    return integer(text, 1, MAX_JOBS)


def frame_number(text: str) -> int:
    """Return the number of a frame."""
    return integer(text, 0, MAX_FRAME)


def integer(text: str, low: int, high: int) -> int:
    """Return an integer from `low` to `high`."""
    try:
        count = int(text)
    except ValueError:
        count = low - 1
    if not low <= count <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {low} to {high}")
    return count


def share(text: str) -> float:
    """Return a share, of 1, that is written as 0.05 or as 5%."""
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0% to 100%")
    return number


def number_to(most: float, text: str) -> float:
    """Return a number from 0 to `most`."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {most}")
    return number


def quality(text: str) -> tuple[float, float]:
    """Return the two numbers of pngquant's MIN-MAX."""
    least, _, most = text.rpartition("-")
    try:
        return check_quality((float(least or 0), float(most)))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not two ascending numbers from 0 to 100, such as 65-80"
        ) from None
