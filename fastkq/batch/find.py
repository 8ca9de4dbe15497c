"""Which images there are: files, folders and globs become paths of files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastkq.files.signatures import SUFFIXES

ANY_DEPTH = "**"


def find_images(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str] | None = None,
    *,
    recursive: bool = False,
) -> list[tuple[str, str]]:
    """Return the files that sources name, each once, with their paths below where they were found.

    A folder that cannot be read stands for itself, so that whoever reads it tells why. The paths
    have no "..", so that they lead nowhere else. For the parameters, see `plan_jobs`.
    """
    output = None if directory is None else _real(os.fspath(directory))
    found: dict[str, tuple[str, str]] = {}
    for given in sources:
        for source, relative in _expand(os.fspath(given), output, recursive):
            found.setdefault(os.path.abspath(source), (source, relative))
    return list(found.values())


def _expand(given: str, output: str | None, recursive: bool) -> Iterator[tuple[str, str]]:
    """Yield the files that a source names, each with its path below what it was found in."""
    is_glob = glob.has_magic(given) and not os.path.lexists(given)
    root = _fixed_part(given) if is_glob else given
    own = output if output is not None and _is_below(output, _real(root)) else None
    matches = sorted(set(_match(given, recursive))) if is_glob else []
    for match in matches or [given]:
        if own is not None and (_real(match) == own or _is_below(_real(match), own)):
            continue
        if os.path.isdir(match):
            for path in _walk(match, own, recursive):
                yield path, _relative(path, root)
        else:
            yield match, _relative(match, root if is_glob else os.path.dirname(match))


def _match(pattern: str, recursive: bool) -> Iterator[str]:
    """Yield the paths that a glob names; `**` follows no links, which may lead back to it."""
    parts = Path(pattern).parts
    if not recursive or ANY_DEPTH not in parts:
        yield from glob.glob(pattern)
        return
    index = parts.index(ANY_DEPTH)
    rest = parts[index + 1 :]
    tops = glob.glob(os.path.join(*parts[:index])) if index else [os.curdir]
    unreadable: list[OSError] = []
    for top in filter(os.path.isdir, tops):
        for folder, folders, files in os.walk(top, onerror=unreadable.append):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = folder if index else folder[len("./") :]
            if rest:
                yield from _match(os.path.join(glob.escape(inside), *rest), recursive)
            else:
                yield from (os.path.join(inside, name) for name in files if name[0] != ".")
    yield from (error.filename for error in unreadable)


def _walk(folder: str, own: str | None, recursive: bool) -> Iterator[str]:
    """Yield the images of a folder, sorted, before those of the folders in it."""
    folders = [folder]
    while folders:
        current = folders.pop()
        try:
            with os.scandir(current) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            yield current
            continue
        inner = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if _is_folder(entry):
                if recursive and not entry.is_symlink() and _real(entry.path) != own:
                    inner.append(entry.path)
            elif Path(entry.name).suffix.lower() in SUFFIXES:
                yield entry.path
        folders += reversed(inner)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _fixed_part(pattern: str) -> str:
    """Return the folders of a glob before its first wildcard."""
    parts = Path(pattern).parts
    n_fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return os.path.join(*parts[:n_fixed]) if n_fixed else os.curdir


def _relative(path: str, root: str) -> str:
    """Return a path below a folder; of one that is elsewhere, or the folder itself, what is left.

    A glob with ".." finds files above its fixed part.
    """
    inside = path.removeprefix(os.path.join(root, "")) if root else path
    parts = inside.split(os.sep)
    if inside != path and not {"", os.curdir, os.pardir} & set(parts):
        return inside  # as nearly always, in a tenth of the time
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(root or os.curdir))
    parts = [part for part in relative.split(os.sep) if part not in (os.pardir, os.curdir)]
    return os.path.join(*parts) if parts else os.path.basename(os.path.abspath(path)) or "root"


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL character, that no path may have
        return os.path.abspath(path)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))
