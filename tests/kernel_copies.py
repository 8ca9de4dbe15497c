"""Compiled kernels for tests of what becomes of them: copies of those that this machine has."""

import shutil
from fnmatch import fnmatch

from fastkq.kernels import places


def copy_kernels(cache, left_out=""):
    """Copy the compiled kernels into a cache directory, but for a pattern of names.

    Returns their folder there, or None where no directory has any.
    """
    known = places.write_place()
    if known is None:
        return None
    folder = cache / "fastkq" / places.source_digest().hex()[:16]

    # Marks say that all are there: else processes are started that would compile the others.
    kinds = (".nbc",) if left_out else (".nbc", ".prepared")

    def others(_, names):
        return [n for n in names if not n.endswith(kinds) or fnmatch(n, left_out)]

    shutil.copytree(known, folder, ignore=others)
    return folder
