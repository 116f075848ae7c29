-- Encrypted channels: clients encrypt with MLS (RFC 9420), and the service keeps their messages in order without reading them.

-- The epoch of an encrypted channel: how many commits it has. NULL: the channel is not encrypted. It is set when the channel is
-- made, and no channel changes from one to the other. A plain channel has no value, so its row has no more bytes than before.
ALTER TABLE t_im_channel ADD COLUMN mls_epoch bigint;

-- All rows that are there have one of the types of before, so nothing is read.
ALTER TABLE t_im_message
    DROP CONSTRAINT message_type_known,
    ADD CONSTRAINT message_type_known
        CHECK (ms_type IN ('text', 'picture', 'file', 'voice', 'video', 'location', 'markdown', 'link', 'card',
                           'forward', 'call', 'mls')) NOT VALID;
