-- Encrypted channels: clients encrypt with MLS (RFC 9420), and the service keeps their messages in order without reading them.

SELECT im_lock_gently('t_im_channel', 'ACCESS EXCLUSIVE');

-- The epoch of an encrypted channel: how many commits it has. NULL: the channel is not encrypted. It is set when the channel is
-- made, and no channel changes from one to the other. A plain channel has no value, so its row has no more bytes than before.
ALTER TABLE t_im_channel ADD COLUMN mls_epoch bigint;
-- During an upgrade a replica of the version before does not know encrypted channels. A plain message that it takes for one
-- fails here, and is not stored.
ALTER TABLE t_im_channel
    ADD CONSTRAINT channel_encrypted_takes_no_other CHECK (mls_epoch IS NULL OR last_type IN ('mls', 'call')) NOT VALID;
