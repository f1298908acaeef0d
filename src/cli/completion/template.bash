# Completions of PROGRAM for bash, written by PROGRAM itself.

# What is understood at a level, by the words that lead there.
_PROGRAM_level() {
    commands='' options='' values='' files='' repeated='' arguments=()
    case $1 in
LEVELS    esac
}

_PROGRAM() {
    COMPREPLY=()
    local IFS=$' \t\n'
    local commands options values files repeated arguments

    # Bash splits at '=' and ':' as well; these are the words that the program would get.
    local words=() word separate last='' at=0 i
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]} separate=
        while ((at < COMP_POINT)) && [[ ${COMP_LINE:at:1} == [[:space:]] ]]; do
            separate=yes at=$((at + 1))
        done
        if ((i == COMP_CWORD)); then
            word=${COMP_LINE:at:COMP_POINT-at}
        fi
        at=$((at + ${#word}))
        if [[ $i == 0 || $separate || $word$last == [\<\>]* || $last == [\<\>]* ]]; then
            words+=("$word")
        else
            words[${#words[@]} - 1]+=$word
        fi
        last=$word
    done
    local current=${words[${#words[@]} - 1]}
    unset 'words[${#words[@]} - 1]'

    local level=PROGRAM given=' ' awaits='' ended='' redirects='' count=0
    _PROGRAM_level "$level"
    for word in "${words[@]:1}"; do
        if [[ $redirects ]]; then
            redirects=
        elif [[ $word == [\<\>]* ]]; then
            redirects=yes
        elif [[ $awaits ]]; then
            awaits=
        elif [[ ! $ended && $word == -- ]]; then
            ended=yes
        elif [[ ! $ended && $word == -* ]]; then
            given+="${word%%=*} "
            if [[ " $values " == *" $word "* ]]; then
                awaits=$word
            fi
        elif [[ ! $ended && " $commands " == *" $word "* ]]; then
            level+=" $word" count=0
            _PROGRAM_level "$level"
        else
            count=$((count + 1))
        fi
    done

    local offered='' option=$awaits
    if [[ ! $awaits && ! $ended && $current == --*=* ]]; then
        option=${current%%=*}
    fi
    if [[ $redirects ]]; then
        compopt -o default
    elif [[ $option ]]; then
        if [[ " $files " == *" $option "* ]]; then
            compopt -o default
        fi
    elif [[ $ended ]]; then
        offered=${arguments[count]-}
    elif [[ $current == -* ]]; then
        for word in $options; do
            if [[ $given != *" $word "* || " $repeated " == *" $word "* ]]; then
                offered+=" $word"
            fi
        done
    else
        offered=${commands:-${arguments[count]-}}
    fi
    for word in $offered; do
        if [[ $word == "$current"* ]]; then
            COMPREPLY+=("$word")
        fi
    done
}

complete -F _PROGRAM PROGRAM
