/*
 * Endpoint and region of SQS.  Knows how Amazon names its hosts; knows
 * nothing of requests.
 */
#include "sqs_endpoint.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The host of an http(s) URL with its port; NULL when it is none. */
static const char *
url_authority(const char *url, bool *https, size_t *len)
{
	const char *host;

	*https = strncmp(url, "https://", 8) == 0;
	if (!*https && strncmp(url, "http://", 7) != 0)
		return NULL;
	host = url + (*https ? 8 : 7);
	*len = strcspn(host, "/?#");
	return *len == 0 ? NULL : host;
}

/* host, host:port, [v6] or [v6]:port? */
static bool
is_host_and_port(const char *authority)
{
	const char *end = strchr(authority, ']');
	const char *port = authority[0] == '[' && end != NULL
			       ? end + 1
			       : authority + strcspn(authority, ":");

	if (*port == '\0')
		return port != authority;
	return port != authority && port[0] == ':' && port[1] != '\0' &&
	       strspn(port + 1, "0123456789") == strlen(port + 1);
}

/* Lower case, without the scheme's own port: as libcurl sends it, because
 * the signature covers it byte by byte. */
static enum err
endpoint_set(struct sqs_endpoint *endpoint, const char *url)
{
	const char *authority, *port;
	bool https;
	size_t len;

	authority = url_authority(url, &https, &len);
	if (authority == NULL || len >= sizeof(endpoint->host))
		return ERR_BAD_INPUT;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)authority[i];

		if (!isalnum(c) && strchr(".-_:[]", c) == NULL)
			return ERR_BAD_INPUT;
		endpoint->host[i] = (char)tolower(c);
	}
	endpoint->host[len] = '\0';
	if (!is_host_and_port(endpoint->host))
		return ERR_BAD_INPUT;
	port = https ? ":443" : ":80";
	if (len > strlen(port) &&
	    strcmp(endpoint->host + len - strlen(port), port) == 0)
		endpoint->host[len - strlen(port)] = '\0';
	snprintf(endpoint->url, sizeof(endpoint->url), "%s://%s/",
	    https ? "https" : "http", endpoint->host);
	return ERR_OK;
}

/* "eu-west-1": lower-case letters, digits and dashes, some of each. */
static bool
looks_like_region(const char *text)
{
	size_t len = strlen(text);

	return len >= 4 && len < SQS_REGION_SIZE &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len &&
	       strpbrk(text, "0123456789") != NULL &&
	       strchr(text, '-') != NULL && islower((unsigned char)text[0]);
}

/*
 * The label after "sqs" or "sqs-fips", wherever that stands (VPC endpoints
 * put their own labels first), or before "queue" in hosts of the first years.
 */
void
sqs_region_of_url(const char *url, char region[SQS_REGION_SIZE])
{
	char host[256], *label, *rest, *previous = NULL;
	const char *authority, *found = NULL;
	bool https;
	size_t len;

	region[0] = '\0';
	authority = url_authority(url, &https, &len);
	if (authority == NULL || len >= sizeof(host))
		return;
	snprintf(host, sizeof(host), "%.*s", (int)len, authority);
	for (label = strtok_r(host, ".:", &rest); label != NULL;
	     label = strtok_r(NULL, ".:", &rest)) {
		if (previous != NULL && strncmp(previous, "sqs", 3) == 0 &&
		    looks_like_region(label))
			found = label;
		else if (previous != NULL && strcmp(label, "queue") == 0 &&
			 looks_like_region(previous))
			found = previous;
		previous = label;
	}
	if (found != NULL)
		snprintf(region, SQS_REGION_SIZE, "%s", found);
}

static const char *
first_set(const char *a, const char *b, const char *c, const char *d)
{
	if (a[0] != '\0')
		return a;
	if (b[0] != '\0')
		return b;
	return c[0] != '\0' ? c : d;
}

/* Which setting is the one to blame? */
static const char *
queue_setting(const struct config *config, const char *queue_url)
{
	return queue_url == config->sqs_dlq_url ? "SQS_DLQ_URL"
						: "SQS_QUEUE_URL";
}

/* A URL for a message: one with a login may hold a password. */
static const char *
shown(const char *url)
{
	return strchr(url, '@') != NULL ? "(not shown)" : url;
}

static const char *
endpoint_setting(
    const struct config *config, const char *queue_url, const char *url)
{
	if (url == queue_url)
		return queue_setting(config, queue_url);
	return url == config->aws_endpoint_url_sqs ? "AWS_ENDPOINT_URL_SQS"
						   : "AWS_ENDPOINT_URL";
}

enum err
sqs_check_queue_url(
    const struct config *config, const char *queue_url, char *why, size_t size)
{
	bool https;
	size_t len;

	if (strlen(queue_url) > SQS_QUEUE_URL_MAX) {
		snprintf(why, size, "%s: longer than %d bytes",
		    queue_setting(config, queue_url), SQS_QUEUE_URL_MAX);
		return ERR_BAD_INPUT;
	}
	if (queue_url[0] != '\0' &&
	    url_authority(queue_url, &https, &len) == NULL) {
		snprintf(why, size,
		    "%s=%.200s: must be a queue URL, "
		    "https://sqs.REGION.amazonaws.com/ACCOUNT/NAME",
		    queue_setting(config, queue_url), shown(queue_url));
		return ERR_BAD_INPUT;
	}
	return ERR_OK;
}

enum err
sqs_endpoint_choose(struct sqs_endpoint *endpoint, const struct config *config,
    const char *profile_region, const char *queue_url, char *why, size_t size)
{
	char of_url[SQS_REGION_SIZE], standard[128];
	const char *region, *url;

	if (sqs_check_queue_url(config, queue_url, why, size) != ERR_OK)
		return ERR_BAD_INPUT;
	sqs_region_of_url(queue_url, of_url);
	region = first_set(config->aws_region, config->aws_default_region,
	    profile_region, of_url);
	if (!looks_like_region(region)) {
		snprintf(why, size,
		    region[0] == '\0' ? "no region: set AWS_REGION"
				      : "\"%.60s\" is no AWS region: "
					"set AWS_REGION",
		    region);
		return ERR_BAD_INPUT;
	}
	snprintf(endpoint->region, sizeof(endpoint->region), "%s", region);
	snprintf(standard, sizeof(standard), "https://sqs.%s.amazonaws.com%s",
	    region, strncmp(region, "cn-", 3) == 0 ? ".cn" : "");
	url = first_set(config->aws_endpoint_url_sqs, config->aws_endpoint_url,
	    queue_url, standard);
	if (endpoint_set(endpoint, url) != ERR_OK) {
		snprintf(why, size,
		    "%s=%.200s: must be a URL, http(s)://host[:port]/",
		    endpoint_setting(config, queue_url, url), shown(url));
		return ERR_BAD_INPUT;
	}
	return ERR_OK;
}
