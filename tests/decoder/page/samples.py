"""The pages of tests/corpus/pages, with what each must give."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "corpus" / "pages"
URL = "https://site.example/a/b"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A page: `expect` holds members of its facts as they must be, `absent` those that must not be there."""

    name: str
    about: str
    url: str = URL
    charset: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def data(self) -> bytes:
        return (FOLDER / f"{self.name}.html").read_bytes()


SAMPLES = [
    Sample(name=name, **row) for name, row in tomllib.loads((FOLDER / "MANIFEST.toml").read_text()).items()
]
