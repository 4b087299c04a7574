"""What a database that the operator named says of an address; its file may change while we run."""

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import telemetry
from ..contract.addresses import embedded, special
from ..contract.failures import FailureCode, WorkFailed
from ..telemetry import Event

if TYPE_CHECKING:
    # Loading it takes 18 ms, and few workers have a database.
    import maxminddb

Address = IPv4Address | IPv6Address

CHECK_SECONDS = 1.0
"""How often the file is looked at, at most."""

_NOT_FOUND = "IP info not found"
_UNREADABLE = (OSError, ValueError, TypeError)
"""What a file raises that is not there or no MMDB; TypeError where its metadata lack a member."""

_Stamp = tuple[int, int, int]


class BadDatabase(Exception):
    """There is no MMDB file at the path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of an address; empty or None where nothing is."""

    address: Address
    """Of those with an IPv4 address inside, that."""
    special: str = ""
    """The word of a range that is not of the public network; then nothing else is known."""
    network: str = ""
    """The network that all this is said of."""
    continent: str = ""
    continent_code: str = ""
    country: str = ""
    country_code: str = ""
    region: str = ""
    region_code: str = ""
    city: str = ""
    postal_code: str = ""
    latitude: float | None = None
    longitude: float | None = None
    timezone: str = ""
    asn: int | None = None
    organization: str = ""
    isp: str = ""
    utc_offset: str = ""
    """As a flat database writes it."""
    calling_code: str = ""
    division_code: str = ""
    """GB/T 2260, of places in China."""


class Geo:
    """Looks addresses up. Without a path there is no database."""

    def __init__(
        self,
        path: str,
        nat64: Sequence[IPv6Network] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the database. Raises BadDatabase."""
        self._path = path
        self._nat64 = nat64
        self._clock = clock
        self._due = clock() + CHECK_SECONDS
        self._reader: maxminddb.Reader | None = None
        self._seen: _Stamp | None = None
        if path:
            try:
                self._seen = _stamp(path)
                self._reader = _read(path)
            except _UNREADABLE as broken:
                raise BadDatabase(str(broken)) from broken

    @property
    def is_on(self) -> bool:
        """Whether there is a database."""
        return bool(self._path)

    async def look_up(self, address: Address) -> Facts:
        """The facts; special ranges are known without a database. Raises WorkFailed."""
        inner = embedded(address, self._nat64)
        rule = special(address, self._nat64)
        return Facts(address=inner, special=rule) if rule else await self.recorded(inner)

    async def recorded(self, address: Address) -> Facts:
        """What the database itself has of this very address. Raises WorkFailed."""
        await self._renew()
        if self._reader is None:
            raise _nothing("there is no database (REMOTE_IPIP_DB_PATH)")
        from maxminddb import InvalidDatabaseError  # noqa: PLC0415

        try:
            record, length = self._reader.get_with_prefix_len(address)
        except ValueError as wrong:
            raise _nothing("the database has IPv4 addresses only") from wrong
        except InvalidDatabaseError as broken:
            _complain(broken)
            raise _nothing("the database is damaged") from broken
        if not isinstance(record, dict):
            raise _nothing()
        return _facts(address, str(ip_network((address, length), strict=False)), record)

    async def _renew(self) -> None:
        """Read the file again when it has changed. Who comes meanwhile gets the facts of the former one."""
        if not self._path or self._clock() < self._due:
            return
        self._due = self._clock() + CHECK_SECONDS
        try:
            stamp = _stamp(self._path)
        except OSError as gone:
            if self._seen is not None:
                _complain(gone)
            self._seen = None
            return
        if stamp == self._seen:
            return
        self._seen = stamp  # Also of a broken one, which is complained of once.
        try:
            # Tens of megabytes that may come from a disk: not on the event loop.
            self._reader = await asyncio.to_thread(_read, self._path)
        except _UNREADABLE as broken:
            _complain(broken)
        else:
            telemetry.emit(Event.DATABASE_READ)


def _read(path: str) -> "maxminddb.Reader":
    """A copy in memory. A mapped file that is written over would end the process with SIGBUS."""
    from maxminddb import MODE_FD, InvalidDatabaseError, open_database  # noqa: PLC0415

    try:
        with Path(path).open("rb") as file:
            return open_database(file, MODE_FD)
    except InvalidDatabaseError as broken:
        raise ValueError(str(broken)) from broken


def _stamp(path: str) -> _Stamp:
    status = Path(path).stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _complain(error: Exception) -> None:
    telemetry.emit(Event.DATABASE_FAILED, level=logging.ERROR, reason=str(error))


def _nothing(reason: str = "") -> WorkFailed:
    return WorkFailed(FailureCode.NO_IP_FACTS, f"{_NOT_FOUND}: {reason}" if reason else _NOT_FOUND)


_CODE = re.compile(r"[A-Z]{2}")
_SYSTEM = re.compile(r"AS([0-9]{1,10})(?: +|$)")
_MOST_SYSTEM = 2**32 - 1


def _facts(address: Address, network: str, record: Mapping[str, Any]) -> Facts:
    found: dict[str, Any] = {}
    for name, (read, places) in _PLACES.items():
        values = (read(_at(record, place)) for place in places)
        value = next((value for value in values if value is not None), None)
        if value is not None:
            found[name] = value
    return Facts(address=address, network=network, **found)


def _at(record: object, place: str) -> object:
    """What stands at a dotted path; a number counts in lists and in text with commas."""
    for key in place.split("."):
        if isinstance(record, str):
            record = record.split(",")
        if isinstance(record, Mapping):
            record = record.get(key)
        elif isinstance(record, list) and key.isdecimal() and int(key) < len(record):
            record = record[int(key)]
        else:
            return None
    return record


def _text(value: object) -> str | None:
    """Text, or the name of an object that has some, the English one before others."""
    if isinstance(value, Mapping):
        names = value.get("names")
        if isinstance(names, Mapping):
            return _text(names.get("en", next(iter(names.values()), None)))
        return _text(value.get("name"))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def _name(value: object) -> str | None:
    """Text, unless it is a code: some write `country` for the one, some for the other."""
    text = _text(value)
    return None if text is None or _CODE.fullmatch(text) else text


def _code(value: object) -> str | None:
    text = _text(value)
    return text if text is not None and _CODE.fullmatch(text) else None


def _organization(value: object) -> str | None:
    """Text, without the number of its autonomous system in front."""
    text = _text(value)
    return None if text is None else _SYSTEM.sub("", text, count=1) or None


def _system(value: object) -> int | None:
    """The number of an autonomous system: 15169, `15169`, `AS15169` or `AS15169 Google LLC`."""
    text = _text(value) or ""
    found = _SYSTEM.match(text)
    digits = found[1] if found else text
    number = int(digits) if re.fullmatch("[0-9]{1,10}", digits) else 0
    return number if 0 < number <= _MOST_SYSTEM else None


def _degrees(most: float) -> Callable[[object], float | None]:
    def read(value: object) -> float | None:
        try:
            degrees = float(_text(value) or math.nan)
        except ValueError:
            return None
        return degrees if -most <= degrees <= most else None

    return read


_PLACES: dict[str, tuple[Callable[[object], object], tuple[str, ...]]] = {
    "continent": (_name, ("continent", "continent_name")),
    "continent_code": (_code, ("continent.code", "continent_code", "continent")),
    "country": (_name, ("country", "country_name")),
    "country_code": (_code, ("country.iso_code", "country_code", "country")),
    "region": (_text, ("subdivisions.0", "region", "province", "region_name", "state1", "state")),
    "region_code": (_text, ("subdivisions.0.iso_code", "region_code")),
    "city": (_text, ("city", "city_name")),
    "postal_code": (_text, ("postal.code", "postal_code", "postal", "postcode", "zip_code")),
    "latitude": (_degrees(90), ("location.latitude", "latitude", "lat", "loc.0")),
    "longitude": (_degrees(180), ("location.longitude", "longitude", "lng", "loc.1")),
    "timezone": (_text, ("location.time_zone", "timezone", "time_zone")),
    "asn": (_system, ("traits.autonomous_system_number", "autonomous_system_number", "asn", "org")),
    "organization": (
        _organization,
        (
            "traits.organization",
            "organization",
            "org",
            "traits.autonomous_system_organization",
            "autonomous_system_organization",
            "as_name",
            "owner_domain",
        ),
    ),
    "isp": (_text, ("traits.isp", "isp", "isp_domain")),
    "utc_offset": (_text, ("tz_diff", "utc_offset")),
    "calling_code": (_text, ("calling_code", "idd_code")),
    "division_code": (_text, ("cn_division_code", "china_admin_code")),
}
"""Where databases keep a fact, in the order in which it is looked for: nested as MaxMind and DB-IP have it,
or flat as ipinfo and IPIP do.
"""
