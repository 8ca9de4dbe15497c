"""Which images of a batch go where: the images that were found become jobs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain, count

from fastkq.batch.find import find_images
from fastkq.batch.names import check_name, fill_name, format_of_name
from fastkq.files import write
from fastkq.files.formats import PNG, check_format
from fastkq.files.mark import is_own_output
from fastkq.files.pages import count_pages

# What the name of an output beside its source ends with.
BESIDE = "-fastkq"


@dataclass(frozen=True)
class Job:
    """An image to compress, as paths. The directory of the target need not exist yet.

    Attributes
    ----------
    source, target : str
    copy : str or None
        Where the source is copied to if there is no target to write; by default, it is not. Two
        jobs are the same whatever it is.
    page : int or None
        Which page of the source, from 1, if its pages are jobs of their own.
    """

    source: str
    target: str
    copy: str | None = field(default=None, compare=False, repr=False)
    page: int | None = field(default=None, compare=False, repr=False)


def plan_jobs(
    sources: Iterable[str | os.PathLike[str]],
    directory: str | os.PathLike[str] | None,
    *,
    recursive: bool = False,
    format: str | None = PNG,
    copies: bool = False,
    name: str | None = None,
    pages: bool = False,
    in_place: bool = False,
) -> list[Job]:
    """Decide which images go where; no image is decoded, and nothing is written.

    Parameters
    ----------
    sources : paths of files, folders, and globs
        A folder stands for its files that have the suffix of an allowed format; hidden files and
        files below `directory` are left out. A file that is named, or a glob without a match, is
        always a job, even if there is no such file: it will fail with an error of its own. So will
        a folder that cannot be read.
    directory : path or None
        Where the targets go: the files of a folder, or of a glob, by their path below the folder or
        below the fixed part of the glob; others by their name. With None, each target goes beside
        its source and has "-fastkq" at the end of its name.
    recursive : bool
        Whether folders are searched at any depth, and `**` in a glob means so. Links to folders
        are not followed there.
    format : {"png", "webp", "gif"} or None
        The format of the targets, which is their suffix as well. None means PNG, but the own format
        of an animated GIF or WebP, which is opened for that.
    copies : bool
        Whether the jobs tell where sources are copied to that have no target to write. Such a copy
        has the source's own name below `directory`; a source with the suffix of the format has the
        name of its target instead, which comes to the same but for clashes. Where the own name is
        another file's, it is that of the target with the source's suffix, or a number follows. A
        source that lies at its own name has no copy.
    name : str, optional
        What targets are called, such as "{stem}-small{suffix}"; see `names.check_name`. By default
        as their sources, and beside these with "-fastkq" at the end.
    pages : bool
        Whether each page of a TIFF is a job: the target of the second of "scan.tif" is
        "scan-page2.png".
    in_place : bool
        Whether each source is its own target. `directory` and `name` must be None.

    Returns
    -------
    list of Job
        In the order of the sources, each file once; the files of a folder are sorted. "a.jpg"
        becomes "a.png"; where several sources would have that target, "a.jpg.png"; where that
        clashes as well, a number follows. No two jobs share a target, all targets lie in
        `directory`, and no target is a source, whatever links there are. What fastkq itself wrote
        is no such source, since it is never compressed: so a run finds the targets of an earlier
        run under the same names.

    Raises
    ------
    NotADirectoryError
        `directory` is something else.
    ValueError
        Copies are asked for, and no directory: they would lie beside their sources.

    Examples
    --------
    >>> plan_jobs(["a.jpg", "b/a.webp", "c.tif"], "out")
    [Job(source='a.jpg', target='out/a.jpg.png'), Job(source='b/a.webp', ...a.webp.png'), ...]
    >>> plan_jobs(["a.jpg", "b/a.webp"], None)
    [Job(source='a.jpg', target='a-fastkq.png'), Job(source='b/a.webp', target='b/a-fastkq.png')]
    """
    from fastkq.files.animations import default_format  # here: the help needs no decoders

    if in_place and (directory is not None or name is not None or copies):
        given = "directory" if directory is not None else "name" if name else "copy_unchanged"
        raise ValueError(f"in_place is True, and {given} is given; one of them is allowed")
    if copies and directory is None:
        raise ValueError("copy_unchanged is for copies in a directory, and directory is None")
    if directory is not None:
        directory = os.fspath(directory) or os.curdir
        if os.path.exists(directory) and not os.path.isdir(directory):
            raise NotADirectoryError(
                f"{directory}: is not a directory; a directory, or a new one, is allowed"
            )
    format = format_of_name(name, format)
    if format is not None:
        check_format(format)
    pattern = None if name is None else check_name(name, format or PNG)
    found = find_images(sources, directory, recursive=recursive)
    if in_place:
        return [Job(source, source) for source, _ in found]
    numbers: list[int | None] = [None] * len(found)
    if pages:
        found, numbers = _cut_into_pages(found)
    mark = BESIDE if directory is None and pattern is None else ""
    endings = [f"{mark}.{format or default_format(source)}" for source, _ in found]
    if directory is None:
        directory = ""
        found = [
            (source, os.path.join(os.path.dirname(source), os.path.basename(relative)))
            for source, relative in found
        ]
    if pattern is not None:
        found = [(source, _renamed(relative, pattern, source)) for source, relative in found]
    jobs = _name_targets(found, directory, endings, copies=copies)
    return [replace(job, page=page) for job, page in zip(jobs, numbers, strict=True)]


def _cut_into_pages(
    found: Sequence[tuple[str, str]],
) -> tuple[list[tuple[str, str]], list[int | None]]:
    """Return each file once a page, with a number in its name if it has several, and the pages."""
    named, numbers = [], []
    for source, relative in found:
        n_pages = count_pages(source)
        stem, suffix = os.path.splitext(relative)
        for page in range(1, n_pages + 1):
            number = f"-page{page:0{len(str(n_pages))}}" if n_pages > 1 else ""
            named.append((source, stem + number + suffix))
            numbers.append(page)
    return named, list(numbers)


def check_suffix(suffix: str, *, beside: bool) -> str:
    """Return the pattern of names that end so.

    Raises
    ------
    ValueError
        A name may not end with it, since that would lead into another folder.
    """
    separators = {os.sep, os.altsep or os.sep, "\0"}
    if (beside and not suffix) or separators & set(suffix):
        raise ValueError(
            f"suffix is {suffix!r}; a text without {os.sep!r} is allowed, and beside the sources, "
            "not an empty one"
        )
    return "{stem}" + suffix.replace("{", "{{").replace("}", "}}") + "{suffix}"


def _renamed(relative: str, pattern: str, source: str) -> str:
    """Return a path below `directory` with the name of a pattern, and the suffix of its source."""
    folder, own = os.path.split(relative)
    beside = os.path.join(os.path.dirname(source), own)  # which has the number of a page
    return os.path.join(folder, fill_name(pattern, beside) + os.path.splitext(own)[1])


def _name_targets(
    found: Sequence[tuple[str, str]], directory: str, endings: Sequence[str], *, copies: bool
) -> list[Job]:
    """Return the jobs of sources, with their paths below where they were found, in their order."""
    places = _Places()
    homes = [places.of(source) for source, _ in found]
    own = _find_own_outputs(found, homes, directory, places)
    # Own outputs come last: no name depends on them.
    order = sorted(range(len(found)), key=own.__contains__)
    firsts = [
        _join(directory, _with_ending(relative, ending))
        for (_, relative), ending in zip(found, endings, strict=True)
    ]
    first_places = [places.of(target) for target in firsts]
    wanted = Counter(first_places[i] for i in order if i not in own)
    taken = {homes[i] for i in order if i not in own}
    numbers: dict[str, Iterator[int]] = {}
    files = _Files([found[i][0] for i in order if i not in own])
    targets = dict.fromkeys(range(len(found)), "")
    for i in order:
        relative, ending = found[i][1], endings[i]
        target, place = firsts[i], first_places[i]
        if wanted[place] > 1:
            target = _join(directory, relative + ending)
            place = places.of(target)
        while place in taken or place == homes[i] or target in files:
            # Each name counts on from its last number: 4,000 files of one name took 52 s when
            # each began at 2.
            number = next(numbers.setdefault(relative.casefold(), count(2)))
            target = _join(directory, _with_number(relative, number, ending))
            place = places.of(target)
        taken.add(place)
        targets[i] = target
    copied: dict[int, str | None] = {}
    if copies:
        taken.update(homes)
        files = _Files([source for source, _ in found])
        for i in order:
            own_name = _join(directory, found[i][1])
            copied[i] = _name_copy(own_name, targets[i], homes[i], places, taken, files)
    return [Job(source, targets[i], copied.get(i)) for i, (source, _) in enumerate(found)]


def _name_copy(
    own_name: str, target: str, home: str, places: _Places, taken: set[str], files: _Files
) -> str | None:
    """Return where a source is copied to, which is taken then; None if it lies there already."""
    stem, ending = os.path.splitext(target)
    suffix = os.path.splitext(own_name)[1]
    if places.of(own_name) == home:
        return None
    if suffix.lower() == ending and target not in files:
        return target
    numbered = (f"{stem}-{number}{suffix}" for number in count(2))
    for path in chain([own_name, stem + suffix], numbered):
        place = places.of(path)
        if place not in taken and path not in files:
            break
    taken.add(place)
    return path


def _find_own_outputs(
    found: Sequence[tuple[str, str]],
    homes: Sequence[str],
    directory: str,
    places: _Places,
) -> set[int]:
    """Return which sources fastkq wrote, of those that lie where the targets go."""
    if not directory:  # beside their sources
        # Of a run before: by the ending of their names, or where a pattern names them, any.
        stems = (os.path.splitext(source)[0] for source, _ in found)
        is_named = any(source != relative for source, relative in found)
        candidates = [
            i for i, stem in enumerate(stems) if is_named or BESIDE in os.path.basename(stem)
        ]
    else:
        root = os.path.join(places.of(os.path.join(directory, ".")), "")
        candidates = [i for i, home in enumerate(homes) if home.startswith(root)]
    return {i for i in candidates if is_own_output(found[i][0])}


class _Places:
    """Where paths lead: the same string for two paths of one directory entry, links followed.

    Upper and lower case count as the same, as they are on some file systems.
    """

    def __init__(self) -> None:
        self._folder = cache(os.path.realpath)

    def of(self, path: str) -> str:
        folder, name = os.path.split(path)
        try:
            if name in ("", os.curdir, os.pardir) or os.path.islink(path):
                return os.path.realpath(path).casefold()
            return os.path.join(self._folder(folder or os.curdir), name).casefold()
        except ValueError:  # a NUL character, that no path may have
            return os.path.abspath(path).casefold()


class _Files:
    """Some existing files, by what the system knows of them, so that no name hides one."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = paths

    @cached_property
    def _ids(self) -> set[tuple[int, int] | None]:
        return {_identify(path) for path in self._paths}

    def __contains__(self, path: str) -> bool:
        identity = _identify(path)
        return identity is not None and identity in self._ids


def _identify(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _join(directory: str, relative: str) -> str:
    return os.path.join(directory, relative) if directory else relative


def _with_ending(path: str, ending: str) -> str:
    return os.path.splitext(path)[0] + ending


def _with_number(path: str, number: int, ending: str) -> str:
    """Return "a.jpg-2.png", or beside the source "a.jpg-fastkq-2.png"."""
    mark, suffix = _split_ending(ending)
    return f"{path}{mark}-{number}{suffix}"


def _split_ending(ending: str) -> tuple[str, str]:
    """Return "-fastkq" and ".png" of an ending; the first may be empty, and have dots."""
    mark, _, name = ending.rpartition(".")
    return mark, f".{name}"


def remove_leftovers(jobs: Iterable[Job]) -> None:
    """Delete what killed runs left half written beside the targets of some jobs."""
    names: dict[str, list[str]] = {}
    for path in chain.from_iterable((job.target, job.copy) for job in jobs):
        if path is None:
            continue
        target = os.path.realpath(path) if os.path.islink(path) else path
        folder, name = os.path.split(target)
        names.setdefault(folder or os.curdir, []).append(name)
    for folder, targets in names.items():
        write.remove_leftovers(folder, targets)
