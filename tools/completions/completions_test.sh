#!/usr/bin/env bash
# The completions, by the shells that they are for: what bash offers at the end of a line, that zsh
# and fish can read theirs, and what fish offers. $1: where they were built; $2: the program.
set -euo pipefail

built=$1
pagein=$2
base=$(mktemp -d)
failures=0
trap 'rm -rf "$base"' EXIT

fail() {
	printf 'FAILED: %s\n' "$*"
	failures=$((failures + 1))
}

# bash_offers LINE: as readline calls a completion, "=" being a word of its own
bash_offers() {
	(
		cd "$base"
		# shellcheck disable=SC2317 # called by the completion
		compopt() { :; }
		# shellcheck disable=SC1091
		. "$built/pagein"
		read -ra COMP_WORDS <<<"${1//=/ = }"
		[[ $1 != *' ' ]] || COMP_WORDS+=('')
		# shellcheck disable=SC2034
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_pagein
		printf '%s\n' "${COMPREPLY[@]}" | sort
	)
}

# offers SHELL LINE WORD...: these, and no others
offers() {
	local shell=$1 line=$2 got wanted

	shift 2
	got=$("${shell}_offers" "$line")
	wanted=$(printf '%s\n' "$@" | sort)
	[ "$got" = "$wanted" ] || fail "$shell: '$line': ${got//$'\n'/ }"
}

# All options that --help has, with a "=" where they have a value.
help_options() {
	"$pagein" "$1" --help | sed -nE 's/^ +(-.,)? +(--[a-z-]+=?).*/\2/p'
}

mkdir "$base/directory"
: >"$base/file"
mapfile -t subcommands < <("$pagein" --help | sed -nE 's/^  ([a-z]+) .*/\1/p')
offers bash 'pagein ' "${subcommands[@]}" --help --version
offers bash 'pagein um' umount
for subcommand in "${subcommands[@]}"; do
	mapfile -t options < <(help_options "$subcommand")
	offers bash "pagein $subcommand -" "${options[@]}"
done
offers bash 'pagein mount --verify=' auto blocks off require
offers bash 'pagein mount --verify b' blocks
offers bash 'pagein ls --verify=re' require
offers bash 'pagein bench --pattern=zipf,r' zipf,random zipf,replay
offers bash 'pagein mount -o immutable,negative' immutable,negative-ttl=
offers bash 'pagein mount https://host/ ' directory
offers bash 'pagein cat f' file
offers bash 'pagein bench --json ' directory file
offers bash 'pagein bench --count ' ''

# With the shell's own way to find them.
if [ -r /usr/share/bash-completion/bash_completion ]; then
	mkdir -p "$base/data/bash-completion/completions"
	cp "$built/pagein" "$base/data/bash-completion/completions/"
	# shellcheck disable=SC2016
	XDG_DATA_HOME=$base/data BASH_COMPLETION_USER_DIR=$base/data/bash-completion bash -c '
		. /usr/share/bash-completion/bash_completion
		! complete -p pagein 2>/dev/null
		_completion_loader pagein || [ $? = 124 ]
		complete -p pagein' >"$base/loaded" || fail "bash-completion does not find it"
	grep -qF -- '-F _pagein pagein' "$base/loaded" || fail "bash-completion: $(<"$base/loaded")"
else
	echo "no bash-completion: whether it finds the file was not looked at" >&2
fi

if command -v zsh >/dev/null; then
	zsh -n "$built/_pagein" || fail "zsh can't read it"
	# Loaded as compinit does it, and the function defined.
	(cd "$base" && zsh -fc "
		fpath=($built \$fpath)
		autoload -Uz compinit && compinit -u -d $base/dump
		[[ \$_comps[pagein] == _pagein ]]") || fail "zsh does not find it"
else
	echo "no zsh: its completions were not looked at" >&2
fi

fish_offers() {
	(cd "$base" && HOME=$base fish -N -c "source $built/pagein.fish; complete -C '$1'") | cut -f 1 | sort
}

if command -v fish >/dev/null; then
	fish -n "$built/pagein.fish" || fail "fish can't read it"
	offers fish 'pagein mo' mount
	offers fish 'pagein mount --verify=' --verify={auto,blocks,off,require}
	offers fish 'pagein ls --man' --manifest
else
	echo "no fish: its completions were not looked at" >&2
fi

[ "$failures" = 0 ] || exit 1
echo "${#subcommands[@]} subcommands"
