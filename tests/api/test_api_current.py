"""The generated modules in casemate/api/ are what the pinned botocore's models give."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from generate_api import SERVED, TARGET, UnsupportedModel, generate, main, module_name, render

from casemate.gate.operation import Operation


@pytest.mark.parametrize("service", SERVED)
def test_a_committed_module_is_current(service: str) -> None:
    committed = (TARGET / f"{module_name(service)}.py").read_text(encoding="utf-8")
    assert committed == generate(service), (
        f"casemate/api/{module_name(service)}.py is not current: run `make api`"
    )


def test_every_module_is_of_a_served_service() -> None:
    modules = {path.stem for path in TARGET.glob("*.py")} - {"__init__"}
    assert modules == {module_name(service) for service in SERVED}


def test_check_writes_nothing_and_says_that_all_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == "not current: none\n"


@pytest.mark.parametrize("service", SERVED)
def test_a_module_has_a_descriptor_for_every_operation_in_the_models_order(service: str) -> None:
    module = importlib.import_module(f"casemate.api.{module_name(service)}")
    model = ServiceModel(Loader().load_service_model(service, "service-2"), service)
    assert service == module.API.service
    assert [operation.name for operation in module.API.operations] == list(model.operation_names)
    for operation in module.API.operations:
        assert isinstance(operation, Operation)
        assert getattr(module, operation.name) is operation
        assert operation.service == service


def test_the_types_cost_nothing_at_run_time() -> None:
    kms = importlib.import_module("casemate.api.kms")
    assert not hasattr(kms, "EncryptRequest")


def model_of(members: dict[str, Any], required: tuple[str, ...] = (), **shapes: Any) -> ServiceModel:
    """A service of one operation, Act, whose input has the given members and which has no output."""
    described: dict[str, Any] = {
        "metadata": {
            "serviceFullName": "Test",
            "apiVersion": "2026-01-01",
            "protocol": "json",
            "endpointPrefix": "test",
        },
        "operations": {"Act": {"name": "Act", "input": {"shape": "ActRequest"}}},
        "shapes": {
            "ActRequest": {"type": "structure", "members": members, "required": list(required)},
            "Text": {"type": "string"},
            **shapes,
        },
    }
    return ServiceModel(described, "test")


def rendered(model: ServiceModel) -> str:
    text = render("test", model)
    compile(text, "test.py", "exec")
    return text


def test_required_members_are_required_keys_and_others_are_not() -> None:
    text = rendered(model_of({"One": {"shape": "Text"}, "Two": {"shape": "Text"}}, ("One",)))
    assert "        One: str\n        Two: NotRequired[str]\n" in text


def test_an_operation_without_an_output_gets_an_empty_type() -> None:
    text = rendered(model_of({}))
    assert "    class ActResponse(TypedDict):\n        pass\n" in text
    assert 'Act: Operation[ActRequest, ActResponse] = Operation("test", "Act")\n' in text


def test_a_member_named_as_a_keyword_is_kept_by_the_functional_syntax() -> None:
    text = rendered(model_of({"from": {"shape": "Text"}, "x-y": {"shape": "Text"}}, ("from",)))
    assert '        {\n            "from": str,\n            "x-y": NotRequired[str],\n        },\n' in text


def test_a_shape_that_refers_to_itself_is_written_once() -> None:
    tree = {"type": "structure", "members": {"Children": {"shape": "Trees"}}}
    trees = {"type": "list", "member": {"shape": "Tree"}}
    text = rendered(model_of({"Root": {"shape": "Tree"}}, Tree=tree, Trees=trees))
    assert text.count("class Tree(TypedDict):\n        Children: NotRequired[list[Tree]]\n") == 1


def test_a_shape_named_as_something_the_module_uses_gets_an_underscore() -> None:
    text = rendered(model_of({"It": {"shape": "Literal"}}, Literal={"type": "string", "enum": ["a", "b"]}))
    assert 'Literal_: TypeAlias = Literal["a", "b"]\n' in text
    assert "It: NotRequired[Literal_]\n" in text


def test_maps_blobs_timestamps_and_enums_have_the_types_of_the_wire() -> None:
    members = {name: {"shape": name} for name in ("Bytes", "When", "Named")}
    shapes: dict[str, Any] = {
        "Bytes": {"type": "blob"},
        "When": {"type": "timestamp"},
        "Colour": {"type": "string", "enum": ["red", "green"]},
        "Named": {"type": "map", "key": {"shape": "Colour"}, "value": {"shape": "When"}},
    }
    text = rendered(model_of(members, tuple(members), **shapes))
    assert "        Bytes: bytes\n        When: datetime.datetime\n" in text
    assert "        Named: dict[Colour, datetime.datetime]\n" in text
    assert "    import datetime\n" in text


def test_a_document_has_no_agreed_type() -> None:
    shape = {"type": "structure", "members": {}, "document": True}
    with pytest.raises(UnsupportedModel, match="decide what type handlers get"):
        render("test", model_of({"Body": {"shape": "Body"}}, Body=shape))


def test_a_streamed_blob_is_bytes_that_may_be_absent() -> None:
    text = rendered(
        model_of({"Body": {"shape": "Body"}}, ("Body",), Body={"type": "blob", "streaming": True})
    )
    assert "        Body: NotRequired[bytes]\n" in text


def test_a_stream_of_events_is_left_out() -> None:
    events = {"type": "structure", "members": {}, "eventstream": True}
    text = rendered(model_of({"One": {"shape": "Text"}, "Events": {"shape": "Events"}}, Events=events))
    assert "    class ActRequest(TypedDict):\n        One: NotRequired[str]\n" in text
    assert "Events" not in text


def test_a_name_taken_by_a_shape_is_not_used_for_a_missing_output() -> None:
    taken = {"type": "structure", "members": {"A": {"shape": "Text"}}}
    with pytest.raises(UnsupportedModel, match="ActResponse is a shape"):
        render("test", model_of({"It": {"shape": "ActResponse"}}, ActResponse=taken))
