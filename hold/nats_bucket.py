"""`python -m hold.nats_bucket fill URL FOLDER` or `… look JOB`: what is done to a bucket, and seen in it.

Run on a machine of the point `nats`, as the bucket cannot be reached from elsewhere.
"""

import gzip
import hashlib
import json
import os
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from remote_worker.bulk.folder import Folder, opened
from remote_worker.stores.opening import open_store

AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a job has led to."""

    rows: Sequence[Mapping[str, Any]]
    """Without their times."""
    outputs: Mapping[str, str]
    """By key, the SHA-256 of each."""

    @classmethod
    def at(cls, job: Folder) -> "Look":
        """As it is now."""
        rows = []
        for key, _ in job.store.list(f"jobs/{job.id}/parts/"):
            lines = gzip.decompress(job.store.get(key, 1 << 24).data).splitlines()
            rows += [{**json.loads(line), "milliseconds": None} for line in lines]
        keys = [key for key, _ in job.store.list("objects/")]
        with ThreadPoolExecutor(AT_ONCE) as readers:
            bodies = readers.map(lambda key: job.store.get(key, 1 << 24).data, keys)
            outputs = {key: hashlib.sha256(body).hexdigest() for key, body in zip(keys, bodies, strict=True)}
        return cls(rows=rows, outputs=outputs)


def _fill(url: str, folder: Path) -> None:
    bucket = urllib.request.Request(f"{os.environ['AWS_ENDPOINT_URL']}/{urlsplit(url).netloc}", method="PUT")
    urllib.request.urlopen(bucket, timeout=20).close()
    store = open_store(url)
    with ThreadPoolExecutor(AT_ONCE) as writers:
        list(writers.map(lambda path: store.put(path.name, path.read_bytes()), folder.iterdir()))


if __name__ == "__main__":
    if sys.argv[1] == "fill":
        _fill(sys.argv[2], Path(sys.argv[3]))
    else:
        print(json.dumps(asdict(Look.at(opened(sys.argv[2], open_store)))))
