/*
 * fauxqs, a small SQS-compatible server, bound to the loopback address: by
 * itself it listens on every interface.  The queues are made before it
 * answers, so a restart brings them back (but not their messages).
 * Environment: FAUXQS_PORT, FAUXQS_INIT, FAUXQS_DEFAULT_REGION.
 */
import net from "node:net";
import { startFauxqs } from "fauxqs";

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (options, ...rest) {
	return listen.call(this, { ...options, host: "127.0.0.1" }, ...rest);
};

const server = await startFauxqs({ logger: false });
for (const signal of ["SIGTERM", "SIGINT"])
	process.on(signal, () => server.stop().then(() => process.exit(0)));
