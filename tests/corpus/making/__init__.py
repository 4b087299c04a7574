"""Makes the project's own sample images, byte for byte the same every time."""
