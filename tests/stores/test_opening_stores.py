"""Which URLs are those of stores, and what is said of others."""

import subprocess
import sys
from pathlib import Path

import pytest

from remote_worker.stores.opening import BadStore, NotWithin, open_store, open_within
from remote_worker.stores.store import StoreFailed


@pytest.mark.parametrize(
    ("url", "opened"),
    [
        ("/var/lib/jobs", "file:///var/lib/jobs"),
        ("/var/lib/jobs/", "file:///var/lib/jobs"),
        ("/with space/and%41?#", "file:///with%20space/and%2541%3F%23"),
        ("file:///var/lib/jobs", "file:///var/lib/jobs"),
        ("file:///with%20space/and%2541", "file:///with%20space/and%2541"),
        ("file://localhost/var", "file:///var"),
        ("FILE:///var", "file:///var"),
        ("/not:a//scheme", "file:///not%3Aa//scheme"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://my.bucket-1_x/a/b c/%41/", "s3://my.bucket-1_x/a/b c/%41"),
    ],
)
def test_a_store_is_opened_by_its_url_and_has_one(url: str, opened: str) -> None:
    store = open_store(url)

    assert store.url == opened.replace("%3Aa//", "%3Aa/")
    assert open_store(store.url).url == store.url


def test_a_relative_path_is_one_of_where_the_worker_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert open_store("some/folder").url == f"file://{tmp_path}/some/folder"
    assert open_store("a:b").url == f"file://{tmp_path}/a%3Ab"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "neither empty"),
        ("a\0b", "NUL"),
        ("file://", "three slashes"),
        ("file:", "three slashes"),
        ("file://elsewhere/var", "file:///"),
        ("file:///var?x", "%3F"),
        ("file:///var%00", "NUL"),
        ("https://example.com/bucket", "not https:"),
        ("S3x://bucket", "not S3x:"),
        ("dir://x", "not dir:"),
        ("s3://", "name of a bucket"),
        ("s3:", "name of a bucket"),
        ("s3:///prefix", "name of a bucket"),
        ("s3://ab", "3 to 63"),
        ("s3://" + "b" * 64, "3 to 63"),
        ("s3://an-id:hush-hush@bucket/prefix", "name of a bucket"),
        ("s3://bucket/a//b", "empty"),
        ("s3://bucket/../b", "`..`"),
        ("s3://bucket/a?endpoint=http://x", "AWS_ENDPOINT_URL"),
        ("s3://bucket/a#b", "AWS_ENDPOINT_URL"),
        ("s3://bucket/" + "p" * 256, "255"),
    ],
)
def test_what_is_no_store_is_told_from_one_without_repeating_it(url: str, said: str) -> None:
    with pytest.raises(BadStore, match=said) as told:
        open_store(url)

    assert "hush" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("{}/photos", "{}/photos"),
        ("file://{}/photos/2026", "{}/photos/"),
        ("{}/photos/2026", "file://{}/photos"),
        ("{}/photos/..photos", "{}/photos"),
        ("s3://bucket/photos/2026", "s3://bucket/photos/"),
        ("s3://bucket", "s3://bucket"),
    ],
)
def test_a_store_below_one_that_is_allowed_may_be_opened(tmp_path: Path, url: str, allowed: str) -> None:
    url = url.format(tmp_path)

    opened = open_within(url, ["s3://other", "/elsewhere", allowed.format(tmp_path)])

    assert opened.url == open_store(url).url


@pytest.mark.parametrize(
    "url",
    [
        "{}/secret",
        "{}/photos2",
        "{}",
        "{}/photos/../secret",
        "file://{}/photos/../secret",
        "file://{}/photos/%2e%2e/secret",
        "{}/photos/2026/../../secret",
        "s3://bucket/photos2",
        "s3://bucket",
        "s3://bucket2/photos",
    ],
)
def test_no_store_beside_those_that_are_allowed_may_be_opened(tmp_path: Path, url: str) -> None:
    with pytest.raises(NotWithin, match="none of those"):
        open_within(url.format(tmp_path), [f"{tmp_path}/photos", "s3://bucket/photos"])


def test_no_link_leads_out_of_the_folders_that_are_allowed(tmp_path: Path) -> None:
    secret, photos = tmp_path / "secret", tmp_path / "photos"
    open_store(str(secret)).put("a/k", b"secret")
    open_store(str(photos)).put("real/a/k", b"photo")
    (photos / "link").symlink_to(secret)
    (photos / "real" / "k").symlink_to(secret / "a" / "k")
    (tmp_path / "way").symlink_to(photos)

    linked = open_within(f"{photos}/link", [str(photos)])
    deeper = open_within(f"{photos}/link/a", [str(photos)])
    real = open_within(f"{tmp_path}/way/real", [f"{tmp_path}/way"])

    assert (linked.head("a/k"), deeper.head("k"), list(linked.list()), list(deeper.list())) == (
        None,
        None,
        [],
        [],
    )
    with pytest.raises(StoreFailed):
        linked.put("new", b"x")
    assert real.get("a/k", 9).data == b"photo"
    assert [key for key, _ in real.list()] == ["a/k"]
    assert real.put("b/new", b"x", if_absent=True)
    real.settle()
    assert (photos / "real" / "b" / "new").read_bytes() == b"x"
    assert {path.name for path in secret.iterdir()} == {"a"}


def test_names_of_buckets_have_3_to_63_letters() -> None:
    assert open_store("s3://abc").url == "s3://abc"
    assert open_store("s3://" + "b" * 63).url == "s3://" + "b" * 63


def test_a_variable_that_cannot_be_used_is_told_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SKIP_SIGNATURE", "hush-hush")

    with pytest.raises(BadStore, match=r"AWS_\* variables") as told:
        open_store("s3://bucket")
    assert "hush" not in str(told.value)


def test_only_who_opens_a_bucket_loads_the_package_and_without_it_is_told() -> None:
    program = (
        "import sys; sys.modules['obstore'] = None\n"
        "from remote_worker.stores.opening import BadStore, NotWithin, open_store, open_within\n"
        "open_store('/folder')\n"
        "try:\n"
        "    open_store('s3://bucket')\n"
        "except BadStore as bad:\n"
        "    print(bad)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "s3:// needs the package obstore: install remote-worker[s3]\n"
