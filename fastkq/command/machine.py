"""What `fastkq warmup` and `fastkq doctor` do: the kernels, and the facts of the machine."""

from __future__ import annotations

import argparse
import json

from fastkq.install import terminal

DONE, FAILED = 0, 1


def warmup(options: argparse.Namespace) -> int:
    """Compile all kernels."""
    from fastkq.install.warmup import warm_up

    terminal.share()
    print(f"kernels ready in {warm_up():.1f} s")
    return DONE


def doctor(options: argparse.Namespace) -> int:
    """Print the facts of the installation."""
    from fastkq.install.doctor import diagnose

    terminal.share()
    facts = diagnose()
    if options.json:
        print(json.dumps(facts, indent=2))
    else:
        for name, fact in facts.items():
            print(f"{name}: {fact}")
    return DONE if facts["self-check"] == "ok" else FAILED
