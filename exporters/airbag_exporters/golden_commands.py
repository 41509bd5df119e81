"""`airbag golden`: write golden requests from what a version answers, and ask them by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from airbag.clock import SystemClock
from airbag.errors import StartError
from airbag.http_config import raise_for
from airbag.serving.groups import ServingGroup, Target
from airbag.serving.model_config import ModelConfigFile
from airbag.serving.proto import tfs_pb2
from airbag.serving.reader import Reader
from airbag_exporters.config import ExportersConfig, load_exporters
from airbag_exporters.serving.golden.ask import Asker, Outcome, build
from airbag_exporters.serving.golden.compare import ATOL, RTOL
from airbag_exporters.serving.golden.file import BESIDE_A_VERSION, Inputs, load_golden, load_inputs
from airbag_exporters.serving.golden.tensors import decode, is_float
from airbag_exporters.serving.golden.values import Values
from airbag_exporters.serving.own_requests import OwnRequests

_TIMEOUT = 10.0
_COMMON = (
    click.argument("model"),
    click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="exporters/exporters.yml",
                 show_default=True, help="Where the servers stand."),
    click.option("--serving", help="The group of servers.  [default: the only one]"),
    click.option("--target", help="The server of that group.  [default: the first one]"),
    click.option("--version", type=int, help="The version.  [default: the one that answers by default]"),
)  # fmt: skip


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group()
def golden() -> None:
    """Golden requests: inputs with known answers, asked of every version that is released."""


@golden.command()
@_common
@click.option("--inputs", type=click.Path(path_type=Path), required=True,
              help='What to ask: {"requests": [{"name": ..., "inputs": {...}}]}; a golden file will do.')  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The golden file to write.")
@click.option("--argmax", multiple=True, metavar="OUTPUT", help="Keep only the class of this output, not its values.")
@click.option("--atol", type=click.FloatRange(min=0), default=ATOL, show_default=True,
              help="Absolute tolerance of floating-point outputs.")  # fmt: skip
@click.option("--rtol", type=click.FloatRange(min=0), default=RTOL, show_default=True,
              help="Relative tolerance of floating-point outputs.")  # fmt: skip
def record(
    model: str, config_file: Path, serving: str | None, target: str | None, version: int | None,
    inputs: Path, output: Path, argmax: tuple[str, ...], atol: float, rtol: float,
) -> None:  # fmt: skip
    """Ask a version that is known to be good, and write its answers as the expected ones."""
    group, server = _server(_config(config_file), serving, target)
    asked = load_inputs(inputs)
    with Reader(group.endpoint(server)) as reader:
        number = _version(reader, model, version)
        signatures = reader.signatures(model, number, _TIMEOUT)
        requests = [_recorded(reader, model, number, each, signatures, argmax, (atol, rtol)) for each in asked]
    _write(requests, output)
    click.echo(f"{output}: {len(requests)} requests as version {number} of {model} on {group.name} answers them")


@golden.command()
@_common
@click.option("--file", type=click.Path(path_type=Path),
              help="The golden file.  [default: the one beside the version, else the configured one]")  # fmt: skip
@click.pass_context
def ask(
    ctx: click.Context, model: str, config_file: Path, serving: str | None, target: str | None, version: int | None,
    file: Path | None,
) -> None:  # fmt: skip
    """Ask a version its golden requests now; exit 1 when one is not answered right."""
    group, server = _server(_config(config_file), serving, target)
    with Reader(group.endpoint(server)) as reader:
        number = _version(reader, model, version)
        requests = load_golden(file or _file(group, model, number))
        signatures = reader.signatures(model, number, _TIMEOUT)
        asker = Asker(reader, OwnRequests(), SystemClock())
        results = [(each, asker.ask(model, number, each, signatures, _TIMEOUT)) for each in requests]
    click.echo(f"version {number} of {model} on {group.name}, {server.name}")
    for request, result in results:
        text = f": {result.text}" if result.text else ""
        click.echo(f"{request.name:20} {result.outcome:10} {result.seconds * 1000:6.1f} ms{text}")
    ctx.exit(0 if all(result.outcome is Outcome.RIGHT for _, result in results) else 1)


def _config(path: Path) -> ExportersConfig:
    config = load_exporters(path)
    raise_for(str(path), config.tls_problems())
    return config


def _server(config: ExportersConfig, serving: str | None, target: str | None) -> tuple[ServingGroup, Target]:
    names = [group.name for group in config.servings]
    if serving is None and len(names) > 1:
        raise click.UsageError(f"say which one with --serving: {', '.join(names)}")
    group = config.group(serving or names[0])
    if group is None:
        raise click.UsageError(f"no serving {serving!r} in the configuration, only {', '.join(names)}")
    found = next((each for each in group.targets if target in (None, each.name)), None)
    if found is None:
        raise click.UsageError(
            f"{group.name} has no target {target!r}, only {', '.join(t.name for t in group.targets)}"
        )
    return group, found


def _version(reader: Reader, model: str, version: int | None) -> int:
    found = reader.default_version(model, _TIMEOUT) if version is None else version
    if found is None:
        raise StartError(f"no version of {model!r} serves at {reader.endpoint.grpc}; look with airbag status")
    return found


def _file(group: ServingGroup, model: str, version: int) -> Path:
    if group.model_config_file:
        base = Path(ModelConfigFile(group.model_config_file).read().model(model).base_path)
        if (beside := base / str(version) / BESIDE_A_VERSION).is_file():
            return beside
    entry = group.model(model)
    if entry and entry.golden and entry.golden.file:
        return entry.golden.file
    raise StartError(
        f"version {version} of {model!r} brings no {BESIDE_A_VERSION} and the configuration names no golden file for "
        "it; give one with --file, or write one with airbag golden record"
    )


def _recorded(
    reader: Reader, model: str, version: int, asked: Inputs, signatures: tfs_pb2.SignatureDefMap,
    argmax: tuple[str, ...], tolerance: tuple[float, float],
) -> dict[str, object]:  # fmt: skip
    try:
        ready = build(model, version, asked, signatures)
    except ValueError as error:
        raise StartError(
            f"request {asked.name!r} cannot be asked of version {version} of {model!r}: {error}"
        ) from error
    outputs = reader.ask(ready, _TIMEOUT).outputs
    unknown = sorted(set(argmax) - set(outputs))
    if unknown:
        raise StartError(f"--argmax {unknown[0]}: the answer has no such output, only {', '.join(sorted(outputs))}")
    expect = {name: _expected(name, outputs[name], name in argmax, tolerance) for name in sorted(outputs)}
    signature = {"signature": asked.signature} if asked.signature else {}
    inputs = {name: values.nested() for name, values in asked.inputs.items()}
    return {"name": asked.name, **signature, "inputs": inputs, "expect": expect}


def _expected(
    name: str, tensor: tfs_pb2.TensorProto, as_class: bool, tolerance: tuple[float, float]
) -> dict[str, object]:
    got = decode(tensor)
    if any(isinstance(each, float) and not math.isfinite(each) for each in got.flat):
        raise StartError(f"output {name!r} holds NaN or an infinity: no answer to expect of the next version")
    if as_class:
        return {"argmax": list(_classes(got))}
    if not is_float(tensor.dtype):
        return {"values": got.nested()}
    digits = 17 if tensor.dtype == tfs_pb2.DT_DOUBLE else 9  # as many as tell two values apart
    rounded = Values(got.shape, tuple(float(f"{each:.{digits}g}") for each in got.flat))  # type: ignore[str-bytes-safe]
    return {"values": rounded.nested(), "atol": tolerance[0], "rtol": tolerance[1]}


def _classes(got: Values) -> Iterator[int]:
    size = got.shape[-1] if got.shape else 1
    for start in range(0, len(got.flat), size or 1):
        row = [float(each) for each in got.flat[start : start + size]]
        yield row.index(max(row))


def _write(requests: list[dict[str, object]], output: Path) -> None:
    """One request a line, whole or not at all."""
    lines = ",\n  ".join(json.dumps(request, ensure_ascii=False) for request in requests)
    half = output.with_name(f".{output.name}.half")
    half.write_text(f'{{"requests": [\n  {lines}\n]}}\n', encoding="utf-8")
    half.replace(output)
