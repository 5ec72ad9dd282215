"""Where the cluster is and how to be let in: from a kubeconfig, or from inside a pod.

Plain kubeconfigs (tokens, token files, certificates) are read here, in milliseconds. Exec plugins and auth providers
go through kubernetes-asyncio, which costs half a second to import and is imported only for them.
"""

import os
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from ssl import SSLContext
from urllib.parse import urlsplit

from flowbatch.api.meta import JsonObject
from flowbatch.kube import kubeconfig as files
from flowbatch.kube.credentials import Credentials, FixedHeaders, Plugin, TokenFile, basic, bearer
from flowbatch.kube.errors import ConfigError
from flowbatch.kube.tls import show, ssl_context

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class ClusterConfig:
    """One cluster as seen by one user; `ssl` is None for plain http."""

    server: str
    ssl: SSLContext | None = None
    credentials: Credentials = field(default_factory=FixedHeaders)
    #: The namespace meant where none is given.
    namespace: str = "default"
    #: The name to expect in the server's certificate, where it is not the host of `server`.
    tls_server_name: str | None = None
    #: Read once, here: asking the environment for each request costs more than the request.
    proxy: str | None = None
    #: What a person is told they are talking to.
    context: str = ""
    #: A unix socket of the same server, for programs of the same user: plain http, same credentials.
    socket: str = ""

    async def headers(self) -> Mapping[str, str]:
        """The headers that authenticate a request sent now."""
        return await self.credentials.headers()


async def load_config(kubeconfig: str | Path | None = None, context: str | None = None) -> ClusterConfig:
    """The cluster of `kubeconfig` (else KUBECONFIG, ~/.kube/config, or the pod's own), in `context`.

    Raises ConfigError when there is none, or when what is there is wrong.
    """
    found = files.kubeconfig_files(kubeconfig)
    if found:
        return await from_kubeconfig(files.merged(found), context)
    if "KUBERNETES_SERVICE_HOST" in os.environ and context is None:
        return in_cluster()
    raise ConfigError(
        "no cluster: there is no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config) and this is no pod"
    )


async def from_kubeconfig(config: JsonObject, context: str | None = None) -> ClusterConfig:
    """The cluster that `context`, or the current one, of an already parsed kubeconfig means."""
    name = context or files.text(config, "current-context")
    if not name:
        raise ConfigError("the kubeconfig has no current-context; choose one with --context")
    chosen = files.part(config, "contexts", name, "current-context" if context is None else "--context")
    cluster = files.part(config, "clusters", files.text(chosen, "cluster"), f"context {name!r}")
    user_name = files.text(chosen, "user")
    user = files.part(config, "users", user_name, f"context {name!r}") if user_name else {}
    server = files.text(cluster, "server").rstrip("/")
    if not server.startswith(("http://", "https://")):
        raise ConfigError(f"context {name!r}: the cluster's server must be an http or https address, not {server!r}")
    tls = ssl_context(cluster, user) if server.startswith("https://") else None
    return ClusterConfig(
        server=server,
        ssl=tls,
        credentials=await _credentials(user, config, name, tls),
        namespace=files.text(chosen, "namespace") or "default",
        tls_server_name=files.text(cluster, "tls-server-name") or None,
        proxy=files.text(cluster, "proxy-url") or environment_proxy(server),
        context=name,
    )


async def _credentials(user: JsonObject, config: JsonObject, context: str, tls: SSLContext | None) -> Credentials:
    # client-go's order: what is in the token file wins over the token that stands beside it.
    if files.text(user, "tokenFile"):
        return TokenFile(Path(files.text(user, "tokenFile")))
    if files.text(user, "token"):
        return FixedHeaders(bearer(files.text(user, "token")))
    if "exec" in user or "auth-provider" in user:
        return await _plugin(config, context, tls)
    if files.text(user, "username"):
        return FixedHeaders(basic(files.text(user, "username"), files.text(user, "password")))
    return FixedHeaders()


async def _plugin(config: JsonObject, context: str, tls: SSLContext | None) -> Plugin:
    plugin = Plugin(config, context)
    found = await plugin.run()
    if tls is not None and found.cert_file and found.key_file:
        show(tls, *_read(found.cert_file, found.key_file))
    return plugin


def _read(*paths: str) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


def in_cluster(secrets: Path = SERVICE_ACCOUNT) -> ClusterConfig:
    """The cluster whose pod this is, as the pod's service account. Raises ConfigError outside a pod."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", ""), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (secrets / "token").is_file():
        raise ConfigError("this is no pod with a service account: no KUBERNETES_SERVICE_HOST or no token")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    own = secrets / "namespace"
    return ClusterConfig(
        server=server,
        ssl=ssl_context({"certificate-authority": str(secrets / "ca.crt")}, {}),
        credentials=TokenFile(secrets / "token"),
        namespace=own.read_text().strip() if own.is_file() else "default",
        context="in-cluster",
    )


def environment_proxy(server: str) -> str | None:
    """The proxy that the environment sets for `server`; none for this machine itself or what NO_PROXY lists."""
    address = urlsplit(server)
    host = address.hostname or ""
    proxy = urllib.request.getproxies_environment().get(address.scheme)
    if not proxy or host == "localhost" or urllib.request.proxy_bypass(host):
        return None
    return None if _in_no_proxy_network(host) else proxy


def _in_no_proxy_network(host: str) -> bool:
    """Go's programs also take networks in NO_PROXY; cluster addresses are usually excepted that way."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    for part in urllib.request.getproxies_environment().get("no", "").split(","):
        try:
            if address in ip_network(part.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
