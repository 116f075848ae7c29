-- A file that a user may read: an own one, or one that a message holds which the user sees.
-- $1 file id, $2 user id
SELECT f.file_id, f.owner, f.name, f.size, f.stored, f.state, f.media_type, f.sha256, f.width, f.height, f.created_at,
       f.expires_at, im_file_forms(f.file_id) AS forms
FROM t_im_file f
WHERE f.file_id = $1
  AND (f.owner = $2
       OR f.state = 'ready' AND (
           -- Most files are in a few messages. A file can be in 100,000, and then the user's channels are asked for one
           -- that the user sees. The rule is that of sql/chat/message/check_files.sql.
           EXISTS (SELECT FROM (SELECT channel_id, seq FROM t_im_file_use WHERE file_id = f.file_id
                                ORDER BY ms_id DESC LIMIT 16) AS u
                   CROSS JOIN LATERAL (SELECT FROM v_im_visible v
                                       WHERE v.channel_id = u.channel_id AND v.user_id = $2
                                         AND u.seq >= v.sees_from_seq AND (v.to_seq IS NULL OR u.seq <= v.to_seq)
                                       OFFSET 0) AS seen)
           OR EXISTS (SELECT FROM (SELECT channel_id FROM t_im_channel_user
                                   WHERE user_id = $2 AND to_seq IS NULL OFFSET 0) AS mine
                      CROSS JOIN LATERAL (SELECT FROM t_im_file_use
                                          WHERE file_id = f.file_id AND channel_id = mine.channel_id
                                          ORDER BY seq LIMIT 1) AS sent_there
                      CROSS JOIN LATERAL (SELECT sees_from_seq, to_seq FROM t_im_channel_user
                                          WHERE channel_id = mine.channel_id AND user_id = $2 OFFSET 0) AS stay
                      CROSS JOIN LATERAL (SELECT FROM t_im_file_use
                                          WHERE file_id = f.file_id AND channel_id = mine.channel_id
                                            AND seq BETWEEN stay.sees_from_seq
                                                        AND coalesce(stay.to_seq, 9223372036854775807)
                                          ORDER BY seq LIMIT 1) AS seen)))
