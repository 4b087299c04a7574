"""A recipe's task: frozen as JSON, told apart by its hash, and done with one document."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contract.document import Document
from ..contract.formats import SUFFIXES
from ..contract.messages import (
    Avatars,
    Fit,
    Info,
    Picture,
    Prepare,
    Recipe,
    Task,
    decode_task,
    encode_task,
)
from ..service.images import OUTPUT, Images

HASH_CHARACTERS = 32
"""Of a recipe's hash: 128 bits."""


class BadTask(ValueError):
    """What a plan says is no task: another version may have written it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One picture: its name within the item, its file's suffix, and its bytes."""

    name: str
    suffix: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """All that was made of one item."""

    outputs: tuple[Output, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def frozen(task: Task) -> dict[str, Any]:
    """The task as JSON's values, as a plan has it."""
    told: dict[str, Any] = json.loads(encode_task(task))
    return told


def thawed(told: Mapping[str, Any]) -> Task:
    """The task that was frozen so. Raises BadTask."""
    try:
        return decode_task(json.dumps(told).encode())
    except (ValueError, KeyError, TypeError) as bad:
        raise BadTask(f"the plan's task cannot be read: {bad}") from bad


def recipe_hash(told: Mapping[str, Any]) -> str:
    """A word for a frozen task, the same wherever the same is made."""
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_CHARACTERS]


def only_file(task: Task) -> str:
    """The name of the one file that this task makes, whatever the picture is; "" where that depends."""
    match task:
        case Prepare():
            return OUTPUT + SUFFIXES["jpeg"]
        case Fit(format=str(wanted)):
            return OUTPUT + SUFFIXES[wanted]
        case Recipe(outputs=(one,), facts=()) if one.format is not None:
            return one.name + SUFFIXES[one.format]
        case _:
            return ""


async def made(task: Task, images: Images, document: Document, deadline: float) -> Brought:
    """Do it with this document, by a `time.monotonic` value. Raises WorkFailed."""
    return await _DOES[type(task)](task, images, document, deadline)


async def _fit(task: Any, images: Images, document: Document, deadline: float) -> Brought:
    done = await images.fit(document, task, deadline=deadline)
    return Brought(outputs=(_output(OUTPUT, done.picture),))


async def _prepare(task: Any, images: Images, document: Document, deadline: float) -> Brought:
    done = await images.prepare(document, keep_metadata=task.keep_metadata, deadline=deadline)
    return Brought(outputs=(_output(OUTPUT, done.picture),))


async def _avatars(task: Any, images: Images, document: Document, deadline: float) -> Brought:
    done = await images.avatars(document, animated=task.animated, deadline=deadline)
    return Brought(outputs=tuple(_output(name, picture) for name, picture in done.avatars.items()))


async def _recipe(task: Any, images: Images, document: Document, deadline: float) -> Brought:
    done = await images.make(document, task, deadline=deadline)
    outputs = tuple(_output(name, picture) for name, picture in done.pictures.items())
    return Brought(outputs=outputs, facts=done.facts)


async def _info(task: Any, images: Images, document: Document, deadline: float) -> Brought:
    done = await images.info(document, metadata=task.metadata, deadline=deadline)
    told = {} if done.metadata is None else {"metadata": done.metadata}
    return Brought(facts={**done.members, "mime_type": done.mime, **told})


def _output(name: str, picture: Picture) -> Output:
    return Output(name=name, suffix=SUFFIXES[picture.format], body=bytes(picture.body))


_DOES: Mapping[type[Task], Callable[[Any, Images, Document, float], Awaitable[Brought]]] = {
    Fit: _fit,
    Prepare: _prepare,
    Avatars: _avatars,
    Recipe: _recipe,
    Info: _info,
}
