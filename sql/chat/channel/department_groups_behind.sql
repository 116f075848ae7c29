-- Department groups that are behind the directory, and the current revision.
-- $1 most groups
SELECT g.channel_id, h.revision
FROM t_im_directory_head h
CROSS JOIN LATERAL (
    SELECT channel_id FROM t_im_department_group
    WHERE revision < h.revision
    ORDER BY revision, channel_id
    LIMIT $1
) AS g
