"""Checks a child's body as if its writer were hostile: every picture is what was asked for and claimed."""

import re
import struct
from collections.abc import Callable, Mapping
from typing import Any

from ..contract import wire
from ..contract.messages import ALWAYS_MADE, AVATAR_SIZES, Avatars, Fit, Info, Picture, Prepare, Reply, Task

_MIME = re.compile(r"image/[a-z0-9][a-z0-9.+-]{0,60}")
_FORMAT = re.compile(r"[a-z0-9]{2,8}")
_WORD = re.compile(r"[a-z0-9./+-]{1,64}")
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
            info=_info(facts.get("info", {})),
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
    if not right:
        raise HostileReply(f"pictures that {task.kind} does not make")


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


def _info(info: Mapping[str, Any]) -> dict[str, Any]:
    for value in info.values():
        if isinstance(value, str):
            fits = _WORD.fullmatch(value) is not None
        else:
            fits = value is None or (isinstance(value, int) and 0 <= value < _MOST_NUMBER)
        if not fits:
            raise HostileReply("info with strange values")
    return dict(info)


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
