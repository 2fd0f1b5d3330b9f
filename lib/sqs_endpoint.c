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
	port = https ? ":443" : ":80";
	if (len > strlen(port) &&
	    strcmp(endpoint->host + len - strlen(port), port) == 0)
		endpoint->host[len - strlen(port)] = '\0';
	snprintf(endpoint->url, sizeof(endpoint->url), "%s://%s/",
	    https ? "https" : "http", endpoint->host);
	return ERR_OK;
}

/* "eu-west-1": letters, digits and dashes, at least one of each kind. */
static bool
looks_like_region(const char *label, size_t len)
{
	bool dash = false, digit = false;

	if (len < 4 || len >= SQS_REGION_SIZE)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)label[i];

		if (!islower(c) && !isdigit(c) && c != '-')
			return false;
		dash |= c == '-';
		digit |= isdigit(c) != 0;
	}
	return dash && digit && islower((unsigned char)label[0]);
}

static bool
label_is(const char *label, size_t len, const char *name)
{
	return len == strlen(name) && strncmp(label, name, len) == 0;
}

/*
 * The label after "sqs" or "sqs-fips" (also behind a VPC endpoint's own
 * label), or the one before "queue" in hosts of the first years.
 */
void
sqs_region_of_url(const char *url, char region[SQS_REGION_SIZE])
{
	const char *host, *label, *end, *found = NULL;
	size_t len, n, found_len = 0, last_len = 0;
	bool https, after_sqs = false;
	const char *last = NULL;

	region[0] = '\0';
	host = url_authority(url, &https, &len);
	if (host == NULL)
		return;
	end = host + len;
	for (label = host; label < end && found == NULL; label += n + 1) {
		for (n = 0; label + n < end && strchr(".:", label[n]) == NULL;)
			n++;
		if (after_sqs && looks_like_region(label, n)) {
			found = label;
			found_len = n;
		} else if (label_is(label, n, "queue") && last != NULL &&
			   looks_like_region(last, last_len)) {
			found = last;
			found_len = last_len;
		}
		after_sqs =
		    label_is(label, n, "sqs") || label_is(label, n, "sqs-fips");
		last = label;
		last_len = n;
	}
	if (found != NULL)
		snprintf(
		    region, SQS_REGION_SIZE, "%.*s", (int)found_len, found);
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

enum err
sqs_endpoint_choose(struct sqs_endpoint *endpoint, const struct config *config,
    const char *profile_region, const char *queue_url, char *why, size_t size)
{
	char of_url[SQS_REGION_SIZE], standard[128];
	const char *region, *url;

	if (strlen(queue_url) > SQS_QUEUE_URL_MAX) {
		snprintf(why, size, "the queue URL is longer than %d bytes",
		    SQS_QUEUE_URL_MAX);
		return ERR_BAD_INPUT;
	}
	sqs_region_of_url(queue_url, of_url);
	region = first_set(config->aws_region, config->aws_default_region,
	    profile_region, of_url);
	if (!looks_like_region(region, strlen(region))) {
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
		    "\"%.200s\" is no URL of the form http(s)://host[:port]/",
		    url);
		return ERR_BAD_INPUT;
	}
	return ERR_OK;
}
