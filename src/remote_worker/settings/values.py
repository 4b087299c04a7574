"""A setting's value out of text, and as text again."""

import math
import re
from collections.abc import Callable
from ipaddress import IPv6Network, ip_address, ip_network
from typing import Any, NoReturn

from ..contract.formats import FormatName, switched_on
from ..contract.limits import MIB
from ..fetch.settings import Nameserver, Opening
from ..telemetry import Listening, LogFormat
from ..web.callers import network
from ..web.settings import Network
from .table import Row


def value_of(row: Row, text: str) -> object:
    """The text as the field's type. Raises ValueError with what would do."""
    try:
        value = _READERS[row.kind](row, text)
    except (ValueError, OverflowError) as wrong:
        raise ValueError(takes(row)) from wrong
    if isinstance(value, (int, float)) and not row.least <= value <= row.most:
        raise ValueError(takes(row))
    return value


def as_text(row: Row, value: object) -> str:
    """As it would stand in a variable. Raises ValueError with what would do."""
    match value:
        case bool():
            return "on" if value else "off"
        case str() | int() | float():
            return str(value).strip()
        case list() if all(isinstance(word, str | int) and "," not in str(word) for word in value):
            return ",".join(map(str, value))
        case _:
            raise ValueError(takes(row))


def shown(row: Row, value: object) -> str:
    """The value as text, or a mask when it is a secret that is set."""
    if row.secret and value:
        return "(hidden)"
    match value:
        case bool():
            return "on" if value else "off"
        case tuple():
            return ",".join(map(str, value))
        case int() if row.field.endswith("_bytes"):
            return _size(value)
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def takes(row: Row) -> str:
    """What would do, as it follows `must be`."""
    return _WORDS[row.kind](row) + (_range(row) if row.kind in (int, float) else "")


def _range(row: Row) -> str:
    if row.most < math.inf:
        return f" from {shown(row, row.least)} to {shown(row, row.most)}"
    return f", {shown(row, row.least)} or more"


def _size(count: int) -> str:
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if count and count % _UNITS[unit] == 0), "")
    return f"{count // _UNITS[unit]}{unit}"


def _number(row: Row, text: str) -> int:
    if not row.field.endswith("_bytes"):
        return _digits(text)
    size = re.fullmatch(r"([0-9]+) ?(KiB|MiB|GiB)?", text)
    if size is None:
        raise ValueError
    return _digits(size[1]) * _UNITS[size[2] or ""]


def _digits(text: str) -> int:
    # int() alone would take "1_000", " 7" and other scripts' digits.
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError
    return int(text)


def _decimal(_: Row, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text):
        raise ValueError
    return float(text)


def _switch(_: Row, text: str) -> bool:
    return _SWITCH[text.lower()] if text.lower() in _SWITCH else _refuse()


def _text(_: Row, text: str) -> str:
    return text if text.isprintable() else _refuse()


def _list(row: Row, text: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in _text(row, text).split(",") if word.strip())
    # A list of nothing but commas was to hold something: a key that is not there would be missed silently.
    return words if words or not text.strip() else _refuse()


def _formats(row: Row, text: str) -> tuple[FormatName, ...]:
    return switched_on(_list(row, text))


def _networks(row: Row, text: str) -> tuple[Network, ...]:
    return tuple(network(word) for word in _list(row, text))


def _ports(row: Row, text: str) -> tuple[int, ...]:
    ports = tuple(_digits(word) for word in _list(row, text))
    return ports if all(0 < port <= 65_535 for port in ports) else _refuse()


def _openings(row: Row, text: str) -> tuple[Opening, ...]:
    return tuple(_opening(word) for word in _list(row, text))


def _opening(text: str) -> Opening:
    # [::1]/128:8000, [::1]:8000, 10.0.0.0/8:*, 10.0.0.1:80
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9.]+)(/[0-9]{1,3})?:([0-9]{1,5}|\*)", text)
    if found is None:
        raise ValueError
    network_text = found[1].strip("[]") + (found[2] or "")
    port = 0 if found[3] == "*" else _digits(found[3])
    if found[3] != "*" and not 0 < port <= 65_535:
        raise ValueError
    return Opening(network(network_text), port)


def _nameservers(row: Row, text: str) -> tuple[Nameserver, ...]:
    return tuple(_nameserver(word) for word in _list(row, text))


def _nameserver(text: str) -> Nameserver:
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]:([0-9]{1,5})|([0-9.]+):([0-9]{1,5})", text)
    if found is None:
        return Nameserver(str(ip_address(text)))
    port = _digits(found[2] or found[4])
    if not 0 < port <= 65_535:
        raise ValueError
    return Nameserver(str(ip_address(found[1] or found[3])), port)


def _listening(_: Row, text: str) -> Listening:
    if not text:
        return Listening()
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+|localhost)):([0-9]{1,5})", text)
    if found is None or _digits(found[3]) > 65_535:
        raise ValueError
    host = found[1] or found[2]
    return Listening(host if host == "localhost" else str(ip_address(host)), _digits(found[3]))


def _log_format(_: Row, text: str) -> LogFormat:
    return LogFormat(text)


def _prefixes(row: Row, text: str) -> tuple[IPv6Network, ...]:
    networks = tuple(ip_network(word) for word in _list(row, text))
    prefixes = tuple(found for found in networks if isinstance(found, IPv6Network))
    lengths = {prefix.prefixlen for prefix in prefixes}
    return prefixes if len(prefixes) == len(networks) and lengths <= _NAT64_LENGTHS else _refuse()


_NAT64_LENGTHS = {32, 40, 48, 56, 64, 96}
"""RFC 6052, 2.2."""


def _refuse() -> NoReturn:
    raise ValueError


_UNITS = {"": 1, "KiB": 1024, "MiB": MIB, "GiB": 1024 * MIB}
_SWITCH = dict.fromkeys(("1", "on", "true", "yes"), True) | dict.fromkeys(("0", "off", "false", "no"), False)

_READERS: dict[Any, Callable[[Row, str], object]] = {
    int: _number,
    float: _decimal,
    bool: _switch,
    str: _text,
    tuple[str, ...]: _list,
    tuple[FormatName, ...]: _formats,
    tuple[Network, ...]: _networks,
    tuple[int, ...]: _ports,
    tuple[Opening, ...]: _openings,
    tuple[Nameserver, ...]: _nameservers,
    tuple[IPv6Network, ...]: _prefixes,
    Listening: _listening,
    LogFormat: _log_format,
}
_WORDS: dict[Any, Callable[[Row], str]] = {
    int: lambda row: "bytes (`30MiB` and the like do)" if row.field.endswith("_bytes") else "a whole number",
    float: lambda row: "seconds" if row.field.endswith("_seconds") else "a number",
    bool: lambda _: "`on` or `off`",
    str: lambda _: "text",
    tuple[str, ...]: lambda _: "a list with commas",
    tuple[FormatName, ...]: lambda _: (
        "a list with commas, `jpeg,png` for these alone or `-jp2,-psd` for all but these, out of "
        + ", ".join(FormatName)
    ),
    tuple[Network, ...]: lambda _: "a list of addresses and networks with commas",
    tuple[int, ...]: lambda _: "a list of ports with commas",
    tuple[Opening, ...]: lambda _: (
        "a list with commas of addresses or networks with a port: `10.0.0.0/8:80`, `127.0.0.1/32:*`, "
        "`[::1]/128:8000`"
    ),
    tuple[Nameserver, ...]: lambda _: "a list of addresses with commas, with `:port` if it is not 53",
    tuple[IPv6Network, ...]: lambda _: "a list of IPv6 prefixes with commas",
    Listening: lambda _: "an address with a port (`127.0.0.1:9464`, `[::1]:9464`), or nothing",
    LogFormat: lambda _: "one of " + ", ".join(f"`{form}`" for form in LogFormat),
}
