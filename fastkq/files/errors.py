"""The causes of what fails at files, in one line, with the number that the system gave."""

from __future__ import annotations

import os


class ImageReadError(OSError, ValueError):
    """A file could be opened, and is no image that can be read; one line tells its name and why.

    It is damaged, ends early, has more pixels than are allowed, or is of a kind that is not
    supported. As an OSError and a ValueError it is caught by handlers of either. A file that cannot
    be opened at all is told of by the system's own errors, such as FileNotFoundError, which are
    OSErrors as well.

    Examples
    --------
    >>> import fastkq
    >>> try:
    ...     fastkq.quantize(b"no picture")
    ... except fastkq.ImageReadError as error:
    ...     print(error)
    <bytes>: is no image of a known format; JPEG, PNG, WebP, ... and TGA are allowed
    """


class PixelsNotAllowedError(ValueError):
    """A file is whole, and has pixels that fastkq does not take."""


def reason(error: BaseException) -> str:
    """Return why something failed, in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def os_error(number: int, text: str) -> OSError:
    """Return an OSError of the class and number of a cause whose text is one plain line.

    Examples
    --------
    >>> import errno
    >>> error = os_error(errno.ENOENT, "a.png: no such file")
    >>> type(error).__name__, error.errno, str(error)
    ('FileNotFoundError', 2, 'a.png: no such file')
    """
    error = type(OSError(number, os.strerror(number)))(text)
    error.errno = number
    return error


def tell(error: OSError, text: str) -> OSError:
    """Return an error of the same class and number with a text that names the file."""
    told = type(error)(text)
    told.errno = error.errno
    return told


def silence(library: str) -> None:
    """Keep what a library logs from the standard error, unless the program has set up logging."""
    import logging

    logger = logging.getLogger(library)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
