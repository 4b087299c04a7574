"""One call under way: its requests, its time, and what becomes of what goes wrong. Does no IO of its own."""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from . import errors
from .bodies import Body
from .calls import Ask
from .errors import Unanswered, WorkerError
from .reading import Head
from .retrying import Retries
from .signing import Signer, content_digest

ERROR_BYTES = 256 * 1024
"""Of an answer that is a failure: the worker's are short, and of others nobody reads more."""

_RECORDED = "x-job-id"
"""Of an answer that a job has got."""
_KEY = re.compile("[!-~]+")

# Nothing of an answer had come yet, and every call may be made twice.
_BEFORE_AN_ANSWER = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.RemoteProtocolError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a client calls: who it is, and how long it tries."""

    key: str | None = field(default=None, repr=False)
    signer: Signer | None = None
    retries: Retries
    seconds: float
    """For a call with all its tries."""
    clock: Callable[[], float]
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.key is not None and self.signer is not None:
            raise ValueError("give a key or a signer")
        if self.key is not None and not _KEY.fullmatch(self.key):
            raise ValueError("a key is visible ASCII without blanks")


def base(url: str) -> str:
    """What paths are put behind. Raises ValueError where it is not the address of a worker."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as wrong:
        raise ValueError(f"{url!r} is no URL: {wrong}") from wrong
    if parsed.scheme not in ("http", "https") or not parsed.host or "?" in url or "#" in url:
        raise ValueError(f"a worker's URL is like http://127.0.0.1:5000, not {url!r}")
    return url.rstrip("/")


class Course:
    """Counts tries and time. Every method that may end the call raises WorkerError."""

    def __init__(self, ask: Ask, terms: Terms) -> None:
        self.ask = ask
        self._terms = terms
        self._tries = 0
        self._ends = terms.clock() + terms.seconds

    @property
    def left(self) -> float:
        """Seconds until the call's time is over."""
        return self._ends - self._terms.clock()

    def digest(self, body: Body | None) -> str:
        """The body's Content-Digest, where requests are signed: this reads all of it."""
        return "" if body is None or self._terms.signer is None else content_digest(body.pieces())

    def headers(self, body: Body | None) -> dict[str, str]:
        """All but those of a signature."""
        headers = {"accept": self.ask.accept, **self.ask.headers}
        if body is not None:
            headers |= {"content-type": body.media_type, "content-length": str(body.length)}
        elif self.ask.method == "POST":
            headers["content-length"] = "0"
        if self._terms.key is not None:
            headers["authorization"] = f"Bearer {self._terms.key}"
        return headers

    def begin(self, request: httpx.Request, digest: str) -> None:
        """Another try: sign it, anew each time, and bound its waits by the time that is left."""
        self._tries += 1
        left = max(self.left, 0.001)
        request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), left)
        if self._terms.signer is not None:
            target = request.url.raw_path.decode("ascii")
            request.headers.update(self._terms.signer.headers(request.method, target, digest))

    def after_break(self, broken: httpx.RequestError) -> float:
        """The seconds to wait after a try that brought no answer."""
        failed = unanswered(broken)
        if not isinstance(broken, _BEFORE_AN_ANSWER):
            raise failed from broken
        return self._wait(failed, broken)

    def after_refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> float:
        """The seconds to wait after an answer that is a failure."""
        failed = errors.refusal(status, headers, body, now=errors.today())
        # What is recorded does not change.
        if not isinstance(failed, errors.Busy) or _RECORDED in headers:
            raise failed
        return self._wait(failed, None)

    def check_time(self) -> None:
        """An answer that comes drop by drop ends too."""
        if self.left <= 0:
            raise Unanswered(errors.TIMED_OUT, f"no answer within {self._terms.seconds:g} seconds")

    def is_answer(self, status: int) -> bool:
        """Whether this status begins an answer."""
        return status in self.ask.accepted

    def _wait(self, failed: WorkerError, cause: Exception | None) -> float:
        wait = self._terms.retries.wait(
            failed, tries=self._tries, left=self.left, chance=self._terms.chance()
        )
        if wait is None:
            raise failed from cause
        return wait


def head_of(response: httpx.Response) -> Head:
    """What a reader needs to know before the body."""
    return Head(response.status_code, response.headers.get("content-type", ""))


def unanswered(broken: httpx.RequestError) -> Unanswered:
    """The connection broke before an answer."""
    if isinstance(broken, httpx.TimeoutException) and not isinstance(broken, httpx.ConnectTimeout):
        return Unanswered(errors.TIMED_OUT, "no answer came in time")
    return Unanswered(errors.UNREACHABLE, str(broken) or type(broken).__name__)


def cut(broken: httpx.RequestError) -> Unanswered:
    """The connection broke in the middle of an answer."""
    if isinstance(broken, httpx.TimeoutException):
        return Unanswered(errors.TIMED_OUT, "the rest of the answer did not come in time")
    if isinstance(broken, httpx.DecodingError):
        return Unanswered(errors.BAD_ANSWER, f"the answer cannot be unpacked ({broken})")
    return Unanswered(errors.CUT, "the answer ended in the middle")
