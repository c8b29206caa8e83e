/** Whether the tests run with the release of an SDK that this workspace has, and not with an older or newer one. */
export function isUsualSdk(name: string): boolean {
  return (
    process.env['COUNTERSIGN_SDK'] === undefined ||
    !process.env['COUNTERSIGN_SDK'].startsWith(`${name}=`)
  )
}
