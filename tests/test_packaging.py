"""The package and its scripts: what the wheel holds, what the locks say, how set-up behaves."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
import urllib.request
import venv
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from fetch.names import Names

from benchmarks.origin import TITLE, origin
from benchmarks.servers import free_port

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
FUZZING = ROOT / "requirements-fuzz.lock"
TELEMETRY = ROOT / "requirements-telemetry.lock"
SCALE = ROOT / "requirements-scale.lock"
LOCKS = (RUNTIME, TELEMETRY, SCALE, DEVELOPMENT, FUZZING)
"""Each holds the one before it."""


def pins(lock: Path) -> set[str]:
    """The lines that name a version, with their markers."""
    lines = lock.read_text().splitlines()
    return {line.rstrip(" \\") for line in lines if re.match("[a-z]", line)}


def project() -> dict[str, object]:
    """The [project] table."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert isinstance(table, dict)
    return table


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (made,) = folder.glob("*.whl")
    return zipfile.ZipFile(made)


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    source = ROOT / "src"
    files = {
        str(path.relative_to(source))
        for path in (source / "remote_worker").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    held = {name for name in wheel.namelist() if name.startswith("remote_worker/")}
    assert held == files
    assert {"remote_worker/py.typed", "remote_worker/decoder/samples/sample.jpg"} <= held
    assert any(name.startswith("remote_worker/decoder/fonts/") for name in held)


def test_the_wheel_gives_the_command_and_its_licence(wheel: zipfile.ZipFile) -> None:
    (entries,) = (name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))

    assert "remote-worker = remote_worker.cli:main" in wheel.read(entries).decode()
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and with what it needs out of this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python*/site-packages")
    wheel.extractall(site)
    # The folder alone: what it says itself, such as where the checkout is, is not read.
    (site / "needs.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin" / "python"


def run_installed(python: Path, home: Path, *arguments: str, **variables: str) -> list[str]:
    """What a program of the environment prints, in a home that has nothing."""
    done = subprocess.run(
        [str(python), *arguments],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_wheel_previews_and_resolves_outside_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    port = free_port()
    opened = {"REMOTE_EGRESS_ALLOW": f"127.0.0.1/32:{port}"}
    worker = ("-m", "remote_worker")

    async def resolve() -> list[str]:
        async with Names() as names:
            names.has("www.example.com", "93.184.215.14")
            asked = {"REMOTE_NAMESERVERS": str(names.nameserver)}
            return await asyncio.to_thread(
                run_installed, installed, tmp_path, *worker, "resolve", "www.example.com", **asked
            )

    (where,) = run_installed(installed, tmp_path, "-c", "import remote_worker as r; print(r.__file__)")
    with origin(port, min(os.sched_getaffinity(0))):
        told = run_installed(
            installed, tmp_path, *worker, "preview", f"http://127.0.0.1:{port}/page", **opened
        )

    assert Path(where).is_relative_to(installed.parents[1])
    assert ["title", TITLE] in [line.split(maxsplit=1) for line in told]
    assert asyncio.run(resolve()) == ["93.184.215.14"]


def test_the_wheel_serves_outside_of_the_checkout(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "REMOTE_PORT": "0"}
    with subprocess.Popen(
        [str(installed), "-m", "remote_worker", "serve"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stderr is not None
        lines = iter(serving.stderr.readline, "")
        url = next((line.split("url=")[1].strip() for line in lines if " serving url=" in line), "")
        assert url, "it ended before it served"
        ready = json.loads(urllib.request.urlopen(f"{url}/readyz", timeout=30).read())
        serving.terminate()
        serving.communicate(timeout=30)

    assert (ready["success"], ready["formats"]["jpeg"]) == (True, "ok")
    assert serving.returncode == 0


def test_the_wheel_asks_for_a_new_enough_python(wheel: zipfile.ZipFile) -> None:
    (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))

    assert "Requires-Python: >=3.11\n" in wheel.read(metadata).decode()


def test_every_declared_dependency_is_locked() -> None:
    declared = project()["dependencies"]
    assert isinstance(declared, list)
    names = {re.split("[<>=;]", text)[0].lower().replace("_", "-") for text in declared}

    assert names <= {pin.partition("==")[0] for pin in pins(RUNTIME)}


def test_each_lock_holds_the_one_before_it_in_the_same_versions() -> None:
    held = [{pin.partition(" ;")[0] for pin in pins(lock)} for lock in LOCKS]

    assert all(former < latter for former, latter in pairwise(held))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_pins_and_hashes_everything_and_names_no_registry(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[a-z])", text)[1:]

    assert len(blocks) == len(pins(lock))
    assert all(
        re.match(r"[a-z0-9-]+==[0-9][^\s;]*( ; [^\\]+)? \\\n    --hash=sha256:[0-9a-f]{64}", block)
        for block in blocks
    )
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)


def test_every_dependency_has_its_reason() -> None:
    declared = project()["dependencies"]
    assert isinstance(declared, list)
    reasons = (ROOT / "docs" / "decisions" / "0001-dependencies.md").read_text()

    for text in declared:
        assert f"| {re.split('[<>=;]', text)[0]} |" in reasons


def run_script(
    name: str, *arguments: str, path: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script; `path` is a folder of stand-ins that come first in PATH."""
    folders = os.environ["PATH"] if path is None else f"{path}:{os.environ['PATH']}"
    return subprocess.run(
        [str(ROOT / "scripts" / name), *arguments],
        env={**os.environ, "PATH": folders, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def stand_in(folder: Path, name: str, program: str) -> Path:
    """A program of this name in a folder of its own."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    return folder


def test_serve_elsewhere_than_on_linux_stops_and_points_to_the_container(tmp_path: Path) -> None:
    done = run_script("serve", path=stand_in(tmp_path, "uname", "echo Darwin"))

    assert done.returncode == 78
    assert "container" in done.stderr


def test_setup_without_python_says_what_to_install() -> None:
    done = run_script("setup", PYTHON="no-such-python")

    assert done.returncode == 69
    assert "no-such-python was not found: install Python 3.11 or newer" in done.stderr


def test_setup_with_an_old_python_says_so(tmp_path: Path) -> None:
    old = stand_in(tmp_path, "old-python", 'case "$1" in -c) exit 1;; *) echo Python 3.9.2;; esac')

    done = run_script("setup", PYTHON=str(old / "old-python"))

    assert done.returncode == 69
    assert "Python 3.9.2 is too old: Python 3.11 or newer is needed" in done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what set-up reads, with locks that hold nothing, so that it needs no registry."""
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for lock in LOCKS:
        (folder / lock.name).write_text("")
    return folder


def set_up(checkout: Path, kind: str) -> str:
    """Run set-up there and give what it said."""
    done = subprocess.run(
        [str(checkout / "scripts" / "setup"), kind],
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


def test_setup_works_once_and_is_quick_after(checkout: Path) -> None:
    first = set_up(checkout, "serve")
    began = time.monotonic()
    second = set_up(checkout, "serve")
    took = time.monotonic() - began

    assert "Setting up .venv from requirements.lock" in first
    assert second == ""
    assert took < 1
    command = checkout / ".venv" / "bin" / "remote-worker"
    assert os.access(command, os.X_OK)
    where = [
        str(checkout / ".venv" / "bin" / "python"),
        "-I",
        "-c",
        "import remote_worker as r; print(r.__file__)",
    ]
    assert subprocess.check_output(where, text=True).startswith(str(checkout / "src"))


def test_setup_starts_over_when_the_lock_changed_and_not_for_less_than_there_is(checkout: Path) -> None:
    set_up(checkout, "dev")

    assert set_up(checkout, "serve") == ""
    assert "Setting up .venv from requirements-fuzz.lock" in set_up(checkout, "fuzz")
    assert set_up(checkout, "dev") == ""
    (checkout / FUZZING.name).write_text("# changed\n")
    assert "Setting up" in set_up(checkout, "serve")


def test_setup_that_failed_is_done_again(checkout: Path) -> None:
    (checkout / RUNTIME.name).write_text("starlette==1.10.0\n")  # No hash: pip refuses it.
    with pytest.raises(subprocess.CalledProcessError) as caught:
        set_up(checkout, "serve")

    assert "hash" in caught.value.stderr.lower()
    (checkout / RUNTIME.name).write_text("")
    assert "Setting up" in set_up(checkout, "serve")


def python(folder: Path, name: str, *, says: str, does: str) -> None:
    """A stand-in for a Python that says this of itself and does this when it is to set up."""
    stand_in(folder, name, f'case "$1" in -c) echo "True {says}";; *) echo "asked {says}" >&2; {does};; esac')


def set_up_with(checkout: Path, programs: Path) -> tuple[int, list[str]]:
    """Run set-up where these are the only Pythons: its status and what it said."""
    for tool in ("bash", "dirname", "grep", "sort"):
        (programs / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        [str(checkout / "scripts" / "setup"), "serve"],
        env={"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    (tmp_path / "programs").mkdir()
    return tmp_path / "programs"


def test_setup_tries_the_newest_python_first_and_then_those_before_it(checkout: Path, programs: Path) -> None:
    for minor in (98, 9, 100, 10):
        python(programs, f"python3.{minor}", says=str(minor), does="exit 3")
    python(programs, "python3.12", says="12", does="exit 0")
    stand_in(programs, "python3.99", "exit 127")  # A name with nothing behind it, as version managers have.
    python(programs, "python3", says="11", does="exit 0")

    assert set_up_with(checkout, programs) == (0, ["asked 98", "asked 12"])


def test_setup_stops_at_a_failure_that_another_python_would_not_mend(checkout: Path, programs: Path) -> None:
    python(programs, "python3.98", says="98", does="exit 5")
    python(programs, "python3", says="11", does="exit 0")

    assert set_up_with(checkout, programs) == (5, ["asked 98"])


def test_a_python_under_two_names_is_asked_once(checkout: Path, programs: Path) -> None:
    for name in ("python3.98", "python3"):
        python(programs, name, says="98", does="exit 3")

    assert set_up_with(checkout, programs) == (3, ["asked 98"])


def environment(checkout: Path) -> tuple[int, str]:
    """Set up by this Python, with another one behind it and no registry: the status and what it said."""
    done = subprocess.run(
        [sys.executable, "-I", str(checkout / "scripts" / "environment.py"), "serve", "--or-another"],
        env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_a_wheel_that_a_python_lacks_is_named_once_and_what_is_there_stays(checkout: Path) -> None:
    assert set_up(checkout, "serve")
    made = (checkout / ".venv" / "bin" / "remote-worker").stat().st_mtime_ns
    nowhere = f"no-such-thing==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
    (checkout / RUNTIME.name).write_text(nowhere)

    status, said = environment(checkout)

    version = sys.version.split()[0]
    assert status == 3
    assert f"Python {version} is left out: no-such-thing==1.0 is not there for it" in said
    assert environment(checkout) == (3, "")
    assert (checkout / ".venv" / "bin" / "remote-worker").stat().st_mtime_ns == made
    (checkout / RUNTIME.name).write_text("")
    assert environment(checkout) == (0, "")


def test_what_the_project_asks_for_up_to_an_older_python_is_named_too(checkout: Path) -> None:
    project = checkout / "pyproject.toml"
    ended = f"python_version < '3.{sys.version_info[1]}'"
    project.write_text(project.read_text().replace("python_version < '3.15'", ended))

    status, said = environment(checkout)

    assert status == 3
    assert "is left out: pillow-jxl-plugin is not there for it" in said


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A copy of the pages and of the script that makes some of them."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


def make_docs(pages: Path, *arguments: str) -> tuple[int, str]:
    """Run the script there; its status and what it complained of."""
    done = subprocess.run(
        [sys.executable, str(pages / "scripts" / "make_docs.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_pages_that_are_made_from_the_code_are_fresh(pages: Path) -> None:
    assert make_docs(pages, "--check") == (0, "")


@pytest.mark.parametrize("name", ["settings.md", "formats.md"])
def test_a_stale_page_is_named_and_made_anew(pages: Path, name: str) -> None:
    page = pages / "docs" / name
    fresh = page.read_text()
    page.write_text(fresh.replace("| ", "| not ", 1))

    assert make_docs(pages, "--check") == (1, f"docs/{name} is stale: run scripts/make-docs\n")
    assert make_docs(pages) == (0, "")
    assert page.read_text() == fresh
