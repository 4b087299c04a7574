"""Which failures come of which kind of work. Statuses and words are `problems.PROBLEMS`'s."""

from ...contract.failures import FailureCode as Code

EVERYWHERE = (
    Code.BAD_REQUEST,
    Code.FOREIGN_ORIGIN,
    Code.BODY_TIMEOUT,
    Code.URI_TOO_LONG,
    Code.HEADERS_TOO_LARGE,
    Code.BUSY,
    Code.INTERNAL,
    Code.SELF,
)
"""Of any request: it cannot be read, comes from another site's page or from this worker, or at a bad time."""

WITH_KEYS = (Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.BAD_DIGEST, Code.QUOTA_EXCEEDED)
"""Of any request that needs a key, where keys are configured."""

_WORK = (Code.DEADLINE, Code.JAIL_UNAVAILABLE)

READING = (
    *_WORK,
    Code.UNSUPPORTED_FORMAT,
    Code.FORMAT_UNAVAILABLE,
    Code.DAMAGED,
    Code.TOO_MANY_PIXELS,
    Code.TOO_MANY_FRAMES,
    Code.TOO_MUCH_MEMORY,
    Code.DECODER_CRASHED,
    Code.OUTPUT_TOO_LARGE,
)
"""Of work on a picture."""

URL = (
    Code.BAD_URL,
    Code.BAD_SCHEME,
    Code.BAD_HOST,
    Code.BAD_PORT,
    Code.USERINFO,
    Code.TOO_LONG,
    Code.BLOCKED_ADDRESS,
    Code.BLOCKED_NAME,
)
"""Of a URL by itself."""

FETCHING = (
    *URL,
    Code.TOO_LARGE,
    Code.SELF,
    Code.RATE_LIMITED,
    Code.DNS_NOT_FOUND,
    Code.DNS_FAILED,
    Code.DNS_CHAIN,
    Code.TIMEOUT,
    Code.CONNECT_FAILED,
    Code.TLS_FAILED,
    Code.DOWNGRADE,
    Code.REDIRECT_LOOP,
    Code.REDIRECT_LIMIT,
    Code.REDIRECT_INVALID,
    Code.BAD_HTTP,
    Code.BAD_ENCODING,
    Code.HTTP_4XX,
    Code.HTTP_5XX,
    Code.HTTP_STATUS,
    Code.TYPE_MISMATCH,
    Code.ATTACHMENT,
    Code.FETCH_UNAVAILABLE,
    Code.DEADLINE,
)
"""Of fetching what a URL leads to."""

PREVIEWING = (
    *FETCHING,
    Code.NOT_HTML,
    Code.PARSE_LIMIT,
    Code.JAIL_UNAVAILABLE,
    Code.DECODER_CRASHED,
    Code.TOO_MUCH_MEMORY,
    Code.OUTPUT_TOO_LARGE,
    Code.DAMAGED,
)
"""Of making a preview: the page is read in the jail."""

UPLOADING = (
    Code.BAD_PARAMETER,
    Code.NO_FILE,
    Code.EMPTY_FILE,
    Code.TOO_LARGE,
    *READING,
    *FETCHING,
)
"""Of work on a picture that is uploaded, or given by its URL."""

CHECKED = (Code.REFUSED_BY_CHECK, Code.CHECK_FAILED)
"""Of giving a picture out, where `REMOTE_EXTERNAL_CHECK_URL` is set."""

SENT_JSON = (Code.UNSUPPORTED_MEDIA_TYPE, Code.BAD_PARAMETER, Code.TOO_LARGE)
"""Of a body in JSON."""
