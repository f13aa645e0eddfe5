// The built UI behind its own content security policy, one Chromium for all, and the tally of checks.
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { delimiter, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const dist = fileURLToPath(new URL("../dist", import.meta.url));

/** Opens the stage: `page(options)` gives a fresh page, `close()` ends everything. */
export async function openStage() {
  const named = process.env["CHROMIUM"];
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  // The same names as in xtask/src/setup.rs.
  const found = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => folders.map((folder) => join(folder, name)));
  const executablePath = named ?? found.find((path) => existsSync(path));
  if (executablePath === undefined) {
    throw new Error("no Chromium found: run `cargo xtask setup`, or name one in the variable CHROMIUM");
  }
  const csp = JSON.parse(readFileSync(join(dist, "../../tauri.conf.json"), "utf8")).app.security.csp;
  const server = createServer((request, response) => serve(csp, new URL(request.url ?? "/", "http://localhost").pathname, response));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}/`;
  // Without a graphics card Chromium would draw through an emulated one.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  const usual = { viewport: { width: 960, height: 660 }, reducedMotion: "reduce", locale: "en-GB", timezoneId: "UTC" };
  // Pages that ask for nothing special share one: the window keeps nothing in the browser, and each new one loads all anew.
  const shared = await browser.newContext(usual);
  return {
    browser,
    /** A page in a scene; `complaints` collects what its console says. */
    async page(search, options = {}) {
      const own = Object.keys(options).length === 0 ? null : await browser.newContext({ ...usual, ...options });
      const page = await (own ?? shared).newPage();
      page.setDefaultTimeout(PATIENCE);
      const complaints = [];
      page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
      page.on("pageerror", (error) => complaints.push(error.message));
      if (options.now !== undefined) {
        await page.clock.setFixedTime(options.now);
      }
      if (options.install !== undefined) {
        await page.clock.install({ time: options.install });
      }
      await page.goto(`${base}?${search}`);
      return { page, complaints, end: () => (own ?? page).close() };
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}

/** Counts checks and remembers what went wrong. */
export class Tally {
  passed = 0;
  problems = [];

  async check(name, body) {
    try {
      await body();
      this.passed += 1;
    } catch (error) {
      this.problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Runs tasks, a few at a time. */
export async function together(tasks, width = 3) {
  const queue = [...tasks];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let task = queue.shift(); task !== undefined; task = queue.shift()) {
        await task();
      }
    }),
  );
}

/** Throws, saying what was expected. */
export function expect(truth, words) {
  if (!truth) {
    throw new Error(words);
  }
}

function serve(csp, pathname, response) {
  const path = normalize(join(dist, pathname === "/" ? "index.html" : pathname));
  if (!path.startsWith(dist) || !existsSync(path)) {
    response.writeHead(404).end();
    return;
  }
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
  // `ipc:` is a scheme of the window alone; the rest of its policy holds here word for word.
  response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream", "content-security-policy": csp });
  response.end(readFileSync(path));
}

/** Milliseconds that something may take to appear, whatever the machine is doing besides. */
const PATIENCE = 60_000;
