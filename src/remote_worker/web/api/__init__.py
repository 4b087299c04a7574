"""What every route does, for the OpenAPI document, its page and docs/api.md."""

from . import images, links, network, text, worker
from .operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *images.OPERATIONS,
    *links.OPERATIONS,
    *text.OPERATIONS,
    *network.OPERATIONS,
    *worker.OPERATIONS,
)
