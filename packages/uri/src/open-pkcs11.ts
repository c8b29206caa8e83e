import type { ClosableSigner } from '@countersign/core'
import { peerError } from '@countersign/core/backend'
import type { Pkcs11KeyUri } from './key-uri.ts'
import type { SignerFromUriOptions } from './options.ts'
import { pinFrom } from './pin-from.ts'
import { backend } from './refusal.ts'

/** Opens a key on a PKCS#11 token, with the PIN that the URI names, else that of the options. */
export async function openPkcs11(
  { module, token, key, pin, alg, kid }: Pkcs11KeyUri,
  { pin: otherwise, timeoutSeconds, allowSharedFiles = false }: SignerFromUriOptions,
): Promise<ClosableSigner> {
  const { pkcs11Signer } = await loadPkcs11()
  return pkcs11Signer({
    module,
    token,
    key,
    alg,
    kid,
    timeoutSeconds,
    pin: pin === undefined ? otherwise : pinFrom(pin, allowSharedFiles),
  })
}

async function loadPkcs11() {
  try {
    return await import('@countersign/pkcs11')
  } catch (cause) {
    throw peerError('@countersign/pkcs11', cause, backend)
  }
}
