"""What the engine on NATS JetStream promises beyond what every engine does."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
import trustme
from engines.drivers import Processes, policies, until, working
from nats.aio.client import Client

from hold.namespaces import Namespaces
from hold.nats_server import NatsServer
from remote_worker.engines.engine import Depth, EngineFailed, Full, Kind, Lease, Unit
from remote_worker.engines.nats import NatsEngine

pytestmark = pytest.mark.needs_nats
JOBS = "remote_worker_job"
PAGE = Path(__file__).parents[2] / "docs" / "nats.md"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    with NatsServer(tmp_path / "jetstream") as server:
        yield server


def job(id: str, body: bytes = b"") -> Unit:
    return Unit(id=id, kind=Kind.JOB, body=body)


def jobs(count: int, body: bytes = b"") -> list[Unit]:
    return [job(f"job-{number}", body) for number in range(count)]


async def ask(client: Client, question: str) -> dict[str, Any]:
    """JetStream's own API, without the engine."""
    reply = await client.request(f"$JS.API.{question}", b"", timeout=5)
    return json.loads(reply.data)


async def empty(engine: NatsEngine) -> None:
    async with asyncio.timeout(30):
        while await engine.depth(Kind.JOB) != Depth(pending=0, leased=0):
            await asyncio.sleep(0.02)


def noted(seen: list[str]) -> Callable[[Unit, Lease], Awaitable[None]]:
    async def handle(unit: Unit, lease: Lease) -> None:
        seen.append(unit.id)

    return handle


def test_streams_and_consumers_have_the_names_and_settings_that_are_written_down(server: NatsServer) -> None:
    async def act() -> list[dict[str, Any]]:
        async with NatsEngine(server.url, policies(places=7, lease_seconds=9.0)):
            client = await nats.connect(server.url)
            told = [
                (await ask(client, f"{what}.INFO.{name}"))["config"]
                for kind in Kind
                for what, name in (
                    ("STREAM", f"remote_worker_{kind}"),
                    ("CONSUMER", f"remote_worker_{kind}.workers"),
                )
            ]
            await client.close()
        return told

    told = asyncio.run(act())

    for kind, stream, consumer in zip(Kind, told[::2], told[1::2], strict=True):
        assert stream["subjects"] == [f"remote_worker.{kind}"]
        assert (stream["retention"], stream["discard"]) == ("workqueue", "new")
        assert (stream["storage"], stream["max_msgs"]) == ("file", 7)
        assert stream["duplicate_window"] == 120 * 10**9
        assert (consumer["ack_policy"], consumer["ack_wait"]) == ("explicit", 9 * 10**9)
        assert (consumer["max_deliver"], consumer["max_ack_pending"]) == (-1, 7)


def test_many_may_start_at_once_on_a_server_that_has_nothing(server: NatsServer) -> None:
    async def start() -> int:
        async with NatsEngine(server.url, policies()) as engine:
            return await engine.submit([job("same")])

    async def act() -> list[int]:
        return await asyncio.gather(*(start() for _ in range(8)))

    assert sum(asyncio.run(act())) == 1


def test_other_settings_reach_what_is_there_and_fewer_places_throw_nothing_away(server: NatsServer) -> None:
    seen: list[str] = []

    async def act() -> dict[str, Any]:
        async with NatsEngine(server.url, policies(places=5)) as engine:
            await engine.submit(jobs(5))
        async with NatsEngine(server.url, policies(places=3, lease_seconds=30.0)) as engine:
            with pytest.raises(Full):
                await engine.submit([job("more")])
            client = await nats.connect(server.url)
            told = await ask(client, f"CONSUMER.INFO.{JOBS}.workers")
            await client.close()
            async with working(engine, noted(seen)):
                await empty(engine)
        return told

    told = asyncio.run(act())

    assert seen == [unit.id for unit in jobs(5)]
    assert (told["config"]["max_ack_pending"], told["config"]["ack_wait"]) == (3, 30 * 10**9)


@pytest.mark.parametrize(("there", "room"), [(2, 2), (3, 5)])  # 2 of 4 are not more than half, 3 are
def test_fewer_places_hold_from_when_at_most_half_of_them_are_taken(
    server: NatsServer, there: int, room: int
) -> None:
    async def act() -> None:
        async with NatsEngine(server.url, policies(places=8)) as engine:
            await engine.submit(jobs(there))
        async with NatsEngine(server.url, policies(places=4)) as engine:
            assert await engine.submit([job(f"more-{number}") for number in range(room)]) == room
            with pytest.raises(Full):
                await engine.submit([job("one-more")])

    asyncio.run(act())


def test_more_places_are_there_at_once(server: NatsServer) -> None:
    async def act() -> int:
        async with NatsEngine(server.url, policies(places=2)) as engine:
            await engine.submit(jobs(2))
        async with NatsEngine(server.url, policies(places=3)) as engine:
            return await engine.submit(jobs(3))

    assert asyncio.run(act()) == 1


def test_what_the_operator_has_set_besides_stays_as_it_is(server: NatsServer) -> None:
    async def act() -> dict[str, Any]:
        async with NatsEngine(server.url, policies(places=5)):
            pass
        client = await nats.connect(server.url)
        config = (await ask(client, f"STREAM.INFO.{JOBS}"))["config"] | {"max_bytes": 123_456_789}
        await client.request(f"$JS.API.STREAM.UPDATE.{JOBS}", json.dumps(config).encode(), timeout=5)
        async with NatsEngine(server.url, policies(places=6)):
            told = await ask(client, f"STREAM.INFO.{JOBS}")
        await client.close()
        return told["config"]

    config = asyncio.run(act())

    assert (config["max_msgs"], config["max_bytes"]) == (6, 123_456_789)


def test_a_unit_that_nobody_lives_to_record_leaves_its_place(server: NatsServer) -> None:
    """Its deliveries are used up by hand, as if each worker had died over it."""
    seen: list[str] = []

    async def act() -> int:
        async with NatsEngine(server.url, policies(places=1, most_attempts=2)) as engine:
            await engine.submit([job("poison")])
            client = await nats.connect(server.url)
            pulling = await client.jetstream().pull_subscribe_bind("workers", JOBS)
            for _ in range(2 + 3):  # the attempts, and three times to record that they failed
                (message,) = await pulling.fetch(1, timeout=5)
                await client.request(message.reply, b"-NAK", timeout=5)
            await client.close()
            with pytest.raises(Full):
                await engine.submit([job("next")])
            async with working(engine, noted(seen)):
                await empty(engine)
                await engine.submit([job("next")])
                await empty(engine)
        return 1

    asyncio.run(act())

    assert seen == ["next"]


def test_what_others_publish_there_is_no_unit_and_does_no_harm(server: NatsServer) -> None:
    seen: list[str] = []

    async def act() -> None:
        async with NatsEngine(server.url, policies()) as engine:
            client = await nats.connect(server.url)
            await client.jetstream().publish("remote_worker.job", b"hello")
            await client.jetstream().publish("remote_worker.job", b"", headers={"Nats-Msg-Id": "job:a/b"})
            await client.close()
            await engine.submit([job("one")])
            async with working(engine, noted(seen)):
                await empty(engine)

    asyncio.run(act())

    assert seen == ["one"]


# Servers that are not as they should be.


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """With the users of docs/nats.md."""
    _, start, rest = PAGE.read_text().partition("\nauthorization {\n")
    users = start + rest.partition("```")[0]
    users = users.replace("$SERVE_PASSWORD", '"s3rv3@pass"').replace("$WORKER_PASSWORD", "w")
    with NatsServer(tmp_path_factory.mktemp("guarded"), config=users) as server:
        yield server


def with_login(server: NatsServer, login: str) -> str:
    return server.url.replace("nats://", f"nats://{login}@")


async def enter(url: str) -> None:
    async with NatsEngine(url, policies()):
        pass


@pytest.mark.parametrize("login", ["worker:secret-word", "secret-word", "nobody:secret-word"])
def test_who_is_not_let_in_is_told_so_without_the_password(guarded: NatsServer, login: str) -> None:
    said: list[str] = []
    # The server's word is lost where its end of the connection goes before that is read.
    while not said or ("reset" in said[-1] and len(said) < 20):
        with pytest.raises(EngineFailed) as failed:
            asyncio.run(enter(with_login(guarded, login)))
        assert "secret-word" not in f"{failed.value!r} {failed.value.__cause__!r}"
        said.append(str(failed.value))

    assert "authorization" in said[-1].lower()
    assert f"127.0.0.1:{guarded.port}" in said[-1]


def test_with_the_least_rights_of_the_page_one_submits_and_the_other_works(guarded: NatsServer) -> None:
    seen: list[str] = []

    async def act() -> list[Depth]:
        async with (
            NatsEngine(with_login(guarded, "worker:w"), policies()) as worker,
            NatsEngine(with_login(guarded, "serve:s3rv3%40pass"), policies(places=5)) as serve,
        ):
            await serve.submit(jobs(3))
            depth = await serve.depth(Kind.JOB)
            async with working(worker, noted(seen)):
                await empty(worker)
            return [depth, await serve.depth(Kind.JOB)]

    before, after = asyncio.run(act())

    assert seen == ["job-0", "job-1", "job-2"]
    assert (before.pending, before.leased) == (3, 0)
    assert after == Depth(pending=0, leased=0)


def test_who_only_submits_cannot_make_streams_and_hears_so(tmp_path: Path, guarded: NatsServer) -> None:
    with (
        NatsServer(tmp_path / "new", config=(guarded.folder / "config").read_text().split("\n", 2)[2]) as new,
        pytest.raises(
            EngineFailed,
            match=r"no right to publish to \$JS\.API\.STREAM\.CREATE\.remote_worker_job: start a worker",
        ),
    ):
        asyncio.run(enter(with_login(new, "serve:s3rv3%40pass")))


def test_a_server_without_jetstream_is_said_to_have_none(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "plain", has_jetstream=False) as server,
        pytest.raises(EngineFailed, match="has no JetStream"),
    ):
        asyncio.run(enter(server.url))


def test_where_nobody_listens_the_start_fails_with_the_address(server: NatsServer) -> None:
    server.kill()

    with pytest.raises(EngineFailed, match=f"127.0.0.1:{server.port}"):
        asyncio.run(enter(server.url))


def test_of_several_servers_one_that_is_there_will_do(server: NatsServer) -> None:
    asyncio.run(enter(server.url.replace("nats://", "nats://127.0.0.1:1,")))


# TLS.


def test_over_tls_a_server_is_believed_whom_the_given_authority_knows(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    tls = f'tls {{ cert_file: "{tmp_path}/cert.pem", key_file: "{tmp_path}/key.pem" }}\n'
    tls += "authorization { user: me, password: word }\n"

    with NatsServer(tmp_path / "jetstream", config=tls) as server:
        url = server.url.replace("nats://", "tls://me:word@")
        asyncio.run(enter(f"{url}?tls_ca={tmp_path}/ca.pem"))
        for ca in (f"?tls_ca={tmp_path}/other.pem", ""):
            with pytest.raises(EngineFailed, match=r"(?i)certificate"):
                asyncio.run(enter(url + ca))
        with pytest.raises(EngineFailed, match="No such file"):
            asyncio.run(enter(f"{url}?tls_ca={tmp_path}/none.pem"))


@pytest.mark.parametrize("login", ["user:secret@", "secret@", ""])
def test_a_server_that_talks_no_tls_is_told_nothing_where_tls_was_asked_for(login: str) -> None:
    async def act() -> bytes:
        heard = asyncio.get_running_loop().create_future()

        async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b'INFO {"server_id":"x","version":"2.10.0","auth_required":true,"headers":true}\r\n')
            data = await reader.read(65536)
            writer.write(b"PONG\r\n")
            heard.set_result(data)
            writer.close()

        async with await asyncio.start_server(pretend, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            with pytest.raises(EngineFailed, match="TLS"):
                await enter(f"tls://{login}127.0.0.1:{port}")
            return await heard

    assert b"secret" not in asyncio.run(act())


# Servers that go away.


def test_cut_off_a_submission_fails_within_a_bound_and_later_ones_go_through(server: NatsServer) -> None:
    async def act() -> list[int]:
        async with NatsEngine(server.url, policies()) as engine:
            taken = [await engine.submit([job("before")])]
            await asyncio.to_thread(server.kill)
            async with asyncio.timeout(15):
                with pytest.raises(EngineFailed, match="lost"):
                    await engine.submit([job("between")])
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(30):
                while len(taken) < 2:
                    try:
                        taken.append(await engine.submit([job("after"), job("before")]))
                    except EngineFailed:
                        continue
            return taken

    assert asyncio.run(act()) == [1, 1]


def test_a_submission_waits_out_a_short_restart(server: NatsServer) -> None:
    async def act() -> int:
        async with NatsEngine(server.url, policies()) as engine:
            await asyncio.to_thread(server.restart)
            return await engine.submit([job("one")])

    assert asyncio.run(act()) == 1


def test_a_server_that_comes_back_empty_gets_its_streams_anew(server: NatsServer) -> None:
    seen: list[str] = []

    async def act() -> None:
        async with NatsEngine(server.url, policies()) as engine, working(engine, noted(seen), slots=2):
            await engine.submit([job("before")])
            await empty(engine)
            await asyncio.to_thread(server.empty)
            await engine.submit([job("after")])
            await empty(engine)

    asyncio.run(act())

    assert seen == ["before", "after"]


@pytest.mark.parametrize("question", [f"CONSUMER.DELETE.{JOBS}.workers", f"STREAM.DELETE.{JOBS}"])
def test_a_stream_or_consumer_that_somebody_deletes_is_made_again(server: NatsServer, question: str) -> None:
    seen: list[str] = []

    async def act() -> None:
        async with NatsEngine(server.url, policies()) as engine, working(engine, noted(seen), slots=2):
            await engine.submit([job("before")])
            await empty(engine)
            client = await nats.connect(server.url)
            assert (await ask(client, question))["success"]
            await client.close()
            await engine.submit([job("after")])
            await until(lambda: len(seen) == 2)

    asyncio.run(act())

    assert seen == ["before", "after"]


def test_a_submission_makes_a_stream_again_that_somebody_deletes(server: NatsServer) -> None:
    async def act() -> list[int]:
        async with NatsEngine(server.url, policies()) as engine:
            taken = [await engine.submit([job("one")])]
            client = await nats.connect(server.url)
            assert (await ask(client, f"STREAM.DELETE.{JOBS}"))["success"]
            await client.close()
            return [*taken, await engine.submit([job("one")])]

    assert asyncio.run(act()) == [1, 1]


def test_a_unit_that_ends_while_the_server_is_away_is_not_handed_out_again(server: NatsServer) -> None:
    attempts: list[int] = []

    async def act() -> None:
        go = asyncio.Event()

        async def handle(unit: Unit, lease: Lease) -> None:
            attempts.append(lease.attempt)
            await go.wait()

        async with NatsEngine(server.url, policies()) as engine, working(engine, handle):
            await engine.submit([job("one")])
            await until(lambda: attempts)
            await asyncio.to_thread(server.kill)
            go.set()
            await asyncio.to_thread(server.start)
            await until_empty_after_loss(engine)

    asyncio.run(act())

    assert attempts == [1]


async def until_empty_after_loss(engine: NatsEngine) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                return await empty(engine)
            except EngineFailed:
                await asyncio.sleep(0.05)


# Several machines.


@pytest.mark.needs_namespaces
def test_over_a_killed_worker_one_that_is_cut_off_and_a_restart_of_the_server_nothing_is_lost(
    tmp_path: Path,
) -> None:
    lease_seconds = 1.5
    rules = policies(lease_seconds=lease_seconds, most_attempts=5)
    units = jobs(150, b"take time")

    with (
        Namespaces(4) as machines,
        NatsServer(tmp_path / "jetstream", host=machines.addresses[0], namespace=machines.names[0]) as server,
        Processes(server.url, rules, tmp_path) as processes,
    ):
        killed, cut_off, _ = [
            processes.start(slots=2, inside=machines.inside(number)) for number in (1, 2, 3)
        ]

        def has_begun(count: int) -> Callable[[], bool]:
            return lambda: len(processes.calls) >= count

        async def act() -> None:
            async with NatsEngine(server.url, rules) as engine:
                await engine.submit(units)
                await until(lambda: len({call.pid for call in processes.calls}) == 3)
                await until(has_begun(30))
                killed.kill()
                machines.cut_off(2)
                cut_at = time.monotonic()
                await until(has_begun(60))
                await asyncio.to_thread(server.restart)
                await until(lambda: time.monotonic() > cut_at + 2 * lease_seconds)
                machines.let_back(2)
                back_at = time.monotonic()
                more = 0
                while not any(call.pid == cut_off.pid and call.at > back_at for call in processes.calls):
                    more += 1
                    with_more.append(job(f"more-{more}"))
                    await engine.submit(with_more[-1:])
                    await asyncio.sleep(0.05)
                await until_empty_after_loss(engine)

        with_more: list[Unit] = []
        machines.run(0, act())
        calls = processes.calls

    assert {call.id for call in calls} == {unit.id for unit in [*units, *with_more]}
    assert not any(call.is_beyond for call in calls)
    # Only what was in hand of the two that went away, or just ending as the server went, is done twice.
    assert len(calls) - len(units) - len(with_more) <= 2 + 2 + 2
