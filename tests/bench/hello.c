/*
 * What a web server's FastCGI can do at best with libfcgi behind it:
 * processes that take a connection, read the body and say that it is sold out,
 * without asking anybody.
 *
 *   hello SOCKET PROCESSES
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcgiapp.h>

#define BACKLOG 4096 /* as of the responders */

static const char answer[] =
    "Status: 409 Conflict\r\n"
    "Content-Type: application/problem+json\r\n"
    "Cache-Control: no-store\r\n"
    "\r\n"
    "{\"type\":\"urn:flashsale:problem:sold_out\",\"title\":\"Sold out\","
    "\"status\":409,\"code\":\"sold_out\",\"detail\":\"Fewer units are left "
    "than were asked for.\",\"sku\":\"bench-sold-out\",\"remaining\":0}\n";

static void
serve(int fd)
{
	FCGX_Request request;
	char body[4096];

	if (FCGX_Init() != 0 || FCGX_InitRequest(&request, fd, 0) != 0)
		return;
	while (FCGX_Accept_r(&request) == 0) {
		FCGX_GetStr(body, sizeof(body), request.in);
		FCGX_PutStr(answer, sizeof(answer) - 1, request.out);
		FCGX_Finish_r(&request);
	}
}

int
main(int argc, char **argv)
{
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: hello SOCKET PROCESSES\n");
		return 64;
	}
	fd = FCGX_OpenSocket(argv[1], BACKLOG);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	for (long i = strtol(argv[2], NULL, 10); i > 0; i--)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			serve(fd);
			return 1;
		}
	wait(NULL);
	return 1; /* they serve for ever */
}
