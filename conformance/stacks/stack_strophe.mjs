#!/usr/bin/env node
// strophe.js as a driver of the plays (README.md): stack_strophe.mjs FOLDER, which has node_modules/strophe.js and an
// XMLHttpRequest (the npm package xmlhttprequest-ssl), which node lacks and BOSH needs.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
globalThis.XMLHttpRequest = require("xmlhttprequest-ssl").XMLHttpRequest ?? require("xmlhttprequest-ssl");
const folder = path.dirname(require.resolve("strophe.js/package.json"));
const { Strophe, toStanza } = await import(pathToFileURL(path.join(folder, "dist", "strophe.node.esm.js")).href);
const { HTTP_PORT } = process.env;
const doors = { websocket: `ws://localhost:${HTTP_PORT}/xmpp-websocket`, bosh: `http://localhost:${HTTP_PORT}/http-bind` };
const own = { "SCRAM-SHA-512": "SASLSHA512", "SCRAM-SHA-384": "SASLSHA384", "SCRAM-SHA-256": "SASLSHA256", "SCRAM-SHA-1": "SASLSHA1", PLAIN: "SASLPlain" };
const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
tell({
  event: "knows",
  version: require("strophe.js/package.json").version,
  mechanisms: ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"],
  // In node its BOSH stops after the first answer; client_converse.py has it in a browser, where it is at home.
  doors: ["websocket"],
  resume: true,
  register: false,
});

let connection;
let cutting = false;
const actions = {
  login({ jid, password, door, mechanism }) {
    const mechanisms = mechanism ? [Strophe[own[mechanism]]] : undefined;
    // strophe.js has XEP-0198 over WebSocket only.
    connection = new Strophe.Connection(doors[door], { mechanisms, enableStreamManagement: door === "websocket" });
    connection.xmlInput = (element) => {
      for (const stanza of element.nodeName === "body" ? Array.from(element.childNodes) : [element]) {
        if (!["message", "presence", "iq"].includes(stanza.nodeName)) continue;
        if (!stanza.getAttribute("xmlns")) stanza.setAttribute("xmlns", "jabber:client");
        tell({ event: "stanza", xml: Strophe.serialize(stanza) });
      }
    };
    const connect = (address) => connection.connect(address, password, (status, why) => {
      const { CONNECTED, AUTHFAIL, CONNFAIL, DISCONNECTED, ERROR } = Strophe.Status;
      if (status === DISCONNECTED && cutting) {
        cutting = false;
        setTimeout(() => connect(connection.jid || jid), 100);
      } else if (cutting) return;
      else if (status === CONNECTED) tell({ event: "online", jid: connection.jid, resumed: connection.hasResumed() });
      else if ([AUTHFAIL, CONNFAIL, ERROR].includes(status)) tell({ event: "failed", why: `status ${status}: ${why}` });
    });
    connect(jid);
  },
  send({ xml }) {
    connection.send(toStanza(xml.replace(/^<(\w+)/, "<$1 xmlns='jabber:client'")));
  },
  cut() {
    cutting = true;
    connection._proto.socket.terminate();
  },
  async close() {
    connection?.disconnect("done");
    setTimeout(() => process.exit(0), 700);
  },
};
for await (const line of createInterface({ input: process.stdin })) {
  const { do: action, ...words } = JSON.parse(line);
  await actions[action](words);
}
