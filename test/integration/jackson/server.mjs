// Jackson, the directory sync of Ory Polis (https://github.com/ory/polis), with its store in memory. It never shows the
// members of a group by SCIM. GET /state shows what it has stored.
import http from "node:http";
import jackson from "@boxyhq/saml-jackson";

const token = process.env.TOKEN;
const { directorySyncController: dsync } = await jackson.controllers({
  externalUrl: "http://127.0.0.1",
  samlAudience: "test",
  samlPath: "/sso",
  db: { engine: "mem" },
  noAnalytics: true,
});
const { data: directory, error } = await dsync.directories.create({
  name: "test", tenant: "test", product: "test", type: "generic-scim-v2", webhook_url: "", webhook_secret: "",
});
if (error) throw new Error(error.message);

async function call(req, path, query, body) {
  const [, , resourceType, resourceId] = path.split("/");
  return dsync.requests.handle({
    method: req.method,
    body: body ? JSON.parse(body) : undefined,
    directoryId: directory.id,
    resourceType,
    resourceId: resourceId && decodeURIComponent(resourceId),
    apiSecret: req.headers.authorization === `Bearer ${token}` ? directory.scim.secret : "wrong",
    query: {
      count: query.get("count") ? Number(query.get("count")) : undefined,
      startIndex: query.get("startIndex") ? Number(query.get("startIndex")) : undefined,
      filter: query.get("filter") ?? undefined,
    },
  });
}

async function state() {
  const scope = { directoryId: directory.id };
  const users = (await dsync.users.setTenantAndProduct("test", "test").getAll(scope)).data ?? [];
  const groups = (await dsync.groups.setTenantAndProduct("test", "test").getAll(scope)).data ?? [];
  const out = { users: {}, groups: {} };
  for (const u of users) out.users[u.email] = u.active;
  for (const g of groups) {
    out.groups[g.name] = [];
    for (const u of users) if (await dsync.groups.isUserInGroup(g.id, u.id)) out.groups[g.name].push(u.email);
  }
  return out;
}

const server = http.createServer(async (req, res) => {
  const chunks = [];
  for await (const c of req) chunks.push(c);
  const url = new URL(req.url, "http://127.0.0.1");
  try {
    const answer = url.pathname === "/state" ? { status: 200, data: await state() } : await call(req, url.pathname, url.searchParams, Buffer.concat(chunks).toString());
    res.writeHead(answer.status, { "Content-Type": "application/scim+json" });
    res.end(answer.data === undefined || answer.data === null ? "" : JSON.stringify(answer.data));
  } catch (e) {
    res.writeHead(500, { "Content-Type": "text/plain" });
    res.end(String(e?.stack ?? e));
  }
});
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
