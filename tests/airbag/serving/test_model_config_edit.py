"""Editing one model moves no other byte, whatever the file looks like."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbag.errors import ConfigError
from airbag.serving.model_config import Policy, edit_versions, find_model, model_names, parse, policy_of

PLAIN = """# who serves what
model_config_list {
  config {
    name: "fraud"
    base_path: "/models/fraud"  # on the fast disk
    model_version_policy { specific { versions: 3 versions: 4 } }  # good, current
    version_labels { key: "stable" value: 3 }
    version_labels { key: "canary" value: 4 }
  }
  config { name: "churn" base_path: "/models/churn" }
}
"""

# A text is built from pieces; the policy of the edited model is the one piece marked by these two characters.
OPEN, CLOSE = "\x01", "\x02"


@st.composite
def _gap(draw: st.DrawFn) -> str:
    comments = st.sampled_from(["# plain\n", '# } model_version_policy { all {} } > ] "\n', "# 'config { \r\n"])
    return "".join(draw(st.lists(st.one_of(st.sampled_from([" ", "\n", "\t", "\r\n"]), comments), max_size=2)))


@st.composite
def _block(draw: st.DrawFn, name: str, body: str, *, colon: bool = True) -> str:
    opening, closing = draw(st.sampled_from([("{", "}"), ("<", ">")]))
    mark = draw(st.sampled_from(["", ":"])) if colon else ":"
    return f"{name}{draw(_gap())}{mark}{draw(_gap())}{opening}{draw(_gap())}{body}{draw(_gap())}{closing}"


@st.composite
def _string(draw: st.DrawFn, value: str) -> str:
    quote = draw(st.sampled_from(["'", '"']))
    if len(value) > 1 and draw(st.booleans()):  # neighbours are one string
        return f"{quote}{value[0]}{quote}{draw(_gap())} {quote}{value[1:]}{quote}"
    return f"{quote}{value}{quote}"


@st.composite
def _policy(draw: st.DrawFn) -> str:
    body = draw(
        st.sampled_from(
            [
                "latest { num_versions: 2 }",
                "latest: <>",
                "all {}",
                "specific { versions: 7 versions: 8 }",
                "specific: { versions: [7, 8], }",
                "specific <versions:7;versions:8>",
                "",
            ]
        )
    )
    before, after = draw(_gap()), draw(_gap())
    return draw(_block("model_version_policy", before + (OPEN + body + CLOSE if body else "") + after))


@st.composite
def _model(draw: st.DrawFn, name: str) -> str:
    fields = [
        f"name:{draw(_gap())}{draw(_string(name))}",
        f"base_path: {draw(_string('/m/{<[x]>}#,;'))}",
    ]
    optional = [
        'model_platform: "tensorflow"',
        "model_type: TENSORFLOW",
        "logging_config { sampling_config { sampling_rate: 1e-3 attributes: -2 } }",
        "logging_config { custom_logging_config { [type.googleapis.com/google.protobuf.Int64Value] { value: 1 } } }",
        'version_labels { key: "stable" value: 7 }',
        'version_labels: [{ key: "a" value: 7 }, < key: "b" value: 8 >]',
    ]
    chosen = draw(st.lists(st.sampled_from(optional), max_size=3, unique_by=lambda field: field.split(" ")[0]))
    fields += chosen
    if draw(st.booleans()):
        fields.append(draw(_policy()))
    fields = draw(st.permutations(fields))
    parts = [draw(_gap())]
    for field in fields:
        parts += [field, draw(st.sampled_from(["", ",", ";"])), draw(_gap()), " "]
    return "".join(parts)


@st.composite
def _files(draw: st.DrawFn) -> tuple[str, str]:
    names = draw(st.lists(st.sampled_from(["a", "fraud", "x-y.z", "né"]), min_size=1, max_size=4, unique=True))
    edited = draw(st.sampled_from(names))
    entries: list[str] = []
    pending: list[str] = []
    for name in names:
        model = draw(_model(name))
        model = model if name == edited else model.replace(OPEN, "").replace(CLOSE, "")
        if draw(st.booleans()):
            entries.append(draw(_block("config", model)))
        else:
            pending = ["{" + model + "}", *draw(st.sampled_from([[], [f"<name: 'other{len(entries)}'>"]]))]
            entries.append(f"config{draw(st.sampled_from([':', ' ']))}[{draw(_gap())}{', '.join(pending)}]")
    body = "".join(entry + draw(st.sampled_from([" ", "\n", ","])) for entry in entries)
    return draw(_gap()) + draw(_block("model_config_list", body)) + draw(_gap()), edited


VERSIONS = st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3, unique=True)


@settings(max_examples=200, deadline=None)
@given(_files(), VERSIONS)
def test_only_the_policy_of_that_model_changes(file: tuple[str, str], versions: list[int]) -> None:
    marked, model = file
    text = marked.replace(OPEN, "").replace(CLOSE, "")
    edited = edit_versions(text, model, versions)
    meant = parse(text)
    entry = find_model(meant, model)
    entry.model_version_policy.specific.versions[:] = versions
    assert parse(edited) == meant
    written = re.escape("specific { " + "".join(f"versions: {v} " for v in versions) + "}")
    if OPEN in marked:
        before, rest = marked.split(OPEN)
        after = rest.split(CLOSE)[1]
        assert re.fullmatch(re.escape(before) + written + re.escape(after), edited)
    else:
        length = len(edited) - len(text)
        at = next(i for i in range(len(edited)) if edited[:i] + edited[i + length :] == text)
        assert re.search(written, edited[at : at + 2 * length])


@settings(max_examples=100, deadline=None)
@given(_files(), VERSIONS, st.dictionaries(st.text(max_size=4), st.integers(0, 9), max_size=3))
def test_labels_of_that_model_are_replaced_as_a_whole(
    file: tuple[str, str], versions: list[int], labels: dict[str, int]
) -> None:
    text, model = file[0].replace(OPEN, "").replace(CLOSE, ""), file[1]
    edited = edit_versions(text, model, versions, labels=labels)
    meant = parse(text)
    entry = find_model(meant, model)
    entry.model_version_policy.specific.versions[:] = versions
    entry.version_labels.clear()
    entry.version_labels.update(labels)
    assert parse(edited) == meant


@settings(max_examples=50, deadline=None)
@given(_files(), VERSIONS)
def test_the_same_edit_again_changes_nothing(file: tuple[str, str], versions: list[int]) -> None:
    text, model = file[0].replace(OPEN, "").replace(CLOSE, ""), file[1]
    once = edit_versions(text, model, versions)
    assert edit_versions(once, model, versions) == once


def test_a_policy_is_changed_in_its_place() -> None:
    assert edit_versions(PLAIN, "fraud", [3]) == PLAIN.replace("versions: 3 versions: 4", "versions: 3")


def test_a_missing_policy_is_inserted_in_the_style_of_its_block() -> None:
    assert edit_versions(PLAIN, "churn", [1, 2]) == PLAIN.replace(
        '"/models/churn" }', '"/models/churn" model_version_policy { specific { versions: 1 versions: 2 } } }'
    )
    spread = 'model_config_list {\r\n\tconfig {\r\n\t\tname: "a"\r\n\t\tbase_path: "/a" # here\r\n\t}\r\n}\r\n'
    assert edit_versions(spread, "a", [1]) == spread.replace(
        "# here\r\n", "# here\r\n\t\tmodel_version_policy { specific { versions: 1 } }\r\n"
    )


def test_labels_move_with_the_versions() -> None:
    assert edit_versions(PLAIN, "fraud", [3], labels={"stable": 3}) == PLAIN.replace(
        "versions: 3 versions: 4", "versions: 3"
    ).replace('    version_labels { key: "canary" value: 4 }\n', "")


def test_labels_are_kept_unless_given() -> None:
    assert dict(find_model(parse(edit_versions(PLAIN, "fraud", [9])), "fraud").version_labels) == {
        "stable": 3,
        "canary": 4,
    }


def test_a_missing_model_is_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"model frud: is not in the file \(the file has: fraud, churn\)"):
        edit_versions(PLAIN, "frud", [1])


def test_a_model_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="listed 2 times"):
        edit_versions(PLAIN.replace("churn", "fraud"), "fraud", [1])


@pytest.mark.parametrize("versions", [[], [-1], [1, 1], [2**63]])
def test_versions_that_would_unload_or_confuse_are_refused(versions: list[int]) -> None:
    with pytest.raises(ConfigError):
        edit_versions(PLAIN, "fraud", versions)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (PLAIN.replace('name: "fraud"', "name: fraud"), "line 4"),
        (PLAIN.replace("model_version_policy", "model_version_polcy"), "line 6"),
        (PLAIN.replace("specific {", "all {} specific {"), "line 6"),
        (PLAIN.rstrip().removesuffix("}"), "line 10"),
    ],
    ids=["no quotes", "unknown field", "two policies", "no end"],
)
def test_a_text_that_cannot_be_read_is_refused_with_its_line(broken: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        edit_versions(broken, "fraud", [1])


def test_a_blank_that_only_one_of_the_two_parsers_takes_is_refused_by_name() -> None:
    text = PLAIN.replace('name: "churn"', 'name:\u00a0"churn"')
    with pytest.raises(ConfigError, match=r"line 10: cannot read '\\xa0"):
        edit_versions(text, "fraud", [1])


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("", Policy.latest()),
        ("model_version_policy { }", Policy.latest()),
        ("model_version_policy { latest { num_versions: 0 } }", Policy.latest(1)),
        ("model_version_policy { latest { num_versions: 3 } }", Policy.latest(3)),
        ("model_version_policy { all {} }", Policy.all()),
        ("model_version_policy { specific { versions: 4 versions: 2 } }", Policy.specific(4, 2)),
    ],
)
def test_a_policy_reads_as_the_server_reads_it(written: str, policy: Policy) -> None:
    config = parse(f'model_config_list {{ config {{ name: "m" {written} }} }}')
    assert policy_of(find_model(config, "m")) == policy
    assert model_names(config) == ("m",)


def test_policies_print_as_words() -> None:
    assert [str(p) for p in (Policy.latest(2), Policy.all(), Policy.specific(3, 4))] == [
        "latest 2",
        "all",
        "specific {3, 4}",
    ]
