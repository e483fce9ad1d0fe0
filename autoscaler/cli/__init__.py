"""Commands: thin, one file each."""
