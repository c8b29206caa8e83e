"""Calls a tool through the server of a host's configuration with the client of FastMCP.

The arguments are JSON: the configuration, the name of the tool, and its arguments.
"""

import asyncio
import json
import sys

from fastmcp import Client


async def main() -> None:
    config, tool, arguments = map(json.loads, sys.argv[1:])
    async with Client(config) as client:
        result = await client.call_tool(tool, arguments)
        print(result.content[0].text)


asyncio.run(main())
