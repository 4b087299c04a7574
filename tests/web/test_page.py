"""The console's files as the server gives them out; tests/console has them in a browser."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from web.serving import Answer, Service, ask, serving

from remote_worker.contract.failures import FailureCode
from remote_worker.web.negotiation import wants_page

OF_A_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types inert-html"
)
FILES = {
    "api.js": "text/javascript",
    "base.css": "text/css",
    "console.css": "text/css",
    "console.js": "text/javascript",
    "dom.js": "text/javascript",
    "errors.html": "text/html",
    "icon.svg": "image/svg+xml",
    "link.js": "text/javascript",
    "load.js": "text/javascript",
    "metadata.js": "text/javascript",
    "picture.js": "text/javascript",
    "placeholders.js": "text/javascript",
    "post.js": "text/javascript",
    "sample.jpg": "image/jpeg",
    "seal.js": "text/javascript",
    "theme.js": "text/javascript",
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with serving() as running:
        yield running


def get(service: Service, path: str, *headers: str, method: str = "GET") -> Answer:
    lines = "".join(f"{header}\r\n" for header in headers)
    return ask(service, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())


@pytest.mark.parametrize(
    ("accept", "is_wanted"),
    [
        (OF_A_BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("application/json;q=0.5, text/html", True),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0", False),
        ("text/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_a_page_is_for_who_names_html(service: Service, accept: str, is_wanted: bool) -> None:
    answer = get(service, "/", f"Accept: {accept}")

    assert wants_page(accept) is is_wanted
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html" if is_wanted else "application/json")
    assert (answer.body == b"{}") is not is_wanted


def test_the_page_comes_with_its_policy(service: Service) -> None:
    answer = get(service, "/", f"Accept: {OF_A_BROWSER}")

    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_is_loaded_once(service: Service, name: str) -> None:
    first = get(service, f"/console/{name}")
    tag = first.headers["etag"]
    again, other = (
        get(service, f"/console/{name}", f"If-None-Match: {known}") for known in (f'"x", W/{tag}', '"x"')
    )

    assert (first.status, first.headers["cache-control"]) == (200, "no-cache")
    assert first.headers["content-type"].partition(";")[0] == FILES[name]
    assert first.headers["content-security-policy"] == POLICY
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert (other.status, other.body) == (200, first.body)


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/",
        "/console/index.html",  # it is at / alone
        "/console/../page.py",
        "/console/%2e%2e/page.py",
        "/console/..%2fpage.py",
        "/console//theme.js",
        "/console/./theme.js",
        "/console/THEME.JS",
        "/console/theme.js%00",
    ],
)
def test_there_is_nothing_below_console_but_its_files(service: Service, path: str) -> None:
    assert get(service, path).status == 404


def test_a_page_of_another_site_gets_neither(service: Service) -> None:
    for path in ("/", "/console/console.js"):
        answer = get(service, path, f"Accept: {OF_A_BROWSER}", "Sec-Fetch-Site: cross-site")
        assert (answer.status, answer.json["code"]) == (403, "foreign_origin")
        assert get(service, path, f"Accept: {OF_A_BROWSER}", "Sec-Fetch-Site: same-origin").status == 200


def test_whatever_the_files_name_is_among_them(service: Service) -> None:
    found = {"index.html": get(service, "/", f"Accept: {OF_A_BROWSER}").body.decode()}
    found |= {
        name: get(service, f"/console/{name}").body.decode()
        for name, media in FILES.items()
        if media != "image/jpeg"
    }

    named = {name for text in found.values() for name in re.findall(r"\bconsole/([a-z]+\.[a-z]+)", text)}
    named |= {name for text in found.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert named == set(FILES)


def test_nothing_is_written_into_the_html_that_the_policy_would_block(service: Service) -> None:
    pages = [get(service, "/", f"Accept: {OF_A_BROWSER}"), get(service, "/console/errors.html")]
    for answer in pages:
        reader = _Reader()
        reader.feed(answer.body.decode())

        assert reader.blocked == []
        assert reader.elsewhere == []


def test_every_error_is_explained(service: Service) -> None:
    body = get(service, "/console/errors.html").body.decode()

    assert re.findall(r'<tr id="([a-z0-9_]+)">', body) == [str(code) for code in FailureCode]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.blocked: list[str] = []
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.blocked += [name for name in names if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.blocked.append(tag)
        self.elsewhere += [
            str(value)
            for name, value in attrs
            # Neither another host nor the root, for a proxy may have the worker below a path.
            if name in ("src", "href", "action") and re.match("/|[a-z]+:", str(value))
        ]
