"""Simulated engines as programs of their own, for a cluster without GPUs: real pods, real requests, simulated time."""
