"""Rendering a text, by a renderer that answers as it is told."""

import asyncio

import pytest

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.texts import Rendered, RenderMarkdown
from remote_worker.service.texts import MOST_TEXT_BYTES, Texts

HEAD = '<img class="embedded_image" loading="lazy" referrerpolicy="no-referrer" rel="noreferrer" src="'
"""What stands in front of an address."""


class Told:
    """A renderer that gives one answer and remembers what it was asked."""

    def __init__(self, rendered: Rendered) -> None:
        self._rendered = rendered
        self.asked: list[tuple[bytes, float, str]] = []

    async def render(
        self, text: bytes, task: RenderMarkdown, *, deadline: float, caller: str = ""
    ) -> Rendered:
        """Fill the protocol."""
        self.asked.append((text, deadline, caller))
        return self._rendered


def told(html: str) -> Told:
    return Told(Rendered(html=html))


def pictures(*addresses: str) -> Rendered:
    html, places = "", []
    for address in addresses:
        html += f"<p>{HEAD}"
        places.append((len(html), len(html) + len(address)))
        html += f'{address}"/></p>\n'
    return Rendered(html=html, image_sources=tuple(places))


def rendered(renderer: Told, text: str = "x") -> str:
    return asyncio.run(Texts(renderer).markdown(text, deadline=1))


def signed(rendered: Rendered) -> str:
    texts = Texts(Told(rendered), lambda address: f"/s?{len(address)}&u={address}")
    return asyncio.run(texts.markdown("x", proxy_images=True, deadline=1))


def failure(renderer: Told, text: str = "x", **more: bool) -> FailureCode:
    with pytest.raises(WorkFailed) as failed:
        asyncio.run(Texts(renderer, str).markdown(text, deadline=1, **more))
    return failed.value.code


def test_the_text_goes_in_as_utf_8_with_the_callers_deadline() -> None:
    renderer = told("<p>é</p>\n")

    html = asyncio.run(Texts(renderer).markdown("é😀", deadline=7, caller="me"))

    assert html == "<p>é</p>\n"
    assert renderer.asked == [("é😀".encode(), 7, "me")]


def test_half_a_pair_of_surrogates_goes_in_as_a_replacement() -> None:
    renderer = told("")

    rendered(renderer, "a\ud800b😀\udc00")

    assert renderer.asked[0][0].decode() == "a\ufffdb😀\ufffd"


def test_a_text_has_so_many_bytes_and_not_one_more() -> None:
    assert rendered(told(""), "é" * (MOST_TEXT_BYTES // 2)) == ""
    assert failure(told(""), "é" * (MOST_TEXT_BYTES // 2) + "x") is FailureCode.TOO_LARGE


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<p onclick=alert(1)>x</p>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="java&#115;cript:alert(1)">x</a>',
        '<a href="&#x6a;avascript:alert(1)">x</a>',
        '<a href="java\nscript:alert(1)">x</a>',
        '<a href="http://x" onclick="y">x</a>',
        "<p",
        "x < y",
        '<a title="<b>">x</a>',
        "<svg/>",
        "<p/onclick=x>",
        "<!-- x -->",
        '<img src="x"/>',
        '<input disabled="" type="text"/>',
        '<code class="modal">x</code>',
        "<p>" + "x" * 40_000 + "<p>" + "y" * 40_000 + "<script>",
        "y" * 32_768 + '<a title="<b>">',
    ],
)
def test_a_renderer_in_a_strangers_hands_is_not_believed(html: str) -> None:
    assert failure(told(html)) is FailureCode.DECODER_CRASHED


@pytest.mark.parametrize(
    "html",
    [
        "<p>x &lt; y</p>",
        '<a href="HTTP://x/?a=1&amp;b=:" rel="nofollow" title="a &quot;b&quot;">x</a><br/><hr/>',
        '<a href="/a:b">x</a><a href="?a:b">x</a><a href="#a:b">x</a><a href="">x</a><a>x</a>',
        '<a href="mailto:a@b.c">x</a><a alt="y" href="a/b:c" rel="nofollow">x</a>',
        '<pre><code class="language-c++">x</code></pre><input disabled="" type="checkbox"/>',
        "<p>" + "x" * 40_000 + "</p><p>" + "y" * 40_000 + "</p>",
    ],
)
def test_what_an_honest_renderer_gives_is_answered_as_it_is(html: str) -> None:
    assert rendered(told(html)) == html


def test_addresses_of_pictures_are_signed_unescaped_and_put_back_escaped() -> None:
    html = signed(pictures("http://a/b?c=1&amp;d=&quot;&lt;&gt;&amp;amp;", "HTTPS://e/"))

    assert html == (
        f'<p>{HEAD}/s?25&amp;u=http://a/b?c=1&amp;d=&quot;&lt;&gt;&amp;amp;"/></p>\n'
        f'<p>{HEAD}/s?10&amp;u=HTTPS://e/"/></p>\n'
    )


@pytest.mark.parametrize("address", ["//a/b.png", r"\\a/b.png", r"/\a/b.png"])
def test_an_address_that_leads_away_without_a_scheme_is_signed_too(address: str) -> None:
    assert signed(pictures(address)) == f'<p>{HEAD}/s?15&amp;u=https://a/b.png"/></p>\n'


@pytest.mark.parametrize("address", ["/own.png", "own.png", "#harmful-link", "?x", ""])
def test_an_address_below_the_page_itself_stays(address: str) -> None:
    assert signed(pictures(address)) == pictures(address).html


def test_places_that_are_not_those_of_the_pictures_are_not_believed() -> None:
    honest = pictures("http://a/b.png")
    ((start, end),) = honest.image_sources
    for places in [(), ((start, end - 1),), ((0, 3),), ((start, end), (start, end)), ((end, start),)]:
        lying = Rendered(html=honest.html, image_sources=places)

        assert failure(Told(lying), proxy_images=True) is FailureCode.DECODER_CRASHED


def test_without_being_asked_nothing_is_signed() -> None:
    honest = pictures("http://a/b.png")

    assert asyncio.run(Texts(Told(honest), lambda _: "no").markdown("x", deadline=1)) == honest.html


def test_without_a_key_pictures_cannot_be_signed_and_the_caller_hears_of_it() -> None:
    renderer = told("")
    with pytest.raises(WorkFailed) as failed:
        asyncio.run(Texts(renderer).markdown("x", proxy_images=True, deadline=1))

    assert failed.value.code is FailureCode.NOT_CONFIGURED
    assert renderer.asked == []
