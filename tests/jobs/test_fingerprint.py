"""When two submissions are the same one."""

from collections.abc import Mapping

import pytest

from remote_worker.jobs.fingerprint import fingerprint
from remote_worker.jobs.job import Call


def call(content_type: str, **others: str) -> Call:
    """A submission's."""
    return Call(method="POST", target="/images/info", headers={"content-type": content_type, **others})


def form(boundary: str, *fields: bytes) -> bytes:
    """As RFC 7578 has it."""
    parts = (
        b'--%s\r\nContent-Disposition: form-data; name="file"\r\n\r\n%s\r\n' % (boundary.encode(), field)
        for field in fields
    )
    return b"".join(parts) + b"--%s--\r\n" % boundary.encode()


SENT = fingerprint(call("multipart/form-data; boundary=one"), form("one", b"picture", b"more"), "")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=one", "one"),
        (
            "multipart/form-data; boundary=------------------------8e03978e40d5",
            "------------------------8e03978e40d5",
        ),
        ("multipart/form-data; boundary=a" + 199 * "b", "a" + 199 * "b"),
        ('multipart/form-data; boundary="two words"', "two words"),
    ],
)
def test_a_form_is_the_same_with_any_boundary(content_type: str, boundary: str) -> None:
    assert fingerprint(call(content_type), form(boundary, b"picture", b"more"), "") == SENT


@pytest.mark.parametrize(
    "fields", [(b"picture", b"mor"), (b"picture",), (b"more", b"picture"), (b"picture", b"--more")]
)
def test_a_form_with_other_fields_is_another(fields: tuple[bytes, ...]) -> None:
    assert fingerprint(call("multipart/form-data; boundary=two"), form("two", *fields), "") != SENT


@pytest.mark.parametrize("others", [{"accept": "image/*"}, {"remote-limits": "seconds=1"}])
def test_a_form_with_other_headers_is_another(others: Mapping[str, str]) -> None:
    body = form("one", b"picture", b"more")

    assert fingerprint(call("multipart/form-data; boundary=one", **others), body, "") != SENT


def test_what_is_no_form_counts_as_it_came() -> None:
    one = fingerprint(call("application/json; boundary=one"), b"--one", "")

    assert one != fingerprint(call("application/json; boundary=two"), b"--two", "")
    assert one == fingerprint(call("application/json; boundary=one"), b"--one", "")


def test_what_comes_after_more_parts_than_are_read_counts_as_it_came() -> None:
    few, many = [64 * (b"",), 65 * (b"",)]

    def sent(boundary: str, fields: tuple[bytes, ...]) -> str:
        return fingerprint(call(f"multipart/form-data; boundary={boundary}"), form(boundary, *fields), "")

    assert sent("one", few) == sent("two", few)
    assert sent("one", many) != sent("two", many)
