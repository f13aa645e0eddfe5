"""A protected MCP server (FastMCP) whose tools say which person the verified token names.

Speaks both protocol eras at /mcp. Prints one JSON line when ready; logs go to stderr.

  --issuer URL       the authorization server (its keys are read from URL/jwks)
  --port N           0 picks a free one
  --log FILE         one JSON line per tool call and per HTTP request (also at GET /_log)
  --json             plain JSON answers instead of event streams
  --no-scope         asks for no scope at all
  --stdio            no HTTP and no protection, every call is made by "stdio": for trying MCP clients out
"""

import argparse
import asyncio
import base64
import json
import socket
import sys
import time
from pathlib import Path

import mcp_types
from fastmcp import Context, FastMCP
from fastmcp.server.auth import RemoteAuthProvider
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_access_token, get_http_request
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

RECORDS: list[dict] = []
LOG_FILE: Path | None = None


def record(**fields) -> None:
    """Keeps what happened, in order, and appends it to the log file."""
    fields["at"] = time.time()
    RECORDS.append(fields)
    if LOG_FILE:
        with LOG_FILE.open("a") as log:
            log.write(json.dumps(fields) + "\n")


def person() -> str:
    """The subject of the token that was verified for this request."""
    token = get_access_token()
    return token.claims["sub"] if token else "stdio"


def session_header() -> str | None:
    """The MCP session id that the request carried; none in the stateless era."""
    try:
        return get_http_request().headers.get("mcp-session-id")
    except RuntimeError:
        return None


def note_call(ctx: Context, tool: str, tag: str) -> str:
    """Writes the call down at its beginning, under the caller's name for it, and returns its person."""
    subject = person()
    record(
        kind="call",
        tool=tool,
        tag=tag,
        sub=subject,
        session=session_header(),
        era=ctx.request_context.protocol_version if ctx.request_context else None,
    )
    return subject


def build(auth: RemoteAuthProvider | None) -> FastMCP:
    """Makes the server with its tools."""
    server = FastMCP("peer", auth=auth)

    @server.tool
    async def whoami(ctx: Context, tag: str = "") -> str:
        """Answers with the person of the verified token."""
        return note_call(ctx, "whoami", tag)

    @server.tool
    async def slow(ctx: Context, ms: int = 1000, tag: str = "") -> str:
        """Reports progress for a while, then answers with the person that it began as."""
        subject = note_call(ctx, "slow", tag)
        steps = max(1, ms // 100)
        for step in range(steps):
            await ctx.report_progress(step, steps, f"{subject} at step {step}")
            await asyncio.sleep(ms / steps / 1000)
        return subject

    @server.tool
    async def note(ctx: Context, text: str = "", after_ms: int = 0, tag: str = "") -> str:
        """Sends a log message that names the person, on the stream of this call."""
        subject = note_call(ctx, "note", tag)
        await asyncio.sleep(after_ms / 1000)
        await ctx.info(f"{subject}: {text}")
        return subject

    @server.tool
    async def chime(ctx: Context, every_ms: int = 100, count: int = 20, tag: str = "") -> str:
        """Goes on sending log messages after its answer, on the session's standing stream."""
        subject = note_call(ctx, "chime", tag)
        session = ctx.session

        async def ring() -> None:
            for turn in range(count):
                await asyncio.sleep(every_ms / 1000)
                params = mcp_types.LoggingMessageNotificationParams(level="info", data=f"{subject}: chime {turn}")
                try:
                    await session.send_notification(mcp_types.LoggingMessageNotification(params=params))
                except Exception as error:  # the session is gone, which is what the test wants to see
                    record(kind="chime-ended", sub=subject, turn=turn, why=repr(error))
                    return
            record(kind="chime-done", sub=subject)

        CHIMES.append(asyncio.create_task(ring()))
        return subject

    @server.tool
    async def ask(ctx: Context, after_ms: int = 0, tag: str = "") -> str | mcp_types.InputRequiredResult:
        """Asks the host a question that names the person and the call; answers with person and reply."""
        subject = note_call(ctx, "ask", tag)
        question = f"{subject}, what now? {tag}".strip()
        await asyncio.sleep(after_ms / 1000)
        if ctx.request_context and ctx.request_context.protocol_version >= "2026-07-28":
            if not ctx.input_responses:
                schema = {"type": "object", "properties": {"value": {"type": "string"}}, "required": ["value"]}
                params = mcp_types.ElicitRequestFormParams(message=question, requested_schema=schema)
                asked = {"what": mcp_types.ElicitRequest(params=params)}
                return mcp_types.InputRequiredResult(input_requests=asked, request_state=subject)
            reply = ctx.input_responses["what"]
            return f"{subject} (asked as {ctx.request_state}): {reply.content}"
        reply = await ctx.elicit(question, response_type=str)
        return f"{subject}: {getattr(reply, 'data', reply.action)}"

    @server.custom_route("/_log", methods=["GET"])
    async def log(_request: Request) -> JSONResponse:
        return JSONResponse(RECORDS)

    return server


CHIMES: list[asyncio.Task] = []


class RequestRecorder:
    """Writes down every HTTP request: who called what with whose token, and the status."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["path"].startswith("/_"):
            return await self.app(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}

        async def sending(message):
            if message["type"] == "http.response.start":
                answer = {name.decode().lower(): value.decode() for name, value in message["headers"]}
                record(
                    kind="http",
                    method=scope["method"],
                    path=scope["path"],
                    status=message["status"],
                    agent=headers.get("user-agent"),
                    peer_port=scope["client"][1] if scope.get("client") else None,
                    bearer_sub=claimed_subject(headers.get("authorization", "")),
                    session=headers.get("mcp-session-id") or answer.get("mcp-session-id"),
                    protocol=headers.get("mcp-protocol-version"),
                    mcp_method=headers.get("mcp-method"),
                )
            await send(message)

        return await self.app(scope, receive, sending)


def claimed_subject(authorization: str) -> str | None:
    """The subject that a bearer token claims, unverified: for reading the record, never for deciding."""
    try:
        payload = authorization.split(" ", 1)[1].split(".")[1]
        return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("sub")
    except (IndexError, ValueError):
        return None


async def main() -> None:
    """Reads the arguments and serves until killed."""
    global LOG_FILE
    parser = argparse.ArgumentParser()
    parser.add_argument("--issuer")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--no-scope", action="store_true")
    parser.add_argument("--stdio", action="store_true")
    options = parser.parse_args()
    LOG_FILE = options.log
    if options.stdio:
        return await build(None).run_stdio_async(show_banner=False)

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen(128)
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    verifier = JWTVerifier(
        jwks_uri=f"{options.issuer}/jwks",
        issuer=options.issuer,
        audience=f"{base}/mcp",
        required_scopes=None if options.no_scope else ["mcp:call"],
    )
    server = build(RemoteAuthProvider(verifier, [options.issuer], base_url=base))
    print(json.dumps({"ready": True, "url": f"{base}/mcp"}), flush=True)
    await server.run_http_async(
        show_banner=False,
        path="/mcp",
        sockets=[listener],
        json_response=options.json,
        middleware=[Middleware(RequestRecorder)],
        uvicorn_config={"access_log": False, "log_level": "warning"},
    )


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(0)
