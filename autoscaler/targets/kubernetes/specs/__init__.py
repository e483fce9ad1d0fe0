"""What each stack calls its objects: one data file per kind of target, and their loader."""
