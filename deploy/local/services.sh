# The stack's processes under runit: one folder of STACK_DIR/service each.
# Knows nothing of what they are.  https://smarden.org/runit/
# shellcheck shell=sh

services=$STACK_DIR/service

# define_service NAME COMMAND...: written down, not started (a file "down").
# The log is the process' own output.  The pid file follows each restart.
# A process group of its own lets "finish" clear away what a killed master
# leaves behind, such as nginx's workers.
define_service() {
	service=$1
	shift
	mkdir -p "$services/$service"
	touch "$services/$service/down"
	{
		echo '#!/bin/sh'
		echo "exec >>'$STACK_DIR/log/$service.log' 2>&1 8>&- 9>&-"
		echo 'echo $$ >group'
		printf 'exec chpst -P'
		printf " '%s'" "$@"
		echo
	} >"$services/$service/run"
	cat >"$services/$service/finish" <<-END
	#!/bin/sh
	echo "stack: $service ended (exit code \$1, wait status \$2)" \
	    >>'$STACK_DIR/log/$service.log'
	[ ! -e sweep ] || kill -s KILL -- "-\$(cat group)" 2>/dev/null
	exit 0
	END
	chmod +x "$services/$service/run" "$services/$service/finish"
	ln -sf "../service/$service/supervise/pid" \
	    "$STACK_DIR/pids/$service.pid"
}

supervisor_runs() {
	[ -s "$STACK_DIR/supervisor.pid" ] &&
	    process_is_ours "$(cat "$STACK_DIR/supervisor.pid")"
}

# A pid may have been given to a stranger since it was written down: ours
# works in the stack's folder.
process_is_ours() {
	case $(readlink "/proc/$1/cwd" 2>/dev/null) in
	"$STACK_DIR" | "$STACK_DIR"/*) return 0 ;;
	esac
	return 1
}

supervisor_start() {
	# shellcheck disable=SC2016  # the inner shell expands
	clean_env setsid sh -c 'cd "$1" && echo $$ >supervisor.pid &&
	    exec runsvdir -P service' sh "$STACK_DIR" \
	    >"$STACK_DIR/log/supervisor.log" 2>&1 </dev/null &
	for started in "$services"/*; do
		service_start "${started##*/}"
	done
}

# runsvdir looks for new folders every five seconds; a supervisor that we
# start ourselves needs no waiting.
service_start() {
	if ! sv status "$services/$1" >/dev/null 2>&1; then
		wait_for 15 test -p "$services/$1/supervise/ok" ||
			blame "$1" "runit does not supervise $1"
	fi
	rm -f "$services/$1/down"
	wait_for 15 sv -w 10 start "$services/$1" ||
		blame "$1" "$1 does not start"
}

service_restart() {
	sv -w 60 restart "$services/$1"
}

service_status() {
	for shown in "$services"/*; do
		sv status "$shown" | sed "s|$services/||"
	done
}

# expect NAME CONDITION: wait for it; a process that keeps dying will not
# get there.
expect() {
	expect_deadline=$(($(date +%s) + 60))
	until "$2" >/dev/null 2>&1; do
		if [ "$(date +%s)" -ge "$expect_deadline" ]; then
			blame "$1" "$1 is not ready after 60 seconds"
		fi
		if [ "$(deaths_of "$1")" -ge 2 ]; then
			blame "$1" "$1 does not stay alive"
		fi
		sleep 0.1
	done
	say "  $1 is ready"
}

deaths_of() {
	# shellcheck disable=SC2002  # no file yet: 0, not nothing
	cat "$STACK_DIR/log/$1.log" 2>/dev/null |
		grep -c '^stack: .* ended' || :
}

blame() {
	warn "$2; the end of $STACK_DIR/log/$1.log:"
	tail -n 20 "$STACK_DIR/log/$1.log" 2>/dev/null | sed 's/^/    /' >&2
	exit 1
}

# Everything, whether supervised or left behind by a killed supervisor:
# first nobody may restart it, then buyers' side before the stores.
supervisor_stop() {
	if supervisor_runs; then
		kill "$(cat "$STACK_DIR/supervisor.pid")" 2>/dev/null || :
		wait_for 10 supervisor_is_gone || :
	fi
	for stopped in nginx lighttpd fcgi worker sqs mariadb redis; do
		[ -d "$services/$stopped" ] || continue
		service_stop "$stopped"
	done
	rm -f "$STACK_DIR/supervisor.pid"
}

supervisor_is_gone() {
	! supervisor_runs
}

service_stop() {
	# "exit" is: TERM, wait as long as it takes, and the supervisor too.
	if [ -p "$services/$1/supervise/ok" ]; then
		sv -w 45 force-shutdown "$services/$1" >/dev/null 2>&1 || :
	fi
	group=$(cat "$services/$1/group" 2>/dev/null) || return 0
	group_is_gone || kill -s TERM -- "-$group" 2>/dev/null || :
	wait_for 10 group_is_gone || {
		kill -s KILL -- "-$group" 2>/dev/null || :
		wait_for 5 group_is_gone || warn "$1 (group $group) stays"
	}
}

# Nobody of ours in the process group of the service?
group_is_gone() {
	for member in $(group_members "$group"); do
		! process_is_ours "$member" || return 1
	done
}

# From /proc, for a small system may have no ps.  What follows the last ")"
# of a line is: state, parent, process group...
group_members() {
	cat /proc/[0-9]*/stat 2>/dev/null | awk -v group="$1" '
	    { pid = $1; sub(/.*\) /, "") }
	    $1 != "Z" && $3 == group { print pid }'
}
