"""Files out: complete, or untouched."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from fastkq.files.errors import ImageReadError, os_error, reason, tell
from fastkq.types import PathOrFile

# What a target is written to: its name, shortened if need be, then the host, the process and a
# random number, so that leftovers of processes that were killed can be told from files in use.
TEMPORARY_NAME = r"\.(.+?)\.(?:([0-9a-f]{4})-(\d+)-)?[0-9a-f]{8}\.tmp"
MAX_NAME_BYTES = 255
MAX_MARK_BYTES = 40  # what a temporary name adds: 1 + 1 + 4 + 1 + 20 + 1 + 8 + 4
HASH_BYTES = 9  # "~" and eight digits
# So old is no file that is still written to, whatever process has its writer's number by now.
LEFTOVER_SECONDS = 86_400
PERMISSIONS = 0o777
PRIVATE = 0o600
READ_AND_WRITE = 0o666
OTHERS_ALONE = 0o707  # without those of the group
# File systems that know no second name for a file say one of these.
NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EXDEV}


@dataclass(frozen=True)
class Safety:
    """What is done for an output beyond its renaming in one step.

    Attributes
    ----------
    durable : bool
        Whether the file, and then the directory that has its new name, are written to the disk
        before the target counts as done, so that a loss of power finds the old file or the new one.
    verify : bool
        Whether what was written is read again and compared before it takes its name.
    preserve : bool
        Whether the target gets the times of its source.
    """

    durable: bool = False
    verify: bool = False
    preserve: bool = False


PLAIN = Safety()


def check_output(
    target: str | os.PathLike[str],
    source: str | os.PathLike[str] | None = None,
    *,
    exclusive: bool = False,
) -> Path:
    """Return the path of a file to write, if it can be one.

    Raises
    ------
    ValueError, OSError
        A missing directory, a directory or device in its place, the source; with `exclusive`, any
        file.
    """
    path = Path(target)
    try:
        has_directory, exists = path.parent.is_dir(), path.exists()
    except OSError as error:
        raise tell(error, f"{path}: cannot be written: {reason(error)}") from error
    if not has_directory:
        raise os_error(errno.ENOENT, f"{path}: there is no directory {path.parent}")
    if exists and not path.is_file():
        raise os_error(
            errno.EISDIR, f"{path}: is not a regular file; the target must be one, or new"
        )
    if source is not None and exists and os.path.exists(source) and os.path.samefile(source, path):
        raise ValueError(f"{path}: the target is the source; choose another")
    if exclusive and exists:
        raise _already_there(path)
    return path


def write_file(
    target: PathOrFile,
    data: bytes,
    *,
    like: str | os.PathLike[str] | None = None,
    exclusive: bool = False,
    clean: bool = True,
    safety: Safety = PLAIN,
) -> None:
    """Write a file so that it is either complete or untouched; for the rest, see `open_target`."""
    with open_target(
        target,
        like=like,
        exclusive=exclusive,
        clean=clean,
        safety=safety,
        check=partial(_check_bytes, data=data) if safety.verify else None,
    ) as file:
        file.write(data)


def _check_bytes(path: Path, data: bytes) -> None:
    if path.read_bytes() != data:
        raise os_error(errno.EIO, "what was written is not what is read again")


class Nowhere(io.BytesIO):
    """A file that counts what is written, and keeps nothing."""

    def write(self, data: Any, /) -> int:
        """Return how many bytes there are."""
        return memoryview(data).nbytes


@contextmanager
def open_target(
    target: PathOrFile,
    *,
    like: str | os.PathLike[str] | None = None,
    exclusive: bool = False,
    clean: bool = True,
    most: int | None = None,
    safety: Safety = PLAIN,
    check: Callable[[Path], None] | None = None,
) -> Iterator[BinaryIO]:
    """Open a file to write so that it is either complete or untouched.

    The data goes to a temporary name beside the target, which is renamed over it when the block
    ends without an error. A file object is simply written to.

    Parameters
    ----------
    target : path or binary file object
        An existing file keeps its permissions.
    like : path, optional
        The source: a new target has no permission that its source lacks. By default, it has those
        that the umask leaves.
    exclusive : bool
        Whether an existing target, also one that another process writes meanwhile, is an error.
    clean : bool
        Whether temporary files of this target that a killed process left behind are removed. That
        lists the directory: of many targets in one, only the first should.
    most : int, optional
        If more bytes than that were written, the target stays as it was; a file object has them.
    safety : Safety
        `durable`, and with `like`, `preserve`.
    check : callable, optional
        Is given the path of the complete file before that takes its name, and raises if it is not
        as it should be.

    Raises
    ------
    FileExistsError
        The target exists, and `exclusive` is set.
    OSError
        It cannot be written; of the class and with the `errno` of the cause.
    """
    if not isinstance(target, (str, os.PathLike)):
        yield target
        return
    path = Path(os.path.realpath(target))  # a link stays a link
    if exclusive and path.exists():
        raise _already_there(path)
    if clean:
        remove_leftovers(path.parent, [path.name])
    temporary = path.with_name(_temporary_name(path.name))
    try:
        with _create(temporary, path, like) as file:
            yield file
            n_bytes = file.tell()
            _write_to_disk(file, safety)
        if most is not None and n_bytes > most:
            temporary.unlink()
            return
        if check is not None:
            check(temporary)
        if safety.preserve and like is not None:
            times = os.stat(like)
            os.utime(temporary, ns=(times.st_atime_ns, times.st_mtime_ns))
        _rename(temporary, path, exclusive=exclusive)
        if safety.durable:
            _write_directory(path.parent)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, FileExistsError) and exclusive:
            raise _already_there(path) from error
        if isinstance(error, OSError) and not isinstance(error, ImageReadError):
            raise tell(error, f"{path}: cannot be written: {reason(error)}") from error
        raise


def _write_to_disk(file: BinaryIO, safety: Safety) -> None:
    if safety.durable:
        file.flush()
        os.fsync(file.fileno())


def _write_directory(folder: Path) -> None:
    """Have the names of a directory written to the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: str | os.PathLike[str], names: Iterable[str]) -> None:
    """Remove the temporary files of targets in a folder whose writers were killed."""
    wanted = {_short_name(name) for name in names}
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = re.fullmatch(TEMPORARY_NAME, entry.name, re.DOTALL)
            if match is not None and match[1] in wanted and _is_left(entry):
                with suppress(OSError):
                    os.unlink(entry.path)


def is_temporary_of(entry: str, target_name: str) -> bool:
    """Return whether a file of that name may be a temporary one of a target of that name.

    Examples
    --------
    >>> is_temporary_of(".a.png.12ab-4711-0123abcd.tmp", "a.png")
    True
    """
    match = re.fullmatch(TEMPORARY_NAME, entry, re.DOTALL)
    return match is not None and match[1] == _short_name(target_name)


def _is_left(entry: os.DirEntry[str]) -> bool:
    """Return whether the writer of a temporary file is gone."""
    match = re.fullmatch(TEMPORARY_NAME, entry.name, re.DOTALL)
    if match is None or not entry.is_file(follow_symlinks=False):
        return False
    if time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFTOVER_SECONDS:
        return True
    if match[3] is None:  # of an earlier version
        return True
    return match[2] == _host_mark() and not _is_running(int(match[3]))


def _is_running(process: int) -> bool:
    if os.name == "nt":  # where signal 0 would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _temporary_name(name: str) -> str:
    mark = f"{_host_mark()}-{os.getpid()}-{os.urandom(4).hex()}"
    return f".{_short_name(name)}.{mark}.tmp"


def _host_mark() -> str:
    """Return four digits that tell the hosts of a shared directory apart."""
    host = os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
    return f"{zlib.crc32(os.fsencode(host)) & 0xFFFF:04x}"


def _short_name(name: str) -> str:
    """Return a target's name, or its beginning and a hash where more would be too long."""
    encoded = os.fsencode(name)
    if len(encoded) <= MAX_NAME_BYTES - MAX_MARK_BYTES:
        return name
    n_bytes = MAX_NAME_BYTES - MAX_MARK_BYTES - HASH_BYTES
    while encoded[n_bytes] & 0xC0 == 0x80:  # no half of a character
        n_bytes -= 1
    return f"{os.fsdecode(encoded[:n_bytes])}~{zlib.crc32(encoded):08x}"


def _create(temporary: Path, path: Path, like: str | os.PathLike[str] | None) -> BinaryIO:
    """Create the temporary file with the permissions that the target will have."""
    old = path.stat() if path.exists() else None
    mode = READ_AND_WRITE
    if old is not None:
        # At first, no more than both it and the umask allow: nobody may open it meanwhile.
        mode &= old.st_mode
    elif like is not None:
        try:
            mode &= os.stat(like).st_mode
        except OSError:  # the source is gone meanwhile, and might have been private
            mode &= PRIVATE
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(temporary, flags, mode), "wb")
    if old is not None:
        try:
            _keep_permissions(file.fileno(), temporary, old)
        except BaseException:
            file.close()
            raise
    return file


def _keep_permissions(descriptor: int, temporary: Path, old: os.stat_result) -> None:
    """Give a new file the permissions of an old one, for the same group only."""
    mode = stat.S_IMODE(old.st_mode) & PERMISSIONS
    if not hasattr(os, "fchown"):
        os.chmod(temporary, mode)
        return
    new = os.fstat(descriptor)
    if new.st_gid != old.st_gid:
        try:
            os.fchown(descriptor, -1, old.st_gid)
        except OSError:
            mode &= OTHERS_ALONE
    if new.st_uid != old.st_uid:
        with suppress(OSError):  # only the superuser may
            os.fchown(descriptor, old.st_uid, -1)
    os.fchmod(descriptor, mode)


def _rename(temporary: Path, path: Path, *, exclusive: bool) -> None:
    if exclusive:
        _rename_to_new(temporary, path)
    else:
        os.replace(temporary, path)


def _rename_to_new(temporary: Path, path: Path) -> None:
    """Rename a file to a name that must not exist."""
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Reserve the name, then replace what reserves it.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        try:
            os.replace(temporary, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    else:
        temporary.unlink()


def _already_there(path: Path) -> OSError:
    return os_error(errno.EEXIST, f"{path}: exists, and is not replaced")
