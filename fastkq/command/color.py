"""Whether what is printed may be colored."""

from __future__ import annotations

import os
from typing import TextIO


def wants_color(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal that shows colors, and whose user wants them.

    NO_COLOR, not empty, refuses them: https://no-color.org.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream is not None and stream.isatty()
