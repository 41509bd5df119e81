"""`airbag rules`: writes Prometheus' quality rules."""

from __future__ import annotations

from pathlib import Path

import click

from airbag.config import load
from airbag.errors import ConfigError, Problem
from airbag_exporters.config import ExportersConfig
from airbag_exporters.quality.rules.build import build as build_files
from airbag_exporters.quality.rules.build import read_alerts, stale, write


@click.group()
def rules() -> None:
    """Write the rules that turn quality counters into numbers."""


@rules.command()
@click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="exporters/exporters.yml",
              show_default=True, help="The exporters' configuration; `quality.rules` names the windows.")  # fmt: skip
@click.option("--alerts-folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              default="prometheus/src", show_default=True, help="Alerts, by the file that they go to.")  # fmt: skip
@click.option("--output-folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              default="prometheus/rules", show_default=True, help="Where the rule files go.")  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; fail when the files are not what would be written.")
def build(config_file: Path, alerts_folder: Path, output_folder: Path, check: bool) -> None:
    """Write the rule files for the configured windows."""
    files = build_files(load(config_file, ExportersConfig).quality.rules, read_alerts(alerts_folder))
    if check:
        if others := stale(files, output_folder):
            problems = [Problem(name, "is not what `airbag rules build` writes", "run it again") for name in others]
            raise ConfigError(str(output_folder), problems)
        click.echo(f"{output_folder}: {len(files)} files are up to date")
        return
    write(files, output_folder)
    click.echo(f"{output_folder}: {', '.join(files)}")
