"""Both clients and a worker that asks for keys and has presets: each call for real."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from web.keyrings import SECRET, hashed, write

from benchmarks import servers
from remote_worker.client import Busy, Refused, Retries, Signer

from .scripted import Call, no_sleep

SETTINGS = """
children = 1
ready = 1
text_children = 1
[presets.card]
facts = ["blurhash", "phash"]
outputs = [
  {name = "small", width = 40, height = 40, mode = "cover", format = "webp"},
  {name = "large", width = 200, height = 100, mode = "pad", background = "00ff00", format = "png"},
]
"""
KEYS = f"""
[keys.all]
sha256 = ["{hashed("rw_all")}"]
hmac = {{"all-1" = "{SECRET}"}}
[keys.shown]
sha256 = ["{hashed("rw_shown")}"]
may = ["presets"]
[keys.rare]
sha256 = ["{hashed("rw_rare")}"]
requests_per_minute = 1
burst = 1
[keys.rarer]
sha256 = ["{hashed("rw_rarer")}"]
requests_per_minute = 1
burst = 1
"""
SIGNER = Signer(key_id="all-1", secret=SECRET)
SHOWN: list[dict[str, Any]] = [{"key": "rw_all"}, {"signer": SIGNER}]
by_key_and_by_signature = pytest.mark.parametrize("shown", SHOWN, ids=["key", "signature"])


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the worker is."""
    folder = tmp_path_factory.mktemp("worker")
    (folder / "settings.toml").write_text(SETTINGS)
    named = {
        "REMOTE_SETTINGS_FILE": str(folder / "settings.toml"),
        "REMOTE_KEYS_FILE": write(folder / "keys.toml", KEYS),
    }
    with servers.worker(servers.free_port(), os.sched_getaffinity(0), **named) as server:
        yield server.address


@by_key_and_by_signature
def test_a_preset_is_made_of_a_photo(call: Call, url: str, photo: Path, shown: dict[str, Any]) -> None:
    made = call(url, "preset", "card", photo, **shown)

    sides = {name: Image.open(io.BytesIO(output.body)) for name, output in made.outputs.items()}
    assert {name: (picture.format, picture.size) for name, picture in sides.items()} == {
        "small": ("WEBP", (40, 40)),
        "large": ("PNG", (200, 100)),
    }
    assert (bool(made.facts.blurhash), made.facts.thumbhash) == (True, b"")


@by_key_and_by_signature
def test_hashes_of_a_photo_and_of_its_copy_are_near(
    call: Call, url: str, photo: Path, shown: dict[str, Any]
) -> None:
    buffer = io.BytesIO()
    Image.open(photo).convert("RGB").save(buffer, "png")
    one = call(url, "facts", photo, **shown).phash
    other = call(url, "facts", buffer.getvalue(), only=["phash"], **shown).phash

    assert call(url, "distance", one, other, **shown) <= 6
    assert call(url, "distance", "0" * 16, "f" * 16, **shown) == 64


def test_stats_count_what_was_asked(call: Call, url: str) -> None:
    before = call(url, "stats", key="rw_all")
    call(url, "hello", key="rw_all")
    after = call(url, "stats", key="rw_all")

    assert after.members["totals"]["requests"] > before.members["totals"]["requests"]


@pytest.mark.parametrize(
    "shown",
    [{}, {"key": "rw_al"}, {"key": "all"}, {"signer": Signer(key_id="all-1", secret=SECRET[:-1] + "0")}],
    ids=["none", "another", "the name", "a wrong signature"],
)
def test_without_the_right_key_it_is_401(call: Call, url: str, photo: Path, shown: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        call(url, "info", photo, sleep=no_sleep, **shown)

    assert (caught.value.status, caught.value.code) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("method", "arguments", "code"), [("fit", (8,), "only_presets"), ("info", (), "forbidden")]
)
def test_what_a_key_is_not_for_is_403(
    call: Call, url: str, photo: Path, method: str, arguments: tuple[int, ...], code: str
) -> None:
    with pytest.raises(Refused) as caught:
        call(url, method, *arguments, photo, key="rw_shown", sleep=no_sleep)

    assert (caught.value.status, caught.value.code) == (403, code)
    assert set(call(url, "preset", "card", photo, key="rw_shown").outputs) == {"small", "large"}


def test_past_its_quota_a_key_is_told_how_long_to_wait(call: Call, url: str) -> None:
    key = "rw_rare" if "blocking" in call.__name__ else "rw_rarer"
    waits: list[float] = []
    call(url, "distance", "0" * 16, "0" * 16, key=key)

    with pytest.raises(Busy) as caught:
        call(
            url,
            "distance",
            "0" * 16,
            "0" * 16,
            key=key,
            retries=Retries(most=2),
            seconds=300.0,
            sleep=waits.append,
        )

    assert (caught.value.status, caught.value.code) == (429, "quota_exceeded")
    assert len(waits) == 1
    assert caught.value.retry_after is not None
    assert 30 < caught.value.retry_after <= waits[0]
