import { expect, test } from 'vitest'
import { describeClock, differs, readClock } from '../../packages/cli/src/doctor/requests.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { errorResponse } from '../servers/token-responses.js'
import { closing, examine, failedStep, startDoctorFixtures, step } from './doctor-fixtures.ts'

const now = Date.parse('2026-11-22T12:00:00.000Z')

const answerAt = (date: string, headers: Record<string, string> = {}) =>
  new Response(null, { headers: { date, ...headers } })

test('a clock is read to half a second, and to half the time that the answer took', () => {
  const reading = readClock(answerAt('Sun, 22 Nov 2026 12:05:00 GMT'), now, now + 2000)
  expect(reading).toEqual({ aheadSeconds: 299.5, toleranceSeconds: 1.5 })
  expect(reading && describeClock(reading, 'it')).toBe(
    'this clock is 5.0 min behind that of it (±1.5 s)',
  )
})

test('a whole second is not taken for a difference', () => {
  for (const milliseconds of [0, 250, 500, 999]) {
    const sent = now + milliseconds
    const reading = readClock(answerAt('Sun, 22 Nov 2026 12:00:00 GMT'), sent, sent)
    expect(reading && differs(reading)).toBe(false)
  }
})

test.each([
  ['there is none', new Response(null)],
  ['it is none', answerAt('yesterday')],
  ['a cache repeats it', answerAt('Sun, 22 Nov 2026 12:05:00 GMT', { age: '300' })],
])('no clock is read from a date when %s', (_what, response) => {
  expect(readClock(response, now, now)).toBeUndefined()
})

test('a server that does not send its time has its clock among the candidates', async () => {
  const { signer } = await startDoctorFixtures()
  const as = closing(
    await startScriptedAuthorizationServer({
      now: () => Number.NaN,
      token: () => errorResponse('invalid_client', { status: 401 }),
    }),
  )
  const steps = await examine(signer, { issuer: as.url })
  expect(step(steps, 'clock').state).toBe('warning')
  expect(failedStep(steps)).toMatchObject({
    name: 'token',
    candidates: ['clock', 'client', 'key', 'algorithm'],
  })
})
