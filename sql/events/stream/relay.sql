-- Signals a text for some listeners to the replicas, in parts: a signal has at most 8,000 bytes. Nothing is stored.
-- $1 an id that no other text has, $2 the parts in base64
SELECT count(pg_notify('im_live', jsonb_build_object('part', jsonb_build_object(
           'id', $1::text, 'at', part.ord, 'of', cardinality($2::text[]), 'text', part.text))::text)::text) AS parts
FROM unnest($2::text[]) WITH ORDINALITY AS part (text, ord)
