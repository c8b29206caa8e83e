export { onAbort } from './abort-listener.ts'
export { chooseAlgorithm } from './choose-algorithm.ts'
export { closable } from './closable-signer.ts'
export { importPeer, peerError } from './import-peer.ts'
export {
  type KeyService,
  type LoadedKey,
  type LoadSignerOptions,
  loadSigner,
} from './load-signer.ts'
export { describeNetworkFailure } from './network-failure.ts'
export { unlessAborted } from './unless-aborted.ts'
