"""As lossy as an image may become without looking worse than asked for."""

from __future__ import annotations

from collections.abc import Callable

from fastkq.engine.search import TargetNotReachedError
from fastkq.result import QuantizeResult

LEAST, FIRST, MOST = 1.0, 40.0, 100.0  # of `lossy`
MAX_TRIALS = 6
# A trial lies at least so far within what is known, for scores that do not follow a straight line.
MARGIN = 0.1


def find_lossiest(
    label: Callable[[float], tuple[QuantizeResult, float]], min_score: float
) -> QuantizeResult:
    """Return the result of the largest `lossy` that reaches a score, of at most six trials.

    Scores fall as `lossy` rises, so every trial tells on which side to go on: where a line through
    the scores on both sides, by the square of `lossy`, which bits are weighed by, reaches the
    wanted one.

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
    result, score = label(FIRST)
    is_enough = score >= min_score
    other, other_score = label(MOST if is_enough else LEAST)
    if not is_enough and other_score < min_score:
        raise TargetNotReachedError(
            f"min_score is {min_score:g}; {len(other.palette)} colors reach {other_score:.1f}",
            len(other.palette),
            other.mse,
        )
    best = result if is_enough and other_score < min_score else other
    low, high = (FIRST, MOST) if is_enough else (LEAST, FIRST)
    low_score, high_score = (score, other_score) if is_enough else (other_score, score)
    above, below = low_score - min_score, min_score - high_score
    for _ in range(2, MAX_TRIALS):
        if below <= 0:  # even the most lossy labels reach it
            break
        share = min(max(above / (above + below), MARGIN), 1 - MARGIN)
        between = round((low**2 + share * (high**2 - low**2)) ** 0.5, 2)
        if not low < between < high:
            break
        result, score = label(between)
        # The end that stays counts half from now on (the Illinois algorithm), so that both move.
        if score >= min_score:
            best, low, above, below = result, between, score - min_score, below / 2
        else:
            high, above, below = between, above / 2, min_score - score
    return best
