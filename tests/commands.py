"""The command, run in the process of the tests: for what it does, not for the process it is."""

import contextlib
import io
import subprocess
import warnings
from unittest import mock

from fastkq.cli import main


def run(*arguments, stdin="", text=True):
    """Run a command as `subprocess.run` does, in a second less; `stdin` is its standard input."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    streams = tuple(_stream(data) for data in (given, b"", b""))
    with (
        mock.patch("sys.stdin", streams[0]),
        contextlib.redirect_stdout(streams[1]),
        contextlib.redirect_stderr(streams[2]),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("default")  # as of a process: they are shown, not raised
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
    told = [_content(stream, text) for stream in streams[1:]]
    return subprocess.CompletedProcess(arguments, code, *told)


def _stream(data):
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape")


def _content(stream, text):
    stream.flush()
    data = stream.buffer.getvalue()
    return data.decode() if text else data
