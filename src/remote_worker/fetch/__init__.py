"""The one door out. `process` runs in a process of its own and dials; the rest is the host's side of it."""
