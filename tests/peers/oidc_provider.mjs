// A certified OpenID provider (oidc-provider) as authorization server on 127.0.0.1, so that sign-in and refresh are
// proved against code that is not ours. Prints one JSON line when ready; everything else goes to stderr.
//
// env  PORT (0)  ACCESS_TOKEN_SECONDS (30)  REFRESH_TOKEN_SECONDS (86400)  RESOURCE_SCOPES ("mcp:call")
//      REGISTRATION ("open", "off")  USERINFO_ONLY ("1": e-mail and name only at userinfo)
//      ISSUER (what it calls itself where somebody stands in front of it; requests come with that host)
//      STATIC_CLIENTS (JSON list of pre-registered clients in the words of RFC 7591)
// GET  /_stats    counters and which User-Agent asked for which path
// GET  /_issued   every secret handed out or received so far: the scanner's list
// POST /_control  {"token": "ok" | "down" | "lose_reply", "delay_ms": 0, "revoke_all": true}
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

console.info = console.error; // the provider's notices must not mix with the ready line

const seconds = (name, fallback) => Number(process.env[name] ?? fallback);
const accessTokenSeconds = seconds("ACCESS_TOKEN_SECONDS", 30);
const resourceScopes = process.env.RESOURCE_SCOPES ?? "mcp:call";

const stats = {
  authorizations: 0,
  denied: 0,
  registrations: 0,
  code_exchanges: 0,
  refreshes: 0,
  reuses: 0,
  // Refresh tokens ended because a used one came back; a sign-out (RFC 7009) counts below.
  families_revoked: 0,
  revocations: 0,
  token_errors: [],
  // [{at, subject, client}], in order: who was signed in or refreshed when.
  exchanges: [],
  // {"<path>": {"<user agent>": count}}
  seen: {},
};
const issued = new Map();
const control = { token: "ok", delay_ms: 0 };

const remember = (kind, value) => {
  if (typeof value === "string" && value.length >= 8) issued.set(value, kind);
};

/** Keeps every record for the life of the process; the provider's own memory store forgets after a thousand. */
const records = new Map();
class Records {
  constructor(model) {
    this.model = model;
  }
  key(id) {
    return `${this.model}:${id}`;
  }
  async upsert(id, payload, expiresIn) {
    records.set(this.key(id), { payload, expires: expiresIn ? Date.now() + expiresIn * 1000 : Infinity });
  }
  async find(id) {
    const record = records.get(this.key(id));
    return record && record.expires > Date.now() ? record.payload : undefined;
  }
  async #findBy(field, value) {
    for (const [key, { payload }] of records) {
      if (key.startsWith(`${this.model}:`) && payload[field] === value) return payload;
    }
    return undefined;
  }
  async findByUid(uid) {
    return this.#findBy("uid", uid);
  }
  async findByUserCode(code) {
    return this.#findBy("userCode", code);
  }
  async consume(id) {
    const record = records.get(this.key(id));
    if (record) record.payload.consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    records.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of records) {
      if (key.startsWith(`${this.model}:`) && payload.grantId === grantId) records.delete(key);
    }
  }
}

const signingKey = {
  ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
  use: "sig",
  alg: "RS256",
  kid: "peer-1",
};

const configuration = {
  adapter: Records,
  jwks: { keys: [signingKey] },
  clients: JSON.parse(process.env.STATIC_CLIENTS ?? "[]"),
  scopes: ["openid", "offline_access", "email", "profile"],
  claims: { openid: ["sub", "email", "email_verified", "name"], email: [], profile: [] },
  conformIdTokenClaims: process.env.USERINFO_ONLY === "1",
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (_ctx, client) => client.grantTypeAllowed("refresh_token"),
  expiresWithSession: async () => false,
  cookies: { keys: ["peer-cookie-key"] },
  ttl: {
    AccessToken: accessTokenSeconds,
    AuthorizationCode: 60,
    Grant: 86_400,
    IdToken: 3_600,
    Interaction: 600,
    RefreshToken: seconds("REFRESH_TOKEN_SECONDS", 86_400),
    Session: 86_400,
  },
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: process.env.REGISTRATION !== "off" },
    revocation: { enabled: true },
    userinfo: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, _client, requested) => requested,
      useGrantedResource: async () => false,
      getResourceServerInfo: async (_ctx, resource) => ({
        scope: resourceScopes,
        audience: resource,
        accessTokenTTL: accessTokenSeconds,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
  // Any login name is a person.
  findAccount: async (_ctx, subject) => ({
    accountId: subject,
    claims: async () => ({
      sub: subject,
      email: subject.includes("@") ? subject : `${subject}@peers.example`,
      email_verified: true,
      name: subject.split("@")[0],
    }),
  }),
};

function watch(provider) {
  provider.on("authorization.success", () => (stats.authorizations += 1));
  provider.on("authorization.error", () => (stats.denied += 1));
  provider.on("registration_create.success", () => (stats.registrations += 1));
  provider.on("grant.revoked", (ctx) => {
    if (ctx.path === "/token") stats.families_revoked += 1;
  });
  provider.on("grant.success", (ctx) => {
    const grantType = ctx.oidc.params.grant_type;
    if (grantType === "refresh_token") stats.refreshes += 1;
    if (grantType === "authorization_code") stats.code_exchanges += 1;
    stats.exchanges.push({
      at: Date.now(),
      grant_type: grantType,
      subject: ctx.oidc.account?.accountId,
      client: ctx.oidc.client?.clientId,
      rotation: ctx.oidc.entities.RefreshToken?.rotations ?? 0,
    });
  });
  provider.on("grant.error", (ctx, error) => {
    if (error.error_detail === "refresh token already used") stats.reuses += 1;
    stats.token_errors.push(`${error.error}: ${error.error_detail ?? error.error_description}`);
  });

  provider.use(async (ctx, next) => {
    const path = ctx.path.replace(/^\/(auth|interaction|reg)\/.*/, "/$1/*");
    const agent = ctx.get("user-agent") || "none";
    stats.seen[path] ??= {};
    stats.seen[path][agent] = (stats.seen[path][agent] ?? 0) + 1;

    const isToken = ctx.path === "/token";
    if (isToken && control.delay_ms > 0) await new Promise((done) => setTimeout(done, control.delay_ms));
    if (isToken && control.token === "down") {
      ctx.status = 503;
      ctx.body = "down for maintenance";
      return;
    }
    await next();
    if (ctx.path === "/token/revocation") stats.revocations += 1;
    for (const name of ["code", "code_verifier", "client_secret", "refresh_token"]) remember(name, ctx.oidc?.body?.[name]);
    for (const name of ["access_token", "refresh_token", "id_token", "client_secret", "registration_access_token"]) {
      remember(name, ctx.body?.[name]);
    }
    const location = ctx.response.get("location");
    if (location && URL.canParse(location)) remember("code", new URL(location).searchParams.get("code"));
    // Done and rotated, but nobody hears of it.
    if (isToken && control.token === "lose_reply" && ctx.status === 200) ctx.res.socket.destroy();
  });
}

async function readJson(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return JSON.parse(text || "{}");
}

/** Revokes every refresh token, as an administrator would. */
function revokeAll() {
  for (const key of [...records.keys()]) {
    if (key.startsWith("RefreshToken:") || key.startsWith("Grant:")) records.delete(key);
  }
}

const server = createServer();
server.listen(seconds("PORT", 0), "127.0.0.1", () => {
  const listens = `http://127.0.0.1:${server.address().port}`;
  const issuer = process.env.ISSUER ?? listens;
  const provider = new Provider(issuer, configuration);
  watch(provider);
  const serve = provider.callback();
  server.on("request", async (request, response) => {
    const answer = (value) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(value));
    };
    if (request.url === "/_stats") return answer(stats);
    if (request.url === "/_issued") return answer([...issued].map(([value, kind]) => ({ kind, value })));
    if (request.url === "/_control" && request.method === "POST") {
      const { revoke_all: revoke, ...settings } = await readJson(request);
      Object.assign(control, settings);
      if (revoke) revokeAll();
      return answer(control);
    }
    return serve(request, response);
  });
  process.stdout.write(`${JSON.stringify({ ready: true, issuer, listens, pid: process.pid })}\n`);
});
