"""Objects in a bucket, by whatever speaks S3. The only module that knows the client library.

Who the worker is and where the bucket lies stands in the AWS_* variables. What the library says of a failure
may hold a request's address with a token in it, so only the status and S3's own code are taken from it.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError
from obstore.store import S3Store

from .keys import LONGEST_KEY_BYTES, parts_of, parts_of_prefix
from .store import BadKey, Found, Meta, NotThere, StoreFailed, TooLarge

LONGEST_REQUEST_SECONDS = 30.0
"""For one try, with all that is sent and received."""
LONGEST_RETRYING_SECONDS = 30.0
"""From the first try; the last may begin just before."""
MOST_RETRIES = 4
LONGEST_CONNECT_SECONDS = 5.0
KEYS_AT_ONCE = 1000
"""As many as a page of a listing has."""
PUTS_AT_ONCE = 16
"""Of many objects that are put together."""

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_WORD = re.compile(r"[A-Za-z0-9._+=-]{1,128}")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


class Bucket:
    """The store in a bucket, below a prefix.

    Where an answer is lost on its way, a put is sent again: with `if_absent`, False may then mean that its
    own first try is what is there.
    """

    def __init__(
        self, bucket: str, prefix: str = "", *, request_seconds: float = LONGEST_REQUEST_SECONDS
    ) -> None:
        self._url = f"s3://{bucket}/{prefix}".removesuffix("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._is_known = False
        with _checking_variables():
            self._store = S3Store(
                bucket,
                conditional_put="etag",
                # One request for each key instead of a list in XML, which not every server takes.
                disable_bulk_delete=True,
                client_options={
                    # Without TLS only where the operator has written down an address that says so.
                    "allow_http": any(os.environ.get(name, "").startswith("http://") for name in _ENDPOINTS),
                    "connect_timeout": timedelta(seconds=min(LONGEST_CONNECT_SECONDS, request_seconds)),
                    "timeout": timedelta(seconds=request_seconds),
                },
                retry_config={
                    "max_retries": MOST_RETRIES,
                    "retry_timeout": timedelta(seconds=min(LONGEST_RETRYING_SECONDS, request_seconds)),
                    "backoff": {"max_backoff": timedelta(seconds=2)},
                },
            )

    @property
    def url(self) -> str:
        """`s3://bucket/prefix`."""
        return self._url

    def get(self, key: str, most_bytes: int) -> Found:
        """The whole object. Raises NotThere, or TooLarge before it has read more than that."""
        path = self._path(key)
        with _telling(f"getting {key}"):
            try:
                answer = obstore.get(self._store, path)
            except FileNotFoundError:
                self._ask_for_bucket()
                raise NotThere(key) from None
            meta = _meta(answer.meta)
            if meta.size_bytes > most_bytes:
                raise TooLarge(f"{key} has {meta.size_bytes} bytes")
            # HTTP ends a body where its length says, and that is the size.
            data = bytes(answer.bytes())
        if len(data) != meta.size_bytes:
            raise StoreFailed(f"getting {key}: {len(data)} bytes came of {meta.size_bytes}")
        return Found(data=data, meta=meta)

    def head(self, key: str) -> Meta | None:
        """What is known of it, None where there is none."""
        path = self._path(key)
        with _telling(f"asking after {key}"):
            try:
                return _meta(obstore.head(self._store, path))
            except FileNotFoundError:
                self._ask_for_bucket()
                return None

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        """One request, whatever its size, so that there is never a part of an object."""
        path = self._path(key)
        with _telling(f"putting {key}"):
            try:
                obstore.put(
                    self._store,
                    path,
                    data,
                    mode="create" if if_absent else "overwrite",
                    use_multipart=False,
                )
            except AlreadyExistsError:
                return False
        return True

    def put_all(self, objects: Sequence[tuple[str, bytes]]) -> None:
        """As many requests as objects, some of them at a time."""
        for key, _ in objects:
            self._path(key)
        if objects:
            with ThreadPoolExecutor(min(len(objects), PUTS_AT_ONCE)) as threads:
                # All are waited for, and the first failure is told.
                for done in [threads.submit(self.put, *one) for one in objects]:
                    done.result()

    def list(self, prefix: str = "") -> Iterator[tuple[str, Meta]]:
        """A page at a time. An empty object `a/`, as consoles make for a folder, is none here."""
        parts_of_prefix(prefix)
        return self._listed(prefix)

    def delete(self, key: str) -> None:
        """Take it away; it need not be there."""
        path = self._path(key)
        with _telling(f"deleting {key}"):
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError:
                self._ask_for_bucket()

    def settle(self) -> None:
        """A put that was answered is kept."""

    def _path(self, key: str) -> str:
        parts_of(key)
        path = self._prefix + key
        if len(path.encode()) > LONGEST_KEY_BYTES:
            raise BadKey(f"with the prefix of the store, a key has at most {LONGEST_KEY_BYTES} bytes")
        if any(ord(letter) < 32 or letter == "\x7f" for letter in path):
            raise BadKey("a key in a bucket has no control characters")
        return path

    def _listed(self, prefix: str) -> Iterator[tuple[str, Meta]]:
        whole = self._prefix + prefix
        folder, _, beginning = whole.rpartition("/")
        # The library takes whole folders; within one, begin just before what is asked for.
        offset = f"{folder}/{_before(beginning)}".removeprefix("/") if beginning else None
        pages = obstore.list(self._store, folder or None, offset=offset, chunk_size=KEYS_AT_ONCE)
        last = ""
        while True:
            with _telling(f"listing {prefix or self._url}"):
                page = next(pages, None)
            if page is None:
                return
            for known in page:
                path = known["path"]
                if not path.startswith(whole):
                    if path > whole:
                        return
                    continue
                key = path.removeprefix(self._prefix)
                # The library takes the slash off `a/`; whether it was `a` is only known by asking.
                if known["size"] or (key > last and self.head(key) is not None):
                    yield key, _meta(known)
                    last = key

    def _ask_for_bucket(self) -> None:
        """That there is no bucket is answered as that there is no object, where only a head was asked for."""
        if not self._is_known:
            next(obstore.list(self._store, self._prefix or None, chunk_size=1), None)
            self._is_known = True


def _before(text: str) -> str:
    """What sorts before this and after nearly all else that does."""
    point = ord(text[-1]) - 1
    return text[:-1] + chr(0xD7FF if 0xD800 <= point <= 0xDFFF else point) + "\U0010ffff"


def _meta(known: "obstore.ObjectMeta") -> Meta:
    tag = known["e_tag"] or f"{known['last_modified'].timestamp():.0f}-{known['size']}"
    version = tag.removeprefix("W/").strip('"')
    if not _WORD.fullmatch(version):
        version = hashlib.sha256(version.encode()).hexdigest()
    return Meta(size_bytes=known["size"], version=version)


@contextmanager
def _checking_variables() -> Iterator[None]:
    try:
        yield
    except (BaseError, ValueError):
        raise ValueError("one of the AWS_* variables has a value that cannot be used") from None


@contextmanager
def _telling(doing: str) -> Iterator[None]:
    try:
        yield
    except InvalidPathError:
        raise StoreFailed(
            f"{doing}: there is a key with an empty part, `.`, `..` or control characters"
        ) from None
    except (BaseError, OSError) as error:
        raise StoreFailed(f"{doing}: {_answered(error) or 'no answer'}") from None


def _answered(error: Exception) -> str:
    said = str(error)
    status, code = _STATUS.search(said), _CODE.search(said)
    return " ".join(found[1] for found in (status, code) if found)
