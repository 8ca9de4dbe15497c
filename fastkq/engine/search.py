"""Targets: a quality, an error or a size, and the number of colors that just reaches it.

The error falls, and the size of the file grows, about as a power of the number of colors. So a few
trials, each placed by what the last ones found, lead to the two neighbours between which a bound is
crossed. Neither is strictly monotone, as K-means ends in local minima: the number that is found has
a neighbour on the other side of the bound, which need not hold of all the numbers beyond.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from fastkq.colors.metrics import mse_from_psnr, psnr_from_mse
from fastkq.types import MAX_LEVEL, QualityRange
from fastkq.validate import check_integer, check_number

MAX_QUALITY = 100
MAX_PSNR = 200  # in dB; one level of one pixel in 10^14 would be wrong
# Where the search starts, and how the error and the bytes go with the number of colors before two
# trials tell: of these the fewest trials, on photos.
FIRST_TRIAL = 64
MSE_EXPONENT, BYTES_EXPONENT = -0.8, 0.5
# After so many trials the rest is halved, whatever the curve promises.
MAX_GUESSES = 5
# libimagequant measures with its own gamma and weights, by which errors in dark and in noisy places
# count less. So for a quality it takes as many colors as leave a fourth of the squared error that
# the same number would be in levels: 0.16 to 0.34 of it on photos, at qualities from 10 to 80.
MSE_PER_UNIT = 3 * MAX_LEVEL**2 / 4


class TargetNotReachedError(ValueError):
    """No palette within the limits reaches the target; the message says what the best one does.

    Attributes
    ----------
    n_colors : int
        Of the best palette that could be had.
    mse : float
        Its squared error a pixel, summed over channels.
    n_bytes : int or None
        The size of its file; None where no size was asked for.
    """

    def __init__(self, message: str, n_colors: int, mse: float, n_bytes: int | None = None) -> None:
        super().__init__(message, n_colors, mse, n_bytes)
        self.n_colors = n_colors
        self.mse = mse
        self.n_bytes = n_bytes

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def psnr(self) -> float:
        """The peak signal-to-noise ratio of the best palette, in dB."""
        return psnr_from_mse(self.mse)


@dataclass(frozen=True)
class Target:
    """What is wanted of a palette.

    Attributes
    ----------
    name : str
        The options it came as.
    floor : float
        The largest MSE that will do.
    goal : float or None
        The MSE at which more colors are not wanted; None: as many as allowed.
    max_bytes : int or None
        The largest size of the file.
    """

    name: str
    floor: float = math.inf
    goal: float | None = None
    max_bytes: int | None = None

    def without_bytes(self) -> Target | None:
        """Return what is wanted of the error alone; None if that is nothing."""
        if self.goal is None and math.isinf(self.floor):
            return None
        return replace(self, max_bytes=None)


def check_target(
    *,
    quality: QualityRange | None = None,
    max_mse: float | None = None,
    min_psnr: float | None = None,
    max_bytes: int | None = None,
) -> Target | None:
    """Return the target that options of `compress` describe, None if there are none.

    Raises
    ------
    ValueError, TypeError
        A value is not allowed, or two bounds of the error contradict each other.
    """
    given = {"quality": quality, "max_mse": max_mse, "min_psnr": min_psnr, "max_bytes": max_bytes}
    given = {name: value for name, value in given.items() if value is not None}
    errors = [f"{name}={value!r}" for name, value in given.items() if name != "max_bytes"]
    if len(errors) > 1:
        raise ValueError(
            f"{', '.join(errors)} are bounds of the same error; one of quality, max_mse and "
            "min_psnr is allowed"
        )
    floor, goal = math.inf, None
    if quality is not None:
        least, most = check_quality(quality)
        floor, goal = quality_to_mse(least), quality_to_mse(most)
    elif max_mse is not None:
        floor = goal = check_number(max_mse, "max_mse", 0)
    elif min_psnr is not None:
        floor = goal = mse_from_psnr(check_number(min_psnr, "min_psnr", 0, MAX_PSNR))
    if max_bytes is not None:
        max_bytes = check_integer(max_bytes, "max_bytes", 1)
    name = ", ".join(f"{name} {_describe(value)}" for name, value in given.items())
    return Target(name, floor, goal, max_bytes) if given else None


def check_quality(quality: QualityRange) -> tuple[float, float]:
    """Return the two ends of a range of qualities."""
    allowed = "(min, max) with 0 <= min <= max <= 100 is allowed"
    if not isinstance(quality, (tuple, list)):
        raise TypeError(f"quality is {quality!r}; {allowed}")
    if len(quality) != 2:
        raise ValueError(f"quality is {quality!r}; {allowed}")
    least, most = (check_number(end, "an end of quality", 0, MAX_QUALITY) for end in quality)
    if least > most:
        raise ValueError(f"quality is {quality!r}; {allowed}")
    return least, most


def _describe(value: object) -> str:
    """Return a value of an option as the command line takes it."""
    if isinstance(value, (tuple, list)):
        return "-".join(f"{end:g}" for end in value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def quality_to_mse(quality: float) -> float:
    """Return the largest MSE, summed over channels, of a quality.

    Parameters
    ----------
    quality : float, 0 to 100

    Returns
    -------
    float
        3/4 * 255^2 * (max(0, 0.016 / (0.001 + q) - 0.001) + 2.5 / (210 + q)^1.2 * (100.1 - q) /
        100) for a quality q, after libimagequant's scale (`quality_to_mse` of its `quant.rs`,
        https://github.com/ImageOptim/libimagequant); infinite for 0, 0 for 100. The factor makes a
        photo of a quality there have about the same here: see `MSE_PER_UNIT`.

    Examples
    --------
    >>> [round(quality_to_mse(quality), 1) for quality in (0, 50, 65, 80, 90, 100)]
    [inf, 77.3, 50.6, 27.2, 13.1, 0.0]
    """
    if quality <= 0:
        return math.inf
    if quality >= MAX_QUALITY:
        return 0.0
    steep_end = max(0.0, 0.016 / (0.001 + quality) - 0.001)
    gentle_end = 2.5 / math.pow(210 + quality, 1.2) * (100.1 - quality) / 100
    return MSE_PER_UNIT * (steep_end + gentle_end)


def mse_to_quality(mse: float) -> int:
    """Return the best whole quality, 0 to 100, that an MSE summed over channels attains."""
    return next(quality for quality in range(MAX_QUALITY, -1, -1) if mse <= quality_to_mse(quality))


def choose_n_colors(
    target: Target,
    most: int,
    mse: Callable[[int], float],
    n_bytes: Callable[[int], int],
    n_locked: int = 0,
) -> int:
    """Return the number of colors that a target asks for.

    Parameters
    ----------
    target
        What is wanted.
    most : int
        The largest number of colors, 1 or more.
    mse, n_bytes : callables
        The error and the size of the file that a number of colors leads to. They are called
        several times for some numbers.
    n_locked : int
        How many colors the palette has in any case, so that a smaller number means as many.

    Returns
    -------
    int
        The smallest that reaches the goal: it does, one less does not. `most` where that does not
        reach it. Where its file has too many bytes, the largest whose file has not: one more has.

    Raises
    ------
    TargetNotReachedError
        The error of that number is above the floor, or the file of a single color is too large.
    """
    n_colors = most
    if target.goal is not None:
        before = last_before(mse, target.goal, most, first=FIRST_TRIAL, exponent=MSE_EXPONENT)
        n_colors = min(before + 1, most)
    size = None
    if target.max_bytes is not None:
        n_colors = last_before(
            n_bytes, target.max_bytes, n_colors, first=n_colors, exponent=BYTES_EXPONENT
        )
        if n_colors == 0:
            raise _not_reached(target, max(1, n_locked), mse(1), n_bytes(1))
        size = n_bytes(n_colors)
    error = mse(n_colors)
    if error > target.floor:
        raise _not_reached(target, max(n_colors, n_locked), error, size)
    return n_colors


def last_before(
    measure: Callable[[int], float], bound: float, most: int, *, first: int, exponent: float
) -> int:
    """Return the last whole number before a curve crosses a bound.

    Parameters
    ----------
    measure : callable
        The curve at 1 to `most`. One that rises crosses where it is above the bound, one that falls
        where it is not above it.
    bound : float
    most : int
    first : int
        Where to try first.
    exponent : float
        The power by which the curve goes, about; its sign says whether it falls or rises.

    Returns
    -------
    int
        0 to `most`: the curve has crossed at the next number (or that is `most` + 1), but not at
        this one (or it is 0).

    Examples
    --------
    >>> last_before(lambda k: 1000 / k, 100, 256, first=64, exponent=-0.8)  # 1000 / 10 is 100
    9
    """
    low, high = 0, most + 1
    values: dict[int, float] = {}
    trial = min(first, most)
    while True:
        value = values[trial] = measure(trial)
        if (value > bound) == (exponent > 0):
            high = trial
        else:
            low = trial
        if high - low == 1:
            return low
        if len(values) > MAX_GUESSES:
            guess = _middle(low, high)
        else:
            guess = _guess(values, low, high, bound, exponent)
        trial = max(low + 1, min(high - 1, round(guess)))


def _guess(values: dict[int, float], low: int, high: int, bound: float, exponent: float) -> float:
    """Return where a power through what is known of `low` and `high` meets the bound."""
    if bound == 0:
        return high - 1
    known = [number for number in (low, high) if values.get(number, 0) > 0]
    if not known:
        return _middle(low, high)
    if len(known) == 2:
        exponent = math.log(values[high] / values[low]) / math.log(high / low)
    steps = math.log(bound / values[known[0]]) / exponent
    return known[0] * math.exp(min(steps, math.log(high)))


def _middle(low: int, high: int) -> float:
    return math.sqrt(max(low, 1) * high)


def _not_reached(target: Target, n_colors: int, mse: float, n_bytes: int | None) -> Exception:
    noun = "color" if n_colors == 1 else "colors"
    quality = f"MSE {mse:.6g}, PSNR {psnr_from_mse(mse):.4g} dB, quality {mse_to_quality(mse)}"
    if n_bytes is not None and target.max_bytes is not None and n_bytes > target.max_bytes:
        text = (
            f"max_bytes {target.max_bytes} is exceeded: the file of {n_colors} {noun} has "
            f"{n_bytes} bytes, with {quality}; as many bytes are allowed"
        )
    else:
        size = "" if n_bytes is None else f" in {n_bytes} bytes"
        verb = "has" if n_colors == 1 else "have"
        text = (
            f"{target.name} is not reached: {n_colors} {noun} {verb} {quality}{size}; a target "
            "that this reaches is allowed"
        )
    return TargetNotReachedError(text, n_colors, mse, n_bytes)
