export {
  type AlgorithmParameters,
  algorithms,
  type EcdsaAlgorithm,
  isJwsAlgorithm,
  type JwsAlgorithm,
} from './algorithm.ts'
export { type AuthorizationGrantOptions, authorizationGrant } from './authorization-grant.ts'
export {
  assertionProvider,
  type ClientAssertionOptions,
  clientAssertion,
} from './client-assertion.ts'
export {
  type ClientMetadata,
  type ClientMetadataOptions,
  clientMetadata,
} from './client-metadata.ts'
export type { ClosableSigner } from './closable-signer.ts'
export {
  type CreateSignerOptions,
  createSigner,
  type SignerBackend,
} from './create-signer.ts'
export { SignerError, type SignerErrorCode, type SignerErrorOptions } from './error.ts'
export { type Jwks, jwks } from './jwks.ts'
export { type SignJwsOptions, signJws } from './jws.ts'
export { type JwtOptions, type SignJwtOptions, signJwt } from './jwt.ts'
export type { LoadSigner } from './load-in-time.ts'
export type { Jwk, PublicJwk, PublicKeyInput } from './public-key.ts'
export { rotating } from './rotating.ts'
export type { RotatingOptions } from './rotating-options.ts'
export type { RotatingSigner } from './rotating-signer.ts'
export type { SignRequest } from './sign-request.ts'
export type { KeyProtection, Signer, SignerSource, SignOptions } from './signer.ts'
export type { SignerFailure } from './signer-failure.ts'
export { spkiThumbprint, thumbprint } from './thumbprint.ts'
export type { RotationMessage, SignMessage } from './tracing.ts'
