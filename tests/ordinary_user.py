"""Runs a command as a user without any privilege, who can still reach the interpreter."""

import sys
from pathlib import Path

ORDINARY_UID = 1000


def as_ordinary_uid(command: list[str]) -> list[str]:
    """Run it as uid 1000, in a mount namespace in which all may walk the interpreter's folders."""
    interpreter = Path(sys.executable).resolve()
    closed = [folder for folder in interpreter.parents if folder.stat().st_mode & 0o5 != 0o5]
    opened = ""
    for folder in closed[:1]:
        child = folder / interpreter.relative_to(folder).parts[0]
        opened = (
            f"hold=$(mktemp -d) && mount --bind {child} $hold && mount -t tmpfs -o mode=755 none {folder} && "
            f"mkdir {child} && mount --bind $hold {child} && "
        )
    script = f'{opened} exec setpriv --reuid {ORDINARY_UID} --regid {ORDINARY_UID} --clear-groups "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command]
