"""Step 4 of the flow: what a method puts out -> one heatmap an image."""
