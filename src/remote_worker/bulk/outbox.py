"""What a shard has made and has not put yet: it goes into the store in groups, which costs far less."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..contract.limits import MIB
from ..stores.store import Store
from .lanes import Lanes
from .rows import Row

GROUP_ITEMS = 32
GROUP_BYTES = 8 * MIB
"""Of outputs, after which a group does not wait for more."""
GROUP_SECONDS = 0.1
"""After a group, in which the next gathers; what is slower to make is put as soon as it is made."""

Object = tuple[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What became of an item, and what is to be put before that is true."""

    index: int
    row: Row
    objects: Sequence[Object] = ()
    after: Sequence[Object] = ()
    """What says that all of the objects are there."""


class Outbox:
    """Of one shard. `note` hears of each row once all that it tells of is in the store."""

    def __init__(
        self,
        store: Store,
        lanes: Lanes,
        note: Callable[[int, Row], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._note = note
        self._parcels: list[Parcel] = []
        self._bytes = 0
        self._clock = clock
        self._sent = clock()
        self._sending = asyncio.Lock()

    async def add(self, parcel: Parcel) -> None:
        """Put it with the next group, which may be now. Raises StoreFailed, for others' parcels, too."""
        if not (parcel.objects or parcel.after):
            self._note(parcel.index, parcel.row)
            return
        self._parcels.append(parcel)
        self._bytes += sum(len(data) for _, data in parcel.objects)
        if self._is_due():
            # Whoever finds a group on its way waits for it, so that no more is made than can be put.
            async with self._sending:
                if self._is_due():
                    await self._send()

    async def send(self) -> None:
        """Put all that was added. Raises StoreFailed."""
        async with self._sending:
            await self._send()

    def leave(self) -> None:
        """Have put what nobody waits for any more: whoever does the shard again need not make it."""
        parcels = self._taken()
        self._lanes.leave(lambda: self._put(parcels))

    def _is_due(self) -> bool:
        return (
            len(self._parcels) >= GROUP_ITEMS
            or self._bytes >= GROUP_BYTES
            or (bool(self._parcels) and self._clock() - self._sent >= GROUP_SECONDS)
        )

    async def _send(self) -> None:
        parcels = self._taken()
        if parcels:
            await self._lanes.thread(lambda: self._put(parcels))
            self._sent = self._clock()
        for parcel in parcels:
            self._note(parcel.index, parcel.row)

    def _taken(self) -> list[Parcel]:
        parcels, self._parcels, self._bytes = self._parcels, [], 0
        return parcels

    def _put(self, parcels: Sequence[Parcel]) -> None:
        self._store.put_all([one for parcel in parcels for one in parcel.objects])
        self._store.put_all([one for parcel in parcels for one in parcel.after])
