# Completions of PROGRAM for fish, written by PROGRAM itself.

# The options that expect a value at a level, by the words that lead there; fails for other words.
function __PROGRAM_values
    switch $argv[1]
LEVELS        case '*'
            return 1
    end
end

# Where the cursor is: the words that lead there, the option whose value is awaited, whether there
# was a '--', the number of the argument, and the options before it; a line each.
function __PROGRAM_place
    set -l words (commandline -opc)
    set -e words[1]
    set -l level PROGRAM
    set -l values (__PROGRAM_values $level)
    set -l awaits ''
    set -l ended ''
    set -l count 1
    set -l given
    for word in $words
        if test -n $awaits
            set given $given $awaits
            set awaits ''
        else if test -n $ended
            set count (math $count + 1)
        else if test $word = --
            set ended yes
        else if contains -- $word $values
            set awaits $word
        else if string match -q -- '-*' $word
            set given $given (string replace -r '=.*' '' -- $word)
        else if __PROGRAM_values $level' '$word >/dev/null
            set level $level' '$word
            set values (__PROGRAM_values $level)
            set count 1
        else
            set count (math $count + 1)
        end
    end
    printf '%s\n' $level $awaits $ended $count $given
end

# Whether a command can stand here, of the level that these words lead to.
function __PROGRAM_commands
    set -l place (__PROGRAM_place)
    test $place[1] = $argv[1] -a -z $place[2] -a -z $place[3]
end

# Whether it is the argument of that number that stands here.
function __PROGRAM_argument
    set -l place (__PROGRAM_place)
    test $place[1] = $argv[1] -a -z $place[2] -a $place[4] = $argv[2]
end

# Whether an option of that level, which those below it understand too, can stand here or has its
# value here; with a third word it can be repeated.
function __PROGRAM_option
    set -l place (__PROGRAM_place)
    test -z $place[3]; or return
    string match -q -- $argv[1]' *' $place[1]' '; or return
    test $place[2] = $argv[2]; and return
    set -q argv[3]; or not contains -- $argv[2] $place[5..-1]
end

complete -c PROGRAM -e
complete -c PROGRAM -f
