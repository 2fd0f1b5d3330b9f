-- The books.  MySQL 8 and MariaDB 10.11 both take this.
--
-- A migration may be cut short and run again (neither server can undo DDL):
-- every statement here must do no harm the second time.
--
-- An order's id is the 16 bytes of a UUIDv7, which grows with time, so rows
-- are appended rather than inserted in between.  To read one: HEX(id).  A
-- sale's id is text, as the HTTP API shows it: there are few of them, and
-- people and scripts look for them.
-- All times are UTC.

CREATE TABLE IF NOT EXISTS sales (
	sale_id        CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	sku            VARCHAR(64)  NOT NULL,
	name           VARCHAR(200) NOT NULL,
	total          BIGINT       NOT NULL COMMENT 'units',
	sold           BIGINT       NOT NULL DEFAULT 0
		COMMENT 'units of confirmed orders',
	revision       BIGINT       NOT NULL
		COMMENT 'the one that total is of',
	defined        TINYINT(1)   NOT NULL
		COMMENT '0: so far that revision is known from orders only',
	limit_per_user BIGINT           NULL COMMENT 'units, 0 = no limit',
	opens_at       DATETIME(3)      NULL COMMENT 'NULL = at once',
	closes_at      DATETIME(3)      NULL COMMENT 'NULL = never',
	price_minor    BIGINT       NOT NULL
		COMMENT 'in the smallest unit of the currency',
	currency       CHAR(3)      NOT NULL,
	created_at     DATETIME(3)      NULL,
	state          VARCHAR(8)   NOT NULL DEFAULT 'open'
		COMMENT 'open, paused or closed: what the operator set',
	PRIMARY KEY (sale_id),
	KEY sku (sku)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS orders (
	id            BINARY(16)   NOT NULL,
	sale_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	sku           VARCHAR(64)  NOT NULL,
	user_id       VARCHAR(128) NOT NULL,
	quantity      INT          NOT NULL,
	status        ENUM('confirmed', 'rejected', 'cancelled', 'expired')
		NOT NULL,
	status_reason VARCHAR(64)      NULL COMMENT 'why it was rejected',
	price_minor   BIGINT       NOT NULL COMMENT 'of one unit',
	currency      CHAR(3)      NOT NULL,
	request_key   VARCHAR(128)     NULL
		COMMENT 'the Idempotency-Key, if one was given',
	reserved_at   DATETIME(3)      NULL COMMENT 'in Redis',
	created_at    DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	PRIMARY KEY (id),
	KEY sale_status (sale_id, status, quantity),
	KEY sale (sale_id) COMMENT 'ends in id: the orders in their order'
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Messages that could not be made sense of, for a person to look at.
CREATE TABLE IF NOT EXISTS parked (
	message_id VARCHAR(100) NOT NULL COMMENT 'given by SQS',
	reason     VARCHAR(255) NOT NULL,
	body       BLOB         NOT NULL COMMENT 'as received, perhaps cut',
	body_bytes BIGINT       NOT NULL COMMENT 'its length before the cut',
	parked_at  DATETIME(3)  NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
	PRIMARY KEY (message_id)
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
