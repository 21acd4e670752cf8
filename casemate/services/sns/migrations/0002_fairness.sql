-- Deliveries by account, so that none waits behind all that another's endpoints do not take.
DROP INDEX sns_deliveries_by_due;
CREATE INDEX sns_deliveries_by_account ON sns_deliveries (account, due, id);

-- Until when the deliveries of subscriptions with a greatest number a second are arranged. topic, subscription: ARNs;
-- upto: seconds since the epoch.
CREATE TABLE sns_paces (
    topic TEXT NOT NULL,
    subscription TEXT NOT NULL,
    upto REAL NOT NULL,
    PRIMARY KEY (topic, subscription)
) STRICT;

-- Subscriptions that were ended by the link in a message, and may be begun again by the one in the last message. until:
-- seconds since the epoch; sealed: as of sns_subscriptions.
CREATE TABLE sns_ended (
    topic TEXT NOT NULL,
    id TEXT NOT NULL,
    until REAL NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (topic, id)
) STRICT;

-- Whether a subscription has a filter policy, which are counted.
ALTER TABLE sns_subscriptions ADD COLUMN filtered INTEGER NOT NULL DEFAULT 0;
CREATE INDEX sns_subscriptions_filtered ON sns_subscriptions (account, region) WHERE filtered = 1;
