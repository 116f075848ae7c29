-- Moves a member's received cursor forward, and keeps what it passed as a range, until the background pass writes it
-- into the ledger or the archive has it. What is read is received: the range begins above the read cursor.
-- $1 channel id, $2 user id, $3 seq, $4 its ms_id, $5 now
-- Returns the position of the cursor.
WITH member AS MATERIALIZED (
    SELECT channel_id, user_id, from_seq, greatest(received_seq, read_seq) AS had_seq,
           greatest(received_ms_id, read_ms_id) AS had_ms_id
    FROM t_im_channel_user
    WHERE channel_id = $1 AND user_id = $2 AND to_seq IS NULL
    FOR NO KEY UPDATE
),
kept AS (
    INSERT INTO t_im_read (channel_id, user_id, from_seq, to_seq, from_ms_id, to_ms_id, read_at, status)
    SELECT channel_id, user_id, had_seq + 1, $3, had_ms_id, $4, $5, 1 FROM member WHERE had_seq < $3
    ON CONFLICT DO NOTHING
),
moved AS (
    UPDATE t_im_channel_user m SET received_seq = $3, received_ms_id = $4
    FROM member
    WHERE m.channel_id = member.channel_id AND m.user_id = member.user_id AND m.from_seq = member.from_seq
      AND member.had_seq < $3
)
SELECT greatest(had_seq, $3) AS received_seq FROM member
