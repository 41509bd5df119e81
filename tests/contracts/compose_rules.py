"""What docker-compose.yml must keep to, as questions about any document of its shape; an answer names every breach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

Document = dict[str, Any]  # Any: YAML

PUBLISHED = {"grafana": "127.0.0.1", "receiver": "127.0.0.1"}
OPEN_NETWORKS = {"pages", "outside"}
ONE_SHOT = {"trainer", "story"}
WRITES_MODELS = {"receiver", "receiver-2", "trainer", "story"}
ROOT_WITHOUT_CAPABILITIES = {"victoria-metrics"}

CHECKED_WITH = {
    "tensorflow/serving": "bash", "prom/prometheus": "wget", "prom/alertmanager": "wget", "grafana/grafana": "wget",
    "victoriametrics/victoria-metrics": "wget", "redis": "redis-cli", "postgres": "pg_isready", "nginx": "curl",
    "tfs-airbag": "airbag",
}  # fmt: skip
"""By image: the program of it that its health check may use."""

KEPT = {
    "serving-exporter": "/var/lib/airbag/exporter", "quality-exporter": "/var/lib/airbag/quality",
    "quality-exporter-2": "/var/lib/airbag/quality", "receiver": "/var/lib/airbag", "receiver-2": "/var/lib/airbag",
    "alertmanager": "/alertmanager", "alertmanager-2": "/alertmanager", "prometheus": "/prometheus",
    "grafana": "/var/lib/grafana", "redis": "/data", "postgres": "/var/lib/postgresql/data",
    "victoria-metrics": "/victoria-metrics-data", "trainer": "/releases",
}  # fmt: skip
"""What must survive a new container, and where each service has it."""

SPEAKS_TO = {
    "serving-exporter": ["tf-serving", "alertmanager", "alertmanager-2"],
    "quality-exporter": ["redis"],
    "quality-exporter-2": ["redis"],
    "quality-balancer": ["quality-exporter", "quality-exporter-2"],
    "receiver": ["tf-serving", "prometheus", "alertmanager", "alertmanager-2", "postgres"],
    "receiver-2": ["tf-serving", "prometheus", "alertmanager", "alertmanager-2", "postgres"],
    "alertmanager": ["receiver", "receiver-2", "people", "alertmanager-2"],
    "alertmanager-2": ["receiver", "receiver-2", "people", "alertmanager"],
    "prometheus": ["serving-exporter", "quality-exporter", "quality-exporter-2", "host-exporter", "receiver",
                   "receiver-2", "alertmanager", "alertmanager-2", "victoria-metrics"],
    "grafana": ["prometheus", "alertmanager", "victoria-metrics"],
    "story": ["tf-serving", "quality-exporter", "receiver", "prometheus", "people"],
}  # fmt: skip
"""Every connection that the stack needs, from who opens it. Clients come on top, on `serving` and `intake`."""


def plain(text: str) -> str:
    """With the defaults in the place of variables."""
    return re.sub(r"\$\{\w+(?::-([^}]*))?\}", r"\1", str(text))


def breaches(document: Document) -> list[str]:
    """Every breach; empty for a file that may be shipped."""
    services: dict[str, Document] = document["services"]
    found = [breach for name, service in services.items() for breach in _of_service(name, service, document)]
    return [*found, *_of_networks(document), *_of_secrets(document)]


def _of_service(name: str, service: Document, document: Document) -> Iterator[str]:
    image = plain(service["image"])
    if not re.fullmatch(r"[\w/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", image):
        yield f"{name}: {image} is not pinned to an exact tag"
    if "pull_policy" in service:
        yield f"{name}: pull_policy asks a registry at each start"
    if service.get("read_only") is not True:
        yield f"{name}: the root is not read-only"
    if service.get("cap_drop") != ["ALL"] or "cap_add" in service or service.get("privileged"):
        yield f"{name}: has capabilities"
    if service.get("security_opt") != ["no-new-privileges:true"]:
        yield f"{name}: may gain privileges"
    if service.get("user", "0").split(":")[0] == "0" and name not in ROOT_WITHOUT_CAPABILITIES:
        yield f"{name}: runs as root"
    missing = [key for key in ("mem_limit", "cpus", "pids_limit", "logging") if not service.get(key)]
    if missing:
        yield f"{name}: has no {', '.join(missing)}"
    yield from _of_health(name, service, image)
    yield from _of_ports(name, service)
    yield from _of_mounts(name, service, document)
    for key, value in service.get("environment", {}).items():
        if "PASSWORD" in key and not (key.endswith("_FILE") and value.startswith("/run/secrets/")):
            yield f"{name}: {key} carries a secret"


def _of_health(name: str, service: Document, image: str) -> Iterator[str]:
    check = service.get("healthcheck", {})
    if name in ONE_SHOT:
        if check != {"disable": True} or service.get("restart") != "no":
            yield f"{name}: runs once, so it is neither checked nor restarted"
        return
    if service.get("restart") != "unless-stopped":
        yield f"{name}: is not started again"
    test = check.get("test", [""])
    if test[0] != "CMD" or test[1] != CHECKED_WITH.get(image.split(":")[0]):
        yield f"{name}: {test[:2]} is no health check that {image} can run"
        return
    listens = {word.rpartition(":")[2] for word in map(str, service.get("command", [])) if "listen-address=" in word}
    if test[1] in ("airbag", "wget") and listens - {""} and not any(f":{port}" in test[-1] for port in listens - {""}):
        yield f"{name}: the health check asks another port than {listens}"


def _of_ports(name: str, service: Document) -> Iterator[str]:
    for port in map(plain, service.get("ports", [])):
        if not port.startswith(PUBLISHED.get(name, "nowhere") + ":"):
            yield f"{name}: publishes {port}"
    if name in PUBLISHED and not service.get("ports"):
        yield f"{name}: is not published"
    if service.get("network_mode", "none") != "none":
        yield f"{name}: network_mode {service['network_mode']}"


def _of_mounts(name: str, service: Document, document: Document) -> Iterator[str]:
    mounted = {}
    for text in service.get("volumes", []):
        source, target, *mode = plain(text).split(":")
        mounted[target] = source
        named = not source.startswith((".", "/"))
        if named and source not in document["volumes"]:
            yield f"{name}: volume {source} is not declared"
        if "docker.sock" in source:
            yield f"{name}: holds the engine"
        if target == "/models" and (mode == ["ro"]) == (name in WRITES_MODELS):
            yield f"{name}: {'cannot' if mode else 'can'} write to /models"
        if target != "/models" and not named and mode != ["ro"]:
            yield f"{name}: can write to {source}"
    kept = KEPT.get(name)
    if kept and mounted.get(kept) not in document["volumes"]:
        yield f"{name}: {kept} is lost with the container"
    for other, theirs in document["services"].items():
        if other != name and kept and {other, name} != {"trainer", "story"}:
            shared = [text for text in theirs.get("volumes", []) if plain(text).split(":")[0] == mounted.get(kept)]
            if shared:
                yield f"{name}: shares {mounted[kept]} with {other}"


def _of_networks(document: Document) -> Iterator[str]:
    services: dict[str, Document] = document["services"]
    for name, network in document["networks"].items():
        if name not in OPEN_NETWORKS and (network or {}).get("internal") is not True:
            yield f"network {name}: has a way out"
    options = (document["networks"].get("pages") or {}).get("driver_opts", {})
    if options.get("com.docker.network.bridge.enable_ip_masquerade") != "false":
        yield "network pages: has a way out"
    of = {name: set(service.get("networks", [])) for name, service in services.items()}
    for name, networks in of.items():
        unknown = networks - set(document["networks"])
        if unknown:
            yield f"{name}: network {unknown} is not declared"
        if "pages" in networks and name not in PUBLISHED:
            yield f"{name}: is on pages and publishes nothing"
        if "outside" in networks and not name.startswith("alertmanager"):
            yield f"{name}: has a way out"
        if not networks and services[name].get("network_mode") != "none":
            yield f"{name}: is on the default network"
    pairs = {frozenset((one, other)) for one, others in SPEAKS_TO.items() for other in others}
    for one, other in sorted(map(sorted, pairs)):
        if one in of and other in of and not of[one] & of[other]:
            yield f"{one}: cannot reach {other}"
    yield from _needless(of, pairs)


def _needless(of: dict[str, set[str]], pairs: set[frozenset[str]]) -> Iterator[str]:
    for name, networks in of.items():
        partners = [next(iter(pair - {name})) for pair in pairs if name in pair]
        for network in sorted(networks - OPEN_NETWORKS):
            fewer = networks - {network}
            if all(fewer & of[partner] for partner in partners if partner in of):
                yield f"{name}: has no business on {network}"
    for one, other in combinations(sorted(of), 2):
        strangers = frozenset((one, other)) not in pairs and "tf-serving" in (one, other)
        if strangers and of[one] & of[other]:
            yield f"{one} and {other}: meet without need"


def _of_secrets(document: Document) -> Iterator[str]:
    for name, secret in document["secrets"].items():
        if set(secret) != {"file"} or not str(secret["file"]).startswith("./.airbag/secrets/"):
            yield f"secret {name}: is no file in .airbag/secrets"
    for name, service in document["services"].items():
        unknown = set(service.get("secrets", [])) - set(document["secrets"])
        if unknown:
            yield f"{name}: secret {unknown} is not declared"
