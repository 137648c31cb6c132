"""The switch takes what the published OpenAPI files of FSPIOP 1.0, 1.1 and 2.0 let a DFSP send."""

import pytest
import yaml
from support.shared_data import shared_file

from payhub_sandbox.switch.hub import Hub
from payhub_sandbox.switch.target import SHAPES

METHODS = ("get", "post", "put", "patch", "delete")
# Only a hub sends these.
FROM_THE_HUB = {
    ("transfers", "PATCH"),
    ("fxTransfers", "PATCH"),
    ("participants", "PUT"),
    ("services", "PUT"),
}


def operations(version):
    path = shared_file("specs", "fspiop", f"fspiop-rest-v{version}-openapi3-snippets.yaml")
    for name, methods in yaml.safe_load(path.read_text())["paths"].items():
        resource, *rest = name.strip("/").split("/")
        error = bool(rest) and rest[-1] == "error"
        ids = len(rest) - error
        for method in METHODS:
            if method in methods and (resource, method.upper()) not in FROM_THE_HUB:
                yield resource, method.upper(), error, ids


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
def test_every_operation_of_the_specification_is_there(version):
    specified = {one for one in operations(version) if one[0] != "interface"}
    missing = {one for one in specified if one[3] not in SHAPES.get(one[:3], ())}
    assert len(specified) > 30
    assert missing == set()


def test_nothing_else_is_there():
    specified = set(operations("2.0"))
    offered = {(*key, count) for key, counts in SHAPES.items() for count in counts}
    assert offered == specified


def test_every_shape_has_its_operation(clock, key_pems):
    assert set(Hub(key_pems["switch"], clock)._operations) == set(SHAPES)
