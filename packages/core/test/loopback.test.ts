import { isLoopback, mayBeLoopback } from '@countersign/core/backend'
import { expect, it } from 'vitest'

const hostname = (host: string) => new URL(`http://${host}:8080/`).hostname

it.each([
  ...['localhost', 'LOCALHOST', '127.0.0.1', '127.1', '0x7f.1', '2130706433', '017700000001'],
  ...['１２７.0.0.1', '127.255.255.254', '[::1]', '[0:0:0:0:0:0:0:1]'],
])('%s is loopback', (host) => {
  expect([isLoopback(hostname(host)), mayBeLoopback(hostname(host))]).toEqual([true, true])
})

it.each([
  ...['localhost.', 'vault.localhost', 'a.b.localhost.', '0', '0.0.0.0', '0.1.2.3', '[::]'],
  ...['[::ffff:127.0.0.1]', '[::ffff:127.255.0.1]', '[::ffff:0.0.0.0]', '[::ffff:0.1.2.3]'],
])('%s may reach this machine, but is not trusted as loopback', (host) => {
  expect([isLoopback(hostname(host)), mayBeLoopback(hostname(host))]).toEqual([false, true])
})

it.each([
  ...['example.com', 'localhost.example.com', 'notlocalhost', '128.0.0.1', '126.0.0.1', '10.0.0.1'],
  ...['127.0.0.1.example.com', '[::2]', '[fe80::1]', '[::ffff:128.0.0.1]', '[::ffff:10.0.0.1]'],
])('%s is not this machine', (host) => {
  expect([isLoopback(hostname(host)), mayBeLoopback(hostname(host))]).toEqual([false, false])
})
