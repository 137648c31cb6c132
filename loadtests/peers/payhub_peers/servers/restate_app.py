"""The workflow for Restate: its server calls this endpoint over HTTP/2 and keeps the journal."""

import asyncio

import hypercorn
import restate
from hypercorn.asyncio import serve

from payhub_peers.servers.front import arguments
from payhub_peers.workflow import STEPS, Effects


def main() -> None:
    """Serve the endpoint until SIGTERM."""
    told = arguments()
    effects = Effects(told.effects)
    workflow = restate.Workflow("EightSteps")

    @workflow.main()
    async def run(context: restate.WorkflowContext) -> None:
        workflow_id = context.key()

        async def step(number: int) -> None:
            effects.append(workflow_id, number)

        for number in range(1, STEPS + 1):
            await context.run_typed(f"step {number}", step, number=number)

    config = hypercorn.Config()
    config.bind = [f"127.0.0.1:{told.port}"]
    config.accesslog = None
    asyncio.run(serve(restate.app([workflow]), config))


if __name__ == "__main__":
    main()
