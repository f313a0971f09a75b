#!/usr/bin/env node
// @xmpp/client (xmpp.js) against the server: two people, STARTTLS and direct TLS, carbons, archive, resumption, SASL2 with Bind 2
// and FAST.
//
//     client_xmppjs.mjs ROOM_FOR_MODULES [CHECK…]
//
// ROOM_FOR_MODULES is a folder with node_modules/@xmpp/client. Environment: C2S_PORT TLS_PORT DOMAIN OUT as printed by
// `conformance/server start`, and NODE_EXTRA_CA_CERTS, which makes node trust the server's CA.
// Prints one line a check; exit code 0 when all hold. Wire logs: OUT/xmppjs/CHECK.log.

import { execFileSync } from "node:child_process";
import { createWriteStream, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { randomUUID } from "node:crypto";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const require = createRequire(path.join(path.resolve(process.argv[2]), "index.js"));
const entry = path.join(path.dirname(require.resolve("@xmpp/client/package.json")), "index.js");
const { client, xml, jid } = await import(pathToFileURL(entry).href);

const only = process.argv.slice(3);
const { C2S_PORT, TLS_PORT, DOMAIN, OUT = "conformance/out" } = process.env;
const SERVER = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "server");
const PASSWORD = "what light through yonder window";
const WAIT_MS = 10_000;
const CHECK_MS_MAX = 60_000;

/** Thrown when the server (or the client) does not do what a check requires. */
class Failed extends Error {}

function need(condition, why) {
  if (!condition) throw new Failed(why);
}

/** One resource of one account; everything that arrives stands in `seen`. */
class Person {
  constructor(stage, name, { direct = false, resource = "phone", userAgent, credentials } = {}) {
    this.name = name;
    this.seen = [];
    this.waiting = new Set();
    this.xmpp = client({
      service: direct ? `xmpps://localhost:${TLS_PORT}` : `xmpp://localhost:${C2S_PORT}`,
      domain: DOMAIN,
      resource,
      username: name,
      password: PASSWORD,
      userAgent,
      credentials: credentials && { username: name, ...credentials },
    });
    this.top = [];
    // An empty write in the middle of a parse loses what follows a <success/> that resumes: see ../stacks/stack_xmppjs.mjs.
    const sendMany = this.xmpp.sendMany.bind(this.xmpp);
    this.xmpp.sendMany = async (stanzas) => stanzas.length && sendMany(stanzas);
    this.xmpp.reconnect.delay = 100;
    this.xmpp.timeout = WAIT_MS;
    this.xmpp.on("error", (error) => stage.log(this.name, "!", error.message));
    this.xmpp.on("element", (element) => {
      stage.log(this.name, "<", element);
      this.top.push(element);
    });
    this.xmpp.on("send", (element) => stage.log(this.name, ">", element));
    this.xmpp.on("stanza", (stanza) => {
      this.seen.push(stanza);
      for (const look of this.waiting) look();
    });
  }

  async login() {
    // xmpp.js 0.14 writes its header, waits for that, and only then listens for the answer: a server that is quick over direct TLS has
    // answered by then, and start() never ends although the client is online. (With SASL1 the second header hides it.)
    const online = new Promise((done) => this.xmpp.once("online", done));
    const started = this.xmpp.start();
    started.catch(() => {});
    this.jid = await Promise.race([online, started]);
    // "online" comes with the bound JID, before <enable/> went out: xmpp.js 0.14 drops the stream when a stanza overtakes it.
    for (let ms = 0; !this.xmpp.streamManagement.enabled && ms < WAIT_MS; ms += 20) await new Promise((done) => setTimeout(done, 20));
    need(this.xmpp.streamManagement.enabled, "stream management was not enabled");
    await this.xmpp.send(xml("presence"));
    await this.expect("its own presence", (s) => s.is("presence") && s.attrs.from === this.jid.toString());
    return this;
  }

  bare() {
    return this.jid.bare().toString();
  }

  /** The first stanza that satisfies `predicate`; fails after WAIT_MS. */
  expect(what, predicate) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.seen.find(predicate);
        if (found) finish(() => resolve(found));
      };
      const timer = setTimeout(() => finish(() => reject(new Failed(`${this.name} did not receive ${what}`))), WAIT_MS);
      const finish = (then) => {
        clearTimeout(timer);
        this.waiting.delete(look);
        then();
      };
      this.waiting.add(look);
      look();
    });
  }

  expectBody(text) {
    return this.expect(`the message "${text}"`, (s) => s.is("message") && s.getChildText("body") === text);
  }

  bodies() {
    return this.seen.filter((s) => s.is("message") && s.getChild("body")).map((s) => s.getChildText("body"));
  }

  say(to, text) {
    return this.xmpp.send(xml("message", { to, type: "chat", id: randomUUID() }, xml("body", {}, text)));
  }

  ask(iq) {
    return this.xmpp.iqCaller.request(iq, WAIT_MS);
  }
}

class Stage {
  constructor(name) {
    mkdirSync(path.join(OUT, "xmppjs"), { recursive: true });
    this.wire = createWriteStream(path.join(OUT, "xmppjs", `${name}.log`));
    this.name = name;
    this.people = [];
    this.accounts = new Set();
  }

  log(who, direction, text) {
    this.wire.write(`${new Date().toISOString().slice(11, 23)} ${who} ${direction} ${text}\n`);
  }

  person(who, options) {
    const name = `${who}-js-${this.name}`;
    if (!this.accounts.has(name)) {
      execFileSync("python3", [SERVER, "adduser", `${name}@${DOMAIN}`, PASSWORD], { timeout: 60_000 });
      this.accounts.add(name);
    }
    const person = new Person(this, name, options);
    this.people.push(person);
    return person;
  }

  async end() {
    for (const person of this.people) {
      person.xmpp.reconnect.stop();
      await Promise.race([person.xmpp.stop().catch(() => {}), new Promise((done) => setTimeout(done, 3000))]);
    }
    this.wire.end();
  }
}

/** SASL2's `<success/>` with such a child, among everything that came. */
const succeededWith = (person, name, ns) => person.top.some((e) => e.is("success", "urn:xmpp:sasl:2") && e.getChild(name, ns));

const unique = (text) => `${text} ${randomUUID().slice(0, 8)}`;

async function login(stage) {
  const lines = [];
  for (const direct of [false, true]) {
    const romeo = stage.person("romeo", { direct, resource: direct ? "direct" : "starttls" });
    await romeo.login();
    need(romeo.xmpp.isSecure(), "the stream is not encrypted");
    lines.push(`${direct ? "direct TLS" : "STARTTLS"} ${romeo.xmpp.socket.socket.getProtocol()} as ${romeo.jid}`);
  }
  return lines.join(", ");
}

async function conversation(stage) {
  const romeo = await stage.person("romeo").login();
  const juliet = await stage.person("juliet", { direct: true }).login();
  for (const [from, to, address] of [
    [romeo, juliet, juliet.bare()],
    [juliet, romeo, romeo.jid.toString()],
  ]) {
    const text = unique("it is the east <&> 𝄞");
    await from.say(address, text);
    const got = await to.expectBody(text);
    need(got.attrs.from === from.jid.toString(), `from is ${got.attrs.from}`);
  }
  return "chat both ways, by bare and full JID";
}

async function carbons(stage) {
  const romeo = await stage.person("romeo").login();
  const phone = await stage.person("juliet").login();
  const tablet = await stage.person("juliet", { resource: "tablet" }).login();
  for (const device of [phone, tablet]) {
    await device.ask(xml("iq", { type: "set" }, xml("enable", { xmlns: "urn:xmpp:carbons:2" })));
  }
  const text = unique("copied");
  await romeo.say(phone.jid.toString(), text);
  await phone.expectBody(text);
  await tablet.expect("the carbon", (s) => carbonBody(s, "received") === text);
  const answer = unique("answered");
  await tablet.say(romeo.bare(), answer);
  await phone.expect("the sent carbon", (s) => carbonBody(s, "sent") === answer);
  return "received and sent copies";
}

function carbonBody(stanza, direction) {
  const message = stanza.getChild(direction, "urn:xmpp:carbons:2")?.getChild("forwarded", "urn:xmpp:forward:0")?.getChild("message");
  return message?.getChildText("body");
}

async function archive(stage) {
  const romeo = await stage.person("romeo").login();
  const juliet = await stage.person("juliet").login();
  const address = juliet.bare();
  juliet.xmpp.reconnect.stop();
  await juliet.xmpp.stop();
  const missed = [1, 2, 3, 4, 5].map((n) => unique(`missed ${n}`));
  for (const text of missed) await romeo.say(address, text);
  await romeo.ask(xml("iq", { type: "get", to: DOMAIN }, xml("ping", { xmlns: "urn:xmpp:ping" })));
  const tablet = await stage.person("juliet", { resource: "tablet" }).login();
  const pages = [];
  const found = [];
  let after;
  for (let complete = false; !complete && pages.length < 10; ) {
    const queryid = randomUUID();
    const fin = await tablet.ask(
      xml(
        "iq",
        { type: "set" },
        xml(
          "query",
          { xmlns: "urn:xmpp:mam:2", queryid },
          xml("set", { xmlns: "http://jabber.org/protocol/rsm" }, xml("max", {}, "2"), after && xml("after", {}, after)),
        ),
      ),
    );
    const results = tablet.seen.map((s) => s.getChild("result", "urn:xmpp:mam:2")).filter((r) => r?.attrs.queryid === queryid);
    pages.push(results.length);
    for (const result of results) found.push(result.getChild("forwarded", "urn:xmpp:forward:0").getChild("message").getChildText("body"));
    after = results.at(-1)?.attrs.id ?? after;
    complete = fin.getChild("fin", "urn:xmpp:mam:2")?.attrs.complete === "true";
  }
  need(JSON.stringify(found) === JSON.stringify(missed), `caught up with ${JSON.stringify(found)}`);
  return `${found.length} messages in pages of ${pages}`;
}

async function resumption(stage) {
  const romeo = await stage.person("romeo").login();
  const juliet = await stage.person("juliet").login();
  need(juliet.xmpp.streamManagement.id, "the server gave no resumption id");
  const before = unique("before");
  await romeo.say(juliet.bare(), before);
  await juliet.expectBody(before);
  const resumed = new Promise((done, fail) => {
    juliet.xmpp.streamManagement.on("resumed", done);
    setTimeout(() => fail(new Failed("not resumed in time")), WAIT_MS);
  });
  juliet.xmpp.socket.socket.destroy();
  const missed = [1, 2, 3, 4, 5, 6].map((n) => unique(`cut ${n}`));
  for (const text of missed) await romeo.say(juliet.bare(), text);
  await resumed;
  const own = unique("back");
  await juliet.say(romeo.bare(), own);
  await romeo.expectBody(own);
  await juliet.expectBody(missed.at(-1));
  const all = juliet.bodies();
  need(JSON.stringify(all) === JSON.stringify([before, ...missed]), `after resumption: ${JSON.stringify(all)}`);
  return `${all.length} messages over a cut, exactly once and in order`;
}

/** SASL2, Bind 2 and a token; the same installation comes again without its password, and resumes in one step when it is cut. */
async function fast(stage) {
  const romeo = await stage.person("romeo").login();
  const userAgent = xml("user-agent", { id: randomUUID() }, xml("software", {}, "xmpp.js"), xml("device", {}, "a test"));
  const first = await stage.person("juliet", { userAgent, resource: "xmppjs" }).login();
  need(succeededWith(first, "bound", "urn:xmpp:bind:0"), "no session was bound inside SASL2");
  need(succeededWith(first, "token", "urn:xmpp:fast:0"), "no token came with the success");
  const token = await first.xmpp.fast.fetchToken();
  const address = first.jid.toString();
  need(address.includes("/xmppjs/"), `the tag is not in ${address}`);
  first.xmpp.reconnect.stop();
  await first.xmpp.stop();
  const second = await stage.person("juliet", { userAgent, resource: "xmppjs", credentials: { token } }).login();
  need(second.jid.toString() === address, `another address for the same client: ${second.jid}`);
  const text = unique("by token");
  await romeo.say(second.bare(), text);
  await second.expectBody(text);
  const resumed = new Promise((done) => second.xmpp.streamManagement.on("resumed", done));
  second.xmpp.socket.socket.destroy();
  await within(resumed, WAIT_MS);
  need(succeededWith(second, "resumed", "urn:xmpp:sm:3"), "it was not resumed inside SASL2");
  const back = unique("back");
  await romeo.say(second.bare(), back);
  await second.expectBody(back);
  return `${token.mechanism} as ${address}, resumed in one step`;
}

async function within(promise, ms) {
  let timer;
  const late = new Promise((_, fail) => (timer = setTimeout(() => fail(new Failed(`not done within ${ms / 1000} s`)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

let bad = 0;
for (const check of [login, conversation, carbons, archive, resumption, fast]) {
  if (only.length > 0 && !only.includes(check.name)) continue;
  const stage = new Stage(check.name);
  try {
    console.log(`ok xmppjs ${check.name}: ${await within(check(stage), CHECK_MS_MAX)}`);
  } catch (error) {
    bad += 1;
    stage.log("test", "!", error.stack);
    console.log(`FAIL xmppjs ${check.name}: ${String(error.message || error).replaceAll(/\s+/g, " ")}`);
  }
  await stage.end();
}
process.exit(bad === 0 ? 0 : 1);
