"""Measurements of the running service. Nothing here is shipped; CONTRIBUTING.md says how to run them."""
