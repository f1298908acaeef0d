//! The script for zsh, as a file in its `fpath` or to be sourced.

use crate::cli::level::Level;
use crate::say::shell::quoted;

/// From a file in the `fpath`, zsh runs the whole script as the first call of the function, so the
/// script has to make that call. A sourced script has to register the function instead.
pub(super) const SCRIPT: &str = r#"#compdef PROGRAM
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
"#;

pub(super) fn level(level: &Level) -> String {
    let lists = level.lists(described);
    let lists = lists.iter().filter(|(_, entries)| !entries.is_empty());
    let lists: String = lists.map(|(name, entries)| list(name, entries)).collect();
    format!("    ({})\n{lists}        ;;\n", quoted(&level.path))
}

fn list(name: &str, entries: &[String]) -> String {
    let entries: Vec<String> = entries.iter().map(|entry| quoted(entry)).collect();
    let entries = entries.join("\n            ");
    format!("        {name}=(\n            {entries}\n        )\n")
}

/// An entry for `_describe`, which takes a backslash for the start of an escape.
fn described(name: &str, description: &str) -> String {
    let description = description.replace('\\', r"\\").replace(':', r"\:");
    format!("{name}:{description}")
}
