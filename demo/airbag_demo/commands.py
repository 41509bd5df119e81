"""`airbag demo` and `airbag up`."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import click
from rich.console import Console

from airbag.errors import StartError
from airbag.http import Address
from airbag.process import AddressType, log_options
from airbag.rules import PROFILES
from airbag.serving.groups import HOST_PORT
from airbag_demo import story
from airbag_demo.binaries import need_tensorflow
from airbag_demo.place import Containers
from airbag_demo.ports import STANDARD, check_free, free_ports
from airbag_demo.releases import MODEL, found_in, trained, trained_in
from airbag_demo.report import Report, write
from airbag_demo.shipped import SHIPPED
from airbag_demo.stack import DETECTIONS, Detection, RemoteServing, Stack, running
from airbag_demo.view import View, summary, timeline

_root_option = click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), default=".",
    help="The checkout whose configuration files are used.  [default: the current folder]",
)  # fmt: skip
_profile_option = click.option(
    "--profile", type=click.Choice(list(PROFILES)),
    help="How fast a rollback is decided.  [default: what exporters.yml says]",
)  # fmt: skip


def _ports_option(default: str) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option(
        "--ports", "choice", type=click.Choice(["standard", "free"]), default=default, show_default=True,
        help="Listen on the documented ports, or on free ones.",
    )  # fmt: skip


@contextlib.contextmanager
def _ports(choice: str) -> Iterator[dict[str, int]]:
    if choice == "free":
        with free_ports() as ports:
            yield ports
    else:
        yield dict(STANDARD)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind as Ctrl-C does, so that every child is ended. What nohup ignores stays ignored."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _checkout(root: Path) -> Path:
    missing = [shipped for shipped in SHIPPED if not (root / shipped).exists()]
    if missing:
        raise StartError(f"{root.absolute()} is no checkout of Airbag ({missing[0]} is missing); run this in one")
    return root.absolute()


def _fault_option(faults: Sequence[str]) -> Callable[[click.decorators.FC], click.decorators.FC]:
    return click.option("--fault", type=click.Choice(faults), default="accuracy", show_default=True,
                        help="What is wrong with version 3.")  # fmt: skip


_report_option = click.option(
    "--report", "report_file", type=click.Path(path_type=Path, dir_okay=False),
    help="Write what was measured to this JSON file.",
)  # fmt: skip
_releases_option = click.option(
    "--releases", type=click.Path(path_type=Path, file_okay=False), default="/releases", show_default=True,
    help="Where the trained releases are kept.",
)  # fmt: skip


@click.group(invoke_without_command=True)
@_fault_option([*story.FAULTS, "all"])
@click.option("--detection", type=click.Choice(DETECTIONS), default="rules", show_default=True,
              help="What may see it: rules on the traffic, golden requests too, or these told directly.")  # fmt: skip
@_report_option
@click.option("--keep", is_flag=True, help="Keep the run folder with logs, journal and configuration.")
@_profile_option
@_ports_option("free")
@_root_option
@click.pass_context
def demo(
    ctx: click.Context, fault: str, detection: Detection, report_file: Path | None, keep: bool,
    profile: str | None, choice: str, root: Path,
) -> None:  # fmt: skip
    """Release a bad model and watch the stack roll it back; exit 0 only if it did all that it promises."""
    if ctx.invoked_subcommand is not None:
        return
    if report_file and not report_file.absolute().parent.is_dir():
        raise StartError(f"--report: the folder {report_file.absolute().parent} does not exist")
    console = Console(soft_wrap=True, highlight=False)
    faults = story.FAULTS if fault == "all" else (fault,)
    with _ended_by_signals():
        try:
            reports = [_one(each, detection, profile, _checkout(root), choice, keep, console) for each in faults]
        except KeyboardInterrupt:
            console.print("ended; no process is left behind")
            ctx.exit(130)
    if report_file:
        write(reports, report_file)
    ctx.exit(0 if all(each.passed for each in reports) else 1)


def _one(
    fault: str, detection: Detection, profile: str | None, root: Path, choice: str, keep: bool, console: Console
) -> Report:  # fmt: skip
    releases = trained(root, console.print)
    run = Path(tempfile.mkdtemp(prefix=f"airbag-demo-{fault}-"))
    with _ports(choice) as ports:
        stack = Stack(root, run, ports, detection=detection, profile=profile)
        _start_checked(stack)
        story.fill_store(stack, releases)
        console.rule(f"fault: {fault}")
        console.print("Starting the model server, the exporters, the receiver, Alertmanager and Prometheus.")
        with (
            running(stack) as processes,
            story.traffic(stack, releases) as client,
            View(stack, f"Airbag demo: {fault}", console) as view,
        ):
            console.print(f"Prometheus {stack.url('prometheus')}  receiver {stack.url('receiver')}")
            result = story.tell(fault, stack, processes.check, releases, client, story.Watch(view.stage, view.tick))
    console.print(timeline(result))
    console.print(summary(result))
    if result.passed and not keep:
        shutil.rmtree(run)
    else:
        console.print(f"Logs, journal and configuration of this run: {run}")
    return result


def _start_checked(stack: Stack) -> None:
    ports = dict(stack.ports)
    if stack.remote:
        ports = {name: port for name, port in ports.items() if not name.startswith("tf-serving")}
    check_free(ports)
    stack.prepare()
    stack.check()


@demo.command("model-server", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def model_server(ctx: click.Context, flags: tuple[str, ...]) -> None:
    """Run the local model server, which stands in for TensorFlow Serving; --help lists its flags."""
    need_tensorflow()
    from airbag_demo.model_server.main import run

    ctx.exit(run(flags))


@demo.command("prepare")
@_releases_option
@click.option("--models", "store", type=click.Path(path_type=Path, file_okay=False, exists=True), default="/models",
              show_default=True, help="The model store to put versions 1 and 2 into.")  # fmt: skip
def prepare(releases: Path, store: Path) -> None:
    """Train the demo's releases and fill a model store, both once. What runs before TF Serving in the containers."""
    story.fill_store(Containers(store), trained_in(releases, click.echo))
    click.echo(f"{store} serves versions 1 and {story.GOOD} of {MODEL}")


@demo.command("story")
@_releases_option
@_fault_option(story.FAULTS)
@_report_option
@click.pass_context
def in_containers(ctx: click.Context, releases: Path, fault: str, report_file: Path | None) -> None:
    """Tell the story of `airbag demo` from inside the containers of docker-compose.yml."""
    console = Console(soft_wrap=True, highlight=False)
    with _ended_by_signals():
        try:
            result = _watched(Containers(), fault, found_in(releases), console)
        except KeyboardInterrupt:
            console.print("ended; the containers run on")
            ctx.exit(130)
    if report_file:
        write([result], report_file)
    ctx.exit(0 if result.passed else 1)


def _watched(place: Containers, fault: str, releases: Path, console: Console) -> Report:
    if (place.store / MODEL / str(story.BAD)).exists():
        raise StartError(
            f"version {story.BAD} of {MODEL} was released here before. Begin anew: "
            "docker compose --profile demo down --volumes, and empty the model store"
        )
    console.rule(f"fault: {fault}")
    with story.traffic(place, releases) as client, View(place, f"Airbag demo: {fault}", console) as view:
        result = story.tell(fault, place, lambda: None, releases, client, story.Watch(view.stage, view.tick))
    console.print(timeline(result))
    console.print(summary(result))
    return result


@demo.command("inbox")
@click.option("--web.listen-address", "listen_address", type=AddressType(), default=":9820", show_default=True)
@log_options
def inbox(listen_address: Address) -> None:
    """Run the people's channel: prints what Alertmanager would tell a person."""
    from airbag_demo.inbox import run

    run(listen_address)


@click.command()
@click.option("--tf-serving.grpc", "grpc", metavar="HOST:PORT", help="Watch this TF Serving instead of a local one.")
@click.option("--tf-serving.rest", "rest", metavar="HOST:PORT", help="Its REST side, for its metrics.")
@click.option("--tf-serving.model", "model", help="The model to watch there.")
@click.option("--tf-serving.models-config", "models_config", type=click.Path(path_type=Path, exists=True),
              help="Its models.config as seen from here; without it nothing can be rolled back.")  # fmt: skip
@click.option("--run.dir", "run_dir", type=click.Path(path_type=Path, file_okay=False), default=".airbag/up",
              show_default=True, help="Where state, logs and local configuration are kept.")  # fmt: skip
@click.option("--traffic/--no-traffic", default=True, show_default=True, help="Replay rows against the local server.")
@_profile_option
@_ports_option("standard")
@_root_option
def up(
    grpc: str | None, rest: str | None, model: str | None, models_config: Path | None,
    run_dir: Path, traffic: bool, profile: str | None, choice: str, root: Path,
) -> None:  # fmt: skip
    """Run the whole stack on this machine until Ctrl-C, against a local model server or a TF Serving you name."""
    root = _checkout(root)
    remote = _remote(grpc, rest, model, models_config)
    console = Console(soft_wrap=True, highlight=False)
    with _ended_by_signals(), _ports(choice) as ports:
        stack = Stack(root, run_dir.absolute(), ports, remote, profile=profile)
        try:
            _run_up(stack, traffic and remote is None, console)
        except KeyboardInterrupt:
            console.print("stopped; no process is left behind")


def _run_up(stack: Stack, with_traffic: bool, console: Console) -> None:
    releases = None if stack.remote else trained(stack.root, console.print)
    _start_checked(stack)
    if releases:
        story.fill_store(stack, releases)
    console.print("Starting.")
    with contextlib.ExitStack() as ending:
        processes = ending.enter_context(running(stack))
        if releases and with_traffic:
            ending.enter_context(story.traffic(stack, releases))
        for line in _addresses(stack):
            console.print(line)
        while True:
            processes.check()
            time.sleep(0.5)


def _addresses(stack: Stack) -> Iterator[str]:
    yield f"TF Serving         gRPC {stack.endpoint.grpc}, REST {stack.endpoint.rest}"
    exporters = ("serving-exporter", "quality-exporter", "host-exporter")
    for name in (*exporters, "receiver", "people", "alertmanager", "prometheus"):
        yield f"{name:18} {stack.url(name)}"
    yield f"configuration      {stack.config}"
    yield f"logs               {stack.run / 'logs'}"
    if not stack.remote:
        policy = stack.file("alertmanager/policy.yml")
        yield f"model store        {stack.store / MODEL}"
        yield f"release a version: airbag release --config.file={policy} {MODEL} 3"
    yield "Ctrl-C stops everything."


def _remote(grpc: str | None, rest: str | None, model: str | None, models_config: Path | None) -> RemoteServing | None:
    if not grpc:
        if rest or model or models_config:
            raise click.UsageError("--tf-serving.rest, .model and .models-config go with --tf-serving.grpc")
        return None
    if not model:
        raise click.UsageError("--tf-serving.grpc needs --tf-serving.model")
    for address in (grpc, rest):
        if address and not re.fullmatch(HOST_PORT, address):
            raise click.UsageError(f"{address!r} is not HOST:PORT")
    return RemoteServing(grpc, model, rest, models_config)
