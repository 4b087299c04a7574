"""A request as bytes, and an answer from bytes: HTTP/1.1 for one who trusts no server. Knows no socket."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import httptools

from ... import __version__
from ...contract.document import Document
from ...contract.failures import FailureCode, WorkFailed
from ...contract.links import POSTED, Purpose, Want
from . import coding, sniff
from .body import Body

MOST_HEAD_BYTES = 64 * 1024
"""Of an answer, with the interim ones before it."""
MOST_FIELDS = 100
LONGEST_FIELD_BYTES = 8 * 1024
"""Name and value."""
MOST_INTERIM = 4
"""Answers of the 100 class before the one that counts."""
MOST_FRAMING_BYTES = 64 * 1024
"""Of a body in chunks, beside as many bytes as it has of data."""

KEPT = frozenset(
    {
        "age",
        "cache-control",
        "cf-mitigated",
        "content-language",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "link",
        "retry-after",
        "server",
        "vary",
        "www-authenticate",
        "x-amzn-waf-action",
        "x-datadome",
        "x-iinfo",
        "x-robots-tag",
        "x-sucuri-id",
        "x-vercel-mitigated",
    }
)
"""Headers of an answer that somebody asks for."""

_READ = {
    name.encode(): name
    for name in KEPT
    | {"content-disposition", "content-encoding", "content-length", "location", "transfer-encoding"}
}

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ACCEPT = {
    Purpose.PAGE: "text/html,application/xhtml+xml;q=0.9,image/*;q=0.5,*/*;q=0.1",
    Purpose.IMAGE: "image/avif,image/webp,image/*,*/*;q=0.5",
    Purpose.OEMBED: "application/json,text/xml;q=0.8,application/xml;q=0.8,*/*;q=0.1",
    Purpose.RPC: "application/json",
    Purpose.CHECK: "application/json",
    Purpose.WEBHOOK: "*/*",
}
_UNFIT = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Speaker:
    """As whom requests are made."""

    contact: str = ""
    language: str = ""
    """Where a want names none."""
    via: str = ""
    """Token of the Via header."""

    def request(self, want: Want, authority: str, path: str) -> bytes:
        """The request, the same whatever led here. Raises WorkFailed for what no header can hold."""
        contact = f"; +{self.contact}" if self.contact else ""
        why = "webhook" if want.purpose is Purpose.WEBHOOK else "link preview"
        fields = {
            "Host": authority,
            "User-Agent": f"RemoteWorker/{__version__} ({why}{contact})",
            "Accept": _ACCEPT[want.purpose],
            "Accept-Language": want.language or self.language,
            "Accept-Encoding": "gzip, deflate",
            # A server's own words: without those that no header can hold it is simply asked anew.
            "If-None-Match": "" if _UNFIT.search(want.etag) else want.etag,
            "If-Modified-Since": "" if _UNFIT.search(want.last_modified) else want.last_modified,
            "Via": f"1.1 {self.via}" if self.via else "",
            "Connection": "close",
        }
        method = "GET"
        if want.is_posted:
            method = "POST"
            fields |= {
                "Content-Type": "application/json",
                "Content-Length": str(len(want.body)),
                "Authorization": want.authorization,
            }
        if want.purpose is Purpose.WEBHOOK:
            fields |= dict(want.headers)
        head = f"{method} {path} HTTP/1.1\r\n"
        for name, value in fields.items():
            if _UNFIT.search(value):
                raise WorkFailed(FailureCode.BAD_PARAMETER, name.lower())
            if value:
                head += f"{name}: {value}\r\n"
        return f"{head}\r\n".encode("latin-1") + (want.body if want.is_posted else b"")


class Answer:
    """One answer, in whatever pieces its bytes come. Owns what it keeps: close it, unless `body` was taken.

    Every method raises WorkFailed when the answer is not what was wanted. Then `status` and `headers` say
    whose, if its head came.
    """

    def __init__(self, purpose: Purpose, most_bytes: int, *, is_conditional: bool = False) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.location: str | None = None
        """Where it points, of a redirect."""
        self.is_headed = False
        """Its head has come, and may go on."""
        self.is_done = False
        """Nothing more is wanted of it."""
        self.is_cut = False
        """There was more."""
        self.received_bytes = 0
        self.body_bytes = 0
        """On the wire."""
        self._purpose = purpose
        self._most_bytes = most_bytes
        self._is_conditional = is_conditional
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._has_long_location = False
        self._field_bytes = 0
        self._interim = 0
        self._has_head = False
        self._has_end = False
        """The parser saw it."""
        self._is_chunked = False
        self._is_counted = False
        """Its end is told by a length or by chunks, not by the end of the connection."""
        self._refusal: WorkFailed | None = None
        """Found inside the parser."""
        self._pieces: list[bytes] = []
        self._unpacker = coding.Unpacker("")
        self._body = Body(purpose, "", most_bytes)

    def feed(self, data: bytes) -> None:
        """Some bytes came."""
        if not self.received_bytes and not data.startswith(b"H"):
            # The parser would also take what other protocols say.
            raise _bad("status line")
        self.received_bytes += len(data)
        broken: WorkFailed | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            broken = _bad("upgrade")
        except httptools.HttpParserError as error:
            broken = self._refusal or _bad("syntax")
            broken.__cause__ = error
        if self._has_head and not self.is_headed:
            self._read_head()
            self.is_headed = True
        if self.is_done:
            return
        if broken is not None and not self._has_end:
            raise broken
        if not self._has_head:
            if self.received_bytes > MOST_HEAD_BYTES:
                raise _bad("head")
            return
        self._read_body()

    def end(self) -> None:
        """The connection ended. It was whole, or this raises."""
        if self.is_done:
            return
        if not self.is_headed:
            raise _bad("closed" if not self.received_bytes else "truncated")
        if self._is_counted and not self._has_end:
            raise _bad("truncated")
        self._finish()

    @property
    def media_type(self) -> str:
        """What its body is."""
        return self._body.media_type

    def take(self) -> Document:
        """What was kept of its body. The caller closes it."""
        return self._body.take()

    def close(self) -> None:
        """Let go of what nobody took."""
        self._body.close()

    # What the parser calls. It wraps what is raised here.

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field of a head, or of a trailer."""
        if self._has_head:
            return
        self._field_bytes += len(name) + len(value)
        if len(name) + len(value) > LONGEST_FIELD_BYTES:
            if name.lower() != b"location":
                self._refuse("field")
            self._has_long_location = True
        self._fields.append((name.lower(), value))
        if len(self._fields) > MOST_FIELDS:
            self._refuse("fields")
        if self._field_bytes > MOST_HEAD_BYTES:
            self._refuse("head")

    def on_headers_complete(self) -> None:
        """A head is over."""
        if self._has_head:
            return
        self.status = self._parser.get_status_code()
        if self.status == 101 or not self.status >= 100:
            self._refuse("status")
        if self._parser.get_http_version() not in ("1.1", "1.0"):
            self._refuse("version")
        if self.status < 200:
            self._interim += 1
            if self._interim > MOST_INTERIM:
                self._refuse("interim")
            self._fields.clear()
            self.status = 0
        else:
            self._has_head = True

    def on_body(self, data: bytes) -> None:
        """Bytes of the body, out of their frame."""
        if not self._has_end:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The end of an answer, maybe of an interim one."""
        self._has_end = self._has_head

    def _refuse(self, word: str) -> None:
        self._refusal = _bad(word)
        raise self._refusal

    def _read_head(self) -> None:
        fields: dict[str, list[str]] = {}
        for raw, value in self._fields:
            name = _READ.get(raw)
            if name is not None:
                fields.setdefault(name, []).append(_text(value))
        self.headers = {name: ", ".join(values) for name, values in fields.items() if name in KEPT}
        self._fields.clear()
        chunked = fields.get("transfer-encoding", [])
        if [value.lower() for value in chunked] not in ([], ["chunked"]):
            raise _bad("transfer-encoding")
        length = fields.get("content-length", [])
        self._is_chunked = bool(chunked)
        self._is_counted = bool(chunked or length)
        self._check_status(fields)
        if self.is_done:
            return
        essence = sniff.essence_of(fields.get("content-type", ()))
        disposition = fields.get("content-disposition", [""])[-1]
        sniff.check_declared(
            self._purpose,
            essence,
            is_attachment=disposition.partition(";")[0].strip().lower() == "attachment",
        )
        self._unpacker = coding.Unpacker(coding.layer_of(",".join(fields.get("content-encoding", ()))))
        if self._purpose is not Purpose.PAGE and length and int(length[0]) > self._most_bytes:
            raise WorkFailed(FailureCode.TOO_LARGE, "content-length")
        self._body = Body(self._purpose, essence, self._most_bytes)

    def _check_status(self, fields: Mapping[str, list[str]]) -> None:
        status = self.status
        if status in REDIRECTS and self._purpose not in POSTED:
            self.location = self._pointed(fields.get("location", []))
            self.is_done = True
        elif status == 304 and self._is_conditional:
            self.is_done = True
        elif 400 <= status < 500:
            raise WorkFailed(FailureCode.HTTP_4XX, str(status))
        elif 500 <= status < 600:
            raise WorkFailed(FailureCode.HTTP_5XX, str(status))
        elif not 200 <= status < 300:
            raise WorkFailed(FailureCode.HTTP_STATUS, str(status))
        elif self._purpose is Purpose.WEBHOOK:
            # It has taken notice. What else it says nobody reads, so it cannot make us wait either.
            self.is_done = True
        elif status in (204, 205):
            raise WorkFailed(FailureCode.HTTP_STATUS, str(status))

    def _pointed(self, values: list[str]) -> str:
        if self._has_long_location:
            raise WorkFailed(FailureCode.REDIRECT_INVALID, "too long")
        if len(values) != 1:
            raise WorkFailed(FailureCode.REDIRECT_INVALID, "twice" if values else "missing")
        if not values[0]:
            raise WorkFailed(FailureCode.REDIRECT_INVALID, "empty")
        return values[0]

    def _read_body(self) -> None:
        data = b"".join(self._pieces)
        self._pieces.clear()
        self.body_bytes += len(data)
        framing = self.received_bytes - self._field_bytes - self.body_bytes
        if self._is_chunked and framing > MOST_FRAMING_BYTES + self.body_bytes:
            raise _bad("framing")
        for piece in self._unpacker.unpack(data) if data else ():
            self._body.add(piece)
            if self._body.is_full:
                self.is_done = self.is_cut = True
                return
        if self._has_end:
            self._finish()

    def _finish(self) -> None:
        self._unpacker.end()
        self._body.end()
        if not self._body.size_bytes:
            raise WorkFailed(FailureCode.HTTP_STATUS, f"{self.status} without a body")
        self.is_cut = self._body.is_full
        self.is_done = True


def _bad(word: str) -> WorkFailed:
    return WorkFailed(FailureCode.BAD_HTTP, word)


def _text(value: bytes) -> str:
    """What servers mean: UTF-8 where it can be, and one letter for each byte where not."""
    value = value.rstrip(b" \t")
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
