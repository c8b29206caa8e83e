// What is used of the package, which only those have who use it.
declare module '@azure/identity' {
  export class DefaultAzureCredential {
    getToken(
      scopes: string | string[],
      options?: object,
    ): Promise<{ token: string; expiresOnTimestamp: number }>
  }
}
