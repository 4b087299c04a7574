"""What a target is: a property of some bytes, and what helps a fuzzer to reach into it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SAMPLES = (PROJECT / "tests" / "corpus", PROJECT / "src" / "remote_worker" / "decoder" / "samples")
SEEDS = PROJECT / "tests" / "fuzz" / "seeds"
"""Small inputs for a target, in a folder with its name, where no sample of the project will do."""
FOUND = PROJECT / "tests" / "fuzz" / "found"
"""Inputs that once broke a target, likewise."""
LONGEST_SAMPLE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One property. `run` returns when it holds for the bytes, and raises anything when it does not."""

    name: str
    run: Callable[[bytes], None]
    samples: tuple[str, ...] = ()
    """Patterns of the project's own samples that are its first inputs."""
    words: tuple[bytes, ...] = ()
    """What a mutation may put in: magic words of the format."""
    is_file: bool = False
    """The bytes are a file of a format, so that its chunks, boxes and fields are worth mutating too."""
    most_bytes: int = 32 * 1024

    def inputs(self) -> Iterator[Path]:
        """Its samples, its seeds, and what once broke it."""
        for folder in SAMPLES:
            for pattern in self.samples:
                yield from (
                    path
                    for path in sorted(folder.glob(pattern))
                    if path.is_file() and path.stat().st_size <= LONGEST_SAMPLE_BYTES
                )
        for folder in (SEEDS, FOUND):
            yield from sorted(path for path in (folder / self.name).glob("*") if path.is_file())
