"""Which images of a batch go where: sources, globs and folders become jobs."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastkq.files.formats import PNG, check_format
from fastkq.files.write import TEMPORARY_NAME

# What is looked for in folders; a file that is named is tried whatever its suffix.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"})


@dataclass(frozen=True)
class Job:
    """An image to compress: two paths. The directory of the target need not exist yet."""

    source: str
    target: str


def plan_jobs(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str],
    *,
    recursive: bool = False,
    format: str = PNG,
) -> list[Job]:
    """Decide which images go where; nothing is read or written.

    Parameters
    ----------
    sources : paths of files, folders, and globs
        Of a folder, the files with a suffix of an allowed format, hidden ones and those below
        `directory` left out. A file that is named, or a glob without a match, is always a job, even
        if there is no such file: it will fail with an error of its own.
    directory : path
        Where the targets go: the files of a folder, or of a glob, by their path below the folder or
        below the fixed part of the glob; others by their name.
    recursive : bool
        Whether folders are searched at any depth, and `**` in a glob means so.
    format : {"png", "webp", "gif"}
        Of the targets, which have it as their suffix.

    Returns
    -------
    list of Job
        In the order of the sources, each file once; the files of a folder sorted. "a.jpg" becomes
        "a.png"; where that is the target of several, "a.jpg.png"; where that clashes as well, a
        number follows. Two jobs never share a target, and no target is a source.

    Raises
    ------
    NotADirectoryError
        `directory` is something else.

    Examples
    --------
    >>> plan_jobs(["a.jpg", "b/a.webp", "c.tif"], "out")
    [Job(source='a.jpg', target='out/a.jpg.png'), Job(source='b/a.webp', ...a.webp.png'), ...]
    """
    directory = os.fspath(directory)
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise NotADirectoryError(f"{directory}: is a file; a directory, or a new one, is allowed")
    found = find_images(sources, directory, recursive=recursive)
    # Upper and lower case are the same on some file systems.
    suffix = f".{check_format(format)}"
    plain = Counter(_with_suffix(relative, suffix).casefold() for _, relative in found)
    taken = {os.path.abspath(source).casefold() for source, _ in found}
    jobs = []
    for source, relative in found:
        name = _with_suffix(relative, suffix)
        if plain[name.casefold()] > 1:
            name = relative + suffix
        target, number = os.path.join(directory, name), 2
        while os.path.abspath(target).casefold() in taken:
            target = os.path.join(directory, f"{relative}-{number}{suffix}")
            number += 1
        taken.add(os.path.abspath(target).casefold())
        jobs.append(Job(source, target))
    return jobs


def find_images(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str] | None = None,
    *,
    recursive: bool = False,
) -> list[tuple[str, str]]:
    """Return the files that sources name, each once, with their paths below where they were found.

    For the parameters, see `plan_jobs`.
    """
    output = None if directory is None else os.path.abspath(directory)
    found: dict[str, tuple[str, str]] = {}
    for given in sources:
        for source, relative in _expand(os.fspath(given), output, recursive):
            found.setdefault(os.path.abspath(source), (source, relative))
    return list(found.values())


def _expand(given: str, output: str | None, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield the files that a source names, each with its path below what it was found in."""
    is_glob = glob.has_magic(given) and not os.path.lexists(given)
    root = _fixed_part(given) if is_glob else given
    own = output if output is not None and _is_below(output, root) else None
    matches = sorted(glob.glob(given, recursive=recursive)) if is_glob else []
    for match in matches or [given]:
        if own is not None and (_is_below(match, own) or os.path.abspath(match) == own):
            continue
        if os.path.isdir(match):
            for path in _walk(match, own, recursive):
                yield path, os.path.relpath(path, root)
        else:
            yield match, os.path.relpath(match, root) if is_glob else os.path.basename(match)


def _is_below(path: str, folder: str) -> bool:
    return os.path.abspath(path).startswith(os.path.join(os.path.abspath(folder), ""))


def _walk(folder: str, own: str | None, recursive: bool) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and os.path.abspath(os.path.join(parent, name)) != own
        )
        for name in sorted(files):
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith("."):
                yield os.path.join(parent, name)


def _fixed_part(pattern: str) -> str:
    """Return the folders of a glob before its first wildcard."""
    parts = Path(pattern).parts
    n_fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return os.path.join(*parts[:n_fixed]) if n_fixed else os.curdir


def _with_suffix(path: str, suffix: str) -> str:
    return os.path.splitext(path)[0] + suffix


def remove_leftovers(jobs: Iterable[Job]) -> None:
    """Delete what a killed run left half written beside the targets of some jobs."""
    names: dict[str, set[str]] = {}
    for job in jobs:
        folder, name = os.path.split(job.target)
        names.setdefault(folder, set()).add(name)
    for folder, targets in names.items():
        if os.path.isdir(folder or os.curdir):
            for entry in os.listdir(folder or os.curdir):
                match = re.fullmatch(TEMPORARY_NAME, entry)
                if match and match[1] in targets:
                    Path(folder, entry).unlink(missing_ok=True)
