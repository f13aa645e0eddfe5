// The official Inspector's command line as a one-shot MCP client of a stdio command:
//   inspector.mjs [--era legacy|auto|modern] [--call TOOL [--arg name=value]... | --list tools] -- COMMAND ARG...
// Prints Inspector's JSON result and ends with its exit code: 0 well, 1 failed, 3 needs sign-in, 4 unreachable.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const manifest = createRequire(import.meta.url).resolve("@modelcontextprotocol/inspector/package.json");
const { bin } = createRequire(manifest)("./package.json");
const program = join(dirname(manifest), typeof bin === "string" ? bin : bin["mcp-inspector"]);

const words = process.argv.slice(2);
const inspect = ["--cli", "--format", "json", "-q"];
let command = [];
while (words.length > 0) {
  const word = words.shift();
  if (word === "--era") inspect.push("--protocol-era", words.shift());
  else if (word === "--call") inspect.push("--method", "tools/call", "--tool-name", words.shift());
  else if (word === "--arg") inspect.push("--tool-arg", words.shift());
  else if (word === "--list") inspect.push("--method", `${words.shift()}/list`);
  else if (word === "--") command = words.splice(0);
  else throw new Error(`unknown argument ${word}`);
}
const child = spawn(process.execPath, [program, ...inspect, "--", ...command], { stdio: ["ignore", "inherit", "inherit"] });
child.on("exit", (code) => process.exit(code ?? 1));
