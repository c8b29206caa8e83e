"""An MCP server on FastMCP, on a free port of 127.0.0.1. It prints the port, and ends when its standard input ends."""

import os
import socket
import sys
import threading

import uvicorn
from fastmcp import Context, FastMCP

mcp = FastMCP("fastmcp-test")


@mcp.tool
def add(a: int, b: int) -> str:
    """Adds two numbers."""
    return f"The sum of {a} and {b} is {a + b}."


@mcp.tool
async def count(steps: int, context: Context) -> str:
    """Reports its progress at each step."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps)
        await context.info(f"step {step}")
    return f"{steps} steps"


@mcp.resource("test://greeting/{name}")
def greeting(name: str) -> str:
    return f"Hello, {name}!"


@mcp.prompt
def review(language: str) -> str:
    return f"Review this program in {language}."


def end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_parent, daemon=True).start()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
config = uvicorn.Config(mcp.http_app(), log_level="warning")
uvicorn.Server(config).run(sockets=[listener])
