"""From the URL of a store to the store."""

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .directory import Directory
from .keys import parts_of
from .store import BadKey, Store

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://|$)")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,62}")


class BadStore(ValueError):
    """This is no URL of a store, or one that this installation cannot open. The text does not repeat it."""


def open_store(url: str) -> Store:
    """For a path, `file:///path` or `s3://bucket/prefix`. Nothing is asked, read or made yet."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return _folder(url)
    opener = _OPENERS.get(scheme[1].lower())
    if opener is None:
        raise BadStore(f"a store is a path, file:///path or s3://bucket/prefix, not {scheme[1]}:")
    return opener(url)


class NotWithin(BadStore):
    """It is no store among those that may be opened here, nor does it lie below one."""


def open_within(url: str, allowed: Sequence[str]) -> Store:
    """The same for a stranger's URL: it is one of those allowed, or lies below one. Raises NotWithin.

    Neither `..` nor a symbolic link leads out of them: a folder is walked to from the one that is allowed,
    each time that something is asked of it.
    """
    store = open_store(url)
    folder = _path(url)
    for other in allowed:
        root = _path(other)
        if folder is None or root is None:
            # The parts of a bucket's prefix are those of a key: there is no `..` among them.
            if f"{store.url}/".startswith(f"{open_store(other).url}/"):
                return store
        elif folder.is_relative_to(root) and ".." not in (below := folder.relative_to(root).parts):
            return Directory(root, below)
    raise NotWithin("this store is none of those that may be opened here, and lies below none of them")


def _path(url: str) -> Path | None:
    """The folder that a URL names; None for what is no folder's."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Path(url).absolute()
    return Path(_path_of(url)).absolute() if scheme[1].lower() == "file" else None


def _folder(path: str) -> Store:
    if not path or "\0" in path:
        raise BadStore("the path of a store is neither empty nor has it a NUL")
    return Directory(Path(path))


def _file(url: str) -> Store:
    return _folder(_path_of(url))


def _path_of(url: str) -> str:
    split = urlsplit(url)
    if split.netloc not in {"", "localhost"} or split.query or split.fragment:
        raise BadStore("a folder's URL is file:/// and a path, in which % ? # stand as %25 %3F %23")
    path = unquote(split.path, errors="surrogateescape")
    if not path.startswith("/"):
        raise BadStore("a folder's URL begins with three slashes: file:///path")
    return path


def _s3(url: str) -> Store:
    bucket, _, prefix = url.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        # Someone may have written credentials here, so it is not repeated.
        raise BadStore("after s3:// comes the name of a bucket alone: 3 to 63 letters, digits, `.`, `-`, `_`")
    if "?" in prefix or "#" in prefix:
        raise BadStore("an s3:// URL has neither ? nor #: the endpoint is in AWS_ENDPOINT_URL")
    prefix = prefix.removesuffix("/")
    try:
        if prefix:
            parts_of(prefix)
    except BadKey as bad:
        raise BadStore(f"the prefix in an s3:// URL is as a key is: {bad}") from None
    try:
        # Only whoever names a bucket has the package.
        from .s3 import Bucket  # noqa: PLC0415
    except ImportError:
        raise BadStore("s3:// needs the package obstore: install remote-worker[s3]") from None
    try:
        return Bucket(bucket, prefix)
    except ValueError as bad:
        raise BadStore(str(bad)) from None


_OPENERS = {"file": _file, "s3": _s3}
