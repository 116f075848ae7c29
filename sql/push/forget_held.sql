-- Deletes some of the oldest commits that are held because there is no gateway, while there still is none.
-- $1 queued before, $2 most commits
DELETE FROM t_im_push_commit
WHERE commit_id = ANY (ARRAY(
    SELECT commit_id
    FROM (SELECT commit_id, held, queued_at FROM t_im_push_commit ORDER BY commit_id LIMIT $2::integer) AS oldest
    WHERE held AND queued_at < $1
      AND EXISTS (SELECT FROM t_im_callback WHERE callback_id = 'gateway' AND url IS NULL)))
