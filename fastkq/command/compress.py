"""What `fastkq compress` does: one image here, many in a run."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from fastkq.animation.entry import compress_any, open_any
from fastkq.batch.job import DONE as JOB_DONE
from fastkq.batch.job import NO_GAIN, JobResult
from fastkq.batch.names import check_name, fill_name, format_of_name
from fastkq.batch.passes import with_bar
from fastkq.batch.plan import BESIDE
from fastkq.batch.progress import describe, megabytes, suggest, tell_frames
from fastkq.batch.remote import is_url
from fastkq.batch.tar import is_tar
from fastkq.batch.text import one_line, printable
from fastkq.colors.metrics import psnr_from_mse
from fastkq.command.many import compress_many
from fastkq.command.options import color_options
from fastkq.command.sources import STREAM, is_pipe, open_named
from fastkq.command.timeout import end_after
from fastkq.files.animations import default_format
from fastkq.files.formats import PNG, format_of
from fastkq.files.reading import ALL_PAGES
from fastkq.files.write import check_output, write_file
from fastkq.install import terminal
from fastkq.options import check_options
from fastkq.result import most_bytes

DONE = 0
WRITE_ANYWAY = "; --allow-larger writes it all the same"
# Options of a run over many images.
FOR_MANY = (
    "directory",
    "files_from",
    "manifest",
    "recursive",
    "jobs",
    "min_savings",
    "copy_unchanged",
    "shared_palette",
    "report",
    "html",
    "fail_fast",
    "dry_run",
    "in_place",
    "backup",
)
# Where no part of the work is asked for.
ALL = (1, 1)
# Options that name or size an output, which in place is the source and must be smaller.
NOT_IN_PLACE = ("output", "directory", "suffix", "name", "format", "allow_larger", "copy_unchanged")
# Options that choose colors, which a palette has.
NOT_WITH_PALETTE = (
    "lock",
    "protect",
    "masking",
    "weights",
    "shared_palette",
    "quality",
    "max_mse",
    "min_psnr",
    "max_bytes",
)


def compress(options: argparse.Namespace) -> int:
    """Compress one image, or many where several are named or an option is for many."""
    _check_together(options)
    _take_tars(options)
    for_many = _reasons_for_many(options)
    if not for_many and len(options.sources) == 1:
        with end_after(options.timeout, printable(options.sources[0])):
            return _compress_one(options)
    if not options.sources and options.files_from is None and options.manifest is None:
        options.parser.error("no source")
    reason = f"{for_many[0]} is for many" if for_many else f"there are {len(options.sources)}"
    for name in ("output", "weights"):
        if getattr(options, name) is not None:
            options.parser.error(f"{_flag(name)} is for one image, and {reason}")
    return compress_many(options)


def _check_together(options: argparse.Namespace) -> None:
    """End the command where options exclude each other."""
    if options.palette is not None:
        for name in NOT_WITH_PALETTE:
            if _is_given(options, name):
                options.parser.error(f"{_flag(name)} and --palette exclude each other")
    if options.in_place:
        for name in NOT_IN_PLACE:
            if _is_given(options, name):
                options.parser.error(f"{_flag(name)} and --in-place exclude each other")
    if options.name is not None:
        for name in ("output", "suffix"):
            if _is_given(options, name):
                options.parser.error(f"--name and {_flag(name)} exclude each other")
        try:
            check_name(options.name, options.format or PNG)
        except ValueError as error:
            options.parser.error(one_line(error).replace("name is", "--name is", 1))


def _reasons_for_many(options: argparse.Namespace) -> list[str]:
    """Return the options and sources that make a run over many images."""
    reasons = [_flag(name) for name in FOR_MANY if _is_given(options, name)]
    if options.shard != ALL:
        reasons.append("--shard")
    if options.page == ALL_PAGES:
        reasons.append("--page all")
    reasons += [source for source in options.sources if is_url(source) or is_tar(source)]
    return reasons


def _take_tars(options: argparse.Namespace) -> None:
    """Have -o name the tar file that is made of one, as -d may name it as well."""
    names_tar = options.output is not None and is_tar(options.output)
    if names_tar and options.directory is None and any(map(is_tar, options.sources)):
        options.directory, options.output = options.output, None


def _is_given(options: argparse.Namespace, name: str) -> bool:
    """Return whether an option is named on the command line: 0 is a value, and equals False."""
    value = getattr(options, name)
    return value is not None and value is not False


def _flag(name: str) -> str:
    """Return what a user calls an option."""
    return {"directory": "-d", "output": "-o"}.get(name, f"--{name.replace('_', '-')}")


def _compress_one(options: argparse.Namespace) -> int:
    (source,) = options.sources
    is_stream = source == STREAM or is_pipe(source)
    output = options.output or (STREAM if is_stream else _default_output(source, options))
    name = _format(options, output)
    if is_stream or output == STREAM:
        return _compress_stream(source, output, name, options)
    if os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    start = time.perf_counter()
    chosen = color_options(options)
    terminal.share(terminal.extras_of(chosen, name))
    target = check_output(output, source, exclusive=not options.force)
    checked = check_options(palette=options.palette, format=name, **chosen)
    opened = open_any(source, checked)
    most = None if options.allow_larger else most_bytes(opened.n_bytes)
    if not (options.quiet or options.json):
        opened = with_bar(opened)
    written = compress_any(opened, checked, target, exclusive=not options.force, most=most)
    result = JobResult(
        source,
        os.fspath(output),
        JOB_DONE if written.fits else NO_GAIN,
        source_bytes=opened.n_bytes,
        target_bytes=written.n_bytes,
        pixels=opened.n_pixels,
        n_colors=len(written.palette),
        psnr=psnr_from_mse(written.inertia / opened.n_pixels),
        score=written.score,
        n_frames=written.n_frames,
        seconds=time.perf_counter() - start,
    )
    if options.json:
        print(json.dumps(result.to_dict()))
    elif not options.quiet:
        hint = suggest(checked.output, checked.dithering.lossy, len(written.palette)) + WRITE_ANYWAY
        print(describe(result) + ("" if written.fits else hint))
    return DONE


def _compress_stream(
    source: str, output: str | Path, name: str, options: argparse.Namespace
) -> int:
    """Compress from the standard input or to the standard output, which then has nothing else."""
    if output == STREAM and sys.stdout is None:
        raise OSError("the standard output is closed; -o FILE, or an open stream, is allowed")
    if output == STREAM and sys.stdout.isatty():
        raise ValueError("the output would go to the terminal; -o FILE, or a pipe, is allowed")
    if output != STREAM and os.path.exists(output) and not options.force:
        raise FileExistsError(f"{output}: exists; --force overwrites it")
    chosen = color_options(options)
    terminal.share(terminal.extras_of(chosen, name))
    image = open_named(source)
    checked = check_options(palette=options.palette, format=name, **chosen)
    opened = open_any(image, checked)
    most = None if options.allow_larger else most_bytes(opened.n_bytes)
    if not options.quiet:
        opened = with_bar(opened)
    written = compress_any(opened, checked, most=most)
    if output == STREAM:  # whoever reads it gets a picture, whatever its size
        sys.stdout.buffer.write(written.data)
    elif written.fits:
        write_file(output, written.data, exclusive=not options.force, safety=checked.safety)
    psnr = psnr_from_mse(written.inertia / opened.n_pixels)
    if not options.quiet:
        names = f"{printable(source)} -> {printable(str(output))}"
        score = "" if written.score is None else f"SSIMULACRA2 {written.score:.1f}, "
        size, n_colors = megabytes(written.n_bytes), len(written.palette)
        found = (
            f"{size}, PSNR {psnr:.1f} dB, {score}{n_colors} colors{tell_frames(written.n_frames)}"
        )
        hint = suggest(checked.output, checked.dithering.lossy, n_colors)
        if written.fits:
            hint = ""
        elif output == STREAM:
            hint = f"; no smaller than its source{hint}"
        else:
            hint = f"; no gain, not written{hint}{WRITE_ANYWAY}"
        print(f"{names}: {found}{hint}", file=sys.stderr)
    return DONE


def _format(options: argparse.Namespace, output: str | Path) -> str:
    """Return the format of an output: its suffix tells, or of the standard output, --format."""
    if output == STREAM:
        return str(options.format or PNG)
    try:
        name = format_of(output)
    except ValueError as error:
        options.parser.error(one_line(error))
    if options.format not in (None, name):
        options.parser.error(
            f"-o {output} is a {name} by its suffix, not --format {options.format}"
        )
    return name


def _default_output(source: str, options: argparse.Namespace) -> Path:
    path, suffix = Path(source), options.suffix or BESIDE
    format = format_of_name(options.name, options.format)
    if format is None:
        format = PNG if options.frame is not None else default_format(source)
    if options.name is None:
        return path.with_name(f"{path.stem}{suffix}.{format}")
    return path.with_name(f"{fill_name(check_name(options.name, format), source)}.{format}")
