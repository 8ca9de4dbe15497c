"""What `fastkq completion` does: print the script by which a shell completes this command.

A script that is made once, by shtab, costs nothing at each press of the key; a hook such as
argcomplete's would start Python each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

DONE = 0
FOLDERS, FILES = ("DIR",), ("FILE", "IMAGE", "JSONL", "SOURCE")  # what is completed by metavar


def completion(options: argparse.Namespace) -> int:
    """Print the script of a shell."""
    try:
        import shtab
    except ImportError:
        raise RuntimeError(
            'shell completion needs shtab; `pip install "fastkq[completion]"` installs it'
        ) from None

    from fastkq.command.arguments import make_parser

    parser = make_parser()
    for action in _all_actions(parser):
        if action.metavar in FOLDERS + FILES:
            kind = shtab.DIRECTORY if action.metavar in FOLDERS else shtab.FILE
            action.complete = kind  # type: ignore[attr-defined]  # what shtab looks for
    print(shtab.complete(parser, options.shell))
    return DONE


def _all_actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _all_actions(command)
