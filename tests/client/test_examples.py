"""Each example against a worker that is busy at first, and signed ones against a second opinion."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import http_message_signatures
import pytest
from http_message_signatures.resolvers import MappingKeyResolver
from PIL import Image

from benchmarks.origin import TITLE

from .conftest import Working
from .scripted import failure, picture, scripted
from .test_client_keys import seen

EXAMPLES = Path(__file__).parents[2] / "examples"
IN_EACH_LANGUAGE = [
    pytest.param(["sh", "worker.sh"], marks=pytest.mark.needs_curl, id="curl"),
    pytest.param([sys.executable, "worker.py"], id="python"),
    pytest.param(["node", "worker.mjs"], marks=pytest.mark.needs_node, id="javascript"),
    pytest.param(["go", "run", "worker.go"], marks=pytest.mark.needs_go, id="go"),
    pytest.param(["php", "worker.php"], marks=pytest.mark.needs_php, id="php"),
    pytest.param(["ruby", "worker.rb"], marks=pytest.mark.needs_ruby, id="ruby"),
]
SIGNING = [
    pytest.param([sys.executable, "signed.py"], id="python"),
    pytest.param(["node", "signed.mjs"], marks=pytest.mark.needs_node, id="javascript"),
]


def run(command: list[str], folder: Path, *arguments: str, **variables: str) -> str:
    """What the example prints in this folder."""
    *program, name = command
    # Go builds by itself, and fetches nothing for it.
    own = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0", "GO111MODULE": "off"}
    done = subprocess.run(
        [*program, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**os.environ, **own, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def busy_at_first(url: str) -> Iterator[tuple[str, list[bytes]]]:
    """An address that refuses the first upload with 503 and passes on all that comes later."""
    uploads: list[bytes] = []
    worker = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                _refuse(listener, uploads)
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=_pass_on, args=(connection, worker.hostname, worker.port)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", uploads
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _refuse(listener: socket.socket, uploads: list[bytes]) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as stream:
        head = b"".join(iter(stream.readline, b"\r\n")).lower()
        (length,) = (line for line in head.splitlines() if line.startswith(b"content-length:"))
        uploads.append(head + stream.read(int(length.split()[1])))
        connection.sendall(failure("busy", 503, "Retry-After: 0"))


def _pass_on(connection: socket.socket, host: str | None, port: int | None) -> None:
    with connection, socket.create_connection((host, port)) as worker:
        back = threading.Thread(target=_pump, args=(worker, connection))
        back.start()
        _pump(connection, worker)
        back.join(60)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("command", IN_EACH_LANGUAGE)
def test_an_example_does_what_it_says_though_the_worker_is_busy_at_first(
    command: list[str], working: Working, photo: Path, tmp_path: Path
) -> None:
    with busy_at_first(working.url) as (url, uploads):
        said = run(
            command,
            tmp_path,
            str(photo),
            f"{working.site}/page/1?a=b&c=d",
            REMOTE_WORKER_URL=url,
            REMOTE_WORKER_KEY="rw_key",
        )

    assert said.splitlines() == [
        f"title: {TITLE}",
        "html: <p><strong>Hello</strong></p>",
        "refused: unsupported_format",
    ]
    with Image.open(tmp_path / "avatar73.png") as avatar, Image.open(tmp_path / "small.webp") as small:
        assert (avatar.format, avatar.size) == ("PNG", (73, 73))
        assert small.format == "WEBP"
    assert len(uploads) == 1
    assert uploads[0].startswith(b"post /images/rescale_avatar ")
    assert photo.read_bytes() in uploads[0]
    assert b"authorization: bearer rw_key\r\n" in uploads[0]


@pytest.mark.needs_node
def test_a_job_is_submitted_once_under_its_name_and_fetched(
    working: Working, photo: Path, tmp_path: Path
) -> None:
    first, again, other = (
        run(["node", "later.mjs"], tmp_path, str(photo), name, REMOTE_WORKER_URL=working.url)
        for name in ("one", "one", "other")
    )

    assert first == again != other
    with Image.open(tmp_path / "later.webp") as small:
        assert small.format == "WEBP"


@pytest.mark.parametrize("command", SIGNING)
def test_a_signed_example_is_accepted_by_another_implementation(
    command: list[str], photo: Path, tmp_path: Path
) -> None:
    keys = MappingKeyResolver(public_keys={"site": b"secret"}, private_keys={})
    verifier = http_message_signatures.HTTPMessageVerifier(
        signature_algorithm=http_message_signatures.algorithms.HMAC_SHA256, key_resolver=keys
    )
    with scripted(picture()) as server:
        run(
            command,
            tmp_path,
            str(photo),
            REMOTE_WORKER_URL=server.url,
            REMOTE_WORKER_KEY_ID="site",
            REMOTE_WORKER_SECRET="secret",
        )

    (request,) = server.requests
    (verified,) = verifier.verify(seen(request, server.url), body=request.body)
    assert set(verified.covered_components) == {
        '"@method"',
        '"@path"',
        '"@query"',
        '"content-digest"',
        '"@signature-params"',
    }
    assert photo.read_bytes() in request.body
    assert (tmp_path / "small.webp").read_bytes() == b"pixels"
