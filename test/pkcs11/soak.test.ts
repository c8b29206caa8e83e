import { scriptTests } from '../support/script-tests.js'

await scriptTests('test/pkcs11/soak.mjs', {
  nodeOptions: ['--expose-gc'],
})
