"""`remote-worker preview`, run as a user runs it, on a page from loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.origin import TITLE, origin
from benchmarks.servers import free_port


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The URL of a page."""
    port = free_port()
    with origin(port, min(os.sched_getaffinity(0))):
        yield f"http://127.0.0.1:{port}/page"


def preview(url: str, *arguments: str, is_allowed: bool = True) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    return subprocess.run(
        [sys.executable, "-m", "remote_worker", "preview", url, *arguments],
        env={**clean, "REMOTE_EGRESS_ALLOW": "127.0.0.1/32:*" if is_allowed else ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_preview_is_printed_for_people(page: str) -> None:
    done = preview(page)

    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert ["title", TITLE] in lines
    assert ["published_time", "2026-01-31T12:00:00Z"] in lines
    assert ["image", page.replace("/page", "/static/large.jpg")] in lines
    assert "hop" not in [name for name, _ in lines]


def test_it_is_printed_as_json_with_what_explains_it(page: str) -> None:
    done = preview(page, "--json", "--explain")

    members = json.loads(done.stdout)
    assert (members["title"], members["url"]) == (TITLE, page)
    assert members["explain"]["hops"][0]["verdicts"] == [
        {"address": "127.0.0.1", "allowed": True, "rule": "opened"}
    ]


def test_a_url_that_is_not_let_out_says_why(page: str) -> None:
    done = preview(page, is_allowed=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert "blocked_address: loopback" in done.stderr


def test_what_works_once_is_fetched_when_forced_only(page: str) -> None:
    url = page + "?token=0123456789abcdef0123456789abcdef"

    once, forced = (json.loads(preview(url, "--json", *more).stdout) for more in ((), ("--force",)))

    assert (once["flags"], once["title"] == TITLE) == (["one_time_link"], False)
    assert forced["title"] == TITLE
