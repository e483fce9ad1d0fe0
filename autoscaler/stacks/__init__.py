"""One data file per serving stack, and the loader."""
