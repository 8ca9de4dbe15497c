"""What `fastkq report` does: a page that shows an image, and what other choices would give."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fastkq.batch.plan import BESIDE
from fastkq.batch.progress import megabytes
from fastkq.batch.text import printable
from fastkq.command.options import color_options
from fastkq.command.sources import STREAM, open_named
from fastkq.defaults import FILE_LOSSY
from fastkq.install import terminal

DONE = 0
SUFFIX = f"{BESIDE}.html"


def report(options: argparse.Namespace) -> int:
    """Measure an image, and write the page."""
    from fastkq.report import report_image
    from fastkq.report.page import check_extra, check_page

    check_extra()
    if options.output is None and options.source == STREAM:
        options.parser.error("the standard input has no name; -o FILE names the page")
    source = Path(options.source)
    output = options.output or source.with_name(f"{source.stem}{SUFFIX}")
    check_page(output, source, overwrite=options.force)
    chosen = color_options(options)
    # The curve by `lossy` needs its kernels, whatever the picture itself does.
    terminal.share(terminal.extras_of({**chosen, "lossy": FILE_LOSSY}, options.format))
    found = report_image(
        open_named(options.source),
        output,
        palette=options.palette,
        format=options.format,
        overwrite=options.force,
        notify=_tell if sys.stderr.isatty() and not options.quiet else None,
        **chosen,
    )
    if not options.quiet:
        sizes = f"{megabytes(found.source.n_bytes)} -> {megabytes(found.n_bytes)}"
        print(
            f"{printable(options.source)} -> {printable(str(output))}: {sizes}, "
            f"SSIMULACRA2 {found.chosen.score:.1f}, {found.chosen.n_colors} colors"
        )
    return DONE


def _tell(n_measured: int, total: int) -> None:
    """Show how far the measurements are, on one line that is gone at the end."""
    line = "" if n_measured == total else f"fastkq: {n_measured} of {total} files measured"
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()
