// Sends what dingtalk-robot-sender can send to a robot, and prints what it answered: node send.mjs URL SECRET
//
// The package is found in ROBOTS_HOME, where tests/tools puts it.
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.ROBOTS_HOME}/package.json`)
const ChatBot = require('dingtalk-robot-sender')

const [webhook, secret] = process.argv.slice(2)
const bot = new ChatBot({ webhook, secret })
const page = 'https://ci.example/42'
const answers = {}
const keep = async (name, sent) => (answers[name] = (await sent).data)
await keep('text', bot.text('构建失败', { atMobiles: ['13800000000'], isAtAll: false }))
await keep('markdown', bot.markdown('构建', '#### 构建 42', { isAtAll: true }))
await keep('link', bot.link({ title: '构建 42', text: '失败', messageUrl: page, picUrl: '' }))
await keep('card', bot.actionCard({ title: '发布', text: '### 发布?', btns: [{ title: '好', actionURL: page }] }))
await keep('feed', bot.feedCard([{ title: '一', messageURL: page, picURL: '' }]))
await keep('forged', new ChatBot({ webhook, secret: 'SEC0' }).text('x'))
console.log(JSON.stringify(answers))
