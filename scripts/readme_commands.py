"""Print the shell commands of a Markdown file: the blocks that are marked `sh`.

They are meant to be run as they stand, one after the other: `.ci/run` does so in a fresh copy.
"""

import re
import sys
from pathlib import Path


def main() -> None:
    """Print the commands of the file named on the command line."""
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    if not blocks:
        sys.exit(f"{sys.argv[1]}: no ```sh blocks")
    print("\n".join(blocks))


if __name__ == "__main__":
    main()
