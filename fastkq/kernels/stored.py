"""The files of compiled kernels: a file for each kernel, argument types and processor.

A file is the stamp of its sources, the digest of its content, and the content: what is needed to
call the machine code (a header in JSON), the machine code, and what Numba needs beside it to build
other code upon it. The last is a pickle, which is read only where the digest is right.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastkq.kernels import places

_log = logging.getLogger("fastkq")

DIGEST_BYTES = hashlib.sha256().digest_size
LENGTH_BYTES = 8  # of a header, or of machine code


@dataclass(frozen=True)
class StoredKernel:
    """What a file holds.

    Attributes
    ----------
    header : dict or None
        For `machine_code`: "wrapper" is the symbol that is called, "environments" are those that
        must point to one, "needs" the symbols of others, "has_threads" whether it runs on Numba's,
        "module" and "name" are those of the function. None for a kernel that only Numba can load.
    code : bytes-like, an object file
    rest : bytes-like, the pickle of Numba's other parts
    """

    header: dict[str, Any] | None
    code: memoryview | bytes
    rest: memoryview | bytes


@functools.cache
def numba_folder() -> Path | None:
    """Return where Numba is installed, without loading it."""
    spec = importlib.util.find_spec("numba")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


@functools.cache
def stamp() -> bytes:
    """Return a digest of what a file's content depends on, besides types and the processor."""
    folder = numba_folder()
    version = b"" if folder is None else (folder / "_version.py").read_bytes()
    return hashlib.sha256(version + (places.source_digest() or b"")).digest()


def file_name(kernel: str, types: tuple[str, ...], target: tuple[str, ...]) -> str:
    """Return the name of a kernel's file.

    Parameters
    ----------
    kernel : str, "file.function"
    types : of its arguments, as in `machine_code.name_types`
    target : the processor, and what else decides of the code
    """
    key = hashlib.sha256(repr((types, target)).encode()).hexdigest()[:16]
    return f"{kernel}-{key}.{places.PYTHON}.nbc"


def read(path: Path) -> StoredKernel | None:
    """Return the content of a file; None if there is none, or it is of other sources."""
    try:
        data = memoryview(path.read_bytes())
    except FileNotFoundError:
        return None
    own, digest = bytes(data[:DIGEST_BYTES]), bytes(data[DIGEST_BYTES : 2 * DIGEST_BYTES])
    content = data[2 * DIGEST_BYTES :]
    if len(digest) == DIGEST_BYTES and own != stamp():
        return None
    if digest != hashlib.sha256(content).digest():
        raise ValueError(f"the {len(data)} bytes of {path.name} are not those that were written")
    header, content = _cut(content)
    code, rest = _cut(content)
    return StoredKernel(json.loads(bytes(header)), code, rest)


def _cut(content: memoryview) -> tuple[memoryview, memoryview]:
    """Return a part that begins with its length, and what follows it."""
    end = LENGTH_BYTES + int.from_bytes(content[:LENGTH_BYTES], "little")
    return content[LENGTH_BYTES:end], content[end:]


def write(path: Path, kernel: StoredKernel) -> None:
    """Write a file whole or not at all: other processes may read it at any time."""
    header = json.dumps(kernel.header).encode()
    parts = [len(part).to_bytes(LENGTH_BYTES, "little") + part for part in (header, kernel.code)]
    content = b"".join([*parts, kernel.rest])
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(stamp())
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


_damaged: set[Path] = set()  # places that this process has told of


def warn_of_damage(place: Path, error: Exception) -> None:
    """Tell of damaged files: one line a process, which a command shows on stderr."""
    if place not in _damaged:
        _damaged.add(place)
        _log.warning(
            "fastkq: a compiled kernel in %s is damaged and is compiled anew: %s", place, error
        )
