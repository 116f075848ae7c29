-- Lets the move write these sealed days from their begin. One that is switched by now stays: its tables may be gone.
-- $1 days
UPDATE t_im_archive_day
SET step = 'sealed', written_ms_id = from_ms_id - 1, messages = 0, documents = 0, ledger_rows = 0, checksum = DEFAULT
WHERE day = ANY ($1::date[]) AND step NOT IN ('switched', 'dropped')
