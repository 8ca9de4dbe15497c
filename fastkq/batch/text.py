"""What is told of errors and files: one line each, whatever names and decoders put into it."""

from __future__ import annotations

import os
import re

# What would move the cursor, end the line, or turn the direction of the text around.
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
LINE_BREAKS = re.compile(r"\s*[\r\n]+\s*")


def one_line(error: BaseException) -> str:
    """Return an error's text without line breaks and control characters."""
    if isinstance(error, MemoryError):
        return "out of memory"
    text = str(error)
    if isinstance(error, OSError) and error.strerror and text.startswith("[Errno"):
        named = isinstance(error.filename, (str, bytes))
        text = f"{os.fsdecode(error.filename)}: {error.strerror}" if named else error.strerror
    return printable(LINE_BREAKS.sub(" ", text).strip()) or type(error).__name__


def printable(text: str) -> str:
    r"""Return a text with its control characters escaped, as file names may have them.

    Examples
    --------
    >>> print(printable("a\nb\x1b[2J.png"))
    a\nb\x1b[2J.png
    """
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
