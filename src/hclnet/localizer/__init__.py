"""What a user saves, loads and calls, and the one pipeline from images to boxes."""
