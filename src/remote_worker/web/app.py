"""The routes of the worker."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Lifespan

from ..contract.failures import WorkFailed
from ..contract.limits import Limits
from ..service.images import Images
from ..service.texts import Texts
from .admission import Admission, Admits
from .answers import json_answer
from .budget import Budget
from .callers import Callers
from .capabilities import CapabilityEndpoint, Offered
from .exchange import Exchanges, answer_failure
from .health import Health, HealthEndpoints
from .images import ImageEndpoints
from .links import LinkEndpoints, Links
from .network import NetworkEndpoints, NetworkUses
from .settings import WebSettings
from .stopping import Refusals
from .text import TextEndpoints

Endpoint = Callable[[Request], Awaitable[Response]]


class App(Starlette):
    """The application, with what our own server asks before it passes a request on."""

    admits: Admits


_READ = ("GET", "HEAD", "OPTIONS")
_UPLOAD = ("HEAD", "OPTIONS", "GET", "POST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """The use cases that are offered."""

    images: Images
    links: Links
    texts: Texts
    network: NetworkUses


def create_app(
    uses: Uses,
    readiness: Callable[[], Awaitable[Health]],
    settings: WebSettings,
    limits: Limits,
    *,
    lifespan: Lifespan[Starlette] | None = None,
) -> App:
    """The application, for our own server or for any other that speaks ASGI."""
    health = HealthEndpoints(readiness)
    callers = Callers(settings.trusted_proxies)
    budget = Budget(settings.bodies_bytes)
    pictures = ImageEndpoints(uses.images, limits, settings, callers, budget, uses.links.by_url())
    links = LinkEndpoints(uses.links, uses.images, settings, callers, budget)
    texts = TextEndpoints(uses.texts, settings, callers, budget)
    network = NetworkEndpoints(uses.network, settings, callers)
    about = _About(settings)
    offered = Offered(links=uses.links, texts=uses.texts, network=uses.network)
    capabilities = CapabilityEndpoint(health.current, offered, limits, settings)
    reads: dict[str, Endpoint] = {
        "/": about.index,
        "/ping": about.ping,
        "/hello": about.hello,
        "/capabilities": capabilities.tell,
        "/livez": health.live,
        "/readyz": health.ready,
        "/health": health.ready,
        "/dns/resolve": network.resolve,
        "/ip": network.caller,
        "/ipip/{address}": network.ipip,
        "/geo/{address}": network.geo,
        "/ens/{name}": network.ens,
    }
    uploads: dict[str, Endpoint] = {
        "/images/prepare_jpeg": pictures.prepare,
        "/images/fit/{box}": pictures.fit,
        "/images/rescale_avatar": pictures.avatars,
        "/images/resize_avatar": pictures.avatars,
        "/images/info": pictures.info,
    }
    upload_routes = [_route(path, endpoint, _UPLOAD) for path, endpoint in uploads.items()]
    app = App(
        routes=[
            # Looked through in this order.
            *_link_routes(links),
            *upload_routes,
            _route("/text/render_markdown", texts.render_markdown, _UPLOAD),
            *(_route(path, endpoint, _READ) for path, endpoint in reads.items()),
        ],
        middleware=[Middleware(Exchanges, settings, uses.links.via), Middleware(Refusals)],
        exception_handlers={WorkFailed: answer_failure, HTTPException: answer_failure},
        lifespan=lifespan,
    )
    # A path with a slash behind it is another path.
    app.router.redirect_slashes = False
    app.admits = Admission(uses.images, callers, upload_routes)
    return app


class _About:
    """The endpoints that say who answers."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._started = time.monotonic()

    async def index(self, _: Request) -> Response:
        return json_answer({})

    async def ping(self, _: Request) -> Response:
        return json_answer({"message": "pong", "status": "ok", "success": True, "uptime": self._uptime()})

    async def hello(self, _: Request) -> Response:
        settings = self._settings
        return json_answer(
            {
                "uid": settings.uid,
                "region": settings.region,
                "country": settings.country,
                "status": "ok",
                "success": True,
                "uptime": self._uptime(),
            }
        )

    def _uptime(self) -> float:
        return time.monotonic() - self._started


def _link_routes(links: LinkEndpoints) -> list[Route]:
    return [
        _route("/links/preview", links.preview, (*_UPLOAD, "DELETE")),
        _route("/links/previews", links.previews, ("OPTIONS", "POST")),
        _route("/links/image", links.image, _READ),
        _route("/links/proxy/{signature}/{rest:path}", links.proxy, _READ),
        _route("/camo/{digest}/{encoded}", links.camo, _READ),
        _route("/camo/{digest}", links.camo_query, _READ),
    ]


def _route(path: str, endpoint: Endpoint, methods: tuple[str, ...]) -> Route:
    async def answer(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(headers={"allow": ", ".join(methods)})
        return await endpoint(request)

    return Route(path, answer, methods=list(methods))
