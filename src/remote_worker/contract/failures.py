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
    BAD_URL = "bad_url"
    BAD_SCHEME = "bad_scheme"
    BAD_HOST = "bad_host"
    BAD_PORT = "bad_port"
    USERINFO = "userinfo"
    TOO_LONG = "too_long"
    BLOCKED_ADDRESS = "blocked_address"
    BLOCKED_NAME = "blocked_name"
    SELF = "self"
    RATE_LIMITED = "rate_limited"
    DNS_NOT_FOUND = "dns_not_found"
    DNS_FAILED = "dns_failed"
    DNS_CHAIN = "dns_chain"
    TIMEOUT = "timeout"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    DOWNGRADE = "downgrade"
    REDIRECT_LOOP = "redirect_loop"
    REDIRECT_LIMIT = "redirect_limit"
    REDIRECT_INVALID = "redirect_invalid"
    BAD_HTTP = "bad_http"
    BAD_ENCODING = "bad_encoding"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    HTTP_STATUS = "http_status"
    NOT_HTML = "not_html"
    TYPE_MISMATCH = "type_mismatch"
    ATTACHMENT = "attachment"
    PARSE_LIMIT = "parse_limit"
    FETCH_UNAVAILABLE = "fetch_unavailable"
    BAD_SIGNATURE = "bad_signature"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    UNRESOLVED = "unresolved"
    NO_IP_FACTS = "no_ip_facts"
    NOT_CONFIGURED = "not_configured"
    ENS_FAILED = "ens_failed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    BAD_DIGEST = "bad_digest"
    QUOTA_EXCEEDED = "quota_exceeded"
    ONLY_PRESETS = "only_presets"
    REFUSED_BY_CHECK = "refused_by_check"
    CHECK_FAILED = "check_failed"
    KEY_REUSED = "key_reused"
    NOT_READY = "not_ready"
    WORKER_KILLED = "worker_killed"


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
