"""For HEALTHCHECK: ends with 0 when this container's worker is ready, and says what it answered otherwise."""

import http.client
import os
import socket
import ssl
import sys

SECONDS = 4.0


def main() -> int:
    """Ask `/readyz` of the port that the worker listens on."""
    port = int(os.environ.get("REMOTE_PORT") or 5000)
    if os.environ.get("REMOTE_TLS_CLIENT_REQUIRED", "").lower() in ("1", "on", "true", "yes"):
        # It talks to those with a certificate alone; that it listens is what others can see.
        return _listens(port)
    connection: http.client.HTTPConnection
    if os.environ.get("REMOTE_TLS_CERT"):
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


def _listens(port: int) -> int:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except OSError as failed:
        print(f"no answer: {failed}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
