"""Calls a tool through a stdio server with the MCP SDK for Python, 1.x or 2.x.

The arguments are JSON: the server as in a configuration of a host, the name of the tool, and its arguments.
"""

import asyncio
import json
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    server, tool, arguments = map(json.loads, sys.argv[1:])
    parameters = StdioServerParameters(
        command=server["command"], args=server["args"], env=server["env"]
    )
    async with stdio_client(parameters) as (read, write):
        async with ClientSession(read, write) as session:
            await session.initialize()
            result = await session.call_tool(tool, arguments)
            print(result.content[0].text)


asyncio.run(main())
