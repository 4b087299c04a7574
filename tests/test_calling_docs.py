"""What docs/calling.md shows works as it stands there."""

import base64
import hmac
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from service.doors import Door
from web.keyrings import SECRET, one_key, write
from web.serving import serving
from web.small_links import small_links

from remote_worker.web.keys import parse
from remote_worker.web.signed import read

PAGE = (Path(__file__).parents[1] / "docs" / "calling.md").read_text()


def blocks(kind: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [text for its_kind, text in found if its_kind == kind]


def test_the_program_that_signs_is_let_in(tmp_path: Path) -> None:
    (program,) = blocks("python")
    path = write(tmp_path / "keys", one_key(f'hmac = {{"app-2026" = "{SECRET}"}}'))
    with serving(keys_file=path, links=small_links(Door())) as service:
        done = subprocess.run(
            [sys.executable, "-c", program, service.url, "app-2026", SECRET],
            capture_output=True,
            check=True,
            env={},
        )

    assert json.loads(done.stdout)["output"] == "<p><em>Hello</em></p>\n"


@pytest.mark.needs_curl
def test_the_key_that_is_made_opens(tmp_path: Path) -> None:
    make, call = (
        next(text for text in blocks("sh") if word in text) for word in ("keys new", "Authorization: Bearer")
    )
    (tmp_path / "photo.jpg").write_bytes(b"a picture")

    def told(block: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = ["bash", "-euc", block]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": path}, capture_output=True, text=True, check=True
        )

    key = told(make).stderr.removeprefix("key: ").strip()
    with serving(keys_file=str(tmp_path / "keys.toml")) as service:
        here = call.replace("http://worker:5000", service.url)
        with_key, with_another = told(here.replace("rw_hKQ2…", key)), told(here.replace("rw_hKQ2…", key[:-1]))

    assert json.loads(with_key.stdout)["success"] is True
    assert json.loads(with_another.stdout)["code"] == "unauthenticated"


def test_the_worked_example_is_right() -> None:
    (text,) = (block for block in blocks("text") if block.startswith('"@method": POST'))
    (header,) = (block for block in blocks("http") if block.startswith("Signature: "))
    (secret,) = re.findall(r"With the secret `(.*?)`", PAGE)
    base = text.removesuffix("\n").encode()

    assert (
        header
        == f"Signature: sig=:{base64.b64encode(hmac.digest(secret.encode(), base, 'sha256')).decode()}:\n"
    )
    parameters = base.rpartition(b'"@signature-params": ')[2]
    head = read(b"sig=" + parameters, header.removeprefix("Signature: ").strip().encode())
    digest = re.findall(r"Content-Digest: (.*)", PAGE)[0]
    assert head.base("POST", "/images/fit/800", "format=webp", digest) == base


def test_the_file_that_is_shown_is_one() -> None:
    (file,) = blocks("toml")
    whole = file.replace("9f86d08…", "9f" * 32).replace("60303ae…", "60" * 32)
    whole = whole.replace("ab12…", "ab" * 32).replace("4f1c…", SECRET)

    key = parse(whole, {}).named["app"]

    assert (key.allowance.burst, key.identity.ceilings.work_seconds) == (50, 10.0)
    assert key.identity.may == {"images", "links"}
