"""The whole of Airbag on one machine: the shipped configuration files with local addresses, and the processes."""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import requests
import yaml

from airbag.config import check_all, replace_tokens
from airbag.errors import StartError
from airbag.serving.groups import load_servings
from airbag.serving.reader import Reader
from airbag.serving.values import Endpoint
from airbag_demo import binaries
from airbag_demo.ports import addresses
from airbag_demo.processes import Processes, Program
from airbag_demo.shipped import SHIPPED
from airbag_exporters.config import load_exporters
from airbag_exporters.rules import build as rules
from airbag_rollback.config import load_settings

Detection = Literal["rules", "golden", "direct"]
DETECTIONS: tuple[Detection, ...] = get_args(Detection)
"""Prometheus' rules on the traffic alone; golden requests as well; or these told to Alertmanager without Prometheus."""

_FREE_BYTES = 200 * 2**20


@dataclass(frozen=True)
class RemoteServing:
    """A TF Serving of the user's own. Without its `models.config` Airbag can watch it but not roll it back."""

    grpc: str
    model: str
    rest: str | None = None
    models_config: Path | None = None


@dataclass(frozen=True)
class Stack:
    """One stack: the checkout it takes its files from, its run folder, its ports, and how it may see a bad version.

    Without a `profile` the pace is the one that the checkout's exporters.yml and rule files have.
    """

    root: Path
    run: Path
    ports: Mapping[str, int]
    remote: RemoteServing | None = None
    detection: Detection = "direct"
    profile: str | None = None

    @property
    def store(self) -> Path:
        """Where the local model server finds models and `models.config`."""
        return self.run / "models"

    @property
    def config(self) -> Path:
        """The folder of local copies of the shipped files, laid out as in the containers."""
        return self.run / "config"

    @property
    def token_file(self) -> Path:
        """The bearer token that Alertmanager and the receiver share."""
        return self.run / "secrets" / "airbag_webhook_token"

    @property
    def operator_token_file(self) -> Path:
        """The bearer token of people who look at the receiver and give it orders."""
        return self.token_file.with_name("airbag_operator_token")

    def url(self, name: str) -> str:
        """The base address of one process."""
        return f"http://127.0.0.1:{self.ports[name]}"

    @property
    def endpoint(self) -> Endpoint:
        """The model server."""
        if self.remote:
            return Endpoint(self.remote.grpc, self.remote.rest)
        grpc, rest = (f"127.0.0.1:{self.ports[f'tf-serving-{side}']}" for side in ("grpc", "rest"))
        return Endpoint(grpc, rest)

    def file(self, shipped: str) -> Path:
        """The local copy of a shipped file."""
        return self.config / SHIPPED[shipped].removeprefix("/etc/")

    def tokens(self) -> dict[str, str]:
        """What stands in the place of each deployment address and path."""
        paths = {
            "/models": str(self.store),
            "/run/secrets": str(self.token_file.parent),
            "/var/lib/airbag": str(self.run / "airbag"),
            **{f"/etc/{name}": str(self.config / name) for name in ("airbag", "alertmanager", "prometheus", "grafana")},
        }
        return addresses(self.ports) | paths

    def prepare(self) -> None:
        """Fill the run folder: local copies of the shipped files, a token, empty state.

        Calling it again renews the copies and keeps token and state. StartError when the disk is nearly full;
        with a profile also ConfigError, as `check`.
        """
        for folder in ("models", "secrets", "airbag", "logs", "prometheus", "alertmanager"):
            (self.run / folder).mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.run).free
        if free < _FREE_BYTES:
            raise StartError(
                f"only {free // 2**20} MiB are free where {self.run} lies, {_FREE_BYTES // 2**20} are needed. "
                "Make room, or choose another place: --run.dir for airbag up, TMPDIR for airbag demo"
            )
        tokens = self.tokens()
        for shipped in SHIPPED:
            self._copy(self.root / shipped, self.file(shipped), tokens)
        exporters = self.file("exporters/exporters.yml")
        if self.remote:
            exporters.write_text(watching(self.remote, exporters.read_text()))
        if self.detection != "direct":
            exporters.write_text(detecting(self.detection, exporters.read_text()))
        for secret in (self.token_file, self.operator_token_file, self.token_file.with_name("airbag_audit_key")):
            if not secret.exists():
                secret.touch(mode=0o600)
                secret.write_text(secrets.token_urlsafe(32))
        if self.profile:
            exporters.write_text(paced(self.profile, exporters.read_text()))
            self._build_rules()

    def check(self) -> None:
        """ConfigError with every problem in the files that Airbag's own processes read, named as they are shipped."""
        exporters, policy = "exporters/exporters.yml", "alertmanager/policy.yml"
        check_all(
            str(self.root),
            [
                (exporters, lambda: load_exporters(self.file(exporters))),
                (policy, lambda: load_settings(self.file(policy))),
            ],
        )

    def _build_rules(self) -> None:
        """The rule files and the intervals of prometheus.yml for the run folder's own exporters.yml."""
        self.check()
        settings = load_servings(self.file("exporters/exporters.yml")).rules
        built = rules.build(settings, rules.read_written(self.root / "prometheus" / "src"))
        tokens, folder = self.tokens(), self.file("prometheus/rules")
        for name, text in built.items():
            (folder / name).write_text(replace_tokens(text, tokens))
        prometheus = self.file("prometheus/prometheus.yml")
        prometheus.write_text(rules.with_pace(settings, prometheus.read_text()))
        sources = self.file("grafana/provisioning") / "datasources" / "airbag.yml"
        sources.write_text(rules.with_time_interval(settings, sources.read_text()))

    def _copy(self, source: Path, target: Path, tokens: Mapping[str, str]) -> None:
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            for path in source.rglob("*"):
                if path.is_file():
                    self._copy(path, target / path.relative_to(source), tokens)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(replace_tokens(source.read_text(), tokens))

    def programs(self) -> list[Program]:
        """Every process in the order in which data flows; Grafana only when it is installed."""
        found = binaries.need("prometheus", "alertmanager")
        server = [] if self.remote else [self._model_server()]
        grafana = binaries.find("grafana")
        return [
            *server,
            self._airbag("serving-exporter", "exporter", "serving", config="exporters/exporters.yml"),
            self._airbag("quality-exporter", "exporter", "quality", config="exporters/exporters.yml"),
            self._airbag("host-exporter", "exporter", "host", config="exporters/exporters.yml"),
            self._airbag("receiver", "receiver", config="alertmanager/policy.yml"),
            self._airbag("people", "demo", "inbox"),
            self._alertmanager(found["alertmanager"]),
            self._prometheus(found["prometheus"]),
            *([self._grafana(grafana)] if grafana else []),
        ]

    def _answers(self, name: str, path: str = "/-/ready") -> bool:
        return requests.get(self.url(name) + path, timeout=1).status_code == 200

    def _airbag(self, name: str, *command: str, config: str | None = None) -> Program:
        flags = [f"--config.file={self.file(config)}"] if config else []
        return Program(
            name,
            [sys.executable, "-m", "airbag", *command, *flags, f"--web.listen-address=127.0.0.1:{self.ports[name]}"],
            lambda: self._answers(name),
        )

    def _model_server(self) -> Program:
        flags = {
            "port": self.ports["tf-serving-grpc"],
            "rest_api_port": self.ports["tf-serving-rest"],
            "model_config_file": self.store / "models.config",
            "model_config_file_poll_wait_seconds": 5,
            "monitoring_config_file": self.file("exporters/monitoring.config"),
            # Load threads, few quick retries: with the defaults one failing load blocks every switch for five minutes.
            "num_load_threads": 2,
            "num_unload_threads": 2,
            "max_num_load_retries": 2,
            "load_retry_interval_micros": 500_000,
            "allow_version_labels_for_unavailable_models": "true",
            "grpc_max_threads": 64,
        }
        command = [sys.executable, "-m", "airbag", "demo", "model-server"]
        return Program(
            "tf-serving", [*command, *(f"--{key}={value}" for key, value in flags.items())], self._some_model_serves
        )

    def _some_model_serves(self) -> bool:
        with Reader(self.endpoint) as reader:
            return reader.default_version("digits") is not None

    def _alertmanager(self, binary: Path) -> Program:
        command = [
            str(binary),
            f"--config.file={self.file('alertmanager/alertmanager.yml')}",
            f"--storage.path={self.run / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
            f"--web.external-url={self.url('alertmanager')}",  # else links carry the machine's name
            "--cluster.listen-address=",  # without it the first notification waits ten seconds for peers
        ]
        return Program("alertmanager", command, lambda: self._answers("alertmanager"))

    def _prometheus(self, binary: Path) -> Program:
        command = [
            str(binary),
            f"--config.file={self.file('prometheus/prometheus.yml')}",
            f"--storage.tsdb.path={self.run / 'prometheus'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}",
            f"--web.external-url={self.url('prometheus')}",
            "--rules.alert.resend-delay=5s",  # a lost post to Alertmanager is not repeated for a minute by default
        ]
        return Program("prometheus", command, lambda: self._answers("prometheus"))

    def _grafana(self, binary: Path) -> Program:
        home = next((p for p in (Path("/usr/share/grafana"), binary.resolve().parent.parent) if p.is_dir()), binary)
        command = [
            str(binary),
            *(["server"] if binary.name == "grafana" else []),
            f"--homepath={home}",
            f"cfg:default.paths.data={self.run / 'grafana'}",
            f"cfg:default.paths.provisioning={self.file('grafana/provisioning')}",
            f"cfg:default.dashboards.default_home_dashboard_path={self.file('grafana/dashboards')}/airbag-fleet.json",
            "cfg:default.server.http_addr=127.0.0.1",
            f"cfg:default.server.http_port={self.ports['grafana']}",
        ]
        return Program("grafana", command, lambda: self._answers("grafana", "/api/health"))


def watching(remote: RemoteServing, exporters: str) -> str:
    """`exporters.yml` for a server of the user's own: its addresses, its one model, no claim about its quality."""
    document = yaml.safe_load(exporters)
    target = {"name": "tf-serving", "grpc": remote.grpc} | ({"rest": remote.rest} if remote.rest else {})
    [group] = document["servings"]
    expect = {key: value for key, value in group["models"][0]["expect"].items() if key != "accuracy_min"}
    group |= {"targets": [target], "models": [{"name": remote.model, "expect": expect}]}
    group.pop("model_config_file")
    document["host"].pop("processes")  # it may run anywhere, started in any way
    if remote.models_config:
        group["model_config_file"] = str(remote.models_config.absolute())
    return yaml.safe_dump(document, sort_keys=False)


def detecting(by: Detection, exporters: str) -> str:
    """`exporters.yml` with as much of the fast lane as that way of detection has."""
    document = yaml.safe_load(exporters)
    document.pop("alerts", None)
    for model in document["servings"][0]["models"] if by == "rules" else ():
        model.pop("golden", None)
    return yaml.safe_dump(document, sort_keys=False)


def paced(profile: str, exporters: str) -> str:
    """`exporters.yml` with that profile."""
    document = yaml.safe_load(exporters)
    document["rules"] = document.get("rules", {}) | {"profile": profile}
    return yaml.safe_dump(document, sort_keys=False)


@contextmanager
def running(stack: Stack) -> Iterator[Processes]:
    """Start everything, wait until it is ready, and end it all when the block ends."""
    programs = stack.programs()
    with Processes(stack.run / "logs") as processes:
        for program in programs:
            processes.start(program)
        processes.wait_ready()
        yield processes
