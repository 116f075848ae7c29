"""Talks over a socket with websockets, and prints what it heard: python talk.py URL USER CHANNEL"""

import asyncio
import json
import sys

import websockets

url, user, channel = sys.argv[1:]


async def main():
    heard = {"answers": [], "words": []}
    headers = {"x-user-id": user}
    async with websockets.connect(url, subprotocols=["im.v1"], additional_headers=headers) as socket:
        heard["protocol"] = socket.subprotocol
        message = {"type": "text", "content": {"text": "from websockets"}, "client_id": "py-1"}
        for id, method, params in [
            (1, "ping", {}),
            (2, "send", {"channel_id": channel, **message}),
            (3, "read", {"channel_id": channel, "seq": 1}),
            (4, "drop", {}),
        ]:
            await socket.send(json.dumps({"id": id, "method": method, "params": params}))
        await (await socket.ping())
        heard["pong"] = "beat"
        while len(heard["answers"]) < 4 or "from websockets" not in heard["words"]:
            told = json.loads(await socket.recv())
            if told.get("event") == "message.created":
                heard["words"].append(told["data"]["data"]["content"]["text"])
            if "id" in told:
                problem = told.get("problem", {}).get("type")
                heard["answers"].append([told["id"], problem or sorted(told["result"])])
    heard["code"] = socket.close_code
    print(json.dumps(heard))


asyncio.run(main())
