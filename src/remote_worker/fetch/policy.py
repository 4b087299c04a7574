"""Who may be dialled: verdicts about names, ports and addresses, by our table and the operator's rules.

Pure but for one question, whether an address is this machine's own. The shape of a URL is judged in `url`.
"""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from ..contract.addresses import METADATA, Address, embedded, special
from ..contract.failures import FailureCode, WorkFailed
from ..contract.links import Purpose, Verdict
from ..telemetry import Event, emit
from .settings import FetchSettings, Opening
from .url import Target

SPECIAL_NAMES = {
    "localhost": "localhost",
    "localdomain": "localhost",
    "local": "local",
    "internal": "internal",
    "intranet": "internal",
    "private": "internal",
    "corp": "internal",
    "home": "internal",
    "lan": "internal",
    "home.arpa": "internal",
    "onion": "no_dns",
    "i2p": "no_dns",
    "alt": "no_dns",
}
"""The ends of names that public name servers do not answer for, and what they are."""
METADATA_NAMES = frozenset(
    {
        "metadata",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.google.internal",
        "metadata.goog",
        "metadata.azure.internal",
        "metadata.tencentyun.com",
    }
)
"""With all names below them."""

PUBLIC = "public"
OPENED = "opened"
DENIED = "denied"
PORT = "port"
SELF = "self"
MIXED = "mixed"
"""Rules of verdicts, besides the words of `contract.addresses`."""
_NAME = "name:"
"""How the rule begins that refuses an address because of the name that has it."""
REPORTED = "reported:"
"""How the rule begins that would have refused, did it not only report."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket on which this worker itself listens; `0.0.0.0` and `::` stand for every local address."""

    address: str
    port: int


def is_own_address(address: Address) -> bool:
    """Whether this machine has the address: only then can a socket be bound to it.

    Asking so takes no list of interfaces, which changes while the worker runs, and no message on the network.
    """
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as refused:
        # What keeps us from asking is no reason to let it through.
        return refused.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


class Policy:
    """The rules of one worker. `check` before a name is resolved, `judge` with what it resolved to."""

    def __init__(
        self,
        settings: FetchSettings,
        own: Sequence[Listener] = (),
        is_local: Callable[[Address], bool] = is_own_address,
    ) -> None:
        self._settings = settings
        self._own: list[tuple[Address, int]] = []
        self._is_local = is_local
        for listener in own:
            self.listens(listener)

    def listens(self, listener: Listener) -> None:
        """From now on this listener too is the worker itself."""
        address = ip_address(listener.address.partition("%")[0])
        self._own.append((embedded(address), listener.port))

    def check(self, target: Target, purpose: Purpose = Purpose.PAGE) -> None:
        """All that can be said without name servers. Raises WorkFailed."""
        if target.address is not None:
            is_allowed, rule = self._ruling(target, target.address, "", self._openings(purpose))
            if not is_allowed:
                raise _failure([rule])
            return
        name = special_name(target.host)
        has_opening = any(opening.port in (0, target.port) for opening in self._openings(purpose))
        if name and (name == METADATA or not has_opening):
            raise WorkFailed(FailureCode.BLOCKED_NAME, name)
        if not (has_opening or self._settings.egress_report or target.port in self._settings.egress_ports):
            raise WorkFailed(FailureCode.BAD_PORT, str(target.port))

    def judge(
        self, target: Target, addresses: Sequence[Address], purpose: Purpose = Purpose.PAGE
    ) -> tuple[Verdict, ...]:
        """A verdict for each address. One that refuses refuses all: the caller raises `refusal`."""
        name = "" if target.address is not None else special_name(target.host)
        openings = self._openings(purpose)
        rulings = [self._ruling(target, address, name, openings) for address in addresses]
        verdicts = tuple(
            Verdict(address=str(address), allowed=is_allowed, rule=rule)
            for address, (is_allowed, rule) in zip(addresses, rulings, strict=True)
        )
        if self._settings.egress_report:
            for verdict in verdicts:
                if verdict.rule.startswith(REPORTED):
                    emit(
                        Event.EGRESS_REPORTED,
                        level=logging.WARNING,
                        rule=verdict.rule.removeprefix(REPORTED),
                        host=target.host,
                        address=verdict.address,
                        port=target.port,
                    )
        return verdicts

    @staticmethod
    def refusal(verdicts: Sequence[Verdict]) -> WorkFailed | None:
        """Why these addresses are refused, or None if they are not."""
        refused = [verdict.rule for verdict in verdicts if not verdict.allowed]
        return _failure(refused, is_mixed=len(refused) < len(verdicts)) if refused else None

    def _openings(self, purpose: Purpose) -> tuple[Opening, ...]:
        settings = self._settings
        if purpose is Purpose.WEBHOOK:
            # What is open to be read from is not open to be POSTed to by whoever may call.
            return settings.webhook_allow
        own = settings.external_check_allow if purpose is Purpose.CHECK else ()
        return (*settings.egress_allow, *own)

    def _ruling(
        self, target: Target, address: Address, name: str, openings: Sequence[Opening]
    ) -> tuple[bool, str]:
        """Whether it is allowed, and the rule. Built-in rules come first: reporting lifts none of them."""
        settings = self._settings
        inner = embedded(address, settings.nat64)
        is_opened = _holds(openings, inner, target.port)
        rule = self._built_in(target, inner, name, is_opened)
        if rule:
            return False, rule
        is_denied = _holds(settings.egress_deny, inner, target.port) or (
            inner != address and _holds(settings.egress_deny, address, target.port)
        )
        if is_denied:
            rule = DENIED
        elif not is_opened and target.port not in settings.egress_ports:
            rule = PORT
        else:
            return True, OPENED if is_opened else PUBLIC
        return (True, REPORTED + rule) if settings.egress_report else (False, rule)

    def _built_in(self, target: Target, address: Address, name: str, is_opened: bool) -> str:
        """The rule that refuses the address, or nothing."""
        word = special(address, self._settings.nat64)
        if word == METADATA:
            return METADATA
        if self._is_own(address, target.port):
            return SELF
        if name and (name == METADATA or not is_opened):
            return _NAME + name
        # Nobody has this address: who dials it comes to loopback, of which the rules may say something else.
        return "" if is_opened and not address.is_unspecified else word

    def _is_own(self, address: Address, port: int) -> bool:
        # Who dials the unspecified address comes to this machine.
        return any(
            port == own_port
            and (own == address or address.is_unspecified or (own.is_unspecified and self._is_local(address)))
            for own, own_port in self._own
        )


def special_name(host: str) -> str:
    """What a name is that public name servers do not answer for, or nothing for an ordinary one."""
    if host in METADATA_NAMES or host.endswith(_BELOW_METADATA):
        return METADATA
    last = host.rpartition(".")[2]
    if last in SPECIAL_NAMES:
        return SPECIAL_NAMES[last]
    if last == host:
        return "single_label"
    return SPECIAL_NAMES.get(".".join(host.rsplit(".", 2)[-2:]), "")


def _failure(refused: Sequence[str], *, is_mixed: bool = False) -> WorkFailed:
    """What these refusals come to; `is_mixed` says that other addresses of the name would do."""
    if SELF in refused:
        return WorkFailed(FailureCode.SELF)
    names = [rule.removeprefix(_NAME) for rule in refused if rule.startswith(_NAME)]
    if names:
        return WorkFailed(FailureCode.BLOCKED_NAME, names[0])
    if is_mixed:
        return WorkFailed(FailureCode.BLOCKED_ADDRESS, MIXED)
    others = [rule for rule in refused if rule != PORT]
    return WorkFailed(FailureCode.BLOCKED_ADDRESS, others[0]) if others else WorkFailed(FailureCode.BAD_PORT)


def _holds(openings: Sequence[Opening], address: Address, port: int) -> bool:
    return any(opening.port in (0, port) and address in opening.network for opening in openings)


_BELOW_METADATA = tuple(f".{name}" for name in METADATA_NAMES if "." in name)
