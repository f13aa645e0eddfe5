// The client that the conformance suite starts: it adds the suite's mock server to Hallpass, signs in as a person would,
// and then does what the scenario wants over its only MCP connection, the stdio of `hallpass bridge`.
//
// env  HALLPASS (the executable)  CONFORMANCE_HOST ("legacy", "modern": which era the stdio host speaks)
//      HOME, BROWSER, DBUS_SESSION_BUS_ADDRESS of the scratch session
//      MCP_CONFORMANCE_SCENARIO, MCP_CONFORMANCE_CONTEXT from the suite
// argv the mock server's URL
import { spawn } from "node:child_process";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { perform, answerQuestions, CAPABILITIES } from "./steps.mjs";

const SERVER = "conformance";
const PROVIDER = "company";
/** What a step may take, whatever the machine is doing besides: the suite's own limit for a scenario is longer. */
const PATIENCE = { timeout: 60_000 };
/** The same for a person at the browser. */
const SIGN_IN = ["--timeout", "60s"];
const MODERN = "2026-07-28";
/** What every run presents, whether or not the issuer takes such documents; the suite knows this address. */
const METADATA_DOCUMENT = "https://conformance-test.local/client-metadata.json";

const { HALLPASS, CONFORMANCE_HOST, MCP_CONFORMANCE_SCENARIO: scenario } = process.env;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const url = process.argv.at(-1);

/** Runs one verb of the command line and returns its stdout. */
function hallpass(args, input = "") {
  return new Promise((resolve, reject) => {
    const child = spawn(HALLPASS, args, { stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data) => (stdout += data));
    child.stderr.on("data", (data) => (stderr += data));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`hallpass ${args[0]} ended with ${code}: ${stderr.trim() || stdout.trim()}`));
    });
    child.stdin.end(input);
  });
}

async function addServer() {
  const add = ["servers", "add", url, "--id", SERVER, "--json"];
  if (context.client_id) {
    add.push("--client-id", context.client_id, "--client-secret-stdin");
    if (context.private_key_pem) add.push("--token-endpoint-auth", "private-key-jwt");
    if (context.idp_issuer) {
      // Once for the whole company, by its administrator.
      const provider = ["servers", "add", context.idp_issuer, "--id", PROVIDER, "--identity-provider"];
      await hallpass([...provider, "--client-id", context.idp_client_id]);
      add.push("--vouched-by", PROVIDER);
    }
    return JSON.parse(await hallpass(add, `${context.private_key_pem ?? context.client_secret}\n`));
  }
  return JSON.parse(await hallpass([...add, "--client-metadata-url", METADATA_DOCUMENT]));
}

/** As a person does, or whoever the scenario is about. */
function signIn() {
  const login = ["login", SERVER, "--yes", ...SIGN_IN];
  if (context.idp_id_token) return hallpass([...login, "--id-token-stdin"], `${context.idp_id_token}\n`);
  if (scenario.startsWith("auth/client-credentials")) return hallpass([...login, "--application", "--use"]);
  return hallpass(login);
}

/** Adds the server, signs in where it wants that, and does the scenario's steps through the bridge. */
async function drive() {
  const added = await addServer();
  if (added.auth !== "none") await signIn();

  const session = new Client(
    { name: "conformance-host", version: "1.0.0" },
    {
      capabilities: CAPABILITIES,
      versionNegotiation: { mode: CONFORMANCE_HOST === "modern" ? { pin: MODERN } : "legacy" },
    },
  );
  answerQuestions(session, scenario);
  // The SDK hands on the few variables that hosts hand on.
  const args = ["bridge", "--app", "conformance", "--server", SERVER];
  await session.connect(new StdioClientTransport({ command: HALLPASS, args }), PATIENCE);
  try {
    await perform(session, scenario, context);
  } catch (error) {
    // The error names the command that helps; a person types it, as the one who they were, and tries again, once.
    const [, advice] = /(?:run: |run `)hallpass (login [\w -]+)/.exec(error.message) ?? [];
    if (!advice) throw error;
    await hallpass([...advice.trim().split(" "), "--yes", "--same-person", ...SIGN_IN]);
    await perform(session, scenario, context);
  }
  if (process.env.CONFORMANCE_CANARY) {
    // A connection that must be found out: it shows that the recorder sees what it is there to see.
    await fetch(url, { method: "POST", body: "{}" }).catch(() => {});
  }
  await session.close();
}

drive().then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`error: ${error.message}\n`);
    process.exit(1);
  },
);
