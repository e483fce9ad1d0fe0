"""Where the API server is and who we are: a pod's service account, or a kubeconfig."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from autoscaler.targets.kubernetes.budget import RequestBudget
from autoscaler.targets.kubernetes.client import KubeClient

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_DEFAULT_KUBECONFIG = "~/.kube/config"


class KubeConfigError(ValueError):
    """There is no usable way to a cluster; says what was tried."""


def connect(
    *,
    kubeconfig: str | None = None,
    context: str | None = None,
    timeout_s: float = 5.0,
    environ: Mapping[str, str] = os.environ,
    budget: RequestBudget | None = None,
    may_write: Callable[[], bool] = lambda: True,
) -> KubeClient:
    """Connect to the cluster that the user means; see `configure`. No request is made yet.

    Args:
        kubeconfig: Path, or several separated like PATH.
        context: Name of a context in it; None for its current one.
        timeout_s: Timeout of each request.
        environ: Environment variables.
        budget: How many requests may be sent; None for any number.
        may_write: Whether we are the one who writes; asked right before a change is sent.

    Raises:
        KubeConfigError: No configuration, or one that cannot be used.
    """
    configuration = configure(kubeconfig=kubeconfig, context=context, environ=environ)
    return KubeClient(configuration, timeout_s=timeout_s, budget=budget, may_write=may_write)


def configure(
    *, kubeconfig: str | None = None, context: str | None = None, environ: Mapping[str, str] = os.environ
) -> Configuration:
    """The cluster that the user means.

    A kubeconfig that is named, by argument or by KUBECONFIG, comes first; then the service account of the pod that we
    run in; then `~/.kube/config`.

    Args:
        kubeconfig: Path, or several separated like PATH.
        context: Name of a context in it; None for its current one.
        environ: Environment variables.

    Raises:
        KubeConfigError: No configuration, or one that cannot be used.
    """
    named = kubeconfig or environ.get("KUBECONFIG")
    if named is None and context is None and "KUBERNETES_SERVICE_HOST" in environ:
        return in_cluster(environ)
    return from_kubeconfig(named or _DEFAULT_KUBECONFIG, context)


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT_DIR) -> Configuration:
    """The service account that Kubernetes mounts into a pod.

    Raises:
        KubeConfigError: Files or variables are missing.
    """
    token, authority = folder / "token", folder / "ca.crt"
    missing = [str(path) for path in (token, authority) if not path.is_file()]
    missing += [name for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT") if not environ.get(name)]
    if missing:
        raise KubeConfigError(
            f"no service account here, {' and '.join(missing)} missing: "
            "let the pod mount its token (automountServiceAccountToken), or pass --kubeconfig"
        )
    host = environ["KUBERNETES_SERVICE_HOST"]
    bracketed = f"[{host}]" if ":" in host else host  # an IPv6 address
    configuration = Configuration(host=f"https://{bracketed}:{environ['KUBERNETES_SERVICE_PORT']}")
    configuration.ssl_ca_cert = str(authority)
    TokenFile(token).attach(configuration)
    return configuration


def from_kubeconfig(locations: str, context: str | None = None) -> Configuration:
    """A context of a kubeconfig.

    Args:
        locations: Path, or several separated like PATH; the first to define a name wins.
        context: None for the current one.

    Raises:
        KubeConfigError: No such file or context, or a broken one.
    """
    paths = [Path(part).expanduser() for part in locations.split(os.pathsep) if part]
    if not any(path.exists() for path in paths):
        raise KubeConfigError(
            f"no kubeconfig at {locations} and not in a pod: pass --kubeconfig, set KUBECONFIG, or run in the cluster"
        )
    configuration = Configuration()
    try:
        merged: Any = KubeConfigMerger(locations).config  # type: ignore[no-untyped-call]  # the loaders carry no types
        loader = KubeConfigLoader(merged, context, config_base_path=None)  # type: ignore[no-untyped-call]  # as above
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]  # as above
        token_file = _token_file(merged, context)
        if token_file is not None:
            TokenFile(token_file).attach(configuration)
    except (ConfigException, yaml.YAMLError, OSError, TypeError) as error:
        raise KubeConfigError(f"kubeconfig {locations} cannot be used: {error}") from error
    return configuration


def _token_file(merged: Any, context: str | None) -> Path | None:
    """The file that the context's user takes its token from; None where the token comes otherwise."""
    chosen = merged["contexts"].get_with_name(context or merged["current-context"])["context"]
    user = merged["users"].get_with_name(chosen.safe_get("user"), safe=True)
    if user is None or "token" in user["user"] or "tokenFile" not in user["user"]:
        return None
    return Path(user["user"].path).parent / str(user["user"]["tokenFile"])


class TokenFile:
    """A bearer token in a file that is replaced before the token expires.

    The file is looked at before each request. The client's own loaders read it once, or at most every minute.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._token = ""

    def attach(self, configuration: Configuration) -> None:
        """Let a configuration take its token from here."""
        self._refresh(configuration)
        configuration.refresh_api_key_hook = self._refresh  # type: ignore[assignment]  # declared as None

    def _refresh(self, configuration: Configuration) -> None:
        configuration.api_key["BearerToken"] = f"Bearer {self._current()}"

    def _current(self) -> str:
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen != self._seen:
                self._token = self._path.read_text().strip()
                self._seen = seen
        except OSError:
            if not self._token:
                raise
        return self._token
