"""Makes and refreshes `.venv` from a lock file: wheels only, each checked by its hash. Needs only Python."""

import fcntl
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "stamp.json"
LOCKS = {
    "serve": "requirements.lock",
    "telemetry": "requirements-telemetry.lock",
    "dev": "requirements-dev.lock",
    "fuzz": "requirements-fuzz.lock",
}
"""Each holds everything of those before it, in the same versions."""

COMMAND = """#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -m remote_worker "$@"
"""


def main(kind: str) -> None:
    """Bring `.venv` to what the lock of this kind says, unless it is there already."""
    with (ROOT / ".venv.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        stamp = _read_stamp()
        kinds = list(LOCKS)
        if stamp in map(_wanted, kinds[kinds.index(kind) :]):
            return
        if importlib.util.find_spec("ensurepip") is None:
            sys.exit(
                f"{sys.executable} has no venv: install it (Debian, Ubuntu: apt-get install python3-venv)"
            )
        STAMP.unlink(missing_ok=True)
        _make(LOCKS[kind], fresh=stamp.get("python") != _python())
        STAMP.write_text(json.dumps(_wanted(kind)))


def _make(lock: str, *, fresh: bool) -> None:
    print(f"Setting up .venv from {lock} ...", file=sys.stderr, flush=True)
    # An environment of the same Python is added to, not emptied: a server may be running from it.
    _run(sys.executable, "-I", "-m", "venv", *(["--clear"] if fresh else []), str(VENV))
    python = VENV / "bin" / "python"
    pip = [str(python), "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run(*pip, "--require-hashes", "--only-binary", ":all:", "--requirement", str(ROOT / lock))
    # The package runs from the source tree: a path file needs no build, so no backend outside the lock runs.
    packages = next((VENV / "lib").glob("python3.*/site-packages"))
    (packages / "remote-worker.pth").write_text(f"{ROOT / 'src'}\n")
    # Templates write no bytecode, and compiling at each start leaves holes in the memory that children copy.
    _run(str(python), "-I", "-m", "compileall", "-q", str(ROOT / "src"))
    command = VENV / "bin" / "remote-worker"
    command.write_text(COMMAND)
    command.chmod(0o755)


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


def _read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


if __name__ == "__main__":
    os.umask(0o022)
    main(sys.argv[1])
