// @ts-check
/** @typedef {import('./release.js').SdkRelease} SdkRelease */

/**
 * The releases that stand at the ends of what the packages' peer ranges promise; the newest that runs on every Node
 * is the workspace's own.
 *
 * @type {{ readonly oldest: readonly SdkRelease[], readonly forNewerNodes: { readonly oldest: SdkRelease, readonly newest: SdkRelease } }}
 */
export const sdkReleases = {
  oldest: [
    { backend: 'aws-kms', name: '@aws-sdk/client-kms', version: '3.0.0' },
    { backend: 'gcp-kms', name: '@google-cloud/kms', version: '5.0.1' },
    { backend: 'azure-key-vault', name: '@azure/keyvault-keys', version: '4.8.0' },
  ],
  // An installation on Node 20 stops at these.
  forNewerNodes: {
    oldest: { backend: 'gcp-kms', name: '@google-cloud/kms', version: '6.0.0' },
    newest: { backend: 'gcp-kms', name: '@google-cloud/kms', version: '6.3.0' },
  },
}
