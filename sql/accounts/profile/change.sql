-- Changes the attributes of a profile that are named.
-- $1 user id, $2 names, $3 signature, $4 sex, $5 year of birth, $6 region, $7 tags
UPDATE t_im_account
SET signature = CASE WHEN 'signature' = ANY ($2::text[]) THEN $3::text ELSE signature END,
    sex = CASE WHEN 'sex' = ANY ($2) THEN $4::text ELSE sex END,
    birth_year = CASE WHEN 'birth_year' = ANY ($2) THEN $5::smallint ELSE birth_year END,
    region = CASE WHEN 'region' = ANY ($2) THEN $6::text ELSE region END,
    tags = CASE WHEN 'tags' = ANY ($2) THEN $7::text[] ELSE tags END
WHERE user_id = $1
