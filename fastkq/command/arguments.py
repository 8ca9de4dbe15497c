"""The arguments of the command `fastkq`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TypeAlias

import fastkq
from fastkq.batch.plan import BESIDE
from fastkq.colors.order import ORDERS
from fastkq.command.compress_arguments import add_compress_arguments
from fastkq.command.parser import Parser, closest
from fastkq.command.report_arguments import add_report_arguments
from fastkq.command.safety_arguments import add_reading
from fastkq.command.shared_arguments import add_colors, add_sources

_Commands: TypeAlias = "argparse._SubParsersAction[Parser]"
COMPRESS = "compress"
COMMANDS = (COMPRESS, "palette", "report", "serve", "completion", "warmup", "doctor")
OF_ALL = ("-h", "--help", "--version")  # options without a command
PATH_LETTERS = "./\\*?[~"  # what a file or a glob has, and no command


def with_command(arguments: Sequence[str]) -> list[str]:
    """Return arguments with their command: without one, images are compressed.

    What is neither a command nor looks like a file, such as "compres", stays for the parser, which
    says what may be meant.

    Examples
    --------
    >>> with_command(["photo.jpg", "-k", "16"])
    ['compress', 'photo.jpg', '-k', '16']
    """
    given = list(arguments)
    if not given or given[0] in COMMANDS + OF_ALL:
        return given
    first = given[0]
    is_file = first.startswith("-") or any(letter in first for letter in PATH_LETTERS)
    if is_file or os.path.exists(first) or (len(given) > 1 and not closest(first, COMMANDS)):
        return [COMPRESS, *given]
    return given


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="fastkq",
        description="Compress large photos, fast, by K-means color quantization.",
        examples=[
            "fastkq photo.jpg                    write photo-fastkq.png beside it",
            "fastkq photo.jpg -k 64 -o small.png",
            "fastkq photos/ -d out               all images of a folder",
            "fastkq palette photo.jpg -k 8       show its colors",
            "fastkq report photo.jpg             show it beside its original, in a browser",
        ],
        epilog="Without a command, images are compressed.\n\n"
        "Exit codes: 0 done, 1 an input failed, 2 wrong usage, 99 a target is not reached.",
    )
    parser.add_argument("--version", action="version", version=f"fastkq {fastkq.__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", required=True
    )

    _add_compress(commands)
    _add_palette(commands)
    _add_report(commands)
    _add_serve(commands)
    _add_machine(commands)
    return parser


def _add_compress(commands: _Commands) -> None:
    compress = commands.add_parser(
        COMPRESS,
        help="write images as indexed PNGs of few colors",
        description="Write one image or many as indexed PNGs, WebPs or GIFs of the few colors that "
        "represent them best.",
        examples=[
            "fastkq photo.jpg",
            "fastkq photo.jpg --min-score 80 -o photo.webp",
            "fastkq icons/*.png --dither adaptive -k 16",
            "fastkq photos/ -r -d out --report run.jsonl",
            'fastkq a.jpg b.jpg --name "{stem}-small{suffix}"',
            "curl -s https://example.org/a.jpg | fastkq - -k 32 > a.png",
        ],
        epilog="A run over many images that was killed goes on where it stopped when it is "
        "repeated.",
    )
    add_compress_arguments(compress)
    compress.set_defaults(parser=compress)


def _add_palette(commands: _Commands) -> None:
    palette = commands.add_parser(
        "palette",
        help="fit one palette to images, and show or write it",
        description="Show the few colors that represent all images together best, with the share "
        "of the pixels that each stands for, or write them into a file.",
        examples=[
            "fastkq palette photo.jpg -k 8",
            "fastkq palette photo.jpg -k 8 --sort hue -o photo.ase",
            "fastkq palette frames/ -k 64 -o film.gpl",
        ],
    )
    add_sources(palette)
    add_colors(palette)
    palette.add_argument(
        "--sort",
        choices=ORDERS,
        help="the order of the colors: share, the most frequent first; hue, around the circle of "
        "colors; lightness, from dark to light (default: share on the terminal, that of the fit "
        "in a file)",
    )
    palette.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the palette to this file, such as brand.gpl: a .gpl (GIMP), .act or .ase "
        "(Adobe), .hex, .json, .csv, .css, .svg or .png (default: show it)",
    )
    add_reading(palette)
    palette.add_argument("--force", action="store_true", help="overwrite an existing output")
    palette.set_defaults(parser=palette)


def _add_report(commands: _Commands) -> None:
    report = commands.add_parser(
        "report",
        help="write a page that shows an image, its colors, and what other choices would give",
        description="Write one HTML file for a browser: the image beside its original, what "
        "differs, its palette, bytes and scores by the number of colors and by --lossy, and the "
        "times of all stages. It needs fastkq[report]. The image itself is not written.",
        examples=[
            "fastkq report photo.jpg",
            "fastkq report photo.jpg -k 64 --lossy 40 -o photo.html",
        ],
    )
    add_report_arguments(report, f"{BESIDE}.html")
    report.set_defaults(parser=report)


def _add_serve(commands: _Commands) -> None:
    serve = commands.add_parser(
        "serve",
        help="answer lines of JSON, for callers in other languages",
        description="Compress an image for each line of JSON on the standard input, and answer "
        "with a line of JSON. An image that cannot be compressed is a line as well; the end of the "
        "input ends the process.",
        examples=[
            """echo '{"source": "a.jpg", "output": "a.png"}' | fastkq serve --stdin-jsonl""",
            """echo '{"id": 7, "source": "a.jpg", "n_colors": 64}' | fastkq serve --stdin-jsonl""",
        ],
    )
    serve.add_argument(
        "--stdin-jsonl",
        action="store_true",
        required=True,
        help="read requests from the standard input, a line each, such as "
        '{"source": "a.jpg", "output": "a.png", "n_colors": 64}; the options are those of '
        "fastkq.compress; without an output, the answer has the bytes as Base64; an id comes back",
    )
    serve.set_defaults(parser=serve)


def _add_machine(commands: _Commands) -> None:
    completion = commands.add_parser(
        "completion",
        help="print a script by which a shell completes this command",
        description="Print the completion script of a shell; it needs fastkq[completion].",
        examples=[
            "fastkq completion bash > ~/.local/share/bash-completion/completions/fastkq",
            'fastkq completion zsh > "${fpath[1]}/_fastkq"',
        ],
    )
    completion.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="whose script")
    completion.set_defaults(parser=completion)

    warmup = commands.add_parser(
        "warmup",
        help="compile the kernels and keep them on disk",
        description="Compile all kernels now, so that the next runs on this machine start at once.",
        examples=["fastkq warmup", "fastkq warmup --into /opt/fastkq-kernels"],
    )
    warmup.add_argument(
        "--into",
        metavar="DIR",
        help="keep them in this directory, which NUMBA_CACHE_DIR then names, as for the image of "
        "a container; it may be copied, and be read-only",
    )
    warmup.set_defaults(parser=warmup)

    doctor = commands.add_parser(
        "doctor",
        help="check the installation: versions, threads, kernel cache, SIMD",
        description="Print the facts of this installation, a line each, and quantize a small "
        "picture. The exit code is 1 if the result is wrong.",
        examples=["fastkq doctor", "fastkq doctor --json"],
    )
    doctor.add_argument("--json", action="store_true", help="print the facts as one JSON object")
    doctor.set_defaults(parser=doctor)
