#compdef PROGRAM
# Completions of PROGRAM for zsh, written by PROGRAM itself.

# What is understood at a level, by the words that lead there.
_PROGRAM_level() {
    commands=() options=() values=() files=() repeated=() arguments=()
    case $1 in
LEVELS    esac
}

_PROGRAM() {
    local -a commands options values files repeated arguments names given offered
    local level=PROGRAM awaits='' ended='' option word
    local -i count=1

    _PROGRAM_level $level
    for word in "${(@Q)words[2,CURRENT-1]}"; do
        names=(${commands%%:*})
        if [[ -n $awaits ]]; then
            awaits=
        elif [[ -z $ended && $word == -- ]]; then
            ended=yes
        elif [[ -z $ended && $word == -* ]]; then
            given+=(${word%%\=*})
            if (( $values[(Ie)$word] )); then
                awaits=$word
            fi
        elif [[ -z $ended ]] && (( $names[(Ie)$word] )); then
            level+=" $word" count=1
            _PROGRAM_level $level
        else
            count+=1
        fi
    done

    if [[ -n $awaits ]]; then
        (( $files[(Ie)$awaits] )) && _files
    elif [[ -z $ended && $PREFIX == --*\=* ]]; then
        (( $files[(Ie)${PREFIX%%\=*}] )) && compset -P 1 '*\=' && _files
    elif [[ -z $ended && $PREFIX == -* ]]; then
        for option in $options; do
            word=${option%%:*}
            if (( ! $given[(Ie)$word] || $repeated[(Ie)$word] )); then
                offered+=($option)
            fi
        done
        _describe -o option offered
    elif [[ -z $ended ]] && (( $#commands )); then
        _describe command commands
    else
        offered=(${=arguments[count]})
        (( $#offered )) && _describe argument offered
    fi
}

if [[ $funcstack[1] == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
