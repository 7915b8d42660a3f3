"""`python -m kestimator`: see `kestimator.command_line`."""

from __future__ import annotations

import sys

from kestimator import command_line

if __name__ == "__main__":
    sys.exit(command_line.main(sys.argv[1:]))
