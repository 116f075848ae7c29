-- Writes both rows of a pair. A row without anything to show loses its remark and its tags. The time of a row moves only if
-- its user sees a difference: it must not tell of a block by the other one, nor of a friendship that has ended unseen. An
-- earlier statement locks the pair.
-- $1 users, $2 the other ones, $3 friend, $4 follows, $5 followed, $6 blocks, $7 blocked, $8 message: one element for each
-- side, $9 now
INSERT INTO t_im_relation AS r (user_id, other_id, friend, follows, followed, blocks, blocked, message, changed_at)
SELECT side.*, $9
FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::boolean[], $6::boolean[], $7::boolean[], $8::text[])
     AS side (user_id, other_id, friend, follows, followed, blocks, blocked, message)
ORDER BY side.user_id
ON CONFLICT (user_id, other_id) DO UPDATE
SET friend = EXCLUDED.friend, follows = EXCLUDED.follows, followed = EXCLUDED.followed, blocks = EXCLUDED.blocks,
    blocked = EXCLUDED.blocked, message = EXCLUDED.message,
    changed_at = CASE WHEN (CASE r.friend WHEN 'unfriended' THEN 'friend' ELSE r.friend END,
                            r.follows, r.followed, r.blocks, r.message)
                           IS DISTINCT FROM
                           (CASE EXCLUDED.friend WHEN 'unfriended' THEN 'friend' ELSE EXCLUDED.friend END,
                            EXCLUDED.follows, EXCLUDED.followed, EXCLUDED.blocks, EXCLUDED.message)
                      THEN EXCLUDED.changed_at ELSE r.changed_at END,
    remark = CASE WHEN EXCLUDED.friend IS NOT NULL OR EXCLUDED.follows OR EXCLUDED.followed OR EXCLUDED.blocks
                  THEN r.remark END,
    tags = CASE WHEN EXCLUDED.friend IS NOT NULL OR EXCLUDED.follows OR EXCLUDED.followed OR EXCLUDED.blocks
                THEN r.tags ELSE '{}' END
