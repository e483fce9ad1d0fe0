"""A discrete-event model of a prefill/decode service, and traces to drive it."""
