"""A server that speaks S3, started by whoever tests with one: its address, its buckets, its environment."""

import itertools
import os
import re
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

NUMBERS = itertools.count(1)
PAGE = 20
"""Keys that a listing gets at once, where S3 gives a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moto:
    """One server. It checks no signature, and forgets everything when it ends."""

    endpoint: str
    said: "deque[str]" = field(default_factory=lambda: deque(maxlen=1000))
    """Its log: a line for every request."""

    @property
    def environment(self) -> dict[str, str]:
        """What a program is told that is to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "an-id",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "NO_PROXY": "127.0.0.1",
        }

    def new_bucket(self) -> str:
        """The name of an empty one."""
        name = f"bucket-{next(NUMBERS)}"
        self.request("PUT", name)
        return name

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
        """Ask it past the code under test. The path is encoded."""
        signed = "AWS4-HMAC-SHA256 Credential=an-id/20261001/us-east-1/s3/aws4_request, Signature=none"
        asking = urllib.request.Request(
            f"{self.endpoint}/{path}",
            data=body,
            method=method,
            headers={"Authorization": signed, "Content-Type": "application/octet-stream", **headers},
        )
        with urllib.request.urlopen(asking, timeout=20) as answer:
            content: bytes = answer.read()
        return content


@contextmanager
def serving_s3() -> Iterator[Moto]:
    """A server at a free port of 127.0.0.1, which ends with this."""
    program = str(Path(sys.executable).with_name("moto_server"))
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE)},
        text=True,
    )
    assert process.stderr is not None
    lines = process.stderr
    try:
        for line in lines:
            if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", line):
                break
        else:
            raise AssertionError("moto_server did not start")
        moto = Moto(endpoint=found[1])
        reader = threading.Thread(target=lambda: moto.said.extend(lines), daemon=True)
        reader.start()
        yield moto
    finally:
        process.kill()
        process.wait()
    reader.join()
    lines.close()
