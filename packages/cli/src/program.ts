import { Command } from 'commander'
import { agentCommand } from './agent.ts'
import { assertionCommand } from './assertion.ts'
import { version } from './command.ts'
import { completeCommand, completionCommand } from './completion.ts'
import { doctorCommand } from './doctor.ts'
import { headersCommand } from './headers.ts'
import { inspectCommand } from './inspect.ts'
import { jwksCommand } from './jwks.ts'
import { proxyCommand } from './proxy.ts'
import { tokenCommand } from './token.ts'
import { callCommand, toolsCommand } from './tools.ts'

/** All commands, in the order of the help. */
const commands: readonly (() => Command)[] = [
  inspectCommand,
  jwksCommand,
  assertionCommand,
  tokenCommand,
  headersCommand,
  toolsCommand,
  callCommand,
  proxyCommand,
  doctorCommand,
  agentCommand,
]

/** `countersign help [COMMAND]`. Unlike commander's own, it reports a misspelled name. */
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
  /** Whether to add the commands of shell completion. The completion library adds its own. */
  readonly completion?: boolean
}

/**
 * Makes the command line: each command with its options and its help. A command loads its libraries when it runs.
 *
 * Parsing throws commander's `CommanderError` instead of exiting, and does not print errors.
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
  // A list of completions has one line for each.
  if (!completion) for (const one of program.commands) one.description(one.summary())
  if (completion) {
    const completed = () => createProgram({ completion: false })
    program.addCommand(completionCommand(completed).copyInheritedSettings(program))
    program.addCommand(completeCommand(completed).copyInheritedSettings(program), { hidden: true })
    program.addCommand(helpCommand(program).copyInheritedSettings(program))
  }
  return program
}
