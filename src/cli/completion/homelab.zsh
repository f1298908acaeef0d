#compdef homelab
# Completion of homelab for zsh: 'homelab __complete' finds the candidates.
_homelab() {
    local -a found no_space
    found=(${(f)"$($words[1] __complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)"})
    [[ $PREFIX == --*\=* ]] && compset -P 1 '*\='
    [[ $found[1] == *=:* ]] && no_space=(-S '')
    case $found[1] in
        (:files) _files ;;
        (?*) _describe homelab found "${no_space[@]}" ;;
    esac
}
[[ $funcstack[1] == _homelab ]] && _homelab "$@" || compdef _homelab homelab
