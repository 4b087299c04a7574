"""Structure-aware mutation: files taken apart into chunks, boxes and fields, and put together wrong."""
