-- Brings what people are found by up to date. They are locked by an earlier statement.
-- $1 user ids, $2 the words of each, with blanks between them
WITH told AS MATERIALIZED (
    SELECT user_id, string_to_array(words, ' ') AS words FROM unnest($1::text[], $2::text[]) AS given (user_id, words)
),
dropped AS (
    DELETE FROM t_im_user_word w
    USING told
    -- The array has them looked up one by one, also by a plan made while there were few.
    WHERE w.user_id = ANY ($1) AND told.user_id = w.user_id AND w.word <> ALL (told.words)
),
kept AS (
    INSERT INTO t_im_user_word (word, user_id)
    SELECT word, told.user_id FROM told CROSS JOIN unnest(told.words) AS word
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
)
UPDATE t_im_user SET words_due = false WHERE user_id = ANY ($1)
