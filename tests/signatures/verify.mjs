// Verifies requests as a receiver written in JavaScript does.
//
// Standard input: [{"secret": …, "headers": {…}, "body": base64}, …]; standard output: for each what the
// package read from it, or null where it refused. The argument is the folder that holds the package.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const { Webhook } = createRequire(`${process.argv[2]}/`)("standardwebhooks");

function verified({ secret, headers, body }) {
  try {
    return new Webhook(secret).verify(Buffer.from(body, "base64"), headers);
  } catch {
    return null;
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(verified)));
