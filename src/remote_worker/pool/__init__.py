"""The host's side of the jail: starts templates, lends children, keeps time, checks replies as hostile."""
