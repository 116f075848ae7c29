// Talks over a socket with ws, and prints what it heard: node talk.mjs URL USER CHANNEL
//
// The package is found in SOCKETS_HOME, where tests/tools puts it.
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.SOCKETS_HOME}/package.json`)
const WebSocket = require('ws')

const [url, user, channel] = process.argv.slice(2)
const heard = { answers: [], words: [] }
const socket = new WebSocket(url, ['im.v1'], { headers: { 'x-user-id': user } })
const ask = (id, method, params) => socket.send(JSON.stringify({ id, method, params }))
socket.on('open', () => {
  heard.protocol = socket.protocol
  ask(1, 'ping')
  ask(2, 'send', { channel_id: channel, type: 'text', content: { text: 'from ws' }, client_id: 'ws-1' })
  ask(3, 'read', { channel_id: channel, seq: 1 })
  ask(4, 'drop')
  socket.ping('beat')
})
socket.on('pong', (data) => { heard.pong ??= data.toString() })
socket.on('message', (frame) => {
  const told = JSON.parse(frame)
  if (told.event === 'message.created') heard.words.push(told.data.data.content.text)
  if ('id' in told) heard.answers.push([told.id, told.problem?.type ?? Object.keys(told.result).sort()])
  if (heard.answers.length === 4 && heard.words.includes('from ws') && heard.pong) socket.close(1000, 'done')
})
socket.on('close', (code) => console.log(JSON.stringify({ ...heard, code })))
