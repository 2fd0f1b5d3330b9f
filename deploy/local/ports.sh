# Free TCP ports of the loopback address, for several stacks at once.
# shellcheck shell=sh

# A port is ours as long as a lock on its file is held; the descriptor with
# the lock goes to the stack's supervisors, so that the port is free again
# just when the last of them is gone, however they went.
port_locks=/tmp/flashsale-ports.$(id -u)

# Does anybody listen there, on any address?
port_is_taken() {
	port_hex=$(printf '%04X' "$1")
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk -v port=":$port_hex" '
		    $4 == "0A" && index($2, port) { taken = 1 }
		    END { exit !taken }'
}

# lock_port DESCRIPTOR PORT
lock_port() {
	# shellcheck disable=SC2174  # its parent is there
	mkdir -p -m 700 "$port_locks"
	eval "exec $1>\"\$port_locks/$2\""
	flock -n "$1"
}

# reserve_port DESCRIPTOR PORT|"": lock that port, or any free one, as $port.
# Below the range that the kernel takes for outgoing connections.
reserve_port() {
	if [ -n "$2" ]; then
		port=$2
		if ! lock_port "$1" "$port" || port_is_taken "$port"; then
			die "port $port is taken (PORT= chooses another)"
		fi
		return
	fi
	port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
	tries=0
	until lock_port "$1" "$port" && ! port_is_taken "$port"; do
		tries=$((tries + 1))
		[ "$tries" -lt 1000 ] || die "no free port"
		port=$((20000 + (port - 19999) % 10000))
	done
}
