"""The worker speaks TLS itself, and knows clients by their certificates."""

import socket
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import trustme
from web.keyrings import BEARER, one_key, write
from web.serving import Reader, Service, form, post, serving, until

from remote_worker.web.settings import WebSettings
from remote_worker.web.tls import BadCertificate, context

LARGE = 3_000_000


@dataclass
class Certified:
    """A worker with TLS, and what clients need."""

    service: Service
    folder: Path
    authority: trustme.CA
    trusted: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://localhost:{self.service.address[1]}"

    def context(self, certificate: trustme.LeafCert | None = None) -> ssl.SSLContext:
        made = ssl.create_default_context()
        self.authority.configure_trust(made)
        if certificate is not None:
            certificate.configure_cert(made)
        return made

    def client(self, certificate: trustme.LeafCert | None = None) -> httpx.Client:
        return httpx.Client(verify=self.context(certificate), base_url=self.url, timeout=10, trust_env=False)

    def socket(self, certificate: trustme.LeafCert | None = None) -> ssl.SSLSocket:
        plain = socket.create_connection(self.service.address, timeout=10)
        return self.context(certificate).wrap_socket(plain, server_hostname="localhost")


def fingerprint(certificate: trustme.LeafCert) -> str:
    pem = certificate.cert_chain_pems[0].bytes().decode()
    return sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def files(folder: Path, authority: trustme.CA, *names: str) -> dict[str, str]:
    """The settings with a fresh certificate for these names."""
    issued = authority.issue_cert(*names)
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return {"tls_cert": str(folder / "cert.pem"), "tls_key": str(folder / "key.pem")}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def known(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("app.example")


@pytest.fixture(scope="module")
def certified(
    tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA, known: trustme.LeafCert
) -> Iterator[Certified]:
    folder = tmp_path_factory.mktemp("tls")
    certificates = f'certificates = ["{fingerprint(known)}"]'
    keys = write(folder / "keys.toml", one_key(certificates, 'may = ["images"]'))
    settings = files(folder, authority, "localhost", "127.0.0.1")
    with serving(
        **settings,
        tls_client_ca=str(folder / "ca.pem"),
        keys_file=keys,
        head_seconds=1.0,
        write_idle_seconds=0.5,
        keep_alive_seconds=60.0,
    ) as service:
        yield Certified(service, folder, authority, ssl.create_default_context())


def test_a_certificate_of_the_key_file_is_its_key(certified: Certified, known: trustme.LeafCert) -> None:
    with certified.client(known) as client:
        answer = client.post("/images/info", files={"file": b"picture"})
        forbidden = client.get("/links/preview?url=x")

    assert answer.status_code == 200
    assert certified.service.decoder.callers[-1] == "key:app"
    assert (forbidden.status_code, forbidden.json()["code"]) == (403, "forbidden")


def test_another_certificate_of_the_same_authority_is_no_key(certified: Certified) -> None:
    with certified.client(certified.authority.issue_cert("other.example")) as client:
        answer = client.get("/images/info")
        alive = client.get("/livez")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert alive.status_code == 200


def test_a_certificate_of_another_authority_ends_the_handshake(certified: Certified) -> None:
    with (
        certified.client(trustme.CA().issue_cert("app.example")) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get("/livez")


def test_without_a_certificate_a_key_opens(certified: Certified) -> None:
    with certified.client() as client:
        assert client.get("/images/info").status_code == 401
        assert client.get("/images/info", headers={"Authorization": f"Bearer {BEARER}"}).status_code == 200


def test_a_page_of_another_site_cannot_use_the_certificate_of_its_visitor(
    certified: Certified, known: trustme.LeafCert
) -> None:
    with certified.client(known) as client:
        foreign = client.get("/images/info", headers={"Origin": "https://evil.example"})
        marked = client.get("/images/info", headers={"Sec-Fetch-Site": "cross-site"})
        own = client.get("/images/info", headers={"Origin": certified.url})

    assert [answer.status_code for answer in (foreign, marked, own)] == [403, 403, 200]


def test_large_uploads_and_answers_pass(certified: Certified, known: trustme.LeafCert) -> None:
    picture = bytes(range(256)) * (LARGE // 256)
    with certified.client(known) as client:
        for _ in range(3):  # on one connection
            answer = client.post("/images/fit/10", files={"file": picture}, headers={"Accept": "image/*"})

            assert answer.content == picture


@pytest.mark.needs_curl
def test_curl_calls_with_a_certificate(certified: Certified, known: trustme.LeafCert) -> None:
    folder = certified.folder
    (folder / "picture").write_bytes(b"picture")
    known.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    command = ["curl", "-sS", "--cacert", str(folder / "ca.pem"), "--noproxy", "*"]
    command += ["-w", "%{http_code}", "-o", str(folder / "answer"), "-F", f"file=@{folder / 'picture'}"]

    with_it = subprocess.run(
        [*command, "--cert", str(folder / "client.pem"), f"{certified.url}/images/info"],
        capture_output=True,
        check=True,
    )
    without = subprocess.run([*command, f"{certified.url}/images/info"], capture_output=True, check=True)

    assert [with_it.stdout, without.stdout] == [b"200", b"401"]


def test_a_request_that_comes_along_with_the_handshake_is_read(certified: Certified) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = certified.context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(certified.service.address, timeout=10) as plain:
        while True:
            try:
                secured.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        secured.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        plain.sendall(outgoing.read())  # The last message of the handshake and the request, in one piece.
        answer = b""
        while chunk := plain.recv(65536):
            incoming.write(chunk)
            while incoming.pending:
                try:
                    part = secured.read(65536)
                except ssl.SSLWantReadError:
                    break
                if not part:
                    break
                answer += part

    assert answer.startswith(b"HTTP/1.1 200 ")


def test_an_early_refusal_is_read_before_the_end(certified: Certified) -> None:
    with certified.socket() as connection:
        connection.sendall(post("/images/info", form(b"x" * 100), length=20_000_000))
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.endswith(b"}")


def test_who_says_nothing_does_not_stay(certified: Certified) -> None:
    with socket.create_connection(certified.service.address, timeout=10) as silent:
        assert silent.recv(1) == b""
    with certified.socket() as shaken:
        assert shaken.recv(1) == b""
    until(lambda: certified.service.connections == 0)


def test_who_does_not_take_an_answer_does_not_stay(certified: Certified) -> None:
    key = f"Authorization: Bearer {BEARER}"
    with certified.socket() as connection:
        connection.sendall(post("/images/fit/10", form(b"large:20000000"), key, "Accept: image/*"))
        until(lambda: certified.service.connections == 1)

        until(lambda: certified.service.connections == 0)


def test_plain_http_is_not_answered(certified: Certified) -> None:
    with socket.create_connection(certified.service.address, timeout=10) as plain:
        plain.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        try:
            while chunk := plain.recv(65536):
                answer += chunk
        except ConnectionResetError:
            pass

    assert b"HTTP/1.1" not in answer


def test_old_versions_of_tls_are_refused(certified: Certified) -> None:
    old = certified.context()
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(certified.service.address, timeout=10)
    with plain, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(plain, server_hostname="localhost")


def test_without_a_key_file_a_required_certificate_is_enough(tmp_path: Path, authority: trustme.CA) -> None:
    settings = files(tmp_path, authority, "localhost")
    ca = {"tls_client_ca": str(tmp_path / "ca.pem"), "tls_client_required": True}
    some = authority.issue_cert("some.example")
    with serving(**settings, **ca) as service:
        certified = Certified(service, tmp_path, authority, ssl.create_default_context())
        with certified.client(some) as client:
            answer = client.post("/images/info", files={"file": b"picture"})
        with certified.client() as client, pytest.raises(httpx.TransportError):
            client.get("/livez")

    assert answer.status_code == 200
    assert service.decoder.callers == [f"key:{fingerprint(some)[:16]}"]


def test_certificates_are_read_again_and_a_broken_one_keeps_the_former(
    tmp_path: Path, authority: trustme.CA
) -> None:
    with serving(**files(tmp_path, authority, "localhost")) as service:
        certified = Certified(service, tmp_path, authority, ssl.create_default_context())

        def shown() -> bytes | None:
            with certified.socket() as connection:
                return connection.getpeercert(binary_form=True)

        first = shown()
        files(tmp_path, authority, "localhost")
        service.in_loop(service.server.renew)
        second = shown()
        (tmp_path / "cert.pem").write_text("broken")
        service.in_loop(service.server.renew)

        assert first != second
        assert shown() == second


def test_who_shook_hands_before_the_authorities_were_read_again_does_so_anew(
    tmp_path: Path, authority: trustme.CA
) -> None:
    settings = files(tmp_path, authority, "localhost")
    ca = {"tls_client_ca": str(tmp_path / "ca.pem"), "tls_client_required": True}
    request = b"GET /capabilities HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(**settings, **ca) as service:
        certified = Certified(service, tmp_path, authority, ssl.create_default_context())
        some = authority.issue_cert("some.example")
        with certified.socket(some) as idle, certified.socket(some) as fresh:
            idle.sendall(request)
            assert Reader(idle).answer().status == 200
            until(lambda: service.connections == 2)
            trustme.CA().cert_pem.write_to_path(ca["tls_client_ca"])
            service.in_loop(service.server.renew)

            assert idle.recv(1) == b""
            fresh.sendall(request)
            last = Reader(fresh)
            assert last.answer().headers["connection"] == "close"
            assert last.rest() == b""
        with certified.client(some) as client, pytest.raises(httpx.TransportError):
            client.get("/capabilities")


def test_one_address_cannot_take_every_handshake(tmp_path: Path, authority: trustme.CA) -> None:
    with serving(**files(tmp_path, authority, "localhost"), connections=9, head_seconds=60.0) as service:
        certified = Certified(service, tmp_path, authority, ssl.create_default_context())
        with ExitStack() as flood:
            silent = [flood.enter_context(service.connect("127.0.0.2")) for _ in range(12)]
            # Twice as many as places are left: 6 of 9.
            assert [one.recv(1) for one in silent[6:]] == [b""] * 6

            with certified.socket() as connection:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert Reader(connection).answer().status == 200
        until(lambda: service.connections == 0)
        with certified.client() as client:
            assert client.get("/livez").status_code == 200


def test_a_server_stops_while_somebody_shakes_hands(tmp_path: Path, authority: trustme.CA) -> None:
    with serving(**files(tmp_path, authority, "localhost"), head_seconds=600.0) as service:
        service.server.last_call_seconds = 0.0
        with socket.create_connection(service.address, timeout=10) as silent:
            silent.sendall(b"\x16")
            service.stop()

            assert service.ended()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tls_key": "none"}, "REMOTE_TLS_CERT or REMOTE_TLS_KEY cannot be used: No such file"),
        ({"tls_cert": "ca.pem"}, "REMOTE_TLS_CERT or REMOTE_TLS_KEY cannot be used: KEY_VALUES_MISMATCH"),
        ({"tls_client_ca": "key.pem"}, "REMOTE_TLS_CLIENT_CA cannot be used: NO_CERTIFICATE_OR_CRL_FOUND"),
        ({"tls_client_ca": "none"}, "REMOTE_TLS_CLIENT_CA cannot be used: No such file"),
    ],
)
def test_files_that_will_not_do_are_named(
    tmp_path: Path, authority: trustme.CA, change: dict[str, str], told: str
) -> None:
    settings = files(tmp_path, authority, "localhost")
    settings |= {name: str(tmp_path / file) for name, file in change.items()}

    with pytest.raises(BadCertificate, match=told):
        context(WebSettings(**settings))
