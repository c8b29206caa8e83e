import tab from '@bomb.sh/tab/commander'
import { createProgram } from './program.ts'

/** The command line as the library of completions knows it. */
const completions = (): ReturnType<typeof tab> =>
  tab(createProgram({ completion: false }), { completionCommandName: 'completion' })

/** Prints the script by which a shell completes this command. */
export async function printCompletionScript(shell: string): Promise<undefined> {
  completions().setup('countersign', 'countersign', shell)
}

/** Prints what the last of the words may become. */
export async function complete(words: readonly string[]): Promise<undefined> {
  completions().parse([...words])
}
