"""An oEmbed answer is read to the members that a card shows, whatever it says."""

import json
from typing import Any

import pytest

from remote_worker.contract import wire
from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.texts import ReadOembed
from remote_worker.decoder.page import oembed
from remote_worker.pool import verify_page

ANSWER = {
    "type": "video",
    "version": "1.0",
    "title": "A  &amp; \u202eB",
    "author_name": "Jane",
    "author_url": "/jane",
    "provider_name": "Tube",
    "provider_url": "https://tube.example",
    "cache_age": "86400",
    "thumbnail_url": "//cdn.example/t.jpg",
    "thumbnail_width": 480,
    "thumbnail_height": 360.0,
    "width": "640",
    "height": "100%",
    "html": "<iframe src=javascript:alert(1)></iframe>",
    "other": {"a": 1},
}
FACTS = {
    "type": "video",
    "version": "1.0",
    "title": "A &amp; B",
    "author_name": "Jane",
    "author_url": "https://o.example/jane",
    "provider_name": "Tube",
    "provider_url": "https://tube.example/",
    "cache_age": 86400,
    "thumbnail_url": "https://cdn.example/t.jpg",
    "thumbnail_width": 480,
    "thumbnail_height": 360,
    "width": 640,
    "has_html": True,
}


def read(data: bytes | str, media_type: str = "application/json") -> dict[str, Any]:
    body = data if isinstance(data, bytes) else data.encode()
    facts = oembed.read(ReadOembed(url="https://o.example/x", media_type=media_type), body).facts
    assert verify_page.oembed(wire.read_facts(memoryview(json.dumps(facts).encode()))) == facts
    return facts


def refused(data: bytes | str, media_type: str = "application/json") -> None:
    with pytest.raises(WorkFailed) as failed:
        read(data, media_type)
    assert failed.value.code is FailureCode.DAMAGED


def test_json_is_read_without_its_html() -> None:
    assert read(json.dumps(ANSWER)) == FACTS
    assert read(b"\xef\xbb\xbf" + json.dumps(ANSWER).encode(), "text/javascript") == FACTS


def test_xml_is_read_without_its_html() -> None:
    xml = """<?xml version="1.0" encoding="utf-8"?><oembed><type>video</type><version>1.0</version>
    <title>A  &amp;amp; \u202eB</title><author_name>Jane</author_name><author_url>/jane</author_url>
    <provider_name>Tube</provider_name><provider_url>https://tube.example</provider_url><cache_age>86400</cache_age>
    <thumbnail_url>//cdn.example/t.jpg</thumbnail_url><thumbnail_width>480</thumbnail_width>
    <thumbnail_height>360</thumbnail_height><width>640</width><height>100%</height>
    <html>&lt;iframe&gt;</html><other><title>no</title></other></oembed>"""

    assert read(xml, "text/xml") == FACTS
    assert read("\n" + xml.partition("?>")[2], "") == FACTS


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ({"type": "script"}, {}),
        ({"type": "rich", "html": " "}, {"type": "rich"}),
        ({"version": 1.0}, {"version": "1.0"}),
        ({"title": ["a"], "author_name": True, "provider_name": None}, {}),
        ({"url": "javascript:alert(1)", "thumbnail_url": "data:,x", "author_url": "file:///x"}, {}),
        ({"thumbnail_url": "http://127.0.0.1/x"}, {"thumbnail_url": "http://127.0.0.1/x"}),
        ({"width": -1, "height": 1_000_000, "cache_age": 1e300}, {"height": 1_000_000}),
        ({"width": 1_000_001}, {}),
        ({"cache_age": 316_224_000}, {"cache_age": 316_224_000}),
        ({"cache_age": 316_224_001}, {}),
        ({"title": "x" * 301}, {"title": "x" * 299 + "\u2026"}),
        ({"html": 5}, {}),
    ],
)
def test_members_that_are_not_what_they_should_be_are_left_out(
    said: dict[str, Any], facts: dict[str, Any]
) -> None:
    assert read(json.dumps(said)) == facts


@pytest.mark.parametrize("text", ["", "[]", "{", '{"width": NaN}', "<html>", "null", '"x"'])
def test_what_is_no_answer_is_damaged(text: str) -> None:
    refused(text)


def test_json_is_nested_32_deep_at_most() -> None:
    def nested(depth: int) -> str:
        return '{"title": "T", "a": ' + "[" * (depth - 1) + '"]]]["' + "]" * (depth - 1) + "}"

    assert read(nested(32)) == {"title": "T"}
    refused(nested(33))


def test_xml_is_nested_32_deep_at_most() -> None:
    def nested(depth: int) -> str:
        return "<oembed><title>T</title>" + "<a>" * (depth - 1) + "</a>" * (depth - 1) + "</oembed>"

    assert read(nested(32), "text/xml") == {"title": "T"}
    refused(nested(33), "text/xml")


def test_an_answer_is_so_long_at_most() -> None:
    longest = '{"title": "T"' + " " * (128 * 1024 - 14) + "}"

    assert read(longest) == {"title": "T"}
    refused(longest + " ")


@pytest.mark.parametrize(
    "xml",
    [
        "<!DOCTYPE oembed><oembed><title>T</title></oembed>",
        '<!DOCTYPE o [<!ENTITY a "b">]><oembed><title>&a;</title></oembed>',
        '<!DOCTYPE o SYSTEM "http://127.0.0.1/x.dtd"><oembed/>',
        "<oembed><title>&nbsp;</title></oembed>",
        "<oembed><title>T</oembed>",
        "<?xml version='1.0' encoding='nosuch'?><oembed/>",
    ],
)
def test_xml_with_a_document_type_or_errors_is_damaged(xml: str) -> None:
    refused(xml, "application/xml")


def test_warming_reads_both_kinds() -> None:
    oembed.warm()

    assert read('{"title": "T"}') == {"title": "T"}
