"""`python -m hclnet` is `hclnet`."""

from hclnet.cli import main

main()
