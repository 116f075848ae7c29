-- A file that a user may read: an own one, or one that a message holds which the user sees.
-- $1 file id, $2 user id
SELECT f.file_id, f.owner, f.name, f.size, f.stored, f.state, f.media_type, f.sha256, f.width, f.height, f.created_at,
       f.expires_at, im_file_forms(f.file_id) AS forms
FROM t_im_file f
WHERE f.file_id = $1
  AND (f.owner = $2
       OR f.state = 'ready' AND EXISTS (
           SELECT FROM t_im_file_use u
           CROSS JOIN LATERAL (SELECT FROM v_im_visible v
                               WHERE v.channel_id = u.channel_id AND v.user_id = $2
                                 AND u.seq >= v.sees_from_seq AND (v.to_seq IS NULL OR u.seq <= v.to_seq)
                               OFFSET 0) AS seen
           WHERE u.file_id = f.file_id))
