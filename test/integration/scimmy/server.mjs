// SCIMMY (https://github.com/scimmyjs) with a store in memory. GET /state shows what is stored, POST /seed stores users and
// groups past SCIM, PUT /token changes the token.
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

let token = process.env.TOKEN;
const store = { users: new Map(), groups: new Map() };
let last = 0;

function handlers(map, unique) {
  return {
    ingress(resource, data) {
      const id = resource.id ?? String(++last);
      if (resource.id && !map.has(id)) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
      const taken = [...map.values()].some((o) => o.id !== id && o[unique]?.toLowerCase() === data[unique]?.toLowerCase());
      if (taken) throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} is taken`);
      const stored = { ...JSON.parse(JSON.stringify(data)), id };
      map.set(id, stored);
      return stored;
    },
    egress(resource) {
      if (resource.id) {
        if (!map.has(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
        return map.get(resource.id);
      }
      const all = [...map.values()];
      return resource.filter ? resource.filter.match(all) : all;
    },
    degress(resource) {
      if (!map.delete(resource.id)) throw new SCIMMY.Types.Error(404, null, `Resource ${resource.id} not found`);
      for (const g of store.groups.values()) g.members = (g.members ?? []).filter((m) => m.value !== resource.id);
    },
  };
}

SCIMMY.Resources.declare(SCIMMY.Resources.User, handlers(store.users, "userName"));
SCIMMY.Resources.declare(SCIMMY.Resources.Group, handlers(store.groups, "displayName"));

const app = express();
// Express 5 makes the query anew each time it is read; scimmy-routers casts the numbers in it.
app.use((req, _, next) => {
  Object.defineProperty(req, "query", { value: { ...req.query } });
  next();
});
app.get("/state", (_, res) => {
  const names = Object.fromEntries([...store.users.values()].map((u) => [u.id, u.userName]));
  res.json({
    users: Object.fromEntries([...store.users.values()].map((u) => [u.userName, u.active !== false])),
    groups: Object.fromEntries([...store.groups.values()].map((g) => [g.displayName, (g.members ?? []).map((m) => names[m.value] ?? m.value)])),
  });
});
app.post("/seed", express.json({ limit: "4mb" }), (req, res) => {
  for (const userName of req.body.users ?? []) {
    const id = String(++last);
    store.users.set(id, { id, userName, displayName: userName, active: true });
  }
  const ids = new Map([...store.users.values()].map((u) => [u.userName, u.id]));
  for (const [displayName, members] of Object.entries(req.body.groups ?? {})) {
    const id = String(++last);
    store.groups.set(id, { id, displayName, members: members.map((m) => ({ value: ids.get(m) })) });
  }
  res.sendStatus(204);
});
app.put("/token", express.text(), (req, res) => {
  token = req.body;
  res.sendStatus(204);
});
app.use("/scim", new SCIMMYRouters({
  type: "bearer",
  handler: (req) => {
    if (req.header("Authorization") !== `Bearer ${token}`) throw new Error("the token is not known");
    return "";
  },
}));
const server = app.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
process.on("SIGTERM", () => process.exit(0));
