"""What can be done with a stranger's image: each use case takes a document and gives a small typed result."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.messages import (
    ALWAYS_MADE,
    AVATAR_SIZES,
    Avatars,
    Fit,
    Info,
    Output,
    Picture,
    Prepare,
    Recipe,
    Reply,
    Task,
)
from .check import Asking, Check, both

OUTPUT = "output"
"""The name of the one picture that prepare and fit make."""

InfoValue = int | bool | str | None


class Decoder(Protocol):
    """Does tasks on documents, away from this process; callers share what it can do."""

    def check_room(self, caller: str) -> None:
        """Tell early that a document of this caller would find no place. Raises WorkFailed."""
        ...

    async def decode(self, task: Task, document: Document, *, deadline: float, caller: str = "") -> Reply:
        """Do it by `deadline`, a `time.monotonic` value. Raises WorkFailed; cancelling ends the work."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One picture made from an upload of this type."""

    mime: str
    picture: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class AvatarSet:
    """The avatars made from an upload of this type, by name: `avatar24` and so on."""

    mime: str
    avatars: Mapping[str, Picture]


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What an upload's header says, member by member of `MEMBERS`."""

    mime: str
    members: Mapping[str, InfoValue]
    metadata: Mapping[str, Any] | None = None
    """What EXIF and its like say, where that was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooked:
    """The pictures of a recipe, made from an upload of this type, by the names of the outputs; and facts."""

    mime: str
    pictures: Mapping[str, Picture]
    facts: Mapping[str, Any]


MEMBERS: dict[str, tuple[type, ...]] = {
    "width": (int,),
    "height": (int,),
    "display_width": (int,),
    "display_height": (int,),
    "frames": (int,),
    "orientation": (int,),
    "has_alpha": (bool,),
    "color_space": (str,),
    "bit_depth": (int,),
    "has_icc_profile": (bool,),
    "has_exif": (bool,),
    "has_gps": (bool,),
    "loop": (int, type(None)),
    "duration_ms": (int, type(None)),
}
"""The members that info tells, with the exact types that each may have."""


class Images:
    """The use cases, on whatever decodes. With a check, no picture leaves unless that lets it through."""

    def __init__(self, decoder: Decoder, check: Check | None = None) -> None:
        self._decoder = decoder
        self._check = check

    def check_room(self, caller: str) -> None:
        """Tell, before an upload is read, that it would find no place. Raises WorkFailed."""
        self._decoder.check_room(caller)

    async def prepare(
        self,
        document: Document,
        *,
        keep_metadata: bool,
        deadline: float,
        caller: str = "",
        request_id: str = "",
    ) -> Made:
        """A JPEG made upright and free of metadata, or with `keep_metadata` only of its location."""
        asking = Asking(deadline=deadline, caller=caller, request_id=request_id)
        return await self._one(Prepare(keep_metadata=keep_metadata), document, asking)

    async def fit(
        self, document: Document, task: Fit, *, deadline: float, caller: str = "", request_id: str = ""
    ) -> Made:
        """The picture scaled down into a box."""
        asking = Asking(deadline=deadline, caller=caller, request_id=request_id)
        return await self._one(task, document, asking)

    async def make(
        self, document: Document, recipe: Recipe, *, deadline: float, caller: str = "", request_id: str = ""
    ) -> Cooked:
        """All that a recipe says, out of one decode."""
        asking = Asking(deadline=deadline, caller=caller, request_id=request_id)
        # Facts alone show nobody the picture.
        decode = self._checked if recipe.outputs else self._unchecked
        reply = await decode(recipe, document, asking)
        names = [output.name for output in recipe.outputs]
        if not (set(names) <= reply.pictures.keys() and set(recipe.facts) <= reply.info.keys()):
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return Cooked(
            mime=reply.mime,
            pictures={name: reply.pictures[name] for name in names},
            facts={name: reply.info[name] for name in recipe.facts},
        )

    async def place(
        self, document: Document, output: Output, *, deadline: float, caller: str = "", request_id: str = ""
    ) -> Made:
        """One picture, brought into its box in whichever way the output says."""
        cooked = await self.make(
            document, Recipe(outputs=(output,)), deadline=deadline, caller=caller, request_id=request_id
        )
        return Made(mime=cooked.mime, picture=cooked.pictures[output.name])

    async def avatars(
        self,
        document: Document,
        *,
        animated: bool,
        deadline: float,
        caller: str = "",
        request_id: str = "",
    ) -> AvatarSet:
        """The avatars that are due for the picture's size."""
        asking = Asking(deadline=deadline, caller=caller, request_id=request_id)
        reply = await self._checked(Avatars(animated=animated), document, asking)
        avatars = {
            f"avatar{side}": reply.pictures[f"avatar{side}"]
            for side in AVATAR_SIZES
            if f"avatar{side}" in reply.pictures
        }
        if any(f"avatar{side}" not in avatars for side in AVATAR_SIZES if side <= ALWAYS_MADE):
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return AvatarSet(mime=reply.mime, avatars=avatars)

    async def info(
        self, document: Document, *, metadata: bool = False, deadline: float, caller: str = ""
    ) -> Described:
        """What the header says, without reading pixels; with `metadata` the EXIF fields and the location."""
        task = Info(metadata=metadata)
        reply = await self._decoder.decode(task, document, deadline=deadline, caller=caller)
        members: dict[str, InfoValue] = {"format": reply.format}
        for name, types in MEMBERS.items():
            value = reply.info.get(name)
            # The exact type, because True is an int too.
            if type(value) not in types:
                raise WorkFailed(FailureCode.DECODER_CRASHED)
            members[name] = value
        found = reply.info.get("metadata") if metadata else None
        if metadata and not isinstance(found, Mapping):
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return Described(mime=reply.mime, members=members, metadata=found)

    async def _one(self, task: Task, document: Document, asking: Asking) -> Made:
        reply = await self._checked(task, document, asking)
        if OUTPUT not in reply.pictures:
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return Made(mime=reply.mime, picture=reply.pictures[OUTPUT])

    async def _checked(self, task: Task, document: Document, asking: Asking) -> Reply:
        """The reply with its pictures, once they may be given out."""
        if self._check is None:
            return await self._unchecked(task, document, asking)
        return await both(
            asyncio.create_task(self._unchecked(task, document, asking)),
            asyncio.create_task(self._check.judge(document, asking)),
        )

    async def _unchecked(self, task: Task, document: Document, asking: Asking) -> Reply:
        return await self._decoder.decode(task, document, deadline=asking.deadline, caller=asking.caller)
