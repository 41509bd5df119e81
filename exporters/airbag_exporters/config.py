"""The exporters' configuration, `exporters.yml`: what to watch, and how much to remember about it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airbag.config import Duration, LocalPath, Secret, Section, load, written_as
from airbag.errors import Problem
from airbag.http_config import HttpConfig, TlsConfig, raise_for
from airbag.serving.groups import Module, Name, Ratio, Servings

# A user name or password in an address would show up in messages; `@` is refused for that.
Url = Annotated[str, written_as(r"https?://[^\s@/?#]+(/[^\s@?#]*)?", "http(s)://HOST:PORT without user or query")]


CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}")
"""A container's id, or as much of its beginning as the runtimes show."""


class Limits(Section):
    """What the intake takes. Beyond `in_flight_bytes` of bodies at once it answers 503, which says: later, please.

    A body never takes more than that either, whatever `body_bytes` and `decompressed_bytes` say.

    `events_per_second` bounds what all clients together may send in the long run; beyond it they are told 429.
    """

    body_bytes: Annotated[int, Field(ge=1024)] = 16 << 20
    decompressed_bytes: Annotated[int, Field(ge=1024)] = 64 << 20
    in_flight_bytes: Annotated[int, Field(ge=1024)] = 96 << 20
    events_per_second: Annotated[float, Field(gt=0)] | None = None


class RedisTls(TlsConfig):
    """For rediss://. The library takes the name from the address."""

    @model_validator(mode="after")
    def _has_no_name(self) -> Self:
        if self.server_name is not None:
            raise ValueError("has a `server_name`, which Redis' library cannot check; let `url` name the server so")
        return self


class RedisServer(Section):
    """`url` is redis://HOST:PORT/DB or rediss://..., the password is apart. `tls_config` is for rediss:// only."""

    url: Annotated[str, written_as(r"rediss?://[^\s@/?#]+(/\d+)?", "redis://HOST:PORT/DB, without user or password")]
    username: str | None = None
    password: Secret | None = None
    tls_config: RedisTls | None = None

    @model_validator(mode="after")
    def _encrypts_when_told_how(self) -> Self:
        if self.tls_config and not self.url.startswith("rediss://"):
            raise ValueError("has a `tls_config` and an `url` without TLS; write rediss://")
        return self

    def connection(self) -> dict[str, Any]:  # Any: what the library takes
        """What the library wants to know of it besides time limits. ConfigError when the password cannot be read."""
        found: dict[str, Any] = {"username": self.username, "password": self.password.read() if self.password else None}
        if self.url.startswith("rediss://"):
            tls = self.tls_config or RedisTls()
            files = {"ssl_ca_certs": tls.ca_file, "ssl_certfile": tls.cert_file, "ssl_keyfile": tls.key_file}
            found |= {"ssl_check_hostname": True} | {key: str(path) for key, path in files.items() if path}
        return found

    def problems(self, where: str) -> list[Problem]:
        """All that is wrong with the files."""
        return self.tls_config.problems(f"{where}.tls_config") if self.tls_config else []


class RedisLedger(RedisServer):
    """The join of several replicas."""

    prefix: Annotated[str, written_as(r"[A-Za-z0-9_.:-]{1,60}", "letters, digits, `_`, `.`, `:` or `-`")] = "airbag"


class TailedFile(Section):
    """A file that grows by NDJSON lines, and may be rotated. `path` may end in a pattern such as `*.ndjson`."""

    path: LocalPath
    kind: Literal["predictions", "labels", "pipeline-runs"]


class Streams(RedisServer):
    """Redis Streams: `stream` holds entries with the fields `kind` and `data` (NDJSON), read as consumer `group`."""

    stream: str = "airbag:events"
    group: str = "airbag"


class Aggregate(Section):
    """Where `airbag exporter quality --aggregate` finds the replicas whose counters it adds up, and how often.

    `token` is that of the replicas' intake; `http_config` is for TLS, and for replicas that want a password.
    """

    replicas: Annotated[tuple[Url, ...], Field(min_length=1)]
    interval: Annotated[Duration, Field(ge=1)] = 15.0
    token: Secret | None = None
    http_config: HttpConfig | None = None

    @model_validator(mode="after")
    def _has_one_secret_at_most(self) -> Self:
        if self.token and self.http_config and (self.http_config.basic_auth or self.http_config.authorization):
            raise ValueError("has a `token` and another secret in `http_config`, and a request carries one of them")
        return self


class Quality(Section):
    """The section `quality`. With a `token` every intake path wants it as a bearer token.

    Predictions are remembered for `label_ttl`, at most `pending_max` at a time, those that had their label included:
    their second delivery must not count. `replica` names this process
    among those that share one Redis; two with the same name must never run at once. Without `redis` the join and the
    counters lie in `state_folder`, and without that in memory, which a restart forgets.
    """

    pending_max: Annotated[int, Field(gt=0)] = 1_000_000
    label_ttl: Annotated[Duration, Field(gt=0)] = 86_400.0
    early_label_ttl: Annotated[Duration, Field(ge=0)] = 60.0
    token: Secret | None = None
    state_folder: LocalPath | None = None
    replica: Name = Field(default_factory=socket.gethostname)
    redis: RedisLedger | None = None
    limits: Limits = Limits()
    files: tuple[TailedFile, ...] = ()
    streams: Streams | None = None
    aggregate: Aggregate | None = None
    version_ttl: Annotated[Duration, Field(ge=60)] = 7 * 86_400.0
    role_window: Annotated[Duration, Field(ge=1)] = 3600.0
    series_max: Annotated[int, Field(gt=0)] = 200_000

    @model_validator(mode="after")
    def _reads_no_file_twice(self) -> Self:
        paths = [file.path for file in self.files]
        if len(set(paths)) < len(paths):
            raise ValueError("names a file twice; its lines would be counted by either and by both")
        return self


class Pipeline(Section):
    """A pipeline that feeds the models, and when it is late or fails too often."""

    name: Name
    sync_delay_max: Annotated[Duration, Field(gt=0)] = 300.0
    success_ratio_min: Ratio = 0.95
    tasks: Annotated[tuple[Name, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _names_are_usable(self) -> Self:
        if len(set(self.tasks)) != len(self.tasks):
            raise ValueError("two tasks have the same name")
        if "other" in (self.name, *self.tasks):
            raise ValueError("is called `other` or has a task of that name, which is what unknown ones are called")
        return self


class Alerts(Section):
    """The section `alerts`, the fast lane: what failed goes straight to every Alertmanager, ahead of Prometheus' rules.

    `labels` are the `external_labels` of Prometheus where it has some, so that both alerts are one. `http_config` says
    how to call the Alertmanagers, where they want TLS or a password.
    """

    alertmanager_urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    http_config: HttpConfig | None = None
    labels: Mapping[str, str] = {}


def _is_a_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return text


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_is_a_pattern)]


class WatchedProcess(Section):
    """The process of one target on this machine. What is given must all fit; the oldest process that fits is shown.

    `name` is a regular expression that the whole name of the process fits, `command` one that is looked for in the
    command line, `argument` one of its words exactly. `port` is a TCP port that it listens on, as its own container
    counts. `container` is a container's id, of which twelve digits will do, or its name; `cgroup` a regular expression
    that is looked for in the path of its control group. `pid_file` is for servers that write one. `rss_max` (bytes)
    takes the place of `rss_ratio_max`.
    """

    serving: Name
    target: Name
    name: Pattern | None = None
    command: Pattern | None = None
    argument: Annotated[str, Field(min_length=1)] | None = None
    port: Annotated[int, Field(gt=0, lt=65536)] | None = None
    container: Annotated[str, written_as(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "a container's id or name")] | None = None
    cgroup: Pattern | None = None
    pid_file: LocalPath | None = None
    rss_max: Annotated[int, Field(gt=0)] | None = None

    @property
    def how(self) -> tuple[object, ...]:
        """How it is found."""
        return self.name, self.command, self.argument, self.port, self.container, self.cgroup, self.pid_file

    @model_validator(mode="after")
    def _can_be_found(self) -> Self:
        if not any(self.how):
            raise ValueError(
                "does not say which process it is; give `name`, `command`, `argument`, `port`, `container`, `cgroup` "
                "or `pid_file`"
            )
        return self


class DiskFree(Section):
    """Shares of a disk, of bytes or inodes, that should be free."""

    warning: Ratio = 0.1
    critical: Ratio = 0.03

    @model_validator(mode="after")
    def _warns_first(self) -> Self:
        if self.warning < self.critical:
            raise ValueError("calls somebody before it warns; `warning` should be the larger share")
        return self


class Host(Section):
    """The section `host`: what the host exporter looks at on its machine, and when people are told.

    Ratios are shares in use: resident memory of its limit, the machine's memory, descriptors, memory of a GPU.
    TensorFlow takes nearly all memory of a GPU at its start, so `gpu_memory_ratio_max` has no default.
    `container_socket` is where Docker or Podman is asked for the containers that are given by name.
    """

    processes: Annotated[tuple[WatchedProcess, ...], Field(max_length=100)] = ()
    container_socket: LocalPath | None = None
    disks: Annotated[tuple[LocalPath, ...], Field(max_length=50)] = ()
    rss_ratio_max: Ratio = 0.9
    memory_ratio_max: Ratio = 0.95
    descriptors_ratio_max: Ratio = 0.8
    disk_free_ratio_min: DiskFree = DiskFree()
    gpu_memory_ratio_max: Ratio | None = None

    @model_validator(mode="after")
    def _names_nothing_twice(self) -> Self:
        if len({(each.serving, each.target) for each in self.processes}) < len(self.processes):
            raise ValueError("has two processes for one target")
        if len(set(self.disks)) < len(self.disks):
            raise ValueError("names a disk twice")
        return self

    @model_validator(mode="after")
    def _can_find_containers(self) -> Self:
        for each in self.processes:
            if each.container and not CONTAINER_ID.fullmatch(each.container) and self.container_socket is None:
                raise ValueError(
                    f"has the container `{each.container}`, which is no id (12 to 64 hexadecimal digits), so it is a "
                    "name, and only the runtime knows names: give its socket as `container_socket`, or find the "
                    "process by `cgroup`, `port` or `name`"
                )
        return self


class ProbeModule(Module):
    """How to watch servers that are not listed here but named by whoever scrapes `/probe`: HOST:PORT of gRPC.

    Without `rest_port` there are no native metrics.
    """

    rest_port: Annotated[int, Field(gt=0, lt=65536)] | None = 8501


class ExportersConfig(Servings):
    """The whole file.

    Without `alerts` nothing is sent to anybody. Without `state_folder` the counters start anew with the exporter.
    `modules` are for `/probe`, which watches `probe_targets_max` servers at a time.
    """

    quality: Quality = Quality()
    pipelines: tuple[Pipeline, ...] = ()
    alerts: Alerts | None = None
    host: Host = Host()
    state_folder: LocalPath | None = None
    modules: Mapping[Name, ProbeModule] = {}
    probe_targets_max: Annotated[int, Field(gt=0)] = 100

    @model_validator(mode="after")
    def _pipelines_are_unique(self) -> Self:
        if len({pipeline.name for pipeline in self.pipelines}) != len(self.pipelines):
            raise ValueError("two pipelines have the same name")
        return self

    @model_validator(mode="after")
    def _processes_are_targets(self) -> Self:
        targets = {(group.name, target.name) for group in self.servings for target in group.targets}
        for each in self.host.processes:
            if (each.serving, each.target) not in targets:
                raise ValueError(f"host.processes names {each.serving}/{each.target}, which is none of `servings`")
        return self


Part = Literal["serving", "quality", "aggregate", "host"]


def load_exporters(path: Path, part: Part | None = None) -> ExportersConfig:
    """Read and check the file, and the secrets and certificates that `part` needs; ConfigError lists every problem.

    A process needs no file that only another one uses: what one cannot read, nobody can steal from it.
    """
    config = load(path, ExportersConfig)
    raise_for(str(path), list(_problems(config, part)))
    if part == "quality" and config.quality.token:
        config.quality.token.read()
    return config


def _problems(config: ExportersConfig, part: Part | None) -> Iterator[Problem]:
    quality = config.quality
    if part == "serving":
        yield from config.tls_problems()
        for name, module in config.modules.items():
            yield from module.grpc_tls.problems(f"modules.{name}.grpc_tls") if module.grpc_tls else ()
        if config.alerts and config.alerts.http_config:
            yield from config.alerts.http_config.problems("alerts.http_config")
    elif part == "quality":
        yield from quality.redis.problems("quality.redis") if quality.redis else ()
        yield from quality.streams.problems("quality.streams") if quality.streams else ()
    elif part == "aggregate" and quality.aggregate and quality.aggregate.http_config:
        yield from quality.aggregate.http_config.problems("quality.aggregate.http_config")
