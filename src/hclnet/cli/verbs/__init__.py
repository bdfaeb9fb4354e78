"""One verb of the command line a file. Each imports what it needs when it runs, so that `--help` answers at once."""
