#!/usr/bin/env bash
# covered_test.sh - each numbered sentence of SEMANTICS.md has a test that bears its number, and
# each number in a test has a sentence. $1: SEMANTICS.md; the rest: the tests.
set -euo pipefail

document=$1
shift
sentences=$(grep -oE '^- \*\*[A-Z][0-9]+\*\*' "$document" | tr -d '* -' | sort -u)
tested=$(grep -ohE '^(/\* | \* |# )[A-Z][0-9]+( [A-Z][0-9]+)*(:| \*/|$)' "$@" |
	grep -oE '[A-Z][0-9]+' | sort -u)
[ -n "$sentences" ] || { echo "no sentences in $document"; exit 1; }
diff <(echo "$sentences") <(echo "$tested") && echo "all $(wc -w <<<"$sentences") sentences"
