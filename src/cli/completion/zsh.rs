//! For zsh, as a file in its `fpath` or to be sourced.

use super::level::{Flag, Level, Value};

const HEAD: &str = r"#compdef PROGRAM
# Completions of PROGRAM for zsh, written by PROGRAM itself.

# What is understood at a level, by the words that lead there.
_PROGRAM_level() {
    commands=() options=() values=() files=() repeated=() arguments=()
    case $1 in
";

/// In a file of the `fpath` the first call has to do the work that the function will do from then
/// on; a script that is sourced must register itself.
const TAIL: &str = r#"    esac
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

pub(super) fn script(program: &str, levels: &[Level]) -> String {
    let levels: String = levels.iter().map(level).collect();
    let ours = |text: &str| text.replace("PROGRAM", program);
    format!("{}{levels}{}", ours(HEAD), ours(TAIL))
}

fn level(level: &Level) -> String {
    let commands = level.commands.iter();
    let commands = commands.map(|command| described(command.name, &command.description));
    let options = level.options.iter();
    let options = options.map(|option| described(option.name, &option.description));
    let names = |is_so: fn(&Flag) -> bool| {
        let names = level.options_that(is_so);
        names.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let arguments = level.arguments.iter().map(|choices| choices.join(" "));
    let lists = [
        ("commands", commands.collect()),
        ("options", options.collect()),
        ("values", names(|option| option.value != Value::Nothing)),
        ("files", names(|option| option.value == Value::File)),
        ("repeated", names(|option| option.repeats)),
        ("arguments", arguments.collect()),
    ];
    let lists: String = lists
        .iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(name, items)| list(name, items))
        .collect();
    format!("    ({})\n{lists}        ;;\n", word(&level.path))
}

fn list(name: &str, items: &[String]) -> String {
    let items = items.iter();
    let items: Vec<String> = items
        .map(|item| format!("            {}\n", word(item)))
        .collect();
    format!("        {name}=(\n{}        )\n", items.concat())
}

/// As `_describe` takes it, which reads a backslash as one that makes the next character plain.
pub(super) fn described(name: &str, description: &str) -> String {
    let description = description.replace('\\', r"\\").replace(':', r"\:");
    format!("{name}:{description}")
}

/// `text` as one word, also with the option `RC_QUOTES`.
pub(super) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
