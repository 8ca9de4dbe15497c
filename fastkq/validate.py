"""Checks of scalar options, so that each error says what came and what is allowed."""

from __future__ import annotations

import math
import numbers


def check_integer(value: object, name: str, low: int, high: int | None = None) -> int:
    """Return an integer option that is in its range."""
    allowed = f"an integer from {low} to {high}" if high is not None else f"an integer >= {low}"
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; {allowed} is allowed")
    integer = int(value)
    if integer < low or (high is not None and integer > high):
        raise ValueError(f"{name} is {value}; {allowed} is allowed")
    return integer


def check_number(value: object, name: str, low: float, high: float | None = None) -> float:
    """Return a finite real option that is in its range."""
    allowed = f"a number from {low} to {high}" if high is not None else f"a number >= {low}"
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; {allowed} is allowed")
    number = float(value)
    if not (math.isfinite(number) and low <= number <= (math.inf if high is None else high)):
        raise ValueError(f"{name} is {value}; {allowed} is allowed")
    return number


def check_flag(value: object, name: str) -> None:
    """Raise TypeError for an option that is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; True or False is allowed")
