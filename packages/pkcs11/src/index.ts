export type { Pin } from './pin-holder.ts'
export type { TokenSelector } from './selector.ts'
export { type Pkcs11Signer, type Pkcs11SignerOptions, pkcs11Signer } from './signer.ts'
