
# Completes the program and its arguments as if the program stood alone.
function __fish_ddtrace_run_program
    set -l words (commandline -opc) (commandline -ct)
    argparse -s (__fish_ddtrace_run_global_optspecs) -- $words[2..-1] 2>/dev/null
    or return
    set -q argv[1]
    and __fish_complete_subcommand --commandline $argv
end
complete -c ddtrace-run -n "not __fish_ddtrace_run_using_subcommand view status flush completions" -f -a "(__fish_ddtrace_run_program)"
complete -c ddtrace-run -n "__fish_ddtrace_run_using_subcommand completions" -f -a "@SHELLS@"
