"""Checks a child's body as if its writer were hostile: every picture is what was asked for and claimed."""

import base64
import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from ..contract import wire
from ..contract.messages import (
    ALWAYS_MADE,
    AVATAR_SIZES,
    MOST_COLORS,
    MOST_FIELD_CHARACTERS,
    MOST_FIELDS,
    Avatars,
    Fit,
    Info,
    Output,
    Picture,
    Prepare,
    Recipe,
    Reply,
    Task,
)

_MIME = re.compile(r"image/[a-z0-9][a-z0-9.+-]{0,60}")
_FORMAT = re.compile(r"[a-z0-9]{2,8}")
_WORD = re.compile(r"[a-z0-9./+-]{1,64}")
_BLURHASH = re.compile(r"L[0-9A-Za-z#$%*+,\-.:;=?@\[\]^_{|}~]{27}")
"""Of four by three components: an L says so, then one digit for their range, four and eleven pairs."""
_THUMBHASH_BYTES = range(5, 26)
_COLOR = re.compile(r"#[0-9a-f]{6}")
_PHASH = re.compile(r"[0-9a-f]{16}")
_FIELD = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
_ALTITUDES = (-100_000, 10_000_000)
"""Metres: what no honest camera is below or above."""
_MOST_FRAMES = 65_535
_MOST_NUMBER = 1 << 53
"""What every reader of JSON can hold exactly."""

Size = tuple[int, int]


class HostileReply(Exception):
    """The body is not what an honest child writes for this task."""


def reply(task: Task, body: bytes | memoryview) -> Reply:
    """The checked reply. Raises HostileReply."""
    try:
        parts = wire.read_parts(body)
        facts = wire.read_facts(parts.pop(wire.FACTS))
        upload = facts["upload"]
        pictures = {name: _picture(claim, parts[name]) for name, claim in _claims(facts).items()}
        checked = Reply(
            format=_matching(_FORMAT, upload["format"]),
            mime=_matching(_MIME, upload["mime"]),
            pictures=pictures,
            info=_info(task, facts.get("info", {})),
            encode_seconds=_seconds(facts.get("encode_us", 0)),
        )
    except (wire.BadReply, LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise HostileReply(str(error)) from error
    if pictures.keys() != parts.keys():
        raise HostileReply("parts that no fact names")
    _check_task(task, checked)
    return checked


def _check_task(task: Task, checked: Reply) -> None:
    sizes = {name: (picture.width, picture.height) for name, picture in checked.pictures.items()}
    match task:
        case Avatars():
            due = {f"avatar{side}": (side, side) for side in AVATAR_SIZES}
            always = {name for name, (side, _) in due.items() if side <= ALWAYS_MADE}
            right = sizes.items() <= due.items() and always <= sizes.keys()
            right = right and all(picture.format == "png" for picture in checked.pictures.values())
        case Fit():
            right = sizes.keys() == {"output"} and _inside(sizes["output"], (task.width, task.height))
            right = right and task.format in (None, checked.pictures["output"].format)
        case Prepare():
            right = sizes.keys() == {"output"} and checked.pictures["output"].format == "jpeg"
        case Info():
            right = not sizes and bool(checked.info)
        case Recipe():
            due_sizes = {output.name: output for output in task.outputs}
            right = sizes.keys() == due_sizes.keys() and all(
                is_made(output, checked.pictures[output.name]) for output in task.outputs
            )
    if not right:
        raise HostileReply(f"pictures that {task.kind} does not make")


def is_made(output: Output, picture: Picture) -> bool:
    """Whether it is a picture that this output of a recipe can come to."""
    size, box = (picture.width, picture.height), (output.width, output.height)
    if output.mode == "pad" or (output.mode == "cover" and output.enlarge):
        fits = size == box
    elif output.mode == "cover":
        # Half a pixel off the box's aspect ratio at each side.
        fits = 2 * abs(size[0] * box[1] - size[1] * box[0]) <= box[0] + box[1] or 1 in size
    else:
        fits = True
    return fits and _inside(size, box) and output.format in (None, picture.format) and picture.frames == 1


def _inside(size: Size, box: Size) -> bool:
    return size[0] <= box[0] and size[1] <= box[1]


def _claims(facts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {claim["name"]: claim for claim in facts.get("pictures", [])}


def _picture(claim: Mapping[str, Any], body: memoryview) -> Picture:
    width, height, frames = (_whole(claim[key]) for key in ("width", "height", "frames"))
    if width < 1 or height < 1:
        raise HostileReply("a picture without a size")
    if _SIZES[claim["format"]](bytes(body[:_HEAD_BYTES]), body) != (width, height):
        raise HostileReply(f"a {claim['format']} that is not what it claims")
    if not 1 <= frames <= _MOST_FRAMES:
        raise HostileReply(f"{frames} frames")
    return Picture(format=claim["format"], width=width, height=height, frames=frames, body=body)


def _info(task: Task, info: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(task, Recipe):
        return _checked(info, {fact: _FACTS[fact] for fact in task.facts})
    plain = dict(info)
    metadata: dict[str, Any] = {}
    if isinstance(task, Info) and task.metadata:
        metadata["metadata"] = _checked(plain.pop("metadata"), _METADATA)
    for value in plain.values():
        if isinstance(value, str):
            fits = _WORD.fullmatch(value) is not None
        else:
            fits = value is None or (isinstance(value, int) and 0 <= value < _MOST_NUMBER)
        if not fits:
            raise HostileReply("info with strange values")
    return plain | metadata


def _checked(claimed: Mapping[str, Any], members: Mapping[str, Callable[[Any], bool]]) -> dict[str, Any]:
    """Exactly these members, each of which passes its check."""
    if claimed.keys() != members.keys():
        raise HostileReply("other members than were asked for")
    for name, fits in members.items():
        if not fits(claimed[name]):
            raise HostileReply(f"a {name} that is none")
    return dict(claimed)


def _matches(pattern: re.Pattern[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_thumbhash(value: object) -> bool:
    return isinstance(value, str) and len(base64.b64decode(value, validate=True)) in _THUMBHASH_BYTES


def _are_colors(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MOST_COLORS and all(map(_matches(_COLOR), value))


def _are_fields(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MOST_FIELDS
        and all(map(_matches(_FIELD), value))
        and all(_is_text(one) or _is_number(one) for one in value.values())
    )


def _is_place(value: object) -> bool:
    """Degrees and metres, or nothing."""
    if value is None:
        return True
    if not isinstance(value, dict) or value.keys() != {"latitude", "longitude", "altitude"}:
        return False
    altitude = value["altitude"]
    return (
        _is_number(value["latitude"], -90, 90)
        and _is_number(value["longitude"], -180, 180)
        and (altitude is None or _is_number(altitude, *_ALTITUDES))
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_FIELD_CHARACTERS and value.isprintable()


def _is_number(value: object, least: float = -_MOST_NUMBER, most: float = _MOST_NUMBER) -> bool:
    # What is no number at all (NaN) lies between no two.
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


_FACTS: dict[str, Callable[[Any], bool]] = {
    "blurhash": _matches(_BLURHASH),
    "thumbhash": _is_thumbhash,
    "colors": _are_colors,
    "phash": _matches(_PHASH),
}
_METADATA: dict[str, Callable[[Any], bool]] = {
    "exif": _are_fields,
    "gps": _is_place,
    "xmp": _is_flag,
    "iptc": _is_flag,
    "comment": _is_flag,
    "icc": lambda value: value is None or _is_text(value),
}


def _seconds(microseconds: object) -> float:
    if not 0 <= (told := _whole(microseconds)) < _MOST_NUMBER:
        raise HostileReply("a time that cannot be")
    return told / 1e6


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise HostileReply("a size that is no whole number")
    return value


def _matching(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise HostileReply("an upload of an unknown kind")
    return value


# What a header says of its size; each takes the first bytes and the whole, and raises
# ValueError, IndexError or struct.error when the signature is another.

_HEAD_BYTES = 4096


def _png(head: bytes, _: memoryview) -> Size:
    _begins(head, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    return _pair(">II", head, 16)


def _gif(head: bytes, _: memoryview) -> Size:
    _begins(head, b"GIF8")
    return _pair("<HH", head, 6)


def _bmp(head: bytes, _: memoryview) -> Size:
    _begins(head, b"BM")
    width, height = _pair("<ii", head, 18)
    return width, abs(height)


def _webp(head: bytes, _: memoryview) -> Size:
    _begins(head, b"RIFF")
    chunk = head[8:16]
    if chunk == b"WEBPVP8X":
        return (
            1 + int.from_bytes(head[24:27], "little"),
            1 + int.from_bytes(head[27:30], "little"),
        )
    if chunk == b"WEBPVP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    _begins(chunk, b"WEBPVP8 ")
    width, height = _pair("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(head: bytes, whole: memoryview) -> Size:
    _begins(head, b"\xff\xd8\xff")
    at = 2
    for _ in range(1024):
        marker, length = struct.unpack_from(">HH", whole, at)
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", whole, at + 5)
            return width, height
        at += 2 + length
    raise ValueError("no frame header")


def _tiff(head: bytes, whole: memoryview) -> Size:
    _begins(head, b"II*\0")
    (at,) = struct.unpack_from("<I", head, 4)
    (count,) = struct.unpack_from("<H", whole, at)
    tags = {}
    for index in range(min(count, 256)):
        tag, kind, _, value = struct.unpack_from("<HHII", whole, at + 2 + 12 * index)
        tags[tag] = value & 0xFFFF if kind == 3 else value
    return tags[256], tags[257]


def _jp2(head: bytes, _: memoryview) -> Size:
    _begins(head, b"\0\0\0\x0cjP  \r\n\x87\n")
    height, width = _pair(">II", head, head.index(b"ihdr") + 4)
    return width, height


def _avif(head: bytes, _: memoryview) -> Size:
    _begins(head[4:12], b"ftypavi")
    return _pair(">II", head, head.index(b"ispe") + 8)


def _jxl(head: bytes, _: memoryview) -> Size:
    """ISO/IEC 18181-1, 9.2.1 SizeHeader, in a bare codestream."""
    _begins(head, b"\xff\x0a")
    bits = int.from_bytes(head[2:32], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side(is_small: int) -> int:
        return 8 * (1 + take(5)) if is_small else 1 + take((9, 13, 18, 30)[take(2)])

    is_small = take(1)
    height = side(is_small)
    ratio = take(3)
    if ratio == 0:
        return side(is_small), height
    over, under = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[ratio - 1]
    return height * over // under, height


def _begins(head: bytes, signature: bytes) -> None:
    if not head.startswith(signature):
        raise ValueError("another signature")


def _pair(layout: str, head: bytes, at: int) -> Size:
    first, second = struct.unpack_from(layout, head, at)
    return first, second


_SIZES: dict[str, Callable[[bytes, memoryview], Size]] = {
    "avif": _avif,
    "bmp": _bmp,
    "gif": _gif,
    "jp2": _jp2,
    "jpeg": _jpeg,
    "jxl": _jxl,
    "png": _png,
    "tiff": _tiff,
    "webp": _webp,
}
