#!/usr/bin/env node
// strophe.js as a driver of the plays (README.md): stack_strophe.mjs FOLDER, which has node_modules/strophe.js and an
// XMLHttpRequest (the npm package xmlhttprequest-ssl), which node lacks and BOSH needs.

import { Agent } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const { XMLHttpRequest: Plain } = require("xmlhttprequest-ssl");
const agent = new Agent();
globalThis.XMLHttpRequest = class extends Plain {
  constructor() {
    // strophe.js 5.0 parses the text where there is no responseXML, and then forgets what it parsed (Request.getResponse).
    super({ agent, xmlParser: (text) => new DOMParser().parseFromString(text, "text/xml") });
  }
};
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
  doors: Object.keys(doors),
  resume: true,
  register: true,
});

let connection;
let bosh = false;
let cutting = false;

/** An iq before there is a session: strophe.js lets only its own handlers hear the answer then. */
const early = (payload) => new Promise((done, fail) => {
  const id = connection.getUniqueId("register");
  connection._addSysHandler((answer) => {
    if (answer.getAttribute("type") === "result") done();
    else fail(new Error(Strophe.serialize(answer)));
    return false;
  }, null, "iq", null, id);
  const to = Strophe.getDomainFromJid(connection.jid);
  connection.send(toStanza(`<iq xmlns='jabber:client' type='set' id='${id}' to='${to}'>${payload}</iq>`));
});

/** strophe.js has no in-band registration: the token (XEP-0445) and the account (XEP-0077), before it authenticates. */
async function register(jid, password, token) {
  await early(`<preauth xmlns='urn:xmpp:pars:0' token='${token}'/>`);
  const [username, word] = [Strophe.getNodeFromJid(jid), password].map((text) => Strophe.xmlescape(text));
  await early(`<query xmlns='jabber:iq:register'><username>${username}</username><password>${word}</password></query>`);
}

const actions = {
  login({ jid, password, door, mechanism, token }) {
    bosh = door === "bosh";
    const mechanisms = mechanism ? [Strophe[own[mechanism]]] : undefined;
    // strophe.js has XEP-0198 over WebSocket only; BOSH has its own way over a lost connection.
    connection = new Strophe.Connection(doors[door], { mechanisms, enableStreamManagement: !bosh });
    if (token) {
      const authenticate = connection.authenticate.bind(connection);
      connection.authenticate = (offered) => {
        connection.authenticate = authenticate;
        register(jid, password, token).then(() => authenticate(offered), (why) => tell({ event: "failed", why: String(why) }));
      };
    }
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
    if (bosh) {
      // Its requests are lost with their connections; it sends them again, with the same ids (XEP-0124 14.2).
      for (const socket of Object.values(agent.sockets).flat()) socket.destroy();
      return tell({ event: "online", jid: connection.jid, resumed: true });
    }
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
