"""How what is known of a job is written down, and read again: JSON that is checked when it comes back.

`job` has the layout. Everything here but `ask` blocks, and raises StoreFailed.
"""

import asyncio
import contextvars
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

from ..contract.failures import FailureCode
from ..stores.store import NotThere, Store, TooLarge
from .job import Call, Caller, Job, Outcome

JOBS, KEYS = "jobs/", "keys/"
BODY, JOB, CALLBACK, BEGUN, ANSWER, RESULT, TOLD = (
    "body",
    "job.json",
    "callback",
    "begun/",
    "answer/",
    "result",
    "told",
)
MOST_RECORD_BYTES = 256 * 1024
"""Of anything but bodies and answers. An address and its headers are 16 KiB at most."""
STORE_THREADS = 32
"""Of each who asks the store: those who look, who work and who tell do not wait for each other."""
_HELD = "held"
_ID = re.compile(r"[0-9a-f]{40}")
_TIME_DIGITS = 8


Answer = TypeVar("Answer")


class DamagedRecord(Exception):
    """What is kept of a job is not what this worker writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """Which job an Idempotency-Key has led to, and with which request."""

    id: str
    fingerprint: str


def new_id(now: float) -> str:
    """An ID that nobody guesses, and that sorts by its time."""
    return f"{int(now):0{_TIME_DIGITS}x}{secrets.token_hex(16)}"


def is_id(text: str) -> bool:
    """Whether this may be the ID of a job; nothing else gets as far as the store."""
    return _ID.fullmatch(text) is not None


def born(id: str) -> int:
    """When the job was submitted, in whole seconds."""
    return int(id[:_TIME_DIGITS], 16)


def attempts_of(parts: Iterable[str]) -> int:
    """How many attempts have begun that did not end in good order."""
    return sum(part.startswith(BEGUN) and part != f"{BEGUN}{_HELD}" for part in parts)


class Records:
    """The objects of jobs in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        # Not the loop's own, where a store that hangs would hold up all else that is done in threads.
        self._threads = ThreadPoolExecutor(STORE_THREADS, "jobs")

    async def ask(self, what: Callable[..., Answer], *arguments: object) -> Answer:
        """Have it done in a thread."""
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, what, *arguments)

    def parts(self, id: str) -> dict[str, int]:
        """Which objects of a job there are, with their bytes."""
        prefix = f"{JOBS}{id}/"
        return {key.removeprefix(prefix): meta.size_bytes for key, meta in self._store.list(prefix)}

    def job(self, id: str) -> Job:
        """Raises NotThere, DamagedRecord."""
        return _job(self._read(_key(id, JOB)), id)

    def body(self, id: str, most_bytes: int) -> bytes:
        """What was sent. Raises NotThere, TooLarge."""
        return self._store.get(_key(id, BODY), most_bytes).data

    def write_body(self, id: str, body: bytes) -> None:
        """Before the job itself."""
        self._store.put(_key(id, BODY), body)

    def write_job(self, job: Job) -> bool:
        """The acceptance. False: it was accepted before, and that stays."""
        if job.callback:
            self._store.put(_key(job.id, CALLBACK), b"")
        return self._store.put(_key(job.id, JOB), _json(asdict(job)), if_absent=True)

    def is_there(self, id: str) -> bool:
        """Whether it was accepted, and not forgotten since."""
        return self._store.head(_key(id, JOB)) is not None

    def begin(self, id: str, number: int) -> bool:
        """Note that an attempt begins. False: another one has this number."""
        return self._store.put(f"{JOBS}{id}/{BEGUN}{number}", b"", if_absent=True)

    def hold(self, id: str, number: int) -> None:
        """The attempt came to nothing that counts, and its worker keeps the job to try once more."""
        self._store.put(f"{JOBS}{id}/{BEGUN}{_HELD}", b"")
        self._store.delete(f"{JOBS}{id}/{BEGUN}{number}")

    def let_go(self, id: str, number: int = 0) -> None:
        """The worker leaves the job in good order: that attempt says nothing against it."""
        for name in (_HELD, *([str(number)] if number else [])):
            self._store.delete(f"{JOBS}{id}/{BEGUN}{name}")

    def is_done(self, id: str) -> bool:
        """Whether it has its answer."""
        return self._store.head(_key(id, RESULT)) is not None

    def commit(self, id: str, outcome: Outcome) -> bool:
        """The answer; its body goes first, under a name of its own. False: there was one, and it stays."""
        name = secrets.token_hex(8)
        self._store.put(f"{JOBS}{id}/{ANSWER}{name}", outcome.body)
        members = asdict(replace(outcome, body=b"")) | {"body": name, "body_bytes": len(outcome.body)}
        if self._store.put(_key(id, RESULT), _json(members), if_absent=True):
            self._store.delete(_key(id, BODY))  # Nobody needs it any more, and it is a stranger's.
            return True
        self._store.delete(f"{JOBS}{id}/{ANSWER}{name}")
        return False

    def result(self, id: str) -> Outcome | None:
        """The answer but for its body, None before there is one. Raises DamagedRecord."""
        found = self._result(id)
        return found[0] if found else None

    def answer(self, id: str, most_bytes: int) -> Outcome | None:
        """The whole answer, None before there is one. Raises DamagedRecord, TooLarge."""
        found = self._result(id)
        if found is None:
            return None
        outcome, name, size_bytes = found
        try:
            body = self._store.get(f"{JOBS}{id}/{ANSWER}{name}", most_bytes).data
        except NotThere:
            raise DamagedRecord(f"the answer of {id} is gone") from None
        if len(body) != size_bytes:
            raise DamagedRecord(f"the answer of {id} is not whole")
        return replace(outcome, body=body)

    def told(self, id: str) -> Mapping[str, Any] | None:
        """How telling the callback ended, None before it has. Raises DamagedRecord."""
        try:
            return self._read(_key(id, TOLD))
        except NotThere:
            return None

    def write_told(self, id: str, told: Mapping[str, Any]) -> bool:
        """How telling the callback ended. False: it has ended before."""
        return self._store.put(_key(id, TOLD), _json(told), if_absent=True)

    def forget(self, id: str, parts: Iterable[str] | None = None) -> None:
        """Take everything away, the acceptance first: who puts an answer there later sees that it is gone."""
        self._store.delete(_key(id, JOB))
        for part in self.parts(id) if parts is None else parts:
            self._store.delete(_key(id, part))

    def drop_body(self, id: str) -> None:
        """Take away what was sent."""
        self._store.delete(_key(id, BODY))

    def every(self) -> Iterator[tuple[str, dict[str, int]]]:
        """The parts of each job, as `parts` has them, the oldest job first."""
        id, parts = "", dict[str, int]()
        for key, meta in self._store.list(JOBS):
            owner, _, part = key.removeprefix(JOBS).partition("/")
            if owner != id:
                if is_id(id):
                    yield id, parts
                id, parts = owner, {}
            parts[part] = meta.size_bytes
        if is_id(id):
            yield id, parts

    def every_key(self) -> Iterator[str]:
        """The names of all keys."""
        for key, _ in self._store.list(KEYS):
            yield key.removeprefix(KEYS)

    def take_key(self, name: str, record: KeyRecord) -> KeyRecord:
        """Have the key lead to this job. The answer is where it leads: there before, if it led anywhere."""
        while not self._store.put(f"{KEYS}{name}", _json(asdict(record)), if_absent=True):
            with suppress(NotThere):  # It was dropped this moment.
                return self.key(name)
        return record

    def key(self, name: str) -> KeyRecord:
        """Raises NotThere, DamagedRecord."""
        members = self._read(f"{KEYS}{name}")
        record = _checked(KeyRecord, members, {"id": str, "fingerprint": str})
        if not is_id(record.id):
            raise DamagedRecord("a key leads to no job")
        return record

    def drop_key(self, name: str) -> None:
        """Have the key lead nowhere."""
        self._store.delete(f"{KEYS}{name}")

    def _read(self, key: str) -> dict[str, Any]:
        try:
            members = json.loads(self._store.get(key, MOST_RECORD_BYTES).data)
        except (ValueError, RecursionError, TooLarge) as bad:
            raise DamagedRecord(f"{key} cannot be read") from bad
        if not isinstance(members, dict):
            raise DamagedRecord(f"{key} is no record")
        return members

    def _result(self, id: str) -> tuple[Outcome, str, int] | None:
        try:
            members = self._read(_key(id, RESULT))
        except NotThere:
            return None
        name, size_bytes = members.pop("body", None), members.pop("body_bytes", None)
        if not (isinstance(name, str) and re.fullmatch("[0-9a-f]{16}", name) and type(size_bytes) is int):
            raise DamagedRecord(f"the result of {id} names no answer")
        outcome = _checked(Outcome, members, _OUTCOME)
        if not (100 <= outcome.status <= 599 and outcome.code in ("", *FailureCode)):
            raise DamagedRecord(f"the result of {id} is none")
        return outcome, name, size_bytes


def key_name(caller: Caller, key: str) -> str:
    """Where the Idempotency-Key of a caller is kept: the same word of another caller is another key."""
    told = ["key", caller.key] if caller.key else ["address", caller.address]
    return hashlib.sha256(json.dumps([*told, key]).encode()).hexdigest()


def _key(id: str, part: str) -> str:
    return f"{JOBS}{id}/{part}"


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, sort_keys=True).encode()


_TEXTS = dict[str, str]
_OUTCOME: dict[str, type] = {
    "status": int,
    "headers": _TEXTS,
    "code": str,
    "finished": float,
    "attempts": int,
}
_JOB: dict[str, type] = {
    "id": str,
    "call": dict,
    "caller": dict,
    "created": float,
    "deadline": float,
    "request_id": str,
    "callback": str,
    "fingerprint": str,
    "idempotency": str,
}


def _job(members: dict[str, Any], id: str) -> Job:
    call, caller = members.get("call"), members.get("caller")
    if not (isinstance(call, dict) and isinstance(caller, dict) and members.get("id") == id):
        raise DamagedRecord(f"{id} is no job")
    return replace(
        _checked(Job, members, _JOB),
        call=_checked(Call, call, {"method": str, "target": str, "headers": _TEXTS}),
        caller=_checked(Caller, caller, {"key": str, "address": str}),
    )


_Kind = TypeVar("_Kind")


def _checked(kind: type[_Kind], members: dict[str, Any], types: Mapping[str, type]) -> _Kind:
    """A record of exactly these members. Raises DamagedRecord."""
    if members.keys() != types.keys() or not all(_is_a(members[name], kind) for name, kind in types.items()):
        raise DamagedRecord(f"this is no {kind.__name__}")
    return kind(**members)


def _is_a(value: object, kind: type) -> bool:
    if kind == _TEXTS:
        return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())
    return type(value) is int if kind is int else isinstance(value, (int, float) if kind is float else kind)
