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
    results, scores = {}, {}
    results[FIRST], scores[FIRST] = label(FIRST)
    other = MOST if scores[FIRST] >= min_score else LEAST
    results[other], scores[other] = label(other)
    if max(scores.values()) < min_score:
        best = results[LEAST]
        raise TargetNotReachedError(
            f"min_score is {min_score:g}; {len(best.palette)} colors reach {scores[LEAST]:.1f}",
            len(best.palette),
            best.mse,
        )
    low, high = (FIRST, MOST) if other == MOST else (LEAST, FIRST)
    above, below = scores[low] - min_score, min_score - scores[high]
    while len(scores) < MAX_TRIALS and below > 0:
        share = min(max(above / (above + below), MARGIN), 1 - MARGIN)
        between = round((low**2 + share * (high**2 - low**2)) ** 0.5, 2)
        if not low < between < high:
            break
        results[between], scores[between] = label(between)
        # The end that stays counts half from now on (the Illinois algorithm), so that both move.
        difference = scores[between] - min_score
        if difference >= 0:
            low, above, below = between, difference, below / 2
        else:
            high, above, below = between, above / 2, -difference
    return results[max(lossy for lossy, score in scores.items() if score >= min_score)]
