"""Opens the long-lived parts from the settings and closes them in reverse."""

from collections.abc import Awaitable, Callable

from .pool.pool import Health, Pool
from .service.images import Images
from .settings import Settings


def open_pool(settings: Settings) -> Pool:
    """The pool; entering it raises TemplateFailed when a required layer of the seal cannot be put up."""
    return Pool(settings.pool, settings.limits)


def images(pool: Pool) -> Images:
    """The use cases of images on this pool."""
    return Images(pool)


def health(pool: Pool) -> Callable[[], Awaitable[Health]]:
    """What `/readyz` and `doctor` ask."""
    return pool.check
