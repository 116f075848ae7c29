"""Sends what DingtalkChatbot can send to a robot, and prints what it answered: python dingtalk.py URL SECRET"""

import json
import sys
import time

from dingtalkchatbot.chatbot import ActionCard, CardItem, DingtalkChatbot

url, secret = sys.argv[1:]
bot = DingtalkChatbot(url, secret=secret)
page = "https://ci.example/42?a=b"
answers = {
    "text": bot.send_text("构建失败", at_dingtalk_ids=["b"], is_at_all=False),
    "markdown": bot.send_markdown("构建", f"#### 构建 42\n[日志]({page})", is_at_all=True),
    "link": bot.send_link("构建 42", "失败", page, pic_url="https://ci.example/42.png"),
    "single": bot.send_action_card(ActionCard("发布", "### 发布?", [CardItem("看看", page)])),
    "buttons": bot.send_action_card(ActionCard("发布", "### 发布?", [CardItem("好", page), CardItem("不", page)])),
    "feed": bot.send_feed_card([CardItem("一", page, "https://ci.example/1.png"), CardItem("二", page, "https://ci.example/2.png")]),
    "image": bot.send_image("https://ci.example/42.png"),
}
bot.start_time -= 3700
bot.update_webhook()
bot.start_time = time.time()
answers["old"] = bot.send_text("x")
answers["forged"] = DingtalkChatbot(url, secret="SEC" + "0" * 64).send_text("x")
answers["unsigned"] = DingtalkChatbot(url).send_text("x")
answers["nowhere"] = DingtalkChatbot(url.replace("impr_", "impr-"), secret=secret).send_text("x")
print(json.dumps(answers))
