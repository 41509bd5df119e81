"""Every breakage of a manifest that the checks are there for is seen by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy import confinement, hops, references
from tests.deploy.kustomized import Cluster
from tests.deploy.schemas import VERSIONS, complaints
from tests.deploy.test_kubernetes import SECRETS, rendered

Break = Callable[[Cluster], Any]


def pod(cluster: Cluster) -> Any:
    return cluster.get("StatefulSet", "receiver")["spec"]["template"]["spec"]


def container(cluster: Cluster) -> Any:
    return pod(cluster)["containers"][0]


def policy(cluster: Cluster, name: str) -> Any:
    return cluster.get("NetworkPolicy", name)["spec"]


def everything_wrong(cluster: Cluster) -> str:
    """What all checks together say."""
    said = [text for thing in cluster.objects for text in complaints(thing, VERSIONS[-1])]
    said += references.problems(cluster, SECRETS) + confinement.problems(cluster)
    allowed, wanted = hops.allowed(cluster), hops.wanted(cluster) | hops.CLIENTS
    said += [f"may not: {hop}" for hop in sorted(wanted - allowed)]
    said += [f"may: {hop}" for hop in sorted(allowed - wanted)]
    return "\n".join(said)


def service_port(cluster: Cluster) -> Any:
    return cluster.get("Service", "receiver")["spec"]["ports"][0]


def rule(cluster: Cluster, name: str, way: str) -> Any:
    return policy(cluster, name)[way][0]


def monitor(cluster: Cluster) -> Any:
    return cluster.get("ServiceMonitor", "receiver")["spec"]["endpoints"][0]


def forget(cluster: Cluster, kind: str, *names: str) -> None:
    for name in names:
        cluster.objects.remove(cluster.get(kind, name))


def volume(cluster: Cluster, name: str) -> Any:
    [found] = [each for each in pod(cluster)["volumes"] if each["name"] == name]
    return found


BROKEN: dict[str, tuple[str, Break, str]] = {
    "an unknown field": (
        "example", lambda c: container(c).update(livenesProbe={}), "'livenesProbe' was unexpected"),
    "a word for a number": (
        "example", lambda c: c.get("StatefulSet", "receiver")["spec"].update(replicas="one"), "is not of type"),
    "a field the operator does not know": (
        "operator", lambda c: monitor(c).update(intervall="1s"), "intervall is no field"),
    "a value the operator does not take": (
        "operator", lambda c: monitor(c).update(scheme="gopher"), "ServiceMonitor/receiver"),
    "a service of nobody": (
        "example", lambda c: c.get("Service", "receiver")["spec"].update(selector={"app.kubernetes.io/name": "recv"}),
        "Service receiver selects nothing"),
    "another port of the service": (
        "example", lambda c: service_port(c).update(port=9816), "9816 is not the port of receiver"),
    "a port name nobody has": (
        "example", lambda c: service_port(c).update(targetPort="http"), "has no port http"),
    "a monitor of a port nobody has": (
        "operator", lambda c: monitor(c).update(port="http"), "ServiceMonitor receiver: no port http"),
    "a secret that nobody makes": (
        "example", lambda c: volume(c, "secrets")["projected"]["sources"][1]["secret"].update(name="airbag-secrets"),
        "no secret airbag-secrets"),
    "a secret that is not mounted": (
        "example", lambda c: volume(c, "secrets")["projected"]["sources"].pop(0),
        "/run/secrets/airbag_webhook_token is not mounted in receiver"),
    "a configuration that is not there": (
        "example", lambda c: volume(c, "config")["projected"]["sources"].pop(0),
        "/etc/airbag/exporters.yml is not mounted in receiver"),
    "a claim that is not there": (
        "example", lambda c: forget(c, "PersistentVolumeClaim", "models"), "receiver: no claim models"),
    "an account that is not there": (
        "example", lambda c: forget(c, "ServiceAccount", "receiver"), "receiver has no account"),
    "a privileged container": (
        "example", lambda c: container(c)["securityContext"].update(privileged=True), "may gain privileges"),
    "a writable image": (
        "example", lambda c: container(c)["securityContext"].update(readOnlyRootFilesystem=False), "may write to its"),
    "kept capabilities": (
        "example", lambda c: container(c)["securityContext"].pop("capabilities"), "keeps capabilities"),
    "root": (
        "example", lambda c: pod(c)["securityContext"].update(runAsUser=0), "receiver may be root"),
    "no seccomp profile": (
        "example", lambda c: pod(c)["securityContext"].pop("seccompProfile"), "has no seccomp profile"),
    "a missing probe": (
        "example", lambda c: container(c).pop("readinessProbe"), "has no readinessProbe"),
    "a probe of another port": (
        "example", lambda c: container(c)["livenessProbe"]["httpGet"].update(port="http"), "asks at no port of it"),
    "no limit": (
        "example", lambda c: container(c)["resources"].pop("limits"), "does not say what it takes"),
    "the newest image": (
        "example", lambda c: container(c).update(image="tfs-airbag:latest"), "is not pinned"),
    "a token of the cluster": (
        "example", lambda c: c.get("ServiceAccount", "receiver").update(automountServiceAccountToken=True),
        "hands out tokens"),
    "models that the receiver cannot write": (
        "example", lambda c: container(c)["volumeMounts"][2].update(readOnly=True), "the wrong way"),
    "no policy that denies": (
        "example", lambda c: forget(c, "NetworkPolicy", "nothing-else"),
        "may: Hop(source='clients/stranger', target='airbag/stranger', port=8500)"),
    "a receiver that Alertmanager cannot reach": (
        "example", lambda c: rule(c, "receiver", "ingress")["ports"][0].update(port=9816),
        "may not: Hop(source='alertmanager', target='receiver', port=9815)"),
    "a receiver that cannot ask Prometheus": (
        "example", lambda c: policy(c, "receiver")["egress"].pop(1),
        "may not: Hop(source='receiver', target='prometheus', port=9090)"),
    "everybody at the port that takes orders": (
        "example", lambda c: rule(c, "tf-serving", "ingress")["from"].append({"namespaceSelector": {}}),
        "may: Hop(source='clients/stranger', target='tf-serving', port=8500)"),
    "an operator that is not let in": (
        "operator", lambda c: forget(c, "NetworkPolicy", "receiver-to-monitoring"),
        "may not: Hop(source='monitoring/alertmanager', target='receiver', port=9815)"),
    "a Redis that is open to all": (
        "ha", lambda c: forget(c, "NetworkPolicy", "redis", "nothing-else"),
        "may: Hop(source='clients/stranger', target='redis', port=6379)"),
    "a database that is not reached": (
        "ha", lambda c: forget(c, "NetworkPolicy", "receiver-to-postgresql"),
        "may not: Hop(source='receiver', target='databases/postgres', port=5432)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_breakage_is_seen(name: str) -> None:
    overlay, breaks, said = BROKEN[name]
    cluster = rendered(overlay).copy()
    breaks(cluster)
    assert said in everything_wrong(cluster)


def test_what_is_whole_is_called_so() -> None:
    assert everything_wrong(rendered("example").copy()) == ""
