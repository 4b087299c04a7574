"""WebP through Pillow (libwebp)."""

from PIL import WebPImagePlugin

from . import libwebp
from .pillow import PillowLoader

WEBP = PillowLoader(WebPImagePlugin.WebPImageFile, libwebp.decoder())
