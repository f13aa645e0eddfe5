"""The official Python SDK as an MCP client of a stdio command: `client_python_sdk.py [--era E] -- COMMAND ARG...`.

The orders that it takes are in command_lines.py. The command gets only the few variables that the SDK lets through.
"""

import sys

import mcp_types
from command_lines import REPLY, arguments, emit, notified, obey, run
from mcp import Client, StdioServerParameters


async def main() -> None:
    """Connects, says so and obeys."""
    options = arguments("the official Python SDK as MCP client")

    async def elicit(_context, params) -> mcp_types.ElicitResult:
        emit(event="elicitation", message=params.message)
        return mcp_types.ElicitResult(action="accept", content={"value": REPLY})

    async def on_message(message) -> None:
        notified(message)

    command = StdioServerParameters(command=options.command[0], args=options.command[1:], env=options.env)
    connection = Client(
        command,
        mode=options.era,
        log_level="debug",
        message_handler=on_message,
        elicitation_callback=elicit,
        cache=None,
    )
    async with connection as session:
        server = session.server_info
        emit(event="ready", protocol=session.protocol_version, server=server.name if server else None)

        async def call(order_id, name, args):
            async def progress(_done, _total, message) -> None:
                emit(event="progress", id=order_id, message=message)

            return await session.call_tool(name, args, progress_callback=progress)

        async def list_names(kind):
            listed = await getattr(session, f"list_{kind}")()
            return [entry.name for entry in getattr(listed, kind)]

        await obey(call, list_names)


if __name__ == "__main__":
    sys.exit(run(main()))
