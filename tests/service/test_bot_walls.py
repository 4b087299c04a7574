"""Walls, consent pages and log-ins are told from pages and from plain failures."""

from collections.abc import Mapping

import pytest

from remote_worker.contract.document import Document
from remote_worker.contract.failures import FailureCode
from remote_worker.contract.links import Fetched, FetchFailed, Hop
from remote_worker.service.walls import of_answer, of_failure

PAGE = "https://a.example.org/story"


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"cf-mitigated": "challenge"}),
        (429, {"x-vercel-mitigated": "challenge"}),
        (403, {"server": "cloudflare"}),
        (503, {"server": "cloudflare"}),
        (429, {"server": "cloudflare"}),
        (403, {"server": "AkamaiGHost"}),
        (403, {"x-datadome": "protected"}),
        (405, {"x-amzn-waf-action": "captcha"}),
        (403, {"x-iinfo": "1-2-3"}),
        (999, {}),
    ],
)
def test_a_wall_is_told_by_its_headers(status: int, headers: Mapping[str, str]) -> None:
    failed = FetchFailed(FailureCode.HTTP_4XX, hops=(Hop(url=PAGE),), status=status, headers=headers)

    assert of_failure(PAGE, failed) == {"bot_wall"}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (403, {"server": "nginx"}),
        (404, {"server": "cloudflare"}),
        (500, {"server": "cloudflare"}),
        (429, {}),
        (0, {}),
    ],
)
def test_a_plain_failure_is_none(status: int, headers: Mapping[str, str]) -> None:
    failed = FetchFailed(FailureCode.HTTP_4XX, hops=(Hop(url=PAGE),), status=status, headers=headers)

    assert of_failure(PAGE, failed) == set()


def test_who_wants_a_password_has_a_log_in() -> None:
    assert of_failure(PAGE, FetchFailed(FailureCode.HTTP_4XX, status=401)) == {"login"}


def test_a_name_that_cannot_be_resolved_is_no_consent_page() -> None:
    hops = (Hop(url=PAGE), Hop(url="https://consent.example.org/"))

    assert of_failure(PAGE, FetchFailed(FailureCode.DNS_NOT_FOUND, hops=hops)) == set()


def answer(final: str, status: int = 200, **headers: str) -> Fetched:
    return Fetched(
        url=final,
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        body=Document.of(b""),
        media_type="text/html",
        is_cut=False,
        hops=(),
        received_bytes=0,
        milliseconds=0,
    )


@pytest.mark.parametrize(
    ("wanted", "final", "flags"),
    [
        ("https://www.youtube.com/watch?v=x", "https://consent.youtube.com/m?continue=y", {"consent"}),
        ("https://news.google.com/a", "https://consent.google.de/ml?continue=y", {"consent"}),
        ("https://www.yahoo.com/a", "https://guce.yahoo.com/consent", {"consent"}),
        ("https://consent.example.org/a", "https://consent.example.org/b", set()),
        ("https://a.example.org/consent", "https://www.example.org/consent", set()),
        (PAGE, "https://a.example.org/login?next=%2Fstory", {"login"}),
        (PAGE, "https://a.example.org/users/sign_in", {"login"}),
        (PAGE, "https://accounts.example.org/v3/ServiceLogin", {"login"}),
        (PAGE, "https://a.example.org/story-login-tips", set()),
        (PAGE, "https://a.example.org/catalogin/", set()),
        (PAGE, "https://a.example.org/checkpoint/charlie", set()),
        (PAGE, "https://a.example.org/checkpoint", {"login"}),
        (PAGE, "https://a.example.org/wiki/Login", set()),
        (PAGE, "https://a.example.org/docs/auth/login", set()),
        (PAGE, "https://a.example.org/auth/login", {"login"}),
        (PAGE, "https://a.example.org/sso/overview", set()),
        (PAGE, "https://a.example.org/session/new", {"login"}),
        (PAGE, "https://a.example.org/session/new/ideas", set()),
        (PAGE, "https://a.example.org/login.php?next=a", {"login"}),
        (PAGE, "https://a.example.org/login/how-to", set()),
        ("https://a.example.org/login", "https://a.example.org/login/", set()),
        (PAGE, PAGE, set()),
    ],
)
def test_a_redirect_tells_consent_and_log_in(wanted: str, final: str, flags: set[str]) -> None:
    with answer(final) as fetched:
        assert of_answer(wanted, fetched) == flags


@pytest.mark.parametrize(
    ("header", "is_flagged"),
    [
        ("noindex", True),
        ("NoIndex, nofollow", True),
        ("none", True),
        ("nofollow, noindex", True),
        ("*: noindex", True),
        ("unavailable_after: 25 Jun 2027, noindex", True),
        ("googlebot: noindex", False),
        ("googlebot: nofollow, noindex", True),
        ("googlebot: noindex, nofollow", False),
        ("googlebot: nofollow, bingbot: noindex", False),
        ("nofollow", False),
        ("max-image-preview: none", False),
        ("", False),
    ],
)
def test_x_robots_tag_is_read_as_it_is_meant_for_all(header: str, *, is_flagged: bool) -> None:
    with answer(PAGE, x_robots_tag=header) as fetched:
        assert ("noindex" in of_answer(PAGE, fetched)) is is_flagged
