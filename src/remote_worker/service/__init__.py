"""The use cases. They say what they need in one-method Protocols and know neither HTTP nor processes."""
