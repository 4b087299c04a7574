"""What all tests share: samples, outside tools as second readers, and a summary of what did not run."""

import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from ctypes.util import find_library
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from stores_served import Moto, serving_s3

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = os.environ.get("TESTS_REQUIRE_TOOLS") == "1"
"""Set by `.ci/run`: a missing tool fails the tests that need it instead of leaving them out."""

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""Servers are in a folder that not every user's PATH has."""

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@cache
def find_imagemagick() -> list[str] | None:
    """How to start ImageMagick's `convert`; other programs go by that name, so it has to say who it is."""
    for command in (["magick"], ["convert-im6.q16"], ["convert"]):
        path = shutil.which(command[0])
        if path is None:
            continue
        version = subprocess.run([path, "-version"], capture_output=True, check=False).stdout
        formats = subprocess.run([path, "-list", "format"], capture_output=True, check=False).stdout
        if b"ImageMagick" in version and b"PNG" in formats and b"JPEG" in formats:
            return [path]
    return None


@cache
def _php_with_curl() -> bool:
    asking = [shutil.which("php") or "php", "-r", "exit(extension_loaded('curl') ? 0 : 1);"]
    return shutil.which("php") is not None and subprocess.run(asking, check=False).returncode == 0


@cache
def _may_make_namespaces() -> bool:
    """This user may, and the kernel has bridges."""
    ip, unshare = shutil.which("ip", path=SYSTEM_PATH), shutil.which("unshare")
    if os.geteuid() != 0 or ip is None or unshare is None:
        return False
    tried = [unshare, "--net", "--mount", ip, "link", "add", "try", "type", "bridge"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


TOOLS: dict[str, Callable[[], object]] = {
    "needs_exiftool": lambda: shutil.which("exiftool"),
    "needs_imagemagick": find_imagemagick,
    "needs_turbojpeg": cache(lambda: find_library("turbojpeg")),
    "needs_kernel_headers": Path("/usr/include/asm-generic/unistd.h").exists,
    "needs_promtool": lambda: shutil.which("promtool"),
    "needs_curl": lambda: shutil.which("curl"),
    "needs_go": lambda: shutil.which("go"),
    "needs_node": lambda: shutil.which("node"),
    "needs_php": _php_with_curl,
    "needs_ruby": lambda: shutil.which("ruby"),
    "needs_chromium": Path("/usr/bin/chromium").exists,
    # Only root may look into processes that are not dumpable.
    "needs_haproxy": lambda: shutil.which("haproxy", path=SYSTEM_PATH),
    "needs_nginx": lambda: shutil.which("nginx", path=SYSTEM_PATH),
    # Tables are checked by the kernel, in a network namespace of one's own.
    "needs_nft": lambda: os.geteuid() == 0 and shutil.which("nft", path=SYSTEM_PATH),
    "needs_systemd": lambda: shutil.which("systemd-analyze"),
    "needs_helm": lambda: shutil.which("helm"),
    "needs_nats": lambda: shutil.which("nats-server", path=SYSTEM_PATH),
    "needs_namespaces": _may_make_namespaces,
    "needs_strace": lambda: os.geteuid() == 0 and shutil.which("strace"),
}

NOT_REQUIRED = {"needs_helm", "needs_namespaces"}
"""Debian does not have the one, and not every machine allows the other."""

not_run: pytest.StashKey[Counter[str]] = pytest.StashKey()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests whose tool is missing, or make them fail where tools are required."""
    missing = {marker for marker, find in TOOLS.items() if not find()}
    left_out: Counter[str] = Counter()
    for item in items:
        for marker in sorted(missing & {mark.name for mark in item.iter_markers()}):
            left_out[marker.removeprefix("needs_")] += 1
            if not REQUIRED or marker in NOT_REQUIRED:
                item.add_marker(pytest.mark.skip(reason=f"{marker}: it is not there"))
    config.stash[not_run] = left_out


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A required tool that is missing is a failure that names itself."""
    if REQUIRED:
        for mark in item.iter_markers():
            if mark.name in TOOLS.keys() - NOT_REQUIRED and not TOOLS[mark.name]():
                pytest.fail(f"{mark.name}: the tool is not installed; see scripts/install-test-tools")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """A decoder sets Pillow's limit for its whole process, and within a test that is everybody's."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        return (yield)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name the tools that are missing and how many tests wanted each."""
    for tool, count in sorted(config.stash.get(not_run, Counter()).items()):
        terminalreporter.write_line(
            f"not run: {count} tests need {tool} (scripts/install-test-tools)", yellow=True
        )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The large corpus that lies beside a checkout of the project on some machines."""
    folder = ROOT.parent / "shared"
    if not (folder / "corpus").is_dir():
        pytest.skip("no large corpus beside the project")
    return folder


@pytest.fixture(scope="session")
def samples() -> Path:
    """The project's own small samples of every format."""
    return ROOT / "tests" / "corpus"


@pytest.fixture(scope="session")
def exiftool() -> Run:
    """Run exiftool with these arguments and this standard input."""
    return _runner(["exiftool"])


@pytest.fixture(scope="session")
def imagemagick() -> Run:
    """Run ImageMagick's convert with these arguments and this standard input."""
    return _runner(find_imagemagick() or ["magick"])


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """A server that speaks S3. Whoever uses it makes a bucket of their own."""
    with serving_s3() as server:
        yield server


@pytest.fixture
def bucket(moto: Moto, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket, which this process finds by its environment."""
    for name, value in moto.environment.items():
        monkeypatch.setenv(name, value)
    return moto.new_bucket()


def _runner(command: list[str]) -> Run:
    def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*command, *map(str, arguments)], input=stdin, capture_output=True, check=True, timeout=120
        )

    return run
