"""Redirects over real servers: what is followed, what ends it, and what no hop ever hears of another."""

import pytest
from fetch.origin import Origin, answer, canaries, page, redirect
from fetch.standins import PUBLIC, World

from remote_worker.contract.failures import FailureCode

STATUSES = ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect")
ABSENT = answer(status="302 Found", media_type=None)


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: f"60-{status[:3]}")
@pytest.mark.parametrize(
    ("location", "path"),
    [
        ("/to", "/to"),
        ("to", "/deep/to"),
        ("http://other.test/to", "/to"),
        ("//other.test/to", "/to"),
        ("/a b", "/a%20b"),
        ("/\N{SNOWMAN}", "/%E2%98%83"),
        ("?q=1", "/deep/from?q=1"),
        ("/to#fragment", "/to"),
    ],
)
def test_a_redirect_is_followed_as_browsers_do(status: str, location: str, path: str) -> None:
    found = answer(page("There"))
    with Origin({"/deep/from": redirect(location, status=status), path: found}) as origin:
        world = World({"h.test": origin, "other.test": origin})

        fetched, data = world.read("http://h.test/deep/from")

        assert b"<title>There" in data
        assert fetched.url.endswith(path)
        assert origin.paths == ["/deep/from", path]
        assert [request.method for request in origin.requests] == ["GET", "GET"]
        assert [hop.status for hop in fetched.hops] == [int(status[:3]), 200]


@pytest.mark.parametrize("code", [300, 304, 305, 306, 399])
def test_another_status_of_the_300_class_is_not_followed(code: int) -> None:
    with Origin({"/": redirect("/to", status=f"{code} Other"), "/to": answer(page())}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/")

        assert (failed.code, failed.status) == (FailureCode.HTTP_STATUS, code)
        assert origin.paths == ["/"]


def test_a_location_in_latin_1_is_followed_too() -> None:
    raw = redirect("/caf\N{LATIN SMALL LETTER E WITH ACUTE}").decode().encode("latin-1")
    with Origin({"/": raw, "/caf%C3%A9": answer(page())}) as origin:
        fetched, _ = World({"h.test": origin}).read("http://h.test/")

        assert fetched.status == 200


@pytest.mark.parametrize(
    ("location", "code"),
    [
        pytest.param("http://127.0.0.1/", FailureCode.BLOCKED_ADDRESS, id="58-loopback"),
        pytest.param("http://[::ffff:a9fe:a9fe]/", FailureCode.BLOCKED_ADDRESS, id="58-mapped"),
        pytest.param("http://2130706433/", FailureCode.BLOCKED_ADDRESS, id="58-decimal"),
        pytest.param("http://localhost/", FailureCode.BLOCKED_NAME, id="58-name"),
        pytest.param("http://inside.test/", FailureCode.BLOCKED_ADDRESS, id="58-resolved"),
        pytest.param("file:///etc/passwd", FailureCode.BAD_SCHEME, id="59-file"),
        pytest.param("gopher://h.test/", FailureCode.BAD_SCHEME, id="59-gopher"),
        pytest.param("//169.254.169.254/", FailureCode.BLOCKED_ADDRESS, id="59-metadata"),
        pytest.param("\\\\127.0.0.1\\x", FailureCode.BAD_URL, id="59-backslash"),
        pytest.param("http://user@h.test/", FailureCode.USERINFO, id="59-user"),
        pytest.param("http://h.test:22/", FailureCode.BAD_PORT, id="59-port"),
    ],
)
def test_where_nobody_may_go_a_redirect_does_not_lead_either(location: str, code: FailureCode) -> None:
    with canaries() as (canary, *_), Origin({"/": redirect(location)}) as origin:
        there = {("127.0.0.1", 80): ("127.0.0.1", canary.port), ("10.0.0.5", 80): ("127.0.0.1", canary.port)}
        world = World({"h.test": origin}, answers={"inside.test": [["10.0.0.5"]]}, dial_map=there)

        failed = world.failure("http://h.test/")

        assert failed.code is code
        assert failed.hops[-1].code == code.value
        assert [hop.status for hop in failed.hops][:1] == [302]
        assert origin.accepted == 1


def test_a_name_that_moves_inside_between_two_hops_is_refused_at_the_second() -> None:
    """Row 53."""
    with canaries() as (canary, *_), Origin({"/": redirect("/again")}) as origin:
        world = World(
            {"h.test": origin},
            answers={"h.test": [["93.184.216.34"], ["127.0.0.1"]]},
            dial_map={("127.0.0.1", 80): ("127.0.0.1", canary.port)},
        )

        failed = world.failure("http://h.test/")

        assert (failed.code, failed.detail) == (FailureCode.BLOCKED_ADDRESS, "loopback")
        assert [hop.status for hop in failed.hops] == [302, 0]
        assert world.names.asked == ["h.test", "h.test"]


def test_a_name_is_resolved_once_and_what_was_judged_is_dialled() -> None:
    """Row 52."""
    with canaries() as (canary, *_), Origin({"/": answer(page())}) as origin:
        world = World(
            {"h.test": origin},
            answers={"h.test": [[PUBLIC], ["127.0.0.1"]]},
            dial_map={("127.0.0.1", 80): ("127.0.0.1", canary.port)},
        )

        fetched, _ = world.read("http://h.test/")

        assert world.names.asked == ["h.test"]
        assert fetched.hops[0].dialled == f"{PUBLIC}:80"


@pytest.mark.parametrize(
    ("web", "code", "requests"),
    [
        pytest.param({"/": redirect("/")}, FailureCode.REDIRECT_LOOP, 1, id="61-self"),
        pytest.param({"/": redirect("/b"), "/b": redirect("/")}, FailureCode.REDIRECT_LOOP, 2, id="61-a-b-a"),
        pytest.param({"/": redirect("/#x")}, FailureCode.REDIRECT_LOOP, 1, id="61-fragment"),
        pytest.param({"/": ABSENT}, FailureCode.REDIRECT_INVALID, 1, id="61-missing"),
        pytest.param({"/": redirect("")}, FailureCode.REDIRECT_INVALID, 1, id="61-empty"),
        pytest.param(
            {"/": redirect("/a", headers={"LOCATION": "/b"})}, FailureCode.REDIRECT_INVALID, 1, id="61-twice"
        ),
        pytest.param({"/": redirect("/" + "a" * 9000)}, FailureCode.REDIRECT_INVALID, 1, id="61-9-KB"),
        pytest.param({"/": redirect("/" + "a" * 4000)}, FailureCode.TOO_LONG, 1, id="61-4-KB"),
    ],
)
def test_a_redirect_that_leads_nowhere_has_a_code(
    web: dict[str, bytes], code: FailureCode, requests: int
) -> None:
    with Origin(web) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/")

        assert failed.code is code
        assert failed.status == 302
        assert len(origin.requests) == len(failed.hops) == requests


@pytest.mark.parametrize(("redirects", "is_followed"), [(5, True), (6, False)])
def test_so_many_redirects_are_followed_and_not_one_more(redirects: int, is_followed: bool) -> None:
    web = {f"/{at}": redirect(f"/{at + 1}") for at in range(redirects)}
    with Origin({**web, f"/{redirects}": answer(page())}) as origin:
        world = World({"h.test": origin})
        if is_followed:
            fetched, _ = world.read("http://h.test/0")
            assert len(fetched.hops) == 6
        else:
            failed = world.failure("http://h.test/0")
            assert failed.code is FailureCode.REDIRECT_LIMIT
            assert len(origin.requests) == 6


@pytest.mark.parametrize(
    ("head", "headers"),
    [
        pytest.param("", {"Refresh": "0;url=http://inside.test/"}, id="63-header"),
        pytest.param('<meta http-equiv=refresh content="0;url=http://inside.test/">', {}, id="63-meta"),
    ],
)
def test_a_refresh_is_not_followed(head: str, headers: dict[str, str]) -> None:
    with canaries() as (canary, *_), Origin({"/": answer(page(head=head), headers=headers)}) as origin:
        there = {("127.0.0.1", 80): ("127.0.0.1", canary.port)}
        world = World({"h.test": origin}, answers={"inside.test": [["127.0.0.1"]]}, dial_map=there)

        fetched, _ = world.read("http://h.test/")

        assert fetched.url == "http://h.test/"
        assert world.names.asked == ["h.test"]


@pytest.mark.parametrize("back", [False, True], ids=["64-other-origin", "65-and-back"])
def test_no_hop_hears_of_another(back: bool) -> None:
    cookie = {"Set-Cookie": "a=b; Path=/; Domain=test", "WWW-Authenticate": 'Basic realm="a"'}
    with (
        Origin({"/": redirect("http://other.test/", headers=cookie), "/end": answer(page())}) as first,
        Origin(
            {"/": redirect("http://h.test/end", headers=cookie)} if back else {"/": answer(page())}
        ) as other,
    ):
        World({"h.test": first, "other.test": other}).read("http://h.test/")

        requests = first.requests + other.requests
        assert len(requests) == (3 if back else 2)
        names = {name for request in requests for name in request.headers}
        assert not names & {"cookie", "authorization", "referer", "origin", "x-forwarded-for"}


@pytest.mark.parametrize("purpose", ["rpc", "check"])
def test_a_redirect_of_a_post_is_not_followed(purpose: str) -> None:
    from remote_worker.contract.links import Purpose

    with Origin({"/": redirect("/to", status="307 T"), "/to": answer(b"{}")}) as origin:
        failed = World({"h.test": origin}).failure("http://h.test/", Purpose(purpose), body=b"{}")

        assert (failed.code, failed.detail) == (FailureCode.HTTP_STATUS, "307")
        assert origin.paths == ["/"]
