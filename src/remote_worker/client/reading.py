"""Results out of the bytes of an answer. Pure. Unknown members are left alone: workers get newer."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from . import errors, results
from .errors import Unanswered
from .parts import BadParts, Parts

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

LONGEST_LINE = 4 * 1024 * 1024
MOST_ANSWER_BYTES = 256 * 1024 * 1024
"""The worker makes at most 64 MiB of pictures, which are 86 MiB of base64."""
AVATAR = "avatar"
PNG_TYPE = "image/png"


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer."""

    status: int
    content_type: str


class Reader(Protocol[T_co]):
    """Takes an answer's body in chunks and makes a result of it."""

    def feed(self, chunk: bytes) -> None:
        """The next bytes. Raises Unanswered."""

    def finish(self) -> T_co:
        """The result. Raises Unanswered."""


class Whole(Generic[T]):
    """Keeps the whole body, for what can be read at the end only."""

    def __init__(self, head: Head, read: Callable[[Head, bytes], T]) -> None:
        self._head = head
        self._read = read
        self._body = bytearray()

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        self._body += chunk
        if len(self._body) > MOST_ANSWER_BYTES:
            raise _bad("the answer is too long")

    def finish(self) -> T:
        """The result."""
        return _checked(lambda: self._read(self._head, bytes(self._body)))


class PresetReader:
    """Reads multipart/mixed: first what is told, then the pictures."""

    def __init__(self, head: Head) -> None:
        self._parts = _checked(lambda: Parts(head.content_type))
        self._bytes = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        self._bytes += len(chunk)
        if self._bytes > MOST_ANSWER_BYTES:
            raise _bad("the answer is too long")
        _checked(lambda: self._parts.feed(chunk))

    def finish(self) -> results.Outputs:
        """The result."""
        return _checked(self._read)

    def _read(self) -> results.Outputs:
        first, *pictures = self._parts.finish()
        told = json.loads(first.body)
        made = {
            part.name: results.Output(
                body=part.body,
                media_type=part.headers.get("content-type", ""),
                format=told["outputs"][part.name]["format"],
                width=int(told["outputs"][part.name]["width"]),
                height=int(told["outputs"][part.name]["height"]),
            )
            for part in pictures
        }
        return results.Outputs(
            outputs=MappingProxyType(made),
            facts=_facts(told.get("facts") or {}),
            media_type=told["uploaded"]["mime"],
        )


class PreviewLines:
    """Reads lines of JSON; `feed` gives those that are whole."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._waiting = b""

    def feed(self, chunk: bytes) -> list[results.PreviewLine]:
        """The lines that end in the next bytes. Raises Unanswered."""
        *lines, self._waiting = (self._waiting + chunk).split(b"\n")
        if len(self._waiting) > LONGEST_LINE:
            raise _bad("a line is too long")
        return [_checked(partial(self._read, line)) for line in lines if line]

    def finish(self) -> None:
        """It is over. Raises Unanswered when the last line is cut."""
        if self._waiting:
            raise Unanswered(errors.CUT, "the last line is cut")

    def _read(self, line: bytes) -> results.PreviewLine:
        told = json.loads(line)
        index = told["index"]
        if told["success"]:
            return results.PreviewLine(index=index, url=self._urls[index], preview=preview(told), error=None)
        return results.PreviewLine(
            index=index, url=self._urls[index], preview=None, error=errors.of_line(told)
        )


def picture(head: Head, body: bytes) -> results.Picture:
    """A picture's own bytes."""
    if not head.content_type.startswith("image/"):
        raise ValueError("the answer is no picture")
    return results.Picture(body=body, media_type=head.content_type)


def avatars(told: Mapping[str, Any]) -> results.Avatars:
    """The pictures of each side."""
    made = {
        int(name.removeprefix(AVATAR)): results.Picture(
            body=base64.b64decode(told[name]["body"], validate=True), media_type=PNG_TYPE
        )
        for name in told
        if name.startswith(AVATAR)
    }
    return results.Avatars(
        pictures=MappingProxyType(dict(sorted(made.items()))), media_type=told["uploaded"]["mime"]
    )


def info(told: Mapping[str, Any]) -> results.Info:
    """What the header says."""
    renamed = {"media_type": told["mime_type"], "bytes": told["binary_size"]}
    metadata = told.get("metadata")
    renamed["metadata"] = None if metadata is None else _metadata(metadata)
    return _filled(results.Info, {**told, **renamed})


def facts(told: Mapping[str, Any]) -> results.Facts:
    """Placeholders, colours and hash."""
    return _facts(told.get("facts", told))


def distance(told: Mapping[str, Any]) -> int:
    """Bits that differ."""
    return int(told["distance"])


def preview(told: Mapping[str, Any]) -> results.Preview:
    """A card."""
    images = tuple(_filled(results.LinkedImage, {"proxy_url": None, **image}) for image in told["images"])
    lists = {"images": images, "flags": tuple(told["flags"]), "members": MappingProxyType(dict(told))}
    return _filled(results.Preview, {**told, **lists})


def html(told: Mapping[str, Any]) -> str:
    """Sanitised HTML."""
    output = told["output"]
    if not isinstance(output, str):
        raise TypeError("output is a text")
    return output


def job(told: Mapping[str, Any]) -> results.Job:
    """A job."""
    return _filled(results.Job, told)


def result(head: Head, body: bytes) -> results.Result:
    """An answer that was recorded."""
    return results.Result(body=body, media_type=head.content_type)


def forgotten(told: Mapping[str, Any]) -> None:
    """That a job is gone."""
    if told["forgotten"] is not True:
        raise ValueError("it is not forgotten")


def resolved(told: Mapping[str, Any]) -> results.Resolved:
    """Records."""
    lists = {"answers": tuple(told["answers"]), "nameservers": tuple(told["nameservers"])}
    return _filled(results.Resolved, {**told, **lists})


def address(told: Mapping[str, Any]) -> results.Address:
    """The caller's address."""
    return _filled(results.Address, told)


def geo(told: Mapping[str, Any]) -> results.Geo:
    """Where an address is."""
    return _filled(results.Geo, told)


def ens(told: Mapping[str, Any]) -> results.EnsName:
    """Who owns a name."""
    return _filled(results.EnsName, told)


def capabilities(told: Mapping[str, Any]) -> results.Capabilities:
    """What is offered."""
    formats = {
        name: _filled(results.FormatOffered, {**row, "media_type": row["mime"]})
        for name, row in told["formats"].items()
    }
    operations = {name: _filled(results.OperationOffered, row) for name, row in told["operations"].items()}
    return results.Capabilities(
        version=told["version"],
        formats=MappingProxyType(formats),
        operations=MappingProxyType(operations),
        limits=MappingProxyType(dict(told["limits"])),
    )


def readiness(head: Head, body: bytes) -> results.Readiness:
    """Of an answer with 200, or with 503 from the worker itself."""
    told = json.loads(body)
    return results.Readiness(
        is_ready=head.status == 200,
        reason=told.get("reason", ""),
        formats=MappingProxyType(dict(told.get("formats", {}))),
    )


def stats(told: Mapping[str, Any]) -> results.Stats:
    """The load."""
    return _filled(results.Stats, {**told, "members": MappingProxyType(dict(told))})


def greeting(told: Mapping[str, Any]) -> results.Greeting:
    """Who answers."""
    return _filled(results.Greeting, told)


def of_json(read: Callable[[Mapping[str, Any]], T]) -> Callable[[Head], Reader[T]]:
    """A reader of a JSON object."""
    return lambda head: Whole(head, lambda _, body: read(json.loads(body)))


def of_bytes(read: Callable[[Head, bytes], T]) -> Callable[[Head], Reader[T]]:
    """A reader of the bytes as they are."""
    return lambda head: Whole(head, read)


def _facts(told: Mapping[str, Any]) -> results.Facts:
    return results.Facts(
        blurhash=told.get("blurhash", ""),
        thumbhash=base64.b64decode(told.get("thumbhash", ""), validate=True),
        colors=tuple(told.get("colors", ())),
        phash=told.get("phash", ""),
    )


def _metadata(told: Mapping[str, Any]) -> results.Metadata:
    gps = told["gps"]
    return results.Metadata(
        exif=MappingProxyType(dict(told["exif"])),
        location=None if gps is None else _filled(results.Location, gps),
        has_xmp=told["xmp"],
        has_iptc=told["iptc"],
        has_comment=told["comment"],
        icc=told["icc"],
    )


def _filled(kind: type[T], told: Mapping[str, Any]) -> T:
    """The members that the result has, and no others."""
    return kind(**{field.name: told[field.name] for field in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def _checked(read: Callable[[], T]) -> T:
    try:
        return read()
    except (BadParts, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as wrong:
        raise _bad(f"the answer is not what was asked for ({wrong})") from wrong


def _bad(message: str) -> Unanswered:
    return Unanswered(errors.BAD_ANSWER, message)
