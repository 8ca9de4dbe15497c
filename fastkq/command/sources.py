"""The names of sources: those of the command line, and those that a list has."""

from __future__ import annotations

import argparse
import codecs
import os
import stat
import sys
from pathlib import Path

from fastkq.command.manifest import read_manifest
from fastkq.types import ImageSource

STREAM = "-"
# How a shell names the pipe of a process substitution, `<(...)`.
PIPES = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


def list_sources(options: argparse.Namespace) -> list[str]:
    """Return the sources that are named, and those that --files-from and --manifest list."""
    sources: list[str] = list(options.sources)
    if options.files_from is not None:
        sources += _split_names(_read_names(options.files_from))
    if options.manifest is not None:
        sources += read_manifest(options.manifest)
    sources = [source for source in sources if source]
    if not sources:
        options.parser.error("no source")
    if STREAM in sources:
        options.parser.error("- is for one image, without -d")
    return sources


def is_pipe(source: str) -> bool:
    """Return whether a source is a pipe that a shell has opened for this command."""
    try:
        return source.startswith(PIPES) and stat.S_ISFIFO(os.stat(source).st_mode)
    except OSError:
        return False


def open_named(source: str) -> ImageSource:
    """Return what is read: the standard input, what a pipe holds, or the path of a file."""
    if source == STREAM:
        if sys.stdin is None:
            raise OSError("the standard input is closed; a file, or an open stream, is allowed")
        return sys.stdin.buffer
    return Path(source).read_bytes() if is_pipe(source) else source


def _read_names(path: str) -> bytes:
    if path != STREAM:
        return Path(path).read_bytes()
    if sys.stdin is None:
        raise OSError("the standard input is closed; --files-from takes a file as well")
    return sys.stdin.buffer.read()


def _split_names(data: bytes) -> list[str]:
    """Return the names of a list: one a line, or ended by NULs, as `find -print0` has them.

    Editors and shells of Windows begin a list with a byte-order mark, some in UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\0" in data:
        return [os.fsdecode(name) for name in data.split(b"\0")]
    return [os.fsdecode(line.rstrip(b"\r")) for line in data.split(b"\n")]
