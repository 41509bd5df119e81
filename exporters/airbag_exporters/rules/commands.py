"""`airbag rules`: writes Prometheus' rules."""

from __future__ import annotations

from pathlib import Path

import click

from airbag.config import load
from airbag.errors import ConfigError, Problem
from airbag_exporters.config import ExportersConfig
from airbag_exporters.rules.build import build as build_files
from airbag_exporters.rules.build import read_written, stale, with_pace, with_time_interval, write


@click.group()
def rules() -> None:
    """Write Prometheus' rules for the profile and the windows in exporters.yml."""


@rules.command()
@click.option("--config.file", "config_file", type=click.Path(path_type=Path), default="exporters/exporters.yml",
              show_default=True, help="The exporters' configuration; its section `rules` counts.")  # fmt: skip
@click.option("--source-folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              default="prometheus/src", show_default=True, help="Hand-written rules by file name.")  # fmt: skip
@click.option("--output-folder", type=click.Path(path_type=Path, file_okay=False, exists=True),
              default="prometheus/rules", show_default=True, help="Where the rule files go.")  # fmt: skip
@click.option("--prometheus.file", "prometheus_file", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              default="prometheus/prometheus.yml", show_default=True,
              help="Gets the profile's scrape and evaluation interval; nothing else in it is touched.")  # fmt: skip
@click.option("--datasource.file", "datasource_file", type=click.Path(path_type=Path, dir_okay=False),
              default="grafana/provisioning/datasources/airbag.yml", show_default=True,
              help="Gets the scrape interval, so that Grafana smooths no fault away; may be absent.")  # fmt: skip
@click.option("--check", is_flag=True, help="Write nothing; fail when the files are not what would be written.")
def build(
    config_file: Path,
    source_folder: Path,
    output_folder: Path,
    prometheus_file: Path,
    datasource_file: Path,
    check: bool,
) -> None:
    """Write the rule files, and the intervals in prometheus.yml and Grafana, for the configured profile and windows."""
    settings = load(config_file, ExportersConfig).rules
    texts = build_files(settings, read_written(source_folder))
    files = {output_folder / name: text for name, text in texts.items()}
    files[prometheus_file] = with_pace(settings, prometheus_file.read_text(encoding="utf-8"))
    if datasource_file.exists():
        files[datasource_file] = with_time_interval(settings, datasource_file.read_text(encoding="utf-8"))
    others = stale(files)
    if check:
        if others:
            remedy = "run `airbag rules build` again"
            raise ConfigError("rules", [Problem(str(path), "is not what it would write", remedy) for path in others])
        click.echo(f"profile {settings.profile}: {len(files)} files are up to date")
        return
    write(files)
    click.echo(f"profile {settings.profile}: {len(others)} of {len(files)} files written")
    for path in others:
        click.echo(f"  {path}")
