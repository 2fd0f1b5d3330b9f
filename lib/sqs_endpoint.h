/*
 * Which host to talk to, and for which region to sign: the rules of the AWS
 * SDKs.  Pure.
 *
 *   endpoint  AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL, the queue URL's host,
 *             https://sqs.{region}.amazonaws.com
 *   region    AWS_REGION, AWS_DEFAULT_REGION, the profile's, the queue URL's
 */
#ifndef FLASHSALE_SQS_ENDPOINT_H
#define FLASHSALE_SQS_ENDPOINT_H

#include <stddef.h>

#include "config.h"
#include "err.h"

#define SQS_REGION_SIZE 40
#define SQS_QUEUE_URL_MAX 512 /* bytes */

struct sqs_endpoint {
	char url[288];	/* "https://sqs.eu-west-1.amazonaws.com/" */
	char host[272]; /* as it stands in the Host header */
	char region[SQS_REGION_SIZE];
};

/* profile_region and queue_url may be "".  ERR_BAD_INPUT: see why. */
enum err sqs_endpoint_choose(struct sqs_endpoint *, const struct config *,
    const char *profile_region, const char *queue_url, char *why,
    size_t why_size) MUST_CHECK;

/* The form of a queue URL, no more: no region, nobody's credentials. "" is
 * fine: there is none. */
enum err sqs_check_queue_url(const struct config *, const char *queue_url,
    char *why, size_t why_size) MUST_CHECK;

/* The region in a queue URL's host, or "". */
void sqs_region_of_url(const char *url, char region[SQS_REGION_SIZE]);

#endif
