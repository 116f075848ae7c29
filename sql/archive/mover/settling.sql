-- Whether reads of a day still wait for the background pass to write them into the ledger.
-- $1 below this ms_id
SELECT EXISTS (SELECT FROM t_im_read
               WHERE from_ms_id < $1 AND from_ms_id >= (SELECT sealed_ms_id - 1 FROM t_im_horizon)) AS settling
