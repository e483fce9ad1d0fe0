"""Print the versions of NVIDIA's packages as JSON."""

from __future__ import annotations

import json
from importlib.metadata import version

PACKAGES = ("ai-dynamo", "ai-dynamo-runtime", "aiconfigurator-core")

if __name__ == "__main__":
    print(json.dumps({name: version(name) for name in PACKAGES}))
