// @ts-check
// The suite passes a private key to its clients; here it is imported into a token first.
import { createPrivateKey } from 'node:crypto'
import { pkcs11Signer } from '@countersign/pkcs11'
import { createSoftHsm } from '../support/softhsm.js'

/**
 * A signer over the key on a token of SoftHSM.
 *
 * @param {string} pem  PKCS#8
 * @param {import('@countersign/core').JwsAlgorithm} alg
 */
export async function onSoftHsm(pem, alg) {
  const hsm = createSoftHsm()
  const token = await hsm.createToken('conformance')
  await token.importKey({ label: 'client', id: '01', privateKey: createPrivateKey(pem) })
  const signer = await pkcs11Signer({
    module: hsm.module,
    token: { label: token.label },
    pin: token.pin,
    key: { label: 'client' },
    alg,
  })
  const close = async () => {
    await signer.close()
    hsm.remove()
  }
  return { signer, close }
}
