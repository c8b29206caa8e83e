export { onAbort, timeoutSignal, unlessAborted } from './abort.ts'
export { type Backoff, backoff } from './backoff.ts'
export { chooseAlgorithm } from './choose-algorithm.ts'
export { closable } from './closable-signer.ts'
export { importPeer } from './import-peer.ts'
export {
  type KeyService,
  type LoadedKey,
  type LoadSignerOptions,
  loadSigner,
} from './load-signer.ts'
export { isLoopback, mayBeLoopback } from './loopback.ts'
export { describeNetworkFailure } from './network-failure.ts'
export { ownOptions } from './options.ts'
export { type RetriedCall, type RetriedCalls, retriedCalls } from './retried-calls.ts'
export { sanitize, sanitizeError, sanitizeValue } from './sanitize.ts'
