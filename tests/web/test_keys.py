"""The key file: what it may say, who may read it, and how a mistake in it is told."""

import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from web.keyrings import BEARER, OTHER_BEARER, SECRET, hashed, one_key, write

from remote_worker.contract.limits import Ceilings
from remote_worker.web.auth import Gate
from remote_worker.web.keys import AREAS, BadKeys, Keys, parse, read_keys
from remote_worker.web.settings import WebSettings

MOST = {"pixels": 1000, "input_bytes": 1000, "work_seconds": 15.0}


def problems(text: str) -> list[str]:
    with pytest.raises(BadKeys) as caught:
        parse(text, MOST)
    return caught.value.problems


def key_of(keys: Keys, bearer: str = BEARER) -> object:
    found = keys.by_bearer(bearer.encode())
    return found and found.identity.name


def test_a_key_is_by_default_for_everything_and_trusts_itself() -> None:
    keys = parse(one_key(), MOST)

    identity = keys.named["app"].identity
    assert (identity.name, identity.trust, identity.may) == ("app", "app", set(AREAS))
    assert identity.ceilings == Ceilings()


def test_everything_that_a_key_may_say() -> None:
    lines = [
        f'hmac = {{"a-1" = "{SECRET}", "a-2" = "{SECRET[:32]}"}}',
        'certificates = ["' + ":".join(["AB"] * 32) + '"]',
        "requests_per_minute = 60\nburst = 5\nbytes_per_minute = 1000\nat_once = 2",
        "pixels = 1000\ninput_bytes = 999\nframes = 3\nanimation_pixels = 4\noutput_bytes = 5",
        'decode_seconds = 1.5\nwork_seconds = 15\nmay = ["images"]\ntrust = "tenant.7"',
    ]

    keys = parse(one_key(*lines), MOST)

    key = keys.named["app"]
    assert key.identity.ceilings.given() == {
        "pixels": 1000,
        "input_bytes": 999,
        "frames": 3,
        "animation_pixels": 4,
        "output_bytes": 5,
        "decode_seconds": 1.5,
        "work_seconds": 15.0,
    }
    assert (key.identity.trust, key.identity.may) == ("tenant.7", {"images"})
    assert (key.allowance.requests_per_minute, key.allowance.burst) == (60, 5)
    assert (key.allowance.bytes_per_minute, key.allowance.at_once) == (1000, 2)
    assert keys.by_certificate("ab" * 32) is key
    assert keys.by_certificate("ab" * 31 + "ac") is None


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("pixels = 1001", "keys.app.pixels is above the worker's own, 1000"),
        ("work_seconds = 15.1", "keys.app.work_seconds is above the worker's own, 15"),
        ("pixels = 0", "keys.app.pixels must be a whole number above 0"),
        ("pixels = true", "keys.app.pixels must be a whole number above 0"),
        ("frames = 2.0", "keys.app.frames must be a whole number above 0"),
        ("work_seconds = nan", "keys.app.work_seconds must be a number of seconds above 0"),
        ("burst = 5", "keys.app.burst goes with requests_per_minute"),
        (
            "requests_per_minut = 5",
            "keys.app.requests_per_minut is not known: did you mean requests_per_minute?",
        ),
        ('may = ["pictures"]', "keys.app.may is a list out of images, links, text, network, presets, stats"),
        ('may = "images"', "keys.app.may must be a list of texts"),
        ('trust = ""', "keys.app.trust must be a word like a key's name"),
        ('hmac = {"a" = "short"}', "keys.app.hmac.a needs 32 characters or more"),
        (f'hmac = {{"a" = "{SECRET[:31]}"}}', "keys.app.hmac.a needs 32 characters or more"),
        (
            f'hmac = {{"a b" = "{SECRET}"}}',
            "keys.app.hmac has an id that is not of letters, digits, . - and _",
        ),
        ('hmac = "x"', "keys.app.hmac must be a table of secrets by key id"),
        ('certificates = ["ab"]', "keys.app.certificates has SHA-256 fingerprints of 64 hex digits"),
        (one_key(name="b"), "keys.b.sha256: one is there twice"),
        ("[other]", "other is not known here: keys are tables such as [keys.app]"),
        ("[keys.b]", "keys.b needs one of sha256, hmac, certificates"),
        ('[keys."a b"]', "a key's name is 1 to 64 letters, digits, dots, dashes and underscores"),
    ],
)
def test_a_mistake_is_named(line: str, told: str) -> None:
    assert told in problems(one_key(line))


@pytest.mark.parametrize("text", ["", "keys = 5", "[keys]"])
def test_a_file_without_keys_is_a_mistake(text: str) -> None:
    assert problems(text) == ["there is no key: each is a table such as [keys.app]"]


@pytest.mark.parametrize(
    "text",
    [
        f"[keys.app]\nhmac = {{a = {SECRET}",
        f'[keys.app]\nhmac = "{SECRET}',
        f"{SECRET}",
        f"[keys.app]\n{SECRET} = 1",
    ],
)
def test_no_problem_tells_what_a_secret_is(text: str) -> None:
    assert SECRET[:8] not in "".join(problems(text)).replace("keys.app." + SECRET, "")


@pytest.mark.parametrize("value", ["[" * 10_000, "1" * 5000])
def test_what_no_reader_of_toml_takes_is_a_mistake_like_others(value: str) -> None:
    assert problems(f"a = {value}") == ["it is not TOML: look at its quotes and brackets"]


def test_a_key_is_found_by_its_hash_alone() -> None:
    keys = parse(one_key() + one_key(name="b", bearer=OTHER_BEARER), MOST)

    assert [key_of(keys), key_of(keys, OTHER_BEARER)] == ["app", "b"]
    assert [key_of(keys, hashed(BEARER)), key_of(keys, ""), key_of(keys, BEARER.upper())] == [None] * 3


@pytest.mark.parametrize(
    ("mode", "is_taken"), [(0o600, True), (0o400, True), (0o640, False), (0o604, False), (0o602, False)]
)
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, mode: int, is_taken: bool) -> None:
    path = Path(write(tmp_path / "keys", one_key()))
    path.chmod(mode)

    if is_taken:
        assert key_of(read_keys(str(path), MOST)) == "app"
    else:
        with pytest.raises(BadKeys, match="others than its owner can read or write it"):
            read_keys(str(path), MOST)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("mode", "is_taken"), [(0o440, True), (0o640, True), (0o660, False), (0o644, False)])
def test_a_group_may_read_what_it_is_lent_and_not_write_it(tmp_path: Path, mode: int, is_taken: bool) -> None:
    path = Path(write(tmp_path / "keys", one_key()))
    os.chown(path, 10001, 0)
    path.chmod(mode)

    with nullcontext() if is_taken else pytest.raises(BadKeys, match="others than its owner"):
        assert key_of(read_keys(str(path), MOST)) == "app"


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        tmp_path.chmod(0o700)
        with pytest.raises(BadKeys, match="cannot be"):
            read_keys(str(path), MOST)
    path = tmp_path / "bytes"
    write(path, "")
    path.write_bytes(b"\xff")
    with pytest.raises(BadKeys, match="not UTF-8"):
        read_keys(str(path), MOST)


def test_a_file_has_so_many_bytes_and_not_one_more(tmp_path: Path) -> None:
    text = one_key()
    padded = text + "#" * (4 * 1024 * 1024 - len(text))

    assert key_of(read_keys(write(tmp_path / "keys", padded), MOST)) == "app"
    with pytest.raises(BadKeys, match=re.escape("more than 4194304 bytes")):
        read_keys(write(tmp_path / "keys", padded + "#"), MOST)


def test_a_ceiling_above_the_workers_ends_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key("work_seconds = 16"))

    with pytest.raises(BadKeys, match="work_seconds is above"):
        Gate(WebSettings(keys_file=path))
    assert Gate(WebSettings(keys_file=path, work_seconds=16)).keys is not None
