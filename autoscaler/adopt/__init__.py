"""From what sets the replica counts today (HPA, KEDA, a fixed number) to a scaling policy that may do it tomorrow."""
