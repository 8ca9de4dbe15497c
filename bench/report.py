"""What the scripts here share: a Markdown table, and a JSON file that names its machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import machine

Row = dict[str, object]


def arguments(docstring: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every script."""
    parser = argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the measurements")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="store the printed table")
    return parser


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; all columns but the first are numbers."""
    ruler = ["---"] + ["---:"] * (len(header) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ruler, *rows])


def publish(
    options: argparse.Namespace, table: str, rows: list[Row], packages: Sequence[str] = ()
) -> None:
    """Print the table and the machine; store what the options ask for."""
    facts = machine.describe(*packages)
    text = f"{table}\n\n{', '.join(f'{name} {value}' for name, value in facts.items())}"
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")
    if options.json:
        report = {"machine": facts, "rows": rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
