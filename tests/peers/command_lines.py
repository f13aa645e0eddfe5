"""What the Python clients of the tests have in common: orders in on stdin, answers and events out on stdout, one JSON a line.

Orders, each carried out at once and side by side:
  {"id": 1, "call": "whoami", "args": {}}     {"id": 2, "list": "tools"}     {"quit": true}
The end of stdin lets what is running finish; quit leaves at once.
Answers:
  {"id": 1, "ok": true, "text": "ana", "is_error": false}     {"id": 2, "ok": true, "names": ["whoami"]}
  {"id": 1, "ok": false, "error": "...", "code": -32000, "data": {}}
Events:
  {"event": "ready", "protocol": "2025-11-25", "server": "peer"}
  {"event": "notification", "method": "notifications/message", "params": {}}
  {"event": "progress", "id": 1, "message": "ana at step 3"}
  {"event": "elicitation", "message": "ana, what now?"}     (answered with "as you like")
  {"event": "failed", "error": "..."}                       (no connection; exit code 1)
"""

import argparse
import asyncio
import json
import sys

REPLY = "as you like"


def emit(**fields) -> None:
    """Writes one line to stdout."""
    sys.stdout.write(json.dumps(fields, default=str) + "\n")
    sys.stdout.flush()


def arguments(description: str) -> argparse.Namespace:
    """Reads `[--era E] [--env NAME=VALUE] -- COMMAND ARG...`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--era", default="legacy", help="legacy, auto or 2026-07-28")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="what a config's env would set")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    options.env = dict(pair.split("=", 1) for pair in options.env)
    options.command = options.command[1:] if options.command[:1] == ["--"] else options.command
    return options


def notified(message) -> None:
    """Reports a notification of the server; progress is reported by its own call."""
    if isinstance(message, Exception):
        return emit(event="transport-error", error=repr(message))
    body = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    if body.get("method") != "notifications/progress":
        emit(event="notification", method=body.get("method"), params=body.get("params"))


def result_fields(result) -> dict:
    """The parts of a CallToolResult that tests look at."""
    text = "".join(getattr(part, "text", "") for part in result.content)
    return {"text": text, "is_error": bool(getattr(result, "is_error", False))}


def explain(error: BaseException) -> dict:
    """A JSON-RPC error with its code and data where there is one, else the exception in words."""
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    detail = getattr(error, "error", None)
    code = getattr(detail, "code", None)
    return {"error": str(error) or repr(error), "code": code, "data": getattr(detail, "data", None)}


async def obey(call, list_names) -> None:
    """Carries orders out until the end of stdin. `call(id, name, args)` and `list_names(kind)` are coroutines."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: set[asyncio.Task] = set()

    async def carry_out(order: dict) -> None:
        try:
            if "call" in order:
                answer = result_fields(await call(order["id"], order["call"], order.get("args") or {}))
            else:
                answer = {"names": await list_names(order["list"])}
            emit(id=order["id"], ok=True, **answer)
        except Exception as error:
            emit(id=order["id"], ok=False, **explain(error))

    while line := await reader.readline():
        order = json.loads(line)
        if order.get("quit"):
            for task in running:
                task.cancel()
            return
        task = asyncio.create_task(carry_out(order))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running, return_exceptions=True)


def run(main) -> int:
    """Runs `main` and turns a failed connection into an event and exit code 1."""
    try:
        asyncio.run(main)
        return 0
    except Exception as error:
        emit(event="failed", **explain(error))
        return 1
