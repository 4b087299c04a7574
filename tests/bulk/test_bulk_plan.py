"""Plans: what becomes an item, how shards are cut, manifests, and names of outputs."""

import gzip
from pathlib import Path

import pytest

from remote_worker.bulk.folder import Folder, NoSuchJob, parted
from remote_worker.bulk.keys import place
from remote_worker.bulk.plan import BadManifest, NothingThere, Wanted, freeze, keys_of, listed, named
from remote_worker.contract.messages import Fit
from remote_worker.stores.opening import open_store
from remote_worker.stores.store import StoreFailed

TASK = Fit(width=8, height=8, format="webp")


def planned(source: Path, out: Path, *, prefix: str = "", shard_items: int = 2) -> Folder:
    """A job over what is listed."""
    stores = open_store(str(source)), open_store(str(out))
    wanted = Wanted(recipe="", task=TASK, shard_items=shard_items)
    return freeze(*stores, wanted, listed(*stores, prefix))


def shards(folder: Folder) -> list[list[str]]:
    """The keys of each."""
    return [[item.key for item in folder.items(shard)] for shard in range(folder.shards())]


def put(folder: Path, *names: str) -> Path:
    """The folder, with files of these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_same_source_makes_the_same_shards_and_the_last_has_what_is_left(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "a", "b/c", "d", "e", "f")

    first, second = planned(source, tmp_path / "out"), planned(source, tmp_path / "out")

    assert shards(first) == [["a", "b/c"], ["d", "e"], ["f"]]
    assert [first.items(n) for n in range(3)] == [second.items(n) for n in range(3)]
    assert (first.plan().items, first.plan().size_bytes, first.plan().shards) == (5, 7, 3)
    assert first.id != second.id


def test_hidden_names_and_what_bulk_jobs_wrote_into_the_source_are_left_out(tmp_path: Path) -> None:
    source = put(tmp_path, "a", ".b", ".c/d", "e/.f", "out/objects/x", "out/jobs/y", "objects/z", "out/kept")

    beside = planned(source, tmp_path / "out", shard_items=100)
    within = planned(source, tmp_path, shard_items=100)

    assert shards(beside) == [["a", "objects/z", "out/kept"]]
    assert "objects/z" not in shards(within)[0]
    assert "out/objects/x" in shards(within)[0]


def test_a_prefix_takes_what_begins_so_and_one_that_nothing_has_is_told(tmp_path: Path) -> None:
    source = put(tmp_path / "in", "cats/1", "cats/2", "dogs/1")

    assert shards(planned(source, tmp_path / "out", prefix="cats/")) == [["cats/1", "cats/2"]]
    with pytest.raises(NothingThere):
        planned(source, tmp_path / "other", prefix="birds/")
    assert not (tmp_path / "other").exists()


def test_a_plan_that_was_broken_off_is_no_job(tmp_path: Path) -> None:
    source = open_store(str(put(tmp_path / "in", "a", "b", "c")))
    out = open_store(str(tmp_path / "out"))

    def broken_off():
        yield from list(listed(source, out))[:2]
        raise StoreFailed("no network")

    with pytest.raises(StoreFailed):
        freeze(source, out, Wanted(recipe="", task=TASK, shard_items=1), broken_off())

    (id,) = (path.name for path in (tmp_path / "out" / "jobs").iterdir())
    with pytest.raises(NoSuchJob):
        Folder(out, id).plan()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_manifest_names_keys_by_line_or_as_json(tmp_path: Path, pack) -> None:
    manifest = tmp_path / "keys"
    text = 'a.png\n{"key": "new\\nline.png", "size": 3}\r\n\nwith blank .png\n{"key": "{odd"}\nlast'
    manifest.write_bytes(pack(text.encode()))

    assert list(keys_of(manifest)) == ["a.png", "new\nline.png", "with blank .png", "{odd", "last"]


@pytest.mark.parametrize("line", ["{broken", '{"name": "a"}', '{"key": 3}', '{"key": ""}', "x" * 1025])
def test_a_line_without_a_key_is_told_with_its_number(tmp_path: Path, line: str) -> None:
    manifest = tmp_path / "keys"
    manifest.write_text(f"{'x' * 1024}\n{line}\n")

    with pytest.raises(BadManifest, match="line 2"):
        list(keys_of(manifest))


def test_named_items_keep_their_order_and_what_is_missing_has_no_version(tmp_path: Path) -> None:
    keys = [f"{number}" for number in range(200)]
    source = open_store(str(put(tmp_path / "in", *keys[::2])))

    found = list(named(source, reversed(keys)))

    assert [item.key for item in found] == keys[::-1]
    assert [bool(item.version) for item in found] == [False, True] * 100


@pytest.mark.parametrize(
    ("key", "version", "wanted"),
    [
        ("a/b.png", "v1", "o/a/b.png@v1/"),
        ("a@v1/b", 'W/"x"', "o/a%40v1/b@W%2F%22x%22/"),
        ("图", "v", "o/%E5%9B%BE@v/"),
        ("x" * 180, "v", f"o/{'x' * 180}@v/"),
    ],
)
def test_outputs_lie_below_the_quoted_key(key: str, version: str, wanted: str) -> None:
    assert place("o/", key, version) == wanted


@pytest.mark.parametrize("key", ["x" * 181, "../a", "a//b", "a/./b", ".a", "ab/" * 300, "/a"])
def test_outputs_of_a_key_that_no_store_would_take_lie_below_its_hash(key: str) -> None:
    where = place("o/", key, "v")

    assert where.startswith("o/=")
    assert len(where) == len("o/=@v/") + 64


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("s3://bucket/a/jobs/one", ("s3://bucket/a", "one")),
        ("/srv/jobs/jobs/one/", ("/srv/jobs", "one")),
        ("/srv/one", None),
        ("/srv/jobs/", None),
        ("/srv/jobs/one/two", None),
    ],
)
def test_an_address_ends_in_the_jobs_id(address: str, wanted: tuple[str, str] | None) -> None:
    if wanted is None:
        with pytest.raises(NoSuchJob):
            parted(address)
    else:
        assert parted(address) == wanted
