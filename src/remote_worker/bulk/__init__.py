"""A recipe for every picture of a store: a frozen plan, shards that can be done twice, one commit each."""
