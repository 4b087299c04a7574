"""Where NATS servers are, and how to get in: an address as people write it, taken apart. Pure."""

from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

PLAIN, PROTECTED = "nats", "tls"
PORT = 4222


class BadAddress(ValueError):
    """It is no address of NATS servers. The text never holds the address, for a password may be in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`nats://user:password@host:port,host:port?tls_ca=FILE&replicas=3`, or the same with `tls://`."""

    servers: tuple[str, ...]
    """Of one cluster, each `scheme://host:port`, without the password."""
    is_protected: bool = False
    """Nothing is said to a server that does not talk TLS."""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    tls_ca: str = ""
    """A file of certificates that are trusted instead of the machine's."""
    replicas: int = 0
    """Of each stream; 0 leaves it to whoever looks after the servers."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address, or BadAddress."""
        scheme, colons, rest = text.strip().partition("://")
        if scheme not in (PLAIN, PROTECTED) or not colons:
            raise BadAddress("it begins with nats:// or tls://")
        place, _, query = rest.partition("?")
        login, _, hosts = place.removesuffix("/").rpartition("@")
        if set(login) & set("@,/"):
            raise BadAddress(
                "user and password come once, ahead of the first server, with @ , / as %40 %2C %2F"
            )
        user, has_password, password = login.partition(":")
        try:
            options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        except ValueError:
            raise BadAddress("what follows the question mark is name=value") from None
        if unknown := options.keys() - {"tls_ca", "replicas"}:
            raise BadAddress(f"there is no option {min(unknown)!r}; there are tls_ca and replicas")
        if (replicas := options.get("replicas", "0")) not in ("0", "1", "3", "5"):
            raise BadAddress("replicas is 1, 3 or 5")
        return cls(
            # Each may be written with its scheme once more, as other programs take it.
            servers=tuple(_server(scheme, host.removeprefix(f"{scheme}://")) for host in hosts.split(",")),
            is_protected=scheme == PROTECTED,
            user=unquote(user) if has_password else "",
            password=unquote(password),
            token="" if has_password else unquote(user),
            tls_ca=options.get("tls_ca", ""),
            replicas=int(replicas),
        )


def _server(scheme: str, host: str) -> str:
    try:
        parts = urlsplit(f"{scheme}://{host.strip()}")
        name, port = parts.hostname, parts.port or PORT
    except ValueError:
        name, port = None, 0
    if not name or parts.path or any(not 32 < ord(letter) < 127 for letter in name):
        raise BadAddress("after the scheme come servers, each a host or host:port, with commas between them")
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}"
