"""The closed list of failures a caller may hear about, free of HTTP."""

from enum import StrEnum


class FailureCode(StrEnum):
    """A stable word for each way in which a request can fail.

    The order is part of the reply record (`contract.wire`): new codes go to the end.
    """

    BAD_REQUEST = "bad_request"
    BAD_PARAMETER = "bad_parameter"
    NO_FILE = "no_file"
    EMPTY_FILE = "empty_file"
    NOT_A_JPEG = "not_a_jpeg"
    FOREIGN_ORIGIN = "foreign_origin"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TIMEOUT = "body_timeout"
    TOO_LARGE = "too_large"
    URI_TOO_LONG = "uri_too_long"
    HEADERS_TOO_LARGE = "headers_too_large"
    UNSUPPORTED_FORMAT = "unsupported_format"
    FORMAT_UNAVAILABLE = "format_unavailable"
    DAMAGED = "damaged"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MUCH_MEMORY = "too_much_memory"
    DECODER_CRASHED = "decoder_crashed"
    OUTPUT_TOO_LARGE = "output_too_large"
    BUSY = "busy"
    JAIL_UNAVAILABLE = "jail_unavailable"
    DEADLINE = "deadline"
    INTERNAL = "internal"


class WorkFailed(Exception):
    """A request ends here with a code; `detail` is a sentence for people, never compared by code.

    `in_header` says that not even the document's header could be read. `retry_seconds` says after how long
    it may go better, where that is known; 0 leaves it to the code.
    """

    def __init__(
        self, code: FailureCode, detail: str = "", *, in_header: bool = False, retry_seconds: int = 0
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.in_header = in_header
        self.retry_seconds = retry_seconds
