
# What may stand where the program does: its name, or a subcommand.
_ddtrace-run_program() {
    _alternative 'subcommands:ddtrace-run command:_ddtrace-run_commands' 'commands:program:_command_names -e'
}

