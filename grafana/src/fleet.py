"""Every model in one table: what serves, how it is, and what happened to it last. The home page."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask, Column
from grafana.src.page import Built, Page
from grafana.src.panels import number, rows, states
from grafana.src.queries import BY_MODEL, HEALTH, HEALTH_STATES, of_limit

MODEL = "airbag-model"
_ALL = variables.MANY
_FIRING = f'ALERTS{{alertstate="firing",{variables.GROUP}'


def page() -> Page:
    made = Page(
        "airbag-fleet", "Airbag / Fleet", "All models: what serves, how well, and what Airbag did last.",
        [variables.datasource(), variables.serving(several=True), variables.model_name(several=True), variables.verdict(), variables.latency_window(),
         variables.quality_window(), variables.drift_window()],
        marks=_ALL, refresh="5s",
    )  # fmt: skip
    made.add(
        3, house.STRIP,
        number("Models", "Models that have a version to answer by. Good: as many as you expect.", "short",
               Ask(f"count({BY_MODEL} (airbag_tfs_default_version{{{_ALL}}})) or vector(0)"),
               links=[house.link("airbag-model", "Open a model")]),
        number("Bad models", "Models with a version for which a rollback alert fires. Good: 0.", "short",
               Ask(f'count({BY_MODEL} (ALERTS{{alertstate="firing",airbag_action="rollback",{_ALL}}})) or vector(0)'),
               house.ZERO_IS_GOOD),
        number("Wait for a person", "Models for which Airbag called a person and nothing changed since. Good: 0.", "short",
               Ask(f"sum(max by (serving, model_name) (airbag_rollback_needs_human{{{_ALL}}})) or vector(0)"),
               house.ZERO_IS_GOOD, links=[house.link("airbag-rollbacks", "Why")]),
        number("Servers down", "TF Serving processes that do not answer Airbag. Good: 0.", "short",
               Ask(f"count(max by (serving, target) (airbag_tfs_up{{{variables.GROUP}}}) == 0) or vector(0)"),
               house.ZERO_IS_GOOD, links=[house.link("airbag-servers", "Servers")]),
        number("Requests", "Finished requests a second, all models together. Good: as usual at this hour.", "reqps",
               Ask(f"sum(rate(airbag_tfs_requests_total{{{_ALL}}}[$__rate_interval]))", "requests"), decimals=1),
        number("Airbag may", "What the receiver may do by itself. Good: auto, or approve where a person is asked first.", "string",
               Ask("airbag_rollback_mode == 1", "{{mode}}"), names=True, links=[house.link("airbag-self", "Airbag itself")]),
        number("Last drill", "Age of the last drill that went the whole way. Good: younger than two intervals.", "s",
               Ask("time() - max(airbag_rollback_last_successful_drill_timestamp_seconds)"), empty="never",
               links=[house.link("airbag-rollbacks", "Drills")]),
        number("Alerts firing", "Alerts for people that fire now, on any model or on Airbag. Good: 0.", "short",
               Ask('count(ALERTS{alertstate="firing",severity=~"critical|warning"}) or vector(0)'), house.ZERO_IS_GOOD),
    )  # fmt: skip
    made.add(
        24, 5,
        states("Models over time", "Green: nothing is wrong. Orange: an alert for people. Red: a rollback alert, or nobody came.",
               Ask(HEALTH % {"of": _ALL}, "{{serving}} {{model_name}}"), mappings=HEALTH_STATES,
               links=[house.of_series(MODEL, "Open the model", "serving", "model_name")]),
    )  # fmt: skip
    made.add(24, 12, _models())
    made.add(24, 7, _incidents())
    return made


def _models() -> Built:
    slow = "model_version:airbag_tfs_slow_per_answer:ratio$verdict"
    errors = "model_version:airbag_tfs_errors_per_request:ratio$verdict"
    drift = "model_version_feature:airbag_quality_psi"
    accuracy = "model_version:airbag_quality_accuracy:ratio$window"
    return rows(
        "Fleet",
        "A row for each model. The bars show how much of what exporters.yml allows is used up: at 100 % the alert's threshold "
        "is crossed; requests are those of five minutes. Good: short green bars. Click a model to open it.",
        [
            Ask(f"{BY_MODEL} (airbag_tfs_default_version{{{_ALL}}})", name="Version"),
            Ask(HEALTH % {"of": _ALL}, name="State"),
            Ask(f"{BY_MODEL} (model:airbag_tfs_requests:rate5m{{{_ALL}}})", name="Requests"),  # the counters take a third of a second
            Ask(f"{BY_MODEL} ({errors}{{{_ALL}}})", name="Errors"),
            Ask(of_limit(f"{errors}{{{_ALL}}}", f"airbag_tfs_error_ratio_max{{{_ALL}}}"), name="of limit: errors"),
            Ask(f"{BY_MODEL} (model_version:airbag_tfs_request_duration_seconds:p99_$latency{{{_ALL}}})", name="p99"),
            Ask(of_limit(f"{slow}{{{_ALL}}}", f"airbag_tfs_slow_ratio_max{{{_ALL}}}"), name="of limit: slow"),
            Ask(f"min by (serving, model_name) ({accuracy}{{{_ALL}}})", name="Accuracy"),
            Ask(of_limit(f"(1 - {accuracy}{{{_ALL}}})", f"(1 - airbag_quality_accuracy_min{{{_ALL}}})"), name="of limit: wrong"),
            Ask(of_limit(f"{drift}:nats$drift_window{{{_ALL}}} * {drift}:significant$drift_window{{{_ALL}}}",
                         f"airbag_quality_psi_max{{{_ALL}}}"), name="of limit: drift"),
            Ask(f"{BY_MODEL} (airbag_rollback_last_action_timestamp_seconds{{outcome=\"succeeded\",{_ALL}}}) * 1000", name="Last rollback"),
        ],
        [
            Column("model_name", link=MODEL, width=170), Column("serving", width=110), Column("Version", width=75),
            Column("State", mappings=HEALTH_STATES, width=95), Column("Requests", "reqps", width=95, decimals=1),
            Column("Errors", "percentunit", width=75, decimals=2), _share("of limit: errors"),
            Column("p99", "s", width=80), _share("of limit: slow"),
            Column("Accuracy", "percentunit", width=85, decimals=1), _share("of limit: wrong"),
            _share("of limit: drift"), Column("Last rollback", "dateTimeFromNow"),
        ],
        labels=["model_name", "serving"], sort="State",
    )  # fmt: skip


def _share(name: str) -> Column:
    """How much of a limit is used up."""
    return Column(name, "percentunit", house.OF_LIMIT, gauge=True, width=105)


def _incidents() -> Built:
    return rows(
        "Open incidents", "Alerts that fire now, worst first. Good: empty.",
        [Ask('max by (severity, alertname, serving, model_name, model_version, job, instance) '
             '(ALERTS{alertstate="firing",severity=~"critical|warning"})', name="Firing")],
        [Column("model_name", link=MODEL), Column("Firing", mappings=((1, "firing", house.BAD),), width=90)],
        labels=["severity", "alertname", "serving", "model_name", "model_version", "job", "instance"],
        sort="severity", ascending=True, empty="nothing fires",
    )  # fmt: skip
