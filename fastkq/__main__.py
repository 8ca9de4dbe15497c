"""`python -m fastkq` is the command `fastkq`."""

import sys

from fastkq.cli import main

sys.exit(main())
