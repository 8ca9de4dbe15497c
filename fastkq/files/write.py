"""Files out: complete, or untouched."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from fastkq.types import PathOrFile

# What `write_file` writes to: the target's name between others.
TEMPORARY_NAME = r"\.(.+)\.[0-9a-f]{8}\.tmp"


def check_output(
    target: str | os.PathLike[str], source: str | os.PathLike[str] | None = None
) -> Path:
    """Return the path of a file to write, if it can be one.

    Raises
    ------
    ValueError, OSError
        A missing directory, a directory or device in its place, the source.
    """
    path = Path(target)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no directory {path.parent}")
    if path.exists() and not path.is_file():
        raise IsADirectoryError(f"{path}: is not a regular file; the target must be one, or new")
    if (
        source is not None
        and path.exists()
        and os.path.exists(source)
        and os.path.samefile(source, path)
    ):
        raise ValueError(f"{path}: the target is the source; choose another")
    return path


def write_file(target: PathOrFile, data: bytes) -> None:
    """Write a file so that it is either complete or untouched."""
    with open_target(target) as file:
        file.write(data)


class Nowhere(io.BytesIO):
    """A file that counts what is written, and keeps nothing."""

    def write(self, data: Any, /) -> int:
        """Return how many bytes there are."""
        return memoryview(data).nbytes


@contextmanager
def open_target(target: PathOrFile) -> Iterator[BinaryIO]:
    """Open a file to write so that it is either complete or untouched.

    The data goes to a temporary name beside the target, which is renamed over it when the block
    ends without an error. A file object is simply written to.
    """
    if not isinstance(target, (str, os.PathLike)):
        yield target
        return
    path = Path(os.path.realpath(target))  # a link stays a link
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise type(error)(f"{path}: cannot be written: {error.strerror}") from error
        raise
