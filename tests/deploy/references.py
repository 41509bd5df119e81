"""What objects say of each other: selectors, ports, keys, claims, accounts, and the paths inside configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.deploy.kustomized import Cluster, Object

_PATHS = re.compile(r"(?<![\w.:/-])/(?:models|etc|run|var|prometheus|alertmanager)(?:/[\w*.-]+)*")
_STATE = {"serving-exporter": "/var/lib/airbag/exporter", "quality-exporter": "/var/lib/airbag/quality"}
"""All exporters read one exporters.yml, in which each has a folder of its own; the receiver uses neither."""


def problems(cluster: Cluster, secrets: dict[str, set[str]]) -> list[str]:
    """Every reference that leads nowhere. `secrets` are those that the page has made beforehand, with their keys."""
    return [
        *_services(cluster), *_monitors(cluster), *_accounts(cluster), *_volumes(cluster, secrets),
        *_alert_secrets(cluster, secrets), *_paths(cluster, secrets),
    ]  # fmt: skip


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def ports(pod: Object) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"] for container in pod["spec"]["containers"] for port in container["ports"]
    }


def selected(cluster: Cluster, service: Object) -> list[Object]:
    selector = service["spec"].get("selector")
    return [pod for pod in cluster.pods() if selector and matches(selector, pod["metadata"]["labels"])]


def _services(cluster: Cluster) -> Iterator[str]:
    for service in cluster.of("Service"):
        if service["spec"].get("type") == "ExternalName":
            continue
        name, pods = service["metadata"]["name"], selected(cluster, service)
        if not pods:
            yield f"Service {name} selects nothing"
        for port in service["spec"]["ports"]:
            for pod in pods:
                if port["targetPort"] not in ports(pod):
                    yield f"Service {name}: {pod['name']} has no port {port['targetPort']}"
                elif ports(pod)[port["targetPort"]] != port["port"]:
                    yield f"Service {name}: {port['port']} is not the port of {pod['name']}"
    names = {service["metadata"]["name"] for service in cluster.of("Service")}
    for workload in cluster.of("Deployment", "StatefulSet"):
        name, spec = workload["metadata"]["name"], workload["spec"]
        if not matches(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"]):
            yield f"{name} does not select its own pods"
        if spec.get("serviceName", name) not in names:
            yield f"StatefulSet {name} has no Service {spec['serviceName']}"
    for budget in cluster.of("PodDisruptionBudget"):
        if not any(matches(budget["spec"]["selector"]["matchLabels"], p["metadata"]["labels"]) for p in cluster.pods()):
            yield f"PodDisruptionBudget {budget['metadata']['name']} selects nothing"


def _monitors(cluster: Cluster) -> Iterator[str]:
    for monitor in cluster.of("ServiceMonitor"):
        spec, name = monitor["spec"], monitor["metadata"]["name"]
        if "namespaceSelector" in spec:
            continue
        wanted = spec["selector"]["matchLabels"]
        services = [each for each in cluster.of("Service") if matches(wanted, each["metadata"].get("labels", {}))]
        if not services:
            yield f"ServiceMonitor {name} selects nothing"
        for service in services:
            known = {port["name"] for port in service["spec"]["ports"]}
            for endpoint in spec["endpoints"]:
                if endpoint["port"] not in known:
                    yield f"ServiceMonitor {name}: no port {endpoint['port']}"


def _accounts(cluster: Cluster) -> Iterator[str]:
    accounts = {each["metadata"]["name"] for each in cluster.of("ServiceAccount")}
    for pod in cluster.pods():
        if pod["spec"].get("serviceAccountName") not in accounts:
            yield f"{pod['name']} has no account"


def _files(cluster: Cluster, volume: Object, secrets: dict[str, set[str]]) -> tuple[dict[str, str], list[str]]:
    """The files of a volume with their text ("" for secrets), and what is missing."""
    files: dict[str, str] = {}
    missing: list[str] = []
    parts = [part for each in volume.get("projected", {}).get("sources", []) for part in each.items()]
    parts += [(kind, volume[kind]) for kind in ("configMap", "secret") if kind in volume]
    texts = {each["metadata"]["name"]: each["data"] for each in cluster.of("ConfigMap")}
    for kind, source in parts:
        name = source.get("name", source.get("secretName"))
        known = (
            texts.get(name) if kind == "configMap" else dict.fromkeys(secrets[name], "") if name in secrets else None
        )
        if known is None:
            if not source.get("optional"):
                missing.append(f"no {kind} {name}")
            known = {}
        for item in source.get("items", [{"key": key, "path": key} for key in known]):
            if item["key"] in known or source.get("optional"):
                files[item["path"]] = known.get(item["key"], "")
            else:
                missing.append(f"{kind} {name} has no key {item['key']}")
    return files, missing


def _volumes(cluster: Cluster, secrets: dict[str, set[str]]) -> Iterator[str]:
    claims = {each["metadata"]["name"] for each in cluster.of("PersistentVolumeClaim")}
    for pod in cluster.pods():
        volumes = volumes_of(pod)
        for volume in volumes.values():
            yield from (f"{pod['name']}: {text}" for text in _files(cluster, volume, secrets)[1])
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield f"{pod['name']}: no claim {claim}"
        for container in pod["spec"]["containers"]:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{pod['name']}: no volume {mount['name']}"
                elif "subPath" in mount and mount["subPath"] not in _files(cluster, volumes[mount["name"]], secrets)[0]:
                    yield f"{pod['name']}: no file {mount['subPath']}"


def volumes_of(pod: Object) -> dict[str, Object]:
    templates = pod["workload"]["spec"].get("volumeClaimTemplates", [])
    own = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
    return own | {each["metadata"]["name"]: {} for each in templates}


def mounted(cluster: Cluster, pod: Object, container: Object, secrets: dict[str, set[str]]) -> dict[str, str | None]:
    """Every path that the container sees: of files the text, of folders that anything may lie in None."""
    seen: dict[str, str | None] = {}
    for mount in container.get("volumeMounts", []):
        volume = volumes_of(pod).get(mount["name"], {})
        files, _ = _files(cluster, volume, secrets)
        if "subPath" in mount:
            seen[mount["mountPath"]] = files.get(mount["subPath"])
        elif files:
            seen |= {f"{mount['mountPath']}/{path}": text for path, text in files.items()}
        else:
            seen[mount["mountPath"]] = None
    return seen


def _paths(cluster: Cluster, secrets: dict[str, set[str]]) -> Iterator[str]:
    for pod, container in cluster.containers():
        seen = mounted(cluster, pod, container, secrets)
        texts = [text for text in seen.values() if text] + container.get("args", [])
        code = "\n".join(line.partition("#")[0] for text in texts for line in text.splitlines())
        own = _STATE.get(container["name"])
        for path in sorted(set(_PATHS.findall(code)) - {other for other in _STATE.values() if other != own}):
            if not _exists(path, seen):
                yield f"{pod['name']}: {path} is not mounted in {container['name']}"


def _exists(path: str, seen: dict[str, str | None]) -> bool:
    if path in seen or any(text is None and f"{path}/".startswith(f"{place}/") for place, text in seen.items()):
        return True
    start = path.split("*")[0]
    return "*" in path and any(place.startswith(start) for place in seen)


def _alert_secrets(cluster: Cluster, secrets: dict[str, set[str]]) -> Iterator[str]:
    for config in cluster.of("AlertmanagerConfig"):
        for receiver in config["spec"]["receivers"]:
            for webhook in receiver["webhookConfigs"]:
                wanted = webhook["httpConfig"]["authorization"]["credentials"]
                if wanted["key"] not in secrets.get(wanted["name"], set()):
                    yield f"AlertmanagerConfig {config['metadata']['name']}: no secret {wanted['name']}/{wanted['key']}"
