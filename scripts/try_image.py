"""Does the steps of deploy/Dockerfile without Docker, and starts the outcome as deploy/compose.yaml does.

`python3 try_image.py BASE`: BASE is a folder with a root file system that has Python, as an image's base has;
it is copied, not changed. Needs root, and a mount namespace of its own, in which it leaves mounts behind.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its name in capitals, and what is behind it."""

    name: str
    text: str


def read(file: Path) -> list[Step]:
    """The instructions of a Dockerfile, each on one line."""
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Step(*line.split(maxsplit=1)) for line in whole.splitlines() if line.strip()]


@dataclass(slots=True, kw_only=True)
class Stage:
    """An image that is being made: its root, and what its instructions have said so far."""

    root: Path
    folder: str = "/"
    user: str = "0:0"
    variables: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, str] = field(default_factory=dict)
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    stop: str = "SIGTERM"

    def inside(self, path: str) -> Path:
        """Where a path of the image is."""
        return self.root / os.path.join(self.folder, path).lstrip("/")  # noqa: PTH118  a path of the image


def build(steps: Iterable[Step], base: Path, folder: Path) -> Stage:
    """The last stage, made below this folder."""
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for step in steps:
        if step.name == "FROM":
            name = step.text.partition(" AS ")[2] or "last"
            stage = stages[name] = _begin(base, folder / name)
        elif stage is not None:  # What precedes the first stage says which base, and that is given here.
            _do(step, stage, stages)
    return stages["last"]


def _begin(base: Path, root: Path) -> Stage:
    subprocess.run(["cp", "-a", "-x", f"{base}/.", root], check=True)  # noqa: S607
    # A mount of its own, so that it can be made read-only, and taken away with all that is mounted in it.
    _mount("--bind", str(root), str(root))
    for name in ("proc", "dev"):
        (root / name).mkdir(exist_ok=True)
    _mount("--types", "proc", "proc", f"{root}/proc")
    _mount("--rbind", "--make-rslave", "/dev", f"{root}/dev")
    return Stage(root=root, variables={"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"})


def _do(step: Step, stage: Stage, stages: Mapping[str, Stage]) -> None:
    print(f"{step.name} {step.text[:100]}", flush=True)
    match step.name:
        case "ARG":
            name, _, value = step.text.partition("=")
            stage.arguments[name] = value
        case "ENV":
            for word in shlex.split(step.text):
                name, _, value = word.partition("=")
                stage.variables[name] = re.sub(r"\$\{(\w+)\}", lambda found: stage.variables[found[1]], value)
        case "WORKDIR":
            stage.folder = step.text
            stage.inside("").mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(shlex.split(step.text), stage, stages)
        case "RUN":
            variables = {**stage.variables, **stage.arguments}
            within = ["chroot", str(stage.root), "sh", "-c", f"cd {stage.folder} && {step.text}"]
            subprocess.run(within, env=variables, check=True)
        case "USER":
            stage.user = step.text
        case "ENTRYPOINT":
            stage.entry = json.loads(step.text)
        case "CMD":
            stage.command = json.loads(step.text)
        case "HEALTHCHECK":
            stage.health = json.loads(step.text.partition(" CMD ")[2])
        case "STOPSIGNAL":
            stage.stop = step.text
        case "LABEL" | "EXPOSE":
            pass  # Told to people and programs outside, without an effect on what runs.
        case _:
            sys.exit(f"{step.name} is not known here")


def _copy(words: list[str], stage: Stage, stages: Mapping[str, Stage]) -> None:
    whence = None
    if words[0].startswith("--from="):
        whence = stages[words.pop(0).removeprefix("--from=")]
    *sources, destination = words
    target = stage.inside(destination)
    for name in sources:
        source = whence.inside(name) if whence else ROOT / name
        if source.is_dir():
            # The cache of another Python is not what a context carries.
            ignored = None if whence else shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True, ignore=ignored)
        else:
            place = target / source.name if destination.endswith("/") or len(sources) > 1 else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, place)


def serve(stage: Stage) -> None:
    """Start it as compose does: nobody without privileges, on a read-only root. Exits when it does not do."""
    small = "noexec,nosuid,nodev,size=16m,mode=1777"
    _mount("--types", "tmpfs", "--options", small, "tmp", str(stage.root / "tmp"))
    _mount("--options", "bind,remount,ro", str(stage.root))
    user, _, group = stage.user.partition(":")
    dropped = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--no-new-privs"]
    dropped += ["--inh-caps=-all", "--bounding-set=-all"]
    within = ["chroot", str(stage.root), *dropped]
    variables = {**stage.variables, "REMOTE_OPEN": "1"}
    with subprocess.Popen([*within, *stage.entry, *stage.command], env=variables) as worker:
        end = time.monotonic() + HEALTHY_SECONDS
        while subprocess.run(
            [*within, *stage.health], env=variables, capture_output=True, check=False
        ).returncode:
            if worker.poll() is not None or time.monotonic() > end:
                worker.kill()
                sys.exit("the worker did not become healthy")
            time.sleep(0.1)
        examined = subprocess.run([*within, *stage.entry, "doctor"], env=variables, check=False)
        worker.send_signal(signal.Signals[stage.stop])
        status = worker.wait(STOP_SECONDS)
    if (examined.returncode, status) != (0, 0):
        sys.exit(f"doctor ended with {examined.returncode}, the worker with {status}")
    print("the image's worker became healthy, holds its seal, and stopped well")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)  # noqa: S607


def main(base: Path) -> None:
    """Build and start."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    try:
        serve(build(read(DOCKERFILE), base, folder))
    finally:
        umount = ["umount", "--recursive", "--lazy", *map(str, folder.iterdir())]
        subprocess.run(umount, check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["rm", "-rf", "--one-file-system", folder], check=True)  # noqa: S607


if __name__ == "__main__":
    main(Path(sys.argv[1]))
