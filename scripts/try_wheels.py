"""Asks pip whether every wheel that serving needs exists for the machines and Pythons that the lock is for.

Neither can be seen from the lock, which has hashes and no names of files. Downloads, and installs nothing.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "requirements.lock"
MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.14")
"""The oldest, and the newest for which there is everything."""
GLIBC = range(17, 35)
"""manylinux_2_17 to 2_34: that of Debian 12 is 2.36."""


def of_machine(lock: str, machine: str) -> str:
    """The lock without what is asked for on other machines: pip judges markers by where it runs itself."""

    def kept(block: re.Match[str]) -> str:
        named = re.search(r"platform_machine == '(\w+)'", block[1])
        return block[0] if named is None or named[1] == machine else ""

    return re.sub(r"^(\S[^\n]*)\n(?:    [^\n]*\n)+", kept, lock, flags=re.M)


def missing(machine: str, python: str) -> str:
    """What pip says of the first wheel that does not exist there."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in reversed(GLIBC)]
    platforms.append(f"manylinux2014_{machine}")
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text(of_machine(LOCK.read_text(), machine))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--no-input"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
        command += ["--target", f"{folder}/target", "--python-version", python]
        command += [word for platform in platforms for word in ("--platform", platform)]
        done = subprocess.run(
            [*command, "--requirement", str(wanted)], capture_output=True, text=True, check=False
        )
    return done.stderr.strip() if done.returncode else ""


def main() -> int:
    """Tell for each machine and Python; 1 when something is missing."""
    status = 0
    for machine in MACHINES:
        for python in PYTHONS:
            lacks = missing(machine, python)
            print(f"{machine} {python}: {lacks or 'every wheel exists'}", flush=True)
            status |= bool(lacks)
    return status


if __name__ == "__main__":
    sys.exit(main())
