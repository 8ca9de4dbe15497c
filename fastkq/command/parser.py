"""A parser whose errors are one line and a hint, and whose help ends in examples."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import Any, NoReturn

WRONG_USAGE = 2
_CHOICE = re.compile(r"invalid choice: '(?P<came>[^']*)' \(choose from (?P<allowed>.*)\)")


class Help(argparse.HelpFormatter):
    """Help whose examples keep their lines."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.split("\n\n")
        return "\n\n".join(
            paragraph
            if "\n" in paragraph
            else super(Help, self)._fill_text(paragraph, width, indent)
            for paragraph in paragraphs
        )


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and a hint, not all that could have been written.

    Parameters
    ----------
    examples : sequence of str
        Command lines, that the help ends in.
    """

    def __init__(self, *, examples: Sequence[str] = (), **options: Any) -> None:
        if examples:
            notes = options.get("epilog")
            lines = "\n".join(["examples:", *(f"  {example}" for example in examples)])
            options["epilog"] = lines if notes is None else f"{lines}\n\n{notes}"
        super().__init__(formatter_class=Help, **options)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the options; what is unknown is an error of the command that it was given to."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            parser = getattr(options, "parser", self)
            meant = closest(unknown[0].partition("=")[0], list(parser._option_string_actions))
            parser.error(f"there is no {unknown[0]}{meant}")
        return options

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong, and end the process."""
        found = _CHOICE.search(message)
        if found is not None:
            allowed = [name.strip(" '") for name in found["allowed"].split(",")]
            message += closest(found["came"], allowed)
        hint = f"`{self.prog} --help` lists what is allowed."
        self.exit(WRONG_USAGE, f"{self.prog}: {message}\n{hint}\n")


def closest(came: str, allowed: Sequence[str]) -> str:
    """Return which allowed name may be meant, as the end of a sentence.

    Examples
    --------
    >>> closest("--colours", ["--colors", "--color-space"]), closest("x", ["--colors"])
    ('; did you mean --colors?', '')
    """
    close = difflib.get_close_matches(came, allowed, 1)
    return f"; did you mean {close[0]}?" if close else ""
