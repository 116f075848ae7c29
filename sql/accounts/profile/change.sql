-- Changes the attributes of a profile that are named, and the rows of its tags. The account is locked.
-- $1 user id, $2 names, $3 signature, $4 sex, $5 year of birth, $6 region, $7 tags
WITH untagged AS (
    DELETE FROM t_im_account_tag
    WHERE user_id = $1::text AND 'tags' = ANY ($2::text[]) AND tag <> ALL ($7::text[])
),
tagged AS (
    INSERT INTO t_im_account_tag (tag, user_id)
    SELECT DISTINCT tag, $1 FROM unnest($7) AS said (tag) WHERE 'tags' = ANY ($2)
    ON CONFLICT DO NOTHING
)
UPDATE t_im_account
SET signature = CASE WHEN 'signature' = ANY ($2) THEN $3::text ELSE signature END,
    sex = CASE WHEN 'sex' = ANY ($2) THEN $4::text ELSE sex END,
    birth_year = CASE WHEN 'birth_year' = ANY ($2) THEN $5::smallint ELSE birth_year END,
    region = CASE WHEN 'region' = ANY ($2) THEN $6::text ELSE region END,
    tags = CASE WHEN 'tags' = ANY ($2) THEN $7 ELSE tags END
WHERE user_id = $1
