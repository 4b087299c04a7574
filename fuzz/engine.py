"""Runs one target under atheris until libFuzzer ends the process: `fuzz.engine TARGET OPTION...`."""

import sys
from random import Random

import atheris

from .structure.mutate import mutated

with atheris.instrument_imports(include=["remote_worker", "multipart"]):
    from .targets import TARGETS


def main() -> None:
    """Never returns."""
    name, *options = sys.argv[1:]
    (target,) = (target for target in TARGETS if target.name == name)
    known = [data for path in target.inputs() if (data := path.read_bytes())]

    def mutate(data: bytes, most_bytes: int, seed: int) -> bytes:
        random = Random(seed)
        if known and random.random() < 0.5:
            made, _ = mutated(data, random.choice(known), random, most_bytes=most_bytes)
            return made
        plain: bytes = atheris.Mutate(data, most_bytes)
        return plain

    extra = {"custom_mutator": mutate} if target.is_file else {}
    atheris.Setup([sys.argv[0], *options], target.run, **extra)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
