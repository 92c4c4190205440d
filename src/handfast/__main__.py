"""`python -m handfast` is the `handfast` command."""

import sys

from handfast.cli import main

if __name__ == "__main__":
    sys.exit(main())
