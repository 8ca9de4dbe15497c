"""Where compiled kernels lie, and what they were compiled from.

Without Numba, which takes 0.3 s to load: a batch asks here whether there is anything to compile.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
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
    digest = hashlib.sha256(platform.python_version().encode())
    for path in sources:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest() if sources else None


@functools.cache
def write_place() -> Path | None:
    """Return the first place for kernels that can be written, made if need be, or None.

    The order is Numba's: what NUMBA_CACHE_DIR names, the package itself, the user's directory.
    """
    digest = source_digest()
    if digest is None:
        return None
    places = [INSIDE]
    # By the sources and not their path, so that copies share what they compile.
    own = Path("fastkq") / digest.hex()[:16]
    if named := os.environ.get("NUMBA_CACHE_DIR"):
        places.insert(0, Path(named).absolute() / own)
    if has_home():
        places.append(_user_directory() / own)
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
    place = write_place()
    places = [] if place is None else [place]
    if place != INSIDE and not os.environ.get("NUMBA_CACHE_DIR") and INSIDE.is_dir():
        places.append(INSIDE)
    return places


def _prepared_file(what: str) -> Path | None:
    place = write_place()
    return None if place is None else place / f"{what}.{PYTHON}.prepared"


def is_prepared(what: str) -> bool:
    """Return whether the kernels for something were all compiled here, from these sources.

    It may err, as on another processor: then they are compiled where they are needed.
    """
    file = _prepared_file(what)
    try:
        return file is not None and file.read_bytes() == source_digest()
    except OSError:
        return False


def set_prepared(what: str) -> None:
    """Note that the kernels for something were all compiled."""
    file, digest = _prepared_file(what), source_digest()
    if file is not None and digest is not None:
        with contextlib.suppress(OSError):  # on a full disk it is asked again
            file.write_bytes(digest)


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
