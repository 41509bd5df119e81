"""The strict configuration loader."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airbag.config import Duration, LocalPath, Secret, Section, load, parse, parse_duration, replace_tokens
from airbag.errors import ConfigError
from airbag.serving.groups import Servings, load_servings


class Inner(Section):
    port: int
    wait: Duration = 1.0


class Outer(Section):
    name: str
    inner: tuple[Inner, ...] = ()
    file: LocalPath = Path("default")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, Outer, source="sample.yml", base=Path("/base"))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{name: a, nmae: b}", "nmae: is not a known key (did you mean `name`?)"),
        ("{name: a, zzzzzz: 1}", "zzzzzz: is not a known key (known keys: file, inner, name)"),
        ("{}", "name: is missing (add it)"),
        ("", "name: is missing (add it)"),
        ("{name: 3}", "name: input should be a valid string, not 3"),
        ('{name: a, inner: [{port: "80"}]}', "inner[0].port: input should be a valid integer, not '80'"),
        ("{name: a, inner: [{port: 1}, {port: 2, prt: 3}]}", "inner[1].prt: is not a known key (did you mean `port`?)"),
        (
            "{name: a, inner: [{port: 1, wait: 10}]}",
            'inner[0].wait: not a duration; write it with a unit, such as "500ms", "15s", "5m" or "1h30m", not 10',
        ),
        ("{name: a, name: b}", "line 1, column 11: is not YAML: the key 'name' stands here twice"),
        ("{name: [", "line 1, column 9: is not YAML: expected the node content, but found '<stream end>'"),
    ],
)
def test_each_mistake_gets_its_own_message(text: str, message: str) -> None:
    assert problems(text) == [message]


def test_every_problem_is_listed_at_once_with_its_path() -> None:
    found = problems("{inner: [{port: x}, {}], extra: 1}")
    assert [problem.split(":")[0] for problem in found] == ["name", "inner[0].port", "inner[1].port", "extra"]


def test_the_error_reads_as_a_list_under_the_file_name() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("{name: a, b: 1, c: 2}", Outer, source="sample.yml", base=Path("/base"))
    first, *rest = str(caught.value).splitlines()
    assert first == "sample.yml: 2 problems"
    assert [line.split(":")[0] for line in rest] == ["  b", "  c"]


def test_a_password_in_an_address_is_not_repeated() -> None:
    [problem] = problems("{name: a, inner: 'http://user:secret@host:1/'}")
    assert "secret" not in problem
    assert "//***@host:1/" in problem


def test_a_missing_file_names_the_flag_that_gives_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"No such file.*--config\.file"):
        load(tmp_path / "none.yml", Outer)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "binary.yml", Outer)


def test_relative_paths_count_from_the_file_and_absolute_ones_stay(tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("{name: a, file: sub/x.txt}")
    (tmp_path / "b.yml").write_text("{name: b, file: /abs/x.txt}")
    assert load(tmp_path / "a.yml", Outer).file == tmp_path / "sub/x.txt"
    assert load(tmp_path / "b.yml", Outer).file == Path("/abs/x.txt")


def test_a_date_stays_text_instead_of_becoming_an_object(tmp_path: Path) -> None:
    assert parse("{name: 2026-01-02}", Outer, source="s", base=tmp_path).name == "2026-01-02"


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_add_up(hours: int, minutes: int, seconds: int, millis: int) -> None:
    expected = hours * 3600 + minutes * 60 + seconds + millis / 1000
    assert parse_duration(f"{hours}h{minutes}m{seconds}s{millis}ms") == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "5 s", "-5s", "5s ", 5, None, "1h-5m"])
def test_a_duration_without_a_proper_unit_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


def test_a_secret_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("AIRBAG_TEST_TOKEN", "from-environment")
    assert Secret(file=tmp_path / "token").read() == "from-file"
    assert Secret(env="AIRBAG_TEST_TOKEN").read() == "from-environment"


def test_a_missing_empty_or_doubtful_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(ConfigError, match="is empty"):
        Secret(file=tmp_path / "empty").read()
    with pytest.raises(ConfigError, match="cannot be read"):
        Secret(file=tmp_path / "none").read()
    with pytest.raises(ConfigError, match="is empty"):
        Secret(env="AIRBAG_TEST_NOT_SET").read()
    with pytest.raises(ConfigError, match="exactly one"):
        Secret().read()


def test_tokens_are_replaced_whole_and_never_inside_a_longer_one() -> None:
    tokens = {"receiver:9815": "127.0.0.1:1", "/models": "/tmp/m"}
    text = "a http://receiver:9815/v1 my-receiver:9815 receiver:98155 /models/models.config /models2 x/models"
    assert replace_tokens(text, tokens) == (
        "a http://127.0.0.1:1/v1 my-receiver:9815 receiver:98155 /tmp/m/models.config /models2 x/models"
    )


def test_the_servings_section_is_read_beside_keys_of_others(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text(
        "servings: [{name: eu, targets: [{name: a, grpc: 'h:1'}], models: [{name: m}], model_config_file: c}]\n"
        "quality: {anything: goes}\n"
    )
    group = load_servings(path).group("eu")
    assert group is not None
    assert group.model_config_file == tmp_path / "c"
    assert group.model("m") is not None
    assert group.model("other") is None


@pytest.mark.parametrize(
    ("servings", "message"),
    [
        ("[]", "at least 1 item"),
        (
            "[{name: a, targets: [{name: t, grpc: 'no-port'}], models: [{name: m}]}]",
            r"targets\[0\].grpc: should be HOST:PORT, not 'no-port'",
        ),
        ("[{name: a, targets: [], models: [{name: m}]}]", "targets"),
        ("[{name: a, targets: [{name: t, grpc: 'h:1'}, {name: t, grpc: 'h:2'}], models: [{name: m}]}]", "same name"),
        ("[{name: a, targets: [{name: t, grpc: 'h:1'}], models: [{name: m}, {name: m}]}]", "same name"),
        (
            "[{name: a, targets: [{name: t, grpc: 'h:1'}], models: [{name: m, expect: {error_ratio_max: 2}}]}]",
            r"models\[0\].expect.error_ratio_max",
        ),
    ],
)
def test_a_wrong_servings_section_is_refused(servings: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(f"servings: {servings}", Servings, source="s", base=tmp_path)


def test_a_list_with_one_wrong_entry_is_not_also_called_too_short(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("servings: [{name: a, targets: [{name: t}], models: [{name: m}]}]", Servings, source="s", base=tmp_path)
    assert [str(problem) for problem in caught.value.problems] == ["servings[0].targets[0].grpc: is missing (add it)"]


def test_a_file_without_servings_says_so(tmp_path: Path) -> None:
    path = tmp_path / "exporters.yml"
    path.write_text("quality: {}")
    with pytest.raises(ConfigError, match="servings: is missing"):
        load_servings(path)
