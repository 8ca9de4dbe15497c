"""`python -m fastkq` is the command `fastkq`."""

import os
import sys


def _leave_working_directory() -> None:
    """Import nothing more from the working directory, unless this package lies there.

    `python -m` looks there first, where a `pickle.py` beside somebody's photos would be run.
    """
    here = os.getcwd()
    if not os.path.samefile(os.path.dirname(os.path.dirname(__file__)), here):
        sys.path[:] = [path for path in sys.path if path not in ("", here)]


def _main() -> int:
    try:
        _leave_working_directory()
        from fastkq.cli import main

        return main()
    except KeyboardInterrupt:
        return 130


# A spawned worker imports this module under another name.
if __name__ == "__main__":
    sys.exit(_main())
