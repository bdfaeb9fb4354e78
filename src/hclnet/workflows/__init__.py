"""The verbs as Python functions: one file a verb."""
