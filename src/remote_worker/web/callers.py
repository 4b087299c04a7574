"""Who calls, as one word: by it go the shares of queue, connections and memory."""

import functools
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import Scope

from ..contract.callers import Caller
from ..contract.limits import NO_CEILINGS
from .auth import ceilings_of
from .settings import Network

_MAPPED = IPv6Network("::ffff:0:0/96")
_NODE = re.compile(r"\[([0-9a-fA-F:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
"""An address as a URL has it, with a port if it has one (RFC 7239, 6)."""
NOBODY = "unknown"
"""The word where the server in front of the application does not say who calls."""


def network(text: str) -> Network:
    """One address or a network such as `10.0.0.0/8`. Raises ValueError."""
    found = ip_network(text)
    if isinstance(found, IPv6Network) and found.subnet_of(_MAPPED):
        raise ValueError("an IPv4 address is written as one")
    return found


class Callers:
    """Tells callers apart: by their address, or behind a trusted proxy by the one that it names."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._is_proxy = functools.lru_cache(1024)(self._is_within_trusted)

    def of(self, scope: Scope) -> str:
        """The caller of this request: its key where it has one, with what that may cost."""
        state = scope.get("state", {})
        ceilings = ceilings_of(state)
        identity = state.get("identity")
        if identity is not None:
            return Caller(f"key:{identity.name}", trust=identity.trust, ceilings=ceilings)
        peer = _peer(scope)
        found = self.at(peer) or word(self._named(scope["headers"]) or peer)
        return found if ceilings is NO_CEILINGS else Caller(found, ceilings=ceilings)

    def address(self, scope: Scope) -> IPv4Address | IPv6Address | None:
        """The caller's whole address, None where the server does not say."""
        peer = _peer(scope)
        if word(peer) == NOBODY:
            return None
        named = self._named(scope["headers"]) if self.at(peer) is None else None
        return ip_address(named or peer)

    def at(self, peer: str) -> str | None:
        """The caller at this address, or None where a proxy speaks for several."""
        caller = word(peer)
        is_proxy = bool(self._trusted) and caller != NOBODY and self._is_proxy(_address(peer))
        return None if is_proxy else caller

    def _named(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        """The last address in X-Forwarded-For that is no proxy of ours: what precedes it is hearsay.

        None where there is none.
        """
        lists = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        for text in reversed(",".join(lists).split(",")):
            named = _without_port(text.strip())
            try:
                address = _address(named)
            except ValueError:
                return None
            if not self._is_proxy(address):
                return named
        return None

    def _is_within_trusted(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in trusted for trusted in self._trusted)


def _without_port(text: str) -> str:
    """Some proxies (Azure's, IIS) name the port too: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    found = _NODE.fullmatch(text)
    return (found[1] or found[2]) if found else text


def _peer(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


@functools.lru_cache(4096)
def word(text: str) -> str:
    """An IPv4 address itself; of IPv6 the /64, as one subscriber has all of it."""
    try:
        address = _address(text)
    except ValueError:
        return NOBODY
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((int(address), 64), strict=False))


@functools.lru_cache(4096)
def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped or address
