import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { claimLogin } from '../src/login-claim.ts'

let n = 0
const aToken = () => `a token ${n++}`

/** Claims in a thread of its own, does with it what is asked, and tells what state it was in. */
async function inAnotherThread(token: string, then: 'release' | 'refused' | 'nothing') {
  const module = new URL('../dist/login-claim.js', import.meta.url).href
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     import(${JSON.stringify(module)}).then(async ({ claimLogin }) => {
       const claim = await claimLogin(${JSON.stringify(token)}, 0.2)
       claim?.[${JSON.stringify(then)}]?.()
       parentPort.postMessage(claim?.state)
     })`,
    { eval: true },
  )
  const [state] = await once(worker, 'message')
  await worker.terminate()
  return state
}

describe('the right to log in at a token', () => {
  test('is held by one at a time', async () => {
    const token = aToken()
    const first = await claimLogin(token, 0)
    expect(first?.state).toBe('held')
    const second = claimLogin(token, 5)
    setTimeout(() => first?.release(), 50)
    expect((await second)?.state).toBe('held')
    expect((await claimLogin(aToken(), 0))?.state).toBe('held')
  })

  test('is kept from every other thread once a PIN was refused, though that thread has ended', async () => {
    const token = aToken()
    expect(await inAnotherThread(token, 'refused')).toBe('held')
    expect((await claimLogin(token, 0))?.state).toBe('refused elsewhere')
    expect(await inAnotherThread(token, 'release')).toBe('refused elsewhere')
  })

  test('is not kept from the thread that knows which PIN it was', async () => {
    const token = aToken()
    const claim = await claimLogin(token, 0)
    claim?.refused()
    const again = await claimLogin(token, 0)
    expect(again?.state).toBe('held')
    again?.release()
    expect(await inAnotherThread(token, 'release')).toBe('held')
  })

  test('of a thread that ended under its login is taken over with the word for it', async () => {
    const token = aToken()
    expect(await inAnotherThread(token, 'nothing')).toBe('held')
    expect((await claimLogin(token, 0.1))?.state).toBe('abandoned')
  })
})
