"""FastMCP's client as an MCP client of a stdio command: `client_fastmcp.py [--era E] -- COMMAND ARG...`.

The orders that it takes are in command_lines.py.
"""

import sys

from command_lines import REPLY, arguments, emit, notified, obey, run
from fastmcp import Client
from fastmcp.client.transports import StdioTransport


async def main() -> None:
    """Connects, says so and obeys."""
    options = arguments("FastMCP's client as MCP client")

    async def elicit(message, _response_type, _params, _context):
        emit(event="elicitation", message=message)
        return {"value": REPLY}

    async def on_message(message) -> None:
        notified(message)

    transport = StdioTransport(options.command[0], options.command[1:], env=options.env, keep_alive=False)
    async with Client(
        transport,
        mode=options.era,
        message_handler=on_message,
        elicitation_handler=elicit,
        cache=None,
    ) as session:
        server = session.server_info
        emit(event="ready", protocol=session.protocol_version, server=server.name if server else None)

        async def call(order_id, name, args):
            async def progress(_done, _total, message) -> None:
                emit(event="progress", id=order_id, message=message)

            return await session.call_tool(name, args, progress_handler=progress, raise_on_error=False)

        async def list_names(kind):
            return [entry.name for entry in await getattr(session, f"list_{kind}")()]

        await obey(call, list_names)


if __name__ == "__main__":
    sys.exit(run(main()))
