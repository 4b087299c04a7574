"""Certificates for servers of tests, right and wrong in every way."""

import ssl
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """An authority of its own, whose certificate a client may be told to trust."""

    def __init__(self) -> None:
        self._ca = trustme.CA()

    def write(self, path: Path) -> str:
        """Put its certificate there, in PEM."""
        path.write_bytes(self._ca.cert_pem.bytes())
        return str(path)

    def server(self, *names: str, days: float = 30) -> ssl.SSLContext:
        """For a server of these names or addresses; with negative days it ended so long ago."""
        now = datetime.now(UTC)
        issued = self._ca.issue_cert(
            *names, not_before=now - timedelta(days=60), not_after=now + timedelta(days=days)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issued.configure_cert(context)
        return context


def self_signed(name: str) -> ssl.SSLContext:
    """For a server whose certificate only itself vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_alternative(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def old_only(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same, but it speaks nothing newer than TLS 1.1."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def only_for(context: ssl.SSLContext, name: str) -> ssl.SSLContext:
    """The same, but clients that ask for another name are sent away."""

    def chosen(_socket: ssl.SSLObject, asked: str | None, _context: ssl.SSLContext) -> int | None:
        return None if asked == name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = chosen
    return context
