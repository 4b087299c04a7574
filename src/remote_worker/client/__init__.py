"""A client of the worker, blocking and asynchronous. It needs httpx, and nothing of the server."""

from .asynchronous import AsyncClient
from .blocking import Client
from .errors import Busy, Refused, Unanswered, WorkerError
from .results import (
    Address,
    Avatars,
    Capabilities,
    EnsName,
    Facts,
    FormatOffered,
    Geo,
    Greeting,
    Info,
    LinkedImage,
    Location,
    Metadata,
    OperationOffered,
    Output,
    Outputs,
    Picture,
    Preview,
    PreviewLine,
    Readiness,
    Resolved,
    Stats,
)
from .retrying import Retries
from .signing import Signer

__all__ = [
    "Address",
    "AsyncClient",
    "Avatars",
    "Busy",
    "Capabilities",
    "Client",
    "EnsName",
    "Facts",
    "FormatOffered",
    "Geo",
    "Greeting",
    "Info",
    "LinkedImage",
    "Location",
    "Metadata",
    "OperationOffered",
    "Output",
    "Outputs",
    "Picture",
    "Preview",
    "PreviewLine",
    "Readiness",
    "Refused",
    "Resolved",
    "Retries",
    "Signer",
    "Stats",
    "Unanswered",
    "WorkerError",
]
