"""Writes small MMDB files as the MaxMind DB File Format Specification 2.0 has them."""

import struct
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)

IPIP = {
    "country": "中国",
    "province": "上海",
    "city": "上海",
    "org": "",
    "isp": "电信",
    "latitude": "31.231706",
    "longitude": "121.472644",
    "timezone": "Asia/Shanghai",
    "tz_diff": "UTC+8",
    "cn_division_code": "310000",
    "calling_code": "86",
    "country_code": "CN",
    "continent_code": "AP",
}
"""A record as ipip.net's databases have it."""
_MAP, _ARRAY, _BOOLEAN = 7, 11, 14
_DOUBLE, _UINT32, _UTF8, _UINT16, _UINT64 = 3, 6, 2, 5, 9


def database(
    records: Mapping[str, Any], *, version: int = 6, record_size: int = 24, kind: str = "Test-City"
) -> bytes:
    """A database with these records by network. IPv4 networks lie below ::/96 in a tree of IPv6."""
    nodes: list[list[Any]] = [[None, None]]
    for text, record in records.items():
        _place(nodes, _bits(ip_network(text), version), record)
    data = bytearray()
    tree = bytearray()
    for node in nodes:
        tree += _node([_value(side, len(nodes), data) for side in node], record_size)
    metadata = {
        "node_count": _unsigned(_UINT32, len(nodes)),
        "record_size": _unsigned(_UINT16, record_size),
        "ip_version": _unsigned(_UINT16, version),
        "database_type": encoded(kind),
        "languages": encoded(["en"]),
        "binary_format_major_version": _unsigned(_UINT16, 2),
        "binary_format_minor_version": _unsigned(_UINT16, 0),
        "build_epoch": _unsigned(_UINT64, 1_700_000_000),
        "description": encoded({"en": "written by a test"}),
    }
    head = _control(_MAP, len(metadata)) + b"".join(encoded(name) + field for name, field in metadata.items())
    return bytes(tree) + SEPARATOR + bytes(data) + MARKER + head


def encoded(value: Any) -> bytes:
    """A value as a data field."""
    match value:
        case bool():
            return _control(_BOOLEAN, int(value))
        case int():
            return _unsigned(_UINT32 if value < 2**32 else _UINT64, value)
        case float():
            return _control(_DOUBLE, 8) + struct.pack(">d", value)
        case str():
            return _control(_UTF8, len(value.encode())) + value.encode()
        case list():
            return _control(_ARRAY, len(value)) + b"".join(map(encoded, value))
        case _:
            pairs = b"".join(encoded(key) + encoded(item) for key, item in value.items())
            return _control(_MAP, len(value)) + pairs


def _unsigned(kind: int, value: int) -> bytes:
    body = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(kind, len(body)) + body


def _control(kind: int, size: int) -> bytes:
    # Sizes of 29 to 284 take one more byte; no test needs more.
    small = min(size, 29)
    more = bytes([size - 29]) if small == 29 else b""
    if kind > 7:
        return bytes([small, kind - 7]) + more
    return bytes([kind << 5 | small]) + more


def _bits(network: IPv4Network | IPv6Network, version: int) -> str:
    bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[: network.prefixlen]
    return "0" * 96 + bits if network.version == 4 and version == 6 else bits


def _place(nodes: list[list[Any]], bits: str, record: Any) -> None:
    at = 0
    for bit in map(int, bits[:-1]):
        if nodes[at][bit] is None:
            nodes.append([None, None])
            nodes[at][bit] = len(nodes) - 1
        at = nodes[at][bit]
    nodes[at][int(bits[-1])] = encoded(record)


def _value(side: int | bytes | None, count: int, data: bytearray) -> int:
    if side is None:
        return count
    if isinstance(side, int):
        return side
    data += side
    return count + len(SEPARATOR) + len(data) - len(side)


def _node(values: list[int], record_size: int) -> bytes:
    left, right = values
    if record_size == 28:
        middle = (left >> 24) << 4 | right >> 24
        return (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")
    size = record_size // 8
    return left.to_bytes(size, "big") + right.to_bytes(size, "big")
