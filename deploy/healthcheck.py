"""For HEALTHCHECK: ends with 0 when this container's worker is ready, and says what it answered otherwise."""

import contextlib
import http.client
import os
import socket
import ssl
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

SECONDS = 4.0


def main() -> int:
    """Ask `/readyz` of the port that the worker listens on."""
    file = _settings_file()

    def told(name: str) -> str:
        return os.environ.get(f"REMOTE_{name.upper()}", str(file.get(name, ""))).strip()

    port = int(told("port") or 5000)
    if told("tls_client_required").lower() in ("1", "on", "true", "yes"):
        # It talks to those with a certificate alone; that it listens is what others can see.
        return _listens(port)
    connection: http.client.HTTPConnection
    if told("tls_cert"):
        # The certificate has the service's name, not this one; and nothing but a status is read.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        said = answer.read(4096)
    except (OSError, http.client.HTTPException) as failed:
        print(f"no answer: {failed}")
        return 1
    if answer.status == 200:
        return 0
    print(f"{answer.status}: {said.decode(errors='replace')}")
    return 1


def _settings_file() -> Mapping[str, object]:
    path = os.environ.get("REMOTE_SETTINGS_FILE", "").strip()
    # A worker does not start with one that cannot be used, or has it in memory already.
    with contextlib.suppress(OSError, ValueError):
        return tomllib.loads(Path(path).read_text("utf-8")) if path else {}
    return {}


def _listens(port: int) -> int:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except OSError as failed:
        print(f"no answer: {failed}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
