# Shell functions that the scripts of deploy/local share; sourced, not run.
# Knows where the work tree and the cache are; nothing about the stack.
# shellcheck shell=sh

# The caller has set here=, the folder of this file, as an absolute path.
# shellcheck disable=SC2154
root=$(cd "$here/../.." && pwd)
# Servers are in sbin, which is not in the PATH of an ordinary user.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH
# Downloads and templates, shared by all stacks of a work tree.
CACHE_DIR=${CACHE_DIR:-$root/build/cache}

say() {
	printf '%s\n' "$*"
}

warn() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	warn "$*"
	exit 1
}

have() {
	command -v "$1" >/dev/null 2>&1
}

# An absolute path without links; it need not exist yet.
absolute() {
	readlink -m -- "$1"
}

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when time is up.
wait_for() {
	wait_deadline=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$wait_deadline" ] || return 1
		sleep 0.1
	done
}

# cached NAME COMMAND...: the path of a folder in the cache, made on first
# use by `COMMAND... FOLDER`.  Several at once wait for one another; a folder
# appears only when complete.
cached() {
	cached_path=$CACHE_DIR/$1
	shift
	if [ ! -d "$cached_path" ]; then
		mkdir -p "$CACHE_DIR"
		(
			flock 9
			[ ! -d "$cached_path" ] || exit 0
			rm -rf "$cached_path.part"
			mkdir "$cached_path.part"
			"$@" "$cached_path.part" >&2 || exit 1
			mv "$cached_path.part" "$cached_path"
		) 9>"$cached_path.lock" || return 1
	fi
	echo "$cached_path"
}

# clean_env COMMAND...: run without what the caller's environment happens to
# say about AWS, proxies, Redis...  Sanitizers keep their options, and a test
# build (make FAIL=1) its failpoints.
clean_env() {
	env -i PATH="$PATH" HOME="${STACK_DIR:-/}" LANG=C.UTF-8 \
	    ${ASAN_OPTIONS:+ASAN_OPTIONS="$ASAN_OPTIONS"} \
	    ${LSAN_OPTIONS:+LSAN_OPTIONS="$LSAN_OPTIONS"} \
	    ${UBSAN_OPTIONS:+UBSAN_OPTIONS="$UBSAN_OPTIONS"} \
	    ${FAILPOINTS:+FAILPOINTS="$FAILPOINTS"} "$@"
}
