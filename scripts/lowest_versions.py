"""Print constraints for pip that hold each dependency at its lowest supported version.

`pip install ".[test]" -c FILE` with them shows whether the bounds of pyproject.toml are true:
`.ci/run` does so and runs the smoke tests, on the lowest supported Python.
"""

import re
import sys
import tomllib
from pathlib import Path

# "dask[array]>=2024.8; marker": the name, without its extras, and the bound.
REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[[\w,.-]+\])?>=([\w.]+)(;.*)?$")
OWN = re.compile(r"^fastkq\[")
GROUPS = ("dask", "oxipng", "report", "tiff", "zarr", "test")


def constraints(pyproject: str) -> list[str]:
    """Return a line for each dependency, and each one of the groups that tests need."""
    project = tomllib.loads(pyproject)["project"]
    extras = project["optional-dependencies"]
    every = project["dependencies"] + [one for group in GROUPS for one in extras[group]]
    lines = []
    for requirement in every:
        if OWN.match(requirement):
            continue
        match = REQUIREMENT.match(requirement)
        if match is None:
            sys.exit(f"{requirement!r} has no lowest version; NAME>=VERSION is allowed")
        name, version, marker = match.groups()
        lines.append(f"{name}=={version}{marker or ''}")
    return lines


def main() -> None:
    """Print the constraints of the file named on the command line."""
    print("\n".join(constraints(Path(sys.argv[1]).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
