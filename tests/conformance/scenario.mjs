// Runs one scenario of the conformance suite against `hallpass bridge` in a session of its own: scratch home, own
// keychain service, scripted browser. Started below `dbus-run-session`, once per scenario, by `cargo xtask`.
//
//   scenario.mjs SCENARIO REVISION HOST SCRATCH RESULTS     env HALLPASS, PYTHON
//
// SCRATCH holds the home and sockets (short path, thrown away), RESULTS what the suite and the recorder wrote.
// Prints one line between tabs: verdict (P, W, F), reason, requests seen, who connected that should not have, how many
// requests came from a process that could not be looked at, and how the driver ended where that was an error.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, realpathSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const [scenario, revision, host, scratch, results] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const home = join(scratch, "home");
const connections = join(results, "connections.jsonl");
const suite = join(dirname(createRequire(import.meta.url).resolve("@modelcontextprotocol/conformance/package.json")), "dist/index.js");
const browser = `${process.env.PYTHON} ${join(here, "../peers/browser.py")} --record ${join(results, "browser.jsonl")}`;

for (const folder of [home, results, join(scratch, "runtime")]) mkdirSync(folder, { recursive: true, mode: 0o700 });
writeFileSync(connections, "");

const session = {
  PATH: process.env.PATH,
  HOME: home,
  XDG_RUNTIME_DIR: join(scratch, "runtime"),
  DBUS_SESSION_BUS_ADDRESS: process.env.DBUS_SESSION_BUS_ADDRESS,
  BROWSER: browser,
};

function run(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { env: session, stdio: ["ignore", "pipe", "pipe"], ...options });
    const said = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"]) child[name].on("data", (data) => (said[name] += data));
    child.on("error", (error) => resolve({ ...said, code: -1, stderr: error.message }));
    child.on("close", (code) => resolve({ ...said, code }));
  });
}

/** Longer than any step takes, whatever the machine is doing besides; short beside the limit of the whole scenario. */
const PATIENCE = 60_000;

/** The keychain service of this session, with its "login" collection made and unlocked. */
async function startKeychain() {
  const daemon = spawn("gnome-keyring-daemon", ["--foreground", "--unlock", "--components=secrets"], {
    env: session,
    stdio: ["pipe", "ignore", "ignore"],
  });
  daemon.stdin.end("conformance");
  const collection = join(home, ".local/share/keyrings/login.keyring");
  const deadline = Date.now() + PATIENCE;
  while (!existsSync(collection)) {
    if (Date.now() > deadline || daemon.exitCode !== null) throw new Error(`gnome-keyring-daemon makes no ${collection}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return daemon;
}

/** Ends whatever of the executable still runs with our scratch home, an agent above all. */
async function endProduct() {
  await run(process.env.HALLPASS, ["agent", "stop"]);
  const mine = `HOME=${home}`;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      const isOurs = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mine);
      if (isOurs && isProduct(readlinkSync(`/proc/${pid}/exe`))) process.kill(Number(pid), "SIGKILL");
    } catch {
      // Gone already.
    }
  }
}

/** The executable under test, or the copy of it that the product publishes below the home. */
function isProduct(exe) {
  return exe === realpathSync(process.env.HALLPASS) || (exe.startsWith(`${home}/`) && exe.endsWith("/hallpass"));
}

/** Bridge and agent may connect anywhere; the scripted browser only where a person signs in. */
function mayConnect({ path, agent, by }) {
  if (by === null) return agent?.startsWith("hallpass/") === true; // a process that does not let itself be looked at
  if (isProduct(by.exe)) return by.argv[1] === "bridge" || by.argv[1] === "agent";
  return by.argv.some((word) => word.endsWith("browser.py")) && path.endsWith("/authorize");
}

function strangers() {
  const seen = readFileSync(connections, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
  const who = ({ method, path, agent, by }) => `${method} ${path} by ${by ? by.argv.join(" ") : "unknown"} (${agent ?? "no User-Agent"})`;
  return {
    count: seen.length,
    unseen: seen.filter(({ by }) => by === null).length,
    list: [...new Set(seen.filter((line) => !mayConnect(line)).map(who))],
  };
}

/** The file of the suite's results with this name, or nothing. */
function result(name) {
  const found = readdirSync(results, { recursive: true }).find((path) => path.endsWith(`/${name}`));
  return found ? readFileSync(join(results, found), "utf8") : "";
}

function judge({ code, stderr }) {
  const checks = JSON.parse(result("checks.json") || "[]");
  const of = (status) => checks.filter((check) => check.status === status);
  const say = (check) => `${check.id}: ${check.errorMessage ?? check.description}`;
  const words = /Client exited with code[\s\S]*?Stderr:\n([\s\S]*?)\n(?:Results saved|\n)/.exec(stderr)?.[1] ?? "";
  const missed = of("FAILURE").length + of("WARNING").length;
  if (code === 0 && missed === 0 && of("SUCCESS").length > 0) return ["P", ""];
  if (stderr.includes("Client timed out")) return ["F", "timed out"];
  const said = words.split("\n").find((line) => /error/i.test(line))?.trim();
  const [failure] = of("FAILURE");
  if (failure) return ["F", [say(failure), said].filter(Boolean).join("; ")];
  if (words) return ["F", said ?? words.trim().split("\n")[0]];
  const [warning] = of("WARNING");
  return warning ? ["W", say(warning)] : ["F", stderr.trim().split("\n").at(-1)];
}

const keychain = await startKeychain();
// Extensions are on no revision's list, and run only where that is said to be meant.
const extension = /^auth\/(client-credentials|enterprise)-/.test(scenario) ? ["--force"] : [];
const suiteArguments = ["--import", join(here, "recorder.mjs"), suite, "client", "--command", `${process.execPath} ${join(here, "driver.mjs")}`];
const outcome = await run(
  process.execPath,
  [...suiteArguments, "--scenario", scenario, "--spec-version", revision, ...extension, "--timeout", String(6 * PATIENCE), "-o", results],
  {
    env: {
      ...session,
      HALLPASS: process.env.HALLPASS,
      CONFORMANCE_HOST: host,
      CONFORMANCE_CONNECTIONS: connections,
      ...(process.env.CONFORMANCE_CANARY && { CONFORMANCE_CANARY: "1" }),
    },
  },
);
await endProduct();
keychain.kill();
writeFileSync(join(results, "suite.txt"), `${outcome.stdout}\n${outcome.stderr}`);

const [verdict, reason] = judge(outcome);
const { count, unseen, list } = strangers();
const clean = (text) => text.replaceAll(/\s+/g, " ").trim().slice(0, 1000);
const columns = [verdict, clean(reason), String(count), clean(list.join("; ")), String(unseen), clean(result("stderr.txt"))];
process.stdout.write(`${columns.join("\t")}\n`);
process.exit(0);
