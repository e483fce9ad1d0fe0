"""Role policies: from signals to a proposal."""
