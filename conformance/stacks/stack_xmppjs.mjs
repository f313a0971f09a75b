#!/usr/bin/env node
// @xmpp/client (xmpp.js) as a driver of the plays (README.md): stack_xmppjs.mjs FOLDER, which has node_modules/@xmpp/client.
// It takes SASL2 with Bind 2 inline when the server offers them.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

// node 20 has no WebSocket of its own; xmpp.js looks for the browser's.
const require = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
globalThis.WebSocket ??= require("ws");
const at = (name) => path.join(path.dirname(require.resolve("@xmpp/client/package.json")), "..", "..", name);
const entry = path.join(path.dirname(require.resolve("@xmpp/client/package.json")), "index.js");
const { client, xml, jid: parseJid } = await import(pathToFileURL(entry).href);
const parse = (await import(pathToFileURL(at("@xmpp/xml/lib/parse.js")).href)).default;
const { C2S_PORT, TLS_PORT, HTTPS_PORT } = process.env;
const doors = {
  starttls: `xmpp://localhost:${C2S_PORT}`,
  "direct-tls": `xmpps://localhost:${TLS_PORT}`,
  websocket: `wss://localhost:${HTTPS_PORT}/xmpp-websocket`,
};
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
tell({
  event: "knows",
  version: require("@xmpp/client/package.json").version,
  mechanisms: ["SCRAM-SHA-1", "PLAIN"],
  doors: Object.keys(doors),
  resume: true,
  register: true,
});

let xmpp;

/** xmpp.js has no in-band registration: the token (XEP-0445) and the account (XEP-0077), before it authenticates. */
async function register(domain, username, password, token) {
  for (const payload of [
    xml("preauth", { xmlns: "urn:xmpp:pars:0", token }),
    xml("query", { xmlns: "jabber:iq:register" }, xml("username", {}, username), xml("password", {}, password)),
  ]) {
    const answer = await xmpp.sendReceive(xml("iq", { type: "set", id: "register", to: domain }, payload), 25_000);
    if (answer.attrs.type !== "result") throw new Error(`registration: ${answer}`);
  }
}

const actions = {
  login({ jid, password, door, mechanism, token }) {
    const { local, domain, resource } = parseJid(jid);
    xmpp = client({
      service: doors[door],
      domain,
      resource,
      credentials: async (authenticate, mechanisms) => {
        const known = mechanism ?? mechanisms.find((one) => ["SCRAM-SHA-1", "PLAIN"].includes(one));
        if (!mechanisms.includes(known)) throw new Error(`${known} is not among ${mechanisms}`);
        if (token) await register(domain, local, password, token);
        token = undefined;
        await authenticate({ username: local, password }, known);
      },
    });
    // xmpp.js 0.14 sends its empty queue again while it still parses the <success/> that resumes. An empty write makes node's TLS
    // hand over the next record at once (TLSWrap::DoWrite), in the middle of that parse, and the stanza after <success/> is lost.
    const sendMany = xmpp.sendMany.bind(xmpp);
    xmpp.sendMany = async (stanzas) => stanzas.length && sendMany(stanzas);
    xmpp.reconnect.delay = 100;
    xmpp.timeout = 40_000;
    for (const [event, sign] of [["element", "<"], ["send", ">"]]) xmpp.on(event, (element) => console.error(sign, String(element)));
    xmpp.on("error", (error) => {
      console.error(String(error));
      if (error.name === "SASLError") tell({ event: "failed", why: String(error) });
    });
    xmpp.on("stanza", (stanza) => {
      stanza.attrs.xmlns ??= "jabber:client";
      tell({ event: "stanza", xml: stanza.toString() });
    });
    xmpp.streamManagement.on?.("resumed", () => tell({ event: "online", jid: xmpp.jid.toString(), resumed: true }));
    xmpp.on("online", async (address) => {
      // xmpp.js 0.14 drops the stream when a stanza overtakes <enable/>.
      for (let ms = 0; !xmpp.streamManagement.enabled && ms < 3000; ms += 20) await new Promise((done) => setTimeout(done, 20));
      tell({ event: "online", jid: address.toString(), resumed: false });
    });
    xmpp.start().catch((error) => tell({ event: "failed", why: String(error) }));
  },
  send({ xml: text }) {
    xmpp.send(parse(text)).catch((error) => console.error(String(error)));
  },
  cut() {
    xmpp.socket.end ? (xmpp.socket.destroy?.() ?? xmpp.socket.end()) : xmpp.socket.close();
  },
  async close() {
    if (xmpp) await Promise.race([xmpp.stop(), new Promise((done) => setTimeout(done, 1500))]).catch(() => {});
    process.exit(0);
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const { do: action, ...words } = JSON.parse(line);
  await actions[action](words);
}
