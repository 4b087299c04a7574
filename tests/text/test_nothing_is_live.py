"""Payloads in every place that Markdown has for them: what a browser's parser sees of them is harmless."""

from collections.abc import Iterator

import ada_url
import pytest
from justhtml import JustHTML
from text.payloads import CONTEXTS, EVERY

from remote_worker.contract.markup import is_allowed
from remote_worker.contract.texts import RenderMarkdown
from remote_worker.decoder import markdown

ELEMENTS = {
    **{name: {} for name in "h1 h2 h3 h4 h5 h6 p br div blockquote hr pre ul ol li dd dt".split()},
    **{name: {} for name in "b i strong em tt del span table thead tbody tr th td".split()},
    "a": {"href": None, "rel": {"nofollow"}, "title": None, "alt": None},
    "code": {"class": None},
    "img": {
        "src": None,
        "alt": None,
        "title": None,
        "class": {"embedded_image"},
        "loading": {"lazy"},
        "referrerpolicy": {"no-referrer"},
        "rel": {"noreferrer"},
    },
    "input": {"type": {"checkbox"}, "disabled": {""}},
}
"""What may come out: elements, their attributes, and the values of those that are not free."""
AROUND = {"#document", "#document-fragment", "html", "head", "body"}
PAGE = "https://forum.example/t/1"


def rendered(text: str) -> str:
    return markdown.render(RenderMarkdown(), text.encode()).parts["html"].decode()


def nodes(node: object) -> Iterator[object]:
    yield node
    for child in getattr(node, "children", None) or ():
        yield from nodes(child)


def harm(root: object) -> list[str]:
    """What is in this tree that should not be."""
    found = []
    for node in nodes(root):
        name = node.name
        if name == "#text" or name in AROUND:
            found += [f"{name} with {key}" for key in getattr(node, "attrs", None) or ()]
            continue
        if name not in ELEMENTS or node.namespace != "html":
            found.append(f"<{name}> of {getattr(node, 'namespace', '')}")
            continue
        for key, value in (node.attrs or {}).items():
            if key not in ELEMENTS[name]:
                found.append(f"{name} {key}")
                continue
            values = ELEMENTS[name][key]
            if values is not None and value not in values:
                found.append(f"{name} {key}={value!r}")
            if key in {"href", "src"} and scheme(value) not in {"http:", "https:", "mailto:"}:
                found.append(f"{name} {key}={value!r}")
            if key == "class" and name == "code" and (len(value.split()) != 1 or value[:9] != "language-"):
                found.append(f"code class={value!r}")
    return found


def scheme(address: str) -> str:
    """As the browser of somebody who reads the page takes it."""
    try:
        return ada_url.URL(address, base=PAGE).protocol
    except ValueError:
        return "https:"  # It leads nowhere.


def parsed(html: str, *, fragment: bool) -> JustHTML:
    return JustHTML(html, fragment=fragment, sanitize=False, scripting_enabled=True)


def text_of(html: str) -> str:
    return "".join(node.data for node in nodes(parsed(html, fragment=True).root) if node.name == "#text")


def test_there_are_enough_payloads_and_none_twice() -> None:
    assert len(EVERY) > 600
    assert len(set(EVERY)) == len(EVERY)


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: ascii(context)[1:-1])
def test_no_payload_is_live_as_a_page_in_a_page_or_after_another_round(context: str) -> None:
    for payload in EVERY:
        html = rendered(context.format(payload))

        page, part = parsed(html, fragment=False), parsed(html, fragment=True)
        assert harm(page.root) == [], (payload, html)
        assert harm(part.root) == [], (payload, html)
        again = part.to_html(pretty=False)
        assert harm(parsed(again, fragment=True).root) == [], (payload, again)
        assert is_allowed(html)


def test_escaped_text_stays_text_beside_a_mention() -> None:
    for payload in EVERY:
        letters = "".join(f"&#{ord(letter)};" for letter in payload)
        html = rendered(f"x {letters} @bob")

        expected = payload.replace("\0", "\ufffd").replace("\r", "\n")
        assert text_of(html).strip() == f"x {expected} @bob", html
        assert harm(parsed(html, fragment=True).root) == [], html


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<p onclick=x>y</p>",
        "<img src=x onerror=alert(1)>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href="java\nscript:alert(1)">x</a>',
        "<svg></svg>",
        '<code class="modal">x</code>',
        "<p style=x>",
        '<input type="text">',
        '<form action="/x"></form>',
    ],
)
def test_the_look_for_harm_finds_it(html: str) -> None:
    assert harm(parsed(html, fragment=True).root)
