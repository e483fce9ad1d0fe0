"""What the daemon keeps in the cluster for itself: leases, state, Events, policies."""
