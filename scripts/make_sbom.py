"""Writes docs/sbom.cdx.json, or tells whether it is stale: every wheel of the lock and what is in it.

CycloneDX 1.6 without a serial number or a time, so that the same lock gives the same file.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from remote_worker import __version__
from remote_worker.decoder import codec_versions, codecs

PROJECT = Path(__file__).resolve().parent.parent
LOCK = PROJECT / "requirements.lock"
PAGE = PROJECT / "docs" / "sbom.cdx.json"

LICENCES = {
    "cykooz-resizer": "MIT OR Apache-2.0",
    "h11": "MIT",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "multipart": "MIT",
    "nh3": "MIT",
    "pillow-heif": "BSD-3-Clause",
    "resvg-py": "MIT",
    "rich": "MIT",
    "webencodings": "BSD-3-Clause",
}
"""Of wheels whose metadata has no SPDX expression: what their licence files say."""

Component = dict[str, Any]


def locked(lock: Path) -> Mapping[str, str]:
    """The packages of a lock file with their versions, in its order."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", lock.read_text(), re.M))


def bill() -> dict[str, Any]:
    """The whole document. Raises PackageNotFoundError for a wheel of the lock that is not installed here."""
    wheels = [_wheel(name, version) for name, version in locked(LOCK).items()]
    own = f"pkg:pypi/remote-worker@{__version__}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": _component("application", "remote-worker", __version__, "MIT", own, ref=own)
        },
        "components": wheels,
        "dependencies": [
            {"ref": own, "dependsOn": [wheel["bom-ref"] for wheel in wheels]},
            *({"ref": wheel["bom-ref"]} for wheel in wheels),
        ],
    }


def _wheel(name: str, version: str) -> Component:
    installed = metadata.version(name)
    if installed != version:
        raise SystemExit(
            f"{name} {installed} is installed, and the lock says {version}: run scripts/setup dev"
        )
    url = f"pkg:pypi/{name}@{version}"
    licence = str(metadata.metadata(name).json.get("license_expression") or LICENCES[name])
    wheel = _component("library", name, version, licence, url, ref=url)
    parts = sorted(_parts(name), key=lambda part: str(part["bom-ref"]))
    return wheel | ({"components": parts} if parts else {})


def _parts(wheel: str) -> Iterator[Component]:
    """What the wheel brings: the codecs of our table, and the other crates that it lists itself."""
    versions = codecs.versions()
    ours = {codec.name: codec for codec in codecs.CODECS if _plain(codec.wheel) == wheel}
    listed = list(codec_versions.listed(wheel)) if wheel in _WITH_LISTS else []
    for codec in ours.values():
        version = versions[codec.name]
        urls = [
            part.url for part in listed if (part.name, part.version) == (codec.name, version) and part.url
        ]
        own = urls[0] if urls else f"pkg:generic/{codec.name}@{version}"
        yield _component("library", codec.name, version, codec.licence, own, ref=codec.reference)
    for part in listed:
        if part.name in ours and part.version == versions[part.name]:
            continue
        ref = f"{wheel}#{part.name}@{part.version}"
        yield _component("library", part.name, part.version, part.licence, part.url, ref=ref)


_WITH_LISTS = ("cykooz-resizer", "pillow-jxl-plugin", "resvg-py", "pybase64", "nh3")
"""Wheels whose own lists are whole; Pillow's names also what it could have been built with."""


def _plain(name: str) -> str:
    return name.replace("_", "-")


def _component(kind: str, name: str, version: str, licence: str, url: str, *, ref: str) -> Component:
    return {
        "type": kind,
        "bom-ref": ref,
        "name": name,
        "version": version,
        "licenses": [{"expression": licence}],
        "purl": url,
    }


def main(*, check: bool) -> int:
    """Write the file; with `check`, leave it and answer 1 when it is stale."""
    text = json.dumps(bill(), indent=1) + "\n"
    if check:
        if PAGE.read_text() != text:
            print(f"docs/{PAGE.name} is stale: run scripts/sbom", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
