"""Control laws that others ship or published, as controllers of the simulator.

Written from the published laws, with their published defects: what is compared here is what people run.
"""
