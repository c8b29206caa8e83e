/** Bounds how much may be under way at once. */
export interface Budget {
  /** Waits until there is room, and then counts a piece of work until the returned function is called. */
  take(cost: number): Promise<() => void>
}

/** Makes a {@link Budget}. A piece of work that is larger than the whole budget is let through when nothing else is under way. */
export function openBudget(most: number): Budget {
  let used = 0
  let waiting: (() => void)[] = []
  return {
    async take(cost) {
      while (used > 0 && used + cost > most) {
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
      used += cost
      let isTaken = true
      return () => {
        if (!isTaken) return
        isTaken = false
        used -= cost
        const released = waiting
        waiting = []
        for (const resolve of released) resolve()
      }
    },
  }
}
