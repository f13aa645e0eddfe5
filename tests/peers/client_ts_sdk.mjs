// The official TypeScript SDK as an MCP client of a stdio command:
//   client_ts_sdk.mjs [--era legacy|auto|modern] [--env NAME=VALUE] -- COMMAND ARG...
// It takes the orders and gives the answers that command_lines.py describes.
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

const REPLY = "as you like";
const MODERN = "2026-07-28";
const LOG_EVERYTHING = { "io.modelcontextprotocol/logLevel": "debug" }; // the stateless era logs only where asked

const emit = (fields) => process.stdout.write(`${JSON.stringify(fields)}\n`);

function readArguments(words) {
  const options = { era: "legacy", env: {}, command: [] };
  while (words.length > 0) {
    const word = words.shift();
    if (word === "--era") options.era = words.shift();
    else if (word === "--env") {
      const [name, ...value] = words.shift().split("=");
      options.env[name] = value.join("=");
    } else if (word === "--") options.command = words.splice(0);
    else throw new Error(`unknown argument ${word}`);
  }
  return options;
}

const options = readArguments(process.argv.slice(2));
const mode = { legacy: "legacy", auto: "auto", modern: { pin: MODERN } }[options.era];
const session = new Client(
  { name: "ts-sdk-peer", version: "1.0.0" },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode } },
);
session.fallbackNotificationHandler = async ({ method, params }) => emit({ event: "notification", method, params });
session.setRequestHandler("elicitation/create", async (request) => {
  emit({ event: "elicitation", message: request.params.message });
  return { action: "accept", content: { value: REPLY } };
});
session.onerror = (error) => emit({ event: "transport-error", error: error.message });

const lists = {
  tools: async () => (await session.listTools()).tools,
  prompts: async () => (await session.listPrompts()).prompts,
  resources: async () => (await session.listResources()).resources,
};

async function carryOut(order) {
  try {
    if (order.call === undefined) {
      const names = (await lists[order.list]()).map((entry) => entry.name);
      return emit({ id: order.id, ok: true, names });
    }
    const result = await session.callTool(
      { name: order.call, arguments: order.args ?? {}, _meta: LOG_EVERYTHING },
      { onprogress: ({ message }) => emit({ event: "progress", id: order.id, message }) },
    );
    const text = result.content.map((part) => part.text ?? "").join("");
    emit({ id: order.id, ok: true, text, is_error: result.isError === true });
  } catch (error) {
    emit({ id: order.id, ok: false, error: error.message, code: error.code, data: error.data });
  }
}

try {
  const [command, ...args] = options.command;
  // The SDK adds the few variables that it lets through.
  await session.connect(new StdioClientTransport({ command, args, env: options.env }));
} catch (error) {
  emit({ event: "failed", error: error.message, code: error.code, data: error.data });
  process.exit(1);
}
session.onclose = () => emit({ event: "closed" });
emit({
  event: "ready",
  protocol: session.getNegotiatedProtocolVersion?.() ?? null,
  server: session.getServerVersion()?.name,
});
const running = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === "") continue;
  const order = JSON.parse(line);
  if (order.quit) process.exit(0);
  running.push(carryOut(order));
}
await Promise.all(running);
await session.close();
process.exit(0);
