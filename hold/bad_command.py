"""`python -m hold.bad_command COMMAND…` is the command line, with the pool of `bulk_worker`.

That is how `worker` gets pictures that crash decoders and pictures that kill it, of which none are known.
"""

import sys

from remote_worker import wiring
from remote_worker.cli import main

from .bulk_worker import Poisonable

if __name__ == "__main__":
    wiring.open_pool = Poisonable
    sys.exit(main(sys.argv[1:]))
