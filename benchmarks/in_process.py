"""One task done over and over in this process, warm: no HTTP, no jail, no fork. Prints its CPU as JSON.

`python -m benchmarks.in_process TASK FILE SECONDS`, where TASK is the load driver's word. The stages are told
by wrapping functions of the decoder from here, in a second run: wrapping costs the first one nothing.
"""

import functools
import gc
import json
import mmap
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Avatars, Fit, Prepare, Task
from remote_worker.contract.signatures import Template
from remote_worker.decoder import animation, color, encode, job, jpeg_turn, operations, warm
from remote_worker.decoder.formats import FORMATS

TASKS: dict[str, Task] = {
    "avatar6": Avatars(),
    "fit800": Fit(width=800, height=800),
    "fit800_anim": Fit(width=800, height=800, animated=True),
    "prepare_jpeg": Prepare(),
}
"""What the load driver asks for, by its own words."""

STAGES = ("decode", "resize", "encode", "rest")
"""`resize` has colour and turning with it; `rest` is headers, JPEG segments and all that has no stage."""
_STAGE_OF: dict[ModuleType, str] = {
    operations: "resize",
    color: "resize",
    encode: "encode",
    animation: "encode",
    jpeg_turn: "encode",
}
LEAST_UNITS = 5


def main(word: str, file: Path, seconds: float) -> None:
    """Measure, and print the CPU milliseconds of one unit and of each of its stages."""
    warm.up(Template.RASTER, Limits())
    with file.open("rb") as opened:
        data = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
    work = functools.partial(job.run, TASKS[word], data, Limits(), Template.RASTER)
    work()
    gc.collect()
    gc.freeze()
    unit = 1000 * _cpu_seconds(work, seconds)
    clock = StageClock()
    clock.wrap_decoder()
    _cpu_seconds(work, seconds / 2)
    shares = clock.shares()
    print(json.dumps({"unit": unit, **{stage: unit * shares.get(stage, 0.0) for stage in STAGES}}))


def _cpu_seconds(work: Callable[[], object], seconds: float) -> float:
    """The mean of a unit, over so many seconds and some units at least."""
    units = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds or units < LEAST_UNITS:
        work()
        units += 1
    return spent / units


class StageClock:
    """Charges CPU time to the innermost stage that is open."""

    def __init__(self) -> None:
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._open = ["rest"]
        self._since = time.process_time()

    def shares(self) -> dict[str, float]:
        """What part of the time until now went to each stage."""
        self._charge()
        total = sum(self._spent.values())
        return {stage: spent / total for stage, spent in self._spent.items()}

    def wrap_decoder(self) -> None:
        """Have the decoder's functions and loaders open and close their stages."""
        for module, stage in _STAGE_OF.items():
            for name, value in list(vars(module).items()):
                is_own = isinstance(value, FunctionType) and value.__module__ == module.__name__
                if is_own and not name.startswith("_"):
                    setattr(module, name, self._wrapped(value, stage))
        for loader in {id(row.loader): row.loader for row in FORMATS if row.loader is not None}.values():
            vars(loader)["still"] = self._wrapped(loader.still, "decode")
            vars(loader)["frames"] = self._wrapped_frames(loader.frames)
        self._spent.clear()

    @contextmanager
    def _stage(self, stage: str) -> Iterator[None]:
        self._charge()
        self._open.append(stage)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def _charge(self) -> None:
        now = time.process_time()
        self._spent[self._open[-1]] += now - self._since
        self._since = now

    def _wrapped(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            with self._stage(stage):
                return function(*arguments, **named)

        return timed

    def _wrapped_frames(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def timed(*arguments: Any, **named: Any) -> Iterator[Any]:
            frames = function(*arguments, **named)
            while True:
                with self._stage("decode"):
                    frame = next(frames, None)
                if frame is None:
                    return
                yield frame

        return timed


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
