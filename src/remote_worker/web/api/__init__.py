"""What every route does, for the OpenAPI document, its page and docs/api.md."""

from . import images, jobs, links, network, presets, text, worker
from .operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *images.OPERATIONS,
    *presets.OPERATIONS,
    *links.OPERATIONS,
    *text.OPERATIONS,
    *jobs.OPERATIONS,
    *network.OPERATIONS,
    *worker.OPERATIONS,
)
