"""`python -m remote_worker`: the same as the command `remote-worker`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
