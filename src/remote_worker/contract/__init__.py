"""The words all parts share: failures, limits, tasks, the reply record and the template of a body."""
