"""The routes of the worker."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from .. import metrics
from ..contract.limits import Limits
from ..metrics import Load, Pulse
from ..service.images import Images
from ..service.presets import Presets
from ..service.texts import Texts
from .admission import Admission, Admits
from .answers import json_answer
from .auth import CAMO_DIGEST, Gate
from .budget import Budget
from .callers import Callers
from .capabilities import CapabilityEndpoint, Offered
from .exchange import Exchanges, Tell
from .health import Health, HealthEndpoints
from .images import ImageEndpoints
from .jobs import JobEndpoints, JobUses
from .links import LinkEndpoints, Links
from .network import NetworkEndpoints, NetworkUses
from .openapi import OpenApi, bounds
from .page import Page
from .presets import PresetEndpoints
from .previews import PreviewEndpoints
from .settings import WebSettings
from .stats import StatsEndpoint, Watch
from .stopping import Refusals
from .targets import Targets
from .text import TextEndpoints

Endpoint = Callable[[Request], Awaitable[Response]]


class App(Starlette):
    """The application, with what our own server asks before it passes a request on."""

    admits: Admits
    gate: Gate

    def build_middleware_stack(self) -> ASGIApp:
        """Our own alone. `Exchanges` answers every failure, where Starlette has a layer for each kind."""
        app: ASGIApp = _Paths(self.router)
        for layer, arguments, options in reversed(self.user_middleware):
            app = layer(app, *arguments, **options)
        return app


_READ = ("GET", "HEAD", "OPTIONS")
_UPLOAD = ("HEAD", "OPTIONS", "GET", "POST")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """The use cases that are offered."""

    images: Images
    presets: Presets
    links: Links
    texts: Texts
    network: NetworkUses
    jobs: JobUses = field(default_factory=JobUses)


def create_app(
    uses: Uses,
    readiness: Callable[[], Awaitable[Health]],
    settings: WebSettings,
    limits: Limits,
    *,
    gate: Gate | None = None,
    lifespan: Lifespan[Starlette] | None = None,
    watch: Watch | None = None,
    tell: Tell | None = None,
) -> App:
    """The application, for our own server or for any other that speaks ASGI.

    Without a `gate` it makes its own, which raises BadKeys where there is a key file that cannot be used.
    `watch` is what `/stats` tells of, and `tell` makes the spans of requests.
    """
    gate = gate or Gate(settings, limits)
    health = HealthEndpoints(readiness)
    callers = Callers(settings.trusted_proxies)
    budget = Budget(settings.bodies_bytes)
    pictures = ImageEndpoints(uses.images, limits, settings, callers, budget, uses.links.by_url())
    presets = PresetEndpoints(uses.presets, uses.images, pictures, settings)
    previews = PreviewEndpoints(uses.links.previews, uses.links.settings, settings, callers, budget)
    links = LinkEndpoints(uses.links, uses.images, uses.presets, settings, callers, budget)
    texts = TextEndpoints(uses.texts, settings, callers, budget)
    network = NetworkEndpoints(uses.network, settings, callers)
    about = _About(settings)
    page = Page()
    offered = Offered(
        links=uses.links, texts=uses.texts, network=uses.network, presets=uses.presets, jobs=uses.jobs
    )
    capabilities = CapabilityEndpoint(health.current, offered, limits, settings)
    openapi = OpenApi(bounds(limits, uses.links.settings))
    reads: dict[str, Endpoint] = {
        "/": page.index,
        "/ping": about.ping,
        "/hello": about.hello,
        "/capabilities": capabilities.tell,
        "/stats": StatsEndpoint(watch or Watch(Load, Pulse())).tell,
        "/livez": health.live,
        "/readyz": health.ready,
        "/health": health.ready,
        "/images/preset": presets.listed,
        "/images/distance": presets.distance,
        "/dns/resolve": network.resolve,
        "/ip": network.caller,
        "/ipip/{address}": network.ipip,
        "/geo/{address}": network.geo,
        "/ens/{name}": network.ens,
        **{path: asset.answer for path, asset in page.assets().items()},
        "/openapi.json": openapi.tell,
        "/docs": openapi.page,
        "/docs/{name}": openapi.asset,
    }
    uploads: dict[str, Endpoint] = {
        "/images/prepare_jpeg": pictures.prepare,
        "/images/fit/{box}": pictures.fit,
        "/images/rescale_avatar": pictures.avatars,
        "/images/resize_avatar": pictures.avatars,
        "/images/info": pictures.info,
        "/images/preset/{name}": presets.make,
        "/images/facts": presets.facts,
    }
    upload_routes = [_route(path, endpoint, _UPLOAD) for path, endpoint in uploads.items()]
    routes = [
        # Looked through in this order.
        *_link_routes(previews, links),
        *upload_routes,
        _route("/text/render_markdown", texts.render_markdown, _UPLOAD),
        *(_route(path, endpoint, _READ) for path, endpoint in reads.items()),
    ]
    jobs = JobEndpoints(uses.jobs, Targets(routes), limits, settings, callers, budget)
    app = App(
        routes=[*routes, *_job_routes(jobs)],
        middleware=[Middleware(Exchanges, gate, uses.links.via, tell), Middleware(Refusals)],
        lifespan=lifespan,
    )
    # A path with a slash behind it is another path.
    app.router.redirect_slashes = False
    metrics.ROUTES.update(route.path for route in app.router.routes if isinstance(route, Route))
    app.gate = gate
    app.admits = Admission(gate, uses.images, callers, upload_routes, uses.links.via)
    openapi.describe([route for route in app.routes if isinstance(route, Route)])
    return app


class _Paths:
    """Goes to the route of a path without parameters at once; the router looks for the others one by one."""

    def __init__(self, router: Router) -> None:
        self._router = router
        routes = [route for route in router.routes if isinstance(route, Route)]
        self._routes = {route.path: route for route in routes if not route.param_convertors}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        route = None
        if scope["type"] == "http" and not scope.get("root_path"):
            route = self._routes.get(scope["path"])
        if route is None:
            await self._router(scope, receive, send)
            return
        scope["route"] = route
        await route.handle(scope, receive, send)


class _About:
    """The endpoints that say who answers."""

    def __init__(self, settings: WebSettings) -> None:
        self._settings = settings
        self._started = time.monotonic()

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


class _Digest(StringConvertor):
    """A digest of camo's. Where its addresses lie at the root, everything else there is what it was."""

    regex = CAMO_DIGEST


def _link_routes(previews: PreviewEndpoints, links: LinkEndpoints) -> list[Route]:
    register_url_convertor("digest", _Digest())
    return [
        _route("/links/preview", previews.preview, (*_UPLOAD, "DELETE")),
        _route("/links/previews", previews.previews, ("OPTIONS", "POST")),
        _route("/links/image", links.image, _READ),
        _route("/links/proxy/{signature}/{rest:path}", links.proxy, _READ),
        _route("/camo/{digest}/{encoded}", links.camo, _READ),
        _route("/camo/{digest}", links.camo_query, _READ),
        _route("/{digest:digest}/{encoded}", links.camo, _READ),
        _route("/{digest:digest}", links.camo_query, _READ),
    ]


def _job_routes(jobs: JobEndpoints) -> list[Route]:
    return [
        _route("/jobs", jobs.submit, _UPLOAD),
        _route("/jobs/{id}", jobs.job, (*_READ, "DELETE")),
        _route("/jobs/{id}/result", jobs.result, _READ),
    ]


def _route(path: str, endpoint: Endpoint, methods: tuple[str, ...]) -> Route:
    return Route(path, _Answer(endpoint, methods), methods=list(methods))


class _Answer:
    """An endpoint as an application: Starlette would put a layer around a function."""

    def __init__(self, endpoint: Endpoint, methods: tuple[str, ...]) -> None:
        self._endpoint = endpoint
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["method"] == "OPTIONS":
            response = Response(headers={"allow": ", ".join(self._methods)})
        else:
            response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
