"""Pictures that are fetched instead of uploaded: through the one door, and held like an upload."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from ..contract.document import Document
from ..contract.links import Fetched, Purpose, Want
from ..service.errand import Fetcher
from .budget import Share
from .work import while_wanted


class ByUrl:
    """Fetches pictures for requests."""

    def __init__(self, fetcher: Fetcher, *, most_bytes: int, seconds: float) -> None:
        self._fetcher = fetcher
        self._most_bytes = most_bytes
        self._seconds = seconds

    @asynccontextmanager
    async def fetched(
        self, request: Request, url: str, share: Share, *, etag: str = "", last_modified: str = ""
    ) -> AsyncIterator[Fetched]:
        """What the URL leads to, for as long as the block. Raises WorkFailed, or ClientGone.

        Room for the largest picture is taken out of the caller's share before anything is asked for.
        """
        place = self._fetcher.place(url)
        deadline = time.monotonic() + self._seconds
        want = Want(url=place.url, purpose=Purpose.IMAGE, etag=etag, last_modified=last_modified)
        with share.lease() as lease:
            lease.take(self._most_bytes)
            with await while_wanted(
                request, self._fetcher.fetch(want, deadline=deadline), deadline=deadline
            ) as fetched:
                yield fetched

    @asynccontextmanager
    async def document(self, request: Request, url: str, share: Share) -> AsyncIterator[Document]:
        """The same, in place of an uploaded file."""
        async with self.fetched(request, url, share) as fetched:
            yield fetched.body
