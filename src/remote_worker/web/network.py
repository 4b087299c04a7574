"""The endpoints about names and addresses, in the shapes of the service before where it had them."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from starlette.requests import Request
from starlette.responses import Response

from ..contract.failures import FailureCode, WorkFailed
from ..service.ens import Ens
from ..service.geo import Facts, Geo
from ..service.network import KINDS, Network
from .answers import json_answer
from .callers import Callers
from .exchange import answer_failure
from .settings import WebSettings
from .work import while_wanted

_OK = {"status": "ok", "success": True}
_OWN_STATE = {
    FailureCode.BAD_PARAMETER,
    FailureCode.BUSY,
    FailureCode.DEADLINE,
    FailureCode.FETCH_UNAVAILABLE,
    FailureCode.RATE_LIMITED,
    FailureCode.NOT_CONFIGURED,
}
"""Failures that say nothing of what was asked for: they are told as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUses:
    """The use cases about names and addresses."""

    names: Network
    geo: Geo
    ens: Ens


class NetworkEndpoints:
    """One method for each path."""

    def __init__(self, uses: NetworkUses, settings: WebSettings, callers: Callers) -> None:
        self._uses = uses
        self._settings = settings
        self._callers = callers

    async def resolve(self, request: Request) -> Response:
        """The records of a name."""
        domain = request.query_params.get("domain", "").strip()
        if not domain:
            raise WorkFailed(FailureCode.BAD_PARAMETER, 'Required parameter "domain" is missing or empty')
        kind = request.query_params.get("type", "").strip().upper() or KINDS[0]
        deadline = self._deadline()
        try:
            answered = await while_wanted(
                request, self._uses.names.resolve(domain, kind, deadline), deadline=deadline
            )
        except WorkFailed as failed:
            return await _told_as(
                request, failed, FailureCode.UNRESOLVED, f"Unable to resolve the specified domain: {domain}"
            )
        resolved = answered.resolved
        return json_answer(
            {
                **_OK,
                "answers": resolved.answers,
                "nameservers": resolved.servers,
                "ttl": float(resolved.ttl),
                "domain": answered.name,
                "type": kind,
            }
        )

    async def caller(self, request: Request) -> Response:
        """The address of who asks. The service before had no `status` here either."""
        address = self._callers.address(request.scope)
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        inner = mapped or address
        ipv4 = str(inner) if isinstance(inner, IPv4Address) else None
        ipv6 = str(inner) if isinstance(inner, IPv6Address) else None
        return json_answer(
            {
                "ip": f"::ffff:{mapped}" if mapped else address and str(address),
                "ipv4": ipv4,
                "ipv4_available": ipv4 is not None,
                "ipv6": ipv6,
                "ipv6_available": ipv6 is not None,
                "success": True,
            }
        )

    async def ipip(self, request: Request) -> Response:
        """The facts of an IPv4 address under the names of an IPIP database, all as text."""
        text = request.path_params["address"]
        if ":" in text:
            raise WorkFailed(FailureCode.BAD_PARAMETER, "IPv6 is not supported")
        facts = await self._uses.geo.recorded(_address(text, "Invalid IPv4 address provided"))
        return json_answer(
            {
                **_OK,
                "country": facts.country,
                "province": facts.region,
                "city": facts.city,
                "org": facts.organization,
                "isp": facts.isp,
                "latitude": _text(facts.latitude),
                "longitude": _text(facts.longitude),
                "timezone": facts.timezone,
                "tz_diff": facts.utc_offset or utc_offset(facts.timezone, datetime.now(UTC)),
                "cn_division_code": facts.division_code,
                "calling_code": facts.calling_code,
                "country_code": facts.country_code,
                "continent_code": facts.continent_code,
            }
        )

    async def geo(self, request: Request) -> Response:
        """The facts of an address; null where there is none."""
        address = _address(request.path_params["address"], "Invalid IP address provided")
        return json_answer({**_OK, **_members(await self._uses.geo.look_up(address))})

    async def ens(self, request: Request) -> Response:
        """The owner of an ENS name."""
        deadline = self._deadline()
        try:
            owned = await while_wanted(
                request, self._uses.ens.look_up(request.path_params["name"], deadline), deadline=deadline
            )
        except WorkFailed as failed:
            words = "Error occurred when communicating with the Ethereum network"
            if failed.code is FailureCode.ENS_FAILED:
                words = f"{words}: {failed.detail}"
            return await _told_as(request, failed, FailureCode.ENS_FAILED, words)
        return json_answer({**_OK, "name": owned.name, "owner": owned.owner, "address": owned.address})

    def _deadline(self) -> float:
        return time.monotonic() + self._settings.work_seconds


async def _told_as(request: Request, failed: WorkFailed, code: FailureCode, message: str) -> Response:
    """One code and message for all that can go wrong there, and the failure's own code as the reason."""
    if failed.code in _OWN_STATE:
        raise failed
    return await answer_failure(
        request, WorkFailed(code, message), {"reason": failed.code, "reason_detail": failed.detail}
    )


def _address(text: str, refusal: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError as wrong:
        raise WorkFailed(FailureCode.BAD_PARAMETER, refusal) from wrong
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise WorkFailed(FailureCode.BAD_PARAMETER, refusal)
    return address


def _members(facts: Facts) -> dict[str, Any]:
    return {
        "ip": str(facts.address),
        "version": facts.address.version,
        "special": facts.special or None,
        "network": facts.network or None,
        "continent": facts.continent or None,
        "continent_code": facts.continent_code or None,
        "country": facts.country or None,
        "country_code": facts.country_code or None,
        "region": facts.region or None,
        "region_code": facts.region_code or None,
        "city": facts.city or None,
        "postal_code": facts.postal_code or None,
        "latitude": facts.latitude,
        "longitude": facts.longitude,
        "timezone": facts.timezone or None,
        "asn": facts.asn,
        "organization": facts.organization or None,
        "isp": facts.isp or None,
    }


def _text(number: float | None) -> str:
    return "" if number is None else f"{number:.6f}".rstrip("0").rstrip(".")


def utc_offset(timezone: str, at: datetime) -> str:
    """How far the clocks of a time zone are from UTC at a moment: `UTC+8`, `UTC-3:30`; empty for no zone."""
    try:
        offset = at.astimezone(ZoneInfo(timezone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    minutes = (offset or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
