"""Run the smoke tests on the wheel under other Pythons than this one.

    python scripts/other_pythons.py                 # each that is found
    python scripts/other_pythons.py --newest        # the newest one that is found
    python scripts/other_pythons.py python3.14t     # what is named

Pythons are found on the PATH, by the versions that pyproject.toml names, and among those of pyenv.
Each gets an environment of its own, with nothing that must be compiled to be installed: so the run
tells as well of what there are no wheels.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
VERSION = "import sys; print(*sys.version_info[:2], sys.abiflags)"
FREE_THREADED = "t"


def main() -> None:
    """Test the Pythons that are named, or found; end with 1 if one of them fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pythons", nargs="*", metavar="PYTHON")
    parser.add_argument("--newest", action="store_true", help="test only the newest one")
    parser.add_argument("--wheel", type=Path, help="test this one (default: it is built)")
    options = parser.parse_args()
    pythons = options.pythons or find_pythons()
    if options.newest:
        pythons = pythons[-1:]
    if not pythons:
        print("there is no other Python")
        return
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        copy_tests(work)
        wheel = (options.wheel or build_wheel(work)).resolve()
        codes = [test(python, wheel, work / str(i)) for i, python in enumerate(pythons)]
    sys.exit(1 if any(codes) else 0)


def find_pythons() -> list[str]:
    """Return the interpreters of the supported versions but this one, from the oldest.

    Free-threaded ones come first, so that the newest is a plain one.
    """
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = re.findall(r":: Python :: 3\.(\d+)$", "\n".join(classifiers), re.MULTILINE)
    names = [f"python3.{minor}{flag}" for minor in supported for flag in ("", FREE_THREADED)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = [path for name in names if (path := shutil.which(name))]
    found += map(str, pyenv.glob("versions/*/bin/python"))
    own = sys.version_info[:2]
    versions = {version: path for path in found if (version := ask_version(path)) is not None}
    allowed = {(3, int(minor)) for minor in supported} - {own}
    ordered = sorted(versions.items(), key=lambda pair: (FREE_THREADED not in pair[0][2], pair[0]))
    return [path for version, path in ordered if version[:2] in allowed]


def ask_version(python: str) -> tuple[int, int, str] | None:
    """Return the version of an interpreter, and its flags; None where a shim leads to none."""
    run = subprocess.run([python, "-c", VERSION], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        return None
    major, minor, *flags = run.stdout.split()
    return int(major), int(minor), "".join(flags)


def build_wheel(work: Path) -> Path:
    """Build the wheel of this tree."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", work / "dist", ROOT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (wheel,) = (work / "dist").glob("*.whl")
    return wheel


def copy_tests(work: Path) -> None:
    """Lay the tests where only an installed package can be found, with the pictures they share."""
    shutil.copytree(ROOT / "tests", work / "main" / "tests")
    if (ROOT.parent / "shared").exists():
        (work / "shared").symlink_to((ROOT.parent / "shared").resolve())


def test(python: str, wheel: Path, folder: Path) -> int:
    """Install the wheel for an interpreter and run the smoke tests; return the exit code."""
    start = time.perf_counter()
    print(f"== {python}", flush=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    own = folder / "bin" / "python"
    wanted = f"{wheel}[test]"
    install = [own, "-m", "pip", "install", "-q", "--only-binary=:all:", wanted]
    code = subprocess.run(install, check=False).returncode
    if code == 0:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(folder / "kernels")}
        command = [own, "-P", "-W", "error", "-m", "pytest", "tests", "-q", "-m", "smoke"]
        tests = folder.parent / "main"
        code = subprocess.run(command, check=False, cwd=tests, env=environment).returncode
    print(f"== {python}: exit code {code}, {time.perf_counter() - start:.0f} s", flush=True)
    return code


if __name__ == "__main__":
    main()
