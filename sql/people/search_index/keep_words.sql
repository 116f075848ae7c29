-- Updates the search words of users. An earlier statement locks the users.
-- $1 user ids, $2 the words of each, separated by blanks
WITH told AS MATERIALIZED (
    SELECT user_id, string_to_array(words, ' ') AS words FROM unnest($1::text[], $2::text[]) AS given (user_id, words)
),
dropped AS (
    DELETE FROM t_im_user_word w
    USING told
    -- The array makes every plan look users up by key, also a plan made while there were few.
    WHERE w.user_id = ANY ($1) AND told.user_id = w.user_id AND w.word <> ALL (told.words)
),
kept AS (
    INSERT INTO t_im_user_word (word, user_id)
    SELECT word, told.user_id FROM told CROSS JOIN unnest(told.words) AS word
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
)
UPDATE t_im_user SET words_due = false WHERE user_id = ANY ($1)
