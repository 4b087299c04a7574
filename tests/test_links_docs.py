"""The examples in docs/links.md do what the page says."""

import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from remote_worker.service.signing import PREFIX, Signed, Signer

PAGE = (Path(__file__).parents[1] / "docs" / "links.md").read_text()
URL = "https://a.example.org/x.png?a=1&b=%20~ü"


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def opened(address: str) -> Signed:
    signer = Signer(["old", "key"], seconds=1, public_url="", clock=time.time)
    signature, _, rest = address.removeprefix(PREFIX).partition("/")
    return signer.opened(signature, rest)


def test_an_address_signed_in_python_opens() -> None:
    names: dict[str, Any] = {}
    exec(example("python"), names)

    told = opened(names["signed"]("key", URL, "fit:800"))

    assert (told.url, told.operation) == (URL, "fit:800")
    assert told.expires >= time.time() + 7 * 86_400 - 60


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_an_address_signed_in_the_shell_opens() -> None:
    script = example("sh") + '\nsigned "$@"\n'
    done = subprocess.run(
        ["sh", "-c", script, "sh", "key", URL, "avatar:73"], capture_output=True, text=True, check=True
    )

    told = opened(done.stdout.strip())

    assert (told.url, told.operation) == (URL, "avatar:73")
    assert told.expires % 86_400 == 0
