"""What the jail does for a ReadPage: a page's bytes in, its facts out."""

import json
from typing import Any

from ...contract import wire
from ...contract.texts import ReadPage
from ..reading import Read, encode
from . import charset
from .fields import Facts, Page, chosen, kept_raw
from .scanner import Reader

_LISTS = ("images", "icons", "videos", "audios", "oembed")
_SAMPLE = """<!doctype html><html lang=en><head><meta charset=utf-8><title>A &amp; \u00e9\u0301</title>
<base href="/b/"><link rel=icon href=/i><link rel=canonical href="https://b\u00fccher.example/">
<meta property=og:image content="a.png"><meta property=og:image:alt content="\u4e00\u200b">
<meta property="article:published_time" content="2026-11-22T10:00:00Z">
<script type="application/ld+json">{"@type": "Article", "author": {"name": "C"}}</script>
</head><body><h1>D</h1>"""


def read(task: ReadPage, data: bytes) -> Read:
    """The facts of `contract.links.PageFacts`, those that there are, never more than a reply may hold."""
    text, name = charset.decode(data, task.charset)
    page = Page(task.url, Reader(text))
    facts = chosen(page)
    facts["charset"] = name
    facts["raw"] = kept_raw(page)
    encoded = encode(facts)
    if len(encoded) > wire.JSON_BYTES:
        return Read(facts=_fitted(facts))
    return Read(facts=facts, encoded=encoded)


def warm() -> None:
    """Load what is loaded late: codecs, tables of names, of characters and of dates."""
    charset.warm()
    for sample in (_SAMPLE, "<title>Sign in</title><input type=password>", "<h1>A</h1><p>b<img src=/c>"):
        read(ReadPage(url="https://example.com/"), sample.encode())
        read(ReadPage(url="https://example.com/", charset="gbk"), sample.encode("gb18030"))
        read(ReadPage(url="https://example.com/"), sample.encode("utf-16"))
    read(ReadPage(url="https://example.com/"), "\u0434\u043b\u044f ".encode("cp1251") * 20)


def _bytes(facts: Any) -> int:
    return len(json.dumps(facts))


def _fitted(facts: Facts) -> Facts:
    """Without the ends of its longest lists, then with as much of `raw` as there is room for."""
    raw = facts.pop("raw")
    most = wire.JSON_BYTES - len('"raw": {"og": {}, "twitter": {}, "json_ld": []}, ')
    while (room := most - _bytes(facts)) < 0:
        longest = max(_LISTS, key=lambda name: _bytes(facts.get(name, [])))
        facts[longest].pop()
    kept: Facts = {}
    for kind in ("og", "twitter"):
        for name, value in raw.get(kind, {}).items():
            room -= _bytes({name: value})
            if room >= 0:
                kept.setdefault(kind, {})[name] = value
    for block in raw.get("json_ld", ()):
        room -= _bytes(block) + 2
        if room >= 0:
            kept.setdefault("json_ld", []).append(block)
    return {**facts, "raw": kept}
