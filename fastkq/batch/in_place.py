"""Files are replaced by their compressed ones: by complete, smaller ones of their own format."""

from __future__ import annotations

import errno
import os
from dataclasses import replace

from fastkq.files.animations import count_frames
from fastkq.files.decode import open_file
from fastkq.files.errors import os_error
from fastkq.files.formats import GIF, PNG, WEBP
from fastkq.files.signatures import check_format
from fastkq.files.write import NO_LINKS, Safety, write_file
from fastkq.options import Options, for_format

# What is replaced, by what: a file keeps its name, so its contents keep their format.
FORMATS = {"PNG": PNG, "GIF": GIF, "WebP": WEBP}


def options_in_place(path: str, options: Options) -> Options:
    """Return the options of an image that is to be replaced, in its own format.

    Raises
    ------
    OSError, ValueError
        It is a link, or of another format; or one frame is asked for of several.
    """
    if os.path.islink(path):
        raise os_error(errno.ELOOP, f"{path}: is a link; in place, the file itself must be named")
    with open_file(path) as file:
        kind = check_format(file, path)
        if kind not in FORMATS:
            raise ValueError(
                f"{path}: a {kind} is not replaced, since a file of few colors is another format; "
                "PNG, GIF and WebP are replaced in place"
            )
        n_frames = count_frames(file)
    if n_frames > 1 and options.reading.frame is not None:
        raise ValueError(
            f"{path}: is an animation of {n_frames} frames, and frame is {options.reading.frame}; "
            "in place, all are kept"
        )
    return for_format(options, FORMATS[kind])


def replace_file(
    path: str, data: bytes, before: os.stat_result, safety: Safety, backup: str | None
) -> None:
    """Replace a file, which must still be as it was before, and keep a backup if that has a name.

    Raises
    ------
    OSError
        The file has changed meanwhile, the backup exists, or one of them cannot be written: the
        file is then as it was.
    """
    _check_unchanged(path, before)
    copy = None if backup is None else path + backup
    if copy is not None:
        _keep(path, copy, safety)
    try:
        write_file(path, data, like=path, clean=False, safety=safety)
    except BaseException:
        if copy is not None:
            os.unlink(copy)
        raise


def _check_unchanged(path: str, before: os.stat_result) -> None:
    now = os.stat(path)
    if _facts(now) != _facts(before):
        raise os_error(errno.EBUSY, f"{path}: has changed meanwhile, and is not replaced")


def _facts(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _keep(path: str, copy: str, safety: Safety) -> None:
    """Give a file a second name, or a copy where the file system knows no second names."""
    try:
        os.link(path, copy)
    except FileExistsError as error:
        raise os_error(
            errno.EEXIST, f"{path}: is not replaced, since its backup {copy} exists"
        ) from error
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        with open(path, "rb") as file:
            data = file.read()
        write_file(copy, data, like=path, exclusive=True, safety=replace(safety, preserve=True))
