"""What the worker is made of: packages, codecs, known holes, and formats that are switched off one by one."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence

import httpx

from benchmarks import servers
from benchmarks.servers import PROJECT
from remote_worker.contract.formats import FormatName
from remote_worker.decoder import codec_versions, codecs

from .point import Given, Row

_PORT = 5190
_SAMPLES = PROJECT / "src" / "remote_worker" / "decoder" / "samples"
_SUFFIXES = {FormatName.JPEG: "jpg", FormatName.TIFF: "tif"}


def measure(given: Given) -> Sequence[Row]:
    """Counts what the lock and the wheels hold, runs scripts/audit, and starts the service for each format.

    Bars: every locked package and every bundled library is listed; nothing is known that a release fixes;
    with a format off its uploads get 415 format_unavailable, the others are read, and /capabilities says so.
    """
    return [_packages(), _libraries(), *_audit(), *_switches(given)]


def _packages() -> Row:
    locked = re.findall(r"^[a-z0-9-]+==", (PROJECT / "requirements.lock").read_text(), re.M)
    listed = json.loads((PROJECT / "docs" / "sbom.cdx.json").read_text())["components"]
    inside = sum(len(wheel.get("components", ())) for wheel in listed)
    return Row(
        case="packages of the lock in the bill of materials",
        bar="all",
        measured=f"{len(listed)} of {len(locked)}, with {inside} libraries and crates inside",
        holds=len(listed) == len(locked),
    )


def _libraries() -> Row:
    folders = codec_versions.PACKAGES.glob("pillow*.libs")
    bundled = {re.split(r"-[0-9a-f]{8}", file.name)[0] for folder in folders for file in folder.iterdir()}
    named = {name for codec in codecs.CODECS for name in codec.files}
    told = codecs.versions()
    silent = [codec.name for codec in codecs.CODECS if codec.wheel and codec.name not in told]
    return Row(
        case="shared libraries in the image wheels that docs/codecs.md lists",
        bar="all, and every codec tells its version",
        measured=f"{len(bundled & named)} of {len(bundled)}; {len(told)} versions",
        holds=bundled == named and not silent,
    )


def _audit() -> Iterator[Row]:
    done = subprocess.run([PROJECT / "scripts" / "audit"], capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith("FOUND")]
    (asked,) = re.findall(r"^requirements\.lock: (\d+) of (\d+) packages", done.stdout, re.M)
    is_whole = asked[0] == asked[1]
    reach = f"{asked[0]} of {asked[1]} packages asked about"
    known = [line for line in found if not line.startswith("FOUND codec")]
    yield Row(
        case="known vulnerabilities of packages",
        bar="0 where a source is reachable, else said so",
        measured=f"{len(known)}, {reach}" if is_whole else f"NOT KNOWN, no source reachable: {reach}",
        holds=not known and (is_whole or "NOT ASKED" in done.stdout),
    )
    holes = [line for line in found if line.startswith("FOUND codec")]
    open_still = [line for line in holes if "no release fixes it yet" in line]
    names = ", ".join(line.split(": ", 1)[1].partition(",")[0] for line in open_still)
    yield Row(
        case="known holes of bundled codecs",
        bar="0 that a release fixes",
        measured=f"{len(holes) - len(open_still)}; no release fixes {len(open_still)}: {names}",
        holds=len(holes) == len(open_still),
    )


def _switches(given: Given) -> Iterator[Row]:
    refused = read = told = 0
    for name in FormatName:
        settings = {"REMOTE_FORMATS": f"-{name}"}
        with servers.worker(_PORT, set(given.server_cores), **settings) as service:
            answers = {other: _info(service.address, other) for other in FormatName}
            refused += answers.pop(name) == (415, "format_unavailable")
            read += all(answer == (200, "") for answer in answers.values())
            formats = httpx.get(f"{service.address}/capabilities").json()["formats"]
            told += {other for other, row in formats.items() if not row["read"]} == {str(name)}
    most = len(FormatName)
    for case, count in (
        ("a format off: its upload gets 415 format_unavailable", refused),
        ("a format off: every other is read", read),
        ("a format off: /capabilities names it alone as not read", told),
    ):
        yield Row(case=case, bar=f"{most} of {most}", measured=f"{count} of {most}", holds=count == most)


def _info(address: str, name: FormatName) -> tuple[int, str]:
    sample = next(iter(sorted(_SAMPLES.glob(f"sample*.{_SUFFIXES.get(name, name)}"))))
    answer = httpx.post(f"{address}/images/info", files={"file": sample.read_bytes()})
    return answer.status_code, answer.json().get("code", "")
