"""The loop: schedule, observe, decide, act, record."""
