"""How long frames are shown, in the units that formats count in."""

from __future__ import annotations

from fractions import Fraction

# Players show frames of up to 10 ms for 100 ms, as authors of old GIFs that said 0 expect it.
NOT_TAKEN = 10.0  # ms
MAX_FIELD = 65535  # of both parts of a fraction in an APNG


class Clock:
    """Rounds durations to ticks, so that rounding does not add up.

    Parameters
    ----------
    tick : float, in ms
    most : int, ticks that a frame may be shown
    name : str, of the format, for errors
    is_coarse : bool
        Whether one tick is as short as what players do not take for a duration: frames that were
        longer than that get two then.
    """

    def __init__(self, tick: float, most: int, name: str, *, is_coarse: bool = False) -> None:
        self._tick, self._most, self._name = tick, most, name
        self._least = 2 if is_coarse else 1
        self._debt = 0.0  # ticks that are owed to the next frame

    def ticks(self, duration: float) -> int:
        """Return the ticks of the next frame, of a duration in ms.

        Raises
        ------
        ValueError
            The format has no room for so many.
        """
        exact = duration / self._tick + self._debt
        ticks = max(round(exact), self._least if duration > NOT_TAKEN else 0)
        if ticks > self._most:
            raise ValueError(
                f"a frame is shown for {duration / 1000:.0f} s; a {self._name} has frames of up to "
                f"{self._most * self._tick / 1000:.0f} s"
            )
        self._debt = min(max(exact - ticks, -1.0), 1.0)
        return ticks


def as_fraction(duration: float) -> tuple[int, int]:
    """Return a duration in ms as the numerator and denominator of seconds, both of 16 bits.

    Examples
    --------
    >>> as_fraction(1000 / 30), as_fraction(40), as_fraction(0)
    ((1, 30), (1, 25), (0, 1))
    """
    seconds = Fraction(duration / 1000).limit_denominator(MAX_FIELD)
    for denominator in (1000, 100, 10, 1):
        if seconds.numerator <= MAX_FIELD:
            return seconds.numerator, seconds.denominator
        seconds = Fraction(round(seconds * denominator), denominator)
    if seconds.numerator > MAX_FIELD:
        raise ValueError(
            f"a frame is shown for {duration / 1000:.0f} s; a png has frames of up to {MAX_FIELD} s"
        )
    return seconds.numerator, seconds.denominator


def can_merge(one: float, other: float) -> bool:
    """Return whether players show two equal frames for as long as one of both durations (ms)."""
    return one > NOT_TAKEN and other > NOT_TAKEN
