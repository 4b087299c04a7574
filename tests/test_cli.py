"""The command line, run as a user runs it: outputs, messages and exit statuses."""

import json
import os
import signal
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from remote_worker import settings

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "src" / "remote_worker" / "decoder" / "samples"
PNG = b"\x89PNG\r\n\x1a\n"


def cli(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `remote-worker` with these arguments and REMOTE_ variables."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    return subprocess.run(
        [sys.executable, "-m", "remote_worker", *map(str, arguments)],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def png_size(path: Path) -> tuple[int, int]:
    """Width and height out of the header, by the PNG specification."""
    data = path.read_bytes()
    assert data.startswith(PNG)
    assert data[12:16] == b"IHDR"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A black PNG of 300 x 200, written by the specification alone."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    path = tmp_path / "wide.png"
    rows = zlib.compress((b"\0" + bytes(300 * 3)) * 200)
    header = struct.pack(">IIBBBBB", 300, 200, 8, 2, 0, 0, 0)
    path.write_bytes(PNG + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


def test_fit_writes_the_picture_inside_the_box(wide: Path, tmp_path: Path) -> None:
    done = cli("run", "fit", "100", wide, tmp_path / "out.png")

    assert (done.returncode, done.stderr) == (0, "")
    assert png_size(tmp_path / "out.png") == (100, 67)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REMOTE_IPIP_DB_PATH", "/nowhere/facts.mmdb"),
        ("REMOTE_IPIP_DB_PATH", __file__),
        ("REMOTE_ENS_RPC_URL", "ftp://node.example/secret"),
        ("REMOTE_ENS_RPC_URL", "secret"),
        ("REMOTE_EXTERNAL_CHECK_URL", "ftp://check.example/secret"),
        ("REMOTE_EXTERNAL_CHECK_URL", "secret"),
        ("REMOTE_SETTINGS_FILE", "/nowhere/worker.toml"),
    ],
)
def test_what_a_setting_names_must_be_there_at_the_start(variable: str, value: str) -> None:
    done = cli("serve", "--port", "0", **{variable: value})

    assert done.returncode == 78
    assert f"{variable} must be" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("host", ["10.0.0.5:8545", "geth:8545", "node.example:8545"])
def test_a_node_that_may_not_be_fetched_from_stops_the_start_and_says_what_opens_it(host: str) -> None:
    done = cli("serve", "--port", "0", REMOTE_ENS_RPC_URL=f"http://{host}/secret")

    assert done.returncode == 78
    assert "REMOTE_ENS_RPC_URL must" in done.stderr
    assert "REMOTE_EGRESS_ALLOW" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("host", ["10.0.0.5:9000", "checker:9000", "check.example:9000", "127.0.0.1:9001"])
def test_a_check_that_may_not_be_reached_stops_the_start_and_says_what_opens_it(host: str) -> None:
    done = cli(
        "serve",
        "--port",
        "0",
        REMOTE_EXTERNAL_CHECK_URL=f"http://{host}/secret",
        REMOTE_EXTERNAL_CHECK_ALLOW="127.0.0.1/32:9002",
    )

    assert done.returncode == 78
    assert "REMOTE_EXTERNAL_CHECK_URL must be opened by REMOTE_EXTERNAL_CHECK_ALLOW" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("token", ["two words", "s\N{LATIN SMALL LETTER E WITH ACUTE}cret"])
def test_a_token_of_the_check_that_no_header_holds_stops_the_start(token: str) -> None:
    done = cli(
        "serve",
        "--port",
        "0",
        REMOTE_EXTERNAL_CHECK_URL="https://check.example/",
        REMOTE_EXTERNAL_CHECK_TOKEN=token,
    )

    assert done.returncode == 78
    assert "REMOTE_EXTERNAL_CHECK_TOKEN must be" in done.stderr
    assert token not in done.stderr


def test_settings_tell_where_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text("frames = 7\n")
    done = cli("settings", "--origins", REMOTE_SETTINGS_FILE=str(path), REMOTE_PORT="1234")

    lines = done.stdout.splitlines()
    assert "environment REMOTE_PORT=1234" in lines
    assert "file        REMOTE_FRAMES=7" in lines
    assert "default     REMOTE_HOST=127.0.0.1" in lines


def test_an_unknown_preset_is_told_before_anything_starts(wide: Path, tmp_path: Path) -> None:
    done = cli("run", "preset", "none", wide, tmp_path / "out")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "remote-worker: not_found: there is no preset of this name\n"
    assert not (tmp_path / "out").exists()


def test_fit_takes_a_box_of_two_sides(wide: Path, tmp_path: Path) -> None:
    cli("run", "fit", "300x50", wide, tmp_path / "out.png")

    assert png_size(tmp_path / "out.png") == (75, 50)


@pytest.mark.parametrize(
    ("name", "signature"),
    [("out.jpg", b"\xff\xd8\xff"), ("out.JPEG", b"\xff\xd8\xff"), ("out.webp", b"RIFF"), ("out.png", PNG)],
)
def test_the_extension_of_the_output_picks_the_format(
    wide: Path, tmp_path: Path, name: str, signature: bytes
) -> None:
    assert cli("run", "fit", "50", wide, tmp_path / name).returncode == 0
    assert (tmp_path / name).read_bytes().startswith(signature)


def test_a_format_that_only_its_own_uploads_come_out_as_is_kept(tmp_path: Path) -> None:
    done = cli("run", "fit", "50", SAMPLES / "sample.gif", tmp_path / "out.gif")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.gif").read_bytes().startswith(b"GIF8")


def test_a_format_that_the_upload_does_not_come_out_as_is_refused(wide: Path, tmp_path: Path) -> None:
    done = cli("run", "fit", "50", wide, tmp_path / "out.gif")

    assert done.returncode == 1
    assert done.stderr.startswith("remote-worker: bad_parameter: this upload fits as png")
    assert not (tmp_path / "out.gif").exists()


def test_avatars_writes_one_file_for_each_size_due(wide: Path, tmp_path: Path) -> None:
    done = cli("run", "avatars", wide, tmp_path / "out")

    assert done.returncode == 0, done.stderr
    sizes = {path.name: png_size(path) for path in (tmp_path / "out").iterdir()}
    assert sizes == {f"avatar{side}.png": (side, side) for side in (24, 48, 73, 128)}


def test_prepare_keeps_an_upright_jpeg_and_refuses_what_is_none(wide: Path, tmp_path: Path) -> None:
    good = cli("run", "prepare", SAMPLES / "sample.jpg", tmp_path / "out.jpg")
    bad = cli("run", "prepare", wide, tmp_path / "none.jpg")

    assert good.returncode == 0, good.stderr
    assert (tmp_path / "out.jpg").read_bytes().startswith(b"\xff\xd8\xff")
    assert bad.returncode == 1
    assert bad.stderr.startswith("remote-worker: not_a_jpeg")
    assert not (tmp_path / "none.jpg").exists()


def test_prepare_gives_a_jpeg_no_name_of_another_format(tmp_path: Path) -> None:
    done = cli("run", "prepare", SAMPLES / "sample.jpg", tmp_path / "out.png")

    assert done.returncode == 2
    assert "out.png is not the name of a JPEG" in done.stderr
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("task", [("fit", "100"), ("prepare",)])
def test_a_folder_that_is_not_there_is_told_by_the_name_that_was_given(
    task: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "nowhere" / "out.jpg"
    done = cli("run", *task, SAMPLES / "sample.jpg", out)

    assert (done.returncode, done.stderr) == (1, f"remote-worker: {out}: No such file or directory\n")


def test_info_prints_json(wide: Path) -> None:
    told = json.loads(cli("run", "info", wide).stdout)

    assert (told["width"], told["height"], told["frames"]) == (300, 200, 1)


def test_a_damaged_picture_ends_with_its_code_and_leaves_no_file(wide: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(wide.read_bytes()[:60])
    (tmp_path / "out").mkdir()

    done = cli("run", "fit", "50", cut, tmp_path / "out" / "out.png")

    assert done.returncode == 1
    assert done.stderr.startswith("remote-worker: damaged")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_picture_of_more_bytes_than_allowed_is_refused_and_its_neighbour_is_not(wide: Path) -> None:
    size = wide.stat().st_size

    assert cli("run", "info", wide, REMOTE_INPUT_BYTES=str(size)).returncode == 0
    refused = cli("run", "info", wide, REMOTE_INPUT_BYTES=str(size - 1))
    assert refused.returncode == 1
    assert refused.stderr.startswith("remote-worker: too_large")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = cli("run", "info", tmp_path / "absent.png")

    assert done.returncode == 1
    assert "absent.png" in done.stderr
    assert done.stderr.endswith("absent.png: No such file or directory\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["juggle"],
        ["run"],
        ["run", "fit", "0", "a.png", "b.png"],
        ["run", "fit", "65536", "a.png", "b.png"],
        ["run", "fit", "8x", "a.png", "b.png"],
        ["run", "fit", "8", "a.png", "b.xyz"],
        ["run", "fit", "8", "a.png", "b.png", "--quality", "101"],
        ["serve", "now"],
    ],
)
def test_bad_usage_ends_with_two(arguments: list[str]) -> None:
    done = cli(*arguments)

    assert done.returncode == 2
    assert "usage: remote-worker" in done.stderr


def test_settings_prints_every_variable_with_its_effective_value() -> None:
    done = cli("settings", REMOTE_INPUT_BYTES="1MiB")

    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert list(told) == [row.name for row in settings.TABLE]
    assert told["REMOTE_INPUT_BYTES"] == "1MiB"
    assert told["REMOTE_CPU_SECONDS"] == "8"


@pytest.mark.parametrize("command", [["settings"], ["doctor"]])
def test_a_reader_that_has_enough_is_no_failure_to_speak_of(command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "remote_worker", *command],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("command", [["serve"], ["settings"], ["doctor"], ["run", "info", "a.png"]])
def test_a_bad_setting_stops_every_command_with_its_name(command: list[str]) -> None:
    done = cli(*command, REMOTE_PROT="1")

    assert done.returncode == 78
    assert done.stderr == "remote-worker: REMOTE_PROT is not a setting: did you mean REMOTE_PORT?\n"


def test_serve_takes_its_port_from_the_command_line_and_checks_it() -> None:
    done = cli("serve", "--port", "70000")

    assert done.returncode == 78
    assert "REMOTE_PORT must be a whole number from 0 to 65535, not '70000'" in done.stderr


@pytest.fixture
def serving() -> Iterator[subprocess.Popen[str]]:
    """`scripts/serve` on a free port of loopback."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")}
    process = subprocess.Popen(
        [str(ROOT / "scripts" / "serve"), "--port", "0"], env=clean, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_scripts_serve_serves_until_it_is_asked_to_stop(serving: subprocess.Popen[str]) -> None:
    assert serving.stderr is not None
    lines = iter(serving.stderr.readline, "")
    url = next((line.split("url=")[1].strip() for line in lines if " serving url=" in line), None)
    assert url is not None, "it ended before it served"

    hello = json.loads(urllib.request.urlopen(f"{url}/hello", timeout=30).read())
    ready = urllib.request.urlopen(f"{url}/readyz", timeout=30).status
    serving.send_signal(signal.SIGTERM)
    rest = list(lines)

    assert hello["success"] is True
    assert ready == 200
    assert serving.wait(timeout=30) == 0
    assert rest[-1].endswith(" info stopped\n")


def test_serve_without_the_seal_beyond_loopback_does_not_start() -> None:
    done = cli("serve", "--host", "0.0.0.0", REMOTE_JAIL="off", REMOTE_OPEN="1")

    assert done.returncode == 78
    assert "REMOTE_JAIL=off is for debugging on loopback only" in done.stderr


def test_serve_without_a_door_does_not_start_and_says_why(tmp_path: Path) -> None:
    done = cli("serve", REMOTE_PORT="0", REMOTE_EGRESS_CA_FILE=str(tmp_path / "none.pem"))

    assert done.returncode == 78
    assert "process that fetches" in done.stderr
    assert "No such file" in done.stderr


def test_elsewhere_than_on_linux_nothing_starts() -> None:
    program = (
        "import sys; from remote_worker.cli import main; sys.platform = 'darwin'; sys.exit(main(['serve']))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 78
    assert "container" in done.stderr


def test_doctor_finds_the_seal_and_every_format_in_order() -> None:
    done = cli("doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "seal      holds" in lines
    told = {tuple(line.split()[1:3]) for line in lines if line.startswith("layer ")}
    every = {(process, "seccomp:") for process in ("raster", "svg", "text", "fetch")}
    assert every <= told
    libraries = dict(line.split()[1:3] for line in lines if line.startswith("library "))
    for package in (
        "cmarkgfm",
        "nh3",
        "webencodings",
        "ada-url",
        "dnspython",
        "publicsuffixlist",
    ):
        assert libraries[package] == metadata.version(package)
    formats = {line.split()[1].rstrip(":"): line.split()[2] for line in lines if line.startswith("format ")}
    expected = "jpeg jp2 png gif bmp tiff webp heic avif psd icns ico svg jxl".split()
    if sys.version_info >= (3, 15):
        expected.remove("jxl")
    assert formats == dict.fromkeys(expected, "ok")


WITHOUT_SECCOMP = """
import ctypes, platform, struct, sys
number = {"x86_64": 317, "aarch64": 277}[platform.machine()]
program = b"".join(struct.pack("<HBBI", *row) for row in [
    (0x20, 0, 0, 0),           # load the system call's number
    (0x15, 0, 1, number),      # seccomp?
    (0x06, 0, 0, 0x00050001),  # EPERM
    (0x06, 0, 0, 0x7FFF0000),  # allow
])
rows = ctypes.create_string_buffer(program, len(program))
filter = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", 4, ctypes.addressof(rows)), 16)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter) == 0
from remote_worker.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""Runs the command line where the kernel refuses the system call that installs a seccomp filter."""


@pytest.mark.parametrize(("command", "status"), [("serve", 78), ("doctor", 1)])
def test_a_seal_that_cannot_be_put_up_ends_the_start_and_is_named(command: str, status: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SECCOMP, command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == status, done.stdout + done.stderr
    assert "seccomp" in (done.stderr or done.stdout.splitlines()[-1])
    assert "Traceback" not in done.stderr


def test_doctor_says_loudly_that_the_seal_is_off() -> None:
    done = cli("doctor", REMOTE_JAIL="off")

    assert done.returncode == 1
    assert "DOES NOT HOLD: REMOTE_JAIL is off" in done.stdout
