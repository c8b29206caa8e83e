import { Command } from 'commander'
import { assertionCommand } from './commands/assertion.ts'
import { callCommand } from './commands/call.ts'
import { completeCommand, completionCommand } from './commands/completion.ts'
import { doctorCommand } from './commands/doctor.ts'
import { inspectCommand } from './commands/inspect.ts'
import { jwksCommand } from './commands/jwks.ts'
import { tokenCommand } from './commands/token.ts'
import { toolsCommand } from './commands/tools.ts'
import { version } from './version.ts'

/** Every command, in the order in which help lists them. */
const commands: readonly (() => Command)[] = [
  inspectCommand,
  jwksCommand,
  assertionCommand,
  tokenCommand,
  toolsCommand,
  callCommand,
  doctorCommand,
]

/** `countersign help [COMMAND]`. That of the parser says nothing of a name that is misspelled. */
function helpCommand(program: Command): Command {
  return new Command('help')
    .description('show help for a command')
    .argument('[command]', 'its name')
    .helpOption(false)
    .action(async (name: string | undefined) => {
      const command = program.commands.find((one) => one.name() === name)
      if (name === undefined || command !== undefined) (command ?? program).outputHelp()
      else await program.parseAsync([name], { from: 'user' })
    })
}

/** Options of {@link createProgram}. */
export interface ProgramOptions {
  /** Whether to add the commands of shell completion, which the library of completions adds by itself. */
  readonly completion?: boolean
}

/**
 * Makes the command line: each command with its options and its help. What runs a command is loaded when it runs.
 *
 * Parsing throws commander's `CommanderError` instead of ending the process, and writes no error by itself.
 */
export function createProgram({ completion = true }: ProgramOptions = {}): Command {
  const program = new Command('countersign')
    .description('OAuth clients that sign with keys which never leave their KMS or HSM.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({ outputError: () => {} })
    .addHelpText('after', '\nTo see the whole flow on this machine: npx @countersign/demo')
    .exitOverride()
  for (const make of commands) program.addCommand(make().copyInheritedSettings(program))
  // A list of completions has room for a line.
  if (!completion) for (const one of program.commands) one.description(one.summary())
  if (completion) {
    program.addCommand(completionCommand().copyInheritedSettings(program))
    program.addCommand(completeCommand().copyInheritedSettings(program), { hidden: true })
    program.addCommand(helpCommand(program).copyInheritedSettings(program))
  }
  return program
}
