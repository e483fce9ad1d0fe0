"""One data file per serving stack: where each signal comes from, and the loader."""
