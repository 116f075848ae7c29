-- The migrations that the database has, for a support archive.
SELECT coalesce(jsonb_agg(jsonb_build_object('version', version, 'name', name, 'applied_on', applied_on,
                                             'checksum', checksum) ORDER BY version), '[]') AS found
FROM refinery_schema_history
