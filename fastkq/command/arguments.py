"""The arguments of the command `fastkq`."""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias

import fastkq
from fastkq.command.compress_arguments import add_compress_arguments
from fastkq.command.safety_arguments import add_reading
from fastkq.command.shared_arguments import add_colors, add_sources

WRONG_USAGE = 2

_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and a hint, not all that could have been written."""

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and end the process."""
        hint = f"`{self.prog} --help` lists what is allowed."
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\n{hint}\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="fastkq",
        description="Compress large photos, fast, by K-means color quantization.",
        epilog="Exit codes: 0 done, 1 an input failed, 2 wrong usage, 99 a target is not reached.",
    )
    parser.add_argument("--version", action="version", version=f"fastkq {fastkq.__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )

    _add_compress(commands)
    _add_palette(commands)
    commands.add_parser(
        "warmup",
        help="compile the kernels and keep them on disk",
        description="Compile all kernels now, so that the next runs on this machine start at once.",
    )

    doctor = commands.add_parser(
        "doctor",
        help="check the installation: versions, threads, kernel cache, SIMD",
        description="Print the facts of this installation, a line each, and quantize a small "
        "picture. The exit code is 1 if the result is wrong.",
    )
    doctor.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    return parser


def _add_compress(commands: _Commands) -> None:
    compress = commands.add_parser(
        "compress",
        help="write images as indexed PNGs of few colors",
        description="Write one image or many as indexed PNGs, WebPs or GIFs of the few colors that "
        "represent them best.",
        epilog="A run over many images that was killed goes on where it stopped when it is "
        "repeated.",
    )
    add_compress_arguments(compress)
    compress.set_defaults(parser=compress)


def _add_palette(commands: _Commands) -> None:
    palette = commands.add_parser(
        "palette",
        help="fit one palette to images",
        description="Write the few colors that represent all images together best, as a .gpl, "
        ".act, .hex or .json file.",
    )
    add_sources(palette)
    add_colors(palette)
    palette.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FILE",
        help="write the palette to this file, such as brand.gpl",
    )
    add_reading(palette)
    palette.add_argument("--force", action="store_true", help="overwrite an existing output")
    palette.set_defaults(parser=palette)
