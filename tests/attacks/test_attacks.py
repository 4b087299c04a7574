"""A child that a stranger has taken over harms nothing, whoever runs the worker, whatever the kernel has."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ordinary_user import ORDINARY_UID, as_ordinary_uid

HOST = Path(__file__).parent / "host.py"
IS_ROOT = os.geteuid() == 0

USERS = {"root": 0, "ordinary": ORDINARY_UID} if IS_ROOT else {"ordinary": os.geteuid()}
SETTINGS = [
    pytest.param(template, user, landlock, id=f"{template}-{name}-landlock-{landlock}")
    for template in ("raster", "text")
    for name, user in USERS.items()
    for landlock in ("if_available", "absent")
    # The layers are put up by the same code, so of four settings two will do for the second template.
    if template == "raster" or not IS_ROOT or (user == 0) is (landlock == "if_available")
]
ENDED_BY_DEADLINE = {
    "raster": {
        "spin",
        "sleep",
        "spin_in_threads",
        "spin_deaf",
        "leave_a_thread",
        "hang_up_and_stay",
    },
    "text": {"sleep"},
}
CRASHES = {"segfault": {"SIGSEGV"}, "abort": {"SIGABRT", "SIGSEGV", "SIGSYS", "SIGILL"}}
LIES = {
    "reply_garbage",
    "reply_short",
    "reply_long",
    "reply_twice",
    "reply_oversized",
    "reply_unknown_failure",
    "reply_failure_with_body",
    "reply_with_descriptors",
    "reply_with_many_descriptors",
}


@cache
def ran(template: str, user: int, landlock: str) -> list[dict[str, Any]]:
    """The lines that the host wrote; every attack of this setting runs once."""
    command = [sys.executable, str(HOST), json.dumps({"landlock": landlock, "template": template})]
    if user != os.geteuid():
        command = as_ordinary_uid(command)
    # Descriptors, variables and a working directory that a child would love to inherit.
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={"PATH": os.environ["PATH"], "KEY": "a key that only the host holds"},
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def outcomes(template: str, user: int, landlock: str) -> dict[str, str]:
    return {line["attack"]: line["outcome"] for line in ran(template, user, landlock) if "attack" in line}


@pytest.mark.parametrize(("template", "user", "landlock"), SETTINGS)
class TestAttacks:
    def test_no_attack_harms(self, template: str, user: int, landlock: str) -> None:
        found = outcomes(template, user, landlock)

        assert len(found) > 220
        assert {name: outcome for name, outcome in found.items() if outcome in ("HARM", "done")} == {}

    def test_nothing_outside_was_reached(self, template: str, user: int, landlock: str) -> None:
        last = ran(template, user, landlock)[-1]

        assert last == {"touched": [], "template_pid_kept": True}

    def test_the_next_picture_is_answered_after_every_attack(
        self, template: str, user: int, landlock: str
    ) -> None:
        following = {
            line["attack"]: line["next"] for line in ran(template, user, landlock) if "attack" in line
        }

        assert {name: end for name, end in following.items() if end != "done"} == {}

    def test_the_layers_say_what_holds(self, template: str, user: int, landlock: str) -> None:
        layers = ran(template, user, landlock)[0]["layers"]

        assert layers["seccomp"] is True
        assert layers["user_changed"] is (user == 0)
        assert (layers["landlock_abi"] == 0) is (landlock == "absent" or kernel_landlock() == 0)

    def test_what_never_ends_is_ended_at_the_deadline(self, template: str, user: int, landlock: str) -> None:
        lines = {line["attack"]: line for line in ran(template, user, landlock) if "attack" in line}

        for name in ENDED_BY_DEADLINE[template]:
            assert lines[name]["outcome"] == "deadline"
            assert 1.0 <= lines[name]["seconds"] < 3.0

    def test_what_works_without_end_is_ended_by_its_own_clock(
        self, template: str, user: int, landlock: str
    ) -> None:
        """A picture's child may work until its deadline, which is shorter here than its processor time."""
        found = outcomes(template, user, landlock)

        for name in ("spin", "spin_deaf"):
            assert found[name] == ("processor time" if template == "text" else "deadline")

    def test_a_child_that_needs_no_thread_gets_none(self, template: str, user: int, landlock: str) -> None:
        found = outcomes(template, user, landlock)

        for name in ("spin_in_threads", "leave_a_thread"):
            assert found[name] == ("decoder_crashed" if template == "text" else "deadline")

    def test_crashes_are_told_by_their_signal(self, template: str, user: int, landlock: str) -> None:
        found = outcomes(template, user, landlock)

        for name, signals in CRASHES.items():
            assert found[name] in signals

    def test_lying_replies_count_as_crashes(self, template: str, user: int, landlock: str) -> None:
        found = outcomes(template, user, landlock)

        # SIGKILL is the host's own, to one that says too much and lives on.
        assert {name: found[name] for name in LIES if found[name] not in ("no reply", "SIGKILL")} == {}

    def test_memory_bombs_meet_the_limit(self, template: str, user: int, landlock: str) -> None:
        found = outcomes(template, user, landlock)

        for name in ("memory_at_once", "memory_in_steps"):
            assert found[name] == "too_much_memory"

    @pytest.mark.parametrize(
        "name",
        [
            "fork",
            "execute",
            "kill_group",
            "x32_number",
            "stop_itself",
            "call_bpf",
            "call_io_uring_setup",
            "unshare_user",
        ],
    )
    def test_what_no_decoder_ever_calls_kills_it(
        self, template: str, user: int, landlock: str, name: str
    ) -> None:
        if name == "x32_number" and os.uname().machine != "x86_64":
            pytest.skip("x32 is a part of x86-64")

        assert outcomes(template, user, landlock)[name] == "SIGSYS"


def kernel_landlock() -> int:
    """The kernel's Landlock ABI by its own word: landlock_create_ruleset(NULL, 0, VERSION)."""
    import ctypes

    return max(0, int(ctypes.CDLL(None).syscall(444, None, 0, 1)))
