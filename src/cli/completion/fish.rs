//! For fish, 3.0 or later.

use super::level::{Flag, Level, Value};

const HEAD: &str = r"# Completions of PROGRAM for fish, written by PROGRAM itself.

# The options that expect a value at a level, by the words that lead there; fails for other words.
function __PROGRAM_values
    switch $argv[1]
";

/// fish itself knows from `complete -l` that an option awaits a value, and completes files there.
/// Where an option counts it has to be told: it knows nothing of commands within commands.
const TAIL: &str = r"        case '*'
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
";

pub(super) fn script(program: &str, levels: &[Level]) -> String {
    let values: String = levels.iter().map(values).collect();
    let completions: String = levels
        .iter()
        .map(|level| of_level(program, level))
        .collect();
    let ours = |text: &str| text.replace("PROGRAM", program);
    format!("{}{values}{}{completions}", ours(HEAD), ours(TAIL))
}

fn values(level: &Level) -> String {
    let names = level.options_that(|option| option.value != Value::Nothing);
    let names: Vec<String> = names.iter().map(|name| word(name)).collect();
    let print = if names.is_empty() {
        "true".to_owned()
    } else {
        format!("printf '%s\\n' {}", names.join(" "))
    };
    format!("        case {}\n            {print}\n", word(&level.path))
}

fn of_level(program: &str, level: &Level) -> String {
    let path = word(&level.path);
    let mut lines = Vec::new();
    for command in &level.commands {
        let is_here = word(&format!("__{program}_commands {path}"));
        let (name, description) = (word(command.name), word(&command.description));
        lines.push(format!(
            "complete -c {program} -n {is_here} -a {name} -d {description}\n"
        ));
    }
    for (index, choices) in level.arguments.iter().enumerate() {
        if !choices.is_empty() {
            let is_here = word(&format!("__{program}_argument {path} {}", index + 1));
            let choices = word(&choices.join(" "));
            lines.push(format!("complete -c {program} -n {is_here} -a {choices}\n"));
        }
    }
    let new = level.options.iter().filter(|option| option.is_new);
    lines.extend(new.map(|flag| option(program, &path, flag)));
    lines.concat()
}

fn option(program: &str, path: &str, flag: &Flag) -> String {
    let again = if flag.repeats { " again" } else { "" };
    let is_here = word(&format!("__{program}_option {path} {}{again}", flag.name));
    let name = word(flag.name.trim_start_matches('-'));
    let value = match flag.value {
        Value::Nothing => "",
        Value::File => " -r -F",
        Value::Anything => " -x",
    };
    let description = word(&flag.description);
    format!("complete -c {program} -n {is_here} -l {name}{value} -d {description}\n")
}

/// `text` as one word.
pub(super) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\\', r"\\").replace('\'', r"\'"))
}
