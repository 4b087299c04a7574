"""Where an XMP packet says that a picture was taken."""

import re

from . import xmp
from .fields import ALTITUDES

_EXIF = "http://ns.adobe.com/exif/1.0/"


def place(packet: bytes) -> dict[str, float | None] | None:
    """Where it was taken: degrees, north and east above 0, and metres above the sea."""
    found: dict[str, str] = {}

    def see(namespace: str, name: str, value: str) -> None:
        if namespace == _EXIF and name.startswith("GPS"):
            found.setdefault(name, value)

    try:
        xmp.properties(packet, see)
    except xmp.Unreadable:
        return None
    latitude = _degrees(found.get(xmp.LATITUDE, ""), {"N": 1, "S": -1}, 90)
    longitude = _degrees(found.get("GPSLongitude", ""), {"E": 1, "W": -1}, 180)
    if latitude is None or longitude is None:
        return None
    return {"latitude": latitude, "longitude": longitude, "altitude": _altitude(found)}


def _degrees(text: str, signs: dict[str, int], most: int) -> float | None:
    """Of `48,51.504N` (XMP, part 1, 8.2.2.2), of `48,51,30N`, and of plain degrees below and above 0."""
    if match := _PLAIN_DEGREES.fullmatch(text):
        whole, sign = abs(float(match[0])), -1 if text.startswith("-") else 1
    elif (match := _DEGREES.fullmatch(text)) and match[4].upper() in signs:
        whole = sum(float(part or 0) / 60**power for power, part in enumerate(match.groups()[:3]))
        sign = signs[match[4].upper()]
    else:
        return None
    return sign * round(whole, 9) + 0.0 if whole <= most else None  # Never -0.0.


_PLAIN_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]{1,16})?")
_SIXTIETHS = r"(?:,([0-9]{1,2}(?:\.[0-9]{1,16})?))?"
_DEGREES = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,16})?)" + 2 * _SIXTIETHS + "([NSEWnsew])")


def _altitude(found: dict[str, str]) -> float | None:
    match = _FRACTION.fullmatch(found.get("GPSAltitude", ""))
    under = float(match[2] or 1) if match else 0.0
    if match is None or under == 0:
        return None
    metres = round(float(match[1]) / under, 9)
    altitude = -metres if found.get("GPSAltitudeRef") in ("1", "3") else metres
    return altitude if ALTITUDES[0] <= altitude <= ALTITUDES[1] else None


_FRACTION = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,16})?)(?:/([0-9]{1,10}))?")
