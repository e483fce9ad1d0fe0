"""The daemon's own metrics: one table says what there is; everything is rendered from the ledger at scrape time."""
