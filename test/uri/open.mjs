// @ts-check
// Makes a client assertion with the key of each URI in its arguments, and prints each outcome on a line.
import { writeSync } from 'node:fs'
import { clientAssertion } from '@countersign/core'
import { signerFromUri } from '@countersign/uri'

const { AZURE_CREDENTIAL: token, TIMEOUT_SECONDS: seconds } = process.env
const options = {
  ...(seconds === undefined ? {} : { timeoutSeconds: Number(seconds) }),
  ...(token === undefined
    ? {}
    : {
        azureCredential: {
          getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
        },
      }),
}

/** @param {object} outcome */
const say = (outcome) => void writeSync(1, `${JSON.stringify(outcome)}\n`)

for (const uri of process.argv.slice(2)) {
  try {
    const signer = await signerFromUri(uri, options)
    const assertion = await clientAssertion(signer, {
      clientId: 'c',
      audience: 'https://as.example',
    })
    await signer.close()
    say({ assertion })
  } catch (error) {
    const { code, backend, message } = /** @type {any} */ (error)
    say({ code, backend, message })
  }
}
