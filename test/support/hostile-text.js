// @ts-check

/**
 * Text that a hostile or broken service may send: it clears a screen, sets its title, reorders what follows, looks like
 * the lines of a stack, and is long. It is short enough for the trailers of gRPC.
 */
export const hostileText = `No access for you\u001b[2J\u001b]0;owned\u0007\u009b31m\u202e\u2066${'API \n    at evil (evil.js:1:1)'.repeat(200)}`
