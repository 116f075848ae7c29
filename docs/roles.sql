-- Three roles for the database of im-push-gateway, so that the service cannot change its own schema:
--
--   owner    im_owner    owns the tables. `im-push-gateway migrate` connects as it, and nothing else does.
--   service  im_service  reads and writes rows. `im-push-gateway serve` and all other commands connect as it.
--   bi       im_bi       reads t_im_message_push and the views v_im_bi_*, for reports. They have no contents of messages.
--
-- Run it with psql, as an administrator of the server, in the database of the service:
--
--   im-push-gateway roles | psql -d im
--   im-push-gateway roles | psql -d im -v owner=im -v service=im_web -v bi=reports     (other names)
--
-- 1. Run it before the first `migrate`. 2. Run `migrate` as the owner. 3. Run it again: the views for reports, the audit
-- log and the history of migrations get their rights. It can be run at any time, and changes nothing that is right.
-- Tables of later versions get the rights of the service by themselves. Views for reports need it to be run again.
-- It gives no passwords: \password im_service, or the way your server signs in.

\set ON_ERROR_STOP on
\if :{?owner}
\else
\set owner im_owner
\endif
\if :{?service}
\else
\set service im_service
\endif
\if :{?bi}
\else
\set bi im_bi
\endif
SELECT current_database() AS database \gset

BEGIN;

-- Tables that are there already belong to the owner.
SELECT set_config('im.owner', :'owner', true) \g /dev/null
DO $$
DECLARE
    of text := (SELECT relowner::regrole::text FROM pg_class WHERE oid = to_regclass('public.t_im_message'));
BEGIN
    IF of <> quote_ident(current_setting('im.owner')) THEN
        RAISE EXCEPTION 'the tables belong to the role %: run it with -v owner=%', of, of;
    END IF;
END $$;

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY[:'owner', :'service', :'bi']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec

-- Before PostgreSQL 15 every role could create tables. Temporary ones would still be possible.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE CREATE, TEMPORARY ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"owner", :"service", :"bi";
GRANT USAGE ON SCHEMA public TO :"owner", :"service", :"bi";
GRANT CREATE ON SCHEMA public TO :"owner";

-- The service: rows of all tables, those of later versions too. The functions make and drop partitions as the owner.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :"service";
GRANT SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO :"service";
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO :"service";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"service";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT SELECT, UPDATE ON SEQUENCES TO :"service";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO :"service";

-- The audit log only grows, and only `migrate` writes the history of migrations.
SELECT format('REVOKE %s ON public.%I FROM %I', rights, name, :'service')
FROM (VALUES ('t_im_audit', 'UPDATE, DELETE'), ('refinery_schema_history', 'INSERT, UPDATE, DELETE'))
    AS kept (name, rights)
WHERE to_regclass('public.' || name) IS NOT NULL \gexec

-- Reports: they only read, and a forgotten query ends. A long query keeps old rows alive: a standby is a better place.
SELECT format('GRANT SELECT ON public.%I TO %I', relname, :'bi')
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
  AND (relname = 't_im_message_push' OR starts_with(relname, 'v_im_bi_')) \gexec
ALTER ROLE :"bi" IN DATABASE :"database" SET default_transaction_read_only = on;
ALTER ROLE :"bi" IN DATABASE :"database" SET statement_timeout = '15min';
ALTER ROLE :"bi" IN DATABASE :"database" SET idle_in_transaction_session_timeout = '1min';
ALTER ROLE :"bi" IN DATABASE :"database" SET idle_session_timeout = '15min';

COMMIT;
