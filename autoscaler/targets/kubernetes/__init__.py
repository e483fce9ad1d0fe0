"""Targets on a Kubernetes API server.

`connection` and `client` import the Kubernetes client, which costs half a second: import them where a cluster is meant
and not before. The other modules are light.
"""
