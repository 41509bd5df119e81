"""Who must reach whom, as the configuration says, and who may, as the network policies say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml

from tests.deploy.kustomized import Cluster, Object
from tests.deploy.references import matches, selected

_NAMED = "app.kubernetes.io/name"


@dataclass(frozen=True)
class End:
    """A pod: one of ours, or one in another namespace that ours speak with."""

    namespace: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()
    namespace_labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, order=True)
class Hop:
    source: str
    target: str
    port: int


def _outside(namespace: str, name: str, **labels: str) -> End:
    wanted = {key.replace("_", "/"): value for key, value in labels.items()}
    own = {_NAMED: name} | wanted
    return End(namespace, f"{namespace}/{name}", tuple(own.items()), tuple(wanted.items()))


OUTSIDE = (
    _outside("monitoring", "prometheus"),
    _outside("monitoring", "alertmanager"),
    _outside("databases", "postgres"),
    _outside("clients", "asks", airbag_asks="tf-serving"),
    _outside("clients", "sends", airbag_sends="predictions"),
    _outside("clients", "stranger"),
    End("kube-system", "kube-system/dns", (("k8s-app", "kube-dns"),)),
    End("airbag", "airbag/stranger"),
)
"""Those elsewhere, and a pod that somebody puts beside ours some day."""

CLIENTS = {Hop("clients/asks", "tf-serving", 8501), Hop("clients/sends", "quality-exporter", 9811)}
"""What no configuration of ours names: those who use the servers, and tell what was answered."""


def ends(cluster: Cluster) -> list[End]:
    return [End("airbag", pod["name"], tuple(pod["metadata"]["labels"].items())) for pod in cluster.pods()] + list(
        OUTSIDE
    )


def allowed(cluster: Cluster) -> set[Hop]:
    """Every hop that the policies let pass, names (DNS) aside."""
    policies = cluster.of("NetworkPolicy")
    numbers = {port for policy in policies for port in _numbers(policy)} - {53}
    everybody = ends(cluster)
    return {
        Hop(source.name, target.name, port)
        for source in everybody
        for target in everybody
        for port in numbers
        if "airbag" in (source.namespace, target.namespace)
        and _passes(policies, "egress", source, target, port)
        and _passes(policies, "ingress", target, source, port)
    }


def resolves_names(cluster: Cluster) -> list[str]:
    """The pods that may ask for names."""
    [dns] = [end for end in OUTSIDE if end.namespace == "kube-system"]
    policies = cluster.of("NetworkPolicy")
    ours = [end for end in ends(cluster) if end not in OUTSIDE]
    return [end.name for end in ours if _passes(policies, "egress", end, dns, 53)]


def _numbers(policy: Object) -> Iterator[int]:
    for way in ("ingress", "egress"):
        for rule in policy["spec"].get(way, []):
            yield from (port["port"] for port in rule["ports"])


def _passes(policies: list[Object], way: str, self: End, other: End, port: int) -> bool:
    """Whether what isolates `self` in this direction lets it speak with `other`; nothing isolates: everything passes.

    Pods of other namespaces are taken as open, but for what we add there.
    """
    isolating = [
        policy["spec"]
        for policy in policies
        if policy["metadata"]["namespace"] == self.namespace
        and way.capitalize() in policy["spec"]["policyTypes"]
        and matches(policy["spec"]["podSelector"].get("matchLabels", {}), dict(self.labels))
    ]
    rules = [rule for spec in isolating for rule in spec.get(way, [])]
    return not isolating or any(
        _is(peer, self, other) and port in {each["port"] for each in rule["ports"]}
        for rule in rules
        for peer in rule["from" if way == "ingress" else "to"]
    )


def _is(peer: Object, self: End, other: End) -> bool:
    space = peer.get("namespaceSelector")
    if space is None:
        near = other.namespace == self.namespace
    else:
        known = {"kubernetes.io/metadata.name": other.namespace} | dict(other.namespace_labels)
        near = matches(space.get("matchLabels", {}), known)
    return near and matches(peer.get("podSelector", {}).get("matchLabels", {}), dict(other.labels))


def wanted(cluster: Cluster) -> set[Hop]:
    """Every hop that the configuration in the cluster names."""
    pairs = [*_exporter(cluster), *_receiver(cluster), *_prometheus(cluster), *_alertmanager(cluster)]
    return {Hop(source, target, port) for source, address in pairs for target, port in resolve(cluster, address)}


def resolve(cluster: Cluster, address: str) -> list[tuple[str, int]]:
    """The pods behind HOST:PORT; none for a name that nobody answers to."""
    host, _, port = address.rpartition(":")
    words = host.split(".")
    services = {each["metadata"]["name"]: each for each in cluster.of("Service")}
    if words[0] not in services and len(words) > 1 and words[1] in services:
        words = words[1:]  # one pod of a headless service
    if words[0] not in services:
        return [(f"{words[1]}/{words[0]}", int(port))] if len(words) > 1 else []
    service = services[words[0]]
    if service["spec"].get("type") == "ExternalName":
        name, namespace = service["spec"]["externalName"].split(".")[:2]
        return [(f"{namespace}/{name.removesuffix('-operated')}", int(port))]
    return [(pod["name"], int(port)) for pod in selected(cluster, service)]


def text(cluster: Cluster, name: str, key: str) -> Any:
    [found] = [
        each for each in cluster.of("ConfigMap") if re.sub(r"-[a-z0-9]{10}$", "", each["metadata"]["name"]) == name
    ]
    return yaml.safe_load(found["data"][key])


def _exporter(cluster: Cluster) -> Iterator[tuple[str, str]]:
    config = text(cluster, "exporters", "exporters.yml")
    for target in (target for group in config["servings"] for target in group["targets"]):
        yield from (("serving-exporter", target["grpc"]), ("serving-exporter", target["rest"]))
        yield "receiver", target["grpc"]
    if "redis" in config["quality"]:
        yield "quality-exporter", urlsplit(config["quality"]["redis"]["url"]).netloc
    yield from (("serving-exporter", urlsplit(url).netloc) for url in config["alerts"]["alertmanager_urls"])


def _receiver(cluster: Cluster) -> Iterator[tuple[str, str]]:
    policy = text(cluster, "policy", "policy.yml")
    for url in (policy["prometheus_url"], *policy["alertmanager_urls"]):
        yield "receiver", urlsplit(url).netloc
    if isinstance(policy["journal"], dict):
        words = dict(word.split("=") for word in policy["journal"]["postgresql"].split())
        yield "receiver", f"{words['host']}:{words['port']}"


def _prometheus(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for monitor in cluster.of("ServiceMonitor"):
        wanted_labels = monitor["spec"]["selector"]["matchLabels"]
        for service in cluster.of("Service"):
            if matches(wanted_labels, service["metadata"].get("labels", {})):
                port = next(each["port"] for each in service["spec"]["ports"])
                yield "monitoring/prometheus", f"{service['metadata']['name']}:{port}"
    if any(pod["name"] == "prometheus" for pod in cluster.pods()):
        for job in text(cluster, "prometheus", "prometheus.yml")["scrape_configs"]:
            [file] = job["file_sd_configs"][0]["files"]
            for group in text(cluster, "targets", file.rpartition("/")[2]):
                yield from (("prometheus", target) for target in group["targets"])


def _alertmanager(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for config in cluster.of("AlertmanagerConfig"):
        for receiver in config["spec"]["receivers"]:
            yield from (
                ("monitoring/alertmanager", urlsplit(hook["url"]).netloc) for hook in receiver["webhookConfigs"]
            )
    if any(pod["name"] == "alertmanager" for pod in cluster.pods()):
        config = text(cluster, "alertmanager", "alertmanager.yml")
        used = {route["receiver"] for route in (config["route"], *config["route"]["routes"])}
        for receiver in config["receivers"]:
            if receiver["name"] in used:
                yield from (
                    ("alertmanager", urlsplit(each["url"]).netloc) for each in receiver.get("webhook_configs", [])
                )
