"""Every call that a client makes, as a value: what to send, and how to read the answer. Pure."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import quote

from . import reading, results
from .bodies import Content, Json, PictureOf, Source
from .reading import Head, Reader

T = TypeVar("T")

Box = int | tuple[int, int]
"""A side in pixels, or width and height."""

JSON = "application/json"
PICTURE = "image/*"
MIXED = "multipart/mixed"
LINES = "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request, before it has a server, a key and a signature."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    accept: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    """Besides those of every request."""
    content: Content | None = None
    accepted: frozenset[int] = frozenset({200})
    """The statuses that are read as an answer; any other is a failure."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request whose answer becomes one result."""

    ask: Ask
    reader: Callable[[Head], Reader[T]]


def prepare_jpeg(source: Source | None, url: str | None, *, keep_metadata: bool) -> Call[results.Picture]:
    """A JPEG upright and without metadata."""
    query = {"metadata": "keep"} if keep_metadata else {}
    ask = _upload("/images/prepare_jpeg", source, url, query, PICTURE)
    return Call(ask, reading.of_bytes(reading.picture))


def fit(
    box: Box,
    source: Source | None,
    url: str | None,
    *,
    mode: str | None,
    gravity: str | None,
    background: str | None,
    enlarge: bool,
    format: str | None,
    quality: int | None,
    animated: bool,
) -> Call[results.Picture]:
    """A picture in a box."""
    query = _query(
        mode=mode,
        gravity=gravity,
        background=background,
        enlarge=enlarge,
        format=format,
        quality=quality,
        animated=animated,
    )
    ask = _upload(f"/images/fit/{_box(box)}", source, url, query, PICTURE)
    return Call(ask, reading.of_bytes(reading.picture))


def avatars(source: Source | None, url: str | None, *, animated: bool) -> Call[results.Avatars]:
    """Square pictures."""
    ask = _upload("/images/rescale_avatar", source, url, _query(animated=animated))
    return Call(ask, reading.of_json(reading.avatars))


def info(source: Source | None, url: str | None, *, metadata: bool) -> Call[results.Info]:
    """What a header says."""
    ask = _upload("/images/info", source, url, _query(metadata=metadata))
    return Call(ask, reading.of_json(reading.info))


def facts(source: Source | None, url: str | None, *, only: Sequence[str]) -> Call[results.Facts]:
    """Placeholders, colours and hash."""
    ask = _upload("/images/facts", source, url, _query(facts=",".join(only)))
    return Call(ask, reading.of_json(reading.facts))


def distance(one: str, other: str) -> Call[int]:
    """How far two hashes are apart."""
    ask = Ask(path="/images/distance", query={"a": one, "b": other})
    return Call(ask, reading.of_json(reading.distance))


def preset(name: str, source: Source | None, url: str | None) -> Call[results.Outputs]:
    """All that a preset makes."""
    ask = _upload(f"/images/preset/{_segment(name)}", source, url, {}, MIXED)
    return Call(ask, reading.PresetReader)


def preview(url: str, *, lang: str | None, force: bool) -> Call[results.Preview]:
    """What a link leads to."""
    ask = Ask(path="/links/preview", query=_query(url=url, lang=lang, force=force))
    return Call(ask, reading.of_json(reading.preview))


def previews(urls: Sequence[str], *, lang: str | None, force: bool) -> Ask:
    """What many links lead to: the answer is read line by line."""
    members = {"urls": list(urls), **({"lang": lang} if lang else {}), **({"force": True} if force else {})}
    return Ask(path="/links/previews", method="POST", accept=LINES, content=Json(members))


def image_by_url(
    url: str,
    *,
    fit: Box | None,
    avatar: int | None,
    preset: str | None,
    format: str | None,
    quality: int | None,
    animated: bool,
) -> Call[results.Picture]:
    """A picture by its URL, made anew."""
    query = _query(
        url=url,
        fit=None if fit is None else _box(fit),
        avatar=avatar,
        preset=preset,
        format=format,
        quality=quality,
        animated=animated,
    )
    ask = Ask(path="/links/image", query=query, accept=PICTURE)
    return Call(ask, reading.of_bytes(reading.picture))


def render_markdown(text: str, *, proxy_images: bool) -> Call[str]:
    """Markdown as HTML."""
    members = {"text": text, **({"proxy_images": True} if proxy_images else {})}
    ask = Ask(path="/text/render_markdown", method="POST", content=Json(members))
    return Call(ask, reading.of_json(reading.html))


def submit(
    request: str,
    source: Source | None,
    url: str | None,
    *,
    members: Mapping[str, object] | None,
    method: str | None,
    accept: str,
    callback: str | None,
    idempotency_key: str | None,
) -> Call[results.Job]:
    """A request that is answered later. It has a key in any case, so that no try makes a second job."""
    content: Content | None = None
    if members is not None:
        if source is not None or url is not None:
            raise ValueError("give a picture, its url, or members")
        content = Json(members)
    elif source is not None or url is not None:
        content = PictureOf(source, url)
    ask = Ask(
        path="/jobs",
        query=_query(request=request, method=method, callback=callback),
        method="POST",
        accept=accept,
        headers={"idempotency-key": f'"{idempotency_key or secrets.token_hex(16)}"'},
        content=content,
        accepted=frozenset({202}),
    )
    return Call(ask, reading.of_json(reading.job))


def job(id: str, *, wait: float) -> Call[results.Job]:
    """How far a job is."""
    ask = Ask(path=_job(id), query={"wait": f"{wait:g}"} if wait else {})
    return Call(ask, reading.of_json(reading.job))


def result(id: str) -> Call[results.Result]:
    """What a job's request is answered."""
    return Call(Ask(path=f"{_job(id)}/result"), reading.of_bytes(reading.result))


def forget(id: str) -> Call[None]:
    """The end of a job."""
    return Call(Ask(path=_job(id), method="DELETE"), reading.of_json(reading.forgotten))


def resolve(domain: str, type: str) -> Call[results.Resolved]:
    """The records of a name."""
    ask = Ask(path="/dns/resolve", query={"domain": domain, "type": type})
    return Call(ask, reading.of_json(reading.resolved))


def ip() -> Call[results.Address]:
    """The caller's address."""
    return Call(Ask(path="/ip"), reading.of_json(reading.address))


def geo(address: str) -> Call[results.Geo]:
    """Where an address is."""
    return Call(Ask(path=f"/geo/{_segment(address)}"), reading.of_json(reading.geo))


def ens(name: str) -> Call[results.EnsName]:
    """Who owns an ENS name."""
    return Call(Ask(path=f"/ens/{_segment(name)}"), reading.of_json(reading.ens))


def capabilities() -> Call[results.Capabilities]:
    """What is offered."""
    return Call(Ask(path="/capabilities"), reading.of_json(reading.capabilities))


def ready() -> Call[results.Readiness]:
    """Whether the worker can work: that it cannot is an answer too."""
    ask = Ask(path="/readyz", accepted=frozenset({200, 503}))
    return Call(ask, reading.of_bytes(reading.readiness))


def stats() -> Call[results.Stats]:
    """The load."""
    return Call(Ask(path="/stats"), reading.of_json(reading.stats))


def hello() -> Call[results.Greeting]:
    """Who answers."""
    return Call(Ask(path="/hello"), reading.of_json(reading.greeting))


def _upload(
    path: str, source: Source | None, url: str | None, query: Mapping[str, str], accept: str = JSON
) -> Ask:
    content = PictureOf(source, url)
    # Failures come as JSON either way.
    return Ask(path=path, query=query, method="POST", accept=accept, content=content)


def _query(**given: str | int | bool | None) -> dict[str, str]:
    """Without what is not said: the worker's own defaults hold."""
    return {
        name: "1" if value is True else str(value)
        for name, value in given.items()
        if value is not None and value is not False and value != ""
    }


def _box(box: Box) -> str:
    return str(box) if isinstance(box, int) else "x".join(map(str, box))


def _job(id: str) -> str:
    return f"/jobs/{_segment(id)}"


def _segment(text: str) -> str:
    return quote(text, safe="")
