"""What every pod must say about itself: who it is, what it may, what it takes, how it is watched, which image it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.deploy.kustomized import Cluster, Object

_PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+\.\d+(-[a-z]+)?")
_BESIDE = {"host-exporter"}
"""Not asked whether it is ready, as that would take the server in the same pod out of service."""


def problems(cluster: Cluster) -> list[str]:
    return [*_pods(cluster), *_containers(cluster), *_who_writes_models(cluster)]


def _pods(cluster: Cluster) -> Iterator[str]:
    accounts = {each["metadata"]["name"]: each for each in cluster.of("ServiceAccount")}
    for pod in cluster.pods():
        spec, name = pod["spec"], pod["name"]
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name} may be root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name} gets a token"
        if accounts.get(spec.get("serviceAccountName"), {}).get("automountServiceAccountToken") is not False:
            yield f"{name}: its account hands out tokens"
        if any(spec.get(key) for key in ("hostPID", "hostNetwork", "hostIPC")):
            yield f"{name} shares the node's namespaces"
        if any("hostPath" in volume for volume in spec.get("volumes", [])):
            yield f"{name} mounts a folder of the node"


def _containers(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.containers():
        where = f"{pod['name']}/{container['name']}"
        yield from (f"{where} {text}" for text in _may(container.get("securityContext", {})))
        if not _PINNED.fullmatch(container["image"]):
            yield f"{where}: image {container['image']} is not pinned"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or {"cpu", "memory"} - set(resources.get("requests", {})):
            yield f"{where} does not say what it takes"
        wanted = {"startupProbe", "livenessProbe"} | (
            {"readinessProbe"} - ({"readinessProbe"} if where.split("/")[1] in _BESIDE else set())
        )
        named = {port["name"] for port in container["ports"]}
        for probe in sorted(wanted):
            if probe not in container:
                yield f"{where} has no {probe}"
            elif not {where_asked["port"] for where_asked in container[probe].values() if _asks(where_asked)} <= named:
                yield f"{where}: {probe} asks at no port of it"


def _asks(part: object) -> bool:
    """Whether this part of a probe names a port."""
    return isinstance(part, dict) and "port" in part


def _may(context: Object) -> Iterator[str]:
    if context.get("privileged") or context.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "may write to its image"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"


def _who_writes_models(cluster: Cluster) -> Iterator[str]:
    for pod, container in cluster.containers():
        for mount in container.get("volumeMounts", []):
            if mount["name"] == "models" and (mount.get("readOnly") is True) == (container["name"] == "receiver"):
                yield f"{pod['name']}/{container['name']} has the model store the wrong way"
