"""Does every form of kubeconfig, and the inside of a pod, lead to the right server with the right credentials?"""

import base64
import datetime
import ssl
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flowbatch.kube import credentials
from flowbatch.kube.config import environment_proxy, in_cluster, load_config
from flowbatch.kube.errors import ConfigError
from flowbatch.kube.kubeconfig import kubeconfig_files, merged


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    """A certificate and its key, PEM in base64."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    day = datetime.datetime(2026, 1, 1)  # noqa: DTZ001  (X.509 wants it so)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + datetime.timedelta(days=9999))
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return base64.b64encode(certificate).decode(), base64.b64encode(private).decode()


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No kubeconfig, pod or proxy of the machine shows through."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def config(user: dict[str, Any] | None = None, name: str = "one", **cluster: Any) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443/", **cluster}}],
        "users": [{"name": name, "user": user or {}}],
    }


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


async def test_the_file_of_the_home_directory_is_found(tmp_path: Path):
    written(tmp_path / "home" / ".kube" / "config", config({"token": "t"}))
    found = await load_config()
    assert (found.server, found.namespace, found.context) == ("https://one:6443", "ns-one", "one")
    assert await found.headers() == {"Authorization": "Bearer t"}


async def test_several_files_are_one_and_the_first_to_say_a_thing_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = written(tmp_path / "1", config({"token": "first"}))
    second = written(tmp_path / "2", {**config({"token": "second"}), "current-context": "two"})
    third = written(tmp_path / "3", config({"token": "third"}, name="two"))
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}:{third}")
    assert await (await load_config()).headers() == {"Authorization": "Bearer first"}
    assert await (await load_config(context="two")).headers() == {"Authorization": "Bearer third"}
    # kubernetes-asyncio, which runs plugins, refuses a name that is there twice.
    assert [user["name"] for user in merged(kubeconfig_files())["users"]] == ["one", "two"]


async def test_paths_are_relative_to_the_file_that_names_them(tmp_path: Path, pair: tuple[str, str]):
    written(tmp_path / "deep" / "token", "from-file\n")
    written(tmp_path / "deep" / "ca.pem", base64.b64decode(pair[0]).decode())
    file = written(tmp_path / "deep" / "c", config({"tokenFile": "token"}, **{"certificate-authority": "ca.pem"}))
    found = await load_config(file)
    assert await found.headers() == {"Authorization": "Bearer from-file"}
    assert found.ssl is not None
    assert found.ssl.cert_store_stats()["x509"] == 1


async def test_client_certificates_may_be_inline_and_leave_no_file_behind(tmp_path: Path, pair: tuple[str, str]):
    user = {"client-certificate-data": pair[0], "client-key-data": pair[1]}
    before = set(Path("/tmp").glob("*.pem"))  # noqa: ASYNC240  (a test)
    found = await load_config(written(tmp_path / "c", config(user, **{"certificate-authority-data": pair[0]})))
    assert found.ssl is not None
    assert found.ssl.verify_mode is ssl.CERT_REQUIRED
    assert set(Path("/tmp").glob("*.pem")) <= before  # noqa: ASYNC240


async def test_verification_is_on_unless_it_is_switched_off(tmp_path: Path):
    found = await load_config(written(tmp_path / "c", config()))
    assert found.ssl is not None
    assert found.ssl.check_hostname
    off = await load_config(written(tmp_path / "d", config(**{"insecure-skip-tls-verify": True})))
    assert off.ssl is not None
    assert off.ssl.verify_mode is ssl.CERT_NONE


async def test_the_servers_name_and_a_proxy_may_be_given(tmp_path: Path):
    more = {"tls-server-name": "kubernetes.default", "proxy-url": "http://proxy:3128"}
    found = await load_config(written(tmp_path / "c", config(**more)))
    assert (found.tls_server_name, found.proxy) == ("kubernetes.default", "http://proxy:3128")


async def test_a_password_is_basic_authentication(tmp_path: Path):
    found = await load_config(written(tmp_path / "c", config({"username": "u", "password": "p"})))
    assert await found.headers() == {"Authorization": "Basic dTpw"}


async def test_a_token_that_rotates_is_read_again_each_minute_and_after_a_401(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = [0.0]
    monkeypatch.setattr(credentials.time, "monotonic", lambda: now[0])
    token = written(tmp_path / "token", "old")
    found = await load_config(written(tmp_path / "c", config({"tokenFile": str(token)})))
    assert await found.headers() == {"Authorization": "Bearer old"}
    token.write_text("new")
    now[0] = 59
    assert await found.headers() == {"Authorization": "Bearer old"}
    now[0] = 61
    assert await found.headers() == {"Authorization": "Bearer new"}
    token.write_text("newer")
    found.credentials.renew()
    assert await found.headers() == {"Authorization": "Bearer newer"}
    token.unlink()
    found.credentials.renew()
    assert await found.headers() == {"Authorization": "Bearer newer"}


async def test_a_plugin_is_run_for_its_token_and_again_after_a_401(tmp_path: Path):
    plugin = written(
        tmp_path / "plugin",
        "#!/bin/sh\necho x >> " + str(tmp_path / "runs") + "\n"
        'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",'
        ' "status": {"token": "from-plugin"}}\'\n',
    )
    plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "./plugin"}}
    found = await load_config(written(tmp_path / "c", config(user)))
    assert dict(await found.headers()) == {"authorization": "Bearer from-plugin"}
    await found.headers()
    found.credentials.renew()
    await found.headers()
    assert (tmp_path / "runs").read_text().count("x") == 2


async def test_a_plugin_that_fails_is_named(tmp_path: Path):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nonexistent/plugin"}}
    with pytest.raises(ConfigError, match="plugin"):
        await load_config(written(tmp_path / "c", config(user)))


async def test_inside_a_pod_the_service_account_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[str, str]
):
    for name, content in {"token": "sa", "namespace": "mine", "ca.crt": base64.b64decode(pair[0]).decode()}.items():
        written(tmp_path / name, content)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    found = in_cluster(tmp_path)
    assert (found.server, found.namespace) == ("https://[fd00::1]:443", "mine")
    assert await found.headers() == {"Authorization": "Bearer sa"}


async def wrong(path: Path, content: Any, context: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        await load_config(written(path, content), context)
    return str(caught.value)


async def test_what_is_wrong_is_said_by_name(tmp_path: Path, pair: tuple[str, str]):
    good = config()
    assert "did you mean" in await wrong(tmp_path / "a", good, "onne")
    assert "current-context" in await wrong(tmp_path / "b", {**good, "current-context": ""})
    assert "no cluster" in await wrong(tmp_path / "c", {**good, "clusters": []})
    assert "http or https" in await wrong(tmp_path / "d", config(server="ftp://x"))
    assert "not base64" in await wrong(tmp_path / "e", config(**{"certificate-authority-data": "%%%"}))
    assert "no PEM" in await wrong(tmp_path / "f", config(**{"certificate-authority-data": "aGVsbG8="}))
    assert "belong together" in await wrong(tmp_path / "g", config({"client-certificate-data": pair[0]}))
    assert "cannot read certificate-authority" in await wrong(tmp_path / "h", config(**{"certificate-authority": "no"}))
    assert "cannot read kubeconfig" in await wrong(tmp_path / "i", "a: [")
    assert "not a mapping" in await wrong(tmp_path / "j", "- a")
    assert "list of mappings" in await wrong(tmp_path / "k", {**good, "users": {"a": 1}})


async def test_no_cluster_at_all_is_said_with_every_place_that_was_looked_at(tmp_path: Path):
    with pytest.raises(ConfigError, match="KUBECONFIG"):
        await load_config()
    with pytest.raises(ConfigError, match="no kubeconfig file"):
        await load_config(tmp_path / "missing")


@pytest.mark.parametrize(
    ("server", "no_proxy", "expected"),
    [
        ("https://k8s.example.com", "", "http://proxy:1"),
        ("https://k8s.example.com", "example.com", None),
        ("https://10.1.2.3:6443", "10.0.0.0/8", None),
        ("https://11.1.2.3:6443", "10.0.0.0/8", "http://proxy:1"),
        ("https://127.0.0.1:6443", "", None),
        ("https://localhost:6443", "", None),
    ],
)
def test_the_environments_proxy(server: str, no_proxy: str, expected: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert environment_proxy(server) == expected


def test_a_plain_kubeconfig_costs_no_import_of_the_big_library(tmp_path: Path):
    file = written(tmp_path / "c", config({"token": "t"}))
    program = (
        "import asyncio, sys\n"
        "from flowbatch.kube.config import load_config\n"
        f"asyncio.run(load_config({str(file)!r}))\n"
        "assert not {'kubernetes_asyncio', 'aiohttp', 'numpy', 'prometheus_client'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
