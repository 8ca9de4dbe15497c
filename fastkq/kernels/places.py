"""Where compiled kernels lie, and what they were compiled from.

Without Numba, which takes 0.3 s to load: a batch asks here whether there is anything to compile.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import sys
import tempfile
from pathlib import Path

_log = logging.getLogger("fastkq")

FOLDER = Path(__file__).parent
INSIDE = FOLDER / "__pycache__"
PYTHON = f"py{sys.version_info.major}{sys.version_info.minor}{getattr(sys, 'abiflags', '')}"


@functools.cache
def source_digest() -> bytes | None:
    """Return a digest of all files of this folder; None if there are none, as in a zip archive."""
    sources = sorted(FOLDER.glob("*.py"))
    digest = hashlib.sha256(sys.version.encode())
    for path in sources:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest() if sources else None


@functools.cache
def write_place() -> Path | None:
    """Return the first place for kernels that can be written, made if need be, or None.

    The order is Numba's: what NUMBA_CACHE_DIR names, the package itself, the user's directory.
    """
    if source_digest() is None:
        return None
    places = [INSIDE]
    if named := _named_place():
        places.insert(0, named)
    if has_home():
        places.append(_user_directory() / _own_folder())
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=place).close()
        except OSError:
            continue
        return place
    _log.debug("kernels are not cached on disk: none of %s can be written", places)
    return None


@functools.cache
def read_places() -> list[Path]:
    """Return where kernels may lie: what is unpacked read-only may bring its own."""
    if source_digest() is None:
        return []
    readable = _named_place() or INSIDE
    places = [write_place(), readable if readable.is_dir() else None]
    return list(dict.fromkeys(place for place in places if place is not None))


def _named_place() -> Path | None:
    """Return the place in the directory that NUMBA_CACHE_DIR names."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    return Path(named).absolute() / _own_folder() if named else None


def _own_folder() -> Path:
    """Return where in a directory of several kernels' users ours are.

    By the sources and not their path, so that copies share what they compile.
    """
    return Path("fastkq") / (source_digest() or b"").hex()[:16]


def is_prepared(what: str) -> bool:
    """Return whether the kernels for something were all compiled, from these sources.

    It may err, as on another processor: then they are compiled where they are needed.
    """
    return any(_is_prepared_in(place, what) for place in read_places())


def _is_prepared_in(place: Path, what: str) -> bool:
    try:
        return _prepared_file(place, what).read_bytes() == source_digest()
    except OSError:
        return False


def _prepared_file(place: Path, what: str) -> Path:
    return place / f"{what}.{PYTHON}.prepared"


def set_prepared(what: str) -> None:
    """Note that the kernels for something were all compiled."""
    place, digest = write_place(), source_digest()
    if place is not None and digest is not None:
        with contextlib.suppress(OSError):  # on a full disk it is asked again
            _prepared_file(place, what).write_bytes(digest)


def has_home() -> bool:
    """Return whether the user has a directory for caches.

    A user without a home - a container's random one - has the home "~", and a directory of that
    name would be made in the current one, and what is found there would be run.
    """
    return os.path.expanduser("~") != "~" or bool(os.environ.get("XDG_CACHE_HOME"))


def _user_directory() -> Path:
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    if sys.platform == "darwin":
        return home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache").absolute()
