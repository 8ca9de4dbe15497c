"""As lossy as an image may become: by a score that it must keep, or by the bytes that it may take.

Scores and bytes both fall as `lossy` rises, so every trial tells on which side to go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastkq.engine.search import TargetNotReachedError
from fastkq.paint.dither import MOST_LOSSY
from fastkq.result import QuantizeResult

LEAST, FIRST = 5.0, 40.0  # of `lossy`; with less than the first, files grow and look no better
MAX_TRIALS = 6
# A trial lies at least so far within what is known, for curves that are no straight lines.
MARGIN = 0.1

Found = TypeVar("Found")


@dataclass(frozen=True)
class Trial(Generic[Found]):
    """What came of being so lossy, and how far that is above a bound."""

    lossy: float
    margin: float
    found: Found


def find_crossing(
    measure: Callable[[float], tuple[Found, float]],
) -> tuple[Trial[Found] | None, Trial[Found] | None]:
    """Return the last trials on both sides of the `lossy` at which a falling curve crosses zero.

    The next trial is where a line through both sides, by the square of `lossy`, which bits are
    weighed by, crosses zero (the Illinois algorithm).

    Parameters
    ----------
    measure : callable
        Returns what comes of being so lossy, and a margin that falls with it. It is called at most
        six times.

    Returns
    -------
    above, below
        The most lossy trial with a margin of 0 or more, and the least lossy one with less. One of
        them is None where the curve does not cross.
    """

    def try_out(lossy: float) -> Trial[Found]:
        found, margin = measure(lossy)
        return Trial(lossy, margin, found)

    first = try_out(FIRST)
    other = try_out(MOST_LOSSY if first.margin >= 0 else LEAST)
    above, below = (first, other) if first.margin >= 0 else (other, first)
    if below.margin >= 0:  # even the most lossy
        return below, None
    if above.margin < 0:
        return None, above
    left, right = above.margin, -below.margin
    for _ in range(2, MAX_TRIALS):
        share = min(max(left / (left + right), MARGIN), 1 - MARGIN)
        low, high = above.lossy, below.lossy
        between = round((low**2 + share * (high**2 - low**2)) ** 0.5, 2)
        if not low < between < high:
            break
        trial = try_out(between)
        # The end that stays counts half from now on, so that both move.
        if trial.margin >= 0:
            above, left, right = trial, trial.margin, right / 2
        else:
            below, left, right = trial, left / 2, -trial.margin
    return above, below


def find_lossiest(
    label: Callable[[float], tuple[QuantizeResult, float]], min_score: float
) -> QuantizeResult:
    """Return the result of the largest `lossy` that reaches a score, of at most six trials.

    Parameters
    ----------
    label : callable
        Labels an image so lossily; returns the result and its score.
    min_score : float

    Raises
    ------
    TargetNotReachedError
        Not even the least lossy labels reach it.
    """

    def measure(lossy: float) -> tuple[QuantizeResult, float]:
        result, score = label(lossy)
        return result, score - min_score

    above, below = find_crossing(measure)
    if above is None:
        assert below is not None  # noqa: S101 - one of them is there
        palette, score = below.found.palette, below.margin + min_score
        raise TargetNotReachedError(
            f"min_score is {min_score:g}; {len(palette)} colors reach {score:.1f}",
            len(palette),
            below.found.mse,
        )
    return above.found


def find_clearest(encode: Callable[[float], tuple[Found, int]], max_bytes: int) -> Found | None:
    """Return what comes of the least `lossy` whose file has at most so many bytes.

    Parameters
    ----------
    encode : callable
        Labels an image so lossily; returns what is to be found, and the bytes of its file.
    max_bytes : int

    Returns
    -------
    None if even the most lossy labels take more
    """

    def measure(lossy: float) -> tuple[Found, float]:
        found, n_bytes = encode(lossy)
        return found, n_bytes - max_bytes - 0.5  # so many bytes are allowed

    _, below = find_crossing(measure)
    return None if below is None else below.found
