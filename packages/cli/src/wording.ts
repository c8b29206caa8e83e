/** What a library calls a thing, and what it is called on the command line; the first that fits comes first. */
const wordings: readonly (readonly [RegExp, string])[] = [
  [/(?:set )?"allowSharedFiles"/g, 'give --allow-shared-files'],
  [/"timeoutSeconds"/g, '--timeout'],
  [/give it in "schemes"/g, 'name the package by --scheme'],
  [/Each of "schemes"/g, 'Each scheme of a package'],
  [/"clientId"/g, '--client-metadata'],
  [/"jwksUri"/g, '--jwks-uri'],
  [/"clientName"/g, '--client-name'],
  [/"maxScope"/g, '--max-scope'],
  [
    /Pin the authorization server whose tokens it accepts with the option "issuer"/g,
    'Give its authorization server by --issuer',
  ],
  [
    /Pin the issuer of the server that it is for, or make it for .+$/g,
    'Give the issuer of the server that it is for by --issuer, or --audience token_endpoint, or leave --audience out',
  ],
  [/give the signer the option alg: '([\w-]+)'/g, 'add alg=$1 to the query of the key URI'],
  [/choose another "alg"/g, 'choose another one by alg= in the query of the key URI'],
  [/"alg" and the "serviceVersion" of "clientOptions"/g, 'alg= in the query of the key URI'],
  [/alias is written alias\/NAME/g, 'alias is written awskms:///alias/NAME'],
  [
    /give "region", an ARN as "keyId", or set AWS_REGION/g,
    'add ?region=eu-west-1 or another one to the key URI, name the key by its ARN (awskms:///arn:aws:kms:…), or set AWS_REGION',
  ],
  [/^"keyId"|The "keyId"/g, 'The key URI'],
  [/"keyId"/g, 'the key URI'],
  [/(?:The|the) "region" is/g, 'The region in the key URI is'],
  [/leave "region" out/g, 'leave it out'],
  [/"module"/g, 'module-path= in the key URI'],
  [/give its "pin"/g, 'give its PIN by --pin-file or COUNTERSIGN_PIN'],
  [
    /([;,]) (check|give) its "passphrase"/g,
    '$1 $2 its passphrase by --passphrase-file or COUNTERSIGN_PASSPHRASE',
  ],
  [/, or pass a "client" that has some/g, ''],
  [/set (\w+), or give "client" or "clientOptions" with credentials/g, 'or set $1'],
  [/the timeouts of the "client"/g, 'the timeouts of its SDK'],
  [/give one of them a "kid" of its own/g, 'give one of them another by kid= in its key URI'],
]

/** Puts a message of a library into the words of the command line. */
export function inOptions(message: string): string {
  return wordings.reduce((rest, [name, words]) => rest.replaceAll(name, words), message)
}
