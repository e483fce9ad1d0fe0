"""The scaling policy as a strict model: read, checked, explained."""
