"""Names: what may be asked of name servers, and which of their answers are told."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol

import ada_url

from ..contract.addresses import special
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Resolved
from .settings import NetworkSettings

Address = IPv4Address | IPv6Address

KINDS = ("A", "AAAA", "CNAME", "MX", "TXT", "NS", "SOA", "CAA", "SRV", "PTR")
"""The types of records that are asked for."""
LONGEST_NAME = 253
"""Characters, in the form that goes to a name server; RFC 1035, 2.3.4, without the last dot."""

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NEVER_ASKED = ("localhost", "localdomain", "onion", "i2p", "alt", "invalid", "test")
"""RFC 6761, 7686 and 9476: name servers have nothing to say of these, and should not hear of them."""
_INTERNAL = ("local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa")
"""Names that only an own network's servers know."""
_FAMILIES = {"A": IPv4Address, "AAAA": IPv6Address}


class Names(Protocol):
    """Asks name servers."""

    async def resolve(self, name: str, kind: str, *, deadline: float) -> Resolved:
        """The records of a type that an absolute name has. Raises WorkFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What name servers said of `name`, as it was asked for."""

    name: str
    resolved: Resolved


class Network:
    """What strangers may learn of names."""

    def __init__(self, names: Names, settings: NetworkSettings, nat64: Sequence[IPv6Network] = ()) -> None:
        self._names = names
        self._tells_private = settings.dns_private_answers
        self._nat64 = nat64

    async def resolve(self, domain: str, kind: str, deadline: float) -> Answered:
        """The records of a name; of a PTR the name may be an address. Raises WorkFailed.

        Nothing private is told unless the settings say so: the worker would be an oracle of the network in
        which it stands.
        """
        if kind not in KINDS:
            raise WorkFailed(FailureCode.BAD_PARAMETER, f"type is one of {', '.join(KINDS)}")
        name = reverse_name(domain) if kind == "PTR" else ""
        name = name or canonical(domain)
        self._check_name(name)
        resolved = await self._names.resolve(name, kind, deadline=deadline)
        if kind in _FAMILIES:
            self._check_answers(resolved.answers, kind)
        return Answered(name=name, resolved=resolved)

    def _check_name(self, name: str) -> None:
        if _ends_with(name, _NEVER_ASKED):
            raise WorkFailed(FailureCode.BLOCKED_NAME, "special name")
        if self._tells_private:
            return
        if "." not in name:
            raise WorkFailed(FailureCode.BLOCKED_NAME, "single label")
        if _ends_with(name, _INTERNAL):
            raise WorkFailed(FailureCode.BLOCKED_NAME, "internal name")
        self._check_address(reversed_address(name))

    def _check_answers(self, answers: Sequence[str], kind: str) -> None:
        for text in answers:
            try:
                address = ip_address(text)
            except ValueError as broken:
                raise WorkFailed(FailureCode.DNS_FAILED, "not an address") from broken
            if not isinstance(address, _FAMILIES[kind]):
                raise WorkFailed(FailureCode.DNS_FAILED, "not an address of this type")
            if not self._tells_private:
                self._check_address(address)

    def _check_address(self, address: Address | None) -> None:
        rule = "" if address is None else special(address, self._nat64)
        if rule:
            raise WorkFailed(FailureCode.BLOCKED_ADDRESS, rule)


def canonical(domain: str) -> str:
    """The name in the form that goes to a name server, without a last dot. Raises WorkFailed."""
    # The library reads as far as a NUL, and takes no lone surrogates.
    name = ada_url.idna_to_ascii(domain).decode().removesuffix(".") if domain.isprintable() else ""
    if len(name) > LONGEST_NAME:
        raise WorkFailed(FailureCode.TOO_LONG, f"a name has {LONGEST_NAME} characters at most")
    labels = name.split(".")
    # An address, in any of its spellings, is no name.
    if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdecimal() or labels[-1].startswith("0x"):
        raise WorkFailed(FailureCode.BAD_HOST, "not a domain name")
    return name


def reverse_name(text: str) -> str:
    """The name below `in-addr.arpa` or `ip6.arpa` that stands for an address; empty for other text."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise WorkFailed(FailureCode.BAD_HOST, "an address with a zone")
    return address.reverse_pointer


def reversed_address(name: str) -> Address | None:
    """The address, or the first of the network, that a name below `in-addr.arpa` or `ip6.arpa` stands for."""
    labels = name.split(".")[::-1]
    if labels[:2] == ["arpa", "in-addr"]:
        octets = _leading(labels[2:6], r"[0-9]{1,3}", 255, 10)
        return IPv4Address(bytes((*octets, 0, 0, 0, 0)[:4])) if octets else None
    if labels[:2] == ["arpa", "ip6"]:
        nibbles = _leading(labels[2:34], r"[0-9a-f]", 15, 16)
        digits = "".join(f"{nibble:x}" for nibble in nibbles)
        return IPv6Address(int(digits.ljust(32, "0"), 16)) if nibbles else None
    return None


def _leading(labels: Sequence[str], form: str, most: int, base: int) -> list[int]:
    """The numbers with which the labels begin."""
    numbers = []
    for label in labels:
        if not re.fullmatch(form, label) or int(label, base) > most:
            break
        numbers.append(int(label, base))
    return numbers


def _ends_with(name: str, endings: Sequence[str]) -> bool:
    return any(name == ending or name.endswith(f".{ending}") for ending in endings)
