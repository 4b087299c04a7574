"""The service under load while children, templates, descriptors, memory, logs, clocks and clients fail."""
