# Completion of homelab for fish: 'homelab __complete' finds the candidates.
function __homelab_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found ($words[1] __complete fish $words[2..-1] 2>/dev/null)
    set -l option (string match -r -- '^--.*?=' $words[-1])
    if test "$found[1]" = :files
        __fish_complete_path (string replace -- "$option" '' $words[-1]) | string replace -r -- '^' "$option"
    else
        printf '%s\n' $found
    end
end
complete -c homelab -e
complete -c homelab -f -a '(__homelab_complete)'
