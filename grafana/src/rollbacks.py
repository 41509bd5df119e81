"""What was released, what Airbag did about it and why, how long each stage took, and whether drills pass."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask, Column
from grafana.src.page import Built, Page
from grafana.src.panels import graph, number, rows, states

_OF = variables.MANY
_ENDED = "airbag_rollback_actions_total"
_STAGE = "airbag_rollback_stage_duration_seconds"
_OUTCOMES = "sum by (outcome, reason) (increase(airbag_rollback_actions_total[$__range]))"


def page() -> Page:
    made = Page(
        "airbag-rollbacks", "Airbag / Releases and rollbacks", "What was released, what Airbag decided about it, and how fast.",
        [variables.datasource(), variables.serving(several=True), variables.model_name(several=True)],
        marks=_OF, span="now-24h",
    )  # fmt: skip
    made.add(
        4, house.STRIP,
        _ended("Rollbacks", 'outcome="succeeded"', "Rollbacks in the time shown that helped. Good: few.", house.NEUTRAL),
        _ended("Calls for a person", 'outcome=~"needs_human|failed"', "Actions in the time shown that Airbag could not end by "
               "itself. Good: 0.", house.ZERO_IS_GOOD),
        _ended("Not taken", 'outcome=~"suppressed|cancelled"', "Alerts in the time shown after which nothing was done, with the "
               "reasons below. Good: few.", house.NEUTRAL),
        number("Open now", "Age of the oldest action under way. Good: 0, or seconds.", "s",
               Ask("max(airbag_rollback_oldest_open_action_seconds)"), ((None, house.GOOD), (60, house.WARN), (600, house.BAD))),
        number("Alert to recovery", "From the alert to the proof that the restored version is good, in the middle of all "
               "rollbacks of 30 days. Good: seconds.", "s", Ask(_recovery("30d")), empty="no rollback", decimals=1),
        number("Last drill", "Age of the last drill that went the whole way. Good: below two intervals.", "s",
               Ask("time() - max(airbag_rollback_last_successful_drill_timestamp_seconds)"), empty="never"),
    )  # fmt: skip
    made.row("What happened")
    made.add(24, 6, states("Serving version", "Each stretch is one version; its colour tells neighbours apart. Good: a change "
                           "only where you released, or Airbag went back.",
                           Ask(f"max by (serving, model_name) (airbag_tfs_default_version{{{_OF}}})", "{{serving}} {{model_name}}"),
                           mappings=(), links=[house.of_series("airbag-model", "Open the model", "serving", "model_name")]))  # fmt: skip
    made.add(
        14, 9,
        rows("Last action of each model", "What Airbag did last for a model, and why. Good: succeeded, or nothing at all.",
             [Ask("max by (model_name, serving, outcome, reason, from_version, to_version, action_id) "
                  f"(airbag_rollback_last_action_timestamp_seconds{{{_OF}}}) * 1000", name="Ended")],
             [Column("model_name", link="airbag-model"), Column("Ended", "dateTimeFromNow"), Column("from_version", width=110),
              Column("to_version", width=100), Column("action_id", width=90)],
             labels=["model_name", "serving", "outcome", "reason", "from_version", "to_version", "action_id"], sort="Ended",
             empty="no action yet"),
        rows("Decisions and their reasons", "How actions ended in the time shown, those not taken included; the runbook of the "
             "outcome explains each reason. Good: no reason that surprises you.",
             [Ask(f"sort_desc(round({_OUTCOMES}) > 0)", name="Times")], [Column("Times", "short", decimals=0, width=90)],
             labels=["outcome", "reason"], sort="Times", empty="nothing was decided"),
    )  # fmt: skip
    made.add(
        12, house.GRAPH,
        graph("Outcomes", "Actions that ended, by outcome. Good: rare.", "short",
              Ask(f"sum by (outcome) (increase({_ENDED}[$__interval])) > 0", "{{outcome}}"), bars=True, stacked=True, calc="sum"),
        graph("Alerts for the receiver", "Alerts that came, by what became of them. Good: few opened, none refused.", "short",
              Ask("sum by (result) (increase(airbag_rollback_alerts_total[$__interval]))", "{{result}}"), bars=True, stacked=True,
              calc="sum"),
    )  # fmt: skip
    made.row("How fast")
    made.add(
        12, house.GRAPH,
        graph("Time per stage", "Nine in ten actions of the last hour took less for each stage. Good: seconds; `detected` is the way "
              "of the alert, `recovered` the proof.", "s",
              Ask(f"histogram_quantile(0.9, sum by (stage, le) (increase({_STAGE}_bucket[1h])))", "{{stage}}"), interval="15s"),
        graph("Alert to recovery over months", "Mean of all stages together, of the rollbacks of each day. Good: flat.", "s",
              Ask(_recovery("1d"), "alert to recovery"), span="90d", interval="1h"),
    )  # fmt: skip
    made.row("Drills")
    made.add(
        8, house.GRAPH,
        graph("Drills by result", "Drills that ended. Good: only succeeded.", "short",
              Ask("sum by (result) (increase(airbag_rollback_drills_total[$__interval]))", "{{result}}"), bars=True, calc="sum"),
        rows("Stages of the last drill", "Seconds from the stage before, in the last drill that went the whole way. Good: seconds.",
             [Ask("max by (stage) (airbag_rollback_drill_stage_seconds)", name="Took")], [Column("Took", "s")],
             labels=["stage"], empty="no drill yet: airbag drill"),
        rows("Paused", "Models for which somebody paused rollbacks. Good: none, or you know why.",
             [Ask(f"max by (serving, model_name) (airbag_rollback_paused{{{_OF}}})", name="Paused")],
             [Column("Paused", mappings=((1, "yes", house.WARN), (0, "no", house.GOOD)))], labels=["model_name", "serving"], sort="Paused"),
    )  # fmt: skip
    return made


def _ended(title: str, which: str, description: str, levels: house.Levels) -> Built:
    return number(
        title, description, "short", Ask(f"round(sum(increase({_ENDED}{{{which}}}[$__range])))"), levels, decimals=0
    )


def _recovery(span: str) -> str:
    """The mean: all stages together, by how many got through the last one."""
    return f'sum(increase({_STAGE}_sum[{span}])) / (sum(increase({_STAGE}_count{{stage="recovered"}}[{span}])) > 0)'
