"""From the bytes of a page to what it says of itself, in the jail."""
