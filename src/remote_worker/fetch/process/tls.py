"""TLS as a client: whom it trusts, what it offers, and the word for why a handshake failed."""

import contextlib
import encodings.idna  # noqa: F401 - `ssl` loads it in a handshake, when there may be no files any more
import ssl
from pathlib import Path

from ...contract.failures import FailureCode, WorkFailed

BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep the authorities that they trust, in the order of asking."""

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!aDSS:!AESCCM"
"""Up to TLS 1.2. A server of DHE chooses the numbers, and may choose such that take a second of CPU."""

# X509_V_ERR_... of openssl/x509_vfy.h
_CERTIFICATE_WORDS = {9: "expired", 10: "expired", 18: "self_signed", 62: "name", 64: "name"}
_WORDS = {
    "TLSV1_UNRECOGNIZED_NAME": "name",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "handshake",
}


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """For all connections. It reads its files now, because later there may be none.

    Raises ValueError when `ca_file` holds no certificates.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    named = ssl.get_default_verify_paths().cafile
    for bundle in (named, *BUNDLES):
        # OpenSSL would otherwise look into its folder of certificates in the middle of a handshake.
        if bundle and Path(bundle).is_file():
            with contextlib.suppress(ssl.SSLError):
                context.load_verify_locations(bundle)
                break
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except OSError as broken:
            raise ValueError(
                f"REMOTE_EGRESS_CA_FILE must be a file of certificates in PEM, not {ca_file!r}: {broken}"
            ) from broken
    return context


def refusal(error: OSError) -> WorkFailed:
    """What a handshake that ended so is called."""
    return WorkFailed(FailureCode.TLS_FAILED, _word(error))


def _word(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_WORDS.get(error.verify_code, "untrusted")
    if isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
        return "closed"
    return _WORDS.get(error.reason, "protocol")
