"""Makes the Grafana dashboards. `python -m dashboards.generator` writes the JSON files that are committed."""
