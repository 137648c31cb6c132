"""`payhub bench gateway` for real and briefly."""

import json
import shutil

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from payhub_cli.bench.errors import BenchError
from payhub_cli.bench.gateway_load import Channel
from payhub_cli.main import cli


def test_it_sends_transfers_through_a_gateway_and_tells_what_it_did_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli, ["bench", "gateway", "--seconds", "0.5", "--json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["requests"] > 0
    assert all(found[f"rps_per_core_{kind}"] > 0 for kind in ("mtls", "dpop", "bearer"))
    assert found["half_load_per_s"] > 0
    assert (found["nginx_rps_per_core"] is None) == ("nginx" in found["not_run"])
    has_nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    assert bool(has_nginx) == ("nginx" not in found["not_run"])


async def test_a_refusal_ends_the_measurement():
    async def refuse(_request):
        return web.Response(status=429, text="slowly")

    application = web.Application()
    application.router.add_post("/", refuse)
    async with TestServer(application) as server:
        channel = Channel(
            server.port, lambda key: f"POST / HTTP/1.1\r\nhost: x\r\nx-key: {key}\r\n\r\n".encode(), 2
        )
        with pytest.raises(BenchError, match="429"):
            await channel.closed_loop(0.5)
        with pytest.raises(BenchError, match="slowly"):
            await channel.open_loop(0.5, 20)
