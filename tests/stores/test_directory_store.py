"""What a folder as a store promises beyond what every store does."""

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from remote_worker.stores.directory import ABANDONED_SECONDS, MOST_FOLDER_TRIES, Directory
from remote_worker.stores.store import BadKey, NotThere, StoreFailed

LEFT = ".0123456789abcdef0123456789abcdef.remote-worker"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty folder with something beside it."""
    (tmp_path / "secret").write_bytes(b"of somebody else")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"of somebody else")
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Directory:
    """The store in it."""
    return Directory(root)


def keys(store: Directory, prefix: str = "") -> list[str]:
    return [key for key, _ in store.list(prefix)]


def everything(root: Path) -> list[str]:
    """All names below, whatever they are."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_folders_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Directory(tmp_path / "new" / "root").put("a/k", b"x")
    finally:
        os.umask(before)

    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")
    }
    assert modes.pop("new/root/a/k") == 0o600
    assert modes == {"new": 0o700, "new/root": 0o700, "new/root/a": 0o700}


def test_a_link_to_a_file_below_the_root_is_an_object(root: Path, store: Directory) -> None:
    store.put("a/k", b"content")
    (root / "b").mkdir()
    (root / "b" / "link").symlink_to("../a/k")
    (root / "absolute").symlink_to(root / "b" / "link")

    for key in ("b/link", "absolute"):
        assert store.get(key, 7).data == b"content"
        assert store.head(key) == store.head("a/k")
    assert keys(store) == ["a/k", "absolute", "b/link"]


def test_no_link_leads_out_of_the_root(root: Path, store: Directory) -> None:
    (root / "file").symlink_to("../secret")
    (root / "absolute").symlink_to(root.parent / "secret")
    (root / "folder").symlink_to("../outside")
    (root / "root").symlink_to(".")
    (root / "above").symlink_to("..")
    (root / "dangling").symlink_to("nothing")
    (root / "loop").symlink_to("loop")
    (root / "through").symlink_to("folder/file")

    for key in (
        "file",
        "absolute",
        "folder/file",
        "root/file",
        "above/secret",
        "dangling",
        "loop",
        "through",
    ):
        assert store.head(key) is None
        with pytest.raises(NotThere):
            store.get(key, 100)
    assert keys(store) == keys(store, "folder/") == keys(store, "above/s") == []


def test_nothing_is_written_or_deleted_through_a_link(root: Path, store: Directory) -> None:
    (root / "folder").symlink_to("../outside")
    (root / "file").symlink_to("../secret")

    for key in ("folder/file", "folder/new", "folder/new/one"):
        for if_absent in (True, False):
            with pytest.raises(StoreFailed):
                store.put(key, b"mine", if_absent=if_absent)
        store.delete(key)
    assert store.put("file", b"mine", if_absent=True) is False
    assert everything(root.parent / "outside") == ["file"]
    assert store.put("file", b"mine") is True
    store.delete("file")
    assert (root.parent / "secret").read_bytes() == b"of somebody else"
    assert (root.parent / "outside" / "file").read_bytes() == b"of somebody else"
    assert everything(root) == ["folder"]


def test_a_root_that_is_a_link_is_the_operators_choice(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    store = Directory(tmp_path / "link")
    store.put("k", b"x")
    (root / "inside").symlink_to("k")

    assert (root / "k").read_bytes() == b"x"
    assert store.get("inside", 1).data == b"x"
    assert keys(store) == ["inside", "k"]


def test_what_is_no_regular_file_is_no_object(root: Path, store: Directory) -> None:
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to("pipe")
    (root / "folder").mkdir()

    for key in ("pipe", "link", "folder"):
        assert store.head(key) is None
        with pytest.raises(NotThere):
            store.get(key, 100)
    assert keys(store) == []


def test_names_that_are_no_text_have_no_key(root: Path, store: Directory) -> None:
    (root / os.fsdecode(b"\xff")).write_bytes(b"")
    (root / "text").write_bytes(b"")

    assert keys(store) == ["text"]


def test_a_file_of_a_key_that_is_too_long_is_not_listed(root: Path, store: Directory) -> None:
    """What is listed can be got: 1,024 bytes are a key, and one more is none."""
    folders = "/".join(["q" * 200] * 5)
    store.put(f"{folders}/{'r' * 19}", b"")
    (root / folders / ("s" * 20)).write_bytes(b"")

    assert keys(store) == [f"{folders}/{'r' * 19}"]


def test_a_folder_with_more_names_than_are_held_is_listed_whole_and_in_order(root: Path) -> None:
    names = [f"{number:03}" for number in range(100)]
    for name in names:
        (root / name).write_bytes(b"")
    (root / "050").unlink()
    Directory(root).put("050/a", b"")

    expected = [name.replace("050", "050/a") for name in names]
    for most in (1, 7, 49, 50, 99, 100, 101, 1000):
        assert keys(Directory(root, most_names=most)) == expected
        assert keys(Directory(root, most_names=most), "09") == expected[90:]


def test_a_chain_of_folders_may_be_longer_than_files_may_be_open(root: Path) -> None:
    deep = "/".join(["d"] * 512)
    Directory(root).put(deep, b"x")
    Directory(root).put("z", b"x")
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))\n"
        "import sys; from pathlib import Path; from remote_worker.stores.directory import Directory\n"
        "print([key for key, _ in Directory(Path(sys.argv[1])).list()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{[deep, 'z']}\n"


def test_a_key_cannot_lie_below_another(root: Path, store: Directory) -> None:
    store.put("a/b", b"")

    for if_absent in (False, True):
        with pytest.raises(StoreFailed, match="directory"):
            store.put("a/b/c", b"", if_absent=if_absent)
        with pytest.raises(StoreFailed, match="directory"):
            store.put("a", b"", if_absent=if_absent)
    assert everything(root) == ["a", "a/b"]


def test_the_names_of_files_being_written_are_no_keys(root: Path, store: Directory) -> None:
    (root / LEFT).write_bytes(b"half")
    near = [LEFT[1:], LEFT + "x", LEFT.replace("0", "x", 1), ".remote-worker"]
    for key in near:
        store.put(key, b"")

    for key in (LEFT, f"a/{LEFT}", f"{LEFT}/a"):
        with pytest.raises(BadKey):
            store.head(key)
    assert keys(store) == sorted(near)


def test_what_a_killed_writer_left_is_never_seen_and_goes_after_a_day(root: Path, store: Directory) -> None:
    """The writer is killed between its last byte and the name, where it waits for a disk that is slow."""
    program = (
        "import os, sys, time; from pathlib import Path\n"
        "from remote_worker.stores.directory import Directory\n"
        "def slow(descriptor): print('written', flush=True); time.sleep(600)\n"
        "os.fdatasync = slow\n"
        "Directory(Path(sys.argv[1])).put('a/k', b'half')"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(root)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    (left,) = (root / "a").iterdir()

    assert store.head("a/k") is None
    assert keys(store) == []
    assert left.exists()
    store.put("a/k", b"whole")
    old = time.time() - ABANDONED_SECONDS - 60
    os.utime(left, (old, old))
    assert keys(store) == ["a/k"]
    assert everything(root) == ["a", "a/k"]


def test_deleting_the_last_of_a_folder_deletes_the_folder(root: Path, store: Directory) -> None:
    store.put("a/b/c/k", b"")
    store.put("a/l", b"")

    store.delete("a/b/c/k")
    assert everything(root) == ["a", "a/l"]
    store.delete("a/l")
    assert everything(root) == []


def test_puts_and_deletes_in_one_folder_do_not_fail_each_other(store: Directory) -> None:
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            store.put("a/b/one", b"")
            store.delete("a/b/one")

    other = threading.Thread(target=churn)
    other.start()
    try:
        for _ in range(MOST_FOLDER_TRIES * 10):
            assert store.put("a/b/two", b"")
            store.delete("a/b/two")
    finally:
        stop.set()
        other.join()

    assert keys(store) == []


def test_a_copy_that_keeps_times_is_the_same_version(root: Path, store: Directory, tmp_path: Path) -> None:
    store.put("k", b"content")
    subprocess.run(["cp", "-a", str(root), str(tmp_path / "copy")], check=True)
    copy = Directory(tmp_path / "copy")

    assert copy.head("k") == store.head("k")
    os.utime(tmp_path / "copy" / "k", ns=(1, 1))
    assert copy.head("k") != store.head("k")


def test_puts_one_after_the_other_are_never_one_version(store: Directory) -> None:
    """Before Linux 6.13 the kernel stamped with the time of its last tick, which a hundred puts share."""
    versions = []
    for number in range(100):
        store.put("k", b"%03d" % number)
        meta = store.head("k")
        assert meta is not None
        versions.append(meta.version)

    assert len(set(versions)) == 100


NOT_ALLOWED = """
import os, sys
from pathlib import Path
from remote_worker.stores.directory import Directory
from remote_worker.stores.store import StoreFailed
os.setgid(65534); os.setuid(65534)
store = Directory(Path(sys.argv[1]))
for doing in (
    lambda: store.put("a/new", b""), lambda: store.put("a/new", b"", if_absent=True),
    lambda: store.get("a/k", 9), lambda: store.delete("a/k"), lambda: list(store.list("shut/")),
):
    try:
        doing()
    except StoreFailed as failed:
        print(failed)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_is_not_allowed_is_the_stores_failure(store: Directory, root: Path) -> None:
    store.put("a/k", b"")
    store.put("shut/k", b"")
    for folder in (root, *root.parents):
        if folder != Path("/") and folder.stat().st_uid == 0 and folder != Path("/tmp"):
            folder.chmod(0o755)
    (root / "a").chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", NOT_ALLOWED, str(root)], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        *["a/new: Permission denied"] * 2,
        *["a/k: Permission denied"] * 2,
        "shut: Permission denied",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize(
    ("options", "said"), [("size=64k", "No space left on device"), ("ro", "Read-only file system")]
)
def test_a_full_or_read_only_disk_is_the_stores_failure(tmp_path: Path, options: str, said: str) -> None:
    """In a mount namespace of its own, so nothing is left mounted."""
    program = (
        "import sys; from pathlib import Path; from remote_worker.stores.directory import Directory\n"
        "from remote_worker.stores.store import StoreFailed\n"
        "store = Directory(Path(sys.argv[1]))\n"
        "for if_absent in (True, False):\n"
        "    try:\n"
        "        store.put('k', bytes(100_000), if_absent=if_absent)\n"
        "    except StoreFailed as failed:\n"
        "        print(failed, list(store.list()))\n"
        "store.settle()"
    )
    script = 'mount -t tmpfs -o "$1" tmpfs "$2" && exec "$3" -c "$4" "$2"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", options, str(tmp_path), sys.executable, program],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"k: {said} []\n" * 2


def test_what_changes_while_it_is_read_is_not_taken(root: Path, store: Directory) -> None:
    """A file is written in place, by no put, as long as it is read."""
    path = root / "k"
    path.write_bytes(b"a" * 3_000_000)
    stop = threading.Event()

    def rewrite() -> None:
        with path.open("r+b", buffering=0) as file:
            turn = 0
            while not stop.is_set():
                turn += 1
                os.pwrite(file.fileno(), b"ab"[turn % 2 : turn % 2 + 1] * 3_000_000, 0)
                os.utime(file.fileno())

    writer = threading.Thread(target=rewrite)
    writer.start()
    failed = False
    try:
        until = time.monotonic() + 20
        while not failed and time.monotonic() < until:
            try:
                store.get("k", 3_000_000)
            except StoreFailed as told:
                failed = "changed while it was read" in str(told)
    finally:
        stop.set()
        writer.join()

    assert failed
    assert len(store.get("k", 3_000_000).data) == 3_000_000


def test_settling_waits_for_the_file_system_of_the_root(store: Directory, root: Path, tmp_path: Path) -> None:
    store.put("a/k", b"x")
    store.settle()

    assert store.get("a/k", 1).data == b"x"
    Directory(tmp_path / "nothing here").settle()
    with pytest.raises(StoreFailed):
        Directory(root / "a" / "k").settle()


@pytest.mark.needs_strace
def test_an_object_has_its_name_only_after_its_bytes_are_on_the_disk(root: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from remote_worker.stores.directory import Directory\n"
        "store = Directory(Path(sys.argv[1]))\n"
        "store.put('k', b'x'); store.put('l', b'x', if_absent=True)\n"
        "store.put_all([(f'm/{n}', b'x') for n in range(33)]); store.settle()"
    )
    trace = tmp_path / "trace"
    calls = "trace=utimensat,sync_file_range,fdatasync,rename,renameat,renameat2,link,linkat,syncfs"
    subprocess.run(
        ["strace", "-qq", "-e", calls, "-o", str(trace), sys.executable, "-B", "-c", program, str(root)],
        # What measures coverage renames its own files.
        env={name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")},
        check=True,
    )

    told = [line.partition("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    alone = ["utimensat", "fdatasync"]
    together = ["utimensat"] * 32 + ["sync_file_range"] * 31 + ["fdatasync"] * 32 + ["renameat"] * 32
    assert told == [*alone, "renameat", *alone, "linkat", *together, *alone, "renameat", "syncfs"]


def test_of_many_that_cannot_all_be_put_no_half_stays(root: Path, store: Directory) -> None:
    with pytest.raises(StoreFailed):
        store.put_all([("a/k", b"x"), ("a/k/below", b"x"), ("b", b"x")])

    assert everything(root) == ["a", "a/k"]
    assert keys(store) == []
