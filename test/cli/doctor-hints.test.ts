import { expect, test } from 'vitest'
import { hintsIn } from '../../packages/cli/src/doctor/refusal.ts'

test.each([
  ['client', "AADSTS700016: Application with identifier 'x' was not found in the directory 'y'."],
  ['client', 'Unknown client'],
  ['client', 'The requested OAuth 2.0 Client does not exist.'],
  ['client', "Invalid value for 'client_id' parameter."],
  ['client', 'client not found'],
  ['key', 'Signature on JWT token failed validation'],
  ['key', "Unable to verify the integrity of the 'client_assertion' value."],
  ['key', 'Unable to load public key'],
  ['key', 'no applicable key found in the JSON Web Key Set (jwks)'],
  ['clock', 'Token is not active'],
  ['clock', 'AADSTS700024: Client assertion is not within its valid time range.'],
  ['clock', 'The client_assertion token is expired.'],
  ['clock', 'jwt issued in the future'],
  ['audience', 'AADSTS700023: Client assertion audience claim does not match Realm issuer.'],
  ['audience', 'Invalid token audience'],
  ['algorithm', 'alg mismatch'],
  ['algorithm', "The 'client_assertion' uses signing algorithm 'RS256', which was not expected."],
])('"%s" is what a server means by "%s"', (candidate, description) => {
  expect(hintsIn(description)).toEqual([candidate])
})

test.each([
  undefined,
  '',
  'client authentication failed',
  'Invalid client or Invalid client credentials',
  'Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method).',
])('nothing is read into "%s"', (description) => {
  expect(hintsIn(description)).toEqual([])
})
