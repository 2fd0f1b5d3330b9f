/* A configuration in which nothing of AWS is set, for tests to fill. */
#ifndef FLASHSALE_TESTS_AWS_CONFIG_H
#define FLASHSALE_TESTS_AWS_CONFIG_H

#include "config.h"

/* Nowhere to look: a test must not meet the profile of who runs it. */
#define NO_FILE "/nonexistent/aws"

static inline struct config
aws_config_blank(void)
{
	return (struct config){
	    .sqs_queue_url = "",
	    .sqs_dlq_url = "",
	    .sqs_timeout_ms = 2000,
	    .aws_region = "",
	    .aws_default_region = "",
	    .aws_endpoint_url_sqs = "",
	    .aws_endpoint_url = "",
	    .aws_endpoint_url_sts = "",
	    .aws_ca_bundle = "",
	    .aws_access_key_id = "",
	    .aws_secret_access_key = "",
	    .aws_session_token = "",
	    .aws_profile = "",
	    .aws_shared_credentials_file = NO_FILE,
	    .aws_config_file = NO_FILE,
	    .aws_role_arn = "",
	    .aws_role_session_name = "",
	    .aws_web_identity_token_file = "",
	    .aws_container_credentials_relative_uri = "",
	    .aws_container_credentials_full_uri = "",
	    .aws_container_authorization_token = "",
	    .aws_container_authorization_token_file = "",
	    .aws_ec2_metadata_disabled = "true",
	    .aws_ec2_metadata_service_endpoint = "",
	};
}

#endif
