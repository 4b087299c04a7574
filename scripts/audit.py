"""Holds the locks and the codecs inside the wheels against known vulnerabilities.

Exit status: 0 nothing known; 1 something is known; 75 (EX_TEMPFAIL) nothing found, but not every package
could be asked about, so that silence is not taken for safety.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from make_sbom import locked

from remote_worker.decoder import codecs

PROJECT = Path(__file__).resolve().parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-fuzz.lock")
SERVICES = ("pypi", "osv")
"""What pip-audit can ask, in this order; the second is asked about what the first does not know."""
FOUND, NOT_ASKED = 1, 75
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Hole:
    """A vulnerability of a codec. `fixed` is the first release without it; None while there is none."""

    codec: str
    name: str
    fixed: str | None
    source: str


_NVD = "https://nvd.nist.gov/vuln/detail/"
_ADVISORY = "https://github.com/advisories/"

HOLES = (
    Hole("libwebp", "CVE-2023-4863", "1.3.2", f"{_ADVISORY}GHSA-j7hp-h8jx-5ppr"),
    Hole("libavif", "CVE-2025-48174", "1.3.0", f"{_ADVISORY}GHSA-f6x7-5x3c-j3rg"),
    Hole("libaom", "CVE-2023-6879", "3.7.1", f"{_NVD}CVE-2023-6879"),
    Hole("dav1d", "CVE-2024-1580", "1.4.0", f"{_NVD}CVE-2024-1580"),
    Hole("libheif", "GHSA-x8r2-mggj-j6wr", "1.23.3", f"{_ADVISORY}GHSA-x8r2-mggj-j6wr"),
    Hole("libde265", "CVE-2026-33164", "1.0.17", f"{_ADVISORY}GHSA-wqrf-6rf5-v78r"),
    Hole("libde265", "CVE-2026-33165", "1.0.17", f"{_ADVISORY}GHSA-653q-9f73-8hvg"),
    Hole("libjxl", "CVE-2026-1837", "0.11.2", "https://www.cve.org/cverecord?id=CVE-2026-1837"),
    Hole("libpng", "CVE-2025-66293", "1.6.52", f"{_NVD}CVE-2025-66293"),
    Hole("libtiff", "CVE-2024-7006", "4.7.0", f"{_NVD}CVE-2024-7006"),
    Hole("openjpeg", "CVE-2025-54874", "2.5.4", "https://github.com/uclouvain/openjpeg/pull/1573"),
    Hole("openjpeg", "OSV-2025-219", None, "https://github.com/uclouvain/openjpeg/issues/1652"),
    Hole("openjpeg", "CVE-2026-107080", None, "https://www.cve.org/CVERecord?id=CVE-2026-107080"),
)
"""Of each codec the holes that set the lowest version to run; no service knows what is inside a wheel."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is known about a version that we run."""

    where: str
    name: str
    version: str
    hole: str
    fixed: str
    source: str


def main() -> int:
    """Ask, print a table of what is known and who could not be asked; the result is the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__)
    parser.add_argument("--tool", type=Path, help="pip-audit; without it no advisory source is asked")
    parser.add_argument("--versions", type=Path, help="codecs' versions as JSON, instead of those installed")
    options = parser.parse_args()
    versions = json.loads(options.versions.read_text()) if options.versions else codecs.versions()
    findings = list(codec_findings(versions))
    print(f"codecs: {len(versions)} versions held against {len(HOLES)} known holes")
    unasked = 0
    for lock in LOCKS:
        packages = locked(PROJECT / lock)
        known, asked = ask(lock, packages, options.tool)
        findings += known
        unasked += len(packages) - len(asked)
        print(f"{lock}: {len(asked)} of {len(packages)} packages asked about")
        if missing := sorted(packages.keys() - asked):
            print(f"  not asked about: {', '.join(missing)}")
    for finding in findings:
        fixed = f"fixed in {finding.fixed}" if finding.fixed else "no release fixes it yet"
        found = f"{finding.where}: {finding.name} {finding.version}: {finding.hole}, {fixed}"
        print(f"FOUND {found} {finding.source}".rstrip())
    if unasked:
        print(
            f"NOT ASKED: no advisory source was reachable for {unasked} packages; this is no sign of safety"
        )
    if findings:
        return FOUND
    return NOT_ASKED if unasked else 0


def codec_findings(versions: Mapping[str, str]) -> Iterator[Finding]:
    """The known holes that these versions have."""
    for hole in HOLES:
        version = versions.get(hole.codec)
        if version and (hole.fixed is None or number(version) < number(hole.fixed)):
            yield Finding("codec", hole.codec, version, hole.name, hole.fixed or "", hole.source)


def number(version: str) -> tuple[int, ...]:
    """A version for comparing: `1.6.0`, `4.3+1-e9b8812`, `1.0.9-3.el8`."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    if found is None:
        raise ValueError(f"{version!r} is no version that can be compared")
    parts = [int(part) for part in found[0].split(".")]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def ask(lock: str, packages: Mapping[str, str], tool: Path | None) -> tuple[list[Finding], set[str]]:
    """What the services know of these packages, and the names of those that one of them could tell about."""
    findings: list[Finding] = []
    asked: set[str] = set()
    for service in SERVICES if tool else ():
        left = {name: version for name, version in packages.items() if name not in asked}
        report = _report(str(tool), service, left) if left else None
        for row in report or ():
            # A package that the service does not know is skipped, and pip-audit calls the whole clean.
            if "skip_reason" in row or row["name"] not in left:
                continue
            asked.add(row["name"])
            for hole in row["vulns"]:
                fixed = ", ".join(hole["fix_versions"])
                findings.append(Finding(lock, row["name"], row["version"], hole["id"], fixed, ""))
    return findings, asked


def _report(tool: str, service: str, packages: Mapping[str, str]) -> Iterable[dict[str, Any]] | None:
    """pip-audit's rows, or None when it could not ask."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        # Without markers: what another Python or machine installs is asked about too.
        pinned.writelines(f"{name}=={version}\n" for name, version in packages.items())
        pinned.flush()
        command = [tool, "--vulnerability-service", service, "--requirement", pinned.name, "--format", "json"]
        command += ["--no-deps", "--disable-pip", "--progress-spinner", "off"]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
            rows: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
        except (OSError, subprocess.TimeoutExpired, ValueError, LookupError):
            return None
        return rows


if __name__ == "__main__":
    sys.exit(main())
