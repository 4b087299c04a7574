"""Jobs written as docs/bulk.md says, file by file, without the code that is tested."""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Told = Mapping[str, Any]
PLANNED = 1_800_000_000.0
"""When every job here was planned."""


def made(key: str, *, took: float = 10.0, source: int = 1000, outputs: Sequence[int] = (100,)) -> Told:
    """A row of an item that was made."""
    told = [
        {"name": f"out{at}", "key": f"objects/r/{at}/{len(key)}", "size_bytes": size}
        for at, size in enumerate(outputs)
    ]
    return {"key": key, "version": "v1", "outputs": told, "source_bytes": source, "milliseconds": took}


def failed(key: str, code: str, detail: str = "", took: float = 1.0) -> Told:
    """A row of one that was not."""
    row: dict[str, Any] = {"key": key, "version": "v1", "code": code, "source_bytes": 7, "milliseconds": took}
    return {**row, "detail": detail} if detail else row


class Written:
    """A job in a folder of this machine."""

    def __init__(self, store: Path, shards: Sequence[Sequence[str]], recipe: str = "/images/fit/800") -> None:
        """Planned with these keys."""
        self.root = store / "jobs" / "job1"
        self.address = f"{store}/jobs/job1"
        for name in ("shards", "parts", "retries", "doubts"):
            (self.root / name).mkdir(parents=True)
        self.keys = [list(keys) for keys in shards]
        for number, keys in enumerate(shards):
            items = [{"key": key, "version": "v1", "size_bytes": 1000} for key in keys]
            self._write(f"shards/{number:05d}.jsonl.gz", items, 0)
        plan = {
            "id": "job1",
            "source": "s3://photos/2026",
            "recipe": recipe,
            "task": {"kind": "fit"},
            "objects": "objects/abc",
            "shards": len(shards),
            "items": sum(map(len, shards)),
            "size_bytes": 1000 * sum(map(len, shards)),
            "created": PLANNED,
            "made_by": "0.1.0",
        }
        (self.root / "plan.json").write_text(json.dumps(plan))

    def commit(self, shard: int, rows: Sequence[Told], after: int) -> None:
        """Its part, so many seconds after the plan."""
        self._write(f"parts/{shard:05d}.jsonl.gz", rows, int(PLANNED) + after)

    def commit_all(self, rows: Mapping[str, Told] | None = None) -> None:
        """Every shard of the plan: what is not named was made."""
        for shard, keys in enumerate(self.keys):
            self.commit(shard, [(rows or {}).get(key) or made(key) for key in keys], 10 * (shard + 1))

    def begin(self, shard: int) -> None:
        """A worker has it in hand."""
        (self.root / "doubts" / f"{shard:05d}.json").write_text("{}")

    def shard(self, number: int) -> list[str]:
        """The keys of a shard, as it lies there."""
        lines = gzip.decompress((self.root / f"shards/{number:05d}.jsonl.gz").read_bytes()).splitlines()
        return [json.loads(line)["key"] for line in lines]

    def _write(self, name: str, lines: Sequence[Told], when: int) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.root / name).write_bytes(gzip.compress(text.encode(), mtime=when))
