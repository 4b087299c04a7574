"""What every store promises: the same tests for a folder and for a bucket."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from stores_served import PAGE

from remote_worker.stores.opening import open_store
from remote_worker.stores.store import BadKey, Meta, NotThere, Store, TooLarge


@pytest.fixture(params=["directory", "bucket", "prefix of a bucket"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty store is."""
    if request.param == "directory":
        return (tmp_path / "not there yet").as_uri()
    prefix = "/some/where" if request.param == "prefix of a bucket" else ""
    return f"s3://{request.getfixturevalue('bucket')}{prefix}"


@pytest.fixture
def store(url: str) -> Store:
    """An empty store."""
    return open_store(url)


KEYS = [
    "a",
    "a.b",
    "a/b/c/d.jpg",
    ".hidden",
    "..two",
    "with space+plus%20percent~tilde",
    "#?&=;:@!$'()*,[]|<>\"\\^`{}",
    "Füße/日本/🙂.png",
    "e\u0301 and \u00e9",
    "p" * 255,
    "/".join(["q" * 200] * 5),
]


@pytest.mark.parametrize("key", KEYS)
def test_what_was_put_is_got_under_its_key(store: Store, key: str) -> None:
    content = key.encode() + bytes(range(256))

    assert store.put(key, content) is True
    found = store.get(key, len(content))
    assert found.data == content
    assert found.meta == store.head(key)
    assert found.meta.size_bytes == len(content)
    assert dict(store.list()) == {key: found.meta}


@pytest.mark.parametrize("size", [0, 1, 7_000_000])
def test_an_object_has_any_size(store: Store, size: int) -> None:
    content = os.urandom(size)

    store.put("k", content)

    assert store.get("k", size).data == content
    assert store.head("k") == store.get("k", size).meta
    assert [meta.size_bytes for _, meta in store.list()] == [size]


def test_one_byte_more_than_is_taken_is_too_large(store: Store) -> None:
    store.put("k", b"12345")

    assert store.get("k", 5).data == b"12345"
    with pytest.raises(TooLarge):
        store.get("k", 4)
    assert store.get("k", 6).data == b"12345"


def test_where_nothing_was_put_is_nothing(store: Store) -> None:
    for _ in range(2):
        with pytest.raises(NotThere):
            store.get("k", 10)
        assert store.head("k") is None
        assert list(store.list()) == list(store.list("some/prefix")) == []
        store.delete("k")
        store.settle()
        store.put("k/below", b"")
        store.put("beside", b"")
        store.delete("k/below")
        store.delete("beside")


def test_what_is_deleted_is_gone_and_nothing_else_is(store: Store) -> None:
    for key in ("a/b/c", "a/b/d", "a/e"):
        store.put(key, b"")

    store.delete("a/b/c")

    assert [key for key, _ in store.list()] == ["a/b/d", "a/e"]
    store.delete("a/b/d")
    store.delete("a/b/d")
    assert [key for key, _ in store.list()] == ["a/e"]
    assert store.put("a/b/c", b"again", if_absent=True)
    assert store.get("a/b/c", 9).data == b"again"


def test_a_put_replaces_and_another_content_is_another_version(store: Store) -> None:
    versions = []
    for content in (b"one", b"two", b"longer", b""):
        assert store.put("k", content)
        found = store.get("k", 10)
        assert found.data == content
        versions.append(found.meta.version)

    assert len(set(versions)) == 4
    assert all(version and "/" not in version for version in versions)
    assert store.head("k") == store.head("k")


@pytest.mark.parametrize("count", [0, 1, 32, 33])
def test_many_are_put_together_and_replace_what_was_there(store: Store, count: int) -> None:
    store.put("a/0", b"before")
    store.put("b", b"beside")

    store.put_all([(f"a/{number}", b"%d" % number) for number in range(count)])

    wanted = {"a/0": b"before", "b": b"beside"} | {f"a/{number}": b"%d" % number for number in range(count)}
    assert {key: store.get(key, 9).data for key, _ in store.list()} == wanted


def test_a_create_is_for_the_first_and_what_it_made_stays(store: Store) -> None:
    assert store.put("a/k", b"first", if_absent=True) is True
    assert store.put("a/k", b"second", if_absent=True) is False
    assert store.get("a/k", 9).data == b"first"
    assert store.put("a/other", b"second", if_absent=True) is True
    assert store.put("a/k", b"third") is True
    assert store.put("a/k", b"fourth", if_absent=True) is False
    assert store.get("a/k", 9).data == b"third"


ROUNDS = 12


def _create(url: str, number: int, gate: "Callable[[], object]", told: "Callable[[object], object]") -> None:
    store = open_store(url)
    gate()
    told([store.put(f"race/{turn}", b"%d" % number, if_absent=True) for turn in range(ROUNDS)])


def test_of_many_processes_that_create_at_once_exactly_one_wins(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.SimpleQueue()
    processes = [
        context.Process(target=_create, args=(url, number, barrier.wait, answers.put)) for number in range(4)
    ]
    for process in processes:
        process.start()
    won = [answers.get() for _ in processes]
    for process in processes:
        process.join()

    assert [sum(turn) for turn in zip(*won, strict=True)] == [1] * ROUNDS
    store = open_store(url)
    assert [key for key, _ in store.list("race/")] == sorted(f"race/{turn}" for turn in range(ROUNDS))
    assert {store.get(f"race/{turn}", 9).data for turn in range(ROUNDS)} <= {b"0", b"1", b"2", b"3"}


ORDER = ["A", "a", "a!", "a-b", "a.b", "a/b", "a/b.c", "a/b/c", "a0", "aa", "b", "é", "日本", "\uffee", "🙂"]
"""As C sorts the bytes. By code units, as UTF-16 has them, the last two change places."""


def test_a_listing_is_in_the_order_of_the_bytes_across_folders(store: Store) -> None:
    keys = [key for key in ORDER if key not in {"a", "a/b"}]  # In a folder, nothing is below a file.
    for key in reversed(keys):
        store.put(key, key.encode())

    assert [(key, meta.size_bytes) for key, meta in store.list()] == [
        (key, len(key.encode())) for key in keys
    ]


@pytest.mark.parametrize(
    ("prefix", "listed"),
    [
        ("", ["a/b", "a/bc/d", "a/c", "ab", "b/a"]),
        ("a", ["a/b", "a/bc/d", "a/c", "ab"]),
        ("a/", ["a/b", "a/bc/d", "a/c"]),
        ("a/b", ["a/b", "a/bc/d"]),
        ("a/bc/", ["a/bc/d"]),
        ("a/bc/d", ["a/bc/d"]),
        ("a/bc/d/", []),
        ("b", ["b/a"]),
        ("c", []),
        (".", []),
        ("..", []),
    ],
)
def test_a_prefix_need_not_end_with_a_folder(store: Store, prefix: str, listed: list[str]) -> None:
    for key in ("ab", "b/a", "a/c", "a/bc/d", "a/b"):
        store.put(key, b"x")

    assert [key for key, _ in store.list(prefix)] == listed


def test_a_listing_of_more_than_one_page_tells_each_once(store: Store) -> None:
    keys = [f"k{number:04}" for number in range(PAGE * 2 + 1)]
    for key in keys:
        store.put(key, b"")

    assert [key for key, _ in store.list()] == keys
    assert [key for key, _ in store.list("k004")] == ["k0040"]


NO_KEYS = [
    *["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b", "\ud800"],
    *["p" * 256, "é" * 128, "/".join(["q" * 200] * 5) + "/" + "r" * 20],
]


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_is_refused_before_anything_is_done(store: Store, key: str) -> None:
    doings: list[Callable[[], object]] = [
        lambda: store.get(key, 1),
        lambda: store.head(key),
        lambda: store.put(key, b""),
        lambda: store.put(key, b"", if_absent=True),
        lambda: store.put_all([("a", b""), (key, b"")]),
        lambda: store.delete(key),
    ]
    for doing in doings:
        with pytest.raises(BadKey):
            doing()
    assert list(store.list()) == []


@pytest.mark.parametrize(
    "prefix", ["/", "../", "a/../b", "./", "a//", "\0", "a/\0", "\ud800", "p" * 256 + "/"]
)
def test_a_prefix_of_no_key_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(BadKey):
        store.list(prefix)


def test_the_bound_of_a_key_is_1024_bytes_with_the_prefix_of_a_bucket(store: Store, url: str) -> None:
    below = "some/where/" if url.endswith("where") else ""
    longest = "/".join(["q" * 200] * 5) + "/" + "r" * (1024 - 1005 - len(below))
    assert len((below + longest).encode()) == 1024

    assert store.put(longest, b"x")
    assert [key for key, _ in store.list()] == [longest]
    with pytest.raises(BadKey):
        store.put(longest + "r", b"x")


def test_a_store_is_opened_again_by_its_url(store: Store, url: str) -> None:
    store.put("k", b"x")

    assert store.url == url
    assert open_store(store.url).get("k", 1).data == b"x"
    assert isinstance(open_store(store.url).head("k"), Meta)
