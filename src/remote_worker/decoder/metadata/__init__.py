"""Raw metadata blocks: what they say, and how location is taken out of them. Stdlib only."""
