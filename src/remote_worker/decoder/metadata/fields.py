"""What an EXIF block says in words: fields by exiftool's names, with the values of its `-n`, and the place.

Broken values are left out, and so is what would make the answer long.
"""

import codecs
import json
import math
import struct
from collections.abc import Callable, Iterable

from ...contract.messages import MOST_FIELD_CHARACTERS
from . import exif
from .exif import Buffer, Entry

Value = str | int | float

MOST_VALUE_BYTES = 1024
"""Of one field that are read."""
MOST_VALUES = 16
"""Numbers of one field that are told."""
MOST_TOLD_BYTES = 32 * 1024
"""Of all fields together, as JSON."""


def fields(block: Buffer) -> dict[str, Value]:
    """The fields of the main, the EXIF and the GPS directory; coordinates are told by `place` alone."""
    made: dict[str, Value] = {}
    told_bytes = 0
    for entry, names, raw in _entries(block):
        name, read = names.get(entry.tag, ("", _plain))
        if not name or name in made:
            continue
        value = read(raw)
        if value is None or value == "":
            continue
        told_bytes += len(name) + len(json.dumps(value))
        if told_bytes > MOST_TOLD_BYTES:
            break
        made[name] = value
    return made


def place(block: Buffer) -> dict[str, float | None] | None:
    """Where it was taken: degrees, north and east above 0, and metres above the sea."""
    found: dict[int, _Raw] = {}
    for entry, names, raw in _entries(block):
        if names is _GPS_FIELDS:
            found.setdefault(entry.tag, raw)
    latitude = _degrees(found, 1, 2, {"N": 1, "S": -1}, 90)
    longitude = _degrees(found, 3, 4, {"E": 1, "W": -1}, 180)
    if latitude is None or longitude is None:
        return None
    return {"latitude": latitude, "longitude": longitude, "altitude": _altitude(found)}


def printable(text: str) -> str:
    """In one line, not long, and without characters that are not to be seen."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return shown.strip()[:MOST_FIELD_CHARACTERS]


class _Raw:
    """One field's type and bytes, as many as are read."""

    __slots__ = ("data", "kind", "order")

    def __init__(self, kind: int, data: bytes, order: str) -> None:
        self.kind = kind
        self.data = data
        self.order = order

    def numbers(self) -> list[int | float | None]:
        """None stands for a fraction of nothing, and for what is no number."""
        letter = _LETTERS.get(self.kind)
        if letter is None:
            return []
        size = struct.calcsize("=" + letter)
        count = min(len(self.data) // size, MOST_VALUES)
        values = struct.unpack_from(f"{self.order}{count * letter}", self.data)
        if self.kind in _FRACTIONS:
            pairs = zip(values[::2], values[1::2], strict=True)
            return [_rounded(over / under) if under else None for over, under in pairs]
        return [_rounded(value) if isinstance(value, float) else value for value in values]


_LETTERS = {1: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d"}
_FRACTIONS = frozenset({5, 10})
_TEXT = frozenset({2, 129})
_BYTES_OF_ANY_KIND = 7
_GREATEST = 1 << 53


def _rounded(value: float) -> int | float | None:
    """Ten digits, as exiftool gives."""
    if not math.isfinite(value) or abs(value) >= _GREATEST:
        return None
    value = float(f"{value:.10g}")
    return int(value) if value.is_integer() else value


Names = dict[int, tuple[str, Callable[[_Raw], Value | None]]]


def _entries(block: Buffer) -> Iterable[tuple[Entry, Names, _Raw]]:
    start = 6 if block[:6] == b"Exif\0\0" else 0
    block = block[start:] if start else block
    order = exif.byte_order(block)
    if order is None:
        return
    for directory in exif.directories(block, order, pointers=frozenset({exif.EXIF_DIRECTORY}), chain=False):
        names = _GPS_FIELDS if directory.is_gps else _FIELDS
        for entry in directory.entries:
            end = entry.value_at + min(entry.value_bytes, MOST_VALUE_BYTES)
            yield entry, names, _Raw(entry.kind, bytes(block[entry.value_at : end]), order)


def _plain(raw: _Raw) -> Value | None:
    """Text, a number, or several numbers in one text."""
    return _text(raw) if raw.kind in _TEXT or _is_words(raw) else _joined(raw.numbers())


def _is_words(raw: _Raw) -> bool:
    """Some software marks its text as bytes of any kind."""
    text = raw.data.rstrip(b"\0")
    return raw.kind == _BYTES_OF_ANY_KIND and len(text) > 1 and text.isascii() and text.decode().isprintable()


def _joined(numbers: list[int | float | None]) -> Value | None:
    if not numbers or None in numbers:
        return None
    return numbers[0] if len(numbers) == 1 else printable(" ".join(map(str, numbers)))


def _text(raw: _Raw) -> str:
    return _decoded(raw.data.partition(b"\0")[0])


def _decoded(data: bytes) -> str:
    try:
        # What was cut off inside a character is no other encoding.
        is_whole = len(data) < MOST_VALUE_BYTES
        return printable(codecs.getincrementaldecoder("utf-8")().decode(data, final=is_whole))
    except UnicodeDecodeError:
        return printable(data.decode("latin-1"))


def _wide_text(raw: _Raw) -> str:
    """Windows' own fields are in UTF-16."""
    return printable(raw.data.decode("utf-16-le", "replace").partition("\0")[0])


def _coded_text(raw: _Raw) -> str:
    """Eight bytes say in which code the rest is."""
    code, text = raw.data[:8], raw.data[8:]
    if code.startswith(b"UNICODE"):
        return printable(text.decode(_utf_16(text, raw.order), "replace").strip("\ufeff").partition("\0")[0])
    if code.startswith(b"JIS"):
        return ""  # Its decoder is not on board.
    return _decoded(text.partition(b"\0")[0])


def _utf_16(text: bytes, order: str) -> str:
    """By its mark, else by which bytes are zeros: writers do not agree whether the block's order holds."""
    if text[:2] in _MARKS:
        return _MARKS[text[:2]]
    first, second = text[::2].count(0), text[1::2].count(0)
    if first != second:
        return "utf-16-be" if first > second else "utf-16-le"
    return "utf-16-le" if order == "<" else "utf-16-be"


_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def _speed(raw: _Raw) -> Value | None:
    value = _number(raw)
    return None if value is None or abs(value) >= 100 else _rounded(2.0**-value)


def _aperture(raw: _Raw) -> Value | None:
    value = _number(raw)
    return None if value is None or abs(value) >= 100 else _rounded(2.0 ** (value / 2))


def _clock(raw: _Raw) -> Value | None:
    numbers = raw.numbers()
    if len(numbers) != 3 or None in numbers:
        return None
    hours, minutes, seconds = (float(number or 0) for number in numbers)
    total = 3600 * hours + 60 * minutes + seconds
    if not 0 <= total <= 90_000:
        return None
    rest = f"{total % 60:09.6f}".rstrip("0").rstrip(".")
    return f"{int(total // 3600):02d}:{int(total // 60 % 60):02d}:{rest}"


def _number(raw: _Raw) -> int | float | None:
    return next(iter(raw.numbers()), None)


def _degrees(
    found: dict[int, _Raw], side_tag: int, tag: int, signs: dict[str, int], most: int
) -> float | None:
    if side_tag not in found or tag not in found:
        return None
    sign = signs.get(_text(found[side_tag])[:1].upper())
    numbers = found[tag].numbers()
    if sign is None or not 1 <= len(numbers) <= 3 or numbers[0] is None:
        return None
    whole = sum((number or 0) / 60**power for power, number in enumerate(numbers))
    return sign * round(whole, 9) + 0.0 if 0 <= whole <= most else None  # Never -0.0.


def _altitude(found: dict[int, _Raw]) -> float | None:
    metres = _number(found[6]) if 6 in found else None
    if metres is None:
        return None
    is_below = 5 in found and _number(found[5]) in (1, 3)
    altitude = -metres if is_below else metres
    return altitude if ALTITUDES[0] <= altitude <= ALTITUDES[1] else None


ALTITUDES = (-100_000, 10_000_000)
"""Metres, beyond which it is none."""

_FIELDS: Names = {
    0x000B: ("ProcessingSoftware", _plain),
    0x00FE: ("SubfileType", _plain),
    0x0100: ("ImageWidth", _plain),
    0x0101: ("ImageHeight", _plain),
    0x0102: ("BitsPerSample", _plain),
    0x0103: ("Compression", _plain),
    0x0106: ("PhotometricInterpretation", _plain),
    0x010D: ("DocumentName", _plain),
    0x010E: ("ImageDescription", _plain),
    0x010F: ("Make", _plain),
    0x0110: ("Model", _plain),
    0x0112: ("Orientation", _plain),
    0x0115: ("SamplesPerPixel", _plain),
    0x011A: ("XResolution", _plain),
    0x011B: ("YResolution", _plain),
    0x011C: ("PlanarConfiguration", _plain),
    0x011D: ("PageName", _plain),
    0x0128: ("ResolutionUnit", _plain),
    0x0131: ("Software", _plain),
    0x0132: ("ModifyDate", _plain),
    0x013B: ("Artist", _plain),
    0x013C: ("HostComputer", _plain),
    0x0213: ("YCbCrPositioning", _plain),
    0x4746: ("Rating", _plain),
    0x4749: ("RatingPercent", _plain),
    0x8298: ("Copyright", _plain),
    0x829A: ("ExposureTime", _plain),
    0x829D: ("FNumber", _plain),
    0x8822: ("ExposureProgram", _plain),
    0x8824: ("SpectralSensitivity", _plain),
    0x8827: ("ISO", _plain),
    0x882A: ("TimeZoneOffset", _plain),
    0x8830: ("SensitivityType", _plain),
    0x8831: ("StandardOutputSensitivity", _plain),
    0x8832: ("RecommendedExposureIndex", _plain),
    0x9000: ("ExifVersion", _text),
    0x9003: ("DateTimeOriginal", _plain),
    0x9004: ("CreateDate", _plain),
    0x9010: ("OffsetTime", _plain),
    0x9011: ("OffsetTimeOriginal", _plain),
    0x9012: ("OffsetTimeDigitized", _plain),
    0x9101: ("ComponentsConfiguration", _plain),
    0x9102: ("CompressedBitsPerPixel", _plain),
    0x9201: ("ShutterSpeedValue", _speed),
    0x9202: ("ApertureValue", _aperture),
    0x9203: ("BrightnessValue", _plain),
    0x9204: ("ExposureCompensation", _plain),
    0x9205: ("MaxApertureValue", _aperture),
    0x9206: ("SubjectDistance", _plain),
    0x9207: ("MeteringMode", _plain),
    0x9208: ("LightSource", _plain),
    0x9209: ("Flash", _plain),
    0x920A: ("FocalLength", _plain),
    0x9214: ("SubjectArea", _plain),
    0x9286: ("UserComment", _coded_text),
    0x9290: ("SubSecTime", _plain),
    0x9291: ("SubSecTimeOriginal", _plain),
    0x9292: ("SubSecTimeDigitized", _plain),
    0x9400: ("AmbientTemperature", _plain),
    0x9401: ("Humidity", _plain),
    0x9402: ("Pressure", _plain),
    0x9C9B: ("XPTitle", _wide_text),
    0x9C9C: ("XPComment", _wide_text),
    0x9C9D: ("XPAuthor", _wide_text),
    0x9C9E: ("XPKeywords", _wide_text),
    0x9C9F: ("XPSubject", _wide_text),
    0xA000: ("FlashpixVersion", _text),
    0xA001: ("ColorSpace", _plain),
    0xA002: ("ExifImageWidth", _plain),
    0xA003: ("ExifImageHeight", _plain),
    0xA004: ("RelatedSoundFile", _plain),
    0xA20B: ("FlashEnergy", _plain),
    0xA20E: ("FocalPlaneXResolution", _plain),
    0xA20F: ("FocalPlaneYResolution", _plain),
    0xA210: ("FocalPlaneResolutionUnit", _plain),
    0xA214: ("SubjectLocation", _plain),
    0xA215: ("ExposureIndex", _plain),
    0xA217: ("SensingMethod", _plain),
    0xA300: ("FileSource", _plain),
    0xA301: ("SceneType", _plain),
    0xA401: ("CustomRendered", _plain),
    0xA402: ("ExposureMode", _plain),
    0xA403: ("WhiteBalance", _plain),
    0xA404: ("DigitalZoomRatio", _plain),
    0xA405: ("FocalLengthIn35mmFormat", _plain),
    0xA406: ("SceneCaptureType", _plain),
    0xA407: ("GainControl", _plain),
    0xA408: ("Contrast", _plain),
    0xA409: ("Saturation", _plain),
    0xA40A: ("Sharpness", _plain),
    0xA40C: ("SubjectDistanceRange", _plain),
    0xA420: ("ImageUniqueID", _plain),
    0xA430: ("OwnerName", _plain),
    0xA431: ("SerialNumber", _plain),
    0xA432: ("LensInfo", _plain),
    0xA433: ("LensMake", _plain),
    0xA434: ("LensModel", _plain),
    0xA435: ("LensSerialNumber", _plain),
    0xA460: ("CompositeImage", _plain),
    0xA500: ("Gamma", _plain),
}
_GPS_FIELDS: Names = {
    0x0000: ("GPSVersionID", _plain),
    0x0007: ("GPSTimeStamp", _clock),
    0x0008: ("GPSSatellites", _plain),
    0x0009: ("GPSStatus", _plain),
    0x000A: ("GPSMeasureMode", _plain),
    0x000B: ("GPSDOP", _plain),
    0x000C: ("GPSSpeedRef", _plain),
    0x000D: ("GPSSpeed", _plain),
    0x000E: ("GPSTrackRef", _plain),
    0x000F: ("GPSTrack", _plain),
    0x0010: ("GPSImgDirectionRef", _plain),
    0x0011: ("GPSImgDirection", _plain),
    0x0012: ("GPSMapDatum", _plain),
    0x001B: ("GPSProcessingMethod", _coded_text),
    0x001C: ("GPSAreaInformation", _coded_text),
    0x001D: ("GPSDateStamp", _plain),
    0x001E: ("GPSDifferential", _plain),
    0x001F: ("GPSHPositioningError", _plain),
}
"""Exiftool's names of both. All directories but the one of places share one list of numbers."""
