"""`remote-worker keys`, and a start with keys."""

import re
import ssl
import tomllib
from hashlib import sha256
from pathlib import Path

import pytest
import trustme
from test_cli import cli
from web.keyrings import BEARER, one_key, write

from remote_worker.settings import BadSettings, read
from remote_worker.web.keys import parse


@pytest.mark.parametrize("name", ["app", "app.2"])
def test_a_new_key_is_one_of_the_lines_that_are_printed(name: str) -> None:
    done = cli("keys", "new", name)

    found = re.fullmatch(r"key: (rw_[A-Za-z0-9_-]{43})\n", done.stderr)
    assert found is not None
    assert tomllib.loads(done.stdout) == {"keys": {name: {"sha256": [sha256(found[1].encode()).hexdigest()]}}}


def test_a_new_secret_is_one_of_the_lines_that_are_printed() -> None:
    done = cli("keys", "new", "app", "--hmac")

    found = re.fullmatch(r"key id: (app-[0-9]{8}-[0-9a-f]{6})\nsecret: ([0-9a-f]{64})\n", done.stderr)
    assert found is not None
    assert tomllib.loads(done.stdout) == {"keys": {"app": {"hmac": {found[1]: found[2]}}}}
    assert parse(done.stdout, {}).named.keys() == {"app"}


def test_keys_are_listed_without_secrets(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key('may = ["text"]', "pixels = 5", 'trust = "t"', "at_once = 2"))

    done = cli("keys", "list", REMOTE_KEYS_FILE=path)

    assert done.stdout == "app: may text; trust t; at_once 2; pixels 5\n"
    assert cli("keys", "list").returncode == 78


def test_a_fingerprint_is_that_of_the_certificate(tmp_path: Path) -> None:
    certificate = trustme.CA().issue_cert("app.example").cert_chain_pems[0]
    certificate.write_to_path(str(tmp_path / "app.pem"))
    der = ssl.PEM_cert_to_DER_cert(certificate.bytes().decode())

    assert cli("keys", "fingerprint", tmp_path / "app.pem").stdout == sha256(der).hexdigest() + "\n"
    (tmp_path / "none").write_text("nothing")
    assert cli("keys", "fingerprint", tmp_path / "none").returncode == 78


def test_a_key_file_that_will_not_do_stops_the_start_and_says_why(tmp_path: Path) -> None:
    path = write(tmp_path / "keys", one_key("pixels = 1000000000", "burst = 1"))
    told = cli("serve", REMOTE_KEYS_FILE=path)
    Path(path).chmod(0o644)
    readable = cli("serve", REMOTE_KEYS_FILE=path)

    assert (told.returncode, readable.returncode) == (78, 78)
    assert f"REMOTE_KEYS_FILE={path}: keys.app.pixels is above the worker's own, 6.4e+07" in told.stderr
    assert f"REMOTE_KEYS_FILE={path}: keys.app.burst goes with requests_per_minute" in told.stderr
    assert (
        f"REMOTE_KEYS_FILE={path}: others than its owner can read or write it: chmod 600" in readable.stderr
    )
    assert BEARER not in told.stderr


def test_keys_or_certificates_let_it_listen_beyond_loopback() -> None:
    tls = {"REMOTE_TLS_CERT": "c", "REMOTE_TLS_KEY": "k"}
    for more in ({"REMOTE_KEYS_FILE": "k"}, {**tls, "REMOTE_TLS_CLIENT_CA": "a"}, {"REMOTE_OPEN": "1"}):
        assert read({"REMOTE_HOST": "0.0.0.0", **more}).web.host == "0.0.0.0"
    for too_little in ({}, tls):
        with pytest.raises(BadSettings, match="beyond loopback without authentication"):
            read({"REMOTE_HOST": "0.0.0.0", **too_little})


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"REMOTE_TLS_CERT": "c"}, "REMOTE_TLS_CERT and REMOTE_TLS_KEY go together"),
        ({"REMOTE_TLS_KEY": "k"}, "REMOTE_TLS_CERT and REMOTE_TLS_KEY go together"),
        ({"REMOTE_TLS_CLIENT_CA": "a"}, "REMOTE_TLS_CLIENT_CA needs REMOTE_TLS_CERT and REMOTE_TLS_KEY"),
        ({"REMOTE_TLS_CLIENT_REQUIRED": "1"}, "REMOTE_TLS_CLIENT_REQUIRED needs REMOTE_TLS_CLIENT_CA"),
    ],
)
def test_settings_of_tls_go_together(variables: dict[str, str], told: str) -> None:
    with pytest.raises(BadSettings) as caught:
        read(variables)

    assert caught.value.problems == [told]
