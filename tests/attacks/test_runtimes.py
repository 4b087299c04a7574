"""The seal where services really run: under Docker, Kubernetes and systemd, emulated by `runtimes`."""

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import runtimes
from jail.classic_bpf import run as answer
from test_attacks import HOST, kernel_landlock

from remote_worker.jail.syscalls import NUMBERS, present

SEALED = ["docker", "docker-ordinary", "docker-no-new-privileges", "docker-three", "kubernetes", "systemd"]
BEFORE_LANDLOCK = ["docker-20.10", "docker-20.10-eperm"]
ALL_ATTACKS = ["docker", "systemd"]
"""The others differ from one of these by little, and try what a runtime's own rules could change."""
SOME_ATTACKS = [
    *[
        "read_file",
        "write_file",
        "tcp_connect",
        "udp_send",
        "abstract_unix",
        "fork",
        "execute",
        "kill_process",
    ],
    *[
        "trace_process",
        "read_process_memory",
        "limit_process",
        "map_executable",
        "unshare_user",
        "clone_user",
    ],
    *[
        "call_keyctl",
        "call_userfaultfd",
        "call_io_uring_setup",
        "call_bpf",
        "x32_number",
        "wrong_architecture",
    ],
    *["stale_output", "other_descriptors", "memory_in_steps", "variables", "reply_flood", "spin"],
]
FORMATS = set("avif bmp gif heic icns ico jp2 jpeg jxl png psd svg tiff webp".split())
ALLOW, KILL = 0x7FFF0000, 0x80000000

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the profiles are those of x86-64")


def sealed(names: Sequence[str]) -> pytest.MarkDecorator:
    """For each runtime, those left out that cannot be emulated here."""
    cases = [
        pytest.param(
            name, marks=pytest.mark.skipif(bool(runtimes.why_not(name)), reason=runtimes.why_not(name))
        )
        for name in names
    ]
    return pytest.mark.parametrize("name", cases)


def started(name: str, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run it under the runtime."""
    environment = {"PATH": os.environ["PATH"], "KEY": "a key that only the host holds", "REMOTE_PORT": "0"}
    return subprocess.run(
        runtimes.launch(name, list(command)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )


def worker(name: str, command: str) -> "subprocess.CompletedProcess[str]":
    return started(name, sys.executable, "-m", "remote_worker", command)


@cache
def attacked(name: str) -> list[dict[str, Any]]:
    """The lines of the attacks' host."""
    plan = {"landlock": "if_available", "only": None if name in ALL_ATTACKS else SOME_ATTACKS}
    finished = started(name, sys.executable, str(HOST), json.dumps(plan))
    assert finished.returncode == 0, finished.stderr
    return [json.loads(line) for line in finished.stdout.splitlines()]


def words(report: str, kind: str) -> dict[str, str]:
    """What `doctor` said of layers or formats."""
    return dict(re.findall(rf"^{kind} +(.+?): (.*)$", report, re.M))


@sealed(SEALED)
def test_every_layer_holds_and_every_format_decodes(name: str) -> None:
    examined = worker(name, "doctor")

    assert examined.returncode == 0, examined.stdout + examined.stderr
    assert "seal      holds" in examined.stdout
    layers = words(examined.stdout, "layer")
    for template in ("raster", "svg"):
        assert layers[f"{template} seccomp"] == "yes"
        assert layers[f"{template} landlock_abi"] == str(kernel_landlock())
        is_root = os.geteuid() == 0 and runtimes.RUNTIMES[name].uid == 0
        assert layers[f"{template} user_changed"] == ("yes" if is_root else "NO")
    assert words(examined.stdout, "format") == dict.fromkeys(FORMATS, "ok")


@sealed(BEFORE_LANDLOCK)
def test_a_profile_from_before_landlock_leaves_raster_formats_on_seccomp_alone(name: str) -> None:
    examined = worker(name, "doctor")

    assert "seal      holds" in examined.stdout
    layers = words(examined.stdout, "layer")
    assert layers["raster seccomp"] == "yes"
    assert layers["raster landlock_abi"] == "0"
    assert not any(layer.startswith("svg") for layer in layers)
    formats = words(examined.stdout, "format")
    assert {kind for kind, word in formats.items() if word == "ok"} == FORMATS - {"svg"}
    assert formats["svg"].startswith("needs Landlock")


@sealed(SEALED + BEFORE_LANDLOCK)
def test_no_attack_harms(name: str) -> None:
    lines = attacked(name)
    ends = {line["attack"]: line for line in lines if "attack" in line}

    assert len(ends) > (220 if name in ALL_ATTACKS else 30)
    assert {attack for attack, line in ends.items() if line["outcome"] in ("HARM", "done")} == set()
    assert {attack for attack, line in ends.items() if line["next"] != "done"} == set()
    assert lines[-1] == {"touched": [], "template_pid_kept": True}


FAILS = {
    "docker-19.03": ["limits: a deadline takes the call pidfd_open"],
    "docker-drop-all": ["privileges: root could not become user 65534", "start as an ordinary user"],
    "docker-no-kill": ["user 65534: without CAP_KILL nobody could end it", "start as an ordinary user"],
    "docker-no-setuid": [
        "privileges: root could not become user 65534",
        "CAP_SETUID, CAP_SETGID and CAP_KILL",
    ],
    "systemd-unlisted": ["seccomp: the kernel took no filter", "SystemCallFilter=@sandbox"],
    "systemd-unlisted-kill": ["killed it by SIGSYS", "SystemCallFilter=@sandbox"],
}


@sealed(list(FAILS))
def test_what_forbids_a_layer_is_named_and_nothing_is_served(name: str) -> None:
    served = worker(name, "serve")

    assert served.returncode == 78
    assert "serving" not in served.stderr
    for part in FAILS[name]:
        assert part in served.stderr


# What the emulations do: without these, the tests above would pass under no conditions at all.

NEW_USER = 0x10000000
REFUSED = 0x00050000 | errno.EPERM
UNKNOWN = 0x00050000 | errno.ENOSYS


@pytest.mark.parametrize(
    ("name", "call", "arguments", "expected"),
    [
        # docs.docker.com/engine/security/seccomp lists what the default profile blocks.
        ("docker", "keyctl", (), REFUSED),
        ("docker", "userfaultfd", (), REFUSED),
        ("docker", "io_uring_setup", (), REFUSED),
        ("docker", "unshare", (NEW_USER,), REFUSED),
        ("docker", "clone", (NEW_USER | 17,), REFUSED),
        ("docker", "clone", (0x01200011,), ALLOW),
        ("docker", "clone3", (), UNKNOWN),
        ("docker", "socket", (2,), ALLOW),
        ("docker", "socket", (40,), REFUSED),
        ("docker", "personality", (0xFFFFFFFF,), ALLOW),
        ("docker", "personality", (0x0400000,), REFUSED),
        ("docker", "landlock_restrict_self", (), ALLOW),
        ("docker", "seccomp", (), ALLOW),
        ("docker", "ptrace", (), ALLOW),
        ("docker", "chroot", (), ALLOW),
        ("docker-ordinary", "chroot", (), REFUSED),
        ("docker-20.10", "landlock_restrict_self", (), UNKNOWN),
        ("docker-20.10-eperm", "landlock_restrict_self", (), REFUSED),
        ("kubernetes", "landlock_restrict_self", (), ALLOW),
        # systemd.exec(5).
        ("systemd", "mmap", (0, 4096, 6), REFUSED),
        ("systemd", "mmap", (0, 4096, 5), ALLOW),
        ("systemd", "mprotect", (0, 4096, 5), REFUSED),
        ("systemd", "mprotect", (0, 4096, 3), ALLOW),
        ("systemd", "socket", (10,), ALLOW),
        ("systemd", "socket", (16,), 0x00050000 | errno.EAFNOSUPPORT),
        ("systemd", "seccomp", (), ALLOW),
        ("systemd", "ptrace", (), REFUSED),
        ("systemd-unlisted", "seccomp", (), REFUSED),
        ("systemd-unlisted-kill", "landlock_create_ruleset", (), KILL),
    ],
)
def test_the_filters_answer_as_their_documentation_says(
    name: str, call: str, arguments: tuple[int, ...], expected: int
) -> None:
    architecture = present()
    number = architecture.number(call)
    assert number is not None

    assert (
        answer(runtimes.program(runtimes.RUNTIMES[name]), architecture.audit, number, arguments) == expected
    )


def test_calls_newer_than_a_profile_are_unknown_to_it() -> None:
    program = runtimes.program(runtimes.RUNTIMES["docker"])

    assert answer(program, present().audit, 466) == ALLOW
    assert answer(program, present().audit, 467) == UNKNOWN


@sealed(["docker", "kubernetes", "systemd"])
def test_a_process_finds_itself_under_the_conditions(name: str) -> None:
    program = "import os, json; print(json.dumps([open('/proc/self/status').read(), os.listdir('/proc')]))"
    status, processes = json.loads(started(name, sys.executable, "-c", program).stdout)
    told = dict(line.split(":\t", 1) for line in status.splitlines())

    assert told["Seccomp"] == "2"
    assert told["NoNewPrivs"] == ("0" if name == "docker" and os.geteuid() == 0 else "1")
    if os.geteuid() == 0:
        # The mask that Docker's documentation and every container show for the default set.
        assert told["CapEff"] == ("00000000a80425fb" if name == "docker" else "0" * 16)
        assert told["CapBnd"] == ("00000000a80425fb" if name == "docker" else "0" * 16)
        assert told["Uid"].split()[0] == ("0" if name == "docker" else "1000")
        # Alone in its own space, or with root's processes hidden.
        assert ("1" in processes) is (name != "systemd")
        assert (told["Pid"] == "1") is (name != "systemd")


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only file system takes a mount of root")
@pytest.mark.parametrize(
    ("name", "is_writable"), [("docker", True), ("kubernetes", False), ("systemd", False)]
)
def test_the_file_system_is_read_only_where_it_should_be(name: str, is_writable: bool) -> None:
    mounts = started(name, "/bin/cat", "/proc/self/mounts").stdout.splitlines()

    (options,) = (line.split()[3] for line in mounts if line.split()[1] == "/")
    assert options.split(",")[0] == ("rw" if is_writable else "ro")


@pytest.mark.needs_kernel_headers
def test_the_further_numbers_are_the_kernels() -> None:
    header = next(Path("/usr/include").glob("**/asm/unistd_64.h"), None)
    if header is None:
        pytest.skip("no headers of x86-64")
    kernel = {name: int(number) for name, number in re.findall(r"__NR_(\w+) (\d+)", header.read_text())}

    ours = {name: number for name, (number, _) in runtimes.MORE_NUMBERS.items()}

    assert ours == {name: kernel[name] for name in ours}
    assert ours.keys().isdisjoint(NUMBERS)
