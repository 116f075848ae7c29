// Says something in a direct channel, through a client made of the contract, and reads it again.
import createClient from "openapi-fetch";
import type { components, paths } from "./im-push-gateway.js";

declare const process: { env: Record<string, string | undefined> };

type Channel = components["schemas"]["Channel"];

const env = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};
const gateway = createClient<paths>({ baseUrl: env("BASE_URL"), headers: { "x-user-id": env("SENDER") } });

/** What an answer holds; a problem ends the program. */
function held<T>(answer: { data?: T; error?: unknown }): T {
  if (answer.data === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.data;
}

const channel: Channel = held(await gateway.POST("/api/v1/channels", {
  body: { type: "direct", members: [env("RECEIVER")] },
}));
const path = { channel_id: channel.channel_id };
const sent = held(await gateway.POST("/api/v1/channels/{channel_id}/messages", {
  params: { path },
  body: { client_id: env("TEXT"), type: "text", content: { text: env("TEXT") } },
}));
const bulk = held(await gateway.POST("/api/v1/messages", {
  body: [{ channel_id: channel.channel_id, type: "picture", content: { url: "/p.png", width: 3 } }],
}));
const history = held(await gateway.GET("/api/v1/channels/{channel_id}/messages", { params: { path } }));
const read = history.items.map(({ type, content }) => (type === "text" ? content.text : content.url));
console.log(JSON.stringify({ ms_id: sent.ms_id, bulk: bulk.results[0]?.ms_id, read }));
