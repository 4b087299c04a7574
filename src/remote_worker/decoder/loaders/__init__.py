"""Loaders of pixels, one module a library: the only places where a stranger's bytes meet native code."""
