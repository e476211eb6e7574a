// SPDX-License-Identifier: MIT
// Receives webhooks with the packages that receivers use: standardwebhooks (HMAC; ed25519 is checked with node's crypto, since the
// package has none) and cloudevents.
//
//   node receiver.js CONFIGURATION     in a folder with node_modules; prints {"port": …}, then one line of JSON for each request
//
// CONFIGURATION: {"secrets": ["whsec_…"], "publicKeys": ["whpk_…"]}
"use strict";
const http = require("node:http");
const path = require("node:path");
const crypto = require("node:crypto");
const { createRequire } = require("node:module");
const installed = createRequire(path.join(process.cwd(), "receiver.js"));
const { Webhook } = installed("standardwebhooks");
const { HTTP } = installed("cloudevents");

const configuration = JSON.parse(process.argv[2]);
const seen = new Set();
let failures = 0; // how many of the next requests are refused with 500

function ed25519(publicKey, headers, body) {
  const der = Buffer.concat([
    Buffer.from("302a300506032b6570032100", "hex"), // SubjectPublicKeyInfo of ed25519, RFC 8410 4
    Buffer.from(publicKey.slice("whpk_".length), "base64"),
  ]);
  const key = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
  const start = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`);
  return headers["webhook-signature"]
    .split(" ")
    .filter((one) => one.startsWith("v1a,"))
    .some((one) => crypto.verify(null, Buffer.concat([start, body]), key, Buffer.from(one.slice(4), "base64")));
}

// What each key says: "verified", or why not.
function verify(headers, body) {
  const said = {};
  for (const secret of configuration.secrets) {
    try {
      new Webhook(secret).verify(body.toString(), headers);
      said[secret] = "verified";
    } catch (problem) {
      said[secret] = problem.message;
    }
  }
  for (const key of configuration.publicKeys) said[key] = ed25519(key, headers, body) ? "verified" : "No match";
  return said;
}

function standardWebhook(headers, body) {
  const keys = verify(headers, body);
  const verified = Object.values(keys).includes("verified");
  const id = headers["webhook-id"];
  const replayed = verified && failures === 0 && seen.has(id);
  let status = !verified ? 400 : replayed ? 409 : 204;
  if (verified && failures > 0) {
    failures -= 1;
    status = 500;
  }
  if (status === 204) seen.add(id);
  return { status, keys };
}

function cloudEvent(headers, body) {
  try {
    const binary = (headers["content-type"] || "").startsWith("application/octet-stream");
    const read = HTTP.toEvent({ headers, body: binary ? body : body.toString() });
    return { status: 204, events: (Array.isArray(read) ? read : [read]).map((one) => one.toJSON()) };
  } catch (problem) {
    return { status: 400, problem: problem.message };
  }
}

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks);
    const url = new URL(request.url, "http://receiver");
    if (url.searchParams.has("failures") && seen.size === 0 && !server.asked) {
      server.asked = true;
      failures = Number(url.searchParams.get("failures"));
    }
    const result = url.pathname === "/cloudevents" ? cloudEvent(request.headers, body) : standardWebhook(request.headers, body);
    process.stdout.write(
      JSON.stringify({ ...result, headers: request.headers, body: body.toString("base64"), target: request.url }) + "\n",
    );
    response.writeHead(result.status).end();
  });
});
server.listen(0, "127.0.0.1", () => process.stdout.write(JSON.stringify({ port: server.address().port }) + "\n"));
process.stdin.on("end", () => process.exit(0)).resume(); // ends with whoever started it
