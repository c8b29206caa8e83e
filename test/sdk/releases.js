// @ts-check
/** @typedef {import('./release.js').SdkRelease} SdkRelease */

/**
 * The oldest and the newest release in the packages' peer ranges; the newest one for all supported versions of Node.js
 * is the workspace's.
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
