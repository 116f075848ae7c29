"""Sends what wechat_work_webhook can send to a robot, and prints what it answered: python wecom.py URL PICTURE"""

import json
import sys

import wechat_work_webhook

url, picture = sys.argv[1:]
robot = wechat_work_webhook.connect(url)
article = {"title": "构建 42", "description": "失败", "url": "https://ci.example/42", "picurl": "https://ci.example/42.png"}
answers = {
    "text": robot.text("构建失败", mentioned_list=["b"], mentioned_mobile_list=["@all"]),
    "markdown": robot.markdown('构建 <font color="warning">失败</font> <@b>'),
    "image": robot.image(picture),
    "news": robot.news([article]),
    "many": robot.news([article, article]),
    "file": robot.media("3a8asd892asd8asd"),
    "wrong": wechat_work_webhook.connect(url[:-1] + ("0" if url[-1] != "0" else "1")).text("x"),
}
print(json.dumps(answers))
