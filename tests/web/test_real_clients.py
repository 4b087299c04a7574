"""The clients that people use, with uploads that are refused before they have been read."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from web.serving import BOUNDARY, Service, part, serving

TOO_MUCH = 40 * 1024 * 1024


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("large") / "file"
    path.write_bytes(bytes(TOO_MUCH))
    return path


def chunks() -> Iterator[bytes]:
    yield part(b"").removesuffix(b"\r\n")
    for _ in range(TOO_MUCH // 65536):
        yield bytes(65536)


def test_httpx_reads_the_refusal_of_a_length(service: Service, large_file: Path) -> None:
    with large_file.open("rb") as file:
        answer = httpx.post(f"{service.url}/images/fit/10", files={"file": file})

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_httpx_reads_the_refusal_of_chunks(service: Service) -> None:
    answer = httpx.post(
        f"{service.url}/images/fit/10",
        content=chunks(),
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    )

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.needs_curl
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-H", "Expect:"],
        ["-H", "Transfer-Encoding: chunked"],
        ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"],
        ["--http1.0"],
        ["--http2"],
    ],
)
def test_curl_reads_the_refusal(service: Service, large_file: Path, options: list[str]) -> None:
    command = ["curl", "-sS", *options, "-F", f"file=@{large_file}", f"{service.url}/images/fit/10"]

    curl = subprocess.run(command, capture_output=True, check=True)

    assert json.loads(curl.stdout)["code"] == "too_large"


@pytest.mark.needs_curl
@pytest.mark.parametrize("options", [[], ["--http1.0"], ["--http2"], ["-H", "Expect: 100-continue"]])
def test_curl_uploads(service: Service, tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"x" * 2_000_000)

    subprocess.run(
        ["curl", "-sS", "--fail", *options, "-F", f"file=@{path}", f"{service.url}/images/info"],
        capture_output=True,
        check=True,
    )

    assert service.decoder.uploads[-1] == b"x" * 2_000_000
