"""What the seal does on the kernel that is here, tried in processes of its own."""

import errno
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remote_worker.jail import landlock

PROGRAM = Path(__file__).with_name("sealed.py")
IS_ROOT = os.geteuid() == 0
USERS = [None, 1000] if IS_ROOT else [None]
"""None is whoever runs the tests."""

needs_landlock = pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root has an id to give up")


def attempt(probe: str, **plan: Any) -> dict[str, Any]:
    """Seal a process, try the probe, and read what it told."""
    finished = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), json.dumps({"probe": probe, **plan})],
        capture_output=True,
        check=False,
        env={},
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return json.loads(finished.stdout)


OUTCOMES = {
    "hello": "[1] b'xxxxxxxxx'",
    "decode": "{(256, 256)}",
    "thread": "ran",
    "map_plain": "ok",
    "memory_small": "ok",
    "import_missing": "not found",
    "descriptors": "[0, 1, 2, 3]",
    "open": "EACCES",
    "open_for_writing": "EACCES",
    "list": "EACCES",
    "stat": "EACCES",
    "read_parent": "EACCES",
    "unlink": "EACCES",
    "map_executable": "EPERM",
    "make_executable": "EPERM",
    "dumpable": "EPERM",
    "limit_self": "EPERM",
    "limit_parent": "EPERM",
    "wait": "EPERM",
    "unknown": "ENOSYS",
    "tcp": "SIGSYS",
    "udp": "SIGSYS",
    "unix": "SIGSYS",
    "fork": "SIGSYS",
    "spawn": "SIGSYS",
    "exec": "SIGSYS",
    "kill_parent": "SIGSYS",
    "ptrace": "SIGSYS",
    "pidfd": "SIGSYS",
    "personality": "SIGSYS",
    "another_filter": "SIGSYS",
    "io_uring": "SIGSYS",
    "unshare": "SIGSYS",
    "keyctl": "SIGSYS",
    "memfd": "SIGSYS",
    "segfault": "SIGSEGV",
}


@pytest.fixture(
    scope="module",
    params=[(uid, layers) for uid in USERS for layers in ("if_available", "absent")],
    ids=lambda param: f"{'own user' if param[0] is None else param[0]}, Landlock {param[1]}",
)
def told(request) -> dict[str, Any]:
    """Every probe in a child of its own, all children of one template."""
    uid, layers = request.param
    return {**attempt("", probes=list(OUTCOMES), uid=uid, landlock=layers), "asked": layers}


@pytest.mark.parametrize("probe", OUTCOMES)
def test_a_sealed_child_can_decode_and_nothing_else(told, probe):
    assert told["outcomes"][probe] == OUTCOMES[probe]


def test_the_template_says_whether_landlock_holds(told):
    expected = landlock.abi() if told["asked"] == "if_available" else 0

    assert told["layers"]["landlock_abi"] == expected
    assert told["layers"]["seccomp"] is True


@pytest.mark.parametrize(
    ("probe", "outcome"),
    [
        ("fork", "exit 7"),
        ("limit_self", "(1024, 1024)"),
        ("open", "EACCES"),
        ("map_executable", "EPERM"),
        ("limit_parent", "EPERM"),
    ],
)
def test_a_sealed_template_can_fork_and_open_nothing(probe, outcome):
    assert attempt(probe, where="template")["outcome"] == outcome


@pytest.mark.parametrize("probe", ["exec", "spawn", "tcp", "kill_parent"])
def test_a_sealed_template_dies_of_what_only_an_attack_would_ask_for(probe):
    finished = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), json.dumps({"probe": probe, "where": "template"})],
        capture_output=True,
        check=False,
        env={},
        timeout=60,
    )

    assert finished.returncode == -signal.SIGSYS


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86-64 has this second table")
def test_a_call_by_its_x32_number_kills():
    assert attempt("x32")["outcome"] == "SIGSYS"


def test_abort_ends_the_child_by_a_signal():
    # libc may not send itself SIGABRT and falls back on an instruction that traps.
    assert attempt("abort")["outcome"] in {"SIGSEGV", "SIGILL", "SIGTRAP", "SIGABRT"}


def test_a_child_that_may_start_no_thread_gets_an_error_and_lives():
    budget = {"may_start_threads": False}

    assert attempt("thread", budget=budget)["outcome"] == "RuntimeError"
    assert attempt("decode", budget=budget)["outcome"] == "{(256, 256)}"
    assert attempt("fork", budget=budget)["outcome"] == "SIGSYS"


def test_memory_is_limited_over_the_size_of_the_template():
    assert attempt("memory_large", budget={"memory_bytes": 512 << 20})["outcome"] == "MemoryError"
    assert attempt("memory_large", budget={"memory_bytes": 2 << 30})["outcome"] == "ok"
    assert attempt("memory_shared", budget={"memory_bytes": 512 << 20})["outcome"] == "ENOMEM"
    assert attempt("memory_shared", budget={"memory_bytes": 2 << 30})["outcome"] == "ok"


def test_processor_time_is_limited_and_who_does_not_listen_is_killed():
    budget = {"cpu_seconds": 1}

    assert attempt("spin", budget=budget)["outcome"] == "SIGXCPU"
    assert attempt("spin_deaf", budget=budget)["outcome"] == "SIGKILL"


def test_descriptors_are_limited():
    # Four are open, numbers 0 to 3, so that 16 leaves room for twelve.
    assert attempt("flood_of_descriptors", budget={"descriptors": 16})["outcome"] == "EMFILE after 12"


@needs_root
def test_threads_of_the_user_are_limited():
    # Of a user that has nothing else: the template, the child, and as many threads as are left.
    plan = {"uid": 31_337, "budget": {"threads_of_user": 16}}

    assert attempt("flood_of_threads", **plan)["outcome"] == "refused after 14"
    assert attempt("thread", uid=31_337, budget={"threads_of_user": 3})["outcome"] == "ran"
    assert attempt("thread", uid=31_337, budget={"threads_of_user": 2})["outcome"] == "RuntimeError"


def test_a_child_does_not_outlive_its_template():
    # The child would sleep on with our end of the pipe in its hand, and the run would end by its timeout.
    finished = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), json.dumps({"probe": "outlive", "orphan": True})],
        capture_output=True,
        check=False,
        env={},
        timeout=30,
    )

    assert finished.returncode == 0


@pytest.mark.parametrize("uid", USERS)
def test_the_kernel_says_of_a_sealed_template_what_it_gave_up(uid):
    plan = json.dumps({"probe": "stay", "where": "template", "uid": uid})
    with subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM), plan], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"sealed\n"
        proc = Path(f"/proc/{process.pid}")
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines())
        oom_score = (proc / "oom_score_adj").read_text()
        owner = (proc / "fd").stat().st_uid
        process.communicate(b"x", timeout=30)

    assert (status["NoNewPrivs"], status["Seccomp"], status["Threads"]) == ("1", "2", "1")
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {""}
    assert oom_score == "1000\n"
    # Of a process that may not be looked into, root owns everything under /proc.
    assert owner == 0


@needs_root
def test_root_becomes_nobody_and_says_so():
    told = attempt("getuid")

    assert told["outcome"] == "65534"
    assert told["layers"]["user_changed"] is True


@needs_root
def test_an_ordinary_user_stays_who_it_is():
    told = attempt("getuid", uid=1000)

    assert told["outcome"] == "1000"
    assert told["layers"]["user_changed"] is False


@needs_landlock
def test_only_the_folders_that_are_named_can_be_read(tmp_path):
    font, other = tmp_path / "fonts" / "a.ttf", tmp_path / "other.txt"
    font.parent.mkdir()
    font.write_text("glyphs")
    other.write_text("secret")
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    plan = {"readable": [str(font.parent), str(tmp_path / "missing")], "file": str(font)}

    told = attempt("open_readable", **plan)

    assert told["outcome"] == "glyphs"
    assert told["layers"]["readable"] == [str(font.parent)]
    assert attempt("list_readable", **plan)["outcome"] == "['a.ttf']"
    assert attempt("write_readable", **plan)["outcome"] == "EACCES"
    assert attempt("unlink_readable", **plan)["outcome"] == "EACCES"
    assert attempt("open_readable", **{**plan, "file": str(other)})["outcome"] == "EACCES"
    assert attempt("open", **plan)["outcome"] == "EACCES"
    assert attempt("read_parent", **plan)["outcome"] == "EACCES"
    assert font.read_text() == "glyphs"


@pytest.mark.parametrize(
    ("plan", "layer"),
    [
        ({"without": {"seccomp": errno.ENOSYS}}, "seccomp"),
        ({"without": {"landlock_create_ruleset": errno.ENOSYS}, "landlock": "required"}, "landlock"),
        ({"landlock": "absent", "readable": ["/usr/share/fonts"]}, "landlock"),
        ({"without": {"prlimit64": errno.EPERM}}, "limits"),
        ({"without": {"pidfd_open": errno.ENOSYS}}, "limits"),
        ({"threads": True}, "threads"),
        ({"personality": 0x0400000}, "seccomp"),
        pytest.param({"without": {"landlock_restrict_self": errno.EPERM}}, "landlock", marks=needs_landlock),
        pytest.param({"without": {"setresuid": errno.EPERM}}, "privileges", marks=needs_root),
        pytest.param({"without": {"setgroups": errno.EPERM}}, "privileges", marks=needs_root),
        ({"without": {"capset": errno.EPERM}}, "privileges"),
        ({"without": {"landlock_create_ruleset": errno.ENOSYS}}, None),
        ({"without": {"close_range": errno.ENOSYS}}, None),
    ],
)
def test_a_layer_that_cannot_be_put_up_is_named_and_stops_everything(plan, layer):
    told = attempt("hello", **plan)

    assert told.get("failed") == layer
    assert ("outcome" in told) == (layer is None)


def test_descriptors_are_closed_on_a_kernel_without_close_range():
    assert attempt("descriptors", without={"close_range": errno.ENOSYS})["outcome"] == "[0, 1, 2, 3]"


def test_a_kernel_without_landlock_is_told_from_one_with_it():
    told = attempt("open", without={"landlock_create_ruleset": errno.ENOSYS})

    assert told["layers"]["landlock_abi"] == 0
    assert told["outcome"] == "EACCES"


@needs_landlock
@pytest.mark.parametrize("version", range(1, landlock.abi() + 1))
def test_landlock_alone_denies_what_each_of_its_versions_can(version):
    assert attempt("open", where="landlock", version=version)["outcome"] == "EACCES"
    assert attempt("exec", where="landlock", version=version)["outcome"] == "EACCES"
    assert attempt("hello", where="landlock", version=version)["outcome"] == "[1] b'xxxxxxxxx'"
    connected = attempt("tcp", where="landlock", version=version)["outcome"]
    assert connected == ("EACCES" if version >= 4 else "ECONNREFUSED")
    bound = attempt("bind", where="landlock", version=version)["outcome"]
    assert bound == ("EACCES" if version >= 4 else "ok")
    signalled = attempt("kill_parent", where="landlock", version=version)["outcome"]
    assert signalled == ("EPERM" if version >= 6 else "ok")


@pytest.mark.parametrize(
    ("version", "files", "network", "scopes"),
    [
        (1, 0x1FFF, 0, 0),  # the kernel's documentation lists thirteen rights for the first version,
        (2, 0x3FFF, 0, 0),  # REFER,
        (3, 0x7FFF, 0, 0),  # TRUNCATE,
        (4, 0x7FFF, 3, 0),  # BIND_TCP and CONNECT_TCP,
        (5, 0xFFFF, 3, 0),  # IOCTL_DEV,
        (6, 0xFFFF, 3, 3),  # and the scopes of abstract sockets and of signals
        (7, 0xFFFF, 3, 3),
        (99, 0xFFFF, 3, 3),
    ],
)
def test_each_version_of_landlock_is_asked_for_what_it_knows_and_no_more(version, files, network, scopes):
    assert landlock.handled(version) == (files, network, scopes)
