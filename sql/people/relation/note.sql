-- Changes the remark and the tags of a relation that the user sees. A flag says whether its value applies.
-- $1 user id, $2 the other one, $3/$4 remark, $5/$6 tags
UPDATE t_im_relation
SET remark = CASE WHEN $3 THEN $4 ELSE remark END, tags = CASE WHEN $5 THEN $6 ELSE tags END
WHERE user_id = $1 AND other_id = $2 AND (friend IS NOT NULL OR follows OR followed OR blocks)
