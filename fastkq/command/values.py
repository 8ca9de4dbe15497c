"""The values of arguments: text in, checked values out, or one line that says what is allowed."""

from __future__ import annotations

import argparse
import math
import os
import re

from fastkq.engine.search import check_quality
from fastkq.files.reading import ALL_PAGES
from fastkq.types import MAX_COLORS

MAX_JOBS = 4096
MAX_FRAME = (1 << 31) - 1
MAX_SHARDS = 1_000_000
MAX_PAGES = 10_000
MAX_SECONDS = 1_000_000


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


def page(text: str) -> int | str:
    """Return the number of a page, or "all"."""
    return ALL_PAGES if text == ALL_PAGES else integer(text, 1, MAX_PAGES)


def pixel_count(text: str) -> int:
    """Return a number of pixels, which may be given in millions, as 100M."""
    factor = 1_000_000 if text[-1:] in ("M", "m") else 1
    try:
        count = round(float(text[:-1] if factor > 1 else text) * factor)
    except (ValueError, OverflowError):
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of pixels, such as 100M")
    return count


def seconds(text: str) -> float:
    """Return a number of seconds."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number of seconds over 0, up to {MAX_SECONDS}"
        )
    return number


def name_suffix(text: str) -> str:
    """Return what names may end with: no path, and not nothing."""
    if not text or set(text) & {"/", os.sep, "\0"}:
        raise argparse.ArgumentTypeError(f"{text!r} is not a suffix such as -small")
    return text


def integer(text: str, low: int, high: int) -> int:
    """Return an integer from `low` to `high`."""
    try:
        count = int(text)
    except ValueError:
        count = low - 1
    if not low <= count <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from {low} to {high}")
    return count


def shard(text: str) -> tuple[int, int]:
    """Return which part of how many, that is written as 1/8."""
    number, _, count = text.partition("/")
    try:
        n_shards = integer(count, 1, MAX_SHARDS)
        return integer(number, 1, n_shards), n_shards
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a part such as 1/8; those of 8 are 1/8 to 8/8"
        ) from None


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
