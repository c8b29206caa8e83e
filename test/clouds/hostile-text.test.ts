import { inspect } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { input, rejection } from './fixtures.ts'
import { services } from './services.ts'

describe.each(Object.entries(services))('%s', (_name, start) => {
  test('cannot flood a log or control a terminal with the text of an error', async () => {
    const service = await start()
    onTestFinished(() => service.close())
    const signer = await service.load()
    service.fail('hostile text')
    const error = await rejection(signer.sign(input))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED' })
    expect(error.message.length).toBeLessThan(1000)
    const cause = error.cause as Error
    for (const shown of [inspect(error), error.stack, cause.message, cause.stack]) {
      expect(shown).not.toMatch(/[^\P{C}\n]/u)
      expect(shown?.length).toBeLessThan(10_000)
    }
    // The readable part of the text is still there.
    expect(cause.message).toMatch(/No access for you/)
  })
})
