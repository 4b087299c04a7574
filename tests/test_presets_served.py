"""A worker with presets and a check, seen from outside: sealed decodes, a settings file, a real checker."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy
import pytest
from fetch.origin import Exchange, Origin, answer
from PIL import Image
from test_stopping import Worker, until

from remote_worker.service.hashes import distance

FILE = """
children = 2
ready = 2
text_children = 1
[presets.card]
facts = ["blurhash", "phash"]
outputs = [
  {name = "small", width = 40, height = 40, mode = "cover", format = "webp"},
  {name = "large", width = 200, height = 200, mode = "pad", background = "00ff00", format = "png"},
]
[presets.thumb]
outputs = [{name = "thumb", width = 24, height = 24, mode = "cover", format = "jpeg"}]
"""
TOKEN = "a-token"


@dataclass
class Checker:
    """Refuses what is mostly red; remembers what it was asked."""

    asked: list[dict] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        told = json.loads(exchange.request.body)
        self.asked.append(told)
        self.tokens.append(exchange.request.headers["authorization"])
        thumbnail = Image.open(io.BytesIO(base64.b64decode(told["thumbnail"]))).convert("RGB")
        red, green, blue = thumbnail.resize((1, 1)).getpixel((0, 0))
        allow = red < 200 or green > 60 or blue > 60
        verdict = {"allow": allow} if allow else {"allow": allow, "reason": "too-red"}
        await exchange.send(answer(json.dumps(verdict).encode(), media_type="application/json"))


@dataclass(frozen=True)
class Here:
    """What the tests talk to."""

    worker: Worker
    checker: Checker
    pictures: Origin
    checks: Origin
    file: Path

    def curl(self, path: str, *headers: str, upload: bytes | None = None) -> tuple[int, bytes]:
        """One request by another client."""
        import httpx

        files = None if upload is None else {"file": ("a", upload)}
        with httpx.Client(trust_env=False) as client:
            told = client.request(
                "GET" if upload is None else "POST",
                f"http://{self.worker.address[0]}:{self.worker.address[1]}{path}",
                files=files,
                headers=dict(header.split(": ") for header in headers),
                timeout=30,
            )
        return told.status_code, told.content

    def ask(self, path: str, upload: bytes | None = None) -> dict:
        """JSON of an answer that is right."""
        status, body = self.curl(path, upload=upload)
        assert status == 200, body
        return json.loads(body)


def png(color: tuple[int, int, int], size: tuple[int, int] = (300, 200)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()


BLUE, RED = png((10, 20, 200)), png((250, 10, 10))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    folder = tmp_path_factory.mktemp("presets")
    file = folder / "worker.toml"
    file.write_text(FILE)
    checker = Checker()
    with Origin({"/check": checker}) as checks, Origin() as pictures, (folder / "log").open("wb") as log:
        pictures.on("/blue", answer(BLUE, media_type="image/png"))
        pictures.on("/red", answer(RED, media_type="image/png"))
        clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
        environment = {
            **clean,
            "REMOTE_PORT": "0",
            "REMOTE_SETTINGS_FILE": str(file),
            "REMOTE_EXTERNAL_CHECK_URL": f"http://127.0.0.1:{checks.port}/check",
            "REMOTE_EXTERNAL_CHECK_ALLOW": f"127.0.0.1/32:{checks.port}",
            "REMOTE_EXTERNAL_CHECK_TOKEN": TOKEN,
            "REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{pictures.port}",
        }
        command = [sys.executable, "-m", "remote_worker", "serve"]
        process = subprocess.Popen(command, env=environment, stderr=log)
        try:
            yield Here(Worker(process, folder / "log"), checker, pictures, checks, file)
        finally:
            process.terminate()
            process.wait(30)


def test_a_preset_makes_its_pictures_sealed_and_checked(here: Here) -> None:
    told = here.ask("/images/preset/card", BLUE)

    small, large = (base64.b64decode(told["outputs"][name]["body"]) for name in ("small", "large"))
    assert (opened(small).format, opened(small).size) == ("WEBP", (40, 40))
    assert (opened(large).format, opened(large).size) == ("PNG", (200, 200))
    assert opened(large).convert("RGB").getpixel((100, 2)) == (0, 255, 0)
    assert opened(large).convert("RGB").getpixel((100, 100)) == (10, 20, 200)
    assert len(told["facts"]["blurhash"]) == 28
    seen = here.checker.asked[-1]
    assert (seen["mime"], seen["size"]) == ("image/png", len(BLUE))
    assert (seen["width"], seen["height"]) == (300, 200)
    assert distance(seen["phash"], told["facts"]["phash"]) == 0
    thumbnail = opened(base64.b64decode(seen["thumbnail"]))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (256, 171))
    assert set(here.checker.tokens) == {f"Bearer {TOKEN}"}


def test_a_mode_asked_for_makes_the_picture_so(here: Here) -> None:
    status, body = here.curl("/images/fit/50x60?mode=cover&format=png", "Accept: image/*", upload=BLUE)

    assert (status, opened(body).size) == (200, (50, 60))


@pytest.mark.parametrize("path", ["fit/8", "fit/8?mode=pad", "preset/card", "preset/thumb", "rescale_avatar"])
def test_a_picture_that_the_checker_refuses_does_not_leave(here: Here, path: str) -> None:
    status, body = here.curl(f"/images/{path}", upload=RED)

    told = json.loads(body)
    assert (status, told["code"], told["detail"]) == (422, "refused_by_check", "too-red")
    assert here.curl(f"/images/{path}", upload=BLUE)[0] == 200


def test_pictures_by_their_urls_are_checked_too(here: Here) -> None:
    def link(name: str) -> str:
        url = quote(f"http://127.0.0.1:{here.pictures.port}/{name}", safe="")
        return f"/links/image?preset=thumb&url={url}"

    status, body = here.curl(link("blue"))
    assert (status, opened(body).format, opened(body).size) == (200, "JPEG", (24, 24))
    status, body = here.curl(link("red"))
    assert (status, json.loads(body)["code"]) == (422, "refused_by_check")


def test_what_is_opened_for_the_check_is_no_way_in_for_callers(here: Here) -> None:
    url = quote(f"http://127.0.0.1:{here.checks.port}/check", safe="")
    for path in (f"/links/image?url={url}", f"/links/preview?url={url}"):
        status, body = here.curl(path)
        assert (status, json.loads(body)["code"]) == (403, "blocked_address")


def test_facts_and_metadata_are_told_without_the_check(here: Here) -> None:
    asked = len(here.checker.asked)

    facts = here.ask("/images/facts", RED)["facts"]
    header = here.ask("/images/info?metadata=1", RED)

    assert facts["colors"][0] == "#fa0a0a"
    assert sorted(facts) == ["blurhash", "colors", "phash", "thumbhash"]
    assert header["metadata"]["gps"] is None
    assert len(here.checker.asked) == asked


def test_two_sizes_of_a_picture_are_near_to_each_other_and_another_is_far(here: Here) -> None:
    noise = numpy.random.default_rng(5)
    blocks = [noise.integers(0, 256, (6, 8), dtype=numpy.uint8) for _ in "ab"]

    def phash(block: numpy.ndarray, side: int) -> str:
        file = io.BytesIO()
        Image.fromarray(block).resize((4 * side, 3 * side), Image.Resampling.BICUBIC).save(file, "PNG")
        return str(here.ask("/images/facts?facts=phash", file.getvalue())["facts"]["phash"])

    one, smaller, other = phash(blocks[0], 200), phash(blocks[0], 60), phash(blocks[1], 200)

    assert here.ask(f"/images/distance?a={one}&b={smaller}")["distance"] <= 4
    assert here.ask(f"/images/distance?a={one}&b={other}")["distance"] >= 16


def test_even_noise_has_a_thumbnail_that_reaches_the_checker(here: Here) -> None:
    noise = numpy.random.default_rng(1).integers(0, 2, (256, 256, 3), dtype=numpy.uint8) * 255
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")

    assert here.curl("/images/fit/8", upload=file.getvalue())[0] == 200


def test_presets_are_read_again_when_the_worker_is_told_to_and_bad_ones_are_not_taken(here: Here) -> None:
    def listed() -> list[str]:
        return list(here.ask("/images/preset")["presets"])

    def renewed(word: str) -> int:
        return here.worker.log().count(f" {word}")

    failures = renewed("renewal_failed")
    here.file.write_text(FILE + "[presets.bad]\nfacts = ['md5']\n")
    here.worker.process.send_signal(signal.SIGHUP)
    until(lambda: renewed("renewal_failed") > failures)
    assert listed() == ["card", "thumb"]

    here.file.write_text(FILE + "[presets.told]\nfacts = ['colors']\n")
    here.worker.process.send_signal(signal.SIGHUP)
    until(lambda: listed() == ["card", "thumb", "told"])
    assert here.ask("/images/preset/told", BLUE)["facts"] == {"colors": ["#0a14c8"]}


def test_the_command_line_writes_all_outputs_of_a_preset(here: Here, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(BLUE)
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    command = ["run", "preset", "card", str(tmp_path / "in.png"), str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "remote_worker", *command],
        env={**clean, "REMOTE_SETTINGS_FILE": str(here.file)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    written = {path.name: opened(path.read_bytes()).size for path in (tmp_path / "out").iterdir()}
    assert written == {"small.webp": (40, 40), "large.png": (200, 200)}
    assert sorted(json.loads(done.stdout)) == ["blurhash", "phash"]
