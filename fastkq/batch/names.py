"""What outputs are called, by a pattern such as "{stem}-small{suffix}"."""

from __future__ import annotations

import os
import string

from fastkq.files.formats import FORMATS, PNG

STEM, SUFFIX, PARENT = FIELDS = ("stem", "suffix", "parent")


def check_name(pattern: str, format: str) -> str:
    """Return the pattern of a name without its suffix, if it is one.

    Parameters
    ----------
    pattern : str
        The name of an output: {stem} is that of its source, {parent} the folder of its source,
        {suffix} that of the format, which may also be written out, or left out.
    format : {"png", "webp", "gif"}

    Raises
    ------
    ValueError
        It has other fields, or folders, or the suffix of another format.

    Examples
    --------
    >>> check_name("{stem}-small{suffix}", "png"), check_name("{parent}-{stem}.webp", "webp")
    ('{stem}-small', '{parent}-{stem}')
    """
    allowed = "a name of {stem}, {parent} and {suffix}, such as '{stem}-small{suffix}', is allowed"
    for ending in (f"{{{SUFFIX}}}", f".{format}"):
        if pattern.endswith(ending):
            pattern = pattern.removesuffix(ending)
            break
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError:
        parts = [("", "", "", None)]
    for _, field, spec, conversion in parts:
        if field is not None and (field not in (STEM, PARENT) or spec or conversion):
            raise ValueError(f"name is {pattern!r}; {allowed}")
    is_path = pattern in ("", ".", "..") or os.path.basename(pattern) != pattern
    if is_path or "\\" in pattern or "\0" in pattern:
        raise ValueError(f"name is {pattern!r}; {allowed}, without folders")
    other = os.path.splitext(pattern)[1].removeprefix(".").lower()
    if other in (*FORMATS, "jpg", "jpeg"):
        raise ValueError(f"name is {pattern!r}, and the format is {format}; its suffix is allowed")
    return pattern


def format_of_name(pattern: str | None, format: str | None) -> str | None:
    """Return the format that is asked for, if need be by a pattern that ends in ".png".

    Examples
    --------
    >>> format_of_name("{stem}.png", None), format_of_name("{stem}{suffix}", None)
    ('png', None)
    """
    if format is None and pattern is not None and pattern.endswith(f".{PNG}"):
        return PNG
    return format


def fill_name(pattern: str, source: str) -> str:
    """Return the name, without suffix, of the output of a source.

    Examples
    --------
    >>> fill_name("{parent}-{stem}", "holidays/sea.jpg")
    'holidays-sea'
    """
    stem = os.path.splitext(os.path.basename(source))[0]
    parent = os.path.basename(os.path.dirname(os.path.abspath(source)))
    return pattern.format(stem=stem, parent=parent)
