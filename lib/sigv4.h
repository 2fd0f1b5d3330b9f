/*
 * AWS Signature Version 4 of a POST to "/" without query, which is all that
 * SQS' JSON protocol takes.  Pure: the caller gives the time.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 */
#ifndef FLASHSALE_SIGV4_H
#define FLASHSALE_SIGV4_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "credentials.h"
#include "digest.h"
#include "err.h"

/* The derived key, kept for the day it is good for. Zero it to start. */
struct sigv4_key {
	char scope[96]; /* "20260101/us-east-1/sqs" */
	char secret[129];
	uint8_t bytes[SHA256_SIZE];
};

struct sigv4_request {
	const char *host;   /* byte for byte as the client will send it */
	const char *target; /* X-Amz-Target, "AmazonSQS.SendMessage" */
	const char *content_type;
	const char *region;
	const char *service; /* "sqs" */
	const void *body;
	size_t body_len;
	time_t when;
};

struct sigv4_headers {
	char date[17];		 /* value of X-Amz-Date */
	char authorization[512]; /* value of Authorization */
};

/* Sign; the token, if there is one, goes into X-Amz-Security-Token. */
void sigv4_sign(const struct sigv4_request *, const struct credentials *,
    struct sigv4_key *cache, struct sigv4_headers *);

#endif
