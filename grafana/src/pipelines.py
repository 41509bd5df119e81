"""The pipelines that feed the models: whether they run, and whether as much comes as usual."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask, Column
from grafana.src.page import Page
from grafana.src.panels import graph, number, rows

_OF = 'pipeline=~"$pipeline"'
_DELAY = f"max by (pipeline) (pipeline:airbag_pipeline_sync_delay:seconds{{{_OF}}})"
_DELAY_MAX = f"max by (pipeline) (airbag_pipeline_sync_delay_max_seconds{{{_OF}}})"


def page() -> Page:
    made = Page(
        "airbag-pipelines", "Airbag / Pipelines", "The pipelines that feed the models: do they run, and does as much come as usual?",
        [variables.datasource(),
         variables.of_labels("pipeline", "Pipeline", "label_values(airbag_pipeline_sync_delay_max_seconds, pipeline)", several=True)],
        marks='serving=~".+"', span="now-24h",
    )  # fmt: skip
    made.add(
        6, house.STRIP,
        number("Newest data, of limit", "Age of the newest data as a share of sync_delay_max; at 100 % people are told. Good: green.",
               "percentunit", Ask(f"max({_DELAY} / ({_DELAY_MAX} > 0))"), house.OF_LIMIT, decimals=0, empty="no run yet"),
        number("Success", "Share of runs and tasks of the last hour that succeeded. Good: above success_ratio_min.", "percentunit",
               Ask(f"min(pipeline:airbag_pipeline_success:ratio1h{{{_OF}}})"), decimals=1, empty="no run yet"),
        number("Rows", "Rows a second that were moved in the last hour. Good: as usual.", "rowsps",
               Ask(f"sum(pipeline:airbag_pipeline_rows:rate1h{{{_OF}}})"), decimals=1),
        number("Errors in logs", "Errors in the logs of the last hour's runs. Good: as usual.", "short",
               Ask(f"sum(pipeline:airbag_pipeline_log_errors:increase1h{{{_OF}}})"), decimals=0),
    )  # fmt: skip
    made.add(
        24, 7,
        rows("Tasks", "Runs that ended in the time shown, by task and result; the run as a whole has no task. Good: all succeeded.",
             [Ask(f"round(sum by (pipeline, task, status) (increase(airbag_pipeline_task_runs_total{{{_OF}}}[$__range])))", name="Runs")],
             [Column("Runs", "short", decimals=0)], labels=["pipeline", "task", "status"], sort="Runs"),
    )  # fmt: skip
    made.add(
        12, house.GRAPH,
        graph("Age of the newest data", "How old the newest data is. Good: a low saw tooth, below the dashed line.", "s",
              Ask(_DELAY, "{{pipeline}}"), Ask(_DELAY_MAX, "limit of {{pipeline}}")),
        graph("Success", "Share of runs and tasks that succeeded, hour by hour. Good: above the dashed line.", "percentunit",
              Ask(f"min by (pipeline) (pipeline:airbag_pipeline_success:ratio1h{{{_OF}}})", "{{pipeline}}"),
              Ask(f"min by (pipeline) (airbag_pipeline_success_ratio_min{{{_OF}}})", "limit of {{pipeline}}"), high=1),
        graph("Rows against usual", "Rows a second, and what was usual at this hour. Good: the lines lie together.", "rowsps",
              Ask(f"sum by (pipeline) (pipeline:airbag_pipeline_rows:rate1h{{{_OF}}})", "{{pipeline}}"),
              Ask(f"sum by (pipeline) (pipeline:airbag_pipeline_rows:usual_rate1h{{{_OF}}})", "usual, {{pipeline}}"), faint="/^usual/"),
        graph("Errors in logs against usual", "Errors in the logs of an hour's runs. Good: the lines lie together.", "short",
              Ask(f"sum by (pipeline) (pipeline:airbag_pipeline_log_errors:increase1h{{{_OF}}})", "{{pipeline}}"),
              Ask(f"sum by (pipeline) (pipeline:airbag_pipeline_log_errors:usual_increase1h{{{_OF}}})", "usual, {{pipeline}}"),
              faint="/^usual/"),
        graph("Run duration", "Nine in ten runs of the last hour were shorter. Good: flat.", "s",
              Ask(f"histogram_quantile(0.9, sum by (pipeline, le) (increase(airbag_pipeline_run_duration_seconds_bucket{{{_OF}}}[1h])))",
                  "{{pipeline}}")),
        graph("Last run", "Seconds since the newest run ended. Good: below the schedule's interval.", "s",
              Ask(f"time() - max by (pipeline) (airbag_pipeline_last_run_timestamp_seconds{{{_OF}}})", "{{pipeline}}")),
    )  # fmt: skip
    return made
