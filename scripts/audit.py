"""Look the installed packages up in the database of known vulnerabilities, where that can be asked.

    python scripts/audit.py

Runs pip-audit on the environment. Without a network, or behind an index that is not PyPI, there is
nothing to ask: that is told, and is no failure. A known vulnerability is.
"""

from __future__ import annotations

import json
import subprocess
import sys

SECONDS = 120


def main() -> None:
    """Audit this environment; the exit code is 1 where a package is known to be vulnerable."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    try:
        result = subprocess.run(
            [*command, "--skip-editable"],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        packages = json.loads(result.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"audit skipped: no answer within {SECONDS} s")
        return
    except (ValueError, KeyError):
        lines = result.stderr.strip().splitlines() or ["pip-audit gives no report"]
        print(f"audit skipped: {lines[-1]}")
        return
    audited = [package for package in packages if "vulns" in package]
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in audited
        for vulnerability in package["vulns"]
    ]
    if not audited:
        reasons = [package.get("skip_reason", "") for package in packages] or ["no packages"]
        print(f"audit skipped: none of {len(packages)} packages is known there; {reasons[0]}")
        return
    print(f"audited {len(audited)} of {len(packages)} packages: {len(found)} vulnerabilities")
    print("\n".join(found))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
