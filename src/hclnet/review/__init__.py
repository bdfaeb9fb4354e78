"""A page on which a person accepts, mends or rejects what `hclnet locate` has found. No torch in here."""
