"""Remote Worker: a sealed HTTP service for strangers' images and links.

This file imports nothing, because it also runs inside the jail.
"""

__version__ = "0.1.0"
