"""What can be done with a stranger's image: each use case takes a document and gives a small typed result."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from ..contract.document import Document
from ..contract.failures import FailureCode, WorkFailed
from ..contract.messages import ALWAYS_MADE, AVATAR_SIZES, Avatars, Fit, Info, Picture, Prepare, Reply, Task

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
    """The use cases, on whatever decodes."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder

    def check_room(self, caller: str) -> None:
        """Tell, before an upload is read, that it would find no place. Raises WorkFailed."""
        self._decoder.check_room(caller)

    async def prepare(
        self, document: Document, *, keep_metadata: bool, deadline: float, caller: str = ""
    ) -> Made:
        """A JPEG made upright and free of metadata, or with `keep_metadata` only of its location."""
        return await self._one(Prepare(keep_metadata=keep_metadata), document, deadline, caller)

    async def fit(self, document: Document, task: Fit, *, deadline: float, caller: str = "") -> Made:
        """The picture scaled down into a box."""
        return await self._one(task, document, deadline, caller)

    async def avatars(
        self, document: Document, *, animated: bool, deadline: float, caller: str = ""
    ) -> AvatarSet:
        """The avatars that are due for the picture's size."""
        task = Avatars(animated=animated)
        reply = await self._decoder.decode(task, document, deadline=deadline, caller=caller)
        avatars = {
            f"avatar{side}": reply.pictures[f"avatar{side}"]
            for side in AVATAR_SIZES
            if f"avatar{side}" in reply.pictures
        }
        if any(f"avatar{side}" not in avatars for side in AVATAR_SIZES if side <= ALWAYS_MADE):
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return AvatarSet(mime=reply.mime, avatars=avatars)

    async def info(self, document: Document, *, deadline: float, caller: str = "") -> Described:
        """What the header says, without reading pixels."""
        reply = await self._decoder.decode(Info(), document, deadline=deadline, caller=caller)
        members: dict[str, InfoValue] = {"format": reply.format}
        for name, types in MEMBERS.items():
            value = reply.info.get(name)
            # The exact type, because True is an int too.
            if type(value) not in types:
                raise WorkFailed(FailureCode.DECODER_CRASHED)
            members[name] = value
        return Described(mime=reply.mime, members=members)

    async def _one(self, task: Task, document: Document, deadline: float, caller: str) -> Made:
        reply = await self._decoder.decode(task, document, deadline=deadline, caller=caller)
        if OUTPUT not in reply.pictures:
            raise WorkFailed(FailureCode.DECODER_CRASHED)
        return Made(mime=reply.mime, picture=reply.pictures[OUTPUT])
