"""What the wheels bring is listed with version and licence, held against known holes, and named by doctor."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from remote_worker.decoder import codecs

ROOT = Path(__file__).resolve().parents[1]
BILL = json.loads((ROOT / "docs" / "sbom.cdx.json").read_text())
IMAGE_WHEELS = sorted({codec.wheel for codec in codecs.CODECS if codec.wheel})
COMPLETE = sys.version_info < (3, 15) and os.uname().machine == "x86_64"
"""Here every package of the lock has a wheel."""
SPDX = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "FTL", "GPL-2.0-only", "ISC",
    "GPL-2.0-or-later", "GPL-3.0-or-later", "IJG", "LGPL-3.0-or-later", "LLVM-exception", "MIT", "MIT-0",
    "MIT-CMU", "MIT-Modern-Variant", "MIT-open-group", "MPL-2.0", "PSF-2.0", "Unicode-3.0", "Unlicense",
    "X11", "Zlib", "bzip2-1.0.6", "libpng-2.0", "libtiff",
}  # fmt: skip
"""The identifiers of the SPDX list, spelled as there, of which our licences may be made."""


def installed_files(wheel: str) -> list[Path]:
    try:
        return [Path(str(file.locate())) for file in metadata.files(wheel) or ()]
    except metadata.PackageNotFoundError:
        pytest.skip(f"{wheel} has no wheel for this Python")


def components(part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for inner in part.get("components", ()):
        yield inner
        yield from components(inner)


@pytest.mark.parametrize("wheel", IMAGE_WHEELS)
def test_every_shared_library_in_a_wheel_is_in_the_table_and_the_table_names_no_other(wheel: str) -> None:
    bundled = {
        re.split(r"-[0-9a-f]{8}", file.name)[0]
        for file in installed_files(wheel)
        if file.parent.name.endswith(".libs")
    }
    named = {name for codec in codecs.CODECS if codec.wheel == wheel for name in codec.files}

    assert bundled == named


def test_every_package_with_native_code_that_the_decoder_uses_is_a_wheel_of_the_table() -> None:
    from remote_worker.cli import diagnosis

    native = {
        name
        for name in diagnosis.IMAGE_PACKAGES
        if diagnosis.is_installed(name) and any(".so" in file.name for file in installed_files(name))
    }

    assert native <= set(IMAGE_WHEELS)
    assert {"pillow", "pillow-heif", "isal", "resvg_py"} <= native


@pytest.mark.parametrize(
    "codec",
    [codec for codec in codecs.CODECS if codec.wheel],
    ids=lambda codec: f"{codec.wheel} {codec.name}",
)
def test_every_codec_tells_its_version_and_has_its_licence_in_the_wheel(codec: codecs.Codec) -> None:
    files = installed_files(codec.wheel)
    name, _, heading = codec.licence_text.partition(" (")[0].partition(", ")[0].partition(": ")
    texts = [file for file in files if str(file).endswith(f"/{name}")]

    assert re.match(r"[0-9a-f]", codecs.versions()[codec.name])
    assert texts
    assert heading in texts[0].read_text()


def test_a_version_in_a_librarys_file_name_is_the_one_that_it_tells() -> None:
    """The second source: auditwheel kept the number behind `.so` for those whose release it is."""
    numbers = {
        re.split(r"-[0-9a-f]{8}", file.name)[0]: file.name.partition(".so.")[2]
        for wheel in ("pillow", "pillow-heif")
        for file in installed_files(wheel)
        if file.parent.name.endswith(".libs")
    }
    told = codecs.versions()

    assert numbers["libopenjp2"] == told["openjpeg"]
    assert numbers["liblzma"] == told["liblzma"]
    assert numbers["libzstd"] == told["zstd"]
    assert numbers["libbrotlidec"] == told["brotli"]
    assert numbers["libpng16"] == told["libpng"].replace("1.6", "16") + ".0"
    assert numbers["libheif"] == told["libheif"]


def test_the_bill_of_materials_lists_the_lock_and_what_is_in_its_wheels() -> None:
    lock = dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M))
    parts = list(components(BILL))
    references = [part["bom-ref"] for part in parts]

    assert (BILL["bomFormat"], BILL["specVersion"], BILL["version"]) == ("CycloneDX", "1.6", 1)
    assert {part["name"]: part["version"] for part in BILL["components"]} == lock
    assert {codec.reference for codec in codecs.CODECS if codec.wheel} <= set(references)
    assert len(references) == len(set(references))
    assert not {"serialNumber", "timestamp"} & (BILL.keys() | BILL["metadata"].keys())
    own = BILL["metadata"]["component"]["bom-ref"]
    assert {row["ref"] for row in BILL["dependencies"]} == {own} | {
        part["bom-ref"] for part in BILL["components"]
    }


def test_every_component_has_a_package_url_of_its_version_and_a_licence_by_spdx() -> None:
    for part in [BILL["metadata"]["component"], *components(BILL)]:
        (licence,) = part["licenses"]
        words = set(re.findall(r"[\w.+-]+", licence["expression"])) - {"AND", "OR", "WITH"}

        assert words, part["name"]
        assert words <= SPDX, part["name"]
        assert part["type"] in ("application", "library")
        assert re.fullmatch(r"pkg:(pypi|cargo|generic|github|rpm)/[^\s@]+@\S+", part["purl"]), part["name"]


@pytest.mark.skipif(not COMPLETE, reason="not every package of the lock has a wheel here")
def test_the_committed_bill_is_what_the_lock_and_the_wheels_give() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/make_sbom.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


NAMES = [part["name"] for part in BILL["components"]]
FIXED = json.dumps({"libwebp": "1.3.2", "libpng": "1.6.52", "dav1d": "1.4.1", "x265": "4.3+1-e9b8812"})


def audit(tmp_path: Path, versions: str = FIXED, **answers: str) -> subprocess.CompletedProcess[str]:
    """The audit with a pip-audit that says these things, by service; it exits 1 without a word for others."""
    (tmp_path / "versions.json").write_text(versions)
    for service, answer in answers.items():
        (tmp_path / service).write_text(answer)
    tool = tmp_path / "pip-audit"
    tool.write_text(f'#!/bin/sh\nexec cat "{tmp_path}/$2" 2>/dev/null\n')
    tool.chmod(0o755)
    options = ["--tool", str(tool), "--versions", str(tmp_path / "versions.json")]
    return subprocess.run(
        [sys.executable, "scripts/audit.py", *options], cwd=ROOT, capture_output=True, text=True, check=False
    )


def answer(**vulnerable: str) -> str:
    """What pip-audit prints for both locks: each package is clean but those with a hole."""
    lock = (ROOT / "requirements-fuzz.lock").read_text()
    return json.dumps(
        {
            "dependencies": [
                {
                    "name": name,
                    "version": version,
                    "vulns": [{"id": vulnerable[name], "fix_versions": ["99.1"], "aliases": []}]
                    if name in vulnerable
                    else [],
                }
                for name, version in re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock, re.M)
            ],
            "fixes": [],
        }
    )


SKIPPED = json.dumps(
    {"dependencies": [{"name": name, "skip_reason": "Dependency not found"} for name in NAMES], "fixes": []}
)


def test_an_audit_that_asked_about_everything_and_found_nothing_ends_with_0(tmp_path: Path) -> None:
    done = audit(tmp_path, pypi=answer())

    assert done.returncode == 0, done.stdout + done.stderr
    assert "FOUND" not in done.stdout
    assert f"requirements.lock: {len(NAMES)} of {len(NAMES)} packages asked about" in done.stdout


def test_a_known_hole_of_a_package_is_found_with_the_release_that_fixes_it(tmp_path: Path) -> None:
    done = audit(tmp_path, pypi=answer(starlette="PYSEC-2030-1"))

    assert done.returncode == 1
    assert re.search(r"FOUND requirements.lock: starlette \S+: PYSEC-2030-1, fixed in 99.1", done.stdout)


@pytest.mark.parametrize(
    "said", [{}, {"pypi": SKIPPED}, {"pypi": "no JSON"}, {"pypi": '{"dependencies": []}'}]
)
def test_packages_that_no_source_told_about_are_never_taken_for_safe(
    tmp_path: Path, said: dict[str, str]
) -> None:
    done = audit(tmp_path, **said)

    assert done.returncode == 75
    assert "no advisory source was reachable" in done.stdout
    assert f"requirements.lock: 0 of {len(NAMES)} packages asked about" in done.stdout


def test_the_second_source_is_asked_about_what_the_first_does_not_know(tmp_path: Path) -> None:
    assert audit(tmp_path, pypi=SKIPPED, osv=answer()).returncode == 0
    assert audit(tmp_path, pypi=SKIPPED, osv=answer(pillow="OSV-1")).returncode == 1


@pytest.mark.parametrize(
    ("versions", "status"),
    [
        ({"libwebp": "1.3.1"}, 1),
        ({"libwebp": "1.3.2"}, 0),
        ({"libwebp": "1.10.0"}, 0),
        ({"libheif": "1.23"}, 1),
        ({"libheif": "1.23.2"}, 1),
        ({"libheif": "1.23.3"}, 0),
        ({"libde265": "1.0.16"}, 1),
        ({"libde265": "1.0.17"}, 0),
        ({"openjpeg": "2.5.4"}, 1),  # no release fixes its holes yet
    ],
)
def test_a_codec_below_its_lowest_safe_version_is_found_and_its_neighbour_is_not(
    tmp_path: Path, versions: dict[str, str], status: int
) -> None:
    done = audit(tmp_path, json.dumps(versions), pypi=answer())

    assert done.returncode == status, done.stdout
    (name,) = versions
    assert (f"FOUND codec: {name} {versions[name]}: " in done.stdout) is (status == 1)


def test_doctor_prints_the_version_of_every_codec_that_is_installed() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "remote_worker", "doctor"],
        env={name: text for name, text in os.environ.items() if not name.startswith("REMOTE_")},
        capture_output=True,
        text=True,
        check=False,
    )
    told = dict(re.findall(r"^library   (\S+) (\S+)", done.stdout, re.M))

    assert told == told | codecs.versions()
    assert told["pillow"] == metadata.version("pillow")


def test_the_page_about_fixes_names_commands_that_work() -> None:
    page = (ROOT / "docs" / "codec-fixes.md").read_text()
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.S) for line in block.splitlines()]
    (doctor,) = (line for line in lines if line.startswith("REMOTE_FORMATS="))
    done = subprocess.run(["bash", "-c", doctor], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "format    jp2: off" in done.stdout.splitlines()
    paths = {word for line in lines for word in line.split() if word.startswith(("scripts/", "tests/"))}
    assert len(paths) >= 6
    assert all((ROOT / path).exists() for path in paths)
