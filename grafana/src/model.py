"""One model: rate, errors, duration; the version before beside the one that serves, on the same axes."""

from __future__ import annotations

from grafana.src import house, variables
from grafana.src.house import Ask
from grafana.src.page import Page
from grafana.src.panels import graph, heat, number, rows, states
from grafana.src.queries import HEALTH, HEALTH_STATES, VERSION_STATES, VERSIONS

_OF = variables.ONE
_BEFORE, _NOW = f'{_OF},model_version="$before"', f'{_OF},model_version="$now"'
_RATE = "sum by (model_version) (rate(airbag_tfs_requests_total{%s}[$__rate_interval]))"
_ERRORS = "model_version:airbag_tfs_errors_per_request:ratio$verdict{%s}"
_SLOW = "model_version:airbag_tfs_slow_per_answer:ratio$verdict{%s}"
_ACCURACY = "model_version:airbag_quality_accuracy:ratio$window{%s}"
_BUCKETS = 'airbag_tfs_request_duration_seconds_bucket{%s,api=~"(?i:predict|classify|regress)"}[$__rate_interval]'
_P99 = f"histogram_quantile(0.99, sum by (model_version, le) (rate({_BUCKETS})))"
_LIMIT = "max(%s{" + _OF + "})"
_VERSION_LINK = [
    house.link("airbag-quality", "Quality of this model", "var-serving=$serving", "var-model_name=$model_name")
]


def page() -> Page:
    made = Page(
        "airbag-model", "Airbag / Model", "One model: rate, errors and duration by version, and what changed when.",
        [variables.datasource(), variables.serving(), variables.model_name(),
         variables.version("before", "Version before", "airbag_tfs_previous_version"),
         variables.version("now", "Version now", "airbag_tfs_default_version"),
         variables.verdict(), variables.latency_window(), variables.quality_window()],
        marks=_OF,
    )  # fmt: skip
    made.add(
        3, house.STRIP,
        number("Serves", "The version that answers clients who name none. Good: the one that you released last.", "none",
               Ask(f"max(airbag_tfs_default_version{{{_OF}}})")),
        number("Before", "The version that did so before.", "none", Ask(f"max(airbag_tfs_previous_version{{{_OF}}})"), empty="none"),
        number("State", "The worst alert that fires for the model. Good: green.", "none", Ask(HEALTH % {"of": _OF}),
               mappings=HEALTH_STATES, links=[house.link("airbag-rollbacks", "Releases and rollbacks",
                                                         "var-serving=$serving", "var-model_name=$model_name")]),
        number("Requests", "Finished requests a second. Good: as usual at this hour.", "reqps",
               Ask(f"sum(rate(airbag_tfs_requests_total{{{_OF}}}[$__rate_interval]))", "requests"), sparkline=True, decimals=1),
        number("Errors of limit", "The error ratio as a share of error_ratio_max; at 100 % the alert's threshold is crossed. "
               "Good: green.", "percentunit",
               Ask(f"max({_ERRORS % _OF}) / ({_LIMIT % 'airbag_tfs_error_ratio_max'} > 0)"), house.OF_LIMIT, decimals=0, empty="no requests"),
        number("Slow of limit", "The share of answers above latency_bound, as a share of slow_ratio_max. Good: green.", "percentunit",
               Ask(f"max({_SLOW % _OF}) / ({_LIMIT % 'airbag_tfs_slow_ratio_max'} > 0)"), house.OF_LIMIT, decimals=0, empty="no answers"),
        number("Accuracy", "Share of labelled answers that were right, of the version that serves. Good: above accuracy_min.",
               "percentunit", Ask(f"max({_ACCURACY % _NOW})"), links=_VERSION_LINK, decimals=1, empty="no labels"),
        number("Error budget left", "What is left of 30 days' budget if the last day is typical. Good: above 0.", "percentunit",
               Ask(f"1 - max(model:airbag_tfs_errors_per_request:ratio_rate1d{{{_OF}}}) / max(model:airbag_tfs_errors:budget_ratio{{{_OF}}})"),
               ((None, house.BAD), (0, house.WARN), (0.25, house.GOOD)), decimals=0),
    )  # fmt: skip
    made.row("Rate, errors, duration")
    made.add(
        8, house.GRAPH,
        graph("Requests by version", "Finished requests a second by the version that answered. Good: one version takes over "
              "from the other without a gap.", "reqps", Ask(_RATE % _OF, "{{model_version}}")),
        graph("Errors by version", "Share of requests that failed, in the window that machines act on. Good: below the dashed line.",
              "percentunit", Ask(_ERRORS % _OF, "{{model_version}}"), Ask(_LIMIT % "airbag_tfs_error_ratio_max", "limit")),
        graph("Slow answers by version", "Share of answers above latency_bound. Good: below the dashed line.", "percentunit",
              Ask(_SLOW % _OF, "{{model_version}}"), Ask(_LIMIT % "airbag_tfs_slow_ratio_max", "limit")),
    )  # fmt: skip
    made.row("The version before, left, and the one now, right: the other one is grey, so that both have the same axes")
    for each, label in ((_BEFORE, "$before"), (_NOW, "$now")):
        made.add(12, house.GRAPH, heat(f"Latency of {label}", "How many answers took how long. Good: one narrow dark band.", "s",
                                       f"sum by (le) (increase({_BUCKETS % each}))"))  # fmt: skip
    _side_by_side(made, "Requests of", "reqps", _RATE, "Finished requests a second. Good: both alike.")
    _side_by_side(made, "Errors of", "percentunit", _ERRORS, "Share of requests that failed. Good: both alike and below the limit.",
                  _LIMIT % "airbag_tfs_error_ratio_max")  # fmt: skip
    _side_by_side(made, "p99 of", "s", _P99, "What 99 % of the answers were faster than. Good: both alike.",
                  _LIMIT % "airbag_tfs_latency_bound_seconds")  # fmt: skip
    _side_by_side(made, "Accuracy of", "percentunit", _ACCURACY, "Share of labelled answers that were right. Good: both alike.",
                  _LIMIT % "airbag_quality_accuracy_min")  # fmt: skip
    made.row("Versions")
    made.add(24, 6, states("Versions over time", "Green serves. A load that fails is red. Good: every change is one that you made.",
                           Ask(VERSIONS % {"of": _OF}, "version {{model_version}}"), mappings=VERSION_STATES))  # fmt: skip
    made.add(
        12, house.GRAPH,
        rows("On disk", "Versions in the model store, newest first: what a rollback could go to. Good: complete, compatible.",
             [Ask(f"max by (model_version) (airbag_repo_version_created_timestamp_seconds{{{_OF}}}) * 1000", name="Written"),
              Ask(f"max by (model_version) (airbag_repo_version_size_bytes{{{_OF}}})", name="Size"),
              Ask(f"min by (model_version) (airbag_repo_version_complete{{{_OF}}})", name="Complete"),
              Ask(f"min by (model_version) (airbag_repo_version_signature_compatible{{{_OF}}})", name="Clients can go on")],
             [house.Column("Written", "dateTimeFromNow"), house.Column("Size", "bytes"), *map(_yes, ("Complete", "Clients can go on"))],
             labels=["model_version"], sort="Written"),
        graph("Latency", "Half and 99 % of the answers were faster. Good: below the dashed latency bound, and no step at a release.", "s",
              *(Ask(f"model_version:airbag_tfs_request_duration_seconds:{each}_$latency{{{_OF}}}", f"{each} of {{{{model_version}}}}")
                for each in ("p50", "p99")),
              Ask(_LIMIT % "airbag_tfs_latency_bound_seconds", "limit")),
    )  # fmt: skip
    made.row("Behind it")
    made.add(
        8, house.GRAPH,
        graph("Answers by status", "Requests a second by gRPC status. Good: only OK.", "reqps",
              Ask(f"sum by (status) (rate(airbag_tfs_requests_total{{{_OF}}}[$__rate_interval])) > 0", "{{status}}"), stacked=True),
        graph("Golden requests", "1 while the version answers its golden request as expected. Good: 1.", "none",
              Ask(f"min by (model_version) (airbag_tfs_probe_success{{{_OF}}})", "{{model_version}}"), high=1),
        graph("Burn rate of the error budget", "How many times faster than allowed the budget of 30 days goes; at 14.4 in an "
              "hour a person is called. Good: below 1.", "none",
              *(Ask(f"model:airbag_tfs_errors_per_request:ratio_rate{window}{{{_OF}}} / model:airbag_tfs_errors:budget_ratio{{{_OF}}}", window)
                for window in ("1h", "6h", "1d"))),
    )  # fmt: skip
    return made


def _yes(name: str) -> house.Column:
    return house.Column(name, mappings=((1, "yes", house.GOOD), (0, "no", house.BAD)))


def _side_by_side(made: Page, title: str, unit: str, of: str, description: str, limit: str = "") -> None:
    """Both panels show both versions, so that their axes agree; each greys the one that is not its own."""
    limits = [Ask(limit, "limit")] if limit else []
    for label, mine, other in (("$before", _BEFORE, _NOW), ("$now", _NOW, _BEFORE)):
        asks = Ask(of % mine, "version {{model_version}}"), Ask(of % other, "other {{model_version}}"), *limits
        made.add(12, 7, graph(f"{title} {label}", description, unit, *asks, faint="/^other/"))
