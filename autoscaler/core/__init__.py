"""The pure heart: signals to demand to capacity to proposal to stages to decision.

Imports numpy and the standard library, nothing else: no I/O, no clock, no logging. Time is passed in.
"""
