"""Where objects are kept: bytes by key, in a folder or in a bucket."""
