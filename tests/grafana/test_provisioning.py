"""The provisioning files, field by field: a wrong uid or interval shows nowhere until somebody looks at a panel."""

from __future__ import annotations

from typing import Any

import yaml

from airbag.serving.groups import load_servings
from tests.fakes.dashboards import FILES, ROOT

PROVISIONING = ROOT / "grafana" / "provisioning"


def _load(path: str) -> dict[str, Any]:
    return dict(yaml.safe_load((PROVISIONING / path).read_text()))


def test_the_data_sources_are_prometheus_and_alertmanager_with_fixed_uids() -> None:
    settings = load_servings(ROOT / "exporters" / "exporters.yml").rules
    assert _load("datasources/airbag.yml") == {
        "apiVersion": 1,
        "prune": True,
        "datasources": [
            {
                "name": "Prometheus", "uid": "airbag-prometheus", "type": "prometheus", "access": "proxy",
                "url": "http://prometheus:9090", "isDefault": True, "editable": False,
                "jsonData": {
                    "httpMethod": "POST", "timeInterval": settings.pace.interval, "prometheusType": "Prometheus",
                    "manageAlerts": True, "alertmanagerUid": "airbag-alertmanager",
                },
            },
            {
                "name": "Alertmanager", "uid": "airbag-alertmanager", "type": "alertmanager", "access": "proxy",
                "url": "http://alertmanager:9093", "editable": False, "jsonData": {"implementation": "prometheus"},
            },
        ],
    }  # fmt: skip


def test_the_dashboards_come_from_files_that_nobody_can_change_in_the_browser() -> None:
    assert _load("dashboards/airbag.yml") == {
        "apiVersion": 1,
        "providers": [
            {
                "name": "airbag", "orgId": 1, "folder": "Airbag", "folderUid": "airbag", "type": "file",
                "disableDeletion": True, "allowUiUpdates": False, "updateIntervalSeconds": 30,
                "options": {"path": "/etc/grafana/dashboards"},
            }
        ],
    }  # fmt: skip


def test_compose_mounts_what_the_provider_reads_and_opens_the_fleet_first() -> None:
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    assert "./grafana/dashboards:/etc/grafana/dashboards:ro" in grafana["volumes"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.removeprefix("/etc/") in {f"grafana/dashboards/{path.name}" for path in FILES}
    assert home.endswith("/airbag-fleet.json")


def test_alerts_stay_in_prometheus() -> None:
    assert {path.name for path in PROVISIONING.iterdir()} == {"datasources", "dashboards"}
