"""The configuration files of the stack."""

from __future__ import annotations

SHIPPED = {
    "exporters/exporters.yml": "/etc/airbag/exporters.yml",
    "alertmanager/policy.yml": "/etc/airbag/policy.yml",
    "alertmanager/alertmanager.yml": "/etc/alertmanager/alertmanager.yml",
    "alertmanager/templates": "/etc/alertmanager/templates",
    "prometheus/prometheus.yml": "/etc/prometheus/prometheus.yml",
    "prometheus/rules": "/etc/prometheus/rules",
    "prometheus/targets": "/etc/prometheus/targets",
    "grafana/provisioning": "/etc/grafana/provisioning",
    "grafana/dashboards": "/etc/grafana/dashboards",
    "exporters/monitoring.config": "/etc/airbag/monitoring.config",
}
"""Every configuration file of the stack and where docker-compose.yml mounts it."""
