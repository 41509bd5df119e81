"""Checks objects against what the projects published: Kubernetes' own schemas, and the Prometheus Operator's types.

Unknown fields are refused, as an API server does on `kubectl apply`.
"""

from __future__ import annotations

import functools
import importlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
from pydantic import ValidationError
from referencing import Registry, Resource

from tests.deploy.kustomized import Object

VERSIONS = ("1.28", "1.32", "1.36")
_SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
_OPERATOR = "monitoring.coreos.com/"


def complaints(thing: Object, version: str) -> list[str]:
    """What is wrong with one object for that version of Kubernetes; empty when nothing is."""
    where = f"{thing['kind']}/{thing['metadata']['name']}"
    if thing["apiVersion"].startswith(_OPERATOR):
        return [f"{where}: {text}" for text in _of_operator(thing)]
    validator = _validator(thing["apiVersion"], thing["kind"], version)
    return [f"{where}: {error.json_path}: {error.message[:200]}" for error in validator.iter_errors(thing)]


@functools.cache
def _validator(api_version: str, kind: str, version: str) -> jsonschema.protocols.Validator:
    folder = _SCHEMAS / f"v{version}.0-local-strict"
    group, _, number = api_version.rpartition("/")
    name = "-".join([kind.lower(), *([group.split(".")[0]] if group else []), number])
    schema = json.loads((folder / f"{name}.json").read_text())
    return jsonschema.Draft202012Validator(schema, registry=_definitions(version))


@functools.cache
def _definitions(version: str) -> Registry[Any]:
    text = (_SCHEMAS / f"v{version}.0-local-strict" / "_definitions.json").read_text()
    return Resource.from_contents(json.loads(text)) @ Registry()


def _of_operator(thing: Object) -> list[str]:
    models = importlib.import_module(
        f"cloudcoil.models.prometheus_operator.{thing['apiVersion'].removeprefix(_OPERATOR)}"
    )
    try:
        model = getattr(models, thing["kind"]).model_validate(thing)
    except ValidationError as error:
        return [f"{problem['loc']}: {problem['msg']}" for problem in error.errors()]
    known = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
    return [f"{path} is no field" for path in _lost(thing["spec"], known["spec"], "spec")]


def _lost(given: object, kept: object, path: str) -> list[str]:
    """The fields of `given` that a model did not keep, as it knows none of that name."""
    if isinstance(given, dict) and isinstance(kept, dict):
        return [
            lost
            for key, value in given.items()
            for lost in (_lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"])
        ]
    if isinstance(given, list) and isinstance(kept, list):
        return [lost for a, b in zip(given, kept, strict=True) for lost in _lost(a, b, f"{path}[]")]
    return []
