"""The client of the worker, its examples and its page."""
