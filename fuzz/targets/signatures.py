"""The host's choice of a template, and the decoder's own look at the same bytes, agree."""

from collections.abc import Callable

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.contract.signatures import PREFIX_BYTES, Template, template_of
from remote_worker.decoder import formats


def agree(data: bytes, template_of: Callable[[bytes], Template] = template_of) -> None:
    """What the decoder knows goes to the template that reads it; what it does not know is refused as such."""
    chosen = template_of(data[:PREFIX_BYTES])
    try:
        found = formats.detect(data)
    except WorkFailed as failed:
        assert failed.code is FailureCode.UNSUPPORTED_FORMAT, failed.code
        return
    assert found.template is chosen, f"{found.name} went to {chosen}"


def one_format(data: bytes) -> None:
    """No two signatures match the same bytes."""
    found = [row.name for row in formats.FORMATS if row.is_it(data[:PREFIX_BYTES])]
    assert len(found) <= 1, found
