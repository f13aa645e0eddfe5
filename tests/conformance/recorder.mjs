// Loaded into the conformance suite (`node --import`): writes down who connects to its mock servers.
//
// The suite judges an HTTP client, so it must be shown that the client which it judged is our bridge and agent and not
// the driver's own SDK. Each request becomes one JSON line in $CONFORMANCE_CONNECTIONS with its path, its User-Agent and
// the process at the other end of the connection, found through /proc (null: it was gone already, or may not be seen).
import { appendFileSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { subscribe } from "node:diagnostics_channel";

const record = process.env.CONFORMANCE_CONNECTIONS;
const owners = new WeakMap();

/** The inode of the socket whose own port is `remotePort` and whose peer is our `localPort`. */
function inodeOf(remotePort, localPort) {
  const port = (address) => Number.parseInt(address.slice(address.lastIndexOf(":") + 1), 16);
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const line of readFileSync(table, "utf8").split("\n").slice(1)) {
      const columns = line.trim().split(/\s+/);
      if (columns.length > 9 && port(columns[1]) === remotePort && port(columns[2]) === localPort) return columns[9];
    }
  }
  return undefined;
}

/** The process that holds the socket, or undefined where it may not be seen. */
function holderOf(inode) {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  // The youngest first: the suite must not be held up, or it sees requests in an order that is not the bridge's.
  for (const pid of pids.map(Number).sort((one, other) => other - one)) {
    try {
      for (const fd of readdirSync(`/proc/${pid}/fd`)) {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`) {
          const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").filter(Boolean);
          return { pid, exe: readlinkSync(`/proc/${pid}/exe`), argv: argv.slice(0, 3) };
        }
      }
    } catch {
      // Gone, or not ours to see.
    }
  }
  return undefined;
}

function ownerOf(socket) {
  if (!owners.has(socket)) {
    const inode = inodeOf(socket.remotePort, socket.localPort);
    owners.set(socket, inode && inode !== "0" ? holderOf(inode) : undefined);
  }
  return owners.get(socket);
}

// Not when the connection is made: that would hold up the first request of a new one behind later requests of others.
subscribe("http.server.request.start", ({ request, socket }) => {
  const line = {
    method: request.method,
    path: request.url.split("?")[0],
    agent: request.headers["user-agent"] ?? null,
    by: ownerOf(socket) ?? null,
  };
  appendFileSync(record, `${JSON.stringify(line)}\n`);
});
