"""Says something in a direct channel, through a client made of the contract, and reads it again."""

import importlib
import json
import os
import pkgutil

import gateway
from gateway import Client
from gateway.api.channels import create_channel
from gateway.api.messages import list_messages, send_message, send_messages
from gateway.models import AddressedMessage, ChannelType, Content, MessageType, NewChannel, NewMessage, Problem

# One module is loaded only where it is used, so that a broken one would go unseen.
for module in pkgutil.walk_packages(gateway.__path__, "gateway."):
    importlib.import_module(module.name)


def held(answer):
    """What an answer holds; a problem ends the program."""
    if answer is None or isinstance(answer, Problem):
        raise SystemExit(f"refused: {answer}")
    return answer


text = os.environ["TEXT"]
client = Client(base_url=os.environ["BASE_URL"], headers={"x-user-id": os.environ["SENDER"]}, raise_on_unexpected_status=True)
new = NewChannel(type_=ChannelType.DIRECT, members=[os.environ["RECEIVER"]])
channel = held(create_channel.sync(client=client, body=new)).channel_id
message = NewMessage(client_id=text, type_=MessageType.TEXT, content=Content(text=text))
sent = held(send_message.sync(channel, client=client, body=message))
picture = AddressedMessage(channel_id=channel, type_=MessageType.PICTURE, content=Content(url="/p.png", width=3))
bulk = held(send_messages.sync(client=client, body=[picture]))
history = held(list_messages.sync(channel, client=client))
read = [said.content.text if said.type_ == MessageType.TEXT else said.content.url for said in history.items]
print(json.dumps({"ms_id": sent.ms_id, "bulk": bulk.results[0].ms_id, "read": read}))
