"""From a request to the first payment by one script, and certified by the payment suite: as users run it."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PAYHUB = [sys.executable, "-c", "from payhub_cli.main import main; main()"]
DOCS = Path(__file__).parents[2] / "docs" / "tenants.md"
WAIT_S = 60


@pytest.mark.timeout(240)
def test_an_institution_pays_and_is_certified_by_one_script(server_folder: Path):
    data = server_folder / "onboarding"
    command = [*PAYHUB, "onboard", "--data", str(data), "--bank", "rhino"]
    with subprocess.Popen(
        [*PAYHUB, "up", "--sandbox", "--data", str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "payhub runs" in process.stdout.readline()
            done = subprocess.run(
                [*command, "--certify", "--json"], capture_output=True, text=True, check=False, timeout=180
            )
            assert done.returncode == 0, done.stderr + done.stdout
            outcome = json.loads(done.stdout)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(WAIT_S) == 0
    assert outcome["payment"] == "COMPLETED"
    section = DOCS.read_text().partition("## The first payment")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `((?:GET|POST|PUT) /\S+)` \| ", section, re.MULTILINE)
    calls = [step["call"].replace("rhino", "{id}") for step in outcome["steps"]]
    assert calls == [*told, "POST /v1/tenants/{id}/certify"]  # the page tells what the script does
    report = outcome["certification"]
    assert (report["state"], report["done"]) == ("passed", report["total"])
    assert {line["role"] for line in report["cases"]} == {"payer", "payee", "both"}
