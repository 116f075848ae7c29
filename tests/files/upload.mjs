// Uploads a file as portals do, with tus-js-client, and goes on after every cut. What it prints last is the URL.
//
//   ENDPOINT=…/api/v1/files/uploads USER_ID=zhangsan FILE=… node upload.mjs
//
// The package is found in TUS_HOME, where tests/tools puts it.
import { createReadStream, statSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.TUS_HOME}/package.json`)
const tus = require('tus-js-client')

const { ENDPOINT, USER_ID, FILE, CHUNK } = process.env
let cuts = 0

const upload = new tus.Upload(createReadStream(FILE), {
  endpoint: ENDPOINT,
  headers: { 'x-user-id': USER_ID },
  metadata: { filename: '大文件.bin', filetype: 'application/octet-stream' },
  uploadSize: statSync(FILE).size,
  chunkSize: CHUNK ? Number(CHUNK) : Infinity,
  retryDelays: Array(100).fill(20),
  onShouldRetry: (error) => {
    cuts += 1
    console.log(JSON.stringify({ cut: cuts, status: error.originalResponse?.getStatus() ?? null }))
    return true
  },
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url, cuts })),
})
upload.start()
