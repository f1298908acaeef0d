# Completion of homelab for bash: 'homelab __complete' finds the candidates.
_homelab() {
    mapfile -t COMPREPLY < <("$1" __complete bash "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
    case ${COMPREPLY[0]-} in
        :files) COMPREPLY=() && compopt -o default ;;
        *=) compopt -o nospace ;;
    esac
}
complete -F _homelab homelab
