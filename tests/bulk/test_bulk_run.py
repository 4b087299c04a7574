"""Bulk jobs done by this process and by others that are killed: what is made, adopted, recorded and told."""

import asyncio
import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from test_cli import cli
from web.serving import small_uses

from hold.bulk_worker import CRASH, POISON, SETTINGS, Poisonable
from remote_worker import wiring
from remote_worker.bulk.folder import Folder, opened
from remote_worker.bulk.plan import Wanted, freeze, listed, named
from remote_worker.bulk.retry import add_retry
from remote_worker.bulk.running import Stopped, handler, run_local, run_with_engine
from remote_worker.bulk.shard import Bench, Job, run_shard
from remote_worker.contract.limits import Limits
from remote_worker.contract.messages import Fit, Task
from remote_worker.engines.engine import Kind, Unit
from remote_worker.engines.local import LocalEngine
from remote_worker.jobs.settings import JobSettings
from remote_worker.service import asked
from remote_worker.service.images import Images
from remote_worker.service.presets import Presets
from remote_worker.service.presets import read as read_presets
from remote_worker.stores.opening import open_store, open_within
from remote_worker.stores.store import Found, Meta, Store, StoreFailed
from remote_worker.web.app import create_app
from remote_worker.web.settings import WebSettings

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "src" / "remote_worker" / "decoder" / "samples"
PNG, JPEG = (SAMPLES / "sample.png").read_bytes(), (SAMPLES / "sample.jpg").read_bytes()
WEBP = Fit(width=16, height=16, format="webp")


class Bulk:
    """A pool that lasts for all tests of the module."""

    def __init__(self, runner: asyncio.Runner, pool: Poisonable, bench: Bench) -> None:
        self.runner = runner
        self.pool = pool
        self.bench = bench

    def run(self, folder: Folder) -> None:
        """Do the whole job."""
        job = Job.opened(folder, open_store)
        self.runner.run(run_local(job, self.bench, stop=asyncio.Event()))


@pytest.fixture(scope="module")
def bulk() -> Iterator[Bulk]:
    with asyncio.Runner() as runner:
        pool = runner.run(Poisonable(SETTINGS).__aenter__())
        with wiring.bench(Images(pool), SETTINGS) as bench:
            yield Bulk(runner, pool, bench)
        runner.run(pool.__aexit__(None, None, None))


def planned(
    source: Path, out: Path, task: Task = WEBP, *, keys: list[str] | None = None, shard_items: int = 3
) -> Folder:
    """A job over all of the folder, or these keys."""
    stores = open_store(str(source)), open_store(str(out))
    items = listed(*stores) if keys is None else named(stores[0], keys)
    return freeze(*stores, Wanted(recipe="", task=task, shard_items=shard_items), items)


def put(folder: Path, **files: bytes) -> Path:
    """The folder, with these files; `_` in a name is a dot."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    return folder


def codes(folder: Folder) -> Mapping[str, str]:
    """By the keys, what each row says; each key has one."""
    rows = [row for shard in sorted(folder.committed()) for row in folder.rows(shard)]
    assert len(rows) == len({row.key for row in rows})
    return {row.key: row.code for row in rows}


def objects(out: Path) -> Mapping[str, bytes]:
    """All outputs, without what was broken off while it was written."""
    store = open_store(str(out))
    return {key: store.get(key, 1_000_000).data for key, _ in store.list("objects/")}


def parts(folder: Folder, out: Path) -> Mapping[str, list[dict[str, Any]]]:
    """The rows as they lie there, without how long they took."""
    found = {}
    for path in (out / "jobs" / folder.id / "parts").iterdir():
        rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        for row in rows:
            row.pop("milliseconds", None)
        found[path.name] = rows
    return found


def worker(folder: Folder, *more: str) -> subprocess.Popen[bytes]:
    """A process that does the job; with pictures that end it."""
    return subprocess.Popen([sys.executable, "-m", "hold.bulk_worker", folder.url, *more], cwd=ROOT)


@pytest.mark.parametrize(
    "target", ["/images/fit/16?format=webp", "/images/fit/12x8?mode=cover&quality=50", "/images/preset/two"]
)
def test_outputs_are_the_bytes_that_the_service_answers(bulk: Bulk, tmp_path: Path, target: str) -> None:
    outputs = [{"name": name, "width": 9, "height": 9, "format": "png"} for name in ("one", "other")]
    presets = Presets(read_presets({"two": {"outputs": outputs, "facts": ["phash"]}}))
    source = put(tmp_path / "in", a_png=PNG)
    folder = planned(source, tmp_path / "out", asked.task(target, presets))

    bulk.run(folder)

    (row,) = folder.rows(0)
    made = {output.name: (tmp_path / "out" / output.key).read_bytes() for output in row.outputs}
    assert made == online(bulk, presets, target)
    assert set(row.facts) == ({"phash"} if "preset" in target else set())


def online(bulk: Bulk, presets: Presets, target: str) -> Mapping[str, bytes]:
    """What the service answers with these presets."""
    uses = replace(small_uses(bulk.pool), presets=presets)
    app = create_app(uses, bulk.pool.check, WebSettings(port=0), Limits())

    async def ask() -> Any:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            answer = await client.post(target, files={"file": ("a", PNG)})
        assert answer.status_code == 200, answer.text
        return answer.json()

    told = bulk.runner.run(ask())
    bodies = {name: one["body"] for name, one in told.get("outputs", {}).items()} or {
        "output": told["output"]
    }
    return {name: base64.b64decode(body) for name, body in bodies.items()}


def test_errors_are_rows_with_their_codes_and_a_crash_of_a_decoder_is_one(bulk: Bulk, tmp_path: Path) -> None:
    files = {"a_png": PNG, "b_png": PNG + CRASH, "c_png": PNG[:100], "d_txt": b"no picture", "e_png": b""}
    folder = planned(put(tmp_path / "in", **files), tmp_path / "out")

    bulk.run(folder)

    assert codes(folder) == {
        "a.png": "",
        "b.png": "decoder_crashed",
        "c.png": "damaged",
        "d.txt": "unsupported_format",
        "e.png": "empty_file",
    }
    assert len(objects(tmp_path / "out")) == 1


def test_a_source_that_changed_or_went_since_the_plan_is_a_row(bulk: Bulk, tmp_path: Path) -> None:
    source = put(tmp_path / "in", gone_png=PNG, larger_png=PNG, other_png=PNG, same_png=PNG)
    folder = planned(source, tmp_path / "out")
    (source / "gone.png").unlink()
    (source / "larger.png").write_bytes(PNG + b"more")
    (source / "other.png").write_bytes(PNG[:-1] + b"!")

    bulk.run(folder)

    assert codes(folder) == {
        "gone.png": "source_gone",
        "larger.png": "source_changed",
        "other.png": "source_changed",
        "same.png": "",
    }


class Withholding:
    """A store that knows all it has and does not give all of it out; or one that answers nothing."""

    def __init__(self, store: Store, *, is_there: bool = True) -> None:
        self._store = store
        self._is_there = is_there

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, key: str, most_bytes: int) -> Found:
        """Not those in the archive."""
        if "archived" in key:
            raise StoreFailed(f"getting {key}: 403 InvalidObjectState")
        return self._store.get(key, most_bytes)

    def head(self, key: str) -> Meta | None:
        """Of those too."""
        if not self._is_there:
            raise StoreFailed("no answer")
        return self._store.head(key)


def withheld(bulk: Bulk, folder: Folder, *, is_there: bool) -> None:
    """Do it, with a source that withholds some."""
    job = Job.opened(folder, open_store)
    source = cast(Store, Withholding(job.source, is_there=is_there))
    bulk.runner.run(run_shard(replace(job, source=source), 0, bulk.bench))


def test_a_source_that_is_known_and_not_given_out_costs_only_itself_and_is_tried_by_a_retry(
    bulk: Bulk, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", a_png=PNG, archived_png=PNG, archivedgone_png=PNG, archivedlate_png=PNG)
    folder = planned(source, tmp_path / "out", shard_items=9)
    (source / "archivedgone.png").unlink()
    (source / "archivedlate.png").write_bytes(PNG[:-1] + b"!")

    withheld(bulk, folder, is_there=True)

    assert codes(folder) == {
        "a.png": "",
        "archived.png": "source_unreadable",
        "archivedgone.png": "source_gone",
        "archivedlate.png": "source_changed",
    }
    assert add_retry(folder).items == 1


def test_a_store_that_answers_nothing_is_no_fault_of_its_items(bulk: Bulk, tmp_path: Path) -> None:
    folder = planned(put(tmp_path / "in", a_png=PNG, archived_png=PNG), tmp_path / "out")

    with pytest.raises(StoreFailed):
        withheld(bulk, folder, is_there=False)

    assert folder.committed() == set()


def test_keys_of_a_manifest_that_are_not_there_are_rows_and_no_key_leads_out_of_the_store(
    bulk: Bulk, tmp_path: Path
) -> None:
    hostile = [
        "ünï©ode/图.png",
        "a%2Fb@c=.png",
        "new\nline.png",
        "x" * 250 + ".png",
        "y" * 200 + "/" + "z" * 200,
    ]
    source = tmp_path / "in"
    for key in hostile:
        (source / key).parent.mkdir(parents=True, exist_ok=True)
        (source / key).write_bytes(PNG)
    put(tmp_path, outside_png=PNG)
    missing = ["../outside.png", "/etc/passwd", "nothing.png", "a//b.png"]
    folder = planned(source, tmp_path / "out", keys=[*hostile, *missing])

    bulk.run(folder)

    assert codes(folder) == {**dict.fromkeys(hostile, ""), **dict.fromkeys(missing, "source_gone")}
    assert len(objects(tmp_path / "out")) == len(hostile)
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "outside.png"}


def test_what_was_made_for_the_same_recipe_and_version_is_adopted(bulk: Bulk, tmp_path: Path) -> None:
    source = put(tmp_path / "in", a_png=PNG, b_jpg=JPEG)
    bulk.run(planned(source, tmp_path / "out"))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "objects").rglob("*.webp")}
    (source / "b.jpg").write_bytes(JPEG + b" ")
    again = planned(source, tmp_path / "out")

    bulk.run(again)

    rows = {row.key: row for row in again.rows(0)}
    assert rows["a.png"].milliseconds == 0
    assert rows["b.jpg"].milliseconds > 0
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(objects(tmp_path / "out")) == len(before) + 1


@pytest.mark.parametrize("target", ["/images/facts?facts=phash", "/images/info", "/images/rescale_avatar"])
def test_recipes_of_facts_or_of_many_pictures_are_adopted_whole(
    bulk: Bulk, tmp_path: Path, target: str
) -> None:
    source = put(tmp_path / "in", a_png=PNG)
    task = asked.task(target, Presets({}))
    first = planned(source, tmp_path / "out", task)
    bulk.run(first)
    second = planned(source, tmp_path / "out", task)

    bulk.run(second)

    (made,), (adopted,) = first.rows(0), second.rows(0)
    assert made.milliseconds > 0
    assert adopted.milliseconds == 0
    assert (made.outputs, made.facts) == (adopted.outputs, adopted.facts)
    assert made.outputs or made.facts


def test_killed_half_way_and_resumed_all_is_as_if_nothing_had_been(bulk: Bulk, tmp_path: Path) -> None:
    files = {f"{number:02d}_png": PNG + bytes(number) for number in range(60)}
    source = put(tmp_path / "in", **files, crash_png=PNG + CRASH, bad_jpg=JPEG[:200])
    whole = planned(source, tmp_path / "whole", shard_items=5)
    bulk.run(whole)
    folder = planned(source, tmp_path / "out", shard_items=5)
    killed = worker(folder)
    try:
        deadline = time.monotonic() + 60
        while killed.poll() is None and len(folder.committed()) < 3 and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        killed.kill()
        killed.wait()
    was = len(folder.committed())

    bulk.run(folder)

    assert 3 <= was < 13
    assert objects(tmp_path / "out") == objects(tmp_path / "whole")
    assert parts(folder, tmp_path / "out") == parts(whole, tmp_path / "whole")
    assert len(codes(folder)) == 62
    assert folder.begun() == set()


def test_two_runs_at_once_commit_each_shard_once(bulk: Bulk, tmp_path: Path) -> None:
    source = put(tmp_path / "in", **{f"{number}_png": PNG + bytes(number) for number in range(12)})
    folder = planned(source, tmp_path / "out")
    job = Job.opened(folder, open_store)

    async def both() -> list[bool]:
        shards = [run_shard(job, shard, bulk.bench) for shard in (0, 1, 2, 3, 0, 1, 2, 3)]
        return await asyncio.gather(*shards)

    won = bulk.runner.run(both())

    assert sum(won) == 4
    assert codes(folder) == dict.fromkeys((f"{number}.png" for number in range(12)), "")


def test_a_picture_that_kills_its_worker_costs_only_itself_and_so_do_two(tmp_path: Path) -> None:
    bad = {"b_png": PNG + POISON, "d_png": JPEG + POISON}
    source = put(tmp_path / "in", a_png=PNG, c_png=PNG, e_png=PNG, **bad)
    folder = planned(source, tmp_path / "out", shard_items=10)

    statuses = []
    while not folder.committed():
        statuses.append(worker(folder, "0").wait())
        assert len(statuses) <= 6

    # One goes in unawares, then two over each.
    assert statuses == [-signal.SIGKILL] * 5 + [0]
    assert codes(folder) == {
        "a.png": "",
        "b.png": "worker_killed",
        "c.png": "",
        "d.png": "worker_killed",
        "e.png": "",
    }


def test_what_is_under_suspicion_waits_for_the_shards_beside_it(tmp_path: Path) -> None:
    source = put(tmp_path / "in", **{f"{number:03d}_png": PNG + bytes(number) for number in range(120)})
    (source / "000.png").write_bytes(PNG + POISON)
    (source / "001.png").write_bytes(PNG + POISON)
    folder = planned(source, tmp_path / "out", shard_items=60)

    statuses = [worker(folder).wait() for _ in range(3)]
    committed = folder.committed()
    statuses += [worker(folder).wait() for _ in range(3)]

    assert statuses == [-signal.SIGKILL] * 5 + [0]
    assert committed == {1}  # The third worker knew which item it was to be careful with.
    assert {key for key, code in codes(folder).items() if code} == {"000.png", "001.png"}


def test_told_to_stop_it_lets_go_and_leaves_no_mark(bulk: Bulk, tmp_path: Path) -> None:
    folder = planned(put(tmp_path / "in", a_png=PNG), tmp_path / "out")
    stop = asyncio.Event()
    stop.set()

    with pytest.raises(Stopped):
        bulk.runner.run(run_local(Job.opened(folder, open_store), bulk.bench, stop=stop))

    assert folder.committed() == set()
    assert folder.begun() == set()


def handed_over(bulk: Bulk, folder: Folder, queue: Path, allowed: Path, lost: int = 0) -> list[str]:
    """Have it done by workers of an engine; the first units of it are lost. What was said for people."""
    said: list[str] = []

    async def nothing() -> None:
        """Nobody looks on."""

    async def work() -> None:
        stop = asyncio.Event()
        async with LocalEngine(queue, JobSettings().policies) as engine:
            if lost:
                # Known, and gone: as units that a broker has forgotten.
                told = [Unit(id=f"{folder.id}.{n}.0", kind=Kind.SHARD, body=b"lost") for n in range(lost)]
                await engine.submit(told)
            do = handler([str(allowed)], open_within, bulk.bench)
            working = asyncio.create_task(engine.work(Kind.SHARD, do, slots=2, stop=stop))
            try:
                await run_with_engine(
                    folder, engine, stop=stop, tell=nothing, say=said.append, look_seconds=0.01
                )
            finally:
                stop.set()
                await working

    bulk.runner.run(work())
    return said


def test_workers_do_the_shards_that_an_engine_hands_out_and_lost_units_are_made_good(
    bulk: Bulk, tmp_path: Path
) -> None:
    source = put(tmp_path / "in", **{f"{number}_png": PNG + bytes(number) for number in range(12)})
    folder = planned(source, tmp_path / "out")

    said = handed_over(bulk, folder, tmp_path / "queue", tmp_path, lost=2)

    assert codes(folder) == dict.fromkeys((f"{number}.png" for number in range(12)), "")
    assert said == []


@pytest.mark.parametrize("allowed", ["out", "in", "ou", "ou/../in"])
def test_a_worker_opens_no_store_but_those_that_it_may(bulk: Bulk, tmp_path: Path, allowed: str) -> None:
    folder = planned(put(tmp_path / "in", a_png=PNG), tmp_path / "out")

    with pytest.raises(Stopped, match="no worker does any"):
        handed_over(bulk, folder, tmp_path / "queue", tmp_path / allowed)

    assert folder.committed() == set()
    assert folder.begun() == set()


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (["--prefix", "/a"], "without a slash"),
        (["--manifest", "/nowhere"], "/nowhere: No such file"),
        (["--prefix", "b"], "nothing to do"),
    ],
)
def test_what_leads_to_no_item_is_told_in_a_line(tmp_path: Path, what: list[str], reason: str) -> None:
    put(tmp_path / "in", a_png=PNG)

    told = cli("bulk", "plan", tmp_path / "in", tmp_path / "out", "--recipe", "/images/info", *what)

    assert (told.returncode, told.stdout, len(told.stderr.splitlines())) == (2, "", 1)
    assert reason in told.stderr


def test_an_engine_without_its_scheme_is_no_folder_and_told(tmp_path: Path) -> None:
    source = put(tmp_path / "in", a_png=PNG)
    address = cli("bulk", "plan", source, tmp_path / "out", "--recipe", "/images/info").stdout.strip()

    told = cli("bulk", "run", address, "--engine", str(tmp_path / "nats.example:4222"))

    assert told.returncode == 78
    assert "nats://" in told.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


def test_a_store_that_fails_is_told_with_its_reason_while_it_is_tried_again(tmp_path: Path) -> None:
    source = put(tmp_path / "in", a_png=PNG)
    address = cli("bulk", "plan", source, tmp_path / "out", "--recipe", "/images/fit/8").stdout.strip()
    (tmp_path / "out" / "objects").write_bytes(b"a file where a folder is to be")
    command = [sys.executable, "-m", "remote_worker", "bulk", "run", address]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        first = running.stderr.readline()
        running.terminate()
        rest = running.stderr.read()

    assert " warning shard_failed " in first
    assert "Not a directory" in first
    assert "is not finished" in rest
    assert running.returncode == 75


def test_the_command_line_plans_runs_and_tells(tmp_path: Path) -> None:
    source = put(tmp_path / "in", a_png=PNG, b_txt=b"no picture")
    told = cli("bulk", "plan", source, tmp_path / "out", "--recipe", "/images/fit/16?format=webp")
    address = told.stdout.strip()

    first, second = cli("bulk", "run", address), cli("bulk", "run-shard", address, "--index", "0")

    assert told.returncode == 0
    assert told.stderr.startswith("remote-worker: 2 items of ")
    assert (first.returncode, second.returncode) == (1, 0)
    assert "unsupported_format" in first.stdout
    assert codes(opened(address, open_store)) == {"a.png": "", "b.txt": "unsupported_format"}


def test_the_address_of_an_engine_may_stand_where_no_list_of_processes_shows_it(tmp_path: Path) -> None:
    folder = planned(put(tmp_path / "in", a_png=PNG), tmp_path / "out")
    run = ("bulk", "run", folder.url, "--engine")
    told = {"REMOTE_BULK_STORES": str(tmp_path), "REMOTE_ENGINE": "nats://u:hush@127.0.0.1?replicas=9"}

    without, bad = cli(*run), cli(*run, **told)

    assert (without.returncode, bad.returncode) == (2, 78)
    assert "REMOTE_ENGINE" in without.stderr
    assert "replicas is 1, 3 or 5" in bad.stderr
    assert "hush" not in bad.stderr
    assert folder.committed() == set()


@pytest.mark.parametrize("command", [["run"], ["run-shard", "--index", "0"]])
def test_what_goes_wrong_on_the_way_is_logged_with_its_reason(tmp_path: Path, command: list[str]) -> None:
    folder = planned(put(tmp_path / "in", a_png=PNG + CRASH), tmp_path / "out")
    own = {"REMOTE_FORMATS": "png", "REMOTE_CHILDREN": "1", "PATH": os.environ["PATH"]}

    told = subprocess.run(
        [sys.executable, "-m", "hold.bad_command", "bulk", *command, folder.url],
        cwd=ROOT,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )

    warnings = [line for line in told.stderr.splitlines() if " warning " in line]
    assert len(warnings) == 1
    assert "child_crashed signal=11" in warnings[0]
    assert ("template_ready" in told.stderr) == (command[0] == "run-shard")
    assert codes(folder) == {"a.png": "decoder_crashed"}


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ("/images/fit/16?qualty=3", "no parameter 'qualty'"),
        ("/images/fit/0", "at least 1 pixel"),
        ("/images/preset/none", "no preset"),
        ("/links/image", "is none of"),
    ],
)
def test_a_recipe_that_is_none_is_told_before_anything_is_written(
    tmp_path: Path, recipe: str, reason: str
) -> None:
    put(tmp_path / "in", a_png=PNG)

    told = cli("bulk", "plan", tmp_path / "in", tmp_path / "out", "--recipe", recipe)

    assert told.returncode == 2
    assert reason in told.stderr
    assert not (tmp_path / "out").exists()
