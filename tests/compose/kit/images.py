"""Stand-ins for upstream images, under the upstream names, from Debian's packages.

They are made once, and again when what they are made of has changed. None of them, and nothing built on them, may leave
this machine: they carry its trust store.
"""

from __future__ import annotations

import hashlib
import io
import os
import ssl
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.compose.kit import packages

STANDINS = Path(__file__).parents[1] / "standins"
ROOTFS_IMAGE = "airbag-standin/rootfs:bookworm"
PYTHON = "python:3.11-slim-bookworm"
SERVING = "tensorflow/serving:2.20.0"
GRAFANA = "grafana/grafana:13.2.3"
PROMETHEUS = "prom/prometheus:v2.53.3"
ALERTMANAGER = "prom/alertmanager:v0.28.1"
VICTORIA = "victoriametrics/victoria-metrics:v1.112.0"
SERVERS = {"redis": "redis:7.0.15-bookworm", "postgres": "postgres:15-bookworm", "nginx": "nginx:1.22.1"}

OVERRIDES = {"VICTORIA_METRICS_IMAGE": VICTORIA, "POSTGRES_IMAGE": SERVERS["postgres"], "NGINX_IMAGE": SERVERS["nginx"]}
"""Variables of docker-compose.yml for images whose pinned version Debian does not have: a tag never lies here."""

_LABEL = "airbag.standin.made-of"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LIBRARIES = ("libc.so.6", "libm.so.6", "libresolv.so.2", "libpthread.so.0", "libdl.so.2", "libnss_dns.so.2",
              "libnss_files.so.2")  # fmt: skip


class Images:
    """Makes images with one engine; `env` is that of its client."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = dict(env)

    def make(self, *, servers: bool) -> None:
        """All that docker-compose.yml needs and that nothing of ours is built into first."""
        if self._label(ROOTFS_IMAGE) != (stamp := _stamp(packages.ROOTFS)):
            self._import(ROOTFS_IMAGE, packages.ROOTFS, stamp, ["CMD bash"])
        base = self._made_of(ROOTFS_IMAGE)
        self._build("python.dockerfile", PYTHON, base, self._python_context())
        self._build("grafana.dockerfile", GRAFANA, base, {"busybox": _busybox()})
        for name in ("prometheus", "alertmanager", "victoria-metrics"):
            self._program(name)
        if servers:
            for target, image in SERVERS.items():
                self._build("servers.dockerfile", image, base, {}, target)

    def serving(self, demo: str) -> None:
        """The local model server of the demo's image in the place of TensorFlow Serving."""
        self._build("serving.dockerfile", SERVING, self._made_of(demo), {}, DEMO_IMAGE=demo)

    def size(self, image: str) -> int:
        """Bytes."""
        return int(self._docker("image", "inspect", "--format", "{{.Size}}", image))

    def _made_of(self, image: str) -> str:
        return self._docker("image", "inspect", "--format", "{{.Id}}", image).strip()

    def _python_context(self) -> dict[str, bytes]:
        bundle = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
        settings = ["[global]", "cert = /etc/ssl/certs/ca-certificates.crt", "retries = 5"]
        for key in ("index-url", "extra-index-url", "trusted-host"):
            done = subprocess.run(
                ["pip", "config", "get", f"global.{key}"], capture_output=True, text=True, check=False
            )
            words = [word for word in done.stdout.split() if not word.startswith("file:")]
            settings += [f"{key} = {' '.join(words)}"] if words else []
        certificates = Path(bundle or "/etc/ssl/certs/ca-certificates.crt").read_bytes()
        return {"ca.crt": certificates, "pip.conf": ("\n".join(settings) + "\n").encode()}

    def _build(
        self, dockerfile: str, image: str, base: str, more: Mapping[str, bytes], target: str = "", **arguments: str
    ) -> None:
        files = {path.name: path.read_bytes() for path in STANDINS.iterdir() if path.is_file()} | dict(more)
        made_of = _digest(base, target, *(part for name in sorted(files) for part in (name, files[name])))
        if self._label(image) == made_of:
            return
        with tempfile.TemporaryDirectory() as context:
            for name, content in files.items():
                (Path(context) / name).write_bytes(content)
            options = [f"--label={_LABEL}={made_of}", f"--tag={image}", f"--file={context}/{dockerfile}"]
            options += [f"--target={target}"] if target else []
            options += [f"--build-arg={name}={value}" for name, value in arguments.items()]
            self._docker("build", "--quiet", *options, context)

    def _program(self, name: str) -> None:
        """A busybox system with one Go program in it, as upstream's images are."""
        image, programs, folder, changes = _PROGRAMS[name]
        made_of = _digest(Path(__file__).read_bytes(), *(_stamp(source()) for source in programs.values()))
        if self._label(image) == made_of:
            return
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                _busybox_system(tar)
                for target, source in programs.items():
                    tar.add(source(), arcname=target, recursive=True)
                for path in folder:
                    _folder(tar, path, 0o755, 65534)
            file.flush()
            self._import(image, Path(file.name), made_of, [*changes, "LABEL airbag.standin=debian", f"ENV {_PATH}"])

    def _import(self, image: str, archive: Path, made_of: str, changes: list[str]) -> None:
        options = [f"--change={change}" for change in [*changes, f"LABEL {_LABEL}={made_of}"]]
        self._docker("import", *options, str(archive), image)

    def _label(self, image: str) -> str:
        command = ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{_LABEL}"}}}}', image]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self._env).stdout.strip()

    def _docker(self, *words: str) -> str:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, env=self._env)
        if done.returncode != 0:
            pytest.fail(f"docker {' '.join(words[:2])} failed:\n{done.stdout[-1500:]}{done.stderr[-3000:]}")
        return done.stdout


def _digest(*parts: str | bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part if isinstance(part, bytes) else part.encode())
        whole.update(b"\0")
    return whole.hexdigest()[:16]


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


def _busybox() -> bytes:
    return (packages.unpacked("busybox-static") / "bin/busybox").read_bytes()


def _busybox_system(tar: tarfile.TarFile) -> None:
    for name in (
        "bin",
        "lib",
        "lib64",
        "lib/x86_64-linux-gnu",
        "etc",
        "usr",
        "usr/share",
        "dev",
        "proc",
        "sys",
        "root",
    ):
        _folder(tar, name, 0o755, 0)
    _folder(tar, "tmp", 0o1777, 0)
    binary = packages.unpacked("busybox-static") / "bin/busybox"
    _file(tar, "bin/busybox", binary.read_bytes(), 0o755)
    applets = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            _link(tar, f"bin/{applet}", "busybox")
    libraries = packages.unpacked("libc6") / "lib/x86_64-linux-gnu"
    for name in _LIBRARIES:
        _file(tar, f"lib/x86_64-linux-gnu/{name}", (libraries / name).read_bytes(), 0o755)
    zstd = packages.unpacked("libzstd1") / "usr/lib/x86_64-linux-gnu/libzstd.so.1"
    _file(tar, "lib/x86_64-linux-gnu/libzstd.so.1", zstd.read_bytes(), 0o755)
    _file(tar, "lib64/ld-linux-x86-64.so.2", (libraries / "ld-linux-x86-64.so.2").read_bytes(), 0o755)
    _file(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", 0o644)
    _file(tar, "etc/group", b"root:x:0:\nnobody:x:65534:\n", 0o644)
    _file(tar, "etc/nsswitch.conf", b"hosts: files dns\n", 0o644)


def _folder(tar: tarfile.TarFile, name: str, mode: int, owner: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    tar.addfile(entry)


def _from(package: str, path: str) -> Callable[[], Path]:
    return lambda: packages.unpacked(package) / path


_PROGRAMS: dict[str, tuple[str, dict[str, Callable[[], Path]], tuple[str, ...], list[str]]] = {
    "prometheus": (
        PROMETHEUS,
        {"bin/prometheus": _from("prometheus", "usr/bin/prometheus"),
         "bin/promtool": _from("promtool", "usr/bin/promtool"),
         "usr/share/prometheus/web": _from("prometheus", "usr/share/prometheus/web")},
        ("prometheus",),
        ["USER nobody", "VOLUME /prometheus", "WORKDIR /prometheus", 'ENTRYPOINT ["/bin/prometheus"]'],
    ),
    "alertmanager": (
        ALERTMANAGER,
        {"bin/alertmanager": _from("prometheus-alertmanager", "usr/bin/prometheus-alertmanager"),
         "bin/amtool": _from("prometheus-alertmanager", "usr/bin/amtool"),
         # Debian's program reads its own templates from here, and does not start without.
         "usr/share/prometheus": _from("prometheus-alertmanager", "usr/share/prometheus")},
        ("alertmanager",),
        ["USER nobody", "VOLUME /alertmanager", "WORKDIR /alertmanager", 'ENTRYPOINT ["/bin/alertmanager"]'],
    ),
    # Upstream's image has neither a user nor the folder.
    "victoria-metrics": (
        VICTORIA,
        {"victoria-metrics-prod": _from("victoria-metrics", "usr/bin/victoria-metrics")},
        (),
        ['ENTRYPOINT ["/victoria-metrics-prod"]'],
    ),
}  # fmt: skip
