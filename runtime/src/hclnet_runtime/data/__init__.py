"""One way to open an image."""
