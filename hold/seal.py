"""The seal where services run: every attack and every format, under each emulated runtime."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.servers import PROJECT
from remote_worker.contract.formats import FormatName

from .point import Given, Row

_ATTACKS = PROJECT / "tests" / "attacks"

# Runtime of tests/runtimes.py: in words, whether Landlock is offered there.
_SEALED = {
    "docker": ("Docker, root", True),
    "docker-no-new-privileges": ("Docker, root, no-new-privileges", True),
    "docker-ordinary": ("Docker, uid 1000", True),
    "docker-20.10": ("Docker 20.10.12, Landlock unknown to it", False),
    "docker-20.10-eperm": ("Docker 20.10.12, Landlock not permitted", False),
    "kubernetes": ("Kubernetes restricted", True),
    "systemd": ("systemd, hardened unit", True),
}
_REFUSED = {
    "docker-19.03": ("Docker 19.03, without pidfd_open", "pidfd_open"),
    "docker-drop-all": ("Docker, root without capabilities", "privileges"),
    "systemd-unlisted": ("systemd, @system-service alone", "@sandbox"),
    "systemd-unlisted-kill": ("the same, which kills", "@sandbox"),
}


def measure(given: Given) -> Sequence[Row]:  # noqa: ARG001  every point has it
    """Run `doctor` and all attacks of tests/attacks under each runtime.

    Bars: no attack harms or reaches a canary, and the next picture is answered after each; all layers hold
    that the runtime offers; all formats decode, but for SVG where there is no Landlock. Where a runtime
    forbids a layer that is required, the start ends with status 78 and names it.
    """
    if os.geteuid() != 0:
        raise SystemExit("seal: the runtimes are emulated with namespaces and mounts, which takes root")
    rows = [_sealed(name, words, offers) for name, (words, offers) in _SEALED.items()]
    return [*rows, *(_refused(name, words, part) for name, (words, part) in _REFUSED.items())]


def _sealed(name: str, words: str, offers_landlock: bool) -> Row:
    report = _under(name, "-m", "remote_worker", "doctor").stdout
    layers = dict(re.findall(r"^layer +(\w+ \w+): (.*)$", report, re.M))
    decoded = len(re.findall(r"^format .*: ok$", report, re.M))
    landlock = layers.get("raster landlock_abi", "0")
    started = time.monotonic()
    host = _under(name, str(_ATTACKS / "host.py"), json.dumps({"landlock": "if_available"}))
    seconds = time.monotonic() - started
    lines = [json.loads(line) for line in host.stdout.splitlines()]
    tried = [line for line in lines if "attack" in line]
    harms = sum(line["outcome"] in ("HARM", "done") or line["next"] != "done" for line in tried)
    is_whole = bool(lines) and lines[-1] == {"touched": [], "template_pid_kept": True}
    layers_hold = layers.get("raster seccomp") == "yes" and (landlock != "0") is offers_landlock
    formats = len(FormatName) if offers_landlock else len(FormatName) - 1  # SVG needs it
    return Row(
        case=words,
        bar=f"0 harms, {formats} formats",
        measured=f"{len(tried)} attacks, {harms} harms, in {seconds:.1f} s; seccomp, Landlock {landlock}; "
        f"{decoded} formats",
        holds=is_whole and bool(tried) and not harms and layers_hold and decoded == formats,
    )


def _refused(name: str, words: str, part: str) -> Row:
    served = _under(name, "-m", "remote_worker", "serve")
    named = part in served.stderr
    return Row(
        case=words,
        bar="does not start, names why",
        measured=f"status {served.returncode}, {'named' if named else 'NOT NAMED'}",
        holds=served.returncode == 78 and named,
    )


def _under(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(_ATTACKS.parent / "runtimes.py"), name, sys.executable, *arguments]
    environment = {"PATH": os.environ["PATH"], "REMOTE_PORT": "0", "KEY": "a key that only the host holds"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=environment, cwd=PROJECT
    )
