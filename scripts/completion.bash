# Completion in bash for `imageedit <command> …` and `python -m experiments.<command> …`: source this file, for example in ~/.bashrc.
# Groups, choices, keys and values are those of Hydra's own completion. Hydra can complete a script or a program of one command;
# this file gives it the line as if it were one.

_imageedit_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

_imageedit() {
  local line=${COMP_LINE:0:COMP_POINT} words current command program rest i offered word cut=""
  COMPREPLY=()
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=${words[${#words[@]} - 1]}
  if [[ ${words[0]##*/} == imageedit ]]; then
    program=("${words[0]}" "${words[1]}") command=${words[1]} i=2
    if ((${#words[@]} == 2)); then
      _imageedit_offer "$current" "" $(_imageedit_commands "")
      return
    fi
  else
    for ((i = 1; i < ${#words[@]}; i++)); do
      [[ ${words[i]} == -m ]] && break
    done
    [[ ${words[i + 1]} == experiments* ]] || return 0 # some other Python program
    if ((${#words[@]} == i + 2)); then
      _imageedit_offer "$current" "" $(_imageedit_commands experiments.)
      return
    fi
    command=${words[i + 1]#experiments.} program=("${words[@]:0:i + 2}") i=$((i + 2))
  fi
  [[ -f $_imageedit_folder/conf/$command.yaml ]] || return 0 # a command without Hydra; files are offered
  rest=${words[*]:i}
  offered=$(COMP_LINE="program $rest" COMP_POINT=$((${#rest} + 8)) "${program[@]}" --shell-completion query=bash 2>/dev/null)
  [[ $current == *=* && $COMP_WORDBREAKS == *=* ]] && cut=${current%"${current##*=}"} # bash completes what stands behind it
  read -ra words <<<"$offered"
  _imageedit_offer "$current" "$cut" "${words[@]}"
}

_imageedit_offer() { # current word, what bash has split off, candidates
  local current=$1 cut=$2 word
  for word in "${@:3}"; do
    [[ $word == "$current"* ]] && COMPREPLY+=("${word#"$cut"}")
  done
  return 0
}

_imageedit_commands() { # every command, behind a prefix
  local file
  for file in "$_imageedit_folder"/experiments/[a-z]*.py; do
    file=${file##*/}
    echo "$1${file%.py}"
  done
}

complete -o nospace -o bashdefault -o default -F _imageedit imageedit python python3
