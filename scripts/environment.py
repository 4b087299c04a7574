"""Makes and refreshes `.venv` from a lock file: wheels only, each checked by its hash. Needs only Python."""

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "stamp.json"
LOCKS = {
    "serve": "requirements.lock",
    "telemetry": "requirements-telemetry.lock",
    "scale": "requirements-scale.lock",
    "dev": "requirements-dev.lock",
    "fuzz": "requirements-fuzz.lock",
}
"""Each holds everything of those before it, in the same versions."""

COMMAND = """#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -m remote_worker "$@"
"""


LEFT_OUT = 3
"""Exit status: another Python should be taken, since this one cannot have everything; stderr says what."""


def main(kind: str, *, is_last: bool) -> None:
    """Bring `.venv` to what the lock of this kind says, unless it is there already.

    Unless it is the last Python to try, one that cannot have all of the lock ends with LEFT_OUT.
    """
    with (ROOT / ".venv.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        stamp = _read_stamp()
        left_out = stamp.pop("left_out", {})
        kinds = list(LOCKS)
        if stamp in map(_wanted, kinds[kinds.index(kind) :]):
            return
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit(
                f"{sys.executable} has no venv: install it (Debian, Ubuntu: apt-get install python3-venv)"
            )
        if not is_last:
            # A trial takes as long as setting up: its outcome holds until the lock or the Python changes.
            trial = " ".join(_wanted(kind).values())
            if trial in left_out:
                sys.exit(LEFT_OUT)
            missing = _for_older_only(kind) or _try(LOCKS[kind])
            if missing:
                print(f"{_version()} is left out: {missing} is not there for it", file=sys.stderr)
                VENV.mkdir(exist_ok=True)
                STAMP.write_text(json.dumps({**stamp, "left_out": {**left_out, trial: missing}}))
                sys.exit(LEFT_OUT)
        STAMP.unlink(missing_ok=True)
        _make(LOCKS[kind], fresh=stamp.get("python") != _python())
        STAMP.write_text(json.dumps({**_wanted(kind), "left_out": left_out}))


def _for_older_only(kind: str) -> str:
    """What the project asks for up to an older Python than this one, because its wheels end there."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {"dev": ["dev"], "fuzz": ["dev", "fuzz"]}.get(kind, [])
    asked = [
        *table["project"]["dependencies"],
        *(text for name in groups for text in table["dependency-groups"][name]),
    ]
    for text in asked:
        name, _, marker = text.partition(";")
        end = re.search(r"python_version < '3\.(\d+)'", marker)
        machine = re.search(r"platform_machine == '(\w+)'", marker)
        if end and sys.version_info[1] >= int(end[1]) and (not machine or machine[1] == platform.machine()):
            return re.split("[<>=]", name)[0].strip()
    return ""


def _try(lock: str) -> str:
    """The first package of a lock that has no wheel for this Python."""
    print(f"Trying {_version()} with {lock} ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _run(sys.executable, "-I", "-m", "venv", folder)
        done = subprocess.run(
            [*_pip(Path(folder)), "--dry-run", *_from(lock)],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
    missing = re.search(r"No matching distribution found for (\S+)", done.stderr)
    # Where the registry is out of reach pip says the same, after it has said that it tries again.
    if missing and "Retrying (" not in done.stderr:
        return missing[1]
    if done.returncode:
        sys.exit(f"{done.stderr}setting up .venv failed: pip ended with {done.returncode}")
    return ""


def _make(lock: str, *, fresh: bool) -> None:
    print(f"Setting up .venv from {lock} with {_version()} ...", file=sys.stderr, flush=True)
    # An environment of the same Python is added to, not emptied: a server may be running from it.
    _run(sys.executable, "-I", "-m", "venv", *(["--clear"] if fresh else []), str(VENV))
    python = VENV / "bin" / "python"
    _run(*_pip(VENV), *_from(lock))
    # The package runs from the source tree: a path file needs no build, so no backend outside the lock runs.
    packages = next((VENV / "lib").glob("python3.*/site-packages"))
    (packages / "remote-worker.pth").write_text(f"{ROOT / 'src'}\n")
    # Templates write no bytecode, and compiling at each start leaves holes in the memory that children copy.
    _run(str(python), "-I", "-m", "compileall", "-q", str(ROOT / "src"))
    command = VENV / "bin" / "remote-worker"
    command.write_text(COMMAND)
    command.chmod(0o755)


def _pip(environment: Path) -> list[str]:
    python = str(environment / "bin" / "python")
    return [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]


def _from(lock: str) -> list[str]:
    return ["--require-hashes", "--only-binary", ":all:", "--requirement", str(ROOT / lock)]


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"setting up .venv failed: {command[0]} ended with {done.returncode}")


def _wanted(kind: str) -> dict[str, str]:
    names = (LOCKS[kind], "pyproject.toml", "scripts/environment.py")
    digests = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in names}
    return {"root": str(ROOT), "python": _python(), **digests}


def _python() -> str:
    return f"{sys.version} {sys.base_prefix}"


def _version() -> str:
    return f"Python {platform.python_version()}"


def _read_stamp() -> dict[str, Any]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1], is_last="--or-another" not in sys.argv)
