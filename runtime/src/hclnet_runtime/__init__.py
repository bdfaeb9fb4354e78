"""What hclnet does without torch: images -> squares, and the network's maps -> heatmaps and boxes."""

__version__ = "0.1.0"
