"""`airbag exporter`: one command per exporter."""

from __future__ import annotations

from pathlib import Path

import click

from airbag.http import Web
from airbag.process import process_options
from airbag_exporters.config import load_exporters
from airbag_exporters.serving.golden.file import load_all


@click.group()
def exporter() -> None:
    """Run an exporter. `exporters.yml` says what it watches."""


@exporter.command()
@process_options("exporters/exporters.yml", ":9810")
def serving(config_file: Path, config_check: bool, web: Web) -> None:
    """What TensorFlow Serving does, per model version."""
    config = load_exporters(config_file, "serving")
    if config_check:
        load_all(config)
        click.echo(f"{config_file}: OK")
        return
    from airbag_exporters.serving.process import run  # gRPC would cost the other exporter memory

    run(config_file, config, web)


@exporter.command()
@click.option("--aggregate", is_flag=True, help="Add up the replicas that `quality.aggregate` names, for big fleets.")
@process_options("exporters/exporters.yml", ":9811")
def quality(config_file: Path, config_check: bool, aggregate: bool, web: Web) -> None:
    """Whether the answers are right: predictions joined with their labels, per model version."""
    config = load_exporters(config_file, "aggregate" if aggregate else "quality")
    if config_check:
        if aggregate:
            from airbag_exporters.quality.aggregate.process import wanted

            wanted(config_file, config)
        from airbag_exporters.quality.checks import check_quality, told

        for line in told(check_quality(config), config.quality.series_max):
            click.echo(line)
        click.echo(f"{config_file}: OK")
        return
    if aggregate:
        from airbag_exporters.quality.aggregate.process import run as run_aggregate

        run_aggregate(config_file, config, web)
        return
    from airbag_exporters.quality.process import run

    run(config_file, config, web)


@exporter.command()
@process_options("exporters/exporters.yml", ":9812")
def host(config_file: Path, config_check: bool, web: Web) -> None:
    """What the servers' processes, their machine, its disks and its GPUs do."""
    config = load_exporters(config_file)
    if config_check:
        click.echo(f"{config_file}: OK")
        return
    from airbag_exporters.host.process import run

    run(config_file, config, web)
