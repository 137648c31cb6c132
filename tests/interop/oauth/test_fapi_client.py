"""A certified FAPI 2.0 client drives the gateway; first it drives a certified server.

What the certified server refuses shows that the driver asks wrongly where it means to, so that a request
which the gateway answers is the gateway's fault.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from joserfc.jwk import ECKey
from support.servers import running_nats
from unit.gateway.gateway_kit import oauth_client, tenant_config

HERE = Path(__file__).parent
START_WAIT_S = 30.0
ADMIN, APP = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
# Where the two refuse the same with other words: (the gateway's, the certified server's).
OTHER_WORDS = {
    "NEG assertion of another client": ("invalid_client", "invalid_request"),
    "NEG request_uri pushed": ("invalid_request", "request_uri_not_supported"),
    "NEG request that was not pushed": ("status 400", "invalid_request"),  # a page; a redirect
    "NEG refresh without proof": ("invalid_dpop_proof", "invalid_grant"),
    "NEG client credentials without proof": ("invalid_dpop_proof", "invalid_grant"),
    "NEG bound token without proof": ("status 401", "status 400"),
    "NEG token in the query": ("status 401", "status 400"),
}


@pytest.fixture(scope="module")
def folder(node_modules: Any) -> Path:
    """The folder of the installed packages, with the scripts beside them."""
    made: Path = node_modules(HERE)
    for name in ("drive.mjs", "oracle.mjs"):
        shutil.copy(HERE / name, made)
    return made


def drive(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    done = subprocess.run(
        ["node", "drive.mjs"],  # noqa: S607 - found by the fixture
        cwd=folder,
        input=json.dumps(config),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, str] = json.loads(done.stdout)
    return said


@contextmanager
def oracle(folder: Path) -> Iterator[str]:
    process = subprocess.Popen(
        ["node", "oracle.mjs"],  # noqa: S607 - found by the fixture
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


@contextmanager
def gateway(folder: Path, **settings: str) -> Iterator[str]:
    """Run NATS and a gateway process with two tenants that are configured."""
    with running_nats(folder / "nats") as nats:
        data = folder / "gateway"
        data.mkdir(parents=True)
        clients = [
            oauth_client(
                "buffalo-admin", ADMIN, "clients:register tokens:introspect payments:read payments:write"
            ),
            oauth_client("buffalo-app", APP, "members:identify"),
        ]
        tenants = [tenant_config("buffalo", clients)]
        (data / "tenants.cache").write_bytes(msgspec.msgpack.encode(tenants))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {
            **os.environ,
            "PAYHUB_PORT": str(port),
            "PAYHUB_DATA_DIR": str(data),
            "PAYHUB_NATS_URL": nats.url,
            "PAYHUB_INTERNAL_TOKEN": "secret",
            "PAYHUB_ENGINES": json.dumps({"north": "http://127.0.0.1:1"}),
            **settings,
        }
        process = subprocess.Popen([sys.executable, "-m", "payhub_gateway"], env=environment)
        try:
            issuer = f"http://127.0.0.1:{port}"
            wait_for(issuer + "/health/ready", process)
            yield issuer
        finally:
            process.terminate()
            process.wait(10)


def wait_for(url: str, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + START_WAIT_S
    while True:
        assert process.poll() is None
        try:
            urllib.request.urlopen(url, timeout=2).close()  # noqa: S310 - our own process
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


def ours(issuer: str, **more: Any) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "scope": "payments:read",
        "clientScope": "payments:read",
        "admin": {"clientId": "buffalo-admin", "jwk": ADMIN.as_dict(private=True)},
        "channel": {"clientId": "buffalo-app", "jwk": APP.as_dict(private=True)},
        "otherClientId": "buffalo-admin",
        "audience": issuer + "/channel",
        # No engine runs: a request that got through all checks finds the engine away.
        "resource": f"{issuer}/channel/transfer/{uuid.uuid4()}",
        "resourceByClient": True,
        "resourceStatus": 503,
        "negatives": True,
        **more,
    }


@pytest.fixture(scope="module")
def calibrated(folder: Path) -> dict[str, str]:
    with oracle(folder) as issuer:
        return drive(
            folder,
            {
                "issuer": issuer,
                "scope": "openid",
                "initialAccessToken": "calibration",
                "registrationByAlg": True,
                "resource": issuer + "/me",
                "resourceStatus": 200,
                "negatives": True,
            },
        )


@pytest.fixture(scope="module")
def driven(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    with gateway(tmp_path_factory.mktemp("gateway")) as issuer:
        return drive(folder, ours(issuer))


def negatives(said: dict[str, str]) -> dict[str, str]:
    return {name: result for name, result in said.items() if name.startswith("NEG ")}


def test_the_driver_is_right_by_a_certified_server(calibrated: dict[str, str]):
    positives = {name: result for name, result in calibrated.items() if not name.startswith("NEG ")}
    assert {name: result for name, result in positives.items() if result != "ok"} == {
        "redirect_status": "303"
    }
    assert {name for name, result in negatives(calibrated).items() if result == "ok"} == set()
    assert len(negatives(calibrated)) >= 40


def test_the_gateway_answers_a_certified_client(driven: dict[str, str]):
    positives = {name: result for name, result in driven.items() if not name.startswith("NEG ")}
    assert {name: result for name, result in positives.items() if result != "ok"} == {
        "redirect_status": "303"
    }
    for alg in ("ES256", "PS256", "Ed25519"):
        assert {
            f"{alg} registration",
            f"{alg} client credentials",
            f"{alg} code flow",
            f"{alg} refresh",
        } <= set(positives)
    assert {"introspection", "revocation", "resource", "token is an RFC 9068 JWT"} <= set(positives)


def test_the_gateway_refuses_what_a_certified_server_refuses(
    driven: dict[str, str], calibrated: dict[str, str]
):
    assert {name for name, result in negatives(driven).items() if result == "ok"} == set()
    refused = {
        name: (result.removeprefix("refused: "), calibrated[name].removeprefix("refused: "))
        for name, result in negatives(driven).items()
    }
    assert set(refused) == set(negatives(calibrated))
    assert {name: both for name, both in refused.items() if both[0] != both[1]} == OTHER_WORDS


def test_with_nonces_on_the_client_is_asked_for_them(folder: Path, tmp_path: Path):
    with gateway(tmp_path, PAYHUB_DPOP_NONCES="true") as issuer:
        said = drive(folder, ours(issuer, negatives=False))
    assert said.pop("nonces") == "ok"
    assert {name: result for name, result in said.items() if result != "ok"} == {"redirect_status": "303"}
