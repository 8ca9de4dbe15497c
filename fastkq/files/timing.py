"""How long frames are shown, in the units that formats count in."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from fastkq.files.formats import GIF, WEBP

# Players show frames of up to 10 ms for 100 ms, as authors of old GIFs that said 0 expect it.
NOT_TAKEN = 10.0  # ms
MOST_MERGED = 600_000.0  # ms, that a field of every format can hold
MAX_FIELD = 65535  # of both parts of a fraction in an APNG
GIF_TICK, MOST_GIF_TICKS = 10.0, 65535  # ms, of a field of 16 bits
WEBP_TICK, MOST_WEBP_TICKS = 1.0, (1 << 24) - 1


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
        if ticks > self._most >= round(duration / self._tick):
            ticks = self._most  # what is owed can wait
        if ticks > self._most:
            raise ValueError(
                f"a frame is shown for {duration / 1000:.0f} s; a {self._name} has frames of up to "
                f"{self._most * self._tick / 1000:.0f} s"
            )
        self._debt = min(max(exact - ticks, -1.0), 1.0)
        return ticks


def gif_clock() -> Clock:
    """Return what rounds the durations of a GIF, for one file."""
    return Clock(GIF_TICK, MOST_GIF_TICKS, "gif", is_coarse=True)


def webp_clock() -> Clock:
    """Return what rounds the durations of a WebP, for one file."""
    return Clock(WEBP_TICK, MOST_WEBP_TICKS, "webp")


def durations_held(format: str, durations: Sequence[float]) -> list[float]:
    """Return the durations (ms) that a file of a format tells, written with these.

    Examples
    --------
    >>> durations_held("gif", [33.3, 33.3, 33.3]), durations_held("webp", [33.3, 33.3, 33.3])
    ([30.0, 40.0, 30.0], [33.0, 34.0, 33.0])
    """
    if format == GIF:
        clock = gif_clock()
        return [clock.ticks(duration) * GIF_TICK for duration in durations]
    if format == WEBP:
        clock = webp_clock()
        return [clock.ticks(duration) * WEBP_TICK for duration in durations]
    fractions = [as_fraction(duration) for duration in durations]
    return [1000 * numerator / denominator for numerator, denominator in fractions]


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
    return min(one, other) > NOT_TAKEN and one + other <= MOST_MERGED
