"""The verbs as Python functions: one file a verb, and what several of them share."""
